/*
 * departure.c: see departure.h. A pod is gone when its name is free or another pod's.
 */
#include "objects/departure.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define RETRY_MS 5000
#define POLL_US 200000

enum stage { TO_EVICT, TO_GO, GONE };

struct departing {
    const struct json *pod;
    enum stage stage;
    int64_t due_ms;
    bool told; /* that a budget holds it back */
};

static const char *name_of(const struct json *pod)
{
    return json_str_or("", pod, "metadata", "name", NULL);
}

static const char *namespace_of(const struct json *pod)
{
    return json_str_or("", pod, "metadata", "namespace", NULL);
}

static char *path_of(const struct json *pod, const char *subresource)
{
    return kube_path("", "v1", namespace_of(pod), "pods", name_of(pod), subresource);
}

static int evict(struct cli *cli, const struct departure_options *options, struct departing *one, struct err *err)
{
    const char *uid = json_str_or("", one->pod, "metadata", "uid", NULL);
    CLEANUP(xfree) char *path = path_of(one->pod, "eviction");
    CLEANUP(json_free) struct json *body =
        json_build("{s:s, s:s, s:{s:s, s:s}, s:{s:{s:s}}}", "apiVersion", "policy/v1", "kind", "Eviction", "metadata",
                   "name", name_of(one->pod), "namespace", namespace_of(one->pod), "deleteOptions", "preconditions",
                   "uid", uid);
    const struct kube_request request = {.method = "POST", .path = path, .body = body};

    if (options->grace_period_s >= 0)
        json_set_int(json_edit(body, "deleteOptions", NULL), "gracePeriodSeconds", options->grace_period_s);
    int r = cli_do(cli, &request, NULL, err);
    if (r == ERR_BUSY) {
        if (!one->told)
            fprintf(stderr, "error when evicting pods/\"%s\" -n \"%s\" (will retry after 5s): %s\n", name_of(one->pod),
                    namespace_of(one->pod), err_text(err));
        one->told = true;
        one->due_ms = clock_monotonic_ms() + RETRY_MS;
        err_clear(err);
        return 0;
    }
    if (r == ERR_NOT_FOUND || r == ERR_CONFLICT) { /* gone, or another pod by now */
        err_clear(err);
        r = 0;
    }
    one->stage = TO_GO;
    return r < 0 ? err_wrap(err, "error when evicting pods/\"%s\" -n \"%s\"", name_of(one->pod), namespace_of(one->pod))
                 : 0;
}

static int look(struct cli *cli, struct departing *one, struct err *err)
{
    CLEANUP(xfree) char *path = path_of(one->pod, NULL);
    CLEANUP(json_free) struct json *now = NULL;
    const struct kube_request request = {.path = path};
    int r = cli_do(cli, &request, &now, err);

    if (r < 0 && r != ERR_NOT_FOUND)
        return r;
    if (r == 0 && streq(json_str(now, "metadata", "uid", NULL), json_str(one->pod, "metadata", "uid", NULL)))
        return 0;
    err_clear(err);
    one->stage = GONE;
    printf("pod/%s evicted\n", name_of(one->pod));
    (void)fflush(stdout);
    return 0;
}

static int step(struct cli *cli, const struct departure_options *options, struct departing *one, struct err *err)
{
    if (one->stage == GONE || clock_monotonic_ms() < one->due_ms)
        return 0;
    return one->stage == TO_EVICT ? evict(cli, options, one, err) : look(cli, one, err);
}

static int run(struct cli *cli, const struct departure_options *options, struct departing *list, size_t n,
               struct err *err)
{
    int64_t deadline = options->timeout_ms > 0 ? clock_monotonic_ms() + options->timeout_ms : INT64_MAX;

    for (;;) {
        CLEANUP(buf_done) struct buf left = {0};

        for (size_t i = 0; i < n; i++) {
            int r = step(cli, options, &list[i], err);
            if (r < 0)
                return r;
            if (list[i].stage != GONE)
                buf_printf(&left, "%s%s/%s", left.len > 0 ? ", " : "", namespace_of(list[i].pod), name_of(list[i].pod));
        }
        if (left.len == 0)
            return 0;
        if (clock_monotonic_ms() > deadline)
            return err_set(err, ERR_TIMEOUT, "not gone within %lld s: %s", (long long)(options->timeout_ms / 1000),
                           buf_text(&left));
        usleep(POLL_US);
    }
}

int departure_run(struct cli *cli, const struct departure_options *options, const struct json *pods, struct err *err)
{
    struct departing *list = xcalloc(json_len(pods) + 1, sizeof(*list));
    const struct json *pod;

    json_each(pod, pods) {
        list[pod_index].pod = pod;
        if (options->dry_run)
            printf("pod/%s evicted (dry run)\n", name_of(pod));
        else
            fprintf(stderr, "evicting pod %s/%s\n", namespace_of(pod), name_of(pod));
    }
    int r = options->dry_run ? 0 : run(cli, options, list, json_len(pods), err);
    free(list);
    return r;
}
