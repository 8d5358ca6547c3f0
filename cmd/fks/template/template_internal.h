/*
 * template_internal.h: the parsed form of a template and the values it works with, between template_lex.c,
 * template_parse.c, template.c, template_value.c, template_call.c and template_format.c.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"

/* --- values */

enum value_kind {
    VALUE_NONE, /* nothing at all: a key that is not there, nil */
    VALUE_NIL,  /* JSON null, still in its map or list */
    VALUE_BOOL,
    VALUE_INT,   /* Go's int: a number of the template, len, an index of range */
    VALUE_INT64, /* a number of the object */
    VALUE_BYTE,  /* an element of a string */
    VALUE_REAL,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_MAP,
};

struct value {
    enum value_kind kind;
    bool boxed; /* as it lies in a map or list: Go's interface {}, which errors tell from what is in it */
    bool truth;
    int64_t whole;
    double real;
    const char *text; /* not NUL-ended; in `owned`, or borrowed from the template or the object */
    size_t len;
    char *owned;
    const struct json *tree; /* of a list or map; borrowed from the object */
    size_t from, n;          /* the part of a list */
};

struct value value_of_json(const struct json *json); /* boxed; NULL gives VALUE_NONE */
struct value value_of_int(int64_t whole);
struct value value_of_bool(bool truth);
struct value value_of_text(const char *text); /* borrowed */
struct value value_take_text(struct buf *text);
struct value value_copy(const struct value *value);
/* Out of its map or list: null is nothing then. */
void value_unbox(struct value *value);
void value_done(struct value *value);
DEFINE_CLEANUP_IN_PLACE(struct value, value_done)

bool value_is_true(const struct value *value);
bool value_is_whole(const struct value *value);
/* The type of what is in the value, in Go's words. */
const char *value_type(const struct value *value);
/* The same as an error names it: "interface {}" for what is boxed. */
const char *value_static_type(const struct value *value);
struct value value_member(const struct value *map, const char *key, size_t len);
struct value value_item(const struct value *list, size_t at);

/* fmt.Sprint of one value, and fmt.Sprintf. */
void value_print(const struct value *value, struct buf *out);
void value_format(const char *format, size_t len, const struct value *args, size_t n, struct buf *out);

/* --- tokens */

enum token_kind {
    TOKEN_EOF,
    TOKEN_ERROR,
    TOKEN_TEXT,
    TOKEN_LEFT,
    TOKEN_RIGHT,
    TOKEN_SPACE,
    TOKEN_ASSIGN,
    TOKEN_DECLARE,
    TOKEN_PIPE,
    TOKEN_STRING,
    TOKEN_RAW_STRING,
    TOKEN_CHARACTER, /* 'x' */
    TOKEN_NUMBER,
    TOKEN_COMPLEX,
    TOKEN_VARIABLE,
    TOKEN_FIELD,
    TOKEN_BOOL,
    TOKEN_IDENTIFIER,
    TOKEN_LEFT_PAREN,
    TOKEN_RIGHT_PAREN,
    TOKEN_CHAR,    /* any other: "," */
    TOKEN_KEYWORD, /* what follows is a keyword */
    TOKEN_BLOCK,
    TOKEN_BREAK,
    TOKEN_CONTINUE,
    TOKEN_DOT,
    TOKEN_DEFINE,
    TOKEN_ELSE,
    TOKEN_END,
    TOKEN_IF,
    TOKEN_NIL,
    TOKEN_RANGE,
    TOKEN_TEMPLATE,
    TOKEN_WITH,
};

struct token {
    enum token_kind kind;
    const char *text; /* borrowed from the template, or from the lexer's error */
    size_t len, at, line;
};

struct lexer {
    const char *input;
    size_t pos, start, line;
    int open_parens;
    bool inside; /* an action */
    char *error;
};

struct token lexer_next(struct lexer *lexer);

/* --- the parsed form */

enum expr_kind {
    EXPR_DOT,
    EXPR_NIL,
    EXPR_BOOL,
    EXPR_NUMBER,
    EXPR_STRING,
    EXPR_FIELD,    /* .a.b */
    EXPR_VARIABLE, /* $x.a.b */
    EXPR_FUNCTION,
    EXPR_CHAIN, /* (pipeline).a.b */
    EXPR_PIPE,
    EXPR_COMMAND,
};

struct expr {
    enum expr_kind kind;
    size_t at;          /* in the template */
    char *text;         /* of a literal as written; the name of a variable (with $) or function */
    struct value value; /* of a literal */
    struct strv fields;
    struct strv variables; /* of a pipe: declared or assigned */
    bool assigns;          /* "=" instead of ":=" */
    struct expr **items;   /* of a pipe its commands, of a command its words, of a chain what it starts with */
    size_t n, cap;
};

enum node_kind { NODE_TEXT, NODE_ACTION, NODE_IF, NODE_RANGE, NODE_WITH, NODE_BREAK, NODE_CONTINUE, NODE_TEMPLATE };

struct nodes {
    struct node *list;
    size_t n, cap;
};

struct node {
    enum node_kind kind;
    size_t at;
    const char *text; /* borrowed from the template */
    size_t len;
    char *name;        /* of a template that is called */
    struct expr *pipe; /* NULL: a template that is called without */
    struct nodes body, otherwise;
};

struct named_template {
    char *name;
    struct nodes nodes;
};

struct templates {
    struct named_template *list;
    size_t n, cap;
};

/* "output" is the text itself, beside what it defines. What is parsed borrows from the text. */
int template_parse(const char *text, struct templates *ret, struct err *err) MUST_CHECK;
const struct named_template *templates_find(const struct templates *templates, const char *name);
void templates_done(struct templates *templates);
DEFINE_CLEANUP_IN_PLACE(struct templates, templates_done)
/* As Go writes it in errors. */
void expr_print(const struct expr *expr, struct buf *out);

/* --- functions */

struct function {
    const char *name;
    size_t n_fixed;
    bool more;        /* and any number of further arguments */
    bool text_first;  /* the first argument is a string */
};

const struct function *function_find(const char *name, size_t len);
/*
 * Calls with arguments whose number fits; not "and" and "or". callee: the first argument as written. *ret is new. The
 * error is without the place.
 */
int function_call(const struct function *function, const char *callee, const struct value *args, size_t n,
                  struct value *ret, struct err *err) MUST_CHECK;
