/*
 * decide.c: one try to place one pod: may it run serverless, how large a machine does it need, does its profile's quota
 * allow it, which host has room. The answers to the first two are kept until the pod or a rule changes, so that a pod
 * that waits costs little.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "fargate/names.h"
#include "fargate/support.h"
#include "ledger.h"
#include "report.h"
#include "reserve.h"
#include "volumes.h"

#define REASON_UNSCHEDULABLE "Unschedulable" /* the API's own: autoscalers look for it */
#define REASON_UNSUPPORTED "POD_UNSUPPORTED_ON_FARGATE"
#define REASON_TOO_LARGE "POD_CPU_MEM_EXCEEDS_MAX_FARGATE_SIZE"

static void refuse(struct pod *pod, const char *reason, char *text)
{
    free(pod->refusal);
    pod->refusal = text;
    pod->refusal_reason = reason;
}

/* The profile's rules, or NULL after a refusal. */
static const struct fargate_profile *rules_of(struct pod *pod)
{
    const struct profile *profile = pod->profile;

    if (profile != NULL && profile->exists && profile->problem == NULL && !profile->deleting)
        return &profile->rules;
    if (profile == NULL)
        refuse(pod, REASON_UNSCHEDULABLE,
               xasprintf("Misconfigured Fargate Profile: the pod names none (label %s): make a profile that matches "
                         "it, and create the pod again", pod->scheduler->options.names.profile_label));
    else if (!profile->exists || profile->deleting)
        refuse(pod, REASON_UNSCHEDULABLE,
               xasprintf("Misconfigured Fargate Profile: fargate profile %s %s: create it, or create the "
                         "pod again under another one", profile->name,
                         profile->exists ? "is being deleted" : "does not exist"));
    else
        refuse(pod, REASON_UNSCHEDULABLE,
               xasprintf("Misconfigured Fargate Profile: fargate profile %s blocked for new launches due to: %s",
                         profile->name, profile->problem));
    return NULL;
}

/* Support and size; sets a refusal or the size. */
static void work_out_need(struct pod *pod, const struct json *object)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv reasons = {0};
    struct fargate_request request;
    const struct fargate_profile *rules;

    if (pod->need_rules == pod->scheduler->rules)
        return;
    pod->need_rules = pod->scheduler->rules;
    refuse(pod, NULL, NULL);
    rules = rules_of(pod);
    if (rules == NULL)
        return;
    fargate_unsupported(object, &reasons);
    if (reasons.n > 0) {
        CLEANUP(xfree) char *list = strv_join(&reasons, ", ");

        refuse(pod, REASON_UNSUPPORTED, xasprintf("Pod not supported on Fargate: %s", list));
        return;
    }
    if (fargate_request_of(object, &request, &err) < 0)
        refuse(pod, REASON_UNSUPPORTED, xasprintf("Pod not supported on Fargate: %s", err_text(&err)));
    else if (fargate_size_for(&request, rules->exact_sizing, &pod->size, &err) < 0)
        refuse(pod, REASON_TOO_LARGE,
               xasprintf("%s (16vCPU 120GB and 175Gi of disk): ask for less, or set sizing: Exact in the profile",
                         err_text(&err)));
    else if (!rules->clamp_limits && fargate_limits_check(object, &pod->size, &err) < 0)
        refuse(pod, REASON_UNSUPPORTED, xasprintf("Pod not supported on Fargate: %s", err_text(&err)));
}

/* The handler behind the pod's runtimeClassName; NULL is the default one. false: there is no such RuntimeClass. */
static bool handler_of(const struct pod *pod, const struct json *object, const char **ret)
{
    const char *name = json_str(object, "spec", "runtimeClassName", NULL);

    *ret = NULL;
    if (name == NULL || *name == '\0')
        return true;
    *ret = json_str(kube_watch_get(pod->scheduler->runtime_watch, NULL, name), "handler", NULL);
    return *ret != NULL;
}

/* metric: what the refusal is counted as. */
static void wait(struct pod *pod, const char *metric, const char *reason, const char *message)
{
    struct scheduler *scheduler = pod->scheduler;

    queue_failed(&scheduler->to_place, &pod->place_item, loop_now_ms(scheduler->loop));
    measure_refusal(scheduler, metric);
    if (message != NULL)
        report_waiting(pod, reason, message);
}

static void wait_for_capacity(struct pod *pod, const struct place_need *need)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct place_result result;

    if (!report_is_due(pod)) { /* asking every host why costs more than the decision did */
        wait(pod, "capacity", NULL, NULL);
        return;
    }
    place_survey(&pod->scheduler->hosts, need, scheduler_host_ms(pod->scheduler), NULL, NULL, &result);
    (void)buf_add_str(&text, "Fargate capacity is unavailable at this time. Please try again later or in a different "
                             "availability zone. (");
    place_explain(&result, need, &text);
    (void)buf_add_char(&text, ')');
    wait(pod, "capacity", REASON_UNSCHEDULABLE, buf_text(&text));
}

