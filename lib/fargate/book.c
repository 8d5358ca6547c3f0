/*
 * book.c: see book.h.
 */
#include "fargate/book.h"

#include "base/mem.h"
#include "data/quantity.h"

static int parse_version(struct str text, uint64_t *ret)
{
    uint64_t version = 0;

    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < '0' || text.p[i] > '9' || __builtin_mul_overflow(version, 10, &version) ||
            __builtin_add_overflow(version, (uint64_t)(text.p[i] - '0'), &version))
            return ERR_PARSE;
    *ret = version;
    return text.len > 0 ? 0 : ERR_PARSE;
}

/* "0.25vCPU 0.5GB 20Gi" */
static int parse_size(struct str text, struct fargate_size *ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(xfree) char *copy = xstrndup(text.p, text.len);
    char *last = strrchr(copy, ' ');
    int64_t storage_b;

    if (last == NULL)
        return ERR_PARSE;
    *last = '\0';
    if (quantity_parse_units(last + 1, &storage_b, &ignored) < 0 || storage_b < 0 ||
        fargate_size_parse(copy, ret, &ignored) < 0)
        return ERR_PARSE;
    ret->storage_b = storage_b;
    return 0;
}

int book_line_parse(struct str text, struct book_line *ret, struct err *err)
{
    struct book_line line = {0};
    struct str uid, version, rest;

    if (!str_cut(text, ' ', &uid, &rest) || uid.len == 0 || uid.len > BOOK_UID_MAX ||
        !str_cut(rest, ' ', &line.pod, &rest) || line.pod.len == 0 || !str_cut(rest, ' ', &version, &rest) ||
        parse_version(version, &line.version) < 0 || parse_size(rest, &line.size) < 0)
        return err_set(err, ERR_PARSE, "'%.*s' is no reservation", (int)(text.len < 200 ? text.len : 200), text.p);
    memcpy(line.uid, uid.p, uid.len);
    *ret = line;
    return 0;
}

void book_line_print(const struct book_line *line, struct buf *out)
{
    buf_printf(out, "%s %.*s %llu ", line->uid, (int)line->pod.len, line->pod.p, (unsigned long long)line->version);
    fargate_size_print(&line->size, out);
    (void)buf_add_char(out, ' ');
    quantity_print_bytes(line->size.storage_b, out);
    (void)buf_add_char(out, '\n');
}
