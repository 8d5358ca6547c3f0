/*
 * place_text.c: why no host takes a pod, in words that say what to change. Quotas too: a profile that is full is one
 * more place without room.
 */
#include "data/quantity.h"
#include "fargate/place.h"

/* In the order in which they are told: what can be helped most easily first. */
static const struct {
    enum place_reason reason;
    const char *one, *many, *remedy;
} texts[] = {
    {PLACE_CPU, "has not enough vCPU free", "have not enough vCPU free", "delete pods, ask for less, or add a host"},
    {PLACE_MEMORY, "has not enough memory free", "have not enough memory free",
     "delete pods, ask for less, or add a host"},
    {PLACE_DISK, "has not enough disk free", "have not enough disk free",
     "delete pods, ask for less ephemeral-storage, or add a host"},
    {PLACE_PODS, "runs as many pods as it may", "run as many pods as they may", "delete pods, or add a host"},
    {PLACE_UNEVEN, "is in a domain that has more matching pods than the spread constraints allow",
     "are in domains that have more matching pods than the spread constraints allow",
     "make room in the other domains, or set whenUnsatisfiable: ScheduleAnyway"},
    {PLACE_TOO_SMALL, "is smaller than the pod", "are smaller than the pod", "ask for less, or add a larger host"},
    {PLACE_ZONE, "is in a zone that the profile leaves out", "are in zones that the profile leaves out",
     "widen the profile's zones, or add a host in one of them"},
    {PLACE_SELECTOR, "does not match the pod's node selector", "do not match the pod's node selector",
     "change nodeSelector or node affinity, or label or add a host"},
    {PLACE_RUNTIME, "lacks the runtime handler", "lack the runtime handler",
     "choose another runtimeClassName, or install the runtime on a host"},
    {PLACE_DRIVER, "lacks a CSI driver of its volumes", "lack a CSI driver of its volumes",
     "run the driver on a host; one that attaches volumes to nodes (attachRequired of its CSIDriver object) cannot be used"},
    {PLACE_CORDONED, "is cordoned", "are cordoned", "put one back into service: fks uncordon host NAME"},
    {PLACE_PRESSED, "is short of memory, disk, processes or network", "are short of memory, disk, processes or network",
     "see the conditions of the FargateHost"},
    {PLACE_NOT_READY, "says it is not ready", "say they are not ready", "see the conditions of the FargateHost"},
    {PLACE_DEAD, "has no heartbeat", "have no heartbeat", "see whether fks-node runs there"},
};

const char *place_reason_text(enum place_reason reason)
{
    for (size_t i = 0; i < countof(texts); i++)
        if (texts[i].reason == reason)
            return texts[i].one;
    return reason == PLACE_FITS ? "fits" : "has no FargateHost that can be read";
}

const char *place_reason_remedy(enum place_reason reason)
{
    for (size_t i = 0; i < countof(texts); i++)
        if (texts[i].reason == reason)
            return texts[i].remedy;
    return "";
}

void place_explain(const struct place_result *result, const struct place_need *need, struct buf *out)
{
    const char *separator = ": ";

    if (result->n_hosts == 0) {
        (void)buf_add_str(out, "no host offers capacity: start fks-node on one");
        return;
    }
    (void)buf_printf(out, "0 of %zu %s can take ", result->n_hosts, result->n_hosts == 1 ? "host" : "hosts");
    fargate_size_print(&need->size, out);
    for (size_t i = 0; i < countof(texts); i++) {
        size_t n = result->n_reason[texts[i].reason];

        if (n == 0)
            continue;
        (void)buf_printf(out, "%s%zu %s (%s)", separator, n, n == 1 ? texts[i].one : texts[i].many, texts[i].remedy);
        separator = ", ";
    }
}

static void print_number(int64_t number, struct buf *out)
{
    (void)buf_printf(out, "%lld", (long long)number);
}

bool place_quota_allows(const struct fargate_quota *quota, const struct place_usage *used,
                        const struct fargate_size *size, struct buf *why)
{
    const struct {
        const char *name;
        int64_t most, used, more;
        void (*print)(int64_t, struct buf *);
    } members[] = {{"vCPU", quota->cpu_m, used->cpu_m, size->cpu_m, quantity_print_milli},
                   {"memory", quota->mem_b, used->mem_b, size->mem_b, quantity_print_bytes},
                   {"pods", quota->pods, used->pods, 1, print_number}};

    for (size_t i = 0; i < countof(members); i++) {
        if (members[i].most == FARGATE_NO_QUOTA || members[i].used + members[i].more <= members[i].most)
            continue;
        (void)buf_printf(why, "its quota of %s is used up: ", members[i].name);
        members[i].print(members[i].used, why);
        (void)buf_add_str(why, " of ");
        members[i].print(members[i].most, why);
        (void)buf_add_str(why, " in use, ");
        members[i].print(members[i].more, why);
        (void)buf_add_str(why, " needed (delete pods, or raise spec.quota of the profile)");
        return false;
    }
    return true;
}
