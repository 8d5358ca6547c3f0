/*
 * template_pipe.c: what stands inside an action of a Go template: pipelines of commands, their words, and the tokens they are
 * made of. Errors are Go's, with the line where its parser finds them.
 */
#include "template/template_parser.h"

#include "base/mem.h"
#include "template/template_literal.h"
#include "text/gotext.h"

/* --- tokens */

struct token parser_next(struct parser *parser)
{
    struct scope *scope = parser->scope;
    if (scope->peeked > 0)
        scope->peeked--;
    else
        scope->tokens[0] = lexer_next(&parser->lexer);
    return scope->tokens[scope->peeked];
}

void parser_back(struct parser *parser)
{
    parser->scope->peeked++;
}

struct token parser_peek(struct parser *parser)
{
    struct token token = parser_next(parser);
    parser_back(parser);
    return token;
}

struct token parser_next_word(struct parser *parser)
{
    struct token token = parser_next(parser);
    while (token.kind == TOKEN_SPACE)
        token = parser_next(parser);
    return token;
}

struct token parser_peek_word(struct parser *parser)
{
    struct token token = parser_next_word(parser);
    parser_back(parser);
    return token;
}

/* --- errors */

int parser_fail(struct parser *parser, const char *format, ...)
{
    CLEANUP(buf_done) struct buf what = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&what, format, args);
    va_end(args);
    return err_set(parser->err, ERR_PARSE, "error parsing template %s, template: output:%zu: %s", parser->text,
                   parser->scope->tokens[0].line, buf_text(&what));
}

static void print_token(const struct token *token, struct buf *out)
{
    if (token->kind == TOKEN_EOF) {
        buf_add_str(out, "EOF");
    } else if (token->kind > TOKEN_KEYWORD) {
        buf_add_char(out, '<');
        buf_add(out, token->text, token->len);
        buf_add_char(out, '>');
    } else {
        size_t len = 0, size = 0;
        for (int i = 0; i < 10 && len < token->len; i++, len += size)
            (void)gotext_rune(token->text + len, token->len - len, &size);
        gotext_quote_n(token->text, token->len > 10 ? len : token->len, '"', false, out);
        buf_add_str(out, token->len > 10 ? "..." : "");
    }
}

int parser_unexpected(struct parser *parser, struct token token, const char *context)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (token.kind != TOKEN_ERROR) {
        print_token(&token, &text);
        return parser_fail(parser, "unexpected %s in %s", buf_text(&text), context);
    }
    size_t line = parser->scope->action_line;
    buf_add(&text, token.text, token.len);
    if (line != 0 && line != token.line)
        buf_printf(&text, "%s started at output:%zu", ends_with(buf_text(&text), " action") ? "" : " in action", line);
    return parser_fail(parser, "%s", buf_text(&text));
}

int parser_expect_close(struct parser *parser, const char *context)
{
    struct token token = parser_next_word(parser);
    return token.kind == TOKEN_RIGHT ? 0 : parser_unexpected(parser, token, context);
}

/* --- pipelines */

static struct expr *new_expr(enum expr_kind kind, struct token token)
{
    struct expr *expr = NEW(struct expr);
    expr->kind = kind;
    expr->at = token.at;
    return expr;
}

static struct expr *new_word(enum expr_kind kind, struct token token)
{
    struct expr *expr = new_expr(kind, token);
    expr->text = xstrndup(token.text, token.len);
    return expr;
}

/* The item belongs to the expression from then on, so that one free is enough after an error. */
static struct expr *add_item(struct expr *expr, struct expr *item)
{
    GROW(expr->items, expr->n, expr->cap);
    expr->items[expr->n++] = item;
    return item;
}

static int parse_pipe(struct parser *parser, const char *context, enum token_kind end, struct expr *pipe);

static int parse_literal(struct parser *parser, struct expr *expr, struct token token)
{
    CLEANUP(err_clear) struct err err = {0};
    int code = token.kind == TOKEN_CHARACTER ? template_character(token.text, token.len, &expr->value, &err)
               : token.kind == TOKEN_COMPLEX ? err_set(&err, ERR_UNSUPPORTED, "complex numbers are not available: %s", expr->text)
                                             : template_number(expr->text, &expr->value, &err);
    return code < 0 ? parser_fail(parser, "%s", err_text(&err)) : 0;
}

