/*
 * cli.h: what every command of fks gets: the global options, the lazily made connection, and the ways to end.
 *
 * Data goes to stdout, everything else to stderr. A command returns its exit code; it reports a failure once, through
 * cli_fail, which prints it the way kubectl does.
 */
#pragma once

#include "base/opt.h"
#include "kube/client.h"
#include "kube/discovery.h"

struct completion;

struct cli {
    const char *program;             /* "fks", or "kubectl" when started under that name; used in messages */
    struct kube_overrides overrides; /* global connection flags */
    int64_t verbosity;               /* -v */
    bool match_server_version, warnings_as_errors;
    bool insecure_seen;               /* --insecure-skip-tls-verify was given, be it false */
    const char *namespace;            /* --namespace, NULL when it was not given */
    const char *request_timeout;      /* --request-timeout as typed: "5", "2s" */
    const char *kuberc;               /* --kuberc, or NULL; read before the options are parsed */
    const char *cache_dir;            /* --cache-dir, or NULL */
    bool help;                        /* --help */
    const struct opt *global_options; /* the rows that fill the members above; every command takes them */
    char *command_line;               /* the parsed line without secrets, for --record; owned, NULL before cli_parse */
    struct strv presets;              /* options that the user's kuberc presets for this command: name, value, ... */
    struct strv preset_words;         /* "--name=value" of those that count; the options borrow from it */
    const char *alias;                /* the kuberc's alias that the command was called by, or NULL; borrowed */
    struct completion *completion;    /* a shell asks what may come next: nothing is run; NULL otherwise */
    struct strv warnings;             /* Warning: headers printed so far, each once */
    char *invalid_text;               /* the last Invalid answer in kubectl's words: its causes line by line; owned */
    struct kube_config config;        /* valid after cli_connect */
    struct kube_client *client;       /* made by cli_connect */
    struct kube_discovery *discovery;
};

/* For overrides.stdin_user, before cli_connect: who reads standard input, as kubectl names it. */
#define CLI_STDIN_MANIFESTS "used by stdin resource manifest reader"

/* The kubectl whose commands these are. */
#define CLI_COMPATIBLE_VERSION "v1.36.3"

/* Loads the configuration and makes client and discovery, once; ERR_* with kubectl's words. */
int cli_connect(struct cli *cli, struct err *err) MUST_CHECK;
/* The namespace to use: --namespace, else the context's. After cli_connect. */
const char *cli_namespace(const struct cli *cli);

/*
 * Prints the failure as kubectl would ("Error from server (NotFound): ...", "error: ...", "The connection to the
 * server H was refused - did you specify the right host or port?") and returns the exit code (1).
 */
int cli_fail(const struct cli *cli, const struct err *err);
/* As cli_fail, but an unknown resource type is told without "error: ", where kubectl does so. */
int cli_fail_type(const struct cli *cli, const struct err *err);
/* "error: ..." and "See 'fks get -h' for help and examples", exit code 1. */
int cli_usage(const struct cli *cli, const char *command, const struct err *err);

/* What a command tells about itself: for parsing and for --help. */
struct cli_command {
    const char *words;    /* "rollout status" */
    const char *usage;    /* what follows the words in the usage line: "(TYPE NAME | TYPE/NAME) [options]" */
    const char *about;    /* one paragraph */
    const char *examples; /* lines indented by two blanks, or NULL */
    const struct opt *options, *more_options; /* besides the global ones; each may be NULL */
    const char *required; /* names of options that must be given, sorted, separated by commas; their rows have `seen` */
    bool keeps_empty;     /* "--name=" is not the same as no --name: it empties what is there */
    bool alone;           /* takes no global options, and its tables have a row for --help */
};
/*
 * Parses a command's options and the global ones; arguments go to *ret_args (borrowed), ret_dash as in opt.h (may be
 * NULL). false: the command ends with *ret_code, --help or a wrong option has been dealt with.
 */
bool cli_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, struct strv *ret_args,
               int *ret_dash, int *ret_code) MUST_CHECK;

/*
 * For commands that parse their options themselves: whether a shell asks what may come next, which is answered then, and
 * the command is done.
 */
bool cli_answers(struct cli *cli, const struct cli_command *command, int argc, char **argv) MUST_CHECK;

/*
 * kube_do with this program's manners: connects first, prints warnings of the server, puts connection failures into
 * kubectl's words, and keeps the causes of an Invalid answer for cli_fail. The Status itself is not kept.
 */
int cli_do(struct cli *cli, const struct kube_request *request, struct json **ret, struct err *err) MUST_CHECK;

/* Failures that a command collects while it goes on. {0} is valid and empty. */
struct failures {
    struct err *list;
    size_t n, cap;
};
/* Moves the error to the list. */
void failures_add(struct failures *failures, struct err *err);
void failures_done(struct failures *failures);
DEFINE_CLEANUP_IN_PLACE(struct failures, failures_done)
/* One as cli_fail, several one line each; returns the exit code: 0 if there are none. */
int cli_fail_all(const struct cli *cli, const struct failures *failures);
/* "Warning: ..." on stderr, as kubectl's own warnings. */
void cli_warn(const char *format, ...) PRINTF(1, 2);
/* "error: ..." on stderr; returns 1. */
int cli_error(const char *format, ...) PRINTF(1, 2);

/* A command: argv[0] is its last word; options and arguments follow. */
typedef int command_run(struct cli *cli, int argc, char **argv);
#define COMMAND(words, function, help) command_run function;
#include "commands.h"
#undef COMMAND
