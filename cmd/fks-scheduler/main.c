/*
 * fks-scheduler: the scheduler that pods of a FargateProfile name. It chooses a host for each pod, waits for the Node
 * that fks-node makes there, and binds the pod to it. See scheduler.h for the parts. It keeps nothing: it may be
 * killed and started again at any time.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/opt.h"
#include "fargate/names.h"
#include "net/server.h"
#include "registration.h"
#include "scheduler.h"

#define PROGRAM "fks-scheduler"

struct options {
    struct fargate_names names;
    const char *kubeconfig, *metrics_listen, *log_level, *identity, *placement, *registration;
    bool leader_elect, version, help;
};

static void usage(const struct opt *table)
{
    CLEANUP(buf_done) struct buf text = {0};

    opt_help(table, &text);
    printf("Schedules the pods of FargateProfiles: a right-sized place on a host for each.\n\nUsage:\n  " PROGRAM
           " [options]\n\nOptions:\n%s", buf_text(&text));
}

/* 0: go on; 1: all was said, end well; negative: err says why not. */
static int parse_options(int argc, char **argv, struct options *options, struct err *err)
{
    const struct opt table[] = {
        {.name = "kubeconfig", .type = OPT_STRING, .value = &options->kubeconfig, .argument = "FILE",
         .help = "Connection file; without it as kubectl: $KUBECONFIG, ~/.kube/config, the pod's service account."},
        {.name = "scheduler-name", .type = OPT_STRING, .value = &options->names.scheduler, .argument = "NAME",
         .help = "Pods whose spec.schedulerName is this are taken."},
        {.name = "profile-label", .type = OPT_STRING, .value = &options->names.profile_label, .argument = "LABEL",
         .help = "Label of these pods: which profile took them."},
        {.name = "placement", .type = OPT_STRING, .value = &options->placement, .argument = "POLICY",
         .help = "spread: the emptiest host of the emptiest zone; pack: the fullest one that has room."},
        {.name = "leader-elect", .type = OPT_BOOL, .value = &options->leader_elect,
         .help = "Act only while holding the Lease " FKS_NAMESPACE "/" LEADER_LEASE_NAME ", so that several replicas may run."},
        {.name = "leader-identity", .type = OPT_STRING, .value = &options->identity, .argument = "NAME",
         .help = "This replica's name in the Lease, unlike that of any other; a restart under the same name goes on at "
                 "once. Default: host name and a random number."},
        {.name = "webhook-registration", .type = OPT_STRING, .value = &options->registration, .argument = "NAME",
         .help = "Where FKS runs as pods: keep the registrations of fks-webhook that this ConfigMap of " FKS_NAMESPACE
                 " holds, and make the webhook's certificate."},
        {.name = "metrics-listen", .type = OPT_STRING, .value = &options->metrics_listen, .argument = "ADDRESS:PORT",
         .help = "Where /metrics, /healthz and /readyz are served, by plain HTTP; empty: nowhere."},
        {.name = "log-level", .type = OPT_STRING, .value = &options->log_level, .argument = "LEVEL",
         .help = "debug, info, warn or error."},
        {.name = "version", .type = OPT_BOOL, .value = &options->version, .help = "Print the version and end."},
        {.name = "help", .letter = 'h', .type = OPT_BOOL, .value = &options->help, .help = "Print this help and end."},
        {.name = NULL},
    };
    const struct opt_tables tables = {.tables = {table}};
    CLEANUP(strv_done) struct strv args = {0};
    enum log_level level;
    int r = opt_parse(&tables, argc - 1, argv + 1, false, &args, NULL, err);

    if (r < 0)
        return r;
    if (args.n > 0)
        return err_set(err, ERR_USAGE, "unexpected argument '%s'", args.items[0]);
    if (!streq(options->placement, "spread") && !streq(options->placement, "pack"))
        return err_set(err, ERR_USAGE, "--placement '%s' is neither spread nor pack", options->placement);
    if (options->help || options->version) {
        if (options->help)
            usage(table);
        else
            printf(PROGRAM " v" FKS_PROGRAM_VERSION "\n");
        return 1;
    }
    r = log_level_parse(options->log_level, &level, err);
    if (r >= 0)
        log_init(PROGRAM, level);
    return r;
}

static void on_request(struct server_request *request, void *data)
{
    struct scheduler *scheduler = data;
    CLEANUP(buf_done) struct buf text = {0};

    if (server_request_is(request, "GET", "/metrics")) {
        scheduler_measure(scheduler);
        metrics_print(scheduler->metrics, &text);
        server_respond(request, 200, "text/plain; version=0.0.4", buf_text(&text), text.len);
    } else if (server_request_is(request, "GET", "/healthz")) {
        server_respond_text(request, 200, "ok\n");
    } else if (server_request_is(request, "GET", "/readyz")) {
        server_respond_text(request, scheduler->ready ? 200 : 503, scheduler->ready ? "ok\n" : "waiting for lists\n");
    } else {
        server_respond_text(request, 404, "there are /metrics, /healthz and /readyz\n");
    }
}

