/*
 * book.h: one line in the book of a host: which pod has room there, and how much. Pure. What books are for is in
 * fks-scheduler's ledger.h.
 *
 *     UID NAMESPACE/NAME RESOURCEVERSION 0.25vCPU 0.5GB 20Gi
 */
#pragma once

#include "base/str.h"
#include "fargate/size.h"

#define BOOK_UID_MAX 36

struct book_line {
    char uid[BOOK_UID_MAX + 1];
    struct str pod;   /* "namespace/name", in the text that was read */
    uint64_t version; /* resourceVersion of the pod when room was kept for it */
    struct fargate_size size;
};

/* Without its newline. ERR_PARSE. */
int book_line_parse(struct str text, struct book_line *ret, struct err *err) MUST_CHECK;
/* With a newline. */
void book_line_print(const struct book_line *line, struct buf *out);
