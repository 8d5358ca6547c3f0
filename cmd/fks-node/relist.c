/*
 * relist.c: polling of the runtime. Level-triggered: pods.c compares each list with what it knows, so a missed look
 * costs time and nothing else. ContainerStatus calls are not made here but by the pod whose container changed.
 */
#include "relist.h"

#include "base/log.h"
#include "base/mem.h"
#include "pods.h"

#define INTERVAL_MS 1000
#define HURRY_INTERVAL_MS 150
#define HURRY_FOR_MS 3000
#define GIVE_BACK_MS 20000 /* refreshes of many pods, and lists of them, are bursts too */

struct relist {
    struct agent *agent;
    struct loop_timer *timer;
    int64_t asked_ms;
    int64_t hurry_until_ms;
    int64_t gave_back_ms; /* loop time */
    int pending;
    bool have_sandboxes, have_containers;
    bool failing; /* told already */
    bool hurried;
};

static void schedule(struct relist *relist)
{
    int64_t now_ms = loop_now_ms(relist->agent->loop);
    bool hurry = now_ms < relist->hurry_until_ms;

    loop_timer_set(relist->timer, hurry ? HURRY_INTERVAL_MS : INTERVAL_MS);
    /* calls to the runtime have buffers of 100 KB, and hundreds of pods start side by side */
    if ((relist->hurried && !hurry) || now_ms - relist->gave_back_ms >= GIVE_BACK_MS) {
        relist->gave_back_ms = now_ms;
        mem_give_back();
    }
    relist->hurried = hurry;
}

static void finished(struct relist *relist, const struct err *err)
{
    bool failed = err->code != 0;

    if (failed && !relist->failing)
        agent_warn("the container runtime does not answer; its containers are left alone. Does it run, and is this its socket?",
                   relist->agent->options.runtime_socket, err);
    else if (!failed && relist->failing && relist->pending == 1)
        log_info("the container runtime answers again");
    if (failed || relist->pending == 1)
        relist->failing = failed;
    if (--relist->pending == 0)
        schedule(relist);
}

static void on_sandboxes(const struct cri_sandbox *items, size_t n, struct err *err, void *data)
{
    struct relist *relist = data;

    if (err->code == 0) {
        relist->have_sandboxes = true;
        pods_observe_sandboxes(relist->agent->pods, items, n, relist->asked_ms);
    }
    finished(relist, err);
}

static void on_containers(const struct cri_container *items, size_t n, struct err *err, void *data)
{
    struct relist *relist = data;

    if (err->code == 0) {
        bool first = !relist->have_containers && relist->have_sandboxes;
        relist->have_containers = relist->have_sandboxes;
        pods_observe_containers(relist->agent->pods, items, n, relist->asked_ms);
        if (first)
            pods_wake_all(relist->agent->pods);
    }
    finished(relist, err);
}

static void look(void *data)
{
    struct relist *relist = data;

    relist->asked_ms = loop_now_ms(relist->agent->loop);
    relist->pending = 2;
    cri_list_sandboxes(relist->agent->cri, on_sandboxes, relist);
    cri_list_containers(relist->agent->cri, on_containers, relist);
}

struct relist *relist_new(struct agent *agent)
{
    struct relist *relist = NEW(struct relist);

    relist->agent = agent;
    relist->timer = loop_timer_new(agent->loop, look, relist);
    loop_timer_set(relist->timer, 0);
    return relist;
}

struct relist *relist_free(struct relist *relist)
{
    if (relist != NULL) {
        loop_timer_free(relist->timer);
        free(relist);
    }
    return NULL;
}

bool relist_complete(const struct relist *relist)
{
    return relist->have_containers;
}

void relist_hurry(struct relist *relist)
{
    int64_t now = loop_now_ms(relist->agent->loop);
    bool hurries = relist->hurry_until_ms > now;

    relist->hurry_until_ms = now + HURRY_FOR_MS;
    if (!hurries && relist->pending == 0)
        schedule(relist);
}
