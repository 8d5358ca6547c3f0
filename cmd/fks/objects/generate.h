/*
 * generate.h: what the `create KIND NAME` commands, run and expose share: an object is built from options, then sent
 * or only printed.
 */
#pragma once

#include "objects/write.h"
#include "print/output.h"

struct generate {
    struct cli *cli;
    struct write_options write;
    struct output_options output_options;
    bool quiet;       /* nothing is printed about the object that was made */
    bool save_config; /* --save-config: annotate for apply */
    struct strv args; /* from generate_begin */
    int dash;         /* index of the first argument after "--", or -1 */
    const char *name; /* the NAME argument */
    int code;         /* exit code when generate_begin said no */
};
void generate_done(struct generate *generate);
DEFINE_CLEANUP_IN_PLACE(struct generate, generate_done)
#define GENERATE_SAVE_CONFIG_OPTION(generate)                                           \
    {                                                                                   \
        .name = "save-config", .type = OPT_BOOL, .value = &(generate)->save_config,     \
        .help = "Keep the configuration in the object's annotation, for a later apply." \
    }
#define GENERATE_OPTIONS(generate)                                                           \
    OUTPUT_OPTIONS(&(generate)->output_options), WRITE_DRY_RUN_OPTION(&(generate)->write),   \
        WRITE_VALIDATE_OPTION(&(generate)->write), WRITE_MANAGER_OPTION(&(generate)->write), \
        GENERATE_SAVE_CONFIG_OPTION(generate)
#define GENERATE_INIT(cli_pointer)                                                                                    \
    {                                                                                                                 \
        .cli = (cli_pointer), .write = {.field_manager = "kubectl-create", .validate = "strict"}, \
        .output_options = {.hide_missing = true } \
    }

/*
 * Parses options and the one NAME argument into generate; false: the command ends with generate->code, what there was
 * to say has been said.
 */
bool generate_begin(struct generate *generate, const struct cli_command *command, int argc, char **argv) MUST_CHECK;
/* metadata for a new object: name, and the namespace when --namespace was given and the kind has one. */
struct json *generate_metadata(const struct generate *generate, const char *name, bool namespaced) MUST_CHECK;
/* --overrides: a patch of the user's on the generated object. */
struct override {
    const char *patch, *type; /* type: json, merge, strategic */
};
#define GENERATE_OVERRIDE_OPTIONS(override)                                                                        \
    {"overrides", 0, OPT_STRING, &(override)->patch, "", "A patch on the generated object, as JSON."},             \
    {                                                                                                              \
        "override-type", 0, OPT_STRING, &(override)->type, "merge", "What --overrides is: json, merge, strategic." \
    }
/* Replaces *object by the patched one; without --overrides it stays. On failure it is freed and NULL. */
int generate_override(const struct override *override, struct json **object, struct err *err) MUST_CHECK;

/* The arguments after "--" as an array, NULL if there are none. */
struct json *generate_command(const struct generate *generate) MUST_CHECK;
/* --save-config: the object, which keeps its order and lacks empty members, as its own annotation. */
void generate_annotate(struct json *object);
/*
 * Sends or prints the object, which is taken over. what: "deployment:" for "failed to create deployment: ...", or
 * NULL.
 */
int generate_finish(struct generate *generate, struct json *object, const char *what);
/* Whether the text matches the POSIX extended regular expression. */
bool generate_matches(const char *pattern, const char *text);
/* A number where the text is one that fits 32 bits, else the text: ports, percentages. */
struct json *generate_number_or_text(const char *text) MUST_CHECK;
/* Appends a quantity in the server's form; ERR_USAGE with kubectl's words. */
int generate_quantity(const char *text, struct buf *out, struct err *err) MUST_CHECK;
/* "cpu=1,pods=2" as an object, keys sorted; *ret stays as it is for no text. ERR_USAGE. */
int generate_amounts(const char *text, struct json **ret, struct err *err) MUST_CHECK;
/* Each "key=value" of the list as a member, keys sorted; texts without "=" are left out. */
struct json *generate_pairs(const struct strv *pairs) MUST_CHECK;
/* "a=b,c=d" as an object with sorted keys; ERR_USAGE. */
int generate_labels(const char *text, struct json **ret, struct err *err) MUST_CHECK;
/* [DOMAIN/]PATH[:TAG][@DIGEST]: a name of an image. */
bool generate_is_image(const char *image);
