/*
 * template_parser.h: the parser's state, between template_pipe.c (tokens, errors and pipelines) and template_parse.c (nodes
 * and definitions).
 */
#pragma once

#include "template/template_internal.h"

#define NESTING_MAX 100

/* What a definition has of its own. */
struct scope {
    struct token tokens[3];
    int peeked;
    size_t action_line; /* of the action at hand, 0: none */
    int loops;
    struct strv variables;
};

struct parser {
    const char *text;
    struct lexer lexer;
    struct templates *templates;
    struct scope *scope;
    int depth;
    struct err *err;
};

/* Spaces count as tokens; the forms with "word" pass them. */
struct token parser_next(struct parser *parser);
void parser_back(struct parser *parser);
struct token parser_peek(struct parser *parser);
struct token parser_next_word(struct parser *parser);
struct token parser_peek_word(struct parser *parser);

/* ERR_PARSE in Go's words, at the line where the parser is. */
int parser_fail(struct parser *parser, const char *format, ...) PRINTF(2, 3);
int parser_unexpected(struct parser *parser, struct token token, const char *context);
/* "}}" */
int parser_expect_close(struct parser *parser, const char *context) MUST_CHECK;
int parser_string(struct parser *parser, struct token token, struct value *ret) MUST_CHECK;
/* The pipeline of an action, up to its "}}". */
int parser_action_pipe(struct parser *parser, const char *context, struct node *node) MUST_CHECK;
