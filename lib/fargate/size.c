/*
 * size.c: from what a pod asks for to the machine it gets. The sum follows Kubernetes' own rule for scheduling
 * (KEP-753 for sidecars, KEP-2837 for requests of the whole pod), the rounding is Fargate's table.
 */
#include "fargate/size.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/quantity.h"
#include "fargate/names.h"

#define MIB_BYTES (1ll << 20)
#define GIB_BYTES (1ll << 30)

enum { EXACT_CPU_MIN_M = 10, EXACT_MEM_MIN_MIB = 32 };

/* https://docs.aws.amazon.com/eks/latest/userguide/fargate-pod-configuration.html */
static const struct row {
    int64_t cpu_m;
    int64_t min_mib, max_mib;
    int64_t step_mib; /* 0: each choice is twice the one before */
} rows[] = {
    {250, 512, 2 * 1024, 0},
    {500, 1 * 1024, 4 * 1024, 1024},
    {1000, 2 * 1024, 8 * 1024, 1024},
    {2000, 4 * 1024, 16 * 1024, 1024},
    {4000, 8 * 1024, 30 * 1024, 1024},
    {8000, 16 * 1024, 60 * 1024, 4 * 1024},
    {16000, 32 * 1024, 120 * 1024, 8 * 1024},
};

/* --- the request */

static const struct resource {
    const char *name;
    bool milli;
    bool whole_pod; /* may be given for the pod as a whole (KEP-2837) */
    size_t offset;  /* in struct fargate_request, and in struct fargate_size */
} resources[] = {
    {"cpu", true, true, offsetof(struct fargate_request, cpu_m)},
    {"memory", false, true, offsetof(struct fargate_request, mem_b)},
    {"ephemeral-storage", false, false, offsetof(struct fargate_request, storage_b)},
};
_Static_assert(offsetof(struct fargate_request, storage_b) == offsetof(struct fargate_size, storage_b),
               "the offsets hold for both");

static int64_t *field(struct fargate_request *request, const struct resource *resource)
{
    return (int64_t *)(void *)((char *)request + resource->offset);
}

static int64_t amount_in(const struct fargate_size *size, const struct resource *resource)
{
    return *(const int64_t *)(const void *)((const char *)size + resource->offset);
}

static int read_quantity(const struct json *value, const struct resource *resource, int64_t *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf number = {0};
    const char *text = json_string_value(value);
    int64_t amount;

    if (text == NULL && (json_type(value) == JSON_INT || json_type(value) == JSON_REAL)) {
        json_print(value, &number); /* manifests may write 1 for "1" */
        text = buf_text(&number);
    }
    if (text == NULL)
        return err_set(err, ERR_PARSE, "the quantity of %s is no text", resource->name);
    int r = resource->milli ? quantity_parse_milli(text, &amount, err) : quantity_parse_units(text, &amount, err);
    if (r < 0)
        return err_wrap(err, "%s", resource->name);
    if (amount < 0)
        return err_set(err, ERR_PARSE, "%s: '%.64s' is negative", resource->name, text);
    *ret = amount;
    return 0;
}

/* The request, else the limit, else 0; *ret_given: one of them is there. */
static int read_amount(const struct json *requirements, const struct resource *resource, int64_t *ret,
                       bool *ret_given, struct err *err)
{
    const struct json *value = json_get(requirements, "requests", resource->name, NULL);

    if (value == NULL)
        value = json_get(requirements, "limits", resource->name, NULL);
    *ret = 0;
    *ret_given = value != NULL;
    return value != NULL ? read_quantity(value, resource, ret, err) : 0;
}

static int add(int64_t *sum, int64_t amount, const struct resource *resource, struct err *err)
{
    if (__builtin_add_overflow(*sum, amount, sum))
        return err_set(err, ERR_TOO_BIG, "the sum of all %s requests is too large", resource->name);
    return 0;
}

static int read_container(const struct json *container, const struct resource *resource, int64_t *ret,
                          struct err *err)
{
    bool given;
    int r = read_amount(json_get(container, "resources", NULL), resource, ret, &given, err);

    return r < 0 ? err_wrap(err, "container '%.64s'", json_str_or("", container, "name", NULL)) : 0;
}

int fargate_container_request(const struct json *container, struct fargate_request *ret, struct err *err)
{
    struct fargate_request request = {0};

    for (size_t i = 0; i < countof(resources); i++) {
        int r = read_container(container, &resources[i], field(&request, &resources[i]), err);
        if (r < 0)
            return r;
    }
    *ret = request;
    return 0;
}

/* One resource of the containers: *ret_running all together, *ret_peak the largest moment before. */
static int sum_containers(const struct json *spec, const struct resource *resource, int64_t *ret_running,
                          int64_t *ret_peak, struct err *err)
{
    int64_t running = 0, sidecars = 0, peak = 0, amount;
    const struct json *container;
    int r;

    json_each(container, json_get(spec, "containers", NULL)) {
        r = read_container(container, resource, &amount, err);
        if (r == 0)
            r = add(&running, amount, resource, err);
        if (r < 0)
            return r;
    }
    json_each(container, json_get(spec, "initContainers", NULL)) {
        bool sidecar = streq(json_str(container, "restartPolicy", NULL), "Always");
        r = read_container(container, resource, &amount, err);
        if (r == 0)
            r = add(&amount, sidecars, resource, err);
        if (r < 0)
            return r;
        if (sidecar)
            sidecars = amount;
        if (amount > peak)
            peak = amount;
    }
    r = add(&running, sidecars, resource, err);
    *ret_running = running;
    *ret_peak = peak;
    return r;
}

