/*
 * columns.c: custom columns: a header and a JSONPath per column, "<none>" where the path leads nowhere.
 */
#include "print/columns.h"

#include "base/mem.h"
#include "base/str.h"
#include "print/jsonpath.h"
#include "text/gotext.h"
#include "text/tabwriter.h"

static void split_blanks(struct str line, struct strv *out)
{
    for (size_t i = 0; i < line.len;) {
        size_t n = 0;
        while (i + n < line.len && line.p[i + n] != ' ' && line.p[i + n] != '\t')
            n++;
        if (n > 0)
            strv_take(out, xstrndup(line.p + i, n));
        i += n + 1;
    }
}

/* "A:x,B:y"; a comma inside brackets or quotes does not split. */
static int parse_inline(const char *spec, struct strv *headers, struct strv *paths, struct err *err)
{
    CLEANUP(strv_done) struct strv parts = {0};
    strv_split(&parts, spec, ',');
    for (size_t i = 0; i < parts.n; i++) {
        struct str header, path;
        if (!str_cut(str_of(parts.items[i]), ':', &header, &path))
            return err_set(err, ERR_USAGE, "unexpected custom-columns spec: %s, expected <header>:<json-path-expr>",
                           parts.items[i]);
        strv_take(headers, xstrndup(header.p, header.len));
        strv_take(paths, xstrndup(path.p, path.len));
    }
    return 0;
}

static int parse_spec(const char *spec, struct strv *headers, struct strv *paths, struct err *err)
{
    struct str first, rest, second;
    if (!str_cut(str_of(spec), '\n', &first, &rest))
        return parse_inline(spec, headers, paths, err);
    (void)str_cut(rest, '\n', &second, &rest);
    split_blanks(first, headers);
    split_blanks(second, paths);
    if (headers->n != paths->n)
        return err_set(err, ERR_USAGE, "number of headers (%zu) and field specifications (%zu) don't match", headers->n,
                       paths->n);
    return 0;
}

static int print_one(struct jsonpath *const *paths, size_t n, const struct json *object, struct buf *line,
                     struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        CLEANUP(json_free) struct json *found = NULL;
        if (jsonpath_find(paths[i], object, true, &found, err) < 0)
            return err->code;
        buf_add_str(line, i > 0 ? "\t" : "");
        if (json_len(found) == 0)
            buf_add_str(line, "<none>");
        const struct json *value;
        json_each(value, found) {
            CLEANUP(buf_done) struct buf text = {0};
            gotext_print(value, &text);
            buf_add_str(line, value_index > 0 ? "," : "");
            for (size_t j = 0; j < text.len; j++) {
                if (text.data[j] == '\x1b')
                    buf_add_str(line, "^[");
                else if (text.data[j] == '\r')
                    buf_add_str(line, "\\r");
                else
                    buf_add_char(line, text.data[j]);
            }
        }
    }
    buf_add_char(line, '\n');
    return 0;
}

int columns_print(const char *spec, const struct json *object, bool no_headers, struct buf *out, struct err *err)
{
    CLEANUP(strv_done) struct strv headers = {0}, texts = {0};
    if (parse_spec(spec, &headers, &texts, err) < 0)
        return err->code;
    struct jsonpath **paths = xcalloc(texts.n + 1, sizeof(*paths));
    int code = 0;
    for (size_t i = 0; i < texts.n && code == 0; i++)
        code = jsonpath_parse_relaxed(texts.items[i], &paths[i], err);
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3, .remember = true};
    if (code == 0 && !no_headers) {
        CLEANUP(xfree) char *header = strv_join(&headers, "\t");
        buf_printf(&writer.text, "%s\n", header);
    }
    const struct json *items = json_get(object, "items", NULL), *item;
    if (code == 0 && json_is_array(items) && ends_with(json_str_or("", object, "kind", NULL), "List")) {
        json_each(item, items) {
            if (code == 0)
                code = print_one(paths, texts.n, item, &writer.text, err);
        }
    } else if (code == 0) {
        code = print_one(paths, texts.n, object, &writer.text, err);
    }
    for (size_t i = 0; i < texts.n; i++)
        jsonpath_free(paths[i]);
    free(paths);
    tabwriter_flush(&writer, out);
    return code;
}
