/*
 * rollout_status.c: `rollout status`: what a deployment, daemon set or stateful set still has to do, told again with
 * each change until it is done.
 */
#include "change/rollout.h"
#include "objects/watch.h"

#include "base/clock.h"
#include "base/mem.h"

static int64_t spec_int(const struct json *object, const char *field, int64_t fallback)
{
    return json_int_or(fallback, object, "spec", field, NULL);
}

static int64_t status_int(const struct json *object, const char *field)
{
    return json_int_or(0, object, "status", field, NULL);
}

static bool is_observed(const struct json *object)
{
    return json_int_or(0, object, "metadata", "generation", NULL) <= status_int(object, "observedGeneration");
}

/* Appends what to say; 1: done, 0: not yet. */
static int deployment_status(const struct json *object, const char *name, struct buf *out, struct err *err)
{
    if (!is_observed(object)) {
        buf_add_str(out, "Waiting for deployment spec update to be observed...\n");
        return 0;
    }
    const struct json *condition;
    json_each(condition, json_get(object, "status", "conditions", NULL)) {
        if (streq(json_str(condition, "type", NULL), "Progressing") &&
            streq(json_str(condition, "reason", NULL), "ProgressDeadlineExceeded"))
            return err_set(err, ERR_TIMEOUT, "deployment \"%s\" exceeded its progress deadline", name);
    }
    long long wanted = spec_int(object, "replicas", 1), updated = status_int(object, "updatedReplicas");
    long long all = status_int(object, "replicas"), available = status_int(object, "availableReplicas");
    if (updated < wanted)
        buf_printf(
            out,
            "Waiting for deployment \"%s\" rollout to finish: %lld out of %lld new replicas have been updated...\n",
            name, updated, wanted);
    else if (all > updated)
        buf_printf(out,
                   "Waiting for deployment \"%s\" rollout to finish: %lld old replicas are pending termination...\n",
                   name, all - updated);
    else if (available < updated)
        buf_printf(out,
                   "Waiting for deployment \"%s\" rollout to finish: %lld of %lld updated replicas are available...\n",
                   name, available, updated);
    else {
        buf_printf(out, "deployment \"%s\" successfully rolled out\n", name);
        return 1;
    }
    return 0;
}

static int daemon_set_status(const struct json *object, const char *name, struct buf *out, struct err *err)
{
    if (!streq(json_str_or("RollingUpdate", object, "spec", "updateStrategy", "type", NULL), "RollingUpdate"))
        return err_set(err, ERR_UNSUPPORTED, "rollout status is only available for RollingUpdate strategy type");
    if (!is_observed(object)) {
        buf_add_str(out, "Waiting for daemon set spec update to be observed...\n");
        return 0;
    }
    long long wanted = status_int(object, "desiredNumberScheduled"),
              updated = status_int(object, "updatedNumberScheduled");
    long long available = status_int(object, "numberAvailable");
    if (updated < wanted)
        buf_printf(out,
                   "Waiting for daemon set \"%s\" rollout to finish: %lld out of %lld new pods have been updated...\n",
                   name, updated, wanted);
    else if (available < wanted)
        buf_printf(out, "Waiting for daemon set \"%s\" rollout to finish: %lld of %lld updated pods are available...\n",
                   name, available, wanted);
    else {
        buf_printf(out, "daemon set \"%s\" successfully rolled out\n", name);
        return 1;
    }
    return 0;
}

static int stateful_set_status(const struct json *object, struct buf *out, struct err *err)
{
    if (!streq(json_str_or("RollingUpdate", object, "spec", "updateStrategy", "type", NULL), "RollingUpdate"))
        return err_set(err, ERR_UNSUPPORTED, "rollout status is only available for RollingUpdate strategy type");
    if (!is_observed(object)) {
        buf_add_str(out, "Waiting for statefulset spec update to be observed...\n");
        return 0;
    }
    long long wanted = spec_int(object, "replicas", 1), ready = status_int(object, "readyReplicas");
    long long updated = status_int(object, "updatedReplicas");
    long long partition = json_int_or(0, object, "spec", "updateStrategy", "rollingUpdate", "partition", NULL);
    const char *new_revision = json_str_or("", object, "status", "updateRevision", NULL);
    if (ready < wanted) {
        buf_printf(out, "Waiting for %lld pods to be ready...\n", wanted - ready);
        return 0;
    }
    if (partition > 0) {
        if (updated < wanted - partition) {
            buf_printf(out,
                       "Waiting for partitioned roll out to finish: %lld out of %lld new pods have been updated...\n",
                       updated, wanted - partition);
            return 0;
        }
        buf_printf(out, "partitioned roll out complete: %lld new pods have been updated...\n", updated);
        return 1;
    }
    if (!streq(new_revision, json_str_or("", object, "status", "currentRevision", NULL))) {
        buf_printf(out, "waiting for statefulset rolling update to complete %lld pods at revision %s...\n", updated,
                   new_revision);
        return 0;
    }
    buf_printf(out, "statefulset rolling update complete %lld pods at revision %s...\n",
               (long long)status_int(object, "currentReplicas"),
               json_str_or("", object, "status", "currentRevision", NULL));
    return 1;
}

