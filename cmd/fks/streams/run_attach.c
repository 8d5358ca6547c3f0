/*
 * run_attach.c: `run --attach`: waits for the pod, shows what it has said before, joins its streams, and gives its exit
 * code. Where attaching fails, as it does when the container has ended meanwhile, the logs tell the rest.
 */
#include "streams/run_attach.h"
#include "objects/pods.h"
#include "objects/watch.h"
#include "streams/stream.h"

#include "base/clock.h"
#include "base/mem.h"

struct joining {
    bool for_end;     /* until the pod has ended, else until it is ready or has ended */
    bool for_success; /* a pod that restarts after failures ends only well */
    struct json *pod; /* as it was last seen; owned */
    bool done, deleted;
};

static bool is_ready(const struct json *pod)
{
    const struct json *condition;
    json_each(condition, json_get(pod, "status", "conditions", NULL)) {
        if (streq(json_str(condition, "type", NULL), "Ready"))
            return streq(json_str(condition, "status", NULL), "True");
    }
    return false;
}

static bool has_ended(const struct json *pod, bool only_well)
{
    const char *phase = json_str_or("", pod, "status", "phase", NULL);
    return streq(phase, "Succeeded") || (!only_well && streq(phase, "Failed"));
}

static bool on_pod(const char *type, const struct json *object, void *data)
{
    struct joining *joining = data;
    json_free(joining->pod);
    joining->pod = json_clone(object);
    joining->deleted = streq(type, "DELETED");
    joining->done = has_ended(object, joining->for_success) || (!joining->for_end && is_ready(object));
    return !joining->done && !joining->deleted;
}

/* Watches the pod until it is as joining says; its timeout is --pod-running-timeout. */
static int wait_for_pod(const struct run_attach *attach, struct joining *joining, struct err *err)
{
    struct cli *cli = attach->cli;
    const char *name = attach->name;
    CLEANUP(xfree) char *one = kube_path("", "v1", cli_namespace(cli), "pods", name, NULL);
    CLEANUP(xfree) char *all = kube_path("", "v1", cli_namespace(cli), "pods", NULL, NULL);
    int64_t deadline = clock_monotonic_ms() + attach->timeout_ms;
    while (!joining->done && !joining->deleted) {
        CLEANUP(json_free) struct json *pod = NULL;
        const struct kube_request request = {.path = one};
        int64_t left = deadline - clock_monotonic_ms();
        bool ended_by_server = false;
        if (left <= 0)
            return err_set(err, ERR_TIMEOUT, "timed out waiting for the condition");
        if (cli_do(cli, &request, &pod, err) < 0)
            return err->code;
        if (!on_pod("MODIFIED", pod, joining))
            break;
        const struct watch_request watch = {.path = all,
                                            .name = name,
                                            .resource_version = json_str(pod, "metadata", "resourceVersion", NULL),
                                            .timeout_ms = left};
        if (watch_run(cli, &watch, on_pod, joining, &ended_by_server, err) == ERR_TIMEOUT)
            err_clear(err);
        if (err->code != 0)
            return err->code;
    }
    return joining->deleted ? err_set(err, ERR_NOT_FOUND, "pods \"%s\" not found", name) : 0;
}

/* The exit code of the container, told when it is not 0. */
static int exit_code_of(const struct json *pod)
{
    const struct json *state =
        json_get(json_at(json_get(pod, "status", "containerStatuses", NULL), 0), "state", "terminated", NULL);
    const char *namespace = json_str_or("", pod, "metadata", "namespace", NULL),
               *name = json_str_or("", pod, "metadata", "name", NULL);
    int64_t code = json_int_or(0, state, "exitCode", NULL);
    if (streq(json_str(pod, "status", "phase", NULL), "Succeeded"))
        return 0;
    if (code == 0)
        return cli_error("pod %s/%s failed with unknown exit code", namespace, name);
    fprintf(stderr, "pod %s/%s terminated (%s)\n%s\n", namespace, name, json_str_or("", state, "reason", NULL),
            json_str_or("", state, "message", NULL));
    return (int)code;
}

