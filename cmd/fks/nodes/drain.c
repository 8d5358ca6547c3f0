/*
 * drain.c: `drain`: cordons nodes, then evicts their pods and waits until they are gone. An eviction that a disruption
 * budget forbids for the moment is tried again; all pods of a node are under way at once.
 */
#include "nodes/drain.h"

#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "objects/selector.h"

#define RETRY_MS 5000
#define POLL_MS 1000

/* One pod on its way out. */
struct leaving {
    struct json *pod;
    enum { LEAVING_ASK, LEAVING_WAIT, LEAVING_GONE } state;
    int64_t due_ms; /* when to go on with it */
};

struct leavings {
    struct leaving *list;
    size_t n;
    const char *eviction_version; /* "policy/v1"; NULL: pods are deleted */
    int64_t deadline_ms;          /* 0: none */
    struct failures failures;
};

static void leavings_done(struct leavings *leavings)
{
    for (size_t i = 0; i < leavings->n; i++)
        json_free(leavings->list[i].pod);
    free(leavings->list);
    failures_done(&leavings->failures);
}
DEFINE_CLEANUP_IN_PLACE(struct leavings, leavings_done)

static const char *pod_name(const struct json *pod)
{
    return json_str_or("", pod, "metadata", "name", NULL);
}

static const char *pod_namespace(const struct json *pod)
{
    return json_str_or("", pod, "metadata", "namespace", NULL);
}

static char *pod_path(const struct json *pod, const char *subresource)
{
    return kube_path("", "v1", pod_namespace(pod), "pods", pod_name(pod), subresource);
}

static bool is_server_dry_run(const struct drain *drain)
{
    return streq(drain->cordon.write.dry_run, "server");
}

/* --- requests */

static struct json *delete_options(const struct drain *drain)
{
    struct json *options = json_new_object();
    if (drain->grace_period_s >= 0)
        json_set_int(options, "gracePeriodSeconds", drain->grace_period_s);
    if (is_server_dry_run(drain))
        json_set(options, "dryRun", json_build("[s]", "All"));
    return options;
}

static int send_eviction(const struct drain *drain, const struct json *pod, const char *version, struct err *err)
{
    CLEANUP(xfree) char *path = pod_path(pod, "eviction");
    CLEANUP(json_free)
    struct json *body = json_build("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", version, "kind", "Eviction",
                                   "metadata", "name", pod_name(pod), "namespace", pod_namespace(pod), "deleteOptions",
                                   delete_options(drain));
    const struct kube_request request = {.method = "POST", .path = path, .body = body};
    return cli_do(drain->cordon.cli, &request, NULL, err);
}

static int send_delete(const struct drain *drain, const struct json *pod, struct err *err)
{
    CLEANUP(xfree) char *path = pod_path(pod, NULL);
    CLEANUP(json_free) struct json *body = delete_options(drain);
    json_set_str(body, "apiVersion", "v1");
    json_set_str(body, "kind", "DeleteOptions");
    const struct kube_request request = {.method = "DELETE", .path = path, .body = body};
    return cli_do(drain->cordon.cli, &request, NULL, err);
}

static int read_pod(const struct drain *drain, const struct json *pod, struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *path = pod_path(pod, NULL);
    const struct kube_request request = {.path = path};
    return cli_do(drain->cordon.cli, &request, ret, err);
}

/* The version in which the server takes evictions, from its list of core resources. */
static int find_eviction(const struct drain *drain, const char **ret_version, struct err *err)
{
    const struct kube_request request = {.path = "/api/v1"};
    CLEANUP(json_free) struct json *list = NULL;
    const struct json *resource;
    *ret_version = NULL;
    if (drain->disable_eviction)
        return 0;
    if (cli_do(drain->cordon.cli, &request, &list, err) < 0)
        return err->code;
    json_each(resource, json_get(list, "resources", NULL)) {
        if (streq(json_str(resource, "name", NULL), "pods/eviction") &&
            streq(json_str(resource, "group", NULL), "policy"))
            *ret_version =
                streq(json_str(resource, "version", NULL), "v1") ? "policy/v1" : "policy/v1beta1";
    }
    return 0;
}

/* --- one pod */

static void print_pod(const struct json *pod, const char *verb, const struct drain *drain)
{
    struct output output = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    (void)!output_result(&output, pod, verb, drain->cordon.write.dry_run, &ignored);
}

