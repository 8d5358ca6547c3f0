/*
 * fks-webhook: the admission server. The API server asks it about every new pod (/mutate) and about changes to pods
 * and FargateProfiles (/validate). This file is options, wiring and signals; see routes.h, admission.h and store.h.
 */
#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "certificates.h"
#include "routes.h"
#include "store.h"

#define PROGRAM "fks-webhook"

enum { DRAIN_MS = 10000 };

struct options {
    const char *listen, *tls_cert, *tls_key, *client_ca, *kubeconfig, *profiles, *log_level;
    bool version, help;
};

struct program {
    struct loop *loop;
    struct server *server;
    struct routes *routes;
    struct certificates *certificates;
    bool stopping;
};

static void usage(const struct opt *table, struct options *options)
{
    CLEANUP(buf_done) struct buf text = {0};

    options->help = options->version = false; /* help shows the variables as defaults */
    opt_help(table, &text);
    printf("Admission server of FKS: hands pods that match a FargateProfile to the serverless scheduler, and checks\n"
           "profiles.\n"
           "\n"
           "It serves HTTPS on one address: /mutate and /validate take AdmissionReviews (admission.k8s.io/v1) from the\n"
           "API server; /healthz, /readyz and /metrics are for probes and Prometheus. Profiles come from the API\n"
           "server, or from a file with --profiles. SIGHUP reads the certificate again (so does a change of its files);\n"
           "SIGTERM and SIGINT end the program after the requests under way.\n"
           "\n"
           "Usage:\n  " PROGRAM " --tls-cert FILE --tls-key FILE [options]\n"
           "\n"
           "Example:\n  " PROGRAM " --tls-cert tls.crt --tls-key tls.key --profiles profiles.yaml\n"
           "\n"
           "Options:\n%s",
           buf_text(&text));
}

/* 0: go on; 1: all was said, end well; negative: err says why not. */
static int parse_options(int argc, char **argv, struct options *options, struct err *err)
{
    const struct opt table[] = {
        {.name = "listen",
         .type = OPT_STRING,
         .value = &options->listen,
         .argument = "ADDRESS:PORT",
         .help = "Where to serve; an IPv6 address in brackets."},
        {.name = "tls-cert",
         .type = OPT_STRING,
         .value = &options->tls_cert,
         .argument = "FILE",
         .help = "PEM file of the server's certificate and its chain."},
        {.name = "tls-key",
         .type = OPT_STRING,
         .value = &options->tls_key,
         .argument = "FILE",
         .help = "PEM file of the certificate's private key."},
        {.name = "client-ca",
         .type = OPT_STRING,
         .value = &options->client_ca,
         .argument = "FILE",
         .help = "PEM file of CAs: reviews are only taken from clients that show a certificate of theirs."},
        {.name = "kubeconfig",
         .type = OPT_STRING,
         .value = &options->kubeconfig,
         .argument = "FILE",
         .help = "Connection file for watching profiles; without it, the pod's service account."},
        {.name = "profiles",
         .type = OPT_STRING,
         .value = &options->profiles,
         .argument = "FILE",
         .help = "YAML file of FargateProfiles to use instead of the API server's; read again when it changes."},
        {.name = "log-level",
         .type = OPT_STRING,
         .value = &options->log_level,
         .argument = "LEVEL",
         .help = "debug, info, warn or error."},
        {.name = "version", .type = OPT_BOOL, .value = &options->version, .help = "Print the version and end."},
        {.name = "help",
         .letter = 'h',
         .type = OPT_BOOL,
         .value = &options->help,
         .help = "Print this help and end."},
        {.name = NULL},
    };
    const struct opt_tables tables = {.tables = {table}};
    CLEANUP(strv_done) struct strv args = {0};
    enum log_level level;
    int r = opt_parse(&tables, argc - 1, argv + 1, false, &args, NULL, err);

    if (r < 0)
        return r;
    if (options->help || options->version) {
        if (!options->help)
            printf(PROGRAM " v" FKS_PROGRAM_VERSION "\n");
        else
            usage(table, options);
        return 1;
    }
    if (args.n > 0)
        return err_set(err, ERR_USAGE, "unexpected argument '%s'", args.items[0]);
    if (options->tls_cert == NULL || options->tls_key == NULL)
        return err_set(err, ERR_USAGE, "--tls-cert and --tls-key are required");
    if (options->profiles != NULL && options->kubeconfig != NULL)
        return err_set(err, ERR_USAGE,
                       "--profiles and --kubeconfig exclude each other: where should profiles come from?");
    r = log_level_parse(options->log_level, &level, err);
    if (r == 0)
        log_init(PROGRAM, level);
    return r;
}

