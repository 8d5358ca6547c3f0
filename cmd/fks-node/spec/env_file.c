/*
 * env_file.c: reads env files by the kubelet's rules, which are stricter than a shell's: values in single quotes or not at
 * all. The file comes from a container, so nothing in it is trusted; opening it safely is volumes_read_file's part.
 */
#include "spec/env_file.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

#define LINE_MAX_B KIB(64) /* of the kubelet's reader */

struct lines {
    struct str rest;
    int number; /* of the latest line */
};

/* Without its line end; false at the end of the text. A last line without an end counts, an empty one does not. */
static int next_line(struct lines *lines, struct str *ret, bool *ret_more, struct err *err)
{
    *ret_more = lines->rest.len > 0;
    if (!*ret_more)
        return 0;
    (void)str_cut(lines->rest, '\n', ret, &lines->rest);
    if (ret->len >= LINE_MAX_B)
        return err_set(err, ERR_TOO_BIG, "line %d is over %zu bytes", lines->number + 1, (size_t)LINE_MAX_B);
    if (ret->len > 0 && ret->p[ret->len - 1] == '\r')
        ret->len--;
    lines->number++;
    return 0;
}

static struct str skip_blanks(struct str text)
{
    while (text.len > 0 && (*text.p == ' ' || *text.p == '\t'))
        text = (struct str){text.p + 1, text.len - 1};
    return text;
}

static int broken(int line, const char *why, struct err *err)
{
    return err_set(err, ERR_PARSE, "invalid environment variable format at line %d: %s", line, why);
}

static int check_name(struct str name, int line, struct err *err)
{
    if (name.len == 0 || skip_blanks(name).len == 0)
        return broken(line, "empty variable name", err);
    char last = name.p[name.len - 1];
    if (last == ' ' || last == '\t')
        return broken(line, "whitespace before '=' is not allowed", err);
    return 0;
}

/* From behind the opening quote to the closing one, over as many lines as it takes. */
static int read_quoted(struct lines *lines, struct str line, struct buf *value, struct err *err)
{
    int first = lines->number, result;
    struct str inside, after;
    bool more;

    while (!str_cut(line, '\'', &inside, &after)) {
        buf_add(value, line.p, line.len);
        buf_add_char(value, '\n');
        if ((result = next_line(lines, &line, &more, err)) < 0)
            return result;
        if (!more)
            return err_set(err, ERR_PARSE,
                           "invalid environment variable format starting at line %d: unclosed single quote", first);
    }
    buf_add(value, inside.p, inside.len);
    after = skip_blanks(after);
    if (after.len > 0 && *after.p != '#')
        return broken(lines->number, "unexpected content after closing quote", err);
    return 0;
}

int env_file_value(const char *text, size_t len, const char *key, char **ret, struct err *err)
{
    struct lines lines = {.rest = {text, len}};
    struct str line, name, value;
    bool more;
    int result;

    for (;;) {
        CLEANUP(buf_done) struct buf quoted = {.max = len + 1};
        if ((result = next_line(&lines, &line, &more, err)) < 0)
            return result;
        if (!more)
            break;
        line = skip_blanks(line);
        if (line.len == 0 || *line.p == '#')
            continue;
        if (!str_cut(line, '=', &name, &value))
            return broken(lines.number, "missing '='", err);
        if ((result = check_name(name, lines.number, err)) < 0)
            return result;
        bool wanted = str_is(name, key);
        if (value.len == 0 || (*value.p != '\'' && *value.p != ' ' && *value.p != '\t'))
            return broken(lines.number, "value must be enclosed in single quotes", err);
        if (*value.p == '\'' &&
            (result = read_quoted(&lines, (struct str){value.p + 1, value.len - 1}, &quoted, err)) < 0)
            return result;
        if (wanted) {
            if (quoted.len > 0 && memchr(quoted.data, '\0', quoted.len) != NULL)
                return broken(lines.number, "no variable can hold a NUL", err);
            *ret = quoted.len > 0 ? buf_take(&quoted) : NULL;
            return 0;
        }
    }
    *ret = NULL;
    return 0;
}
