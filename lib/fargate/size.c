/*
 * size.c: from what a pod asks for to the machine it gets. The sum follows Kubernetes' own rule for scheduling
 * (KEP-753 for sidecars, KEP-2837 for requests of the whole pod), the rounding is Fargate's table.
 */
#include "fargate/size.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/quantity.h"

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
    size_t offset;  /* in struct fargate_request */
} resources[] = {
    {"cpu", true, true, offsetof(struct fargate_request, cpu_m)},
    {"memory", false, true, offsetof(struct fargate_request, mem_b)},
    {"ephemeral-storage", false, false, offsetof(struct fargate_request, storage_b)},
};

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

static int sum_containers(const struct json *spec, const struct resource *resource, int64_t *ret, struct err *err)
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
    *ret = running > peak ? running : peak;
    return r;
}

int fargate_request_of(const struct json *pod, struct fargate_request *ret, struct err *err)
{
    const struct json *spec = json_get(pod, "spec", NULL);
    struct fargate_request request = {0};

    for (size_t i = 0; i < countof(resources); i++) {
        const struct resource *resource = &resources[i];
        const struct json *overhead = json_get(spec, "overhead", resource->name, NULL);
        int64_t total = 0, whole_pod = 0, extra = 0;
        bool given = false;
        int r = sum_containers(spec, resource, &total, err);
        if (r == 0 && resource->whole_pod)
            r = read_amount(json_get(spec, "resources", NULL), resource, &whole_pod, &given, err);
        if (r == 0 && overhead != NULL)
            r = read_quantity(overhead, resource, &extra, err);
        if (given)
            total = whole_pod;
        if (r == 0)
            r = add(&total, extra, resource, err);
        if (r < 0)
            return r;
        *(int64_t *)(void *)((char *)&request + resource->offset) = total;
    }
    *ret = request;
    return 0;
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

int fargate_size_for(const struct fargate_request *request, bool exact, struct fargate_size *ret, struct err *err)
{
    int64_t mem_b, storage_b = larger(request->storage_b, FARGATE_STORAGE_DEFAULT_BYTES);

    if (__builtin_add_overflow(request->mem_b, FARGATE_OVERHEAD_BYTES + MIB_BYTES, &mem_b))
        return too_large(err);
    mem_b -= MIB_BYTES;
    if (exact) {
        *ret = (struct fargate_size){
            .cpu_m = larger(request->cpu_m, EXACT_CPU_MIN_M),
            .mem_b = larger((mem_b + MIB_BYTES - 1) / MIB_BYTES, EXACT_MEM_MIN_MIB) * MIB_BYTES,
            .storage_b = storage_b,
        };
        return 0;
    }
    if (storage_b > FARGATE_STORAGE_MAX_BYTES)
        return err_set(err, ERR_INVALID,
                       "Your pod's ephemeral-storage requirements exceed the max Fargate configuration");
    for (size_t i = 0; i < countof(rows); i++) {
        if (rows[i].cpu_m >= request->cpu_m && rows[i].max_mib * MIB_BYTES >= mem_b) {
            *ret = (struct fargate_size){rows[i].cpu_m, choose_memory(&rows[i], mem_b), storage_b};
            return 0;
        }
    }
    return too_large(err);
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