static int listen_on(struct server *server, const char *text, struct server_listener **ret, struct err *err)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    int64_t port;

    if (len == 0)
        return err_set(err, ERR_USAGE, "--listen '%s' is not ADDRESS:PORT", text);
    bool brackets = text[0] == '[' && text[len - 1] == ']';
    CLEANUP(xfree) char *address = brackets ? xstrndup(text + 1, len - 2) : xstrndup(text, len);
    int r = parse_int(colon + 1, 0, 65535, &port, err);
    return r < 0 ? err_wrap(err, "--listen") : server_listen(server, address, (int)port, NULL, ret, err);
}

static void on_drained(void *data)
{
    struct program *program = data;

    log_info("all requests answered, ending");
    loop_stop(program->loop, 0);
}

static void on_stop_signal(int number, void *data)
{
    struct program *program = data;

    if (program->stopping) {
        log_warn("second signal, ending at once", "signal", strsignal(number));
        loop_stop(program->loop, 0);
        return;
    }
    log_info("signal received, finishing requests", "signal", strsignal(number));
    program->stopping = true;
    routes_stop(program->routes);
    server_drain(program->server, DRAIN_MS, on_drained, program);
}

static void on_hangup(UNUSED int number, void *data)
{
    struct program *program = data;

    certificates_reload(program->certificates);
}

static int connect_store(struct loop *loop, const struct options *options, struct metrics *metrics,
                         struct kube_client **ret_client, struct store **ret, struct err *err)
{
    CLEANUP(kube_config_done) struct kube_config config = {0};
    const struct kube_overrides overrides = {.kubeconfig = options->kubeconfig};
    int r;

    if (options->profiles != NULL)
        return store_new_file(loop, options->profiles, metrics, ret, err);
    if (options->kubeconfig != NULL)
        r = kube_config_load(&overrides, &config, err);
    else
        r = kube_config_in_cluster(&config, err);
    if (r < 0 && options->kubeconfig == NULL)
        return err_wrap(err, "no source of profiles (give --kubeconfig or --profiles when not running in a pod)");
    if (r < 0 || (r = kube_client_new(loop, &config, PROGRAM "/v" FKS_PROGRAM_VERSION, ret_client, err)) < 0)
        return r;
    *ret = store_new_watch(loop, *ret_client, metrics);
    return 0;
}

static int connect_signals(struct program *program, struct err *err)
{
    int r = loop_signal(program->loop, SIGTERM, on_stop_signal, program, err);

    if (r == 0)
        r = loop_signal(program->loop, SIGINT, on_stop_signal, program, err);
    if (r == 0)
        r = loop_signal(program->loop, SIGHUP, on_hangup, program, err);
    return r;
}

static int run(const struct options *options, struct err *err)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(metrics_free) struct metrics *metrics = metrics_new();
    CLEANUP(kube_client_free) struct kube_client *client = NULL;
    CLEANUP(store_free) struct store *store = NULL;
    CLEANUP(routes_free) struct routes *routes = NULL;
    CLEANUP(certificates_free) struct certificates *certificates = NULL;
    CLEANUP(server_free) struct server *server = NULL;
    struct server_listener *listener = NULL;
    const struct certificates_files files = {options->tls_cert, options->tls_key, options->client_ca};
    int r;

    (void)signal(SIGPIPE, SIG_IGN);
    if ((r = loop_new(&loop, err)) < 0 || (r = certificates_new(loop, &files, metrics, &certificates, err)) < 0 ||
        (r = connect_store(loop, options, metrics, &client, &store, err)) < 0)
        return r;
    routes = routes_new(store, metrics, options->client_ca != NULL);
    const struct server_options server_options = {
        .handler = routes_handle, .data = routes, .tls = certificates_context(certificates)};
    if ((r = server_new(loop, &server_options, &server, err)) < 0 ||
        (r = listen_on(server, options->listen, &listener, err)) < 0)
        return r;
    certificates_serve(certificates, server);
    routes_serve(routes, server);

    struct program program = {.loop = loop, .server = server, .routes = routes, .certificates = certificates};
    r = connect_signals(&program, err);
    if (r < 0)
        return r;
    CLEANUP(xfree) char *port = xasprintf("%d", server_listener_port(listener));
    log_info("serving", "listen", options->listen, "port", port, "profiles",
             options->profiles != NULL ? options->profiles : "API server");
    return loop_run(loop, err);
}

int main(int argc, char **argv)
{
    struct options options = {.listen = "0.0.0.0:8443", .log_level = "info"};
    CLEANUP(err_clear) struct err err = {0};

    log_init(PROGRAM, LOG_LEVEL_INFO);
    int r = parse_options(argc, argv, &options, &err);
    if (r == 0)
        r = run(&options, &err);
    if (r >= 0)
        return 0;
    if (r == ERR_USAGE)
        fprintf(stderr, "error: %s\nSee '" PROGRAM " --help' for usage.\n", err_text(&err));
    else
        log_error("cannot go on", "error", err_text(&err));
    return r == ERR_USAGE ? 2 : 1;
}
