/*
 * logs.c: `logs`: the output of containers. One stream after the other, or all at once on an event loop with -f;
 * lines are kept whole when several streams mix.
 */
#include "objects/pods.h"

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "text/gotime.h"

#define LINE_MAX_BYTES ((size_t)1 << 20) /* a longer line is passed on in pieces */

struct logs {
    struct cli *cli;
    const char *container, *label_selector, *since_time;
    bool follow, previous, timestamps, all_containers, all_pods, prefix, ignore_errors, insecure_backend;
    bool tail_seen, container_seen;
    int64_t tail, since_ms, limit_bytes, max_requests, pod_timeout_ms;
};

/* One container's log. */
struct source {
    struct logs *logs;
    char *path, *prefix; /* prefix: "[pod/web/c] " or NULL */
    struct buf line;
    struct err err;
    struct follow *follow;
};

struct sources {
    struct source **list;
    size_t n, cap;
};

struct follow {
    struct loop *loop;
    size_t n_open;
    bool failed;
};

static void sources_done(struct sources *sources)
{
    for (size_t i = 0; i < sources->n; i++) {
        free(sources->list[i]->path);
        free(sources->list[i]->prefix);
        buf_done(&sources->list[i]->line);
        err_clear(&sources->list[i]->err);
        free(sources->list[i]);
    }
    free(sources->list);
}
DEFINE_CLEANUP_IN_PLACE(struct sources, sources_done)

/* --- which logs */

static void query_int(struct buf *path, const char *key, int64_t value)
{
    CLEANUP(xfree) char *text = xasprintf("%lld", (long long)value);
    kube_path_query(path, key, text);
}

/* To the nearest second, as kubectl; less than half a second becomes 0, which the server refuses. */
static int64_t since_seconds(const struct logs *logs)
{
    return (logs->since_ms + (logs->since_ms < 0 ? -500 : 500)) / 1000;
}

static void add_source(struct logs *logs, const struct json *pod, const char *container, struct sources *sources)
{
    const char *name = json_str_or("", pod, "metadata", "name", NULL);
    CLEANUP(xfree) char *plain = kube_path("", "v1", json_str(pod, "metadata", "namespace", NULL), "pods", name, "log");
    struct buf path = {0};
    buf_add_str(&path, plain);
    kube_path_query(&path, "container", container);
    if (logs->follow)
        kube_path_query(&path, "follow", "true");
    if (logs->previous)
        kube_path_query(&path, "previous", "true");
    if (logs->timestamps)
        kube_path_query(&path, "timestamps", "true");
    if (logs->insecure_backend)
        kube_path_query(&path, "insecureSkipTLSVerifyBackend", "true");
    if (logs->since_ms != 0)
        query_int(&path, "sinceSeconds", since_seconds(logs));
    if (logs->since_time != NULL)
        kube_path_query(&path, "sinceTime", logs->since_time);
    if (logs->limit_bytes > 0)
        query_int(&path, "limitBytes", logs->limit_bytes);
    if (logs->tail >= 0)
        query_int(&path, "tailLines", logs->tail);

    GROW(sources->list, sources->n, sources->cap);
    struct source *source = NEW(struct source);
    source->logs = logs;
    source->path = buf_take(&path);
    source->prefix = logs->prefix ? xasprintf("[pod/%s/%s] ", name, container) : NULL;
    sources->list[sources->n++] = source;
}

static int add_pod(struct logs *logs, const struct json *pod, struct sources *sources, struct err *err)
{
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    if (!logs->all_containers) {
        const char *container = NULL;
        if (pods_choose_container(pod, logs->container, logs->all_pods, &container, err) < 0)
            return err->code;
        add_source(logs, pod, container, sources);
        return 0;
    }
    for (size_t i = 0; i < countof(lists); i++) {
        const struct json *container;
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            add_source(logs, pod, json_str_or("", container, "name", NULL), sources);
    }
    return 0;
}

static int add_selected(struct logs *logs, struct sources *sources, struct err *err)
{
    if (cli_connect(logs->cli, err) < 0)
        return err->code;
    CLEANUP(buf_done) struct buf path = {0};
    CLEANUP(xfree) char *collection = kube_path("", "v1", cli_namespace(logs->cli), "pods", NULL, NULL);
    buf_add_str(&path, collection);
    kube_path_query(&path, "labelSelector", logs->label_selector);
    const struct kube_request request = {.path = buf_text(&path)};
    CLEANUP(json_free) struct json *list = NULL;
    if (cli_do(logs->cli, &request, &list, err) < 0)
        return err->code;
    const struct json *pod, *pods = json_get(list, "items", NULL);
    if (json_len(pods) == 0)
        fprintf(stderr, "No resources found in %s namespace.\n", cli_namespace(logs->cli));
    json_each(pod, pods) {
        if (add_pod(logs, pod, sources, err) < 0)
            return err->code;
    }
    return 0;
}

