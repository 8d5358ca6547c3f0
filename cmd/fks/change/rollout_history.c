/*
 * rollout_history.c: `rollout history` and `rollout undo`. The revisions of a deployment are its replica sets, those of
 * a daemon set or stateful set are ControllerRevisions, whose data is a patch with the pod template; both become the
 * same list of revisions here.
 */
#include "change/rollout.h"
#include "describe/describe.h"
#include "objects/pods.h"
#include "text/gotext.h"

#include <unistd.h>

#include "base/mem.h"

#define REVISION_ANNOTATION "deployment.kubernetes.io/revision"

struct revision {
    int64_t number;
    struct json *source; /* the ReplicaSet or ControllerRevision; owned */
};

struct history {
    struct json *object; /* the workload as it is now */
    struct revision *list;
    size_t n, cap;
    bool is_deployment;
};

static void history_done(struct history *history)
{
    for (size_t i = 0; i < history->n; i++)
        json_free(history->list[i].source);
    free(history->list);
    history->object = json_free(history->object);
}
DEFINE_CLEANUP_IN_PLACE(struct history, history_done)

static bool is_controlled_by(const struct json *object, const struct json *owner)
{
    const struct json *reference;
    json_each(reference, json_get(object, "metadata", "ownerReferences", NULL)) {
        if (json_is_true(reference, "controller", NULL))
            return streq(json_str(reference, "uid", NULL), json_str(owner, "metadata", "uid", NULL));
    }
    return false;
}

