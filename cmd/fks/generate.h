/*
 * generate.h: what the `create KIND NAME` commands, run and expose share: an object is built from options, then sent
 * or only printed.
 */
#pragma once

#include "print/output.h"
#include "write.h"

struct generate {
    struct cli *cli;
    struct write_options write;
    struct output_options output_options;
    bool save_config; /* --save-config: annotate for apply */
};
#define GENERATE_OPTIONS(generate)                                                           \
    OUTPUT_OPTIONS(&(generate)->output_options), WRITE_DRY_RUN_OPTION(&(generate)->write),   \
        WRITE_VALIDATE_OPTION(&(generate)->write), WRITE_MANAGER_OPTION(&(generate)->write), \
    {                                                                                        \
        .name = "save-config", .type = OPT_BOOL, .value = &(generate)->save_config,          \
        .help = "Keep the configuration in the object's annotation, for a later apply."      \
    }
#define GENERATE_INIT(cli_pointer)                                                                                    \
    {                                                                                                                 \
        .cli = (cli_pointer), .write = {.field_manager = "kubectl-create"}, .output_options = {.hide_missing = true } \
    }

/* The one NAME argument, or NULL after the usage error was printed. */
const char *generate_name(const struct generate *generate, const char *words, const struct strv *args, int dash);
/* metadata for a new object: name, and the namespace when --namespace was given and the kind has one. */
struct json *generate_metadata(const struct generate *generate, const char *name, bool namespaced) MUST_CHECK;
/* The arguments after "--" as an array, NULL if there are none. */
struct json *generate_command(const struct strv *args, int dash) MUST_CHECK;
/*
 * Sends or prints the object, which is taken over. what: "deployment" for "failed to create deployment: ...", or
 * NULL.
 */
int generate_finish(struct generate *generate, struct json *object, const char *what);
/* "a=b,c=d" as an object with sorted keys; ERR_USAGE. */
int generate_labels(const char *text, struct json **ret, struct err *err) MUST_CHECK;
