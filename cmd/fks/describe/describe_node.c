/*
 * describe_node.c: nodes: conditions, capacity, and what the pods on it ask for.
 */
#include "base/mem.h"
#include "data/quantity.h"
#include "describe/describe.h"
#include "text/gotext.h"

/* CPU in thousandths, everything else in units. */
static int64_t amount(const char *resource, const struct json *value)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err bad = {0};
    int64_t result = 0;
    if (json_type(value) == JSON_NULL)
        return 0;
    describe_scalar(value, &text);
    int code = streq(resource, "cpu") ? quantity_parse_milli(buf_text(&text), &result, &bad)
                                      : quantity_parse_units(buf_text(&text), &result, &bad);
    return code < 0 ? 0 : result;
}

static int64_t of_container(const struct json *container, const char *which, const char *resource)
{
    return amount(resource, json_get(container, "resources", which, resource, NULL));
}

/*
 * What a pod asks for (which: "requests" or "limits"): its containers together, or the init containers where they
 * need more, and the overhead.
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
 */
static int64_t of_pod(const struct json *pod, const char *which, const char *resource)
{
    const struct json *spec = json_get(pod, "spec", NULL), *container;
    const struct json *own = json_get(spec, "resources", which, resource, NULL);
    int64_t sum = 0, sidecars = 0, init = 0;
    json_each(container, json_get(spec, "containers", NULL))
        sum += of_container(container, which, resource);
    json_each(container, json_get(spec, "initContainers", NULL)) {
        int64_t needs = of_container(container, which, resource);
        bool sidecar = streq(json_str(container, "restartPolicy", NULL), "Always");
        sidecars += sidecar ? needs : 0;
        int64_t during = sidecars + (sidecar ? 0 : needs);
        init = during > init ? during : init;
    }
    int64_t total = sum + sidecars > init ? sum + sidecars : init;
    if (own != NULL)
        total = amount(resource, own);
    const struct json *overhead = json_get(spec, "overhead", resource, NULL);
    if (overhead != NULL && (streq(which, "requests") || total > 0))
        total += amount(resource, overhead);
    return total;
}

static void print_amount(const char *resource, int64_t value, struct buf *out)
{
    if (streq(resource, "cpu"))
        quantity_print_milli(value, out);
    else
        quantity_print_bytes(value, out);
}

static long long percent(int64_t part, int64_t whole)
{
    return whole != 0 ? (long long)((double)part / (double)whole * 100) : 0;
}

/* "100m (2%)" */
static void print_share(const char *resource, int64_t value, int64_t whole, struct buf *out)
{
    print_amount(resource, value, out);
    buf_printf(out, " (%lld%%)", percent(value, whole));
}

static const struct json *allocatable(const struct describe *describe)
{
    const struct json *own = json_get(describe->object, "status", "allocatable", NULL);
    return json_len(own) > 0 ? own : json_get(describe->object, "status", "capacity", NULL);
}

static void describe_pod_row(struct describe *describe, const struct json *pod)
{
    static const char *const resources[] = {"cpu", "memory"}, *const which[] = {"requests", "limits"};
    CLEANUP(buf_done) struct buf row = {0}, age = {0};
    for (size_t i = 0; i < countof(resources); i++) {
        int64_t whole = amount(resources[i], json_get(allocatable(describe), resources[i], NULL));
        for (size_t j = 0; j < countof(which); j++) {
            int64_t value = of_pod(pod, which[j], resources[i]);
            print_amount(resources[i], value, &row);
            /* kubectl divides by nothing here, and shows what Go makes of it */
            buf_printf(&row, " (%lld%%)\t", whole != 0 ? percent(value, whole) : (long long)INT64_MIN);
        }
    }
    describe_age(json_str(pod, "metadata", "creationTimestamp", NULL), &age);
    describe_write(describe, 1, "%s\t%s\t\t%s%s\n", json_str_or("", pod, "metadata", "namespace", NULL),
                   json_str_or("", pod, "metadata", "name", NULL), buf_text(&row), buf_text(&age));
}

