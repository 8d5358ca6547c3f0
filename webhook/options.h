/*
 * options.h: the command line of fks-webhook.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "fargate/names.h"

#define PROGRAM "fks-webhook"

struct options { /* texts are borrowed from argv */
    const char *listen, *tls_cert, *tls_key;
    const char *client_ca;            /* or NULL */
    const char *kubeconfig, *profiles; /* at most one; both NULL: the pod's service account */
    const char *log_level;
    const char *pod_validation; /* "Warn" or "Enforce" */
    bool enforce;               /* the same */
    struct fargate_names names;
    int64_t workers;                  /* 0: one for each CPU */
    int64_t max_connections, max_per_peer;
    int64_t certificate_delay_ms, shutdown_delay_ms;
};

/* 0: go on; 1: --help or --version was answered, end well; negative: err says why not. Also sets up the log. */
int options_parse(int argc, char **argv, struct options *ret, struct err *err) MUST_CHECK;
