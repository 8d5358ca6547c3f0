/*
 * podspec_resources.c: requests and limits as cgroup values, the OOM score, the QoS class. A container without
 * limits is held by the pod's cgroup, which the caller limits to what was provisioned; a limit above that is cut to
 * it, because the kernel (cgroup v1) refuses a child with a larger CPU quota than its parent and the container
 * would not start at all.
 */
#include "spec/podspec_internal.h"

#include "base/mem.h"
#include "data/quantity.h"

#define CPU_PERIOD_US 100000
#define MIN_SHARES 2
#define MAX_SHARES 262144
#define MIN_QUOTA_US 1000
#define OOM_GUARANTEED (-997) /* these: pkg/kubelet/qos/policy.go */
#define OOM_BEST_EFFORT 1000

struct amounts { /* of one container; -1: not set */
    int64_t cpu_request_m, cpu_limit_m, mem_request_b, mem_limit_b;
};

static int read_amount(const struct json *resources, const char *list, const char *name, int64_t *ret, struct err *err)
{
    const char *text = json_str(resources, list, name, NULL);

    *ret = -1;
    if (text == NULL)
        return 0;
    return streq(name, "cpu") ? quantity_parse_milli(text, ret, err) : quantity_parse_units(text, ret, err);
}

static int read_amounts(const struct json *container, struct amounts *ret, struct err *err)
{
    const struct json *resources = json_get(container, "resources", NULL);
    int r;

    r = read_amount(resources, "requests", "cpu", &ret->cpu_request_m, err);
    if (r == 0)
        r = read_amount(resources, "limits", "cpu", &ret->cpu_limit_m, err);
    if (r == 0)
        r = read_amount(resources, "requests", "memory", &ret->mem_request_b, err);
    if (r == 0)
        r = read_amount(resources, "limits", "memory", &ret->mem_limit_b, err);
    if (r < 0)
        return err_wrap(err, "resources of container '%s'", json_str_or("", container, "name", NULL));
    if (ret->cpu_request_m < 0)
        ret->cpu_request_m = ret->cpu_limit_m;
    if (ret->mem_request_b < 0)
        ret->mem_request_b = ret->mem_limit_b;
    return 0;
}

static int64_t shares_of(int64_t cpu_m)
{
    int64_t shares;

    if (cpu_m <= 0)
        return MIN_SHARES;
    if (cpu_m > (int64_t)MAX_SHARES * 1000 / 1024)
        return MAX_SHARES;
    shares = cpu_m * 1024 / 1000;
    return shares < MIN_SHARES ? MIN_SHARES : shares;
}

static int64_t quota_of(int64_t cpu_m)
{
    int64_t quota = cpu_m > INT64_MAX / 100 ? INT64_MAX : cpu_m * (CPU_PERIOD_US / 1000);

    return quota < MIN_QUOTA_US ? MIN_QUOTA_US : quota;
}

static int64_t smaller(int64_t limit, int64_t cap)
{
    return cap > 0 && limit > cap ? cap : limit;
}

/*
 * By QoS, although Fargate's pods carry system-node-critical, for which the kubelet would protect every one of
 * them: on a shared host that would mean nobody.
 */
static int64_t oom_score(const struct json *pod, const struct amounts *amounts, int64_t machine_b)
{
    const char *qos = podspec_qos_class(pod);
    int64_t score;

    if (streq(qos, "Guaranteed"))
        return OOM_GUARANTEED;
    if (streq(qos, "BestEffort") || machine_b <= 0)
        return OOM_BEST_EFFORT;
    score = 1000;
    if (amounts->mem_request_b > 0) /* in KiB, so that a thousand times as much still fits */
        score -= smaller(amounts->mem_request_b, machine_b) / 1024 * 1000 / (machine_b / 1024 + 1);
    if (score < 1000 + OOM_GUARANTEED)
        return 1000 + OOM_GUARANTEED;
    return score == OOM_BEST_EFFORT ? OOM_BEST_EFFORT - 1 : score;
}