/* Shows the container's log from the `shown` bytes on that have been shown before. */
static int show_logs(const struct run_attach *attach, const struct json *pod, size_t *shown, struct err *err)
{
    const char *container = NULL;
    CLEANUP(buf_done) struct buf path = {0}, text = {0};
    CLEANUP(xfree)
    char *plain = kube_path("", "v1", json_str(pod, "metadata", "namespace", NULL), "pods", attach->name, "log");
    if (pods_choose_container(pod, attach->container, true, &container, err) < 0)
        return err->code;
    buf_add_str(&path, plain);
    kube_path_query(&path, "container", container);
    const struct kube_request request = {.path = buf_text(&path)};
    if (kube_do_raw(attach->cli->client, &request, NULL, NULL, &text, err) < 0)
        return err->code;
    if (text.len > *shown)
        (void)fwrite(text.data + *shown, 1, text.len - *shown, stdout);
    (void)fflush(stdout);
    *shown = text.len;
    return 0;
}

static int join_streams(const struct run_attach *attach, const struct json *pod, struct err *err)
{
    const char *container = NULL;
    bool tty = stream_wants_tty(attach->use_stdin, attach->tty, attach->quiet);
    CLEANUP(buf_done) struct buf path = {0};
    CLEANUP(xfree)
    char *plain = kube_path("", "v1", json_str(pod, "metadata", "namespace", NULL), "pods", attach->name, "attach");
    if (pods_choose_container(pod, attach->container, true, &container, err) < 0)
        return err->code;
    buf_add_str(&path, plain);
    kube_path_query(&path, "container", container);
    if (attach->use_stdin)
        kube_path_query(&path, "stdin", "true");
    kube_path_query(&path, "stdout", "true");
    kube_path_query(&path, tty ? "tty" : "stderr", "true");
    const struct stream_options options = {
        .path = buf_text(&path), .use_stdin = attach->use_stdin, .tty = tty, .quiet = attach->quiet, .redraw = true};
    int exit_code = 0;
    if (!attach->quiet)
        stream_warn_of_logs();
    return stream_run(attach->cli, &options, &exit_code, err);
}

int run_attach_join(const struct run_attach *attach, const struct json *pod, bool ended)
{
    CLEANUP(err_clear) struct err no_logs = {0}, no_attach = {0}, lost = {0};
    size_t shown = 0;
    int code = show_logs(attach, pod, &shown, &no_logs);
    if (ended)
        return code < 0 ? cli_fail(attach->cli, &no_logs) : 0;
    if (code < 0)
        fprintf(stderr, "warning: couldn't fetch pre-attach logs: %s\n", err_text(&no_logs));
    if (join_streams(attach, pod, &no_attach) == 0)
        return 0;
    fprintf(stderr, "warning: couldn't attach to pod/%s, falling back to streaming logs: %s\n", attach->name,
            err_text(&no_attach));
    return show_logs(attach, pod, &shown, &lost) < 0 ? cli_fail(attach->cli, &lost) : 0;
}

int run_attach(const struct run_attach *attach)
{
    CLEANUP(err_clear) struct err err = {0};
    struct joining start = {0}, end = {.for_end = true, .for_success = attach->for_success};
    int code = 0;
    if (wait_for_pod(attach, &start, &err) < 0)
        code = cli_fail(attach->cli, &err);
    else
        code = run_attach_join(attach, start.pod, has_ended(start.pod, false));
    if (code == 0 && attach->wait_for_end) {
        if (wait_for_pod(attach, &end, &err) < 0)
            code = cli_fail(attach->cli, &err);
        else
            code = exit_code_of(end.pod);
    }
    json_free(start.pod);
    json_free(end.pod);
    return code;
}