static int by_number(const void *left, const void *right)
{
    const struct revision *a = left, *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Takes the list's objects that belong to the workload, oldest revision first. */
static void collect(struct history *history, const struct json *items)
{
    const struct json *source;
    json_each(source, items) {
        int64_t number = json_int_or(-1, source, "revision", NULL);
        CLEANUP(err_clear) struct err no_number = {0};
        const char *text = json_str_or("", source, "metadata", "annotations", REVISION_ANNOTATION, NULL);
        if (!is_controlled_by(source, history->object) ||
            (history->is_deployment && parse_int(text, 0, INT64_MAX, &number, &no_number) < 0))
            continue;
        GROW(history->list, history->n, history->cap);
        history->list[history->n++] = (struct revision){number, json_clone(source)};
    }
    if (history->n > 0)
        qsort(history->list, history->n, sizeof(*history->list), by_number);
}

/* Kinds that have pods, but no revisions, have an error of their own. */
static int no_revisions(const struct kube_resource *resource, const char *noun, const char *lost, struct err *err)
{
    static const char *const kinds[] = {"CronJob", "Job", "Pod", "ReplicaSet", "ReplicationController"};
    const char *dot = resource->group[0] != '\0' ? "." : "";
    for (size_t i = 0; i < countof(kinds); i++) {
        if (streq(kinds[i], resource->kind))
            return err_set(err, ERR_UNSUPPORTED, "no %s has been implemented for \"%s%s%s\"", noun, resource->kind, dot,
                           resource->group);
    }
    return err_set(err, ERR_UNSUPPORTED, "error retrieving %s for \"%s%s%s\", no visitor method exists for {%s %s}",
                   lost, resource->kind, dot, resource->group, resource->group, resource->kind);
}

static int read_history(struct rollout *rollout, const struct item *item, const char *noun, const char *lost,
                        struct history *ret, struct err *err)
{
    const char *kind = item->resource->kind;
    ret->is_deployment = streq(kind, "Deployment");
    if (!ret->is_deployment && !streq(kind, "DaemonSet") && !streq(kind, "StatefulSet"))
        return no_revisions(item->resource, noun, lost, err);
    if (item_get(rollout->cli, item, NULL, &ret->object, err) < 0)
        return err_wrap(err, "failed to retrieve %s %s", kind, item->name);
    CLEANUP(buf_done) struct buf selector = {0}, path = {0};
    pods_selector_text(json_get(ret->object, "spec", "selector", NULL), &selector);
    CLEANUP(xfree)
    char *collection = kube_path("apps", "v1", item->namespace,
                                 ret->is_deployment ? "replicasets" : "controllerrevisions", NULL, NULL);
    buf_add_str(&path, collection);
    kube_path_query(&path, "labelSelector", buf_text(&selector));
    const struct kube_request request = {.path = buf_text(&path)};
    CLEANUP(json_free) struct json *answer = NULL;
    if (cli_do(rollout->cli, &request, &answer, err) < 0)
        return err->code;
    collect(ret, json_get(answer, "items", NULL));
    return 0;
}

static const struct revision *find_revision(const struct history *history, int64_t number)
{
    for (size_t i = 0; i < history->n; i++) {
        if (history->list[i].number == number)
            return &history->list[i];
    }
    return NULL;
}

static const char *change_cause(const struct revision *revision)
{
    return json_str_or("", revision->source, "metadata", "annotations", CHANGE_CAUSE_ANNOTATION, NULL);
}

/* The pod template of a revision; owned. */
static struct json *template_of(const struct history *history, const struct revision *revision)
{
    const struct json *template = history->is_deployment ? json_get(revision->source, "spec", "template", NULL)
                                                         : json_get(revision->source, "data", "spec", "template", NULL);
    struct json *copy = template != NULL ? json_clone(template) : json_new_object();
    json_del(copy, "$patch");
    if (history->is_deployment && change_cause(revision)[0] != '\0')
        json_set_str(json_edit(copy, "metadata", "annotations", NULL), CHANGE_CAUSE_ANNOTATION, change_cause(revision));
    return copy;
}

/* The template as `describe` has it; kubectl leaves the cells unaligned here. */
static void describe_template(const struct json *template, struct buf *out)
{
    struct describe describe = {0};
    describe_pod_template(&describe, template);
    buf_add_str(out, buf_text(&describe.writer.text));
    tabwriter_done(&describe.writer);
    buf_done(&describe.out);
}

static void print_overview(const struct history *history, struct buf *out)
{
    CLEANUP(tabwriter_done) struct tabwriter writer = {.padding = 2};
    if (history->n == 0) {
        buf_add_str(out, "No rollout history found.");
        return;
    }
    buf_add_str(&writer.text, "REVISION\tCHANGE-CAUSE\n");
    for (size_t i = 0; i < history->n; i++) {
        const char *cause = change_cause(&history->list[i]);
        buf_printf(&writer.text, "%lld\t%s\n", (long long)history->list[i].number, cause[0] != '\0' ? cause : "<none>");
    }
    tabwriter_flush(&writer, out);
}

/* The object of a revision, for -o: the ReplicaSet, or the workload with the template of then. */
static struct json *object_of(const struct history *history, const struct revision *revision)
{
    if (!history->is_deployment) {
        struct json *object = json_clone(history->object);
        json_set(json_edit(object, "spec", NULL), "template", template_of(history, revision));
        return object;
    }
    struct json *object = json_build("{s:s, s:s}", "kind", "ReplicaSet", "apiVersion", "apps/v1");
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(revision->source, &position, &key, &value))
        json_set(object, key, json_keep(value));
    return object;
}

static int print_objects(struct rollout *rollout, const struct history *history, struct err *err)
{
    for (size_t i = 0; i < history->n; i++) {
        if (rollout->revision > 0 && history->list[i].number != rollout->revision)
            continue;
        CLEANUP(json_free) struct json *object = object_of(history, &history->list[i]);
        if (output_print(&rollout->output, object, err) < 0)
            return err->code;
    }
    return 0;
}

static bool has_revisions(const struct kube_resource *resource)
{
    return streq(resource->kind, "Deployment") || streq(resource->kind, "DaemonSet") ||
           streq(resource->kind, "StatefulSet");
}

