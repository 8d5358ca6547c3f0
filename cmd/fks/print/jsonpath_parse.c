/*
 * jsonpath_parse.c: the text of a JSONPath template into its steps. Grammar and messages are client-go's.
 */
#include "print/jsonpath_internal.h"

#include <ctype.h>

#include "base/mem.h"
#include "base/str.h"
#include "print/jsonpath.h"

#define NESTING_MAX 20 /* filters and unions inside one another */
#define TERMINATORS " \t\r\n.,[]$@{}" /* of a name */

struct parser {
    const char *at;
    int depth;
    struct err *err;
};

static void steps_done(struct path_steps *steps);

static void step_done(struct path_step *step)
{
    free(step->name);
    json_free(step->literal);
    steps_done(&step->left);
    steps_done(&step->right);
    for (size_t i = 0; i < step->n_members; i++)
        steps_done(&step->members[i]);
    free(step->members);
}

static void steps_done(struct path_steps *steps)
{
    for (size_t i = 0; i < steps->n; i++)
        step_done(&steps->list[i]);
    free(steps->list);
    *steps = (struct path_steps){0};
}

struct jsonpath *jsonpath_free(struct jsonpath *path)
{
    if (path == NULL)
        return NULL;
    for (size_t i = 0; i < path->n; i++)
        steps_done(&path->parts[i].steps);
    free(path->parts);
    free(path);
    return NULL;
}

static struct path_step *add_step(struct path_steps *steps, enum path_kind kind)
{
    GROW(steps->list, steps->n, steps->cap);
    struct path_step *step = &steps->list[steps->n++];
    *step = (struct path_step){.kind = kind};
    return step;
}

/* 'text' or "text" with Go's escapes; any other character after a backslash is itself. */
static int parse_quoted(struct parser *parser, char **ret)
{
    char quote = *parser->at++;
    CLEANUP(buf_done) struct buf text = {0};
    for (; *parser->at != quote; parser->at++) {
        if (*parser->at == '\0')
            return err_set(parser->err, ERR_PARSE, "unterminated quoted string");
        if (*parser->at == '\\' && parser->at[1] != '\0') {
            char c = *++parser->at;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
            buf_add_char(&text, c);
        } else {
            buf_add_char(&text, *parser->at);
        }
    }
    parser->at++;
    *ret = buf_take(&text);
    return 0;
}

/* A name after a dot: up to a character that means something; a backslash takes the next one as it is. */
static void parse_field(struct parser *parser, struct path_steps *steps)
{
    CLEANUP(buf_done) struct buf name = {0};
    const char *start = parser->at;
    while (*parser->at != '\0' && strchr(TERMINATORS, *parser->at) == NULL) {
        if (*parser->at == '\\' && parser->at[1] != '\0')
            parser->at++;
        buf_add_char(&name, *parser->at++);
    }
    if (parser->at - start == 1 && *start == '*')
        add_step(steps, PATH_WILDCARD);
    else
        add_step(steps, PATH_FIELD)->name = buf_take(&name);
}

static int parse_steps(struct parser *parser, struct path_steps *steps);

/* A text of its own within the path: one side of a filter, a key in brackets. */
static int parse_inside(struct parser *parser, const char *text, struct path_steps *steps)
{
    struct parser inner = {.at = text, .depth = parser->depth, .err = parser->err};
    return parse_steps(&inner, steps);
}

/* Where a filter's ")" is: not within its quotes, of which it has one pair at most. NULL: nowhere. */
static const char *end_of_filter(const char *at)
{
    bool begun = false, ended = false;
    char pair = 0;
    for (const char *start = at; *at != '\0' && *at != '\n'; at++) {
        if ((*at == '"' || *at == '\'') && !begun) {
            begun = true;
            pair = *at;
        } else if (*at == pair && begun && at > start && at[-1] != '\\') {
            ended = true;
        } else if (*at == ')' && begun == ended) {
            return at;
        }
    }
    return NULL;
}

static int parse_filter(struct parser *parser, struct path_steps *steps)
{
    static const char relations[] = "!<>=";
    const char *start = parser->at + strlen("?("), *end = end_of_filter(start);
    if (end == NULL)
        return err_set(parser->err, ERR_PARSE, "unterminated filter");
    if (end[1] != ']')
        return err_set(parser->err, ERR_PARSE, "unclosed array expect ]");
    parser->at = end + 2;
    CLEANUP(xfree) char *text = xstrndup(start, (size_t)(end - start));
    size_t left_len = strcspn(text, relations), relation_len = strspn(text + left_len, relations);
    bool compares = left_len > 0 && relation_len > 0 && text[left_len + relation_len] != '\0';
    CLEANUP(xfree) char *left = compares ? xstrndup(text, left_len) : xstrdup(text);
    struct path_step *step = add_step(steps, PATH_FILTER);
    step->name = compares ? xstrndup(text + left_len, relation_len) : xstrdup("exists");
    if (parse_inside(parser, left, &step->left) < 0)
        return parser->err->code;
    return compares ? parse_inside(parser, text + left_len + relation_len, &step->right) : 0;
}