static void finish(struct leavings *leavings, struct leaving *leaving, struct err *failure)
{
    if (failure != NULL && failure->code != 0)
        failures_add(&leavings->failures, failure);
    leaving->state = LEAVING_GONE;
}

/* The namespace is going away too: evictions are forbidden there, but the pods leave by themselves. */
static bool is_namespace_ending(const struct err *err)
{
    return err->code == ERR_FORBIDDEN && strstr(err_text(err), "because it is being terminated") != NULL;
}

static void blame_eviction(const struct json *pod, struct err *failure, const char *why)
{
    CLEANUP(xfree) char *text = xstrdup(why);
    err_clear(failure);
    (void)err_set(failure, ERR_INTERNAL, "error when evicting pods/\"%s\" -n \"%s\": %s", pod_name(pod),
                  pod_namespace(pod), text);
}

/* Asks for the eviction. Refusals that time will heal are asked again after a pause. */
static void ask(const struct drain *drain, struct leavings *leavings, struct leaving *leaving)
{
    const struct json *pod = leaving->pod;
    CLEANUP(err_clear) struct err failure = {0};
    printf("evicting pod %s/%s%s\n", pod_namespace(pod), pod_name(pod),
           is_server_dry_run(drain) ? " (server dry run)" : "");
    (void)fflush(stdout);
    if (leavings->deadline_ms != 0 && clock_monotonic_ms() >= leavings->deadline_ms) {
        CLEANUP(xfree) char *limit = duration_text(drain->timeout_ms);
        CLEANUP(xfree) char *text = xasprintf("global timeout reached: %s", limit);
        blame_eviction(pod, &failure, text);
        finish(leavings, leaving, &failure);
        return;
    }
    int code = send_eviction(drain, pod, leavings->eviction_version, &failure);
    bool ending = is_namespace_ending(&failure);
    if (code == 0 || (ending && json_get(pod, "metadata", "deletionTimestamp", NULL) != NULL)) {
        leaving->state = is_server_dry_run(drain) ? LEAVING_GONE : LEAVING_WAIT;
        return;
    }
    if (failure.code == ERR_NOT_FOUND) {
        finish(leavings, leaving, NULL);
        return;
    }
    if (failure.http_status != 429 && !ending) {
        blame_eviction(pod, &failure, err_text(&failure));
        finish(leavings, leaving, &failure);
        return;
    }
    if (ending)
        fprintf(stderr, "error when evicting pod \"%s\" from terminating namespace \"%s\" (will retry after 5s): %s\n",
                pod_name(pod), pod_namespace(pod), err_text(&failure));
    else
        fprintf(stderr, "error when evicting pods/\"%s\" -n \"%s\" (will retry after 5s): %s\n", pod_name(pod),
                pod_namespace(pod), err_text(&failure));
    struct json *fresh = NULL;
    CLEANUP(err_clear) struct err ignored = {0};
    if (read_pod(drain, pod, &fresh, &ignored) == 0) {
        json_free(leaving->pod);
        leaving->pod = fresh;
    }
    leaving->due_ms = clock_monotonic_ms() + RETRY_MS;
}

static void blame_waiting(const struct leavings *leavings, const struct json *pod, struct err *failure)
{
    if (leavings->eviction_version != NULL)
        (void)err_wrap(failure, "error when waiting for pod \"%s\" in namespace \"%s\" to terminate", pod_name(pod),
                       pod_namespace(pod));
}

/* Looks whether the pod has gone. */
static void look(const struct drain *drain, struct leavings *leavings, struct leaving *leaving)
{
    const struct json *pod = leaving->pod;
    CLEANUP(json_free) struct json *now = NULL;
    CLEANUP(err_clear) struct err failure = {0};
    bool evicted = leavings->eviction_version != NULL;
    int code = read_pod(drain, pod, &now, &failure);
    if (failure.code == ERR_NOT_FOUND ||
        (code == 0 &&
         !streq(json_str(now, "metadata", "uid", NULL), json_str(pod, "metadata", "uid", NULL)))) {
        print_pod(pod, evicted ? "evicted" : "deleted", drain);
        finish(leavings, leaving, NULL);
    } else if (code < 0) {
        print_pod(pod, evicted ? "eviction failed" : "deletion failed", drain);
        blame_waiting(leavings, pod, &failure);
        finish(leavings, leaving, &failure);
    } else if (drain_is_given_up(drain, now)) {
        printf("pod \"%s\" has DeletionTimestamp older than %lld seconds, skipping\n", pod_name(pod),
               (long long)drain->skip_wait_s);
        finish(leavings, leaving, NULL);
    } else if (leavings->deadline_ms != 0 && clock_monotonic_ms() >= leavings->deadline_ms) {
        (void)err_set(&failure, ERR_TIMEOUT, "context deadline exceeded");
        blame_waiting(leavings, pod, &failure);
        finish(leavings, leaving, &failure);
    } else {
        leaving->due_ms = clock_monotonic_ms() + POLL_MS;
    }
    (void)fflush(stdout);
}