int parser_string(struct parser *parser, struct token token, struct value *ret)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (!template_unquote(token.text, token.len, &text))
        return parser_fail(parser, "invalid syntax");
    *ret = value_take_text(&text);
    return 0;
}

/* A word of a command; *ret NULL: there is none here. */
static int parse_term(struct parser *parser, struct expr *command, struct expr **ret)
{
    struct token token = parser_next_word(parser);
    *ret = NULL;
    switch (token.kind) {
    case TOKEN_IDENTIFIER:
        if (function_find(token.text, token.len) == NULL)
            return parser_fail(parser, "function \"%.*s\" not defined", (int)token.len, token.text);
        *ret = add_item(command, new_word(EXPR_FUNCTION, token));
        return 0;
    case TOKEN_DOT:
    case TOKEN_NIL:
        *ret = add_item(command, new_word(token.kind == TOKEN_DOT ? EXPR_DOT : EXPR_NIL, token));
        return 0;
    case TOKEN_VARIABLE:
        *ret = add_item(command, new_word(EXPR_VARIABLE, token));
        if (!strv_has(&parser->scope->variables, (*ret)->text))
            return parser_fail(parser, "undefined variable \"%s\"", (*ret)->text);
        return 0;
    case TOKEN_FIELD:
        *ret = add_item(command, new_expr(EXPR_FIELD, token));
        strv_take(&(*ret)->fields, xstrndup(token.text + 1, token.len - 1));
        return 0;
    case TOKEN_BOOL:
        *ret = add_item(command, new_word(EXPR_BOOL, token));
        (*ret)->value = value_of_bool(token.text[0] == 't');
        return 0;
    case TOKEN_CHARACTER:
    case TOKEN_NUMBER:
    case TOKEN_COMPLEX:
        *ret = add_item(command, new_word(EXPR_NUMBER, token));
        return parse_literal(parser, *ret, token);
    case TOKEN_STRING:
    case TOKEN_RAW_STRING:
        *ret = add_item(command, new_word(EXPR_STRING, token));
        return parser_string(parser, token, &(*ret)->value);
    case TOKEN_LEFT_PAREN:
        if (parser->depth >= NESTING_MAX)
            return parser_fail(parser, "max expression depth exceeded");
        parser->depth++;
        *ret = add_item(command, new_expr(EXPR_PIPE, parser_peek_word(parser)));
        if (parse_pipe(parser, "parenthesized pipeline", TOKEN_RIGHT_PAREN, *ret) < 0)
            return parser->err->code;
        parser->depth--;
        return 0;
    default:
        parser_back(parser);
        return 0;
    }
}

/* A term and the fields after it. */
static int parse_operand(struct parser *parser, struct expr *command)
{
    struct expr *term = NULL;
    if (parse_term(parser, command, &term) < 0)
        return parser->err->code;
    struct token field = parser_peek(parser);
    if (term == NULL || field.kind != TOKEN_FIELD)
        return 0;
    if (term->kind != EXPR_FIELD && term->kind != EXPR_VARIABLE) {
        if (term->kind != EXPR_PIPE && term->kind != EXPR_FUNCTION) {
            CLEANUP(buf_done) struct buf quoted = {0};
            gotext_quote(term->text, &quoted);
            while (parser_peek(parser).kind == TOKEN_FIELD)
                (void)parser_next(parser);
            return parser_fail(parser, "unexpected . after term %s", buf_text(&quoted));
        }
        struct expr *chain = new_expr(EXPR_CHAIN, field);
        (void)add_item(chain, term);
        command->items[command->n - 1] = chain;
        term = chain;
    }
    term->at = field.at; /* Go points at the second field */
    while (parser_peek(parser).kind == TOKEN_FIELD) {
        field = parser_next(parser);
        strv_take(&term->fields, xstrndup(field.text + 1, field.len - 1));
    }
    return 0;
}

