/*
 * deletion.c: one object's DELETE, the line about it, and the wait for its end by watching it. Which objects, in
 * what order and what becomes of failures is for the verbs.
 */
#include "objects/deletion.h"

#include "base/clock.h"
#include "base/mem.h"

#include "objects/watch.h"

int deletion_policy(const char *cascade, const char **ret, struct err *err)
{
    static const struct {
        const char *given, *policy;
    } policies[] = {{"background", "Background"},
                    {"true", "Background"},
                    {"foreground", "Foreground"},
                    {"orphan", "Orphan"},
                    {"false", "Orphan"}};
    for (size_t i = 0; i < countof(policies); i++) {
        if (streq(policies[i].given, cascade)) {
            *ret = policies[i].policy;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "invalid cascade value (%s). Must be \"background\", \"foreground\", or \"orphan\"",
                   cascade);
}

void deletion_print(const struct deletion *deletion, const struct item *item, bool only_name)
{
    CLEANUP(buf_done) struct buf kind = {0};
    resource_print_kind(item->resource, &kind);
    if (only_name) {
        printf("%s/%s\n", buf_text(&kind), item->name);
        return;
    }
    printf("%s \"%s\" %s", buf_text(&kind), item->name, deletion->grace_period == 0 ? "force deleted" : "deleted");
    if (item->resource->namespaced)
        printf(" from %s namespace", strempty(item->namespace));
    puts(streq(deletion->dry_run, "client")   ? " (dry run)"
         : streq(deletion->dry_run, "server") ? " (server dry run)"
                                              : "");
}

int deletion_send(struct cli *cli, const struct deletion *deletion, const struct item *item, char **ret_uid,
                  struct err *err)
{
    if (item_check_name(item, err) < 0)
        return err->code;
    CLEANUP(json_free)
    struct json *body = json_build("{s:s, s:s, s:s}", "kind", "DeleteOptions", "apiVersion", "v1", "propagationPolicy",
                                   deletion->policy);
    if (deletion->grace_period >= 0)
        json_set_int(body, "gracePeriodSeconds", deletion->grace_period);
    if (streq(deletion->dry_run, "server"))
        json_set(body, "dryRun", json_build("[s]", "All"));
    CLEANUP(xfree) char *path = item_path(item, NULL);
    const struct kube_request request = {.method = "DELETE", .path = path, .body = body};
    CLEANUP(json_free) struct json *answer = NULL;
    if (cli_do(cli, &request, &answer, err) < 0)
        return err->code;
    if (ret_uid != NULL) {
        const char *uid = json_str(answer, "details", "uid", NULL);
        *ret_uid = xstrdup(uid != NULL ? uid : json_str(answer, "metadata", "uid", NULL));
    }
    return 0;
}

static bool on_event(const char *type, const struct json *object, void *data)
{
    const char *wanted = data;
    const char *uid = json_str(object, "metadata", "uid", NULL);
    bool gone = streq(type, "DELETED") || (wanted != NULL && uid != NULL && !streq(uid, wanted));
    return !gone;
}

/* A server that ends the watch is asked again. */
int deletion_wait(struct cli *cli, const struct item *item, const char *uid, int64_t deadline_ms, struct err *err)
{
    if (item_check_name(item, err) < 0)
        return err->code;
    for (;;) {
        CLEANUP(json_free) struct json *object = NULL;
        CLEANUP(xfree) char *path = item_path(item, NULL);
        const struct kube_request request = {.path = path};
        if (cli_do(cli, &request, &object, err) < 0) {
            if (err->code != ERR_NOT_FOUND)
                return err->code;
            err_clear(err);
            return 0;
        }
        if (uid != NULL && !streq(json_str(object, "metadata", "uid", NULL), uid))
            return 0;
        int64_t left = deadline_ms - clock_monotonic_ms();
        CLEANUP(xfree) char *collection = item_collection_path(item);
        const struct watch_request watch = {.path = collection,
                                            .name = item->name,
                                            .timeout_ms = left,
                                            .resource_version = json_str(object, "metadata", "resourceVersion", NULL)};
        bool ended_by_server = false;
        int code =
            left > 0 ? watch_run(cli, &watch, on_event, (void *)(uintptr_t)uid, &ended_by_server, err) : ERR_TIMEOUT;
        if (code == 0 && !ended_by_server)
            return 0;
        if (code == ERR_TIMEOUT) {
            err_clear(err);
            return err_set(err, ERR_TIMEOUT, "timed out waiting for the condition on %s/%s", item->resource->plural,
                           item->name);
        }
        if (code == ERR_GONE || code == ERR_IO)
            err_clear(err);
        else if (code < 0)
            return code;
    }
}