/* --- all pods of a node */

/* Sleeps until something is due; false when nothing is left. */
static bool wait_until_due(const struct leavings *leavings)
{
    int64_t next = INT64_MAX, now = clock_monotonic_ms();
    for (size_t i = 0; i < leavings->n; i++) {
        if (leavings->list[i].state != LEAVING_GONE && leavings->list[i].due_ms < next)
            next = leavings->list[i].due_ms;
    }
    if (next == INT64_MAX)
        return false;
    if (leavings->deadline_ms != 0 && next > leavings->deadline_ms)
        next = leavings->deadline_ms > now ? leavings->deadline_ms : now;
    int64_t pause_ms = next > now ? next - now : 0;
    const struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
    return true;
}

static int delete_all(const struct drain *drain, struct leavings *leavings, struct err *err)
{
    for (size_t i = 0; i < leavings->n; i++) {
        if (send_delete(drain, leavings->list[i].pod, err) < 0) {
            if (err->code != ERR_NOT_FOUND)
                return err->code;
            err_clear(err);
        }
        leavings->list[i].state = LEAVING_WAIT;
    }
    return 0;
}

static int aggregate(const struct failures *failures, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (failures->n == 0)
        return 0;
    for (size_t i = 0; i < failures->n; i++)
        buf_printf(&text, "%s%s", i > 0 ? ", " : "", err_text(&failures->list[i]));
    return err_set(err, ERR_INTERNAL, failures->n > 1 ? "[%s]" : "%s", buf_text(&text));
}

static int remove_pods(const struct drain *drain, const struct json *pods, struct err *err)
{
    CLEANUP(leavings_done) struct leavings leavings = {.n = json_len(pods)};
    if (leavings.n == 0)
        return 0;
    if (find_eviction(drain, &leavings.eviction_version, err) < 0)
        return err->code;
    leavings.list = xcalloc(leavings.n, sizeof(*leavings.list));
    for (size_t i = 0; i < leavings.n; i++)
        leavings.list[i].pod = json_keep(json_at(pods, i));
    if (drain->timeout_ms > 0)
        leavings.deadline_ms = clock_monotonic_ms() + drain->timeout_ms;
    if (leavings.eviction_version == NULL && delete_all(drain, &leavings, err) < 0)
        return err->code;
    if (leavings.eviction_version == NULL && is_server_dry_run(drain))
        return 0;
    while (wait_until_due(&leavings)) {
        int64_t now = clock_monotonic_ms();
        bool late = leavings.deadline_ms != 0 && now >= leavings.deadline_ms;
        for (size_t i = 0; i < leavings.n; i++) {
            struct leaving *leaving = &leavings.list[i];
            if (leaving->state == LEAVING_GONE || (leaving->due_ms > now && !late))
                continue;
            if (leaving->state == LEAVING_ASK)
                ask(drain, &leavings, leaving);
            else
                look(drain, &leavings, leaving);
        }
    }
    return aggregate(&leavings.failures, err);
}

/* What is still there after a failure. */
static void tell_pending(const struct drain *drain, const char *node, const struct err *why)
{
    CLEANUP(drain_pods_done) struct drain_pods pods = {0};
    CLEANUP(err_clear) struct err err = {0};
    const struct json *pod;
    (void)!drain_find_pods(drain, node, &pods, &err);
    if (json_len(pods.going) > 0)
        fprintf(stderr, "There are pending pods in node \"%s\" when an error occurred: %s\n", node, err_text(why));
    json_each(pod, pods.going)
        fprintf(stderr, "pod/%s\n", pod_name(pod));
    if (err.code != 0)
        fprintf(stderr, "Following errors occurred while getting the list of pods to delete:\n%s", err_text(&err));
}

