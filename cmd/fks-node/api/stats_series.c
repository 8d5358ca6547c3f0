/*
 * stats_series.c: what a pod uses as Prometheus' text, in the words of the kubelet and of cAdvisor, which alerts and
 * dashboards name. Pure. Of cAdvisor's series those are here that somebody who runs a pod looks at.
 */
#include <inttypes.h>

#include "base/mem.h"

#include "api/stats.h"
#include "pod/pod.h"

#define SECOND_NS 1000000000
#define SECOND_US 1000000

/* The figures of one container, of the whole pod, or of the machine that the pod has for itself. */
struct subject {
    const char *container, *image, *name; /* "" but for a container */
    char *id;                             /* owned */
    const char *namespace, *pod;
    int64_t cpu_ns, cpu_time_ns; /* times 0: not known */
    int64_t memory_b, working_set_b, rss_b, memory_time_ns;
    int64_t files_b, started_ns;            /* 0: not known */
    const struct cgroups_figures *figures; /* or NULL */
};
struct subjects {
    struct subject *items;
    size_t n;
    int64_t now_ns;
};

static void subjects_done(struct subjects *subjects)
{
    for (size_t i = 0; i < subjects->n; i++)
        free(subjects->items[i].id);
    free(subjects->items);
}
DEFINE_CLEANUP_IN_PLACE(struct subjects, subjects_done)

static void add_container(const struct stats_view *view, size_t i, struct subjects *ret)
{
    const struct cri_stats *stats = &view->containers[i];
    const struct pod_container *container = stats_container(view, stats);

    if (container == NULL)
        return;
    const struct cri_container *record = container->current;
    ret->items[ret->n++] = (struct subject){
        .container = container->name,
        .image = strempty(record->image),
        .name = record->id,
        .id = xasprintf("%s/%s", strempty(view->pod->cgroup), record->id),
        .namespace = view->pod->namespace,
        .pod = view->pod->name,
        .cpu_ns = (int64_t)stats->cpu_usage_ns,
        .cpu_time_ns = stats->cpu_time_ns,
        .memory_b = (int64_t)stats->memory_usage_b,
        .working_set_b = (int64_t)stats->memory_working_b,
        .rss_b = (int64_t)stats->memory_rss_b,
        .memory_time_ns = stats->memory_time_ns,
        .files_b = stats->layer_time_ns != 0 ? (int64_t)stats->layer_used_b : 0,
        .started_ns = record->started_ns,
        .figures = view->figures != NULL && view->figures[i].known ? &view->figures[i].of : NULL,
    };
}

static void subjects_of(const struct stats_view *view, struct subjects *ret)
{
    const struct pod *pod = view->pod;
    struct subject whole = {
        .container = "", .image = "", .name = "", .namespace = pod->namespace, .pod = pod->name,
        .cpu_ns = view->use.cpu_ns, .cpu_time_ns = view->now_ns,
        .memory_b = view->use.memory_b, .working_set_b = view->use.working_set_b, .rss_b = view->use.rss_b,
        .memory_time_ns = view->now_ns,
        .started_ns = pod->sandbox != NULL ? pod->sandbox->created_ns : 0,
        .figures = view->pod_figures.known ? &view->pod_figures.of : NULL,
    };

    *ret = (struct subjects){xcalloc(view->n_containers + 2, sizeof(struct subject)), 0, view->now_ns};
    for (size_t i = 0; i < view->n_containers; i++)
        add_container(view, i, ret);
    if (!view->has_use)
        return;
    whole.id = xstrdup(strempty(pod->cgroup));
    ret->items[ret->n++] = whole;
    /* tools ask for a Node's own use by this name */
    whole.id = xstrdup("/");
    whole.namespace = whole.pod = "";
    ret->items[ret->n++] = whole;
}

/* --- text */

static void help(struct buf *out, const char *name, const char *kind, const char *text)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, text, name, kind);
}

/* Labels in the order of the alphabet; extra ("cpu=\"total\",") belongs behind the first. Image names need no escapes. */
static void labels(const struct subject *subject, const char *extra, struct buf *out)
{
    buf_printf(out, "container=\"%s\",%sid=\"%s\",image=\"%s\",name=\"%s\",namespace=\"%s\",pod=\"%s\"",
               subject->container, extra, subject->id, subject->image, subject->name, subject->namespace, subject->pod);
}

static void value(struct buf *out, double number, int64_t time_ns)
{
    buf_printf(out, " %.15g", number);
    if (time_ns != 0)
        buf_printf(out, " %" PRId64, time_ns / 1000000);
    buf_add_char(out, '\n');
}

