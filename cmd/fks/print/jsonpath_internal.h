/*
 * jsonpath_internal.h: the parsed form, between jsonpath_parse.c and jsonpath.c.
 */
#pragma once

#include "data/json.h"

enum path_kind {
    PATH_FIELD,     /* .name ['name'] */
    PATH_SLICE,     /* [a] [a:b] [a:b:c] */
    PATH_WILDCARD,  /* * */
    PATH_RECURSIVE, /* .. */
    PATH_FILTER,    /* [?(left op right)] */
    PATH_UNION,     /* [a,b] */
    PATH_LITERAL,   /* text, number, bool */
    PATH_IDENTIFIER, /* a word that means nothing */
};

struct path_steps {
    struct path_step *list;
    size_t n, cap;
};

struct path_step {
    enum path_kind kind;
    char *name;                              /* field; relation of a filter ("exists", "==", ...) */
    int64_t from, to, step;                  /* slice */
    bool has_from, has_to, has_step, single; /* single: [a], an index */
    struct json *literal;
    struct path_steps left, right; /* of a filter */
    struct path_steps *members;    /* of a union */
    size_t n_members;
};

enum part_kind { PART_STEPS, PART_RANGE, PART_END };
/* One piece of the template: text or {expression}. */
struct part {
    enum part_kind kind;
    struct path_steps steps;
};

struct jsonpath {
    struct part *parts;
    size_t n, cap;
};
