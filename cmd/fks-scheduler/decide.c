/*
 * decide.c: one try to place one pod: may it run serverless, how large a machine does it need, which host has room. The
 * answers to the first two are kept until the pod or a rule changes, so that a pod that waits costs little.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "fargate/names.h"
#include "fargate/support.h"
#include "report.h"
#include "reserve.h"

#define REASON_UNSCHEDULABLE "Unschedulable" /* the API's own: autoscalers look for it */

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

    if (profile != NULL && profile->exists && profile->problem == NULL)
        return &profile->rules;
    if (profile == NULL)
        refuse(pod, REASON_UNSCHEDULABLE,
               xasprintf("Misconfigured Fargate Profile: the pod names none (label %s): make a profile that matches "
                         "it, and create the pod again", FARGATE_PROFILE_LABEL));
    else if (!profile->exists)
        refuse(pod, REASON_UNSCHEDULABLE,
               xasprintf("Misconfigured Fargate Profile: fargate profile %s does not exist: create it, or create the "
                         "pod again under another one", profile->name));
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

        refuse(pod, "POD_UNSUPPORTED_ON_FARGATE", xasprintf("Pod not supported on Fargate: %s", list));
        return;
    }
    if (fargate_request_of(object, &request, &err) < 0)
        refuse(pod, "POD_UNSUPPORTED_ON_FARGATE", xasprintf("Pod not supported on Fargate: %s", err_text(&err)));
    else if (fargate_size_for(&request, rules->exact_sizing, &pod->size, &err) < 0)
        refuse(pod, "POD_CPU_MEM_EXCEEDS_MAX_FARGATE_SIZE",
               xasprintf("%s (16vCPU 120GB and 175Gi of disk): ask for less, or set sizing: Exact in the profile",
                         err_text(&err)));
    else if (fargate_limits_check(object, &pod->size, &err) < 0)
        refuse(pod, "POD_UNSUPPORTED_ON_FARGATE", xasprintf("Pod not supported on Fargate: %s", err_text(&err)));
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

static void wait(struct pod *pod, const char *reason, const char *message)
{
    struct scheduler *scheduler = pod->scheduler;

    queue_failed(&scheduler->to_place, &pod->place_item, loop_now_ms(scheduler->loop));
    report_waiting(pod, reason, message);
}

static void wait_for_capacity(struct pod *pod, const struct place_result *result, const struct place_need *need)
{
    CLEANUP(buf_done) struct buf text = {0};

    (void)buf_add_str(&text, "Fargate capacity is unavailable at this time. Please try again later or in a different "
                             "availability zone. (");
    place_explain(result, need, &text);
    (void)buf_add_char(&text, ')');
    wait(pod, REASON_UNSCHEDULABLE, buf_text(&text));
}

void decide(struct pod *pod)
{
    struct scheduler *scheduler = pod->scheduler;
    const struct json *object = scheduler_object(pod);
    struct place_result result;

    if (object == NULL || pod->stage != POD_WAITING || pod->call != NULL)
        return;
    if (pod->held.host != NULL) { /* asked for, end not known: it may hold the very room it would look for */
        reserve_look(pod);
        return;
    }
    work_out_need(pod, object);
    if (pod->refusal != NULL) {
        wait(pod, pod->refusal_reason, pod->refusal);
        return;
    }
    struct place_need need = {.size = pod->size, .zones = &pod->profile->rules.zones,
                              .spec = json_get(object, "spec", NULL)};
    if (!handler_of(pod, object, &need.runtime_handler)) {
        CLEANUP(xfree) char *text = xasprintf("RuntimeClass %s does not exist",
                                              json_str_or("", object, "spec", "runtimeClassName", NULL));

        wait(pod, REASON_UNSCHEDULABLE, text);
        return;
    }
    int64_t start = clock_wall_ns();
    place_choose(&scheduler->hosts, &need, loop_now_ms(scheduler->loop), &result);
    metric_observe(scheduler->decision_seconds, (double)(clock_wall_ns() - start) / 1e9);
    metric_add(scheduler->decisions, 1);
    if (result.host != NULL)
        reserve_start(pod, result.host->name, &need.size);
    else
        wait_for_capacity(pod, &result, &need);
}
