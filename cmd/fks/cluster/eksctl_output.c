/* eksctl_output.c: see eksctl_output.h. */
#include "cluster/eksctl_output.h"

#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/yaml.h"

int eksctl_format_parse(const char *text, enum eksctl_format *ret, struct err *err)
{
    static const char *const names[] = {[EKSCTL_TABLE] = "table", [EKSCTL_JSON] = "json", [EKSCTL_YAML] = "yaml"};
    for (size_t i = 0; i < countof(names); i++)
        if (streq(text, names[i])) {
            *ret = (enum eksctl_format)i;
            return 0;
        }
    return err_set(err, ERR_USAGE, "unknown output printer type: expected {\"yaml\",\"json\",\"table\"} but got \"%s\"", text);
}

static void print_out(const struct buf *text)
{
    struct err err = {0};
    if (fd_write_all(STDOUT_FILENO, buf_text(text), text->len, &err) < 0)
        err_clear(&err); /* a closed pipe: nobody is left to tell */
}

static void print_row(char *const *cells, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%s", i > 0 ? "\t" : "", cells[i]);
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* eksctl prints through a tab writer: every column is padded with tabs to the next stop of 8 after its widest cell. */
static void print_padded(char *const *cells, const size_t *widths, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(cells[i]);
        buf_add(out, cells[i], len);
        for (size_t at = len; i + 1 < n && at < widths[i]; at = at / 8 * 8 + 8)
            buf_add_char(out, '\t');
    }
    buf_add_char(out, '\n');
}

void eksctl_table_print(struct eksctl_table *table, const char *const *heads, size_t n_columns, const char *kind)
{
    CLEANUP(buf_done) struct buf out = {0};
    size_t n_rows = table->cells.n / n_columns;
    if (n_rows == 0) {
        buf_printf(&out, "No %s found\n", kind);
        print_out(&out);
        strv_done(&table->cells);
        return;
    }
    size_t *widths = xcalloc(n_columns, sizeof(*widths));
    CLEANUP(strv_done) struct strv head = {0};
    CLEANUP(strv_done) struct strv rows = {0};
    for (size_t i = 0; i < n_columns; i++)
        strv_add(&head, heads[i]);
    for (size_t row = 0; row <= n_rows; row++)
        for (size_t i = 0; i < n_columns; i++) {
            size_t len = strlen(row == 0 ? heads[i] : table->cells.items[(row - 1) * n_columns + i]);
            size_t padded = len / 8 * 8 + 8;
            widths[i] = padded > widths[i] ? padded : widths[i];
        }
    for (size_t row = 0; row < n_rows; row++) {
        CLEANUP(buf_done) struct buf line = {0};
        print_row(&table->cells.items[row * n_columns], n_columns, &line);
        strv_take(&rows, buf_take(&line));
    }
    qsort(rows.items, rows.n, sizeof(rows.items[0]), compare_rows);
    print_padded(head.items, widths, n_columns, &out);
    for (size_t row = 0; row < rows.n; row++) {
        CLEANUP(strv_done) struct strv cells = {0};
        strv_split(&cells, rows.items[row], '\t');
        print_padded(cells.items, widths, cells.n, &out);
    }
    free(widths);
    strv_done(&table->cells);
    print_out(&out);
}

void eksctl_tree_print(const struct json *array, enum eksctl_format format)
{
    CLEANUP(buf_done) struct buf out = {0};
    if (format == EKSCTL_JSON)
        json_print_pretty(array, &out);
    else
        yaml_print(array, &out);
    print_out(&out);
}