/*
 * Right after a change its revision is not there yet: the controller makes it, and kubectl is slow enough not to
 * notice. Waits a little until the controller has seen the latest change; without one the history is taken as it is.
 */
static void wait_for_controller(const struct rollout *rollout, const struct item *item)
{
    enum { TRIES = 40, PAUSE_US = 50 * 1000 };
    for (int i = 0; i < TRIES && has_revisions(item->resource); i++) {
        CLEANUP(json_free) struct json *object = NULL;
        CLEANUP(err_clear) struct err err = {0};
        if (item_get(rollout->cli, item, NULL, &object, &err) < 0 ||
            json_int_or(0, object, "metadata", "generation", NULL) <=
                json_int_or(0, object, "status", "observedGeneration", NULL))
            return;
        (void)usleep(PAUSE_US);
    }
}

int rollout_history(struct rollout *rollout, const struct item *item, struct err *err)
{
    CLEANUP(history_done) struct history history = {0};
    CLEANUP(buf_done) struct buf text = {0};
    wait_for_controller(rollout, item);
    if (read_history(rollout, item, "history viewer", "history", &history, err) < 0)
        return err->code;
    const struct revision *revision = find_revision(&history, rollout->revision);
    /* --template alone is about the workload, as in kubectl */
    bool objects = strempty(rollout->output_options.format)[0] != '\0', nothing = history.n == 0 && !objects;
    if (rollout->revision > 0 && revision == NULL && !nothing)
        return err_set(err, ERR_NOT_FOUND, "unable to find the specified revision");
    if (objects)
        return print_objects(rollout, &history, err);
    if (rollout->revision > 0)
        buf_printf(&text, "with revision #%lld", (long long)rollout->revision);
    buf_add_char(&text, '\n');
    if (rollout->revision > 0 && revision != NULL) {
        CLEANUP(json_free) struct json *template = template_of(&history, revision);
        describe_template(template, &text);
    } else {
        print_overview(&history, &text);
    }
    return output_result(&rollout->output, item->object, buf_text(&text), "none", err);
}

/* --- undo */

/* The revision to go back to. */
static int choose(const struct history *history, const char *name, int64_t wanted, const struct revision **ret,
                  struct err *err)
{
    *ret = wanted != 0 ? find_revision(history, wanted) : history->n > 1 ? &history->list[history->n - 2] : NULL;
    if (*ret != NULL)
        return 0;
    if (wanted != 0)
        return err_set(err, ERR_NOT_FOUND, "unable to find specified revision %lld in history", (long long)wanted);
    if (history->is_deployment)
        return err_set(err, ERR_NOT_FOUND, "no rollout history found for deployment \"%s\"", name);
    return err_set(err, ERR_NOT_FOUND, "no last revision to roll back to");
}

/* The annotations that stay with the deployment; all others come from the revision. */
static bool is_own_annotation(const char *key)
{
    static const char *const own[] = {LAST_APPLIED_ANNOTATION,
                                      REVISION_ANNOTATION,
                                      "deployment.kubernetes.io/revision-history",
                                      "deployment.kubernetes.io/desired-replicas",
                                      "deployment.kubernetes.io/max-replicas",
                                      "deprecated.deployment.rollback.to"};
    for (size_t i = 0; i < countof(own); i++) {
        if (streq(own[i], key))
            return true;
    }
    return false;
}

static void add_annotations(struct json *to, const struct json *from, bool own)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(json_get(from, "metadata", "annotations", NULL), &position, &key, &value)) {
        if (is_own_annotation(key) == own)
            json_set(to, key, json_keep(value));
    }
}

