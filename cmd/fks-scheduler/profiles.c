/*
 * profiles.c: profiles and their status. A pod's arrival or end changes two numbers and marks its profile; a timer
 * writes the marked ones. What the server has already is not written again, so a second scheduler does not fight with
 * this one.
 */
#include "profiles.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/quantity.h"
#include "fargate/names.h"

#define PATCH_INTERVAL_MS 1000
#define RETRY_MS 5000

struct profiles {
    struct map by_name;
    struct loop *loop;
    struct kube_client *client;
    struct loop_timer *timer;
    bool started;
};

static void write_statuses(void *data);

struct profiles *profiles_new(struct loop *loop, struct kube_client *client)
{
    struct profiles *profiles = NEW(struct profiles);

    profiles->loop = loop;
    profiles->client = client;
    profiles->timer = loop_timer_new(loop, write_statuses, profiles);
    return profiles;
}

static void object_clear(struct profile *profile)
{
    profile->exists = profile->deleting = false;
    profile->finalizers = json_free(profile->finalizers);
    profile->version = xfree(profile->version);
    profile->problem = xfree(profile->problem);
    fargate_profile_done(&profile->rules);
    profile->rules = (struct fargate_profile){0};
    profile->status = json_free(profile->status);
}

static void profile_free(struct profile *profile)
{
    kube_cancel(profile->call);
    kube_cancel(profile->finalizer_call);
    object_clear(profile);
    json_free(profile->last_error);
    free(profile->name);
    free(profile);
}

struct profiles *profiles_free(struct profiles *profiles)
{
    size_t position = 0;
    const char *name;
    void *profile;

    if (profiles == NULL)
        return NULL;
    while (map_next(&profiles->by_name, &position, &name, &profile))
        profile_free(profile);
    map_done(&profiles->by_name);
    (void)loop_timer_free(profiles->timer);
    free(profiles);
    return NULL;
}

struct profile *profiles_get(struct profiles *profiles, const char *name)
{
    struct profile *profile = map_get(&profiles->by_name, name);

    if (profile == NULL) {
        profile = NEW(struct profile);
        profile->name = xstrdup(name);
        profile->profiles = profiles;
        (void)map_set(&profiles->by_name, name, profile);
    }
    return profile;
}

static void mark(struct profile *profile)
{
    struct profiles *profiles = profile->profiles;

    profile->dirty = true;
    if (profiles->started && !loop_timer_is_set(profiles->timer)) {
        int64_t delay = profile->next_patch_ms - loop_now_ms(profiles->loop);

        loop_timer_set(profiles->timer, delay > 0 ? delay : 0);
    }
}

void profiles_on_object(struct profiles *profiles, const char *name, const struct json *new)
{
    CLEANUP(err_clear) struct err err = {0};
    struct profile *profile = profiles_get(profiles, name);

    object_clear(profile);
    if (new == NULL) {
        profile->call = (kube_cancel(profile->call), NULL);
        profile->finalizer_call = (kube_cancel(profile->finalizer_call), NULL);
        if (profile->n_pending + profile->n_running == 0) {
            (void)map_del(&profiles->by_name, name);
            profile_free(profile);
        }
        return;
    }
    profile->exists = true;
    profile->deleting = json_get(new, "metadata", "deletionTimestamp", NULL) != NULL;
    profile->version = xstrdup(json_str_or("", new, "metadata", "resourceVersion", NULL));
    if (json_get(new, "metadata", "finalizers", NULL) != NULL)
        profile->finalizers = json_keep(json_get(new, "metadata", "finalizers", NULL));
    profile->generation = json_int_or(0, new, "metadata", "generation", NULL);
    if (json_is_object(json_get(new, "status", NULL)))
        profile->status = json_keep(json_get(new, "status", NULL));
    if (fargate_profile_read(new, &profile->rules, &err) < 0)
        profile->problem = xstrdup(err_text(&err));
    mark(profile);
}

static int64_t *counter_of(struct profile *profile, enum profile_count count)
{
    if (count == PROFILE_COUNT_PENDING)
        return &profile->n_pending;
    return count == PROFILE_COUNT_RUNNING ? &profile->n_running : NULL;
}