/* "", "1", "-1": whether it is that, and over it. */
static bool skip_number(const char **at)
{
    *at += **at == '-';
    *at += strspn(*at, "0123456789");
    return true;
}

/* "a", ":b", ":c" of "a:b:c". */
static int parse_bound(struct parser *parser, const char *start, const char *end, bool *ret_known, int64_t *ret)
{
    CLEANUP(xfree) char *text = xstrndup(start, (size_t)(end - start));
    CLEANUP(err_clear) struct err err = {0};
    *ret_known = text[0] != '\0';
    if (text[0] != '\0' && parse_int(text, INT32_MIN, INT32_MAX, ret, &err) < 0)
        return err_set(parser->err, ERR_PARSE, "array index %s is not a number", text);
    return 0;
}

/* What is in [...]: "*", "'name'", "1", "1:3:2". */
static int parse_member(struct parser *parser, const char *text, struct path_steps *steps)
{
    size_t len = strlen(text);
    if (streq(text, "*"))
        text = ":";
    if (len >= 2 && text[0] == '\'' && strchr(text + 1, '\'') == text + len - 1) {
        CLEANUP(xfree) char *field = xasprintf(".%.*s", (int)len - 2, text + 1);
        return parse_inside(parser, field, steps);
    }
    const char *at = text, *ends[3] = {NULL}, *starts[3] = {text};
    for (size_t i = 0; i < countof(ends) && skip_number(&at); i++) {
        ends[i] = at;
        if (*at != ':' || i + 1 == countof(ends))
            break;
        starts[i + 1] = ++at;
    }
    if (*at != '\0')
        return err_set(parser->err, ERR_PARSE, "invalid array index %s", text);
    struct path_step *step = add_step(steps, PATH_SLICE);
    if (parse_bound(parser, starts[0], ends[0], &step->has_from, &step->from) < 0 ||
        (ends[1] != NULL && parse_bound(parser, starts[1], ends[1], &step->has_to, &step->to) < 0) ||
        (ends[2] != NULL && parse_bound(parser, starts[2], ends[2], &step->has_step, &step->step) < 0))
        return parser->err->code;
    step->single = ends[1] == NULL;
    return 0;
}

static void trim_blanks(char *text)
{
    size_t before = strspn(text, " "), len = strlen(text + before);
    while (len > 0 && text[before + len - 1] == ' ')
        len--;
    memmove(text, text + before, len);
    text[len] = '\0';
}

/* After '[': everything to the next ']'. */
static int parse_bracket(struct parser *parser, struct path_steps *steps)
{
    if (parser->at[0] == '?' && parser->at[1] == '(')
        return parse_filter(parser, steps);
    CLEANUP(strv_done) struct strv members = {0};
    size_t len = strcspn(parser->at, "]\n");
    if (parser->at[len] != ']')
        return err_set(parser->err, ERR_PARSE, "unterminated array");
    CLEANUP(xfree) char *text = xstrndup(parser->at, len);
    parser->at += len + 1;
    strv_split(&members, text, ',');
    if (members.n <= 1)
        return parse_member(parser, text, steps);
    struct path_step *step = add_step(steps, PATH_UNION);
    step->members = xcalloc(members.n, sizeof(*step->members));
    step->n_members = members.n;
    for (size_t i = 0; i < members.n; i++) {
        trim_blanks(members.items[i]);
        if (parse_member(parser, members.items[i], &step->members[i]) < 0)
            return parser->err->code;
    }
    return 0;
}

static int parse_number(struct parser *parser, struct path_steps *steps)
{
    const char *start = parser->at;
    parser->at += *start == '+' || *start == '-';
    parser->at += strspn(parser->at, "0123456789.");
    CLEANUP(xfree) char *text = xstrndup(start, (size_t)(parser->at - start));
    CLEANUP(err_clear) struct err err = {0};
    struct json *literal = NULL;
    if (json_parse(text + (*text == '+'), strlen(text + (*text == '+')), &literal, &err) < 0)
        return err_set(parser->err, ERR_PARSE, "cannot parse number %s", text);
    add_step(steps, PATH_LITERAL)->literal = literal;
    return 0;
}

