/*
 * template_parse.c: the text of a Go template into nodes. Left out, with an error that says so: define, template,
 * block, methods and complex or rune literals; kubectl's objects have no use for them.
 */
#include "print/template_internal.h"

#include <ctype.h>

#include "base/mem.h"

#define NESTING_MAX 50

struct parser {
    const char *start, *at;
    int depth;
    struct err *err;
};

/* --- freeing */

static void pipe_free(struct pipe *pipe)
{
    if (pipe == NULL)
        return;
    free(pipe->variables[0]);
    free(pipe->variables[1]);
    for (size_t i = 0; i < pipe->n; i++) {
        for (size_t j = 0; j < pipe->commands[i].n; j++) {
            struct operand *operand = &pipe->commands[i].operands[j];
            free(operand->name);
            free(operand->text);
            json_free(operand->literal);
            strv_done(&operand->fields);
            pipe_free(operand->pipe);
        }
        free(pipe->commands[i].operands);
    }
    free(pipe->commands);
    free(pipe);
}

void template_nodes_done(struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        free(nodes->list[i].text);
        pipe_free(nodes->list[i].pipe);
        template_nodes_done(&nodes->list[i].body);
        template_nodes_done(&nodes->list[i].otherwise);
    }
    free(nodes->list);
    *nodes = (struct nodes){0};
}

/* --- pipelines */

static int fail(struct parser *parser, const char *what)
{
    size_t line = 1;
    for (const char *c = parser->start; c < parser->at; c++)
        line += *c == '\n';
    return err_set(parser->err, ERR_PARSE, "error parsing template %s, template: output:%zu: %s", parser->start, line,
                   what);
}