static struct json *undo_patch(const struct history *history, const struct revision *revision)
{
    if (!history->is_deployment)
        return json_clone(json_get(revision->source, "data", NULL));
    struct json *template = json_clone(json_get(revision->source, "spec", "template", NULL));
    json_del(json_edit(template, "metadata", "labels", NULL), "pod-template-hash");
    struct json *annotations = json_new_object();
    add_annotations(annotations, history->object, true);
    add_annotations(annotations, revision->source, false);
    return json_build("[{s:s, s:s, s:o}, {s:s, s:s, s:o}]", "op", "replace", "path", "/spec/template", "value",
                      template, "op", "replace", "path", "/metadata/annotations", "value", annotations);
}

/* Whether the workload has this revision's template already. */
static bool is_current(const struct history *history, const struct revision *revision)
{
    const char *group = history->is_deployment ? "spec" : "data";
    const struct json *then = history->is_deployment ? json_get(revision->source, group, "template", NULL)
                                                     : json_get(revision->source, group, "spec", "template", NULL);
    CLEANUP(json_free) struct json *its = json_clone(then);
    CLEANUP(json_free) struct json *mine = json_clone(json_get(history->object, "spec", "template", NULL));
    struct json *both[] = {its, mine};
    for (size_t i = 0; i < countof(both); i++) {
        struct json *metadata = json_edit(both[i], "metadata", NULL);
        json_del(both[i], "$patch");
        json_del(json_edit(metadata, "labels", NULL), "pod-template-hash");
        if (json_type(json_member(metadata, "creationTimestamp")) == JSON_NULL)
            json_del(metadata, "creationTimestamp");
    }
    return json_same(its, mine);
}

static void warn_about_apply(const struct rollout *rollout, const struct item *item)
{
    if (json_str(item->object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL) == NULL)
        return;
    fprintf(stderr,
            "Warning: resource %s/%s was previously managed with '%s apply'. Rolling back will not update the "
            "%s annotation, which may cause unexpected behavior on future '%s apply' operations. Consider using '%s "
            "apply' with your previous configuration file instead.\n",
            item->resource->plural, item->name, rollout->cli->program, LAST_APPLIED_ANNOTATION, rollout->cli->program,
            rollout->cli->program);
}

int rollout_undo(struct rollout *rollout, const struct item *item, struct err *err)
{
    CLEANUP(history_done) struct history history = {0};
    CLEANUP(buf_done) struct buf text = {0};
    const struct revision *revision = NULL;
    warn_about_apply(rollout, item);
    wait_for_controller(rollout, item);
    if (read_history(rollout, item, "rollbacker", "rollbacker", &history, err) < 0 ||
        choose(&history, item->name, rollout->revision, &revision, err) < 0)
        return err->code;
    if (write_is_client_dry_run(&rollout->write)) {
        CLEANUP(json_free) struct json *template = template_of(&history, revision);
        json_del(json_edit(template, "metadata", "annotations", NULL), CHANGE_CAUSE_ANNOTATION);
        buf_add_str(&text, history.is_deployment ? "" : "will roll back to ");
        describe_template(template, &text);
        return output_result(&rollout->output, item->object, buf_text(&text), "client", err);
    }
    if (history.is_deployment && json_is_true(history.object, "spec", "paused", NULL))
        return err_set(err, ERR_CONFLICT,
                       "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and "
                       "try again");
    if (is_current(&history, revision)) {
        buf_printf(&text, "skipped rollback (current template already matches revision %lld)",
                   (long long)rollout->revision);
        return output_result(&rollout->output, item->object, buf_text(&text), rollout->write.dry_run, err);
    }
    CLEANUP(json_free) struct json *patch = undo_patch(&history, revision), *patched = NULL;
    const char *type = history.is_deployment ? KUBE_JSON_PATCH : KUBE_STRATEGIC_PATCH;
    if (write_patch(rollout->cli, &rollout->write, item, NULL, type, patch, NULL, &patched, err) < 0)
        return err_wrap(err, "failed restoring revision %lld", (long long)rollout->revision);
    return output_result(&rollout->output, item->object, "rolled back", rollout->write.dry_run, err);
}