static bool is_standard(const char *resource)
{
    return streq(resource, "cpu") || streq(resource, "memory") || streq(resource, "ephemeral-storage") ||
           streq(resource, "pods");
}

static void describe_total(struct describe *describe, const char *resource, bool with_share)
{
    int64_t requests = 0, limits = 0, whole = amount(resource, json_get(allocatable(describe), resource, NULL));
    const struct json *pod;
    json_each(pod, json_get(describe->related, "pods", NULL)) {
        requests += of_pod(pod, "requests", resource);
        limits += of_pod(pod, "limits", resource);
    }
    CLEANUP(buf_done) struct buf row = {0};
    if (with_share) {
        print_share(resource, requests, whole, &row);
        buf_add_char(&row, '\t');
        print_share(resource, limits, whole, &row);
    } else {
        buf_printf(&row, "%lld\t%lld", (long long)requests, (long long)limits);
    }
    describe_write(describe, 1, "%s\t%s\n", resource, buf_text(&row));
}

static void describe_allocated(struct describe *describe)
{
    const struct json *pod, *pods = json_get(describe->related, "pods", NULL);
    describe_write(describe, 0, "Non-terminated Pods:\t(%zu in total)\n", json_len(pods));
    describe_write(describe, 1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge\n");
    describe_write(describe, 1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---\n");
    json_each(pod, pods)
        describe_pod_row(describe, pod);
    describe_write(describe, 0,
                   "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n");
    describe_write(describe, 1, "Resource\tRequests\tLimits\n");
    describe_write(describe, 1, "--------\t--------\t------\n");
    describe_total(describe, "cpu", true);
    describe_total(describe, "memory", true);
    describe_total(describe, "ephemeral-storage", true);
    CLEANUP(strv_done) struct strv names = {0};
    gotext_keys(allocatable(describe), &names);
    for (size_t i = 0; i < names.n; i++) {
        if (starts_with(names.items[i], "hugepages-"))
            describe_total(describe, names.items[i], true);
    }
    for (size_t i = 0; i < names.n; i++) {
        if (!is_standard(names.items[i]) && !starts_with(names.items[i], "hugepages-"))
            describe_total(describe, names.items[i], false);
    }
}

/* --- the node itself */

static void describe_roles(struct describe *describe)
{
    static const char prefix[] = "node-role.kubernetes.io/";
    CLEANUP(strv_done) struct strv roles = {0};
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(json_get(describe->object, "metadata", "labels", NULL), &position, &key, &value)) {
        const char *role = starts_with(key, prefix)           ? key + strlen(prefix)
                           : streq(key, "kubernetes.io/role") ? json_string_value(value)
                                                              : NULL;
        if (strempty(role)[0] != '\0' && !strv_has(&roles, role))
            strv_add(&roles, role);
    }
    strv_sort(&roles);
    CLEANUP(xfree) char *text = strv_join(&roles, ",");
    describe_write(describe, 0, "Roles:\t%s\n", roles.n > 0 ? text : "<none>");
}

static int by_effect(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    int order = strcmp(json_str_or("", *a, "effect", NULL), json_str_or("", *b, "effect", NULL));
    return order != 0 ? order : strcmp(json_str_or("", *a, "key", NULL), json_str_or("", *b, "key", NULL));
}

static void describe_taints(struct describe *describe)
{
    const struct json *taints = json_get(describe->object, "spec", "taints", NULL);
    size_t n = json_len(taints);
    CLEANUP(xfree) const struct json **list = xcalloc(n + 1, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = json_at(taints, i);
    qsort(list, n, sizeof(*list), by_effect);
    describe_write(describe, 0, "Taints:\t%s", n == 0 ? "<none>\n" : "");
    for (size_t i = 0; i < n; i++) {
        const char *value = json_str_or("", list[i], "value", NULL);
        describe_write(describe, 0, "%s%s%s%s:%s\n", i > 0 ? "\t" : "", json_str_or("", list[i], "key", NULL),
                       value[0] != '\0' ? "=" : "", value, json_str_or("", list[i], "effect", NULL));
    }
}

static void describe_lease(struct describe *describe)
{
    const struct json *lease = json_get(describe->related, "lease", NULL);
    const char *failure = json_str(describe->related, "error", NULL);
    if (lease == NULL) {
        describe_write(describe, 0, "Lease:\tFailed to get lease: %s\n", strempty(failure));
        return;
    }
    static const struct {
        const char *title, *field;
    } times[] = {{"AcquireTime", "acquireTime"}, {"RenewTime", "renewTime"}};
    describe_write(describe, 0, "Lease:\n");
    describe_write(describe, 1, "HolderIdentity:\t%s\n", json_str_or("<unset>", lease, "spec", "holderIdentity", NULL));
    for (size_t i = 0; i < countof(times); i++) {
        const char *time = json_str(lease, "spec", times[i].field, NULL);
        if (time == NULL)
            describe_write(describe, 1, "%s:\t<unset>\n", times[i].title);
        else
            describe_time_field(describe, 1, times[i].title, time);
    }
}

static void describe_conditions(struct describe *describe)
{
    const struct json *condition, *conditions = json_get(describe->object, "status", "conditions", NULL);
    if (json_len(conditions) == 0)
        return;
    describe_write(describe, 0,
                   "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n");
    describe_write(describe, 1, "----\t------\t-----------------\t------------------\t------\t-------\n");
    json_each(condition, conditions) {
        CLEANUP(buf_done) struct buf heartbeat = {0}, transition = {0};
        describe_time(json_str(condition, "lastHeartbeatTime", NULL), &heartbeat);
        describe_time(json_str(condition, "lastTransitionTime", NULL), &transition);
        describe_write(describe, 1, "%s \t%s \t%s \t%s \t%s \t%s\n", json_str_or("", condition, "type", NULL),
                       json_str_or("", condition, "status", NULL), buf_text(&heartbeat), buf_text(&transition),
                       json_str_or("", condition, "reason", NULL), json_str_or("", condition, "message", NULL));
    }
}

static void describe_resource_list(struct describe *describe, const char *title, const struct json *list)
{
    CLEANUP(strv_done) struct strv names = {0};
    gotext_keys(list, &names);
    if (names.n > 0)
        describe_write(describe, 0, "%s:\n", title);
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(buf_done) struct buf value = {0};
        describe_scalar(json_member(list, names.items[i]), &value);
        describe_write(describe, 0, "  %s:\t%s\n", names.items[i], buf_text(&value));
    }
}

static void describe_system(struct describe *describe)
{
    static const struct {
        const char *title, *field;
    } rows[] = {{"Machine ID", "machineID"},
                {"System UUID", "systemUUID"},
                {"Boot ID", "bootID"},
                {"Kernel Version", "kernelVersion"},
                {"OS Image", "osImage"},
                {"Operating System", "operatingSystem"},
                {"Architecture", "architecture"},
                {"Container Runtime Version", "containerRuntimeVersion"},
                {"Kubelet Version", "kubeletVersion"}};
    describe_write(describe, 0, "System Info:\n");
    for (size_t i = 0; i < countof(rows); i++)
        describe_write(describe, 0, "  %s:\t%s\n", rows[i].title,
                       json_str_or("", describe->object, "status", "nodeInfo", rows[i].field, NULL));
}

static void describe_networks(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL), *range,
                      *ranges = json_get(spec, "podCIDRs", NULL);
    const char *one = json_str_or("", spec, "podCIDR", NULL), *provider = json_str_or("", spec, "providerID", NULL);
    CLEANUP(buf_done) struct buf all = {0};
    json_each(range, ranges)
        buf_printf(&all, "%s%s", range_index > 0 ? "," : "", strempty(json_string_value(range)));
    if (one[0] != '\0')
        describe_write(describe, 0, "PodCIDR:\t%s\n", one);
    if (all.len > 0)
        describe_write(describe, 0, "PodCIDRs:\t%s\n", buf_text(&all));
    if (provider[0] != '\0')
        describe_write(describe, 0, "ProviderID:\t%s\n", provider);
}

