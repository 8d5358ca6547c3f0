/*
 * apply.h: between apply.c and apply_server.c.
 */
#pragma once

#include "apply/applyset.h"
#include "apply/prune.h"
#include "objects/deletion.h"
#include "objects/write.h"
#include "print/output.h"

struct apply {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool server_side, force_conflicts, prune, all, overwrite, force, openapi_patch, wait;
    const char *subresource, *applyset, *cascade;
    struct strv allowlist;
    int64_t grace_period, timeout_ms;
    struct deletion deletion; /* of --force and --prune */
    struct prune pruning;
    struct applyset set; /* with --applyset */
    struct json *applied; /* with -o json and the like: what will be printed at the end */
};

/* What became of an object: a line, or kept for the end. */
int apply_print(struct apply *apply, const struct json *object, const char *verb, struct err *err) MUST_CHECK;
/* --server-side: the file as it is, and fields of earlier client-side applies taken over. */
int apply_server_side(struct apply *apply, struct item *item, struct err *err) MUST_CHECK;
