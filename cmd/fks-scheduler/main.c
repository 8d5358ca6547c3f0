/*
 * fks-scheduler: the scheduler that pods of a FargateProfile name. It chooses a host for each pod, waits for the Node
 * that fks-node makes there, and binds the pod to it. See scheduler.h for the parts. It keeps nothing: it may be
 * killed and started again at any time.
 */
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "fargate/names.h"
#include "net/server.h"
#include "scheduler.h"

#define PROGRAM "fks-scheduler"

struct options {
    const char *kubeconfig, *scheduler_name, *metrics_listen, *log_level;
    bool version, help;
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
        {.name = "scheduler-name", .type = OPT_STRING, .value = &options->scheduler_name, .argument = "NAME",
         .help = "Pods whose spec.schedulerName is this are taken."},
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

static void on_signal(int number, void *data)
{
    log_info("signal received, ending", "signal", strsignal(number));
    loop_stop(data, 0);
}

static int run(const struct options *options, struct err *err)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(metrics_free) struct metrics *metrics = metrics_new();
    CLEANUP(kube_config_done) struct kube_config config = {0};
    CLEANUP(kube_client_free) struct kube_client *client = NULL;
    CLEANUP(server_free) struct server *server = NULL;
    const struct kube_overrides overrides = {.kubeconfig = options->kubeconfig};
    struct scheduler scheduler = {0};
    const struct server_options server_options = {.handler = on_request, .data = &scheduler};
    int r;

    (void)signal(SIGPIPE, SIG_IGN);
    if ((r = loop_new(&loop, err)) < 0 || (r = loop_signal(loop, SIGTERM, on_signal, loop, err)) < 0 ||
        (r = loop_signal(loop, SIGINT, on_signal, loop, err)) < 0)
        return r;
    if ((r = kube_config_load(&overrides, &config, err)) < 0 ||
        (r = kube_client_new(loop, &config, PROGRAM "/v" FKS_PROGRAM_VERSION, &client, err)) < 0)
        return r;
    if (*options->metrics_listen != '\0' && ((r = server_new(loop, &server_options, &server, err)) < 0 ||
                                             (r = listen_on(server, options->metrics_listen, err)) < 0))
        return r;
    r = scheduler_init(&scheduler, loop, client, options->scheduler_name, metrics, err);
    if (r >= 0) {
        log_info("started", "scheduler", options->scheduler_name, "server", config.server);
        r = loop_run(loop, err);
        scheduler_done(&scheduler);
    }
    return r;
}

int main(int argc, char **argv)
{
    struct options options = {.scheduler_name = FARGATE_SCHEDULER, .metrics_listen = "", .log_level = "info"};
    CLEANUP(err_clear) struct err err = {0};
    int r;

    log_init(PROGRAM, LOG_LEVEL_INFO);
    r = parse_options(argc, argv, &options, &err);
    if (r == 0)
        r = run(&options, &err);
    if (r >= 0)
        return 0;
    fprintf(stderr, PROGRAM ": %s\n", err_text(&err));
    return r == ERR_USAGE ? 2 : 1;
}