/* How many slices and devices each driver's pool has on this node. */
static void describe_slices(struct describe *describe)
{
    enum { POOLS_SHOWN = 10 };
    CLEANUP(json_free) struct json *pools = json_new_object();
    CLEANUP(strv_done) struct strv keys = {0};
    const struct json *slice;
    json_each(slice, json_get(describe->related, "resourceSlices", NULL)) {
        CLEANUP(xfree)
        char *key = xasprintf("%s/%s", json_str_or("", slice, "spec", "driver", NULL),
                              json_str_or("", slice, "spec", "pool", "name", NULL));
        struct json *pool = json_edit(pools, key, NULL);
        json_set_str(pool, "driver", json_str(slice, "spec", "driver", NULL));
        json_set_str(pool, "pool", json_str(slice, "spec", "pool", "name", NULL));
        json_set_int(pool, "slices", json_int_or(0, pool, "slices", NULL) + 1);
        json_set_int(pool, "devices",
                     json_int_or(0, pool, "devices", NULL) +
                         (int64_t)json_len(json_get(slice, "spec", "devices", NULL)));
    }
    gotext_keys(pools, &keys);
    if (keys.n == 0)
        return;
    describe_write(describe, 0, "Node-Local ResourceSlices:\n");
    describe_write(describe, 1, "Driver\tPool\tSlices\tDevices\n");
    describe_write(describe, 1, "------\t----\t------\t-------\n");
    for (size_t i = 0; i < keys.n && i < POOLS_SHOWN; i++) {
        const struct json *pool = json_member(pools, keys.items[i]);
        describe_write(describe, 1, "%s\t%s\t%lld\t%lld\n", json_str_or("", pool, "driver", NULL),
                       json_str_or("", pool, "pool", NULL), (long long)json_int_or(0, pool, "slices", NULL),
                       (long long)json_int_or(0, pool, "devices", NULL));
    }
    if (keys.n > POOLS_SHOWN)
        describe_write(describe, 1, "...and %zu more pools\n", keys.n - POOLS_SHOWN);
}

