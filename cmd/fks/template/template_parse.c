/*
 * template_parse.c: the text of a Go template into nodes, one list of nodes for each template that it defines.
 */
#include "base/mem.h"
#include "template/template_parser.h"
#include "text/gotext.h"

enum list_end { END_NONE, END_END, END_ELSE };
static const char *const end_names[] = {[END_NONE] = "", [END_END] = "{{end}}", [END_ELSE] = "{{else}}"};

static struct node *add_node(struct nodes *nodes, enum node_kind kind, size_t at)
{
    GROW(nodes->list, nodes->n, nodes->cap);
    struct node *node = &nodes->list[nodes->n++];
    *node = (struct node){.kind = kind, .at = at};
    return node;
}

static int parse_node(struct parser *parser, struct nodes *nodes, enum list_end *ret_end);

/* Up to {{end}} or {{else}}. */
static int parse_list(struct parser *parser, struct nodes *nodes, enum list_end *ret_end)
{
    if (++parser->depth > NESTING_MAX)
        return parser_fail(parser, "nested too deep");
    *ret_end = END_NONE;
    while (*ret_end == END_NONE) {
        if (parser_peek_word(parser).kind == TOKEN_EOF)
            return parser_fail(parser, "unexpected EOF");
        if (parse_node(parser, nodes, ret_end) < 0)
            return parser->err->code;
    }
    parser->depth--;
    return 0;
}

static void forget_variables(struct scope *scope, size_t n)
{
    while (scope->variables.n > n)
        free(scope->variables.items[--scope->variables.n]);
}

/* if, range, with, after that word. node stays where it is: its list does not grow meanwhile. */
static int parse_branches(struct parser *parser, struct node *node)
{
    static const char *const contexts[] = {[NODE_IF] = "if", [NODE_RANGE] = "range", [NODE_WITH] = "with"};
    size_t known = parser->scope->variables.n;
    int loop = node->kind == NODE_RANGE;
    enum list_end end;
    if (parser_action_pipe(parser, contexts[node->kind], node) < 0)
        return parser->err->code;
    parser->scope->loops += loop;
    if (parse_list(parser, &node->body, &end) < 0)
        return parser->err->code;
    parser->scope->loops -= loop;
    if (end == END_ELSE) {
        enum token_kind word = parser_peek(parser).kind;
        if ((node->kind == NODE_IF && word == TOKEN_IF) || (node->kind == NODE_WITH && word == TOKEN_WITH)) {
            struct token token = parser_next(parser);
            if (++parser->depth > NESTING_MAX)
                return parser_fail(parser, "nested too deep");
            if (parse_branches(parser, add_node(&node->otherwise, node->kind, token.at)) < 0)
                return parser->err->code;
            parser->depth--;
        } else {
            if (parse_list(parser, &node->otherwise, &end) < 0)
                return parser->err->code;
            if (end != END_END)
                return parser_fail(parser, "expected end; found %s", end_names[end]);
        }
    }
    forget_variables(parser->scope, known);
    return 0;
}

/* --- definitions */

static bool is_empty(const struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        const struct node *node = &nodes->list[i];
        if (node->kind != NODE_TEXT || strspn(node->text, " \t\r\n\v\f") < node->len)
            return false;
    }
    return true;
}

/* Under its name; only one of that name may have content. */
static int add_template(struct parser *parser, const char *name, struct nodes *nodes)
{
    for (size_t i = 0; i < parser->templates->n; i++) {
        struct named_template *other = &parser->templates->list[i];
        if (!streq(other->name, name))
            continue;
        if (is_empty(&other->nodes)) {
            struct nodes old = other->nodes;
            other->nodes = *nodes;
            *nodes = old;
        } else if (!is_empty(nodes)) {
            CLEANUP(buf_done) struct buf quoted = {0};
            gotext_quote(name, &quoted);
            return parser_fail(parser, "template: multiple definition of template %s", buf_text(&quoted));
        }
        return 0;
    }
    struct templates *templates = parser->templates;
    GROW(templates->list, templates->n, templates->cap);
    templates->list[templates->n++] = (struct named_template){xstrdup(name), *nodes};
    *nodes = (struct nodes){0};
    return 0;
}

static void scope_done(struct scope *scope)
{
    strv_done(&scope->variables);
}
DEFINE_CLEANUP_IN_PLACE(struct scope, scope_done)

static void nodes_forget(struct nodes *nodes)
{
    struct templates last = {.list = NEW(struct named_template), .n = 1};
    last.list[0].nodes = *nodes;
    templates_done(&last);
}
DEFINE_CLEANUP_IN_PLACE(struct nodes, nodes_forget)

/* A definition's nodes, up to its {{end}}. It knows no variables but "$". */
static int parse_body(struct parser *parser, const char *context, const char *name)
{
    CLEANUP(nodes_forget) struct nodes nodes = {0};
    enum list_end end;
    if (parse_list(parser, &nodes, &end) < 0)
        return parser->err->code;
    if (end != END_END)
        return parser_fail(parser, "unexpected %s in %s", end_names[end], context);
    return add_template(parser, name, &nodes);
}

static int parse_name(struct parser *parser, struct token token, const char *context, char **ret)
{
    CLEANUP(value_done) struct value name = {0};
    if (token.kind != TOKEN_STRING && token.kind != TOKEN_RAW_STRING)
        return parser_unexpected(parser, token, context);
    if (parser_string(parser, token, &name) < 0)
        return parser->err->code;
    *ret = take(&name.owned);
    return 0;
}

