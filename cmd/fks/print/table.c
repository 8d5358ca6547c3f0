/*
 * table.c: server-side Tables as text. Which columns there are is the server's business; ours are NAMESPACE, labels
 * and the watch event.
 */
#include "print/table.h"

#include <ctype.h>

#include "base/mem.h"
#include "base/str.h"

#define MIN_WIDTH 6
#define PADDING 3

void table_init(struct table *table, const struct table_options *options)
{
    *table =
        (struct table){.options = *options, .writer = {.min_width = MIN_WIDTH, .padding = PADDING, .remember = true}};
}

void table_done(struct table *table)
{
    tabwriter_done(&table->writer);
    json_free(table->columns);
    table->columns = NULL;
    free(table->shown);
    table->shown = NULL;
}

void table_flush(struct table *table, struct buf *out)
{
    tabwriter_flush(&table->writer, out);
}

/* Up to the first line break, marked by "..."; what a terminal would obey is made visible. */
static void write_text(struct buf *out, const char *text)
{
    for (;; text++) {
        size_t len = strcspn(text, "\x1b\f\n\r");
        buf_add(out, text, len);
        text += len;
        if (*text != '\x1b')
            break;
        buf_add_str(out, "^[");
    }
    if (*text != '\0')
        buf_add_str(out, "...");
}

static void write_cell(struct buf *out, const struct json *cell)
{
    switch (json_type(cell)) {
    case JSON_NULL:
        break;
    case JSON_STRING:
        write_text(out, json_string_value(cell));
        break;
    case JSON_BOOL:
    case JSON_INT:
    case JSON_REAL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        json_print(cell, out);
        break;
    }
}

/* Starts each cell but a line's first with a tab. */
struct row {
    struct buf *out;
    bool started;
};

static struct buf *next_cell(struct row *row)
{
    if (row->started)
        buf_add_char(row->out, '\t');
    row->started = true;
    return row->out;
}

static void write_upper(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_add_char(out, (char)toupper((unsigned char)*text));
}

static void write_header(struct table *table, const char *event)
{
    const struct table_options *options = &table->options;
    struct row row = {.out = &table->writer.text};
    const struct json *column;
    if (event != NULL)
        buf_add_str(next_cell(&row), "EVENT");
    if (options->with_namespace)
        buf_add_str(next_cell(&row), "NAMESPACE");
    json_each(column, table->columns) {
        if (table->shown[column_index])
            write_upper(next_cell(&row), json_str_or("", column, "name", NULL));
    }
    for (size_t i = 0; options->label_columns != NULL && i < options->label_columns->n; i++) {
        const char *label = options->label_columns->items[i], *slash = strrchr(label, '/');
        write_upper(next_cell(&row), slash != NULL ? slash + 1 : label);
    }
    if (options->show_labels)
        buf_add_str(next_cell(&row), "LABELS");
    buf_add_char(row.out, '\n');
}

static void write_labels(struct buf *out, const struct json *labels)
{
    CLEANUP(strv_done) struct strv pairs = {0};
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(labels, &position, &key, &value))
        strv_addf(&pairs, "%s=%s", key, strempty(json_string_value(value)));
    strv_sort(&pairs);
    CLEANUP(xfree) char *joined = strv_join(&pairs, ",");
    buf_add_str(out, pairs.n > 0 ? joined : "<none>");
}

static void write_row(struct table *table, const struct json *source, size_t name_column, const char *event)
{
    const struct table_options *options = &table->options;
    struct row row = {.out = &table->writer.text};
    const struct json *metadata = json_get(source, "object", "metadata", NULL), *cell;
    const struct json *labels = json_get(metadata, "labels", NULL);
    size_t n_columns = json_len(table->columns);
    if (event != NULL)
        buf_printf(next_cell(&row), "%-8s", event); /* as wide as the longest */
    if (options->with_namespace)
        buf_add_str(next_cell(&row), json_str_or("", metadata, "namespace", NULL));
    json_each(cell, json_get(source, "cells", NULL)) {
        if (cell_index >= n_columns || !table->shown[cell_index])
            continue;
        struct buf *out = next_cell(&row);
        if (cell_index == name_column)
            buf_printf(out, "%s/", options->kind_prefix);
        write_cell(out, cell);
    }
    for (size_t i = 0; options->label_columns != NULL && i < options->label_columns->n; i++) {
        const struct json *value = json_member(labels, options->label_columns->items[i]);
        buf_add_str(next_cell(&row), strempty(json_string_value(value)));
    }
    if (options->show_labels) {
        struct buf *out = next_cell(&row);
        if (metadata != NULL)
            write_labels(out, labels);
    }
    buf_add_char(row.out, '\n');
    table->n_rows++;
}

static size_t find_name_column(const struct table *table)
{
    const struct json *column;
    json_each(column, table->columns) {
        if (streq(json_str(column, "format", NULL), "name") && streq(json_str(column, "type", NULL), "string"))
            return column_index;
    }
    return SIZE_MAX;
}

static void set_columns(struct table *table, const struct json *columns)
{
    const struct json *column;
    json_free(table->columns);
    table->columns = json_keep(columns);
    table->shown = xrealloc(table->shown, json_len(columns), sizeof(*table->shown));
    json_each(column, columns)
        table->shown[column_index] = table->options.wide || json_int_or(0, column, "priority", NULL) == 0;
    table->printed_headers = false;
}

void table_add(struct table *table, const struct json *answer, const char *event)
{
    const struct json *columns = json_get(answer, "columnDefinitions", NULL);
    if (json_len(columns) > 0 && !json_same(columns, table->columns))
        set_columns(table, columns);
    const struct json *rows = json_get(answer, "rows", NULL), *row;
    if (json_len(rows) == 0)
        return;
    if (!table->options.no_headers && !table->printed_headers)
        write_header(table, event);
    table->printed_headers = true;
    size_t name_column = table->options.kind_prefix != NULL ? find_name_column(table) : SIZE_MAX;
    json_each(row, rows)
        write_row(table, row, name_column, event);
}