static int add_object(struct logs *logs, const char *argument, struct sources *sources, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL, *pods = NULL;
    if (pods_read_object(logs->cli, argument, &object, err) < 0) {
        if (err->code != ERR_NOT_FOUND || err->http_status != 404)
            return err->code;
        CLEANUP(xfree) char *text = xstrdup(err_text(err));
        err_clear(err);
        return err_set(err, ERR_NOT_FOUND, "error: error from server (NotFound): %s in namespace \"%s\"", text,
                       cli_namespace(logs->cli));
    }
    if (pods_of_object(logs->cli, object, PODS_FOR_LOGS, logs->pod_timeout_ms, &pods, err) < 0)
        return err->code;
    size_t n = json_len(pods);
    if (n > 1 && !logs->all_pods)
        fprintf(stderr, "Found %zu pods, using pod/%s\n", n,
                json_str_or("", json_at(pods, 0), "metadata", "name", NULL));
    for (size_t i = 0; i < (logs->all_pods ? n : 1); i++) {
        if (add_pod(logs, json_at(pods, i), sources, err) < 0)
            return err->code;
    }
    return 0;
}

/* --- moving bytes */

static void write_line(struct source *source)
{
    if (source->line.len == 0)
        return;
    if (source->prefix != NULL)
        fputs(source->prefix, stdout);
    fwrite(source->line.data, 1, source->line.len, stdout);
    buf_clear(&source->line);
}

static bool on_bytes(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    (void)response;
    struct source *source = data;
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t n = end != NULL ? (size_t)(end - bytes) + 1 : len;
        buf_add(&source->line, bytes, n);
        bytes += n;
        len -= n;
        if (end != NULL || source->line.len > LINE_MAX_BYTES)
            write_line(source);
    }
    return fflush(stdout) == 0;
}

/* With -f a log that the server cannot give yet (the container is being made) is asked for again every second. */
static int read_source(struct logs *logs, struct source *source)
{
    int64_t deadline = clock_monotonic_ms() + logs->pod_timeout_ms;
    for (;;) {
        const struct kube_request request = {.path = source->path, .timeout_ms = INT32_MAX};
        int code = kube_do_raw(logs->cli->client, &request, on_bytes, source, NULL, &source->err);
        write_line(source);
        if (code == 0 || !logs->follow || logs->ignore_errors || source->err.http_status == 0)
            return code;
        fprintf(stderr, "%s\n", err_text(&source->err));
        if (clock_monotonic_ms() >= deadline) {
            err_clear(&source->err);
            return err_set(&source->err, ERR_TIMEOUT, "timed out waiting for the condition");
        }
        err_clear(&source->err);
        const struct timespec pause = {.tv_sec = 1};
        (void)nanosleep(&pause, NULL);
    }
}

static int read_sequentially(struct logs *logs, struct sources *sources)
{
    for (size_t i = 0; i < sources->n; i++) {
        struct source *source = sources->list[i];
        int code = read_source(logs, source);
        if (code < 0 && ferror(stdout))
            return 1; /* the reader of our output has gone */
        if (code < 0 && logs->ignore_errors)
            printf("error: %s\n", err_text(&source->err));
        else if (code < 0)
            return cli_fail(logs->cli, &source->err);
    }
    return 0;
}

static void on_end(struct json **answer, struct err *err, void *data)
{
    (void)answer;
    struct source *source = data;
    struct follow *follow = source->follow;
    write_line(source);
    (void)fflush(stdout);
    if (err->code != 0 && source->logs->ignore_errors) {
        printf("error: %s\n", err_text(err));
    } else if (err->code != 0) {
        follow->failed = true;
        (void)cli_fail(source->logs->cli, err);
    }
    if (--follow->n_open == 0 || follow->failed)
        loop_stop(follow->loop, follow->failed ? 1 : 0);
}

static int follow_all(struct logs *logs, struct sources *sources)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(loop_free) struct loop *loop = NULL;
    if (loop_new(&loop, &err) < 0)
        return cli_fail(logs->cli, &err);
    CLEANUP(kube_client_free) struct kube_client *client = NULL;
    if (kube_client_new(loop, &logs->cli->config, "fks/v" FKS_PROGRAM_VERSION, &client, &err) < 0)
        return cli_fail(logs->cli, &err);
    struct follow follow = {.loop = loop, .n_open = sources->n};
    for (size_t i = 0; i < sources->n; i++) {
        struct source *source = sources->list[i];
        source->follow = &follow;
        const struct kube_request request = {.path = source->path};
        (void)kube_stream(client, &request, on_bytes, on_end, source);
    }
    int code = loop_run(loop, &err);
    return code < 0 ? cli_fail(logs->cli, &err) : code;
}

/* --- the command */