/* Refusals that neither the pod alone nor the hosts cause. true: the pod waits. */
static bool waits_for_others(struct pod *pod, const struct json *object, const char **ret_handler,
                             struct strv *drivers)
{
    CLEANUP(buf_done) struct buf why = {0};

    if (!handler_of(pod, object, ret_handler)) {
        CLEANUP(xfree) char *text = xasprintf("RuntimeClass %s does not exist: create it, or choose another "
                                              "runtimeClassName",
                                              json_str_or("", object, "spec", "runtimeClassName", NULL));

        wait(pod, "runtime_class", REASON_UNSCHEDULABLE, text);
        return true;
    }
    if (volumes_check(pod->scheduler, object, drivers, &why) != CLAIM_USABLE) {
        CLEANUP(xfree) char *text = xasprintf("Pod not supported on Fargate: volumes not supported: %s",
                                              buf_text(&why));

        wait(pod, "volume", REASON_UNSUPPORTED, text);
        return true;
    }
    if (!place_quota_allows(&pod->profile->rules.quota, &pod->profile->used, &pod->size, &why)) {
        CLEANUP(xfree) char *text = xasprintf("Fargate profile %s has no room for the pod: %s", pod->profile->name,
                                              buf_text(&why));

        wait(pod, "quota", REASON_UNSCHEDULABLE, text);
        return true;
    }
    return false;
}

/* The pod's spread constraints, with what they count. */
static size_t read_spreads(struct pod *pod, const struct json *object, struct place_spread spreads[PLACE_SPREADS_MAX])
{
    struct scheduler *scheduler = pod->scheduler;
    const struct json *labels = json_get(object, "metadata", "labels", NULL), *constraint;
    size_t n = 0;

    json_each(constraint, json_get(object, "spec", "topologySpreadConstraints", NULL)) {
        CLEANUP(json_free) struct json *selector = spreads_selector(constraint, labels);
        bool new;

        if (n == PLACE_SPREADS_MAX)
            break;
        spreads[n] = spreads_read(constraint, spreads_counts(&scheduler->spreads, pod->namespace, selector,
                                                             loop_now_ms(scheduler->loop), &new));
        n++;
        if (new)
            observe_recount(scheduler, pod->namespace);
    }
    return n;
}

static void place(struct pod *pod, const struct json *object, const char *handler, const struct strv *drivers)
{
    struct scheduler *scheduler = pod->scheduler;
    struct place_spread spreads[PLACE_SPREADS_MAX];
    const struct place_need need = {
        .size = pod->size,
        .zones = &pod->profile->rules.zones,
        .runtime_handler = handler,
        .csi_drivers = drivers,
        .spec = json_get(object, "spec", NULL),
        .spreads = spreads,
        .n_spreads = read_spreads(pod, object, spreads),
        .policy = scheduler->options.policy,
    };
    int64_t start = clock_wall_ns();
    ledger_set_aside(pod);
    const struct host *host = place_choose(&scheduler->hosts, &need, scheduler_host_ms(scheduler));

    metric_observe(scheduler->decision_seconds, (double)(clock_wall_ns() - start) / 1e9);
    metric_add(scheduler->decisions, 1);
    if (host != NULL)
        reserve_start(pod, host->name, &need.size);
    else
        wait_for_capacity(pod, &need);
    ledger_put_back(pod);
}

static void count_refused(struct pod *pod)
{
    bool refused = pod->refusal != NULL;

    if (refused == pod->counted_refused)
        return;
    profiles_refused(pod->profile, refused ? 1 : -1);
    pod->counted_refused = refused;
}

void decide(struct pod *pod)
{
    CLEANUP(json_free) struct json *object = NULL;
    CLEANUP(strv_done) struct strv drivers = {0};
    const char *handler;

    if (pod->text == NULL || pod->stage != POD_WAITING || pod->call != NULL || pod->asking)
        return;
    if (pod->held.host != NULL) { /* asked for, end not known: it may hold the very room it would look for */
        reserve_look(pod);
        return;
    }
    /* a plain pod whose need is known is decided without a look at it: thousands may be waiting for the same room */
    if (!pod->plain || pod->need_rules != pod->scheduler->rules)
        object = scheduler_object(pod);
    work_out_need(pod, object);
    count_refused(pod);
    if (pod->refusal != NULL) {
        const char *metric = streq(pod->refusal_reason, REASON_UNSUPPORTED) ? "unsupported"
                             : streq(pod->refusal_reason, REASON_TOO_LARGE) ? "too_large"
                                                                            : "profile";

        wait(pod, metric, pod->refusal_reason, pod->refusal);
        return;
    }
    if (!waits_for_others(pod, object, &handler, &drivers))
        place(pod, object, handler, &drivers);
}
