/*
 * options.c: reads the command line: one row for each option, from which parsing and help come. What the options do is
 * main.c's.
 */
#include "options.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/opt.h"
#include "workers.h"

enum { CONNECTIONS_MAX = 65536 };

static void usage(const struct opt *table)
{
    CLEANUP(buf_done) struct buf text = {0};

    opt_help(table, &text);
    printf("Admission server of FKS: hands pods that match a FargateProfile to the serverless scheduler, and checks\n"
           "profiles.\n"
           "\n"
           "It serves HTTPS on one address: /mutate and /validate take AdmissionReviews (admission.k8s.io/v1) from the\n"
           "API server; /healthz, /readyz and /metrics are for probes and Prometheus. Profiles come from the API\n"
           "server, or from a file with --profiles. SIGHUP reads the certificate again (so does a change of its files);\n"
           "SIGTERM and SIGINT end the program after the requests under way. It needs no root, no capabilities and\n"
           "nowhere to write.\n"
           "\n"
           "Usage:\n  " PROGRAM " --tls-cert FILE --tls-key FILE [options]\n"
           "\n"
           "Example:\n  " PROGRAM " --tls-cert tls.crt --tls-key tls.key --profiles profiles.yaml\n"
           "\n"
           "Options:\n%s",
           buf_text(&text));
}

static int check_numbers(const struct options *options, struct err *err)
{
    if (options->workers < 0 || options->workers > WORKERS_MAX)
        return err_set(err, ERR_USAGE, "--workers must be 0 to %d", WORKERS_MAX);
    if (options->max_connections < 1 || options->max_connections > CONNECTIONS_MAX)
        return err_set(err, ERR_USAGE, "--max-connections must be 1 to %d", CONNECTIONS_MAX);
    if (options->max_per_peer < 0 || options->max_per_peer > CONNECTIONS_MAX)
        return err_set(err, ERR_USAGE, "--max-connections-per-peer must be 0 to %d", CONNECTIONS_MAX);
    if (options->certificate_delay_ms < 0)
        return err_set(err, ERR_USAGE, "--certificate-delay must not be negative");
    if (options->shutdown_delay_ms < 0)
        return err_set(err, ERR_USAGE, "--shutdown-delay must not be negative");
    return 0;
}

static int check(const struct options *options, const struct strv *args, struct err *err)
{
    if (args->n > 0)
        return err_set(err, ERR_USAGE, "unexpected argument '%s'", args->items[0]);
    if (options->tls_cert == NULL || options->tls_key == NULL)
        return err_set(err, ERR_USAGE, "--tls-cert and --tls-key are required");
    if (options->profiles != NULL && options->kubeconfig != NULL)
        return err_set(err, ERR_USAGE,
                       "--profiles and --kubeconfig exclude each other: where should profiles come from?");
    if (!streq(options->pod_validation, "Warn") && !streq(options->pod_validation, "Enforce"))
        return err_set(err, ERR_USAGE, "--pod-validation must be Warn or Enforce");
    int r = fargate_names_check(&options->names, err);
    return r < 0 ? r : check_numbers(options, err);
}

int options_parse(int argc, char **argv, struct options *ret, struct err *err)
{
    struct options o = {
        .listen = "0.0.0.0:8443", .log_level = "info", .pod_validation = "Warn", .max_connections = LIMIT_CONNECTIONS, .max_per_peer = 1024,
        .names = fargate_names_usual};
    bool version = false, help = false;
    const struct opt table[] = {
        {"listen", 0, OPT_STRING, &o.listen, "ADDRESS:PORT", "Where to serve; an IPv6 address in brackets."},
        {"tls-cert", 0, OPT_STRING, &o.tls_cert, "FILE", "PEM file of the server's certificate and its chain."},
        {"tls-key", 0, OPT_STRING, &o.tls_key, "FILE", "PEM file of the certificate's private key."},
        {"client-ca", 0, OPT_STRING, &o.client_ca, "FILE",
         "PEM file of CAs: reviews are only taken from clients that show a certificate of theirs."},
        {"certificate-delay", 0, OPT_DURATION, &o.certificate_delay_ms, "DURATION",
         "How long a change of these files waits before it is served: until API servers trust a new authority. SIGHUP takes it at "
         "once."},
        {"kubeconfig", 0, OPT_STRING, &o.kubeconfig, "FILE",
         "Connection file for watching profiles; without it, the pod's service account."},
        {"profiles", 0, OPT_STRING, &o.profiles, "FILE",
         "YAML file of FargateProfiles to use instead of the API server's; read again when it changes."},
        {"pod-validation", 0, OPT_STRING, &o.pod_validation, "MODE",
         "What becomes of pods that Fargate does not support, where their profile says nothing (spec.podValidation): Warn "
         "creates them with a warning, Enforce refuses them."},
        {"scheduler-name", 0, OPT_STRING, &o.names.scheduler, "NAME", "Scheduler that the pods of profiles are handed to."},
        {"profile-label", 0, OPT_STRING, &o.names.profile_label, "LABEL", "Label of these pods: which profile took them."},
        {"node-name-prefix", 0, OPT_STRING, &o.names.node_prefix, "PREFIX",
         "How names of the Nodes begin that only FKS may bind pods to."},
        {"workers", 0, OPT_INT, &o.workers, "NUMBER",
         "Threads that answer reviews; 0: one for each CPU that the program may use."},
        {"max-connections", 0, OPT_INT, &o.max_connections, "NUMBER",
         "Most connections at a time. Past it, the oldest that never sent a request make room."},
        {"max-connections-per-peer", 0, OPT_INT, &o.max_per_peer, "NUMBER",
         "Most connections from one address; 0: as many as there may be at all."},
        {"shutdown-delay", 0, OPT_DURATION, &o.shutdown_delay_ms, "DURATION",
         "How long to go on after SIGTERM while /readyz says no, until load balancers have noticed; every answer ends its "
         "connection meanwhile."},
        {"log-level", 0, OPT_STRING, &o.log_level, "LEVEL", "debug (a line for each review), info, warn or error."},
        {"version", 0, OPT_BOOL, &version, NULL, "Print the version and end."},
        {"help", 'h', OPT_BOOL, &help, NULL, "Print this help and end."},
        {.name = NULL},
    };
    const struct opt_tables tables = {.tables = {table}};
    CLEANUP(strv_done) struct strv args = {0};
    enum log_level level;

    int r = opt_parse(&tables, argc - 1, argv + 1, false, &args, NULL, err);
    if (r < 0)
        return r;
    if (help || version) {
        bool wants_help = help;
        help = version = false; /* usage shows the variables as defaults */
        if (wants_help)
            usage(table);
        else
            printf(PROGRAM " v" FKS_PROGRAM_VERSION "\n");
        return 1;
    }
    r = check(&o, &args, err);
    if (r == 0)
        r = log_level_parse(o.log_level, &level, err);
    if (r < 0)
        return r;
    log_init(PROGRAM, level);
    o.enforce = streq(o.pod_validation, "Enforce");
    *ret = o;
    return 0;
}
