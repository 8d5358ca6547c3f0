/*
 * json_token.h: the state of a parser and the parts of JSON text that are no containers, for json_parse.c. Nobody else
 * includes it.
 */
#pragma once

#include "base/str.h"
#include "data/json_node.h"
#include "data/json_scan.h"
#include "data/utf8.h"

struct json_parser {
    const char *start, *p, *end; /* of a document: in its own copy of the text, where strings are ended and decoded in place */
    const char *original;        /* the text as it came, for telling where it is wrong; NULL: it is gone */
    int depth;
    struct buf text; /* the string or number under way, when it is not used as it stands */
    struct json_document *document; /* NULL: nodes on the heap */
    size_t room;                    /* for what is in a document, and the stack */
    struct json_member *stack;      /* members and items (without a key) of the values that are still open */
    size_t n_stack, stack_cap;
    struct json_member *first_stack; /* the caller's, big enough for most texts */
    struct err *err;
};

/* ERR_PARSE at this place of the text. */
int json_token_fail(const struct json_parser *parser, const char *at, const char *what);
/* ERR_PARSE: something else is at parser->p. */
int json_token_expected(const struct json_parser *parser, const char *what);
/* A string that is not just ASCII without escapes. */
int json_token_unusual_string(struct json_parser *parser, struct str *ret) MUST_CHECK;
/* ret NULL: only looks whether it is a number. */
int json_token_number(struct json_parser *parser, struct json **ret) MUST_CHECK;
/* true, false or null. */
int json_token_word(struct json_parser *parser, struct json **ret) MUST_CHECK;

/* Behind the opening quote. The slice is of the input, or of parser->text when there are escapes. */
static inline int json_token_string(struct json_parser *parser, struct str *ret)
{
    const char *start = parser->p, *p = skip_ascii(start, parser->end);

    if (p >= parser->end || *p != '"')
        return json_token_unusual_string(parser, ret);
    *ret = (struct str){start, (size_t)(p - start)};
    parser->p = p + 1;
    return 0;
}