static int sum_resource(const struct json *spec, const struct resource *resource, struct fargate_sum *sum,
                        bool *ret_whole_pod, struct err *err)
{
    int64_t *running = field(&sum->running, resource), *peak = field(&sum->init_peak, resource);
    int64_t *total = field(&sum->request, resource), *extra = field(&sum->overhead, resource);
    const struct json *overhead = json_get(spec, "overhead", resource->name, NULL);
    int r = sum_containers(spec, resource, running, peak, err);

    *ret_whole_pod = false;
    if (r == 0 && resource->whole_pod)
        r = read_amount(json_get(spec, "resources", NULL), resource, field(&sum->whole_pod, resource), ret_whole_pod,
                        err);
    if (r == 0 && overhead != NULL)
        r = read_quantity(overhead, resource, extra, err);
    if (r < 0)
        return r;
    *total = *running > *peak ? *running : *peak;
    if (*ret_whole_pod)
        *total = *field(&sum->whole_pod, resource);
    return add(total, *extra, resource, err);
}

int fargate_request_sum(const struct json *pod, struct fargate_sum *ret, struct err *err)
{
    const struct json *spec = json_get(pod, "spec", NULL);
    struct fargate_sum sum = {0};
    bool given[countof(resources)];

    for (size_t i = 0; i < countof(resources); i++) {
        int r = sum_resource(spec, &resources[i], &sum, &given[i], err);
        if (r < 0)
            return r;
    }
    sum.whole_pod_cpu = given[0];
    sum.whole_pod_mem = given[1];
    *ret = sum;
    return 0;
}

int fargate_request_of(const struct json *pod, struct fargate_request *ret, struct err *err)
{
    struct fargate_sum sum;
    int r = fargate_request_sum(pod, &sum, err);

    if (r == 0)
        *ret = sum.request;
    return r;
}

/* --- the size */

static int too_large(struct err *err)
{
    return err_set(err, ERR_INVALID, "Your pod's cpu/memory requirements exceed the max Fargate configuration");
}

static int64_t choose_memory(const struct row *row, int64_t mem_b)
{
    int64_t mib = row->min_mib;

    while (mib * MIB_BYTES < mem_b)
        mib += row->step_mib > 0 ? row->step_mib : mib;
    return mib * MIB_BYTES;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/*
 * A tenth for the file system and 5 GiB for the system's own files, in whole GiB.
 * https://aws.amazon.com/blogs/containers/amazon-eks-fargate-adds-support-for-larger-ephemeral-volumes
 */
static int64_t provision_storage(int64_t request_b)
{
    int64_t needed_b = request_b + (request_b + 9) / 10 + 5 * GIB_BYTES;

    return larger((needed_b + GIB_BYTES - 1) / GIB_BYTES * GIB_BYTES, FARGATE_STORAGE_DEFAULT_BYTES);
}

int fargate_size_for(const struct fargate_request *request, bool exact, struct fargate_size *ret, struct err *err)
{
    int64_t mem_b;

    if (__builtin_add_overflow(request->mem_b, FARGATE_OVERHEAD_BYTES + MIB_BYTES, &mem_b))
        return too_large(err);
    mem_b -= MIB_BYTES;
    if (exact) {
        *ret = (struct fargate_size){
            .cpu_m = larger(request->cpu_m, EXACT_CPU_MIN_M),
            .mem_b = larger((mem_b + MIB_BYTES - 1) / MIB_BYTES, EXACT_MEM_MIN_MIB) * MIB_BYTES,
            .storage_b = larger(request->storage_b, FARGATE_STORAGE_DEFAULT_BYTES),
        };
        return 0;
    }
    if (request->storage_b > FARGATE_STORAGE_MAX_BYTES)
        return err_set(err, ERR_INVALID,
                       "Your pod's ephemeral-storage requirements exceed the max Fargate configuration");
    for (size_t i = 0; i < countof(rows); i++) {
        if (rows[i].cpu_m >= request->cpu_m && rows[i].max_mib * MIB_BYTES >= mem_b) {
            *ret = (struct fargate_size){rows[i].cpu_m, choose_memory(&rows[i], mem_b),
                                         provision_storage(request->storage_b)};
            return 0;
        }
    }
    return too_large(err);
}

/* --- what must fit into the size */

/* Whose limit it is, for an error; container NULL: the pod's. Heap. */
static char *owner_text(const struct json *container)
{
    return container == NULL ? xstrdup("of the pod")
                             : xasprintf("of container '%.64s'", json_str_or("", container, "name", NULL));
}

static int check_limits_of(const struct json *requirements, const struct json *container,
                           const struct fargate_size *size, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};

    for (size_t i = 0; i < countof(resources); i++) {
        const struct json *limit = json_get(requirements, "limits", resources[i].name, NULL);
        int64_t amount;

        if (limit == NULL)
            continue;
        int r = read_quantity(limit, &resources[i], &amount, err);
        if (r == 0 && amount <= amount_in(size, &resources[i]))
            continue;
        CLEANUP(xfree) char *owner = owner_text(container);
        if (r < 0)
            return err_wrap(err, "the limit %s", owner);
        CLEANUP(buf_done) struct buf number = {0};
        if (json_string_value(limit) != NULL)
            buf_add_str(&number, json_string_value(limit));
        else
            json_print(limit, &number);
        fargate_size_print(size, &text);
        if (streq(resources[i].name, "ephemeral-storage"))
            buf_printf(&text, " %lldGi", (long long)(size->storage_b / GIB_BYTES));
        return err_set(err, ERR_INVALID, "the %s limit %.64s %s is above the %s that the pod's requests come to: raise "
                       "the request to the limit, or lower the limit", resources[i].name, buf_text(&number), owner,
                       buf_text(&text));
    }
    return 0;
}

