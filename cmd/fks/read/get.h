/*
 * get.h: between get.c, get_stream.c and get_watch.c.
 */
#pragma once

#include "objects/items.h"
#include "print/output.h"
#include "print/table.h"

#define GET_TABLE_ACCEPT \
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"

struct get {
    struct cli *cli;
    struct selection selection;
    struct output_options output_options;
    struct output output;
    bool watch, watch_only, no_headers, show_labels, show_kind, ignore_not_found, output_watch_events, server_print;
    struct strv label_columns;
    const char *sort_by, *raw, *subresource;
};

/* True when the answers are Tables: no -o, or wide. */
bool get_is_table(const struct get *get);
/* The table printer for one kind. prefix is "pod" or NULL. */
void get_table_init(const struct get *get, const struct kube_resource *resource, const char *prefix,
                    struct table *table);
/* One object; a Table as the rest when the accept header asks for it. */
int get_read_one(struct get *get, const struct item *item, bool table, struct json **ret, struct err *err) MUST_CHECK;
/* Drops a 404 with --ignore-not-found. */
void get_fail_or_ignore(const struct get *get, struct failures *failures, struct err *failure);
/* Whether the list can be printed object by object, none kept. */
bool get_streams(const struct get *get, const struct items *items);
/* Does that; returns the exit code. failures: of reading the files. */
int get_stream(struct get *get, const struct items *items, struct failures *failures);
/* -w and --watch-only; returns the exit code. */
int get_watch(struct get *get, const struct strv *args);
