/*
 * jsonpath_parse.c: the text of a JSONPath template into its steps. Grammar and messages are client-go's.
 */
#include "print/jsonpath_internal.h"

#include <ctype.h>

#include "base/mem.h"
#include "base/str.h"
#include "print/jsonpath.h"

#define NESTING_MAX 20 /* filters and unions inside one another */

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

/* 'text' or "text"; a backslash keeps the next character, in double quotes Go's escapes mean what they do in Go. */
static int parse_quoted(struct parser *parser, char **ret)
{
    char quote = *parser->at++;
    CLEANUP(buf_done) struct buf text = {0};
    for (; *parser->at != quote; parser->at++) {
        if (*parser->at == '\0')
            return err_set(parser->err, ERR_PARSE, "unterminated quoted string");
        if (*parser->at == '\\' && parser->at[1] != '\0') {
            char c = *++parser->at;
            c = quote == '"' && c == 'n' ? '\n' : quote == '"' && c == 't' ? '\t' : quote == '"' && c == 'r' ? '\r' : c;
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
    while (*parser->at != '\0' && strchr(" \t\r\n.[],}=!<>)@$*", *parser->at) == NULL) {
        if (*parser->at == '\\' && parser->at[1] != '\0')
            parser->at++;
        buf_add_char(&name, *parser->at++);
    }
    add_step(steps, PATH_FIELD)->name = buf_take(&name);
}

static int parse_steps(struct parser *parser, const char *stop, struct path_steps *steps);

static int parse_filter(struct parser *parser, struct path_steps *steps)
{
    parser->at += 2; /* ?( */
    struct path_steps left = {0}, right = {0};
    CLEANUP(xfree) char *relation = NULL;
    int code = parse_steps(parser, "=!<>)", &left);
    if (code == 0 && *parser->at == ')') {
        relation = xstrdup("exists");
    } else if (code == 0) {
        size_t len = strspn(parser->at, "=!<>");
        relation = xstrndup(parser->at, len);
        parser->at += len;
        code = parse_steps(parser, ")", &right);
    }
    if (code == 0 && (parser->at[0] != ')' || parser->at[1] != ']'))
        code = err_set(parser->err, ERR_PARSE, "unterminated filter");
    if (code < 0) {
        steps_done(&left);
        steps_done(&right);
        return code;
    }
    parser->at += 2;
    struct path_step *step = add_step(steps, PATH_FILTER);
    step->left = left;
    step->right = right;
    step->name = take(&relation);
    return 0;
}

static bool parse_number(const char **at, int64_t *ret)
{
    const char *start = *at;
    if (**at == '-' || **at == '+')
        (*at)++;
    const char *digits = *at;
    while (isdigit((unsigned char)**at))
        (*at)++;
    CLEANUP(xfree) char *text = xstrndup(start + (*start == '+'), (size_t)(*at - start) - (*start == '+'));
    CLEANUP(err_clear) struct err err = {0};
    return *at > digits && parse_int(text, INT32_MIN, INT32_MAX, ret, &err) == 0;
}

/* One member of [...]: "*", "'name'", "1", "1:3:2". */
static int parse_member(struct parser *parser, const char *text, struct path_steps *steps)
{
    while (*text == ' ')
        text++;
    if (streq(text, "*")) {
        struct path_step *step = add_step(steps, PATH_SLICE);
        step->step = 1;
        return 0;
    }
    if (text[0] == '\'' || text[0] == '"') {
        struct parser inner = {.at = text, .err = parser->err};
        struct path_step *step = add_step(steps, PATH_FIELD);
        return parse_quoted(&inner, &step->name);
    }
    struct path_step *step = add_step(steps, PATH_SLICE);
    const char *at = text;
    step->has_from = parse_number(&at, &step->from);
    step->single = *at == '\0' && step->has_from;
    if (*at == ':') {
        at++;
        step->has_to = parse_number(&at, &step->to);
        if (*at == ':') {
            at++;
            step->has_step = parse_number(&at, &step->step);
        }
    }
    while (*at == ' ')
        at++;
    if (*at != '\0' || text[0] == '\0')
        return err_set(parser->err, ERR_PARSE, "invalid array index %s", text);
    return 0;
}

/* After '[': everything to the matching ']'. */
static int parse_bracket(struct parser *parser, struct path_steps *steps)
{
    if (parser->at[0] == '?' && parser->at[1] == '(')
        return parse_filter(parser, steps);
    CLEANUP(strv_done) struct strv members = {0};
    CLEANUP(buf_done) struct buf member = {0};
    char quote = 0;
    for (;; parser->at++) {
        char c = *parser->at;
        if (c == '\0')
            return err_set(parser->err, ERR_PARSE, "unterminated array");
        if (quote == 0 && (c == ',' || c == ']')) {
            strv_take(&members, buf_take(&member));
            if (c == ']')
                break;
            continue;
        }
        if (c == '\\' && parser->at[1] != '\0') {
            buf_add_char(&member, c);
            c = *++parser->at;
        } else if (c == '\'' || c == '"') {
            quote = quote == 0 ? c : quote == c ? 0 : quote;
        }
        buf_add_char(&member, c);
    }
    parser->at++;
    if (members.n == 1)
        return parse_member(parser, members.items[0], steps);
    struct path_step *step = add_step(steps, PATH_UNION);
    step->members = xcalloc(members.n, sizeof(*step->members));
    step->n_members = members.n;
    for (size_t i = 0; i < members.n; i++) {
        if (parse_member(parser, members.items[i], &step->members[i]) < 0)
            return parser->err->code;
    }
    return 0;
}

static int parse_word(struct parser *parser, struct path_steps *steps)
{
    const char *start = parser->at;
    parser->at += strcspn(parser->at, " \t\r\n}])=!<>,");
    CLEANUP(xfree) char *word = xstrndup(start, (size_t)(parser->at - start));
    CLEANUP(err_clear) struct err not_number = {0};
    struct json *literal = NULL;
    if (streq(word, "true") || streq(word, "false"))
        literal = json_new_bool(streq(word, "true"));
    else if (json_parse(word, strlen(word), &literal, &not_number) < 0)
        return err_set(parser->err, ERR_PARSE, "unrecognized identifier %s", word);
    add_step(steps, PATH_LITERAL)->literal = literal;
    return 0;
}

static int parse_dot(struct parser *parser, struct path_steps *steps)
{
    parser->at++;
    if (*parser->at == '.') {
        parser->at++;
        add_step(steps, PATH_RECURSIVE);
        if (*parser->at == '\0' || strchr("[}*. ", *parser->at) == NULL)
            parse_field(parser, steps);
        return 0;
    }
    if (*parser->at == '*') {
        parser->at++;
        add_step(steps, PATH_WILDCARD);
    } else if (*parser->at != '\0' && strchr("[ }", *parser->at) == NULL) {
        parse_field(parser, steps);
    }
    return 0;
}

static int parse_steps(struct parser *parser, const char *stop, struct path_steps *steps)
{
    if (++parser->depth > NESTING_MAX)
        return err_set(parser->err, ERR_TOO_BIG, "the expression is nested too deep");
    while (*parser->at != '\0' && strchr(stop, *parser->at) == NULL) {
        int code = 0;
        switch (*parser->at) {
        case ' ':
        case '\t':
        case '\r':
        case '\n':
        case '@':
        case '$':
            parser->at++;
            break;
        case '.':
            code = parse_dot(parser, steps);
            break;
        case '*':
            parser->at++;
            add_step(steps, PATH_WILDCARD);
            break;
        case '[':
            parser->at++;
            code = parse_bracket(parser, steps);
            break;
        case '"':
        case '\'': {
            CLEANUP(xfree) char *text = NULL;
            code = parse_quoted(parser, &text);
            if (code == 0)
                add_step(steps, PATH_LITERAL)->literal = json_new_string(text);
            break;
        }
        default:
            code = parse_word(parser, steps);
            break;
        }
        if (code < 0)
            return code;
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
    if (parse_steps(parser, "}", &part->steps) < 0)
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
            return err_wrap(err, "error parsing jsonpath %s", text);
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
