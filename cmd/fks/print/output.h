/*
 * output.h: the -o option: which form an object is printed in, and printing it. Tables are table.h's.
 */
#pragma once

#include <stdio.h>

#include "base/opt.h"
#include "data/json.h"

enum output_kind {
    OUTPUT_HUMAN, /* none asked for */
    OUTPUT_WIDE,
    OUTPUT_JSON,
    OUTPUT_YAML,
    OUTPUT_KYAML,
    OUTPUT_NAME,
    OUTPUT_JSONPATH,
    OUTPUT_JSONPATH_JSON, /* jsonpath-as-json */
    OUTPUT_TEMPLATE,      /* go-template */
    OUTPUT_COLUMNS,       /* custom-columns */
};

struct output_options {
    const char *format;       /* -o, NULL: none */
    const char *template;     /* --template, or NULL */
    bool show_managed_fields; /* --show-managed-fields */
    bool hide_missing;        /* --allow-missing-template-keys; true unless said otherwise */
    bool is_get;              /* wide and custom-columns are allowed */
};
#define OUTPUT_OPTIONS(options)                                                                                     \
    {.name = "output",                                                                                              \
     .letter = 'o',                                                                                                 \
     .type = OPT_STRING,                                                                                            \
     .value = &(options)->format,                                                                                   \
     .argument = "",                                                                                                \
     .help = "Output format: json, yaml, kyaml, name, go-template, jsonpath and their -file forms; for get also wide and " \
             "custom-columns."},                                                                                    \
        {.name = "template",                                                                                        \
         .type = OPT_STRING,                                                                                        \
         .value = &(options)->template,                                                                             \
         .argument = "",                                                                                            \
         .help = "Template for -o go-template or -o jsonpath."},                                                    \
        {.name = "show-managed-fields",                                                                             \
         .type = OPT_BOOL,                                                                                          \
         .value = &(options)->show_managed_fields,                                                                  \
         .help = "Keep managedFields when printing JSON or YAML."},                                                 \
    {                                                                                                               \
        .name = "allow-missing-template-keys", .type = OPT_BOOL, .value = &(options)->hide_missing,                 \
        .help = "Print nothing, instead of failing, for what a template names and the object lacks."                \
    }

struct output {
    enum output_kind kind;
    char *expression; /* of jsonpath, template, columns */
    bool show_managed_fields, hide_missing, no_headers;
    bool keep_order; /* JSON keys as they stand (objects built here), not sorted (objects of the server) */
    bool from_file; /* the expression: kubectl's custom-columns-file knows no --no-headers */
    size_t n_printed;
    FILE *to; /* where it goes; NULL: standard output. Borrowed */
};

/* ERR_USAGE with kubectl's words for an unknown format. */
int output_parse(const struct output_options *options, struct output *ret, struct err *err) MUST_CHECK;
/* False where KUBECTL_KYAML=false switches -o kyaml off. */
bool output_has_kyaml(void);
void output_done(struct output *output);
DEFINE_CLEANUP_IN_PLACE(struct output, output_done)
/* True for json, yaml, templates: the whole object is printed, not a line about it. */
bool output_is_object(const struct output *output);
/* The object to stdout. Not for OUTPUT_HUMAN and OUTPUT_WIDE. */
int output_print(struct output *output, const struct json *object, struct err *err) MUST_CHECK;
/* {"type", "object"} of a watch: whole, managedFields too; JSON on one line. */
int output_print_event(struct output *output, const struct json *event, struct err *err) MUST_CHECK;
/*
 * What a verb did to an object: "pod/web created" for people, the name for -o name, else the object. dry_run is "",
 * "client" or "server".
 */
int output_result(struct output *output, const struct json *object, const char *verb, const char *dry_run,
                  struct err *err) MUST_CHECK;
/* A line "deployment.apps/web" for an object or for each member of a list. */
void output_print_names(const struct json *object, struct buf *out);
/* "deployment.apps/web" from the object's own type. */
void output_object_name(const struct json *object, struct buf *out);
/* Indented by 4 spaces, keys in their own order, escapes as Go's encoder. */
void output_json_ordered(const struct json *json, struct buf *out);