static bool is_word(char c)
{
    return c == '_' || isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Any other than true and false is found to be wrong when it is looked for. */
static void parse_word(struct parser *parser, struct path_steps *steps)
{
    size_t len = strcspn(parser->at, TERMINATORS);
    CLEANUP(xfree) char *word = xstrndup(parser->at, len);
    parser->at += len;
    if (streq(word, "true") || streq(word, "false"))
        add_step(steps, PATH_LITERAL)->literal = json_new_bool(streq(word, "true"));
    else
        add_step(steps, PATH_IDENTIFIER)->name = take(&word);
}

static int parse_dot(struct parser *parser, struct path_steps *steps)
{
    if (*++parser->at != '.') {
        parse_field(parser, steps);
        return 0;
    }
    if (steps->n > 0 && steps->list[steps->n - 1].kind == PATH_RECURSIVE)
        return err_set(parser->err, ERR_PARSE, "invalid multiple recursive descent");
    add_step(steps, PATH_RECURSIVE);
    if (is_word(*++parser->at))
        parse_field(parser, steps);
    return 0;
}

static int parse_text(struct parser *parser, struct path_steps *steps)
{
    CLEANUP(xfree) char *text = NULL;
    if (parse_quoted(parser, &text) < 0)
        return parser->err->code;
    add_step(steps, PATH_LITERAL)->literal = json_new_string(text);
    return 0;
}

static int parse_step(struct parser *parser, struct path_steps *steps)
{
    char c = *parser->at;
    switch (c) {
    case ' ':
    case '@': /* the object itself: nothing to do */
    case '$':
        parser->at++;
        return 0;
    case '.':
        return parse_dot(parser, steps);
    case '[':
        parser->at++;
        return parse_bracket(parser, steps);
    case '"':
    case '\'':
        return parse_text(parser, steps);
    case '\r':
    case '\n':
        return err_set(parser->err, ERR_PARSE, "unclosed action");
    default:
        break;
    }
    if (c == '+' || c == '-' || isdigit((unsigned char)c))
        return parse_number(parser, steps);
    if (is_word(c)) {
        parse_word(parser, steps);
        return 0;
    }
    if (c < ' ')
        return err_set(parser->err, ERR_PARSE, "unrecognized character in action: U+%04X", (unsigned)c);
    return err_set(parser->err, ERR_PARSE, "unrecognized character in action: U+%04X '%c'", (unsigned)c, c);
}

/* Up to '}' or the end of the text. */
static int parse_steps(struct parser *parser, struct path_steps *steps)
{
    if (++parser->depth > NESTING_MAX)
        return err_set(parser->err, ERR_TOO_BIG, "the expression is nested too deep");
    while (*parser->at != '\0' && *parser->at != '}') {
        if (parse_step(parser, steps) < 0)
            return parser->err->code;
    }
    parser->depth--;
    return 0;
}

static struct part *add_part(struct jsonpath *path, enum part_kind kind)
{
    GROW(path->parts, path->n, path->cap);
    struct part *part = &path->parts[path->n++];
    *part = (struct part){.kind = kind};
    return part;
}

/* After '{', up to and over '}'. */
static int parse_action(struct parser *parser, struct jsonpath *path)
{
    while (*parser->at == ' ')
        parser->at++;
    enum part_kind kind = PART_STEPS;
    if (starts_with(parser->at, "range") && (parser->at[5] == ' ' || parser->at[5] == '.')) {
        kind = PART_RANGE;
        parser->at += 5;
    } else if (starts_with(parser->at, "end") && (parser->at[3] == ' ' || parser->at[3] == '}')) {
        kind = PART_END;
        parser->at += 3;
    }
    struct part *part = add_part(path, kind);
    if (parse_steps(parser, &part->steps) < 0)
        return parser->err->code;
    if (*parser->at != '}')
        return err_set(parser->err, ERR_PARSE, "unclosed action");
    parser->at++;
    return 0;
}

int jsonpath_parse(const char *text, struct jsonpath **ret, struct err *err)
{
    CLEANUP(jsonpath_free) struct jsonpath *path = NEW(struct jsonpath);
    struct parser parser = {.at = text, .err = err};
    while (*parser.at != '\0') {
        size_t len = strcspn(parser.at, "{");
        if (len > 0)
            add_step(&add_part(path, PART_STEPS)->steps, PATH_LITERAL)->literal = json_new_string_n(parser.at, len);
        parser.at += len;
        if (*parser.at == '\0')
            break;
        parser.at++;
        if (parse_action(&parser, path) < 0)
            return err->code;
    }
    *ret = take(&path);
    return 0;
}

int jsonpath_parse_relaxed(const char *text, struct jsonpath **ret, struct err *err)
{
    struct str s = str_trim(str_of(text));
    if (s.len >= 2 && s.p[0] == '{' && s.p[s.len - 1] == '}') {
        s.p++;
        s.len -= 2;
    } else if (s.len > 0 && (s.p[0] == '{' || s.p[s.len - 1] == '}')) {
        return err_set(err, ERR_USAGE,
                       "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or "
                       "'{.name1.name2}'");
    }
    bool has_dot = s.len > 0 && s.p[0] == '.';
    CLEANUP(xfree) char *braced = xasprintf("{%s%.*s}", has_dot ? "" : ".", (int)s.len, s.p);
    return jsonpath_parse(braced, ret, err);
}