static int object_status(const struct json *object, struct buf *out, struct err *err)
{
    const char *kind = json_str_or("", object, "kind", NULL), *name = json_str_or("", object, "metadata", "name", NULL);
    if (streq(kind, "Deployment"))
        return deployment_status(object, name, out, err);
    if (streq(kind, "DaemonSet"))
        return daemon_set_status(object, name, out, err);
    if (streq(kind, "StatefulSet"))
        return stateful_set_status(object, out, err);
    return err_set(err, ERR_UNSUPPORTED, "no status viewer has been implemented for %s", kind);
}

struct following {
    int64_t revision; /* of a deployment, which must be the running one; 0: any */
    int done;         /* 1: rolled out, negative: failed */
    struct err *err;
};

static int check_revision(int64_t wanted, const struct json *object, struct err *err)
{
    int64_t running = 0;
    const char *text = json_str_or("", object, "metadata", "annotations", "deployment.kubernetes.io/revision", NULL);
    CLEANUP(err_clear) struct err no_number = {0};
    if (wanted == 0 || !streq(json_str(object, "kind", NULL), "Deployment"))
        return 0;
    if (parse_int(text, 0, INT64_MAX, &running, &no_number) < 0)
        return err_set(err, ERR_PARSE,
                       "cannot get the revision of deployment \"%s\": strconv.ParseInt: parsing \"%s\": invalid syntax",
                       json_str_or("", object, "metadata", "name", NULL), text);
    if (running != wanted)
        return err_set(err, ERR_CONFLICT, "desired revision (%lld) is different from the running revision (%lld)",
                       (long long)wanted, (long long)running);
    return 0;
}

static int show_status(struct following *following, const struct json *object)
{
    CLEANUP(buf_done) struct buf text = {0};
    following->done = check_revision(following->revision, object, following->err);
    if (following->done == 0)
        following->done = object_status(object, &text, following->err);
    fputs(buf_text(&text), stdout);
    (void)fflush(stdout);
    return following->done;
}

static bool on_event(const char *type, const struct json *object, void *data)
{
    struct following *following = data;
    if (streq(type, "DELETED")) {
        following->done = err_set(following->err, ERR_GONE, "object has been deleted");
        return false;
    }
    return show_status(following, object) == 0;
}

int rollout_status(struct rollout *rollout, const struct item *item, struct err *err)
{
    int64_t deadline = rollout->timeout_ms > 0 ? clock_monotonic_ms() + rollout->timeout_ms : 0;
    struct err verdict = {0};
    struct following following = {.revision = rollout->revision, .err = &verdict};
    (void)show_status(&following, item->object);
    CLEANUP(xfree) char *version = xstrdup(json_str_or("0", item->object, "metadata", "resourceVersion", NULL));
    while (following.done == 0 && rollout->watch) {
        CLEANUP(xfree) char *collection = item_collection_path(item);
        int64_t left = deadline > 0 ? deadline - clock_monotonic_ms() : 0;
        const struct watch_request request = {
            .path = collection, .name = item->name, .resource_version = version, .timeout_ms = left};
        bool ended_by_server = false;
        int code = deadline > 0 && left <= 0
                       ? ERR_TIMEOUT
                       : watch_run(rollout->cli, &request, on_event, &following, &ended_by_server, err);
        if (code == ERR_TIMEOUT) {
            err_clear(err);
            return err_set(err, ERR_TIMEOUT, "timed out waiting for the condition");
        }
        if (code < 0)
            return code;
        if (ended_by_server) {
            CLEANUP(json_free) struct json *object = NULL;
            if (item_get(rollout->cli, item, NULL, &object, err) < 0)
                return err->code;
            free(version);
            version = xstrdup(json_str_or("0", object, "metadata", "resourceVersion", NULL));
            (void)show_status(&following, object);
        }
    }
    if (following.done < 0)
        err_move(err, &verdict);
    return following.done < 0 ? err->code : 0;
}