static double seconds(int64_t ns)
{
    return (double)ns / SECOND_NS;
}

/* --- /metrics/resource */

static void per_container(const struct subjects *subjects, struct buf *out, const char *name, const char *kind,
                          const char *text, size_t figure, size_t time, double scale)
{
    help(out, name, kind, text);
    for (size_t i = 0; i < subjects->n; i++) {
        const struct subject *subject = &subjects->items[i];
        int64_t number = *(const int64_t *)(const void *)((const char *)subject + figure);
        int64_t time_ns = *(const int64_t *)(const void *)((const char *)subject + time);
        if (*subject->container == '\0' || time_ns == 0)
            continue;
        buf_printf(out, "%s{container=\"%s\",namespace=\"%s\",pod=\"%s\"}", name, subject->container,
                   subject->namespace, subject->pod);
        value(out, (double)number / scale, figure == time ? 0 : time_ns);
    }
}

void stats_resource(const struct stats_view *view, struct buf *out)
{
    CLEANUP(subjects_done) struct subjects subjects = {0};
    const struct pod *pod = view->pod;

    subjects_of(view, &subjects);
    per_container(&subjects, out, "container_cpu_usage_seconds_total", "counter",
                  "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
                  offsetof(struct subject, cpu_ns), offsetof(struct subject, cpu_time_ns), SECOND_NS);
    per_container(&subjects, out, "container_memory_working_set_bytes", "gauge",
                  "[STABLE] Current working set of the container in bytes", offsetof(struct subject, working_set_b),
                  offsetof(struct subject, memory_time_ns), 1);
    per_container(&subjects, out, "container_start_time_seconds", "gauge",
                  "[STABLE] Start time of the container since unix epoch in seconds",
                  offsetof(struct subject, started_ns), offsetof(struct subject, started_ns), SECOND_NS);
    if (view->has_use) {
        help(out, "node_cpu_usage_seconds_total", "counter",
             "[STABLE] Cumulative cpu time consumed by the node in core-seconds");
        buf_add_str(out, "node_cpu_usage_seconds_total");
        value(out, seconds(view->use.cpu_ns), view->now_ns);
        help(out, "node_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the node in bytes");
        buf_add_str(out, "node_memory_working_set_bytes");
        value(out, (double)view->use.working_set_b, view->now_ns);
        help(out, "pod_cpu_usage_seconds_total", "counter",
             "[STABLE] Cumulative cpu time consumed by the pod in core-seconds");
        buf_printf(out, "pod_cpu_usage_seconds_total{namespace=\"%s\",pod=\"%s\"}", pod->namespace, pod->name);
        value(out, seconds(view->use.cpu_ns), view->now_ns);
        help(out, "pod_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the pod in bytes");
        buf_printf(out, "pod_memory_working_set_bytes{namespace=\"%s\",pod=\"%s\"}", pod->namespace, pod->name);
        value(out, (double)view->use.working_set_b, view->now_ns);
    }
    help(out, "resource_scrape_error", "gauge",
         "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise");
    buf_printf(out, "resource_scrape_error %d\n", view->has_use ? 0 : 1);
}

/* --- /metrics/cadvisor */

enum origin { OF_SUBJECT, OF_FIGURES };
struct series {
    const char *name, *kind, *help, *extra;
    enum origin origin;
    size_t at;   /* offset of the number */
    size_t time; /* OF_SUBJECT: offset of the time; 0 says that the number is not known */
    size_t needs; /* OF_FIGURES: offset of a number without which this one says nothing */
    double scale;
};

#define OF(field) OF_SUBJECT, offsetof(struct subject, field)
#define FIGURE(field, needs) OF_FIGURES, offsetof(struct cgroups_figures, field), 0, offsetof(struct cgroups_figures, needs)
#define CPU_TIME offsetof(struct subject, cpu_time_ns), 0
#define MEMORY_TIME offsetof(struct subject, memory_time_ns), 0