static int drain_node(const struct drain *drain, const char *node, struct err *err)
{
    CLEANUP(drain_pods_done) struct drain_pods pods = {0};
    CLEANUP(buf_done) struct buf notices = {0};
    const struct json *pod;
    if (drain_find_pods(drain, node, &pods, err) < 0)
        return err->code;
    drain_notices_text(pods.notices, &notices);
    if (notices.len > 0)
        cli_warn("%s", buf_text(&notices));
    if (write_is_client_dry_run(&drain->cordon.write)) {
        json_each(pod, pods.going)
            printf("evicting pod %s/%s (dry run)\n", pod_namespace(pod), pod_name(pod));
        return 0;
    }
    if (remove_pods(drain, pods.going, err) < 0) {
        (void)fflush(stdout);
        tell_pending(drain, node, err);
    }
    return err->code;
}

/* --- the command */

static int run_drain(struct drain *drain, const struct strv *names)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv remaining = {0};
    CLEANUP(buf_done) struct buf fatal = {0};
    struct output output = {0};
    if (strempty(drain->pod_selector)[0] != '\0' && selector_matches(drain->pod_selector, NULL, &err) < 0)
        return cli_error("--pod-selector=<pod_selector> must be a valid label selector");
    if (cordon_find_nodes(&drain->cordon, names, &err) < 0)
        return cli_fail(drain->cordon.cli, &err);
    cordon_set(&drain->cordon, true);
    for (size_t i = 0; i < drain->cordon.nodes.n; i++) {
        const struct item *node = &drain->cordon.nodes.list[i];
        CLEANUP(err_clear) struct err failure = {0};
        if (drain_node(drain, node->name, &failure) == 0) {
            (void)!output_result(&output, node->object, "drained", drain->cordon.write.dry_run, &failure);
            continue;
        }
        (void)fflush(stdout);
        fprintf(stderr, "error: unable to drain node \"%s\" due to error: %s, continuing command...\n", node->name,
                err_text(&failure));
        strv_add(&remaining, node->name);
        buf_printf(&fatal, "%s\n", err_text(&failure));
    }
    if (remaining.n == 0)
        return 0;
    fputs("There are pending nodes to be drained:\n", stderr);
    for (size_t i = 0; i < remaining.n; i++)
        fprintf(stderr, " %s\n", remaining.items[i]);
    fputs(buf_text(&fatal), stderr);
    return 1;
}

int command_drain(struct cli *cli, int argc, char **argv)
{
    struct drain drain = {
        .cordon = {.cli = cli, .words = "drain", .selection = {.chunk_size = 500}}, .grace_period_s = -1};
    const struct opt options[] = {
        CORDON_OPTIONS(&drain.cordon),
        SELECTION_CHUNK_OPTION(&drain.cordon.selection),
        {"delete-emptydir-data", 0, OPT_BOOL, &drain.delete_emptydir, NULL,
         "Go on although pods keep data in an emptyDir, which is lost."},
        {"disable-eviction", 0, OPT_BOOL, &drain.disable_eviction, NULL,
         "Delete pods instead of evicting them, past PodDisruptionBudgets."},
        {"force", 0, OPT_BOOL, &drain.force, NULL, "Go on although some pods have no controller."},
        {"grace-period", 0, OPT_INT, &drain.grace_period_s, "-1",
         "Seconds each pod gets to end; below 0: what the pod itself says."},
        {"ignore-daemonsets", 0, OPT_BOOL, &drain.ignore_daemonsets, NULL, "Leave the pods of DaemonSets."},
        {"pod-selector", 0, OPT_STRING, &drain.pod_selector, "", "Label query for the pods on the node."},
        {"skip-wait-for-delete-timeout", 0, OPT_INT, &drain.skip_wait_s, "0",
         "Do not wait for a pod whose deletion began more than so many seconds ago; 0: wait."},
        {"timeout", 0, OPT_DURATION, &drain.timeout_ms, "0s", "How long to wait before giving up; 0: for ever."},
        {0},
    };
    const struct cli_command command = {
        .words = "drain",
        .usage = "NODE [options]",
        .about = "Drain node in preparation for maintenance.\n\n The node is cordoned; then its pods are evicted, "
                 "within the limits of PodDisruptionBudgets, and\nwaited for. Pods of DaemonSets stay; pods that "
                 "nothing would bring back need --force.",
        .examples = "  # Drain node \"foo\", even if there are pods without a controller on it\n  kubectl drain foo "
                    "--force\n\n  # Give each pod 15 minutes to end\n  kubectl drain foo --grace-period=900\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_drain(&drain, &args);
    cordon_done(&drain.cordon);
    return code;
}