/* {{define "name"}}, after "define"; it is not inside anything. */
static int parse_define(struct parser *parser)
{
    static const char context[] = "define clause";
    CLEANUP(scope_done) struct scope scope = {0};
    CLEANUP(xfree) char *name = NULL;
    struct scope *outer = parser->scope;
    strv_add(&scope.variables, "$");
    parser->scope = &scope;
    int code = parse_name(parser, parser_next_word(parser), context, &name);
    if (code == 0)
        code = parser_expect_close(parser, context);
    if (code == 0)
        code = parse_body(parser, context, name);
    parser->scope = outer;
    return code;
}

/* {{block "name" pipeline}}: a definition that is called where it stands. */
static int parse_block(struct parser *parser, struct nodes *nodes)
{
    static const char context[] = "block clause";
    struct token token = parser_next_word(parser);
    struct node *node = add_node(nodes, NODE_TEMPLATE, token.at);
    if (parse_name(parser, token, context, &node->name) < 0 || parser_action_pipe(parser, context, node) < 0)
        return parser->err->code;
    CLEANUP(scope_done) struct scope scope = {0};
    struct scope *outer = parser->scope;
    strv_add(&scope.variables, "$");
    parser->scope = &scope;
    int code = parse_body(parser, context, node->name);
    parser->scope = outer;
    return code;
}

static int parse_call(struct parser *parser, struct nodes *nodes)
{
    static const char context[] = "template clause";
    struct token token = parser_next_word(parser);
    struct node *node = add_node(nodes, NODE_TEMPLATE, token.at);
    if (parse_name(parser, token, context, &node->name) < 0)
        return parser->err->code;
    if (parser_next_word(parser).kind == TOKEN_RIGHT)
        return 0;
    parser_back(parser);
    return parser_action_pipe(parser, context, node);
}

static int parse_leave(struct parser *parser, struct nodes *nodes, struct token token)
{
    bool breaks = token.kind == TOKEN_BREAK;
    const char *name = breaks ? "{{break}}" : "{{continue}}";
    if (parser_expect_close(parser, name) < 0)
        return parser->err->code;
    if (parser->scope->loops == 0)
        return parser_fail(parser, "%s outside {{range}}", name);
    (void)add_node(nodes, breaks ? NODE_BREAK : NODE_CONTINUE, token.at);
    return 0;
}

/* After "{{". */
static int parse_action(struct parser *parser, struct nodes *nodes, enum list_end *ret_end)
{
    struct token token = parser_next_word(parser);
    switch (token.kind) {
    case TOKEN_BLOCK:
        return parse_block(parser, nodes);
    case TOKEN_BREAK:
    case TOKEN_CONTINUE:
        return parse_leave(parser, nodes, token);
    case TOKEN_ELSE: {
        enum token_kind word = parser_peek_word(parser).kind;
        *ret_end = END_ELSE;
        return word == TOKEN_IF || word == TOKEN_WITH ? 0 : parser_expect_close(parser, "else");
    }
    case TOKEN_END:
        *ret_end = END_END;
        return parser_expect_close(parser, "end");
    case TOKEN_IF:
        return parse_branches(parser, add_node(nodes, NODE_IF, token.at));
    case TOKEN_RANGE:
        return parse_branches(parser, add_node(nodes, NODE_RANGE, token.at));
    case TOKEN_WITH:
        return parse_branches(parser, add_node(nodes, NODE_WITH, token.at));
    case TOKEN_TEMPLATE:
        return parse_call(parser, nodes);
    default:
        parser_back(parser);
        return parser_action_pipe(parser, "command", add_node(nodes, NODE_ACTION, token.at));
    }
}

static int parse_node(struct parser *parser, struct nodes *nodes, enum list_end *ret_end)
{
    struct token token = parser_next_word(parser);
    if (token.kind == TOKEN_TEXT) {
        struct node *node = add_node(nodes, NODE_TEXT, token.at);
        node->text = token.text;
        node->len = token.len;
        return 0;
    }
    if (token.kind != TOKEN_LEFT)
        return parser_unexpected(parser, token, "input");
    parser->scope->action_line = token.line;
    int code = parse_action(parser, nodes, ret_end);
    parser->scope->action_line = 0;
    return code;
}

static int parse_text(struct parser *parser, struct nodes *nodes)
{
    while (parser_peek(parser).kind != TOKEN_EOF) {
        struct token open = parser_peek(parser);
        if (open.kind == TOKEN_LEFT) {
            (void)parser_next(parser);
            if (parser_next_word(parser).kind == TOKEN_DEFINE) {
                if (parse_define(parser) < 0)
                    return parser->err->code;
                continue;
            }
            parser->scope->tokens[1] = open;
            parser->scope->peeked = 2;
        }
        enum list_end end = END_NONE;
        if (parse_node(parser, nodes, &end) < 0)
            return parser->err->code;
        if (end != END_NONE)
            return parser_fail(parser, "unexpected %s", end_names[end]);
    }
    return add_template(parser, "output", nodes);
}

int template_parse(const char *text, struct templates *ret, struct err *err)
{
    CLEANUP(scope_done) struct scope scope = {0};
    CLEANUP(nodes_forget) struct nodes nodes = {0};
    struct parser parser = {.text = text, .lexer = {.input = text, .line = 1}, .templates = ret, .scope = &scope, .err = err};
    strv_add(&scope.variables, "$");
    int code = parse_text(&parser, &nodes);
    free(parser.lexer.error);
    return code;
}
