/*
 * stats_pages.c: the summary of what a pod uses, as the kubelet's. Pure. Prometheus' pages are in stats_series.c.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"

#include "pod/pod.h"
#include "api/stats.h"

/* --- network */

void stats_network_parse(const char *text, struct stats_network *ret)
{
    static const char name[] = "eth0:";
    const char *line = strstr(text, name);
    long long n[16];

    if (line == NULL)
        return;
    char *rest = (char *)(uintptr_t)line + strlen(name);
    for (size_t i = 0; i < countof(n); i++)
        n[i] = strtoll(rest, &rest, 10);
    *ret = (struct stats_network){
        .known = true,
        .received_b = n[0],
        .received_packets = n[1],
        .receive_errors = n[2],
        .receive_dropped = n[3],
        .sent_b = n[8],
        .sent_packets = n[9],
        .send_errors = n[10],
        .send_dropped = n[11],
    };
}

/* --- summary */

static struct json *time_of(int64_t wall_ns)
{
    char text[CLOCK_TEXT_MAX];

    clock_rfc3339(wall_ns, text);
    return json_new_string(text);
}

static struct json *cpu_of(int64_t time_ns, int64_t cpu_ns, const struct pod_rate *rate)
{
    struct json *cpu = json_build("{s:o}", "time", time_of(time_ns));

    if (rate->time_ns != 0 && rate->nano_cores >= 0)
        json_set_int(cpu, "usageNanoCores", rate->nano_cores);
    json_set_int(cpu, "usageCoreNanoSeconds", cpu_ns);
    return cpu;
}

static void add_pressure(struct json *object, const struct cgroups_pressure *pressure)
{
    const struct cgroups_waiting *both[] = {&pressure->full, &pressure->some};
    static const char *const names[] = {"full", "some"};
    struct json *psi = json_new_object();

    for (size_t i = 0; i < countof(both); i++) {
        struct json *entry = json_build("{s:I}", "total", (long long)both[i]->total_us);
        json_set(entry, "avg10", json_new_real(both[i]->avg10));
        json_set(entry, "avg60", json_new_real(both[i]->avg60));
        json_set(entry, "avg300", json_new_real(both[i]->avg300));
        json_set(psi, names[i], entry);
    }
    json_set(object, "psi", psi);
}

/* What the kernel knows of waiting, put beside what was used. */
static void add_pressures(struct json *entry, const struct stats_figures *figures, int64_t time_ns, bool brief)
{
    struct json *cpu = json_edit_member(entry, "cpu"), *memory = json_edit_member(entry, "memory");

    if (!figures->known)
        return;
    if (cpu != NULL && figures->of.cpu_pressure.known)
        add_pressure(cpu, &figures->of.cpu_pressure);
    if (memory != NULL && figures->of.memory_pressure.known)
        add_pressure(memory, &figures->of.memory_pressure);
    if (brief || !figures->of.io_pressure.known)
        return;
    struct json *io = json_build("{s:o}", "time", time_of(time_ns));
    add_pressure(io, &figures->of.io_pressure);
    json_set(entry, "io", io);
}

static struct json *files_of(int64_t time_ns, int64_t used_b, int64_t inodes, int64_t capacity_b)
{
    struct json *files = json_build("{s:o}", "time", time_of(time_ns));

    if (capacity_b > 0) {
        json_set_int(files, "availableBytes", capacity_b > used_b ? capacity_b - used_b : 0);
        json_set_int(files, "capacityBytes", capacity_b);
    }
    json_set_int(files, "usedBytes", used_b);
    if (inodes > 0)
        json_set_int(files, "inodesUsed", inodes);
    return files;
}

static struct json *container_summary(const struct stats_view *view, const struct pod_container *container,
                                      const struct cri_stats *stats)
{
    int64_t capacity_b = view->pod->size.storage_b;
    struct json *entry = json_build("{s:s, s:o}", "name", container->name, "startTime",
                                    time_of(container->current->started_ns));

    if (stats->cpu_time_ns != 0)
        json_set(entry, "cpu", cpu_of(stats->cpu_time_ns, (int64_t)stats->cpu_usage_ns, &container->rate));
    if (stats->memory_time_ns != 0)
        json_set(entry, "memory",
                 json_build("{s:o, s:I, s:I, s:I, s:I, s:I}", "time", time_of(stats->memory_time_ns), "usageBytes",
                            (long long)stats->memory_usage_b, "workingSetBytes", (long long)stats->memory_working_b,
                            "rssBytes", (long long)stats->memory_rss_b, "pageFaults", (long long)stats->page_faults,
                            "majorPageFaults", (long long)stats->major_page_faults));
    if (view->figures != NULL)
        add_pressures(entry, &view->figures[stats - view->containers], view->now_ns, view->brief);
    if (view->brief)
        return entry;
    if (stats->layer_time_ns != 0)
        json_set(entry, "rootfs", files_of(stats->layer_time_ns, (int64_t)stats->layer_used_b,
                                           (int64_t)stats->layer_inodes, capacity_b));
    if (view->pod->disk_ns != 0)
        json_set(entry, "logs", files_of(view->pod->disk_ns, container->logs_b, 0, capacity_b));
    return entry;
}

