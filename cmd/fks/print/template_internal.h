/*
 * template_internal.h: the parsed form of a template, between template_parse.c, template.c and template_call.c.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

enum operand_kind { OPERAND_DOT, OPERAND_VARIABLE, OPERAND_LITERAL, OPERAND_FUNCTION, OPERAND_PIPE };

struct operand {
    enum operand_kind kind;
    char *name;           /* variable (with $) or function */
    struct json *literal; /* NULL: nil */
    struct pipe *pipe;    /* in parentheses */
    struct strv fields;   /* .a.b after it */
    char *text;           /* as written, for messages */
    size_t offset;        /* in the template */
};

struct command_call {
    struct operand *operands;
    size_t n, cap;
};

struct pipe {
    char *variables[2]; /* declared or assigned; NULL: none */
    bool assigns;       /* "=" instead of ":=" */
    struct command_call *commands;
    size_t n, cap;
};

enum node_kind { NODE_TEXT, NODE_ACTION, NODE_IF, NODE_RANGE, NODE_WITH, NODE_BREAK, NODE_CONTINUE };

struct nodes {
    struct node *list;
    size_t n, cap;
};

struct node {
    enum node_kind kind;
    char *text;
    size_t text_len;
    struct pipe *pipe;
    struct nodes body, otherwise;
};

int template_parse(const char *text, struct nodes *ret, struct err *err) MUST_CHECK;
void template_nodes_done(struct nodes *nodes);
DEFINE_CLEANUP_IN_PLACE(struct nodes, template_nodes_done)

/* A function on evaluated arguments (NULL: no value). *ret is new, NULL for no value. Not "and" and "or". */
int template_call(const char *name, const struct json *const *args, size_t n, struct json **ret,
                  struct err *err) MUST_CHECK;
bool template_is_function(const char *name);
bool template_is_true(const struct json *value);
