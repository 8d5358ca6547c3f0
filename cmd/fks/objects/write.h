/*
 * write.h: what the writing verbs share: --dry-run, --validate, --field-manager, and sending an object.
 */
#pragma once

#include "objects/items.h"
#include "print/output.h"

#define CHANGE_CAUSE_ANNOTATION "kubernetes.io/change-cause"

struct write_options {
    const char *dry_run;       /* as given; write_options_check makes it "none", "client" or "server" */
    const char *validate;      /* "strict" or as given; becomes "Strict", "Warn" or "Ignore"; NULL, as for verbs without
                                  --validate: the server says what it thinks of unknown fields, and takes the rest */
    const char *field_manager; /* "kubectl-create" ...: the name under which the server records the fields */
    bool record, record_seen;  /* --record: the command line goes into the object's change-cause annotation */
};
#define WRITE_DRY_RUN_OPTION(options)                                                                          \
    {                                                                                                          \
        .name = "dry-run", .type = OPT_STRING, .value = &(options)->dry_run, .argument = "none",               \
        .bare_value = "unchanged",                                                                             \
        .help = "none, client (only print what would be sent) or server (send it, but let nothing be stored)." \
    }
#define WRITE_VALIDATE_OPTION(options)                                                                           \
    {                                                                                                            \
        .name = "validate", .type = OPT_STRING, .value = &(options)->validate, .argument = "strict",             \
        .bare_value = "strict", .help = "strict, warn or ignore: what to do about unknown and duplicate fields." \
    }
#define WRITE_MANAGER_OPTION(options)                                                                    \
    {                                                                                                    \
        .name = "field-manager", .type = OPT_STRING, .value = &(options)->field_manager, .argument = "", \
        .help = "Name under which the server records who owns the fields."                               \
    }

/* Deprecated, so help does not show it: what is given goes into CHANGE_CAUSE_ANNOTATION. */
#define WRITE_RECORD_OPTION(options)                                                                     \
    {                                                                                                    \
        .name = "record", .type = OPT_BOOL, .value = &(options)->record, .seen = &(options)->record_seen \
    }

int write_options_check(struct write_options *options, struct err *err) MUST_CHECK;
bool write_is_client_dry_run(const struct write_options *options);
bool write_is_dry_run(const struct write_options *options);

/* POST of an object to its collection, without its resourceVersion; *ret is what the server made of it. */
int write_create(struct cli *cli, const struct write_options *options, const struct item *item, struct json **ret,
                 struct err *err) MUST_CHECK;
/* PATCH; subresource may be NULL, extra_query ("force=true") too. */
int write_patch(struct cli *cli, const struct write_options *options, const struct item *item, const char *subresource,
                const char *content_type, const struct json *patch, const char *extra_query, struct json **ret,
                struct err *err) MUST_CHECK;
/* PUT. */
int write_replace(struct cli *cli, const struct write_options *options, const struct item *item,
                  const char *subresource, const struct json *object, struct json **ret, struct err *err) MUST_CHECK;
/*
 * --raw: sends the one file of the selection (DELETE: or none) to a path as it is and the answer to stdout. output: -o
 * as given. ERR_USAGE when other options do not go with that.
 */
int write_raw(struct cli *cli, const char *method, const char *path, const struct selection *selection,
              const char *output, struct err *err) MUST_CHECK;
/* With --record: sets the change-cause annotation on the object. After cli_parse. */
void write_record(const struct cli *cli, const struct write_options *options, struct json *object);
/* "Warning: Detected changes to resource x which is currently being deleted." if that is so. */
void write_warn_if_deleting(const struct json *object);
/* "error when creating "f.yaml": " before the text, as kubectl does it; nothing without a file. */
void write_blame_source(const char *verb, const char *source, struct err *err);

#define LAST_APPLIED_ANNOTATION "kubectl.kubernetes.io/last-applied-configuration"
/* The annotation's text for an object: compact JSON without the annotation itself. Heap string. */
char *write_last_applied(const struct json *object) MUST_CHECK;
/* Sets the annotation on the object. */
void write_set_last_applied(struct json *object);