static int check_options(const struct logs *logs, const struct strv *args, struct err *err)
{
    static const char usage[] = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
                                "POD or TYPE/NAME is a required argument for the logs command";
    const char *program = logs->cli->program;
    if ((args->n == 0 && logs->label_selector == NULL) || args->n > 2)
        return err_set(err, ERR_USAGE, "%s\nSee '%s logs -h' for help and examples", usage, program);
    if (args->n == 1 && logs->label_selector != NULL)
        return err_set(err, ERR_USAGE,
                       "only a selector (-l) or a POD name is allowed\nSee '%s logs -h' for help and examples",
                       program);
    if (logs->pod_timeout_ms <= 0)
        return err_set(err, ERR_USAGE, "--pod-running-timeout must be higher than zero");
    if (logs->since_time != NULL && gotime_check(logs->since_time, err) < 0)
        return err->code;
    if (logs->since_time != NULL && logs->since_ms != 0)
        return err_set(err, ERR_USAGE, "at most one of `sinceTime` or `sinceSeconds` may be specified");
    if (logs->all_containers && logs->container != NULL)
        return err_set(err, ERR_USAGE, "--all-containers=true should not be specified with container name %s",
                       logs->container);
    if (logs->container_seen && args->n == 2)
        return err_set(err, ERR_USAGE, "only one of -c or an inline [CONTAINER] arg is allowed");
    if (logs->limit_bytes < 0)
        return err_set(err, ERR_USAGE, "--limit-bytes must be greater than 0");
    if (since_seconds(logs) < 0)
        return err_set(err, ERR_USAGE, "--since must be greater than 0");
    if (logs->tail < -1)
        return err_set(err, ERR_USAGE, "--tail must be greater than or equal to -1");
    return 0;
}

static int run_logs(struct logs *logs, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(sources_done) struct sources sources = {0};
    if (strempty(logs->since_time)[0] == '\0')
        logs->since_time = NULL;
    if (check_options(logs, args, &err) < 0)
        return cli_fail(logs->cli, &err);
    if (args->n == 2)
        logs->container = args->items[1];
    if (logs->label_selector != NULL && !logs->tail_seen)
        logs->tail = 10; /* many pods at once: only the last lines of each */
    logs->prefix = logs->prefix || logs->all_pods;
    int code = logs->label_selector != NULL ? add_selected(logs, &sources, &err)
                                            : add_object(logs, args->items[0], &sources, &err);
    if (code < 0)
        return cli_fail(logs->cli, &err);
    if (!logs->follow || sources.n < 2)
        return read_sequentially(logs, &sources);
    if ((int64_t)sources.n > logs->max_requests)
        return cli_error("you are attempting to follow %zu log streams, but maximum allowed concurrency is %lld, use "
                         "--max-log-requests to increase the limit",
                         sources.n, (long long)logs->max_requests);
    return follow_all(logs, &sources);
}

int command_logs(struct cli *cli, int argc, char **argv)
{
    struct logs logs = {.cli = cli, .tail = -1, .max_requests = 5, .pod_timeout_ms = 20000};
    const struct opt options[] = {
        {"all-containers", 0, OPT_BOOL, &logs.all_containers, NULL, "Logs of all containers of the pods."},
        {"all-pods", 0, OPT_BOOL, &logs.all_pods, NULL, "Logs of all pods; sets --prefix."},
        {"container", 'c', OPT_STRING, &logs.container, "", "The container.", NULL, &logs.container_seen},
        {"follow", 'f', OPT_BOOL, &logs.follow, NULL, "Keep showing what is written."},
        {"ignore-errors", 0, OPT_BOOL, &logs.ignore_errors, NULL, "Go on when a log cannot be read."},
        {"insecure-skip-tls-verify-backend", 0, OPT_BOOL, &logs.insecure_backend, NULL,
         "The API server shall not verify the kubelet's certificate."},
        {"limit-bytes", 0, OPT_INT, &logs.limit_bytes, "0", "At most so many bytes of each log."},
        {"max-log-requests", 0, OPT_INT, &logs.max_requests, "5", "At most so many logs are followed at once."},
        {"pod-running-timeout", 0, OPT_DURATION, &logs.pod_timeout_ms, "20s",
         "How long to wait until at least one pod is running."},
        {"prefix", 0, OPT_BOOL, &logs.prefix, NULL, "Begin each line with its pod and container."},
        {"previous", 'p', OPT_BOOL, &logs.previous, NULL, "Logs of the container's previous instance."},
        SELECTION_LABEL_OPTION(&logs),
        {"since", 0, OPT_DURATION, &logs.since_ms, "0s", "Only what is newer than this duration."},
        {"since-time", 0, OPT_STRING, &logs.since_time, "", "Only what is newer than this time (RFC 3339)."},
        {"tail", 0, OPT_INT, &logs.tail, "-1",
         "Only the last lines of each log; -1: all, with a selector 10.", NULL, &logs.tail_seen},
        {"timestamps", 0, OPT_BOOL, &logs.timestamps, NULL, "Begin each line with its time."},
        {0},
    };
    const struct cli_command command = {
        .words = "logs",
        .usage = "[-f] [-p] (POD | TYPE/NAME) [-c CONTAINER] [options]",
        .about = "Print the logs for a container in a pod or specified resource.",
        .examples = "  # The log of a pod\n  fks logs web-0\n\n  # Follow all pods with a label\n"
                    "  fks logs -f -l app=web --all-containers --prefix\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_logs(&logs, &args);
    return code;
}
