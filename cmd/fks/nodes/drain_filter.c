/*
 * drain_filter.c: which pods of a node a drain takes away, which it leaves, and which forbid it: those of DaemonSets,
 * those with data in an emptyDir, those that nothing would bring back. The order of the checks is kubectl's, since the
 * last one to speak about a pod is heard.
 */
#include "nodes/drain.h"

#include "base/clock.h"
#include "base/mem.h"

#define MIRROR_ANNOTATION "kubernetes.io/config.mirror"

void drain_pods_done(struct drain_pods *pods)
{
    json_free(pods->going);
    json_free(pods->notices);
    json_free(pods->refusals);
    *pods = (struct drain_pods){0};
}

enum verdict { VERDICT_FINE, VERDICT_SKIP, VERDICT_NOTICE_GOES, VERDICT_NOTICE_STAYS, VERDICT_REFUSED };

struct judgement {
    enum verdict verdict;
    char *message; /* owned, or NULL */
};

static struct judgement judge(enum verdict verdict, const char *message)
{
    return (struct judgement){verdict, xstrdup(message)};
}

static bool is_finished(const struct json *pod)
{
    const char *phase = json_str_or("", pod, "status", "phase", NULL);
    return streq(phase, "Succeeded") || streq(phase, "Failed");
}

static const struct json *controller_of(const struct json *pod)
{
    const struct json *owner;
    json_each(owner, json_get(pod, "metadata", "ownerReferences", NULL)) {
        if (json_is_true(owner, "controller", NULL))
            return owner;
    }
    return NULL;
}

bool drain_is_given_up(const struct drain *drain, const struct json *pod)
{
    const char *deleted = json_str(pod, "metadata", "deletionTimestamp", NULL);
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t since = 0;
    return drain->skip_wait_s > 0 && deleted != NULL && clock_parse(deleted, &since, &ignored) == 0 &&
           (clock_wall_ns() - since) / 1000000000 > drain->skip_wait_s;
}

static struct judgement judge_daemon(const struct drain *drain, const struct json *pod)
{
    const struct json *owner = controller_of(pod);
    if (!streq(json_str(owner, "kind", NULL), "DaemonSet") || !streq(json_str(owner, "apiVersion", NULL), "apps/v1") ||
        is_finished(pod))
        return judge(VERDICT_FINE, NULL);
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree)
    char *path = kube_path("apps", "v1", json_str(pod, "metadata", "namespace", NULL), "daemonsets",
                           json_str_or("", owner, "name", NULL), NULL);
    const struct kube_request request = {.path = path};
    if (cli_do(drain->cordon.cli, &request, NULL, &err) < 0)
        return judge(err.code == ERR_NOT_FOUND && drain->force ? VERDICT_NOTICE_GOES : VERDICT_REFUSED, err_text(&err));
    if (!drain->ignore_daemonsets)
        return judge(VERDICT_REFUSED, "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)");
    return judge(VERDICT_NOTICE_STAYS, "ignoring DaemonSet-managed Pods");
}

static struct judgement judge_storage(const struct drain *drain, const struct json *pod)
{
    const struct json *volume;
    bool is_local = false;
    json_each(volume, json_get(pod, "spec", "volumes", NULL))
        is_local = is_local || json_is_object(json_member(volume, "emptyDir"));
    if (!is_local || is_finished(pod))
        return judge(VERDICT_FINE, NULL);
    if (!drain->delete_emptydir)
        return judge(VERDICT_REFUSED, "Pods with local storage (use --delete-emptydir-data to override)");
    return judge(VERDICT_NOTICE_GOES, "deleting Pods with local storage");
}

static struct judgement judge_lonely(const struct drain *drain, const struct json *pod)
{
    if (is_finished(pod) || controller_of(pod) != NULL)
        return judge(VERDICT_FINE, NULL);
    if (drain->force)
        return judge(VERDICT_NOTICE_GOES, "deleting Pods that declare no controller");
    return judge(VERDICT_REFUSED, "Pods that declare no controller (use --force to override)");
}

static struct judgement judge_given_up(const struct drain *drain, const struct json *pod)
{
    return judge(drain_is_given_up(drain, pod) ? VERDICT_SKIP : VERDICT_FINE, NULL);
}