static const struct series all_series[] = {
    {"container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", "cpu=\"total\",",
     OF(cpu_ns), CPU_TIME, SECOND_NS},
    {"container_cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds.", "",
     FIGURE(user_ns, processes), SECOND_NS},
    {"container_cpu_system_seconds_total", "counter", "Cumulative system cpu time consumed in seconds.", "",
     FIGURE(system_ns, processes), SECOND_NS},
    {"container_cpu_cfs_periods_total", "counter", "Number of elapsed enforcement period intervals.", "",
     FIGURE(periods, quota_us), 1},
    {"container_cpu_cfs_throttled_periods_total", "counter", "Number of throttled period intervals.", "",
     FIGURE(throttled_periods, quota_us), 1},
    {"container_cpu_cfs_throttled_seconds_total", "counter", "Total time duration the container has been throttled.",
     "", FIGURE(throttled_ns, quota_us), SECOND_NS},
    {"container_memory_working_set_bytes", "gauge", "Current working set in bytes.", "", OF(working_set_b),
     MEMORY_TIME, 1},
    {"container_memory_usage_bytes", "gauge",
     "Current memory usage in bytes, including all memory regardless of when it was accessed", "", OF(memory_b),
     MEMORY_TIME, 1},
    {"container_memory_rss", "gauge", "Size of RSS in bytes.", "", OF(rss_b), MEMORY_TIME, 1},
    {"container_memory_cache", "gauge", "Number of bytes of page cache memory.", "", FIGURE(cache_b, processes), 1},
    {"container_memory_mapped_file", "gauge", "Size of memory mapped files in bytes.", "",
     FIGURE(mapped_b, processes), 1},
    {"container_memory_swap", "gauge", "Container swap usage in bytes.", "", FIGURE(swap_b, processes), 1},
    {"container_memory_max_usage_bytes", "gauge", "Maximum memory usage recorded in bytes", "",
     FIGURE(memory_peak_b, memory_peak_b), 1},
    {"container_memory_failcnt", "counter", "Number of memory usage hits limits", "",
     FIGURE(memory_failures, processes), 1},
    {"container_oom_events_total", "counter", "Count of out of memory events observed for the container", "",
     FIGURE(oom_kills, processes), 1},
    {"container_processes", "gauge", "Number of processes running inside the container.", "",
     FIGURE(processes, processes), 1},
    {"container_threads", "gauge", "Number of threads running inside the container", "", FIGURE(threads, threads), 1},
    {"container_spec_cpu_period", "gauge", "CPU period of the container.", "", FIGURE(period_us, period_us), 1},
    {"container_spec_cpu_quota", "gauge", "CPU quota of the container.", "", FIGURE(quota_us, quota_us), 1},
    {"container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.", "",
     FIGURE(memory_limit_b, processes), 1},
    {"container_pressure_cpu_stalled_seconds_total", "counter",
     "Total time duration no tasks in the container could make progress due to CPU congestion.", "",
     FIGURE(cpu_pressure.full.total_us, cpu_pressure.known), SECOND_US},
    {"container_pressure_cpu_waiting_seconds_total", "counter",
     "Total time duration tasks in the container have waited due to CPU congestion.", "",
     FIGURE(cpu_pressure.some.total_us, cpu_pressure.known), SECOND_US},
    {"container_pressure_memory_stalled_seconds_total", "counter",
     "Total time duration no tasks in the container could make progress due to memory congestion.", "",
     FIGURE(memory_pressure.full.total_us, memory_pressure.known), SECOND_US},
    {"container_pressure_memory_waiting_seconds_total", "counter",
     "Total time duration tasks in the container have waited due to memory congestion.", "",
     FIGURE(memory_pressure.some.total_us, memory_pressure.known), SECOND_US},
    {"container_pressure_io_stalled_seconds_total", "counter",
     "Total time duration no tasks in the container could make progress due to IO congestion.", "",
     FIGURE(io_pressure.full.total_us, io_pressure.known), SECOND_US},
    {"container_pressure_io_waiting_seconds_total", "counter",
     "Total time duration tasks in the container have waited due to IO congestion.", "",
     FIGURE(io_pressure.some.total_us, io_pressure.known), SECOND_US},
    {"container_fs_usage_bytes", "gauge", "Number of bytes that are consumed by the container on this filesystem.",
     "device=\"\",", OF(files_b), offsetof(struct subject, files_b), 0, 1},
    {"container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.", "",
     OF(started_ns), offsetof(struct subject, started_ns), 0, SECOND_NS},
};

static int64_t number_at(const void *base, size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)base + offset);
}

static void add_series(const struct series *series, const struct subjects *subjects, struct buf *out)
{
    help(out, series->name, series->kind, series->help);
    for (size_t i = 0; i < subjects->n; i++) {
        const struct subject *subject = &subjects->items[i];
        const struct cgroups_figures *figures = subject->figures;
        int64_t time_ns = subjects->now_ns, number;
        if (series->origin == OF_SUBJECT) {
            if (number_at(subject, series->time) == 0)
                continue;
            if (series->time != series->at)
                time_ns = number_at(subject, series->time);
            number = number_at(subject, series->at);
        } else {
            if (figures == NULL || number_at(figures, series->needs) == 0)
                continue;
            number = number_at(figures, series->at);
        }
        buf_printf(out, "%s{", series->name);
        labels(subject, series->extra, out);
        buf_add_char(out, '}');
        value(out, (double)number / series->scale, time_ns);
    }
}