/* text is "127.0.0.1:10259" or "[::1]:10259". */
static int listen_on(struct server *server, const char *text, struct err *err)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    int64_t port;
    int r;

    if (len == 0)
        return err_set(err, ERR_USAGE, "--metrics-listen '%s' is not ADDRESS:PORT", text);
    bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
    CLEANUP(xfree) char *address = brackets ? xstrndup(text + 1, len - 2) : xstrndup(text, len);
    r = parse_int(colon + 1, 1, 65535, &port, err);
    return r < 0 ? err_wrap(err, "--metrics-listen") : server_listen(server, address, (int)port, NULL, NULL, err);
}

static void end(void *data)
{
    struct scheduler *scheduler = data;

    loop_stop(scheduler->loop, 0);
}

/* The Lease is given up first, so that another replica goes on at once. */
static void on_signal(int number, void *data)
{
    struct scheduler *scheduler = data;

    log_info("signal received, ending", "signal", strsignal(number));
    if (scheduler->leader != NULL)
        leader_resign(scheduler->leader, end, scheduler);
}

/* "HOST_1a2b3c4d": unlike any other replica's, also on the same host. Heap. */
static char *make_identity(void)
{
    char host[256] = "", random[9];

    if (gethostname(host, sizeof(host) - 1) < 0)
        host[0] = '\0';
    random_hex(random, 8);
    return xasprintf("%.200s_%s", host, random);
}

static struct registration *start_registration(const char *config_map, const struct scheduler *scheduler)
{
    const struct registration_options options = {
        .config_map = config_map, .leader = scheduler->leader, .metrics = scheduler->metrics};

    return registration_new(scheduler->loop, scheduler->client, &options);
}

static int run(const struct options *options, struct err *err)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(metrics_free) struct metrics *metrics = metrics_new();
    CLEANUP(kube_config_done) struct kube_config config = {0};
    CLEANUP(kube_client_free) struct kube_client *client = NULL;
    CLEANUP(server_free) struct server *server = NULL;
    const struct kube_overrides overrides = {.kubeconfig = options->kubeconfig};
    CLEANUP(xfree) char *identity = options->identity != NULL ? xstrdup(options->identity) : make_identity();
    struct scheduler scheduler = {0};
    struct registration *registration = NULL;
    const struct scheduler_options scheduler_options = {
        .names = options->names,
        .identity = options->leader_elect ? identity : NULL,
        .policy = streq(options->placement, "pack") ? PLACE_PACK : PLACE_SPREAD,
    };
    const struct server_options server_options = {.handler = on_request, .data = &scheduler};
    int r;

    (void)signal(SIGPIPE, SIG_IGN);
    if ((r = loop_new(&loop, err)) < 0 || (r = loop_signal(loop, SIGTERM, on_signal, &scheduler, err)) < 0 ||
        (r = loop_signal(loop, SIGINT, on_signal, &scheduler, err)) < 0)
        return r;
    if ((r = kube_config_load(&overrides, &config, err)) < 0 ||
        (r = kube_client_new_light(loop, &config, PROGRAM "/v" FKS_PROGRAM_VERSION, &client, err)) < 0)
        return r;
    if (*options->metrics_listen != '\0' && ((r = server_new(loop, &server_options, &server, err)) < 0 ||
                                             (r = listen_on(server, options->metrics_listen, err)) < 0))
        return r;
    r = scheduler_init(&scheduler, loop, client, &scheduler_options, metrics, err);
    if (r >= 0) {
        log_info("started", "scheduler", options->names.scheduler, "server", config.server, "identity",
                 scheduler_options.identity);
        if (options->registration != NULL)
            registration = start_registration(options->registration, &scheduler);
        r = loop_run(loop, err);
        registration_free(registration);
        scheduler_done(&scheduler);
    }
    return r;
}

int main(int argc, char **argv)
{
    struct options options = {.names = fargate_names_usual, .metrics_listen = "", .log_level = "info",
                              .placement = "spread", .leader_elect = true};
    CLEANUP(err_clear) struct err err = {0};
    int r;

    log_init(PROGRAM, LOG_LEVEL_INFO);
    proc_allow_files();
    r = parse_options(argc, argv, &options, &err);
    if (r == 0)
        r = run(&options, &err);
    if (r >= 0)
        return 0;
    fprintf(stderr, PROGRAM ": %s\n", err_text(&err));
    return r == ERR_USAGE ? 2 : 1;
}