int podspec_container_resources(const struct json *pod, const struct json *container,
                                const struct podspec_context *context, struct cri_resources *ret, struct err *err)
{
    struct amounts amounts;
    int r = read_amounts(container, &amounts, err);

    if (r < 0)
        return r;
    ret->cpu_shares = shares_of(amounts.cpu_request_m);
    ret->cpu_period = CPU_PERIOD_US;
    if (amounts.cpu_limit_m > 0)
        ret->cpu_quota = quota_of(smaller(amounts.cpu_limit_m, context->provisioned_cpu_m));
    if (amounts.mem_limit_b > 0)
        ret->memory_limit_b = smaller(amounts.mem_limit_b, context->provisioned_mem_b);
    ret->oom_score_adj = oom_score(pod, &amounts, context->provisioned_mem_b);
    /* as the kubelet has it: no part of a container goes on without the rest, and none swaps, limited or not */
    ret->oom_group = context->oom_group;
    ret->no_swap = context->swap_limits;
    return 0;
}

/* Runtimes that start a virtual machine size it by these. */
int podspec_sandbox_resources(const struct json *pod, const struct podspec_context *context,
                              struct cri_sandbox_config *config, struct err *err)
{
    const struct json *overhead = json_get(pod, "spec", NULL);
    int64_t cpu_m, mem_b;
    int r;

    if (context->provisioned_cpu_m > 0) {
        config->resources.cpu_period = CPU_PERIOD_US;
        config->resources.cpu_quota = quota_of(context->provisioned_cpu_m);
        config->resources.cpu_shares = shares_of(context->provisioned_cpu_m);
    }
    config->resources.memory_limit_b = context->provisioned_mem_b;
    r = read_amount(overhead, "overhead", "cpu", &cpu_m, err);
    if (r == 0)
        r = read_amount(overhead, "overhead", "memory", &mem_b, err);
    if (r < 0)
        return err_wrap(err, "overhead of the pod");
    if (cpu_m > 0) {
        config->overhead.cpu_period = CPU_PERIOD_US;
        config->overhead.cpu_quota = quota_of(cpu_m);
        config->overhead.cpu_shares = shares_of(cpu_m);
    }
    if (mem_b > 0)
        config->overhead.memory_limit_b = mem_b;
    return 0;
}

/* --- QoS: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */

struct qos {
    bool any;           /* something is requested or limited */
    bool not_guaranteed; /* a container lacks a limit, or asks for less than its limit */
};

static void add_qos(const struct json *container, struct qos *qos)
{
    CLEANUP(err_clear) struct err ignored = {0}; /* quantities were validated; a broken one counts as Burstable */
    struct amounts amounts;

    if (read_amounts(container, &amounts, &ignored) < 0) {
        qos->any = qos->not_guaranteed = true;
        return;
    }
    if (amounts.cpu_request_m > 0 || amounts.mem_request_b > 0)
        qos->any = true;
    if (amounts.cpu_limit_m <= 0 || amounts.mem_limit_b <= 0 || amounts.cpu_request_m != amounts.cpu_limit_m ||
        amounts.mem_request_b != amounts.mem_limit_b)
        qos->not_guaranteed = true;
}

const char *podspec_qos_class(const struct json *pod)
{
    const char *known = json_str(pod, "status", "qosClass", NULL);
    static const char *const lists[] = {"containers", "initContainers"};
    const struct json *container;
    struct qos qos = {0};

    if (streq(known, "Guaranteed"))
        return "Guaranteed";
    if (streq(known, "BestEffort"))
        return "BestEffort";
    if (known != NULL && known[0] != '\0')
        return "Burstable";
    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            add_qos(container, &qos);
    if (!qos.any)
        return "BestEffort";
    return qos.not_guaranteed ? "Burstable" : "Guaranteed";
}