static struct json *memory_summary(const struct stats_view *view)
{
    const struct cgroups_usage *use = &view->use;
    int64_t available_b = view->pod->size.mem_b - use->working_set_b;

    return json_build("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "time", time_of(view->now_ns), "availableBytes",
                      (long long)(available_b > 0 ? available_b : 0), "usageBytes", (long long)use->memory_b,
                      "workingSetBytes", (long long)use->working_set_b, "rssBytes", (long long)use->rss_b, "pageFaults",
                      (long long)use->page_faults, "majorPageFaults", (long long)use->major_page_faults);
}

static struct json *network_summary(const struct stats_view *view)
{
    const struct stats_network *network = &view->network;
    struct json *interface =
        json_build("{s:s, s:I, s:I, s:I, s:I}", "name", "eth0", "rxBytes", (long long)network->received_b, "rxErrors",
                   (long long)network->receive_errors, "txBytes", (long long)network->sent_b, "txErrors",
                   (long long)network->send_errors);
    struct json *summary = json_clone(interface);

    json_set(summary, "time", time_of(view->now_ns));
    json_set(summary, "interfaces", json_build("[o]", interface));
    return summary;
}

/* What the pod wrote to disk: containers' own layers, logs, volumes. */
static int64_t disk_used_b(const struct pod *pod)
{
    int64_t used_b = 0;

    for (size_t i = 0; i < pod->n_containers; i++)
        used_b += pod->containers[i]->logs_b + pod->containers[i]->layer_b;
    for (size_t i = 0; i < pod->n_volume_use; i++)
        used_b += pod->volume_use[i].used_b;
    return used_b;
}

/* What pod and Node have in common, as the Node is the pod's machine. */
static void add_machine(const struct stats_view *view, struct json *entry)
{
    if (view->has_use) {
        json_set(entry, "cpu", cpu_of(view->now_ns, view->use.cpu_ns, &view->pod->rate));
        json_set(entry, "memory", memory_summary(view));
        add_pressures(entry, &view->pod_figures, view->now_ns, view->brief);
    }
    if (view->network.known && !view->brief)
        json_set(entry, "network", network_summary(view));
}

static struct json *volumes_summary(const struct pod *pod)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < pod->n_volume_use; i++) {
        struct json *entry =
            files_of(pod->disk_ns, pod->volume_use[i].used_b, pod->volume_use[i].inodes, pod->size.storage_b);
        json_set_str(entry, "name", pod->volume_use[i].name);
        json_push(list, entry);
    }
    return list;
}

void stats_summary(const struct stats_view *view, struct buf *out)
{
    const struct pod *pod = view->pod;
    int64_t start_ns = pod->sandbox != NULL && pod->sandbox->created_ns > 0 ? pod->sandbox->created_ns : pod->seen_ns;
    struct json *containers = json_new_array();
    const struct pod_container *container;

    for (size_t i = 0; i < view->n_containers; i++)
        if ((container = stats_container(view, &view->containers[i])) != NULL)
            json_push(containers, container_summary(view, container, &view->containers[i]));
    struct json *entry = json_build("{s:{s:s, s:s, s:s}, s:o, s:o}", "podRef", "name", pod->name, "namespace",
                                    pod->namespace, "uid", pod->uid, "startTime", time_of(start_ns), "containers",
                                    containers);
    struct json *node = json_build("{s:s, s:o}", "nodeName", strempty(pod_node_name(pod)), "startTime",
                                   time_of(start_ns));
    add_machine(view, node);
    add_machine(view, entry);
    if (pod->disk_ns != 0 && !view->brief) {
        json_set(entry, "volume", volumes_summary(pod));
        json_set(entry, "ephemeral-storage", files_of(pod->disk_ns, disk_used_b(pod), 0, pod->size.storage_b));
        json_set(node, "fs", files_of(pod->disk_ns, disk_used_b(pod), 0, pod->size.storage_b));
    }
    if (view->has_use && !view->brief)
        json_set(entry, "process_stats", json_build("{s:I}", "process_count", (long long)view->use.processes));
    CLEANUP(json_free) struct json *page = json_build("{s:o, s:[o]}", "node", node, "pods", entry);
    json_print(page, out);
}