void profiles_count(struct profile *profile, enum profile_count from, enum profile_count to)
{
    if (profile == NULL || from == to)
        return;
    if (counter_of(profile, from) != NULL)
        (*counter_of(profile, from))--;
    if (counter_of(profile, to) != NULL)
        (*counter_of(profile, to))++;
    if (profile->exists) {
        mark(profile);
    } else if (profile->n_pending + profile->n_running == 0 && to == PROFILE_COUNT_NONE) {
        (void)map_del(&profile->profiles->by_name, profile->name);
        profile_free(profile);
    }
}

void profiles_use(struct profile *profile, const struct fargate_size *size, int sign)
{
    if (profile == NULL)
        return;
    profile->used.cpu_m += sign * size->cpu_m;
    profile->used.mem_b += sign * size->mem_b;
    profile->used.pods += sign;
    if (profile->exists)
        mark(profile);
}

void profiles_refused(struct profile *profile, int by)
{
    if (profile == NULL || by == 0)
        return;
    profile->n_refused += by;
    if (profile->exists)
        mark(profile);
}

void profiles_error(struct profile *profile, const char *pod, const char *reason, const char *message)
{
    const struct json *last = profile != NULL ? profile->last_error : NULL;
    char now[CLOCK_TEXT_MAX];

    if (profile == NULL || (streq(json_str(last, "pod", NULL), pod) && streq(json_str(last, "message", NULL), message)))
        return;
    json_free(profile->last_error);
    clock_rfc3339(clock_wall_ns(), now);
    profile->last_error = json_build("{s:s, s:s, s:s, s:s}", "time", now, "pod", pod, "reason", reason, "message",
                                     message);
    if (profile->exists)
        mark(profile);
}

/* Namespaces of the selectors, each once, as a table shows them. */
static char *namespaces_of(const struct profile *profile)
{
    CLEANUP(strv_done) struct strv names = {0};

    for (size_t i = 0; i < profile->rules.n_selectors; i++)
        if (!strv_has(&names, profile->rules.selectors[i].namespace))
            strv_add(&names, profile->rules.selectors[i].namespace);
    return strv_join(&names, ",");
}

static struct json *condition_of(const struct profile *profile)
{
    const char *status = profile->problem == NULL ? "True" : "False";
    const struct json *old, *before = NULL;
    char now[CLOCK_TEXT_MAX];

    json_each(old, json_get(profile->status, "conditions", NULL))
        if (streq(json_str(old, "type", NULL), "Ready"))
            before = old;
    clock_rfc3339(clock_wall_ns(), now);
    return json_build("{s:s, s:s, s:s, s:s, s:I, s:s}", "type", "Ready", "status", status, "reason",
                      profile->problem == NULL ? "Active" : "Invalid", "message",
                      profile->problem == NULL ? "Pods that match run serverless." : profile->problem,
                      "observedGeneration", (long long)profile->generation, "lastTransitionTime",
                      streq(json_str(before, "status", NULL), status) ?
                          json_str_or(now, before, "lastTransitionTime", NULL) : now);
}

static struct json *text_of(void (*print)(int64_t amount, struct buf *out), int64_t amount)
{
    CLEANUP(buf_done) struct buf text = {0};

    print(amount, &text);
    return json_new_string(buf_text(&text));
}

static struct json *used_of(const struct profile *profile)
{
    return json_build("{s:o, s:o, s:I}", "cpu", text_of(quantity_print_milli, profile->used.cpu_m), "memory",
                      text_of(quantity_print_bytes, profile->used.mem_b), "pods", (long long)profile->used.pods);
}

/* The quota in force; null for a member that the status still has. */
static struct json *hard_of(const struct profile *profile)
{
    static const struct fargate_quota none = {FARGATE_NO_QUOTA, FARGATE_NO_QUOTA, FARGATE_NO_QUOTA};
    const struct fargate_quota *quota = profile->problem == NULL ? &profile->rules.quota : &none;
    struct json *hard = json_new_object();
    static const char *const names[] = {"cpu", "memory", "pods"};

    if (quota->cpu_m != FARGATE_NO_QUOTA)
        json_set(hard, "cpu", text_of(quantity_print_milli, quota->cpu_m));
    if (quota->mem_b != FARGATE_NO_QUOTA)
        json_set(hard, "memory", text_of(quantity_print_bytes, quota->mem_b));
    if (quota->pods != FARGATE_NO_QUOTA)
        json_set_int(hard, "pods", quota->pods);
    for (size_t i = 0; i < countof(names); i++)
        if (json_get(profile->status, "hard", names[i], NULL) != NULL && json_member(hard, names[i]) == NULL)
            json_set(hard, names[i], json_new_null());
    return hard;
}

