/*
 * get.h: between get.c and get_watch.c.
 */
#pragma once

#include "items.h"
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
/* -w and --watch-only; returns the exit code. */
int get_watch(struct get *get, const struct strv *args);
