/*
 * stats.c: collects what a pod uses: containers from the runtime, the whole pod from its cgroup, its network from one of
 * its processes, disk from the latest measurement (storage.c). stats_pages.c makes the texts.
 */
#include "api/stats.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#include "pod/pod.h"

#define RATE_MIN_NS 500000000 /* two looks nearer than that say nothing about speed */

struct query { /* between a request and the runtime's answer */
    struct pod *pod;
    struct server_request *request; /* NULL: the peer is gone */
    enum stats_page page;
    bool brief;
};

const struct pod_container *stats_container(const struct stats_view *view, const struct cri_stats *stats)
{
    for (size_t i = 0; i < view->pod->n_containers; i++) {
        const struct pod_container *container = view->pod->containers[i];
        if (container->current != NULL && container->current->state == CRI_RUNNING &&
            streq(container->current->id, stats->id))
            return stats->cpu_time_ns != 0 && stats->memory_time_ns != 0 ? container : NULL;
    }
    return NULL;
}

static void set_rate(struct pod_rate *rate, int64_t time_ns, int64_t cpu_ns)
{
    int64_t passed_ns = time_ns - rate->time_ns;

    if (rate->time_ns != 0 && passed_ns < RATE_MIN_NS && passed_ns >= 0)
        return;
    /* a container that was started anew begins at nothing */
    if (rate->time_ns != 0 && passed_ns > 0 && cpu_ns >= rate->cpu_ns)
        rate->nano_cores = (int64_t)((double)(cpu_ns - rate->cpu_ns) * 1e9 / (double)passed_ns);
    else
        rate->nano_cores = -1;
    rate->time_ns = time_ns;
    rate->cpu_ns = cpu_ns;
}

static void read_network(pid_t pid, struct stats_network *ret)
{
    CLEANUP(xfree) char *path = xasprintf("/proc/%d/net/dev", (int)pid);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err ignored = {0}; /* the process may have ended */

    if (pid > 0 && file_read(path, KIB(64), &text, &ignored) == 0)
        stats_network_parse(buf_text(&text), ret);
}

/* Some pages tell more than the runtime does: the containers' cgroups are read, too. */
static void read_figures(struct stats_view *view)
{
    const struct agent *agent = view->pod->agent;
    const char *uid = view->pod->uid;

    view->figures = xcalloc(view->n_containers + 1, sizeof(*view->figures));
    for (size_t i = 0; i < view->n_containers; i++)
        view->figures[i].known = cgroups_figures(agent->cgroups, uid, view->containers[i].id, &view->figures[i].of);
    view->pod_figures.known = cgroups_figures(agent->cgroups, uid, NULL, &view->pod_figures.of);
}

static void figures_done(struct stats_view *view)
{
    for (size_t i = 0; view->figures != NULL && i < view->n_containers; i++)
        cgroups_figures_done(&view->figures[i].of);
    cgroups_figures_done(&view->pod_figures.of);
    free(view->figures);
}

static void print_cadvisor(struct stats_view *view, struct buf *out)
{
    const struct agent *agent = view->pod->agent;
    CLEANUP(xfree) char *machine =
        xasprintf("boot_id=\"%s\",machine_id=\"%s\",system_uuid=\"%s\"", agent->system.boot_id,
                  agent->system.machine_id, agent->system.system_uuid);

    view->machine = machine;
    view->sandbox_image = agent->sandbox_image;
    stats_cadvisor(view, out);
    view->machine = NULL;
}

static void on_stats(const struct cri_stats *items, size_t n, struct err *err, void *data)
{
    CLEANUP(xfree) struct query *query = data;
    CLEANUP(buf_done) struct buf text = {0};
    struct pod *pod = query->pod;
    struct stats_view view = {
        .pod = pod, .containers = items, .n_containers = n, .brief = query->brief, .now_ns = clock_wall_ns()};

    pod_call_done(pod);
    if (query->request == NULL)
        return;
    if (err->code != 0) {
        server_respond_text(query->request, 500, "%s\n", err_text(err));
        return;
    }
    view.has_use = cgroups_usage(pod->agent->cgroups, pod->uid, &view.use);
    if (view.has_use) {
        set_rate(&pod->rate, view.now_ns, view.use.cpu_ns);
        read_network(view.use.pid, &view.network);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < pod->n_containers && items[i].cpu_time_ns != 0; j++)
            if (pod->containers[j]->current != NULL && streq(pod->containers[j]->current->id, items[i].id))
                set_rate(&pod->containers[j]->rate, items[i].cpu_time_ns, (int64_t)items[i].cpu_usage_ns);
    if (query->page != STATS_RESOURCE)
        read_figures(&view);
    if (query->page == STATS_SUMMARY)
        stats_summary(&view, &text);
    else if (query->page == STATS_RESOURCE)
        stats_resource(&view, &text);
    else
        print_cadvisor(&view, &text);
    figures_done(&view);
    server_respond(query->request, 200,
                   query->page == STATS_SUMMARY ? "application/json" : "text/plain; version=0.0.4; charset=utf-8",
                   text.data, text.len);
}

static void on_gone(void *data)
{
    struct query *query = data;

    query->request = NULL;
}

void stats_serve(struct server_request *request, struct pod *pod, enum stats_page page)
{
    struct query *query = NEW(struct query);
    CLEANUP(xfree) char *brief = http1_query(server_request_head(request)->query, "only_cpu_and_memory", 0);

    *query = (struct query){pod, request, page, brief != NULL && streq(brief, "true")};
    server_on_gone(request, on_gone, query);
    pod_call_begin(pod);
    /* without a sandbox nothing runs; no sandbox has this name */
    cri_list_stats(pod->agent->cri, pod->sandbox != NULL ? pod->sandbox->id : "none", on_stats, query);
}