static struct judgement judge_mirror(const struct drain *drain, const struct json *pod)
{
    (void)drain;
    bool is_mirror = json_get(pod, "metadata", "annotations", MIRROR_ANNOTATION, NULL) != NULL;
    return judge(is_mirror ? VERDICT_SKIP : VERDICT_FINE, NULL);
}

static void note(struct json *notes, const char *message, const struct json *pod)
{
    CLEANUP(xfree)
    char *name = xasprintf("%s/%s", json_str_or("", pod, "metadata", "namespace", NULL),
                           json_str_or("", pod, "metadata", "name", NULL));
    if (json_member(notes, message) == NULL)
        json_set(notes, message, json_new_array());
    json_push(json_edit_member(notes, message), json_new_string(name));
}

static void sort_pod(const struct drain *drain, const struct json *pod, struct drain_pods *out)
{
    typedef struct judgement judge_pod(const struct drain *, const struct json *);
    static judge_pod *const judges[] = {judge_given_up, judge_daemon, judge_mirror, judge_storage, judge_lonely};
    struct judgement last = {0};
    for (size_t i = 0; i < countof(judges); i++) {
        free(last.message);
        last = judges[i](drain, pod);
        if (last.verdict != VERDICT_FINE && last.verdict != VERDICT_NOTICE_GOES)
            break;
    }
    if (last.verdict == VERDICT_FINE || last.verdict == VERDICT_NOTICE_GOES) {
        struct json *going = json_clone(pod);
        json_set_str(going, "apiVersion", "v1");
        json_set_str(going, "kind", "Pod");
        json_push(out->going, going);
    }
    if (last.verdict == VERDICT_NOTICE_GOES || last.verdict == VERDICT_NOTICE_STAYS)
        note(out->notices, last.message, pod);
    if (last.verdict == VERDICT_REFUSED)
        note(out->refusals, last.message[0] != '\0' ? last.message : "unexpected error", pod);
    free(last.message);
}

static void add_names(const struct json *names, struct buf *out)
{
    const struct json *name;
    json_each(name, names)
        buf_printf(out, "%s%s", name_index > 0 ? ", " : "", json_string_value(name));
}

void drain_notices_text(const struct json *notices, struct buf *out)
{
    void *position = NULL;
    const char *message;
    const struct json *names;
    while (json_next(notices, &position, &message, &names)) {
        buf_printf(out, "%s%s: ", out->len > 0 ? "; " : "", message);
        add_names(names, out);
    }
}

static int refuse(const struct json *refusals, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    void *position = NULL;
    const char *message;
    const struct json *names;
    while (json_next(refusals, &position, &message, &names)) {
        buf_printf(&text, "%scannot delete %s: ", text.len > 0 ? ", " : "", message);
        add_names(names, &text);
    }
    return err_set(err, ERR_INVALID, json_len(refusals) > 1 ? "[%s]" : "%s", buf_text(&text));
}

struct page_data {
    const struct drain *drain;
    struct drain_pods *out;
};

static bool sort_page(struct json **answer, void *data)
{
    struct page_data *page = data;
    const struct json *pod;
    json_each(pod, json_get(*answer, "items", NULL))
        sort_pod(page->drain, pod, page->out);
    return true;
}

int drain_find_pods(const struct drain *drain, const char *node, struct drain_pods *ret, struct err *err)
{
    struct cli *cli = drain->cordon.cli;
    CLEANUP(drain_pods_done)
    struct drain_pods pods = {
        .going = json_new_array(), .notices = json_new_object(), .refusals = json_new_object()};
    CLEANUP(xfree) char *on_node = xasprintf("spec.nodeName=%s", node);
    const struct selection selection = {.label_selector = drain->pod_selector,
                                        .field_selector = on_node,
                                        .chunk_size = drain->cordon.selection.chunk_size};
    struct item collection = {0};
    if (kube_discovery_find(cli->discovery, "pods", &collection.resource, err) < 0)
        return err->code;
    const struct item_listing listing = {.selection = &selection};
    struct page_data page = {drain, &pods};
    if (item_list(cli, &collection, &listing, sort_page, &page, err) < 0)
        return err->code;
    if (json_len(pods.refusals) > 0)
        (void)refuse(pods.refusals, err);
    *ret = pods;
    pods = (struct drain_pods){0};
    return err->code;
}
