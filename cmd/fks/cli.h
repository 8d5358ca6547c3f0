/*
 * cli.h: what every command of fks gets: the global options, the lazily made connection, and the ways to end.
 *
 * Data goes to stdout, everything else to stderr. A command returns its exit code; it reports a failure once, through
 * cli_fail, which prints it the way kubectl does.
 */
#pragma once

#include "kube/client.h"
#include "kube/discovery.h"

struct cli {
    const char *program;             /* "fks", or "kubectl" when started under that name; used in messages */
    struct kube_overrides overrides; /* global connection flags */
    int64_t verbosity;               /* -v */
    bool match_server_version, warnings_as_errors;
    struct kube_config config;       /* valid after cli_connect */
    struct kube_client *client;      /* made by cli_connect */
    struct kube_discovery *discovery;
};

/* Loads the configuration and makes client and discovery, once; ERR_* with kubectl's words. */
int cli_connect(struct cli *cli, struct err *err) MUST_CHECK;
/* The namespace to use: --namespace, else the context's. After cli_connect. */
const char *cli_namespace(const struct cli *cli);

/*
 * Prints the failure as kubectl would ("Error from server (NotFound): ...", "error: ...", "The connection to the server
 * H was refused - did you specify the right host or port?") and returns the exit code (1).
 */
int cli_fail(const struct cli *cli, const struct err *err);
/* "error: ..." and "See 'fks get -h' for help and examples", exit code 1. */
int cli_usage(const struct cli *cli, const char *command, const struct err *err);

/* A command: argv[0] is its last word; options and arguments follow. */
typedef int command_run(struct cli *cli, int argc, char **argv);
