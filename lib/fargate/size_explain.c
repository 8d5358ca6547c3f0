/*
 * size_explain.c: the computation of size.c told line by line, for `fks explain pod`. It adds nothing up itself: what
 * it prints are the numbers that size.c came to.
 */
#include "base/mem.h"
#include "data/quantity.h"
#include "fargate/size.h"

static void add_amounts(const struct fargate_request *request, struct buf *out)
{
    buf_add_str(out, "cpu ");
    quantity_print_milli(request->cpu_m, out);
    buf_add_str(out, ", memory ");
    quantity_print_bytes(request->mem_b, out);
    if (request->storage_b > 0) {
        buf_add_str(out, ", ephemeral-storage ");
        quantity_print_bytes(request->storage_b, out);
    }
}

static void add_line(struct strv *lines, const char *title, const struct fargate_request *request)
{
    CLEANUP(buf_done) struct buf text = {0};

    buf_printf(&text, "%s: ", title);
    add_amounts(request, &text);
    strv_add(lines, buf_text(&text));
}

static bool is_nothing(const struct fargate_request *request)
{
    return request->cpu_m == 0 && request->mem_b == 0 && request->storage_b == 0;
}

static void explain_containers(const struct json *spec, const char *list, struct strv *lines)
{
    const struct json *container;

    json_each(container, json_get(spec, list, NULL)) {
        CLEANUP(err_clear) struct err ignored = {0}; /* the sum has been made already */
        struct fargate_request request = {0};
        bool sidecar = streq(json_str(container, "restartPolicy", NULL), "Always");
        const char *kind = streq(list, "containers") ? "container" : sidecar ? "sidecar" : "init container";
        CLEANUP(xfree) char *title = xasprintf("%s %.64s", kind, json_str_or("", container, "name", NULL));

        if (fargate_container_request(container, &request, &ignored) == 0)
            add_line(lines, title, &request);
    }
}

static void explain_sum(const struct json *spec, const struct fargate_sum *sum, struct strv *lines)
{
    explain_containers(spec, "initContainers", lines);
    explain_containers(spec, "containers", lines);
    add_line(lines, "containers and sidecars together", &sum->running);
    if (!is_nothing(&sum->init_peak))
        add_line(lines, "largest init container, with the sidecars before it", &sum->init_peak);
    if (sum->whole_pod_cpu || sum->whole_pod_mem) {
        CLEANUP(buf_done) struct buf text = {0};

        buf_add_str(&text, "the pod as a whole says:");
        if (sum->whole_pod_cpu) {
            buf_add_str(&text, " cpu ");
            quantity_print_milli(sum->whole_pod.cpu_m, &text);
        }
        if (sum->whole_pod_mem) {
            buf_add_str(&text, " memory ");
            quantity_print_bytes(sum->whole_pod.mem_b, &text);
        }
        strv_add(lines, buf_text(&text));
    }
    if (!is_nothing(&sum->overhead))
        add_line(lines, "overhead of the RuntimeClass", &sum->overhead);
    add_line(lines, "request", &sum->request);
}

void fargate_size_explain(const struct json *pod, bool exact, bool clamp, struct strv *lines)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *spec = json_get(pod, "spec", NULL);
    struct fargate_request request;
    struct fargate_size size;
    struct fargate_sum sum;

    if (fargate_request_sum(pod, &sum, &err) < 0) {
        strv_add(lines, err_text(&err));
        return;
    }
    explain_sum(spec, &sum, lines);
    request = sum.request;
    if (__builtin_add_overflow(request.mem_b, FARGATE_OVERHEAD_BYTES, &request.mem_b))
        request.mem_b = INT64_MAX;
    add_line(lines, "with 256Mi of memory for the Kubernetes components", &request);
    if (fargate_size_for(&sum.request, exact, &size, &err) < 0) {
        strv_add(lines, err_text(&err));
        return;
    }
    buf_add_str(&text, exact ? "exact, as the profile says: " : "rounded up to a size of Fargate: ");
    fargate_size_print(&size, &text);
    buf_printf(&text, ", disk %lldGi", (long long)(size.storage_b >> 30));
    strv_add(lines, buf_text(&text));
    if (fargate_limits_check(pod, &size, &err) < 0)
        strv_add(lines, clamp ? "limits above it are cut to it, as the profile says" : err_text(&err));
}