static void skip_blanks(struct parser *parser)
{
    while (*parser->at != '\0' && isspace((unsigned char)*parser->at))
        parser->at++;
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* "}}" or " -}}" */
static bool at_close(const struct parser *parser)
{
    return starts_with(parser->at, "}}") || starts_with(parser->at, "-}}");
}

static char *parse_name(struct parser *parser)
{
    const char *start = parser->at;
    while (is_name_char(*parser->at))
        parser->at++;
    return xstrndup(start, (size_t)(parser->at - start));
}

static int parse_string(struct parser *parser, struct json **ret)
{
    char quote = *parser->at++;
    CLEANUP(buf_done) struct buf text = {0};
    for (; *parser->at != quote; parser->at++) {
        if (*parser->at == '\0')
            return fail(parser, "unterminated quoted string");
        if (quote == '`' || *parser->at != '\\') {
            buf_add_char(&text, *parser->at);
            continue;
        }
        char c = *++parser->at;
        static const char from[] = "ntr\\\"'", to[] = "\n\t\r\\\"'";
        const char *found = c != '\0' ? strchr(from, c) : NULL;
        if (found == NULL)
            return fail(parser, "unsupported escape in a string");
        buf_add_char(&text, to[found - from]);
    }
    parser->at++;
    *ret = json_new_string_n(buf_text(&text), text.len);
    return 0;
}

static int parse_pipe(struct parser *parser, struct pipe **ret);

static void parse_fields(struct parser *parser, struct operand *operand)
{
    while (parser->at[0] == '.' && is_name_char(parser->at[1])) {
        parser->at++;
        strv_take(&operand->fields, parse_name(parser));
    }
}

static int parse_number(struct parser *parser, struct operand *operand)
{
    const char *start = parser->at;
    while (isalnum((unsigned char)*parser->at) || strchr("+-._", *parser->at) != NULL) {
        if (*parser->at == '\0')
            break;
        parser->at++;
    }
    CLEANUP(err_clear) struct err not_json = {0};
    if (json_parse(start, (size_t)(parser->at - start), &operand->literal, &not_json) < 0)
        return fail(parser, "bad number syntax");
    return 0;
}

static int parse_operand(struct parser *parser, struct operand *operand)
{
    const char *start = parser->at;
    operand->offset = (size_t)(start - parser->start);
    char c = *parser->at;
    int code = 0;
    if (c == '.') {
        operand->kind = OPERAND_DOT;
        if (!is_name_char(parser->at[1]))
            parser->at++;
    } else if (c == '$') {
        parser->at++;
        CLEANUP(xfree) char *name = parse_name(parser);
        operand->kind = OPERAND_VARIABLE;
        operand->name = xasprintf("$%s", name);
    } else if (c == '"' || c == '`') {
        operand->kind = OPERAND_LITERAL;
        code = parse_string(parser, &operand->literal);
    } else if (c == '(') {
        parser->at++;
        operand->kind = OPERAND_PIPE;
        code = parse_pipe(parser, &operand->pipe);
        if (code == 0 && *parser->at != ')')
            code = fail(parser, "unclosed left paren");
        if (code == 0)
            parser->at++;
    } else if (isdigit((unsigned char)c) || ((c == '-' || c == '+') && isdigit((unsigned char)parser->at[1]))) {
        operand->kind = OPERAND_LITERAL;
        code = parse_number(parser, operand);
    } else if (is_name_char(c)) {
        CLEANUP(xfree) char *name = parse_name(parser);
        operand->kind = OPERAND_LITERAL;
        if (streq(name, "true") || streq(name, "false")) {
            operand->literal = json_new_bool(streq(name, "true"));
        } else if (!streq(name, "nil")) {
            operand->kind = OPERAND_FUNCTION;
            if (!template_is_function(name)) {
                CLEANUP(xfree) char *what = xasprintf("function \"%s\" not defined", name);
                return fail(parser, what);
            }
            operand->name = take(&name);
        }
    } else {
        CLEANUP(xfree)
        char *what = c == '}' ? xstrdup("bad character U+007D '}'") : xasprintf("unexpected \"%c\" in operand", c);
        return fail(parser, what);
    }
    if (code < 0)
        return code;
    parse_fields(parser, operand);
    operand->text = xstrndup(start, (size_t)(parser->at - start));
    return 0;
}

static int parse_command(struct parser *parser, struct pipe *pipe)
{
    GROW(pipe->commands, pipe->n, pipe->cap);
    struct command_call *call = &pipe->commands[pipe->n++];
    *call = (struct command_call){0};
    for (;;) {
        skip_blanks(parser);
        if (*parser->at == '|' || *parser->at == ')' || *parser->at == '\0' || at_close(parser))
            break;
        GROW(call->operands, call->n, call->cap);
        struct operand *operand = &call->operands[call->n++];
        *operand = (struct operand){0};
        if (parse_operand(parser, operand) < 0)
            return parser->err->code;
    }
    return call->n > 0 ? 0 : fail(parser, *parser->at == '\0' ? "unclosed action" : "missing value for command");
}

/* "$x :=", "$i, $x :=", "$x =": reads them when they are there, else stays where it is. */
static void parse_declaration(struct parser *parser, struct pipe *pipe)
{
    const char *start = parser->at;
    size_t n = 0;
    while (*parser->at == '$' && n < 2) {
        const char *name = parser->at++;
        while (is_name_char(*parser->at))
            parser->at++;
        pipe->variables[n++] = xstrndup(name, (size_t)(parser->at - name));
        skip_blanks(parser);
        if (*parser->at != ',')
            break;
        parser->at++;
        skip_blanks(parser);
    }
    if (n > 0 && starts_with(parser->at, ":=")) {
        parser->at += 2;
        return;
    }
    if (n == 1 && *parser->at == '=') {
        parser->at++;
        pipe->assigns = true;
        return;
    }
    parser->at = start;
    for (size_t i = 0; i < n; i++) {
        free(pipe->variables[i]);
        pipe->variables[i] = NULL;
    }
}

static int parse_pipe(struct parser *parser, struct pipe **ret)
{
    if (++parser->depth > NESTING_MAX)
        return fail(parser, "nested too deep");
    *ret = NEW(struct pipe);
    skip_blanks(parser);
    parse_declaration(parser, *ret);
    for (;;) {
        if (parse_command(parser, *ret) < 0)
            return parser->err->code;
        if (*parser->at != '|')
            break;
        parser->at++;
    }
    parser->depth--;
    return 0;
}

/* --- nodes */

static int parse_close(struct parser *parser)
{
    skip_blanks(parser);
    bool trims = *parser->at == '-';
    if (trims)
        parser->at++;
    if (!starts_with(parser->at, "}}"))
        return fail(parser, "unclosed action");
    parser->at += 2;
    if (trims)
        skip_blanks(parser);
    return 0;
}

static struct node *add_node(struct nodes *nodes, enum node_kind kind)
{
    GROW(nodes->list, nodes->n, nodes->cap);
    struct node *node = &nodes->list[nodes->n++];
    *node = (struct node){.kind = kind};
    return node;
}

static bool take_word(struct parser *parser, const char *word)
{
    size_t len = strlen(word);
    if (strncmp(parser->at, word, len) != 0 || is_name_char(parser->at[len]))
        return false;
    parser->at += len;
    return true;
}

enum list_end { END_OF_TEXT, END_WORD, END_ELSE };
static int parse_list(struct parser *parser, struct nodes *nodes, enum list_end *ret_end);

/* After the pipeline of if, range, with: the body, else branches, end. */
static int parse_branches(struct parser *parser, struct node *node)
{
    enum list_end end = END_OF_TEXT;
    if (parse_close(parser) < 0 || parse_list(parser, &node->body, &end) < 0)
        return parser->err->code;
    if (end == END_ELSE) {
        skip_blanks(parser);
        bool else_if = take_word(parser, "if");
        if (else_if || take_word(parser, "with")) {
            struct node *inner = add_node(&node->otherwise, else_if ? NODE_IF : NODE_WITH);
            if (parse_pipe(parser, &inner->pipe) < 0)
                return parser->err->code;
            return parse_branches(parser, inner);
        }
        if (parse_close(parser) < 0 || parse_list(parser, &node->otherwise, &end) < 0)
            return parser->err->code;
    }
    return end == END_WORD ? 0 : fail(parser, "unexpected EOF");
}

static int parse_comment(struct parser *parser)
{
    const char *end = strstr(parser->at, "*/");
    if (end == NULL)
        return fail(parser, "unclosed comment");
    parser->at = end + 2;
    return parse_close(parser);
}

/* After "{{". */
static int parse_action(struct parser *parser, struct nodes *nodes, enum list_end *ret_end, bool *ret_ended)
{
    skip_blanks(parser);
    if (starts_with(parser->at, "/*"))
        return parse_comment(parser);
    if (take_word(parser, "end")) {
        *ret_end = END_WORD;
        *ret_ended = true;
        return parse_close(parser);
    }
    if (take_word(parser, "else")) {
        *ret_end = END_ELSE;
        *ret_ended = true;
        return 0;
    }
    if (take_word(parser, "break") || take_word(parser, "continue")) {
        add_node(nodes, parser->at[-1] == 'k' ? NODE_BREAK : NODE_CONTINUE);
        return parse_close(parser);
    }
    if (take_word(parser, "define") || take_word(parser, "template") || take_word(parser, "block"))
        return fail(parser, "define, template and block are not available");
    enum node_kind kind = take_word(parser, "if")      ? NODE_IF
                          : take_word(parser, "range") ? NODE_RANGE
                          : take_word(parser, "with")  ? NODE_WITH
                                                       : NODE_ACTION;
    struct node *node = add_node(nodes, kind);
    if (parse_pipe(parser, &node->pipe) < 0)
        return parser->err->code;
    return kind == NODE_ACTION ? parse_close(parser) : parse_branches(parser, node);
}

static void add_text(struct nodes *nodes, const char *text, size_t len, bool trim_end)
{
    while (trim_end && len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    if (len == 0)
        return;
    struct node *node = add_node(nodes, NODE_TEXT);
    node->text = xstrndup(text, len);
    node->text_len = len;
}

static int parse_list(struct parser *parser, struct nodes *nodes, enum list_end *ret_end)
{
    if (++parser->depth > NESTING_MAX)
        return fail(parser, "nested too deep");
    bool ended = false;
    while (!ended) {
        const char *open = strstr(parser->at, "{{");
        size_t len = open != NULL ? (size_t)(open - parser->at) : strlen(parser->at);
        bool trims = open != NULL && open[2] == '-' && isspace((unsigned char)open[3]);
        add_text(nodes, parser->at, len, trims);
        parser->at += len;
        if (open == NULL) {
            *ret_end = END_OF_TEXT;
            break;
        }
        parser->at += trims ? 3 : 2;
        if (parse_action(parser, nodes, ret_end, &ended) < 0)
            return parser->err->code;
    }
    parser->depth--;
    return 0;
}

int template_parse(const char *text, struct nodes *ret, struct err *err)
{
    struct parser parser = {.start = text, .at = text, .err = err};
    enum list_end end = END_OF_TEXT;
    if (parse_list(&parser, ret, &end) < 0)
        return err->code;
    if (end != END_OF_TEXT)
        return fail(&parser, end == END_WORD ? "unexpected {{end}}" : "unexpected {{else}}");
    return 0;
}