int fargate_limits_check(const struct json *pod, const struct fargate_size *size, struct err *err)
{
    static const char *const lists[] = {"initContainers", "containers"};
    const struct json *spec = json_get(pod, "spec", NULL), *container;
    int r = check_limits_of(json_get(spec, "resources", NULL), NULL, size, err);

    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(spec, lists[i], NULL)) {
            if (r < 0)
                return r;
            r = check_limits_of(json_get(container, "resources", NULL), container, size, err);
        }
    return r;
}

int fargate_resize_check(const struct json *pod, const struct fargate_size *size, bool clamp, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct fargate_request request = {0};
    int r = fargate_request_of(pod, &request, err);

    if (r < 0)
        return r;
    if (request.cpu_m > size->cpu_m || request.mem_b > size->mem_b - FARGATE_OVERHEAD_BYTES) {
        buf_add_str(&text, "the pod asks for ");
        quantity_print_milli(request.cpu_m, &text);
        buf_add_str(&text, " vCPU and ");
        quantity_print_bytes(request.mem_b, &text);
        buf_add_str(&text, " (and 256Mi for Kubernetes) now, but ");
        fargate_size_print(size, &text);
        return err_set(err, ERR_INVALID, "%s was provisioned for it: ask for less, or delete it so that a larger one "
                       "takes its place", buf_text(&text));
    }
    return clamp ? 0 : fargate_limits_check(pod, size, err);
}

void fargate_size_print(const struct fargate_size *size, struct buf *out)
{
    /* exact: both are small multiples of 1/1000 and 1/1024 */
    buf_printf(out, "%.15gvCPU %.15gGB", (double)size->cpu_m / 1000, (double)size->mem_b / (double)GIB_BYTES);
}

int fargate_size_parse(const char *text, struct fargate_size *ret, struct err *err)
{
    CLEANUP(err_clear) struct err reason = {0};
    CLEANUP(buf_done) struct buf cpu = {0};
    CLEANUP(buf_done) struct buf memory = {0};
    struct fargate_size size = {.storage_b = FARGATE_STORAGE_DEFAULT_BYTES};
    struct str cpu_text, memory_text;

    bool good = str_cut(str_of(text), ' ', &cpu_text, &memory_text) && ends_with(text, "GB") && cpu_text.len > 4 &&
                memcmp(cpu_text.p + cpu_text.len - 4, "vCPU", 4) == 0 && memory_text.len > 2;
    if (good) {
        buf_add(&cpu, cpu_text.p, cpu_text.len - 4);
        buf_add(&memory, memory_text.p, memory_text.len - 2);
        buf_add_str(&memory, "Gi"); /* Fargate's GB are GiB */
        good = strspn(cpu.data, "0123456789.") == cpu.len && strspn(memory.data, "0123456789.") == memory.len - 2 &&
               quantity_parse_milli(cpu.data, &size.cpu_m, &reason) == 0 &&
               quantity_parse_units(memory.data, &size.mem_b, &reason) == 0;
    }
    if (!good)
        return err_set(err, ERR_PARSE, "'%.64s' is no capacity such as '0.25vCPU 0.5GB'", text);
    *ret = size;
    return 0;
}

struct fargate_size fargate_size_provisioned(const struct json *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct json *annotations = json_get(pod, "metadata", "annotations", NULL);
    const char *text = json_string_value(json_member(annotations, FARGATE_CAPACITY_ANNOTATION));
    struct fargate_size size = {0}, written;
    struct fargate_request request;

    if (fargate_request_of(pod, &request, &err) < 0 || fargate_size_for(&request, false, &size, &err) < 0)
        err_clear(&err); /* a resize may have made it so; what is written down counts */
    if (text == NULL || fargate_size_parse(text, &written, &err) < 0)
        return size;
    written.storage_b = size.storage_b > 0 ? size.storage_b : written.storage_b;
    return written;
}