static const char *state_of(const struct profile *profile)
{
    if (profile->deleting)
        return "DELETING";
    return profile->problem == NULL ? "ACTIVE" : "CREATE_FAILED";
}

static struct json *status_of(const struct profile *profile)
{
    CLEANUP(xfree) char *namespaces = namespaces_of(profile);

    return json_build("{s:s, s:I, s:s, s:{s:I, s:I, s:I, s:I}, s:o, s:o, s:O*, s:[o]}", "state", state_of(profile),
                      "observedGeneration", (long long)profile->generation, "namespaces", namespaces, "pods", "active",
                      (long long)(profile->n_pending + profile->n_running), "pending", (long long)profile->n_pending,
                      "running", (long long)profile->n_running, "refused", (long long)profile->n_refused, "used",
                      used_of(profile), "hard", hard_of(profile), "lastError", profile->last_error, "conditions",
                      condition_of(profile));
}

/* The members of a status that the server does not have like this; nothing: NULL. */
static struct json *difference(const struct profile *profile, const struct json *status)
{
    CLEANUP(json_free) struct json *changes = json_new_object();
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(status, &position, &key, &value))
        if (!json_same(json_member(profile->status, key), value))
            json_set(changes, key, json_keep(value));
    return json_len(changes) > 0 ? take(&changes) : NULL;
}

static void on_written(struct json **answer, struct err *err, void *data)
{
    struct profile *profile = data;

    profile->call = NULL;
    if (err->code == 0) {
        const struct json *status = json_get(*answer, "status", NULL);

        /* the watch may lag behind: without this the same status would be written again */
        profile->status = json_free(profile->status);
        profile->status = status != NULL ? json_keep(status) : NULL;
        return;
    }
    if (err->code == ERR_NOT_FOUND)
        return;
    log_warn("the status of a profile could not be written; it will be tried again", "profile", profile->name, "error",
             err_text(err));
    profile->next_patch_ms = loop_now_ms(profile->profiles->loop) + RETRY_MS;
    mark(profile);
}

static void write_status(struct profile *profile)
{
    CLEANUP(json_free) struct json *status = status_of(profile);
    CLEANUP(json_free) struct json *changes = difference(profile, status);
    CLEANUP(json_free) struct json *body = NULL;
    CLEANUP(xfree) char *path = NULL;

    profile->dirty = false;
    if (changes == NULL)
        return;
    body = json_build("{s:O}", "status", changes);
    path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargateprofiles", profile->name, "status");
    const struct kube_request request = {.method = "PATCH", .path = path, .body = body,
                                         .content_type = KUBE_MERGE_PATCH};
    profile->next_patch_ms = loop_now_ms(profile->profiles->loop) + PATCH_INTERVAL_MS;
    profile->call = kube_start(profile->profiles->client, &request, on_written, profile);
}

static void write_statuses(void *data)
{
    struct profiles *profiles = data;
    int64_t now = loop_now_ms(profiles->loop), delay = -1;
    size_t position = 0;
    const char *name;
    void *value;

    while (map_next(&profiles->by_name, &position, &name, &value)) {
        struct profile *profile = value;
        int64_t left = profile->next_patch_ms - now;

        if (!profile->exists || !profile->dirty)
            continue;
        if (left <= 0 && profile->call == NULL) {
            write_status(profile);
            continue;
        }
        /* a call that is still under way is looked at again like one that is too early */
        left = left > 0 ? left : PATCH_INTERVAL_MS;
        delay = delay < 0 || left < delay ? left : delay;
    }
    if (delay >= 0)
        loop_timer_set(profiles->timer, delay);
}

void profiles_start(struct profiles *profiles)
{
    struct profile *profile;

    profiles->started = true;
    for (size_t i = 0; profiles_next(profiles, &i, &profile);)
        profile->dirty = true;
    write_statuses(profiles);
}

void profiles_stop(struct profiles *profiles)
{
    profiles->started = false;
    loop_timer_cancel(profiles->timer);
}

bool profiles_next(const struct profiles *profiles, size_t *position, struct profile **ret)
{
    const char *name;
    void *value;

    if (!map_next(&profiles->by_name, position, &name, &value))
        return false;
    *ret = value;
    return true;
}