static void add_disks(const struct subjects *subjects, struct buf *out)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } rows[] = {
        {"container_fs_reads_bytes_total", "Cumulative count of bytes read", offsetof(struct cgroups_disk, read_b)},
        {"container_fs_reads_total", "Cumulative count of reads completed", offsetof(struct cgroups_disk, reads)},
        {"container_fs_writes_bytes_total", "Cumulative count of bytes written",
         offsetof(struct cgroups_disk, written_b)},
        {"container_fs_writes_total", "Cumulative count of writes completed", offsetof(struct cgroups_disk, writes)},
    };

    for (size_t row = 0; row < countof(rows); row++) {
        help(out, rows[row].name, "counter", rows[row].help);
        for (size_t i = 0; i < subjects->n; i++) {
            const struct subject *subject = &subjects->items[i];
            for (size_t d = 0; subject->figures != NULL && d < subject->figures->n_disks; d++) {
                const struct cgroups_disk *disk = &subject->figures->disks[d];
                CLEANUP(xfree) char *device = xasprintf("device=\"%s\",", disk->device);
                buf_printf(out, "%s{", rows[row].name);
                labels(subject, device, out);
                buf_add_char(out, '}');
                value(out, (double)number_at(disk, rows[row].at), subjects->now_ns);
            }
        }
    }
}

/* The pod's interface is the sandbox's, so that is whose the figures are, as with a kubelet. */
static void add_network(const struct stats_view *view, struct buf *out)
{
    const struct stats_network *network = &view->network;
    const struct pod *pod = view->pod;
    const char *sandbox = pod->sandbox != NULL ? pod->sandbox->id : "";
    const struct {
        const char *name, *text;
        int64_t value;
    } rows[] = {
        {"receive_bytes", "bytes received", network->received_b},
        {"receive_packets", "packets received", network->received_packets},
        {"receive_errors", "errors encountered while receiving", network->receive_errors},
        {"receive_packets_dropped", "packets dropped while receiving", network->receive_dropped},
        {"transmit_bytes", "bytes transmitted", network->sent_b},
        {"transmit_packets", "packets transmitted", network->sent_packets},
        {"transmit_errors", "errors encountered while transmitting", network->send_errors},
        {"transmit_packets_dropped", "packets dropped while transmitting", network->send_dropped},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *name = xasprintf("container_network_%s_total", rows[i].name);
        CLEANUP(xfree) char *text = xasprintf("Cumulative count of %s", rows[i].text);
        help(out, name, "counter", text);
        buf_printf(out, "%s{container=\"\",id=\"%s/%s\",image=\"%s\",interface=\"eth0\",name=\"%s\",namespace=\"%s\",pod=\"%s\"}",
                   name, strempty(pod->cgroup), sandbox, strempty(view->sandbox_image), sandbox, pod->namespace, pod->name);
        value(out, (double)rows[i].value, view->now_ns);
    }
}

void stats_cadvisor(const struct stats_view *view, struct buf *out)
{
    CLEANUP(subjects_done) struct subjects subjects = {0};

    subjects_of(view, &subjects);
    for (size_t i = 0; i < countof(all_series); i++)
        add_series(&all_series[i], &subjects, out);
    help(out, "container_last_seen", "gauge", "Last time a container was seen by the exporter");
    for (size_t i = 0; i < subjects.n; i++) {
        buf_add_str(out, "container_last_seen{");
        labels(&subjects.items[i], "", out);
        buf_add_char(out, '}');
        value(out, (double)(view->now_ns / SECOND_NS), view->now_ns);
    }
    add_disks(&subjects, out);
    if (view->network.known)
        add_network(view, out);
    help(out, "container_scrape_error", "gauge",
         "1 if there was an error while getting container metrics, 0 otherwise");
    buf_printf(out, "container_scrape_error %d\n", view->has_use ? 0 : 1);
    help(out, "machine_cpu_cores", "gauge", "Number of logical CPU cores.");
    buf_printf(out, "machine_cpu_cores{%s} %g\n", strempty(view->machine), (double)view->pod->size.cpu_m / 1000);
    help(out, "machine_memory_bytes", "gauge", "Amount of memory installed on the machine.");
    buf_printf(out, "machine_memory_bytes{%s} %" PRId64 "\n", strempty(view->machine), view->pod->size.mem_b);
}