static int parse_command(struct parser *parser, struct expr *pipe)
{
    struct expr *command = add_item(pipe, new_expr(EXPR_COMMAND, parser_peek_word(parser)));
    for (;;) {
        (void)parser_peek_word(parser);
        if (parse_operand(parser, command) < 0)
            return parser->err->code;
        struct token token = parser_next(parser);
        if (token.kind == TOKEN_SPACE)
            continue;
        if (token.kind == TOKEN_RIGHT || token.kind == TOKEN_RIGHT_PAREN)
            parser_back(parser);
        else if (token.kind != TOKEN_PIPE)
            return parser_unexpected(parser, token, "operand");
        break;
    }
    return command->n > 0 ? 0 : parser_fail(parser, "empty command");
}

static void declare(struct parser *parser, struct expr *pipe, struct token variable)
{
    strv_take(&pipe->variables, xstrndup(variable.text, variable.len));
    strv_take(&parser->scope->variables, xstrndup(variable.text, variable.len));
}

/* "$x :=", "$i, $x :=", "$x =", when it is there. */
static int parse_declaration(struct parser *parser, const char *context, struct expr *pipe)
{
    struct scope *scope = parser->scope;
    for (;;) {
        struct token variable = parser_peek_word(parser);
        if (variable.kind != TOKEN_VARIABLE)
            return 0;
        (void)parser_next(parser);
        struct token after = parser_peek(parser), word = parser_peek_word(parser);
        if (word.kind == TOKEN_ASSIGN || word.kind == TOKEN_DECLARE) {
            pipe->assigns = word.kind == TOKEN_ASSIGN;
            (void)parser_next_word(parser);
            declare(parser, pipe, variable);
            return 0;
        }
        if (word.kind != TOKEN_CHAR || word.text[0] != ',') {
            /* an operand: back it goes, with the blank after it that ends it */
            bool blank = after.kind == TOKEN_SPACE;
            scope->tokens[1] = blank ? after : variable;
            scope->tokens[2] = variable;
            scope->peeked = blank ? 3 : 2;
            return 0;
        }
        (void)parser_next_word(parser);
        declare(parser, pipe, variable);
        if (!streq(context, "range") || pipe->variables.n >= 2)
            return parser_fail(parser, "too many declarations in %s", context);
        struct token second = parser_peek_word(parser);
        if (second.kind != TOKEN_VARIABLE && second.kind != TOKEN_RIGHT && second.kind != TOKEN_RIGHT_PAREN)
            return parser_fail(parser, "range can only initialize variables");
    }
}

/* Only the first command may begin with what cannot be called. */
static int check_pipe(struct parser *parser, const char *context, const struct expr *pipe)
{
    if (pipe->n == 0)
        return parser_fail(parser, "missing value for %s", context);
    for (size_t i = 1; i < pipe->n; i++) {
        enum expr_kind kind = pipe->items[i]->items[0]->kind;
        if (kind == EXPR_BOOL || kind == EXPR_DOT || kind == EXPR_NIL || kind == EXPR_NUMBER || kind == EXPR_STRING)
            return parser_fail(parser, "non executable command in pipeline stage %zu", i + 1);
    }
    return 0;
}

static int parse_pipe(struct parser *parser, const char *context, enum token_kind end, struct expr *pipe)
{
    if (parse_declaration(parser, context, pipe) < 0)
        return parser->err->code;
    for (;;) {
        struct token token = parser_next_word(parser);
        if (token.kind == end)
            return check_pipe(parser, context, pipe);
        switch (token.kind) {
        case TOKEN_BOOL:
        case TOKEN_CHARACTER:
        case TOKEN_COMPLEX:
        case TOKEN_DOT:
        case TOKEN_FIELD:
        case TOKEN_IDENTIFIER:
        case TOKEN_NUMBER:
        case TOKEN_NIL:
        case TOKEN_RAW_STRING:
        case TOKEN_STRING:
        case TOKEN_VARIABLE:
        case TOKEN_LEFT_PAREN:
            parser_back(parser);
            if (parse_command(parser, pipe) < 0)
                return parser->err->code;
            break;
        default:
            return parser_unexpected(parser, token, context);
        }
    }
}

/* The pipeline of an action, up to its "}}". */
int parser_action_pipe(struct parser *parser, const char *context, struct node *node)
{
    node->pipe = new_expr(EXPR_PIPE, parser_peek_word(parser));
    return parse_pipe(parser, context, TOKEN_RIGHT, node->pipe);
}
