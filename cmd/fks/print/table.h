/*
 * table.h: meta.k8s.io/v1 Tables of the server as kubectl prints them: namespace column, label columns, wide columns,
 * header once, columns aligned over everything of one kind.
 */
#pragma once

#include "data/json.h"

#include "text/tabwriter.h"

struct table_options {
    bool wide, no_headers, with_namespace, show_labels;
    const char *kind_prefix;          /* "deployment.apps" before names, or NULL */
    const struct strv *label_columns; /* -L, or NULL */
};

struct table {
    struct table_options options;
    struct tabwriter writer;
    struct json *columns; /* of the last Table that had any: watch events leave them out */
    bool *shown;          /* of each of the columns */
    bool printed_headers;
    size_t n_rows;
};
void table_init(struct table *table, const struct table_options *options);
void table_done(struct table *table);
/* Writes the rows of an answer; event is NULL or the watch event's type for a first column. */
void table_add(struct table *table, const struct json *answer, const char *event);
/* Aligned text so far, appended to out. */
void table_flush(struct table *table, struct buf *out);
DEFINE_CLEANUP_IN_PLACE(struct table, table_done)