void describe_node(struct describe *describe)
{
    const struct json *metadata = json_get(describe->object, "metadata", NULL),
                      *status = json_get(describe->object, "status", NULL);
    const struct json *address;
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", metadata, "name", NULL));
    describe_roles(describe);
    describe_map(describe, "Labels", json_get(metadata, "labels", NULL));
    describe_annotations(describe, "Annotations", json_get(metadata, "annotations", NULL));
    describe_time_field(describe, 0, "CreationTimestamp", json_str(metadata, "creationTimestamp", NULL));
    describe_taints(describe);
    describe_write(describe, 0, "Unschedulable:\t%s\n",
                   json_is_true(describe->object, "spec", "unschedulable", NULL) ? "true" : "false");
    describe_lease(describe);
    describe_conditions(describe);
    describe_write(describe, 0, "Addresses:\n");
    json_each(address, json_get(status, "addresses", NULL))
        describe_write(describe, 1, "%s:\t%s\n", json_str_or("", address, "type", NULL),
                       json_str_or("", address, "address", NULL));
    describe_resource_list(describe, "Capacity", json_get(status, "capacity", NULL));
    describe_resource_list(describe, "Allocatable", json_get(status, "allocatable", NULL));
    describe_slices(describe);
    describe_system(describe);
    describe_networks(describe);
    if (json_get(describe->related, "pods", NULL) != NULL)
        describe_allocated(describe);
    else
        describe_write(describe, 0, "Pods:\tnot authorized\n");
    describe_events(describe);
}
