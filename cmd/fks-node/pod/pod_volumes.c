/*
 * pod_volumes.c: fetches what the pod's volumes, variables and pull secrets need (ConfigMaps, Secrets, tokens),
 * hands it to volumes.c, and keeps it fresh: objects within a minute, tokens before four fifths of their life are
 * over.
 */
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"

#include "volumes/csi_plan.h"
#include "pod/pod.h"

#define REFRESH_MS 35000 /* with jitter and the request itself, less than a minute */
#define REFRESH_JITTER_MS 15000
#define RETRY_FIRST_MS 500
#define RETRY_DENIED_MS 25 /* the API server's picture of who mounts what may be behind the binding by a moment */
#define RETRY_MAX_MS 60000
#define TOKEN_LIFE_MAX_S 86400 /* renewed daily at least, however long it would be valid */
#define TOKEN_LIFE_UNKNOWN_S 600

struct fetch { /* one request under way */
    struct pod *pod;
    char *key;
    bool older; /* of an API of several versions, the older one was asked */
    struct fetch *previous, *next; /* of the pod */
};

static struct fetch *fetch_new(struct pod *pod, const char *key)
{
    struct fetch *fetch = NEW(struct fetch);

    fetch->pod = pod;
    fetch->key = xstrdup(key);
    fetch->next = pod->fetches;
    if (pod->fetches != NULL)
        pod->fetches->previous = fetch;
    pod->fetches = fetch;
    pod_call_begin(pod);
    return fetch;
}

static void fetch_free(struct fetch *fetch)
{
    if (fetch->previous != NULL)
        fetch->previous->next = fetch->next;
    else
        fetch->pod->fetches = fetch->next;
    if (fetch->next != NULL)
        fetch->next->previous = fetch->previous;
    free(fetch->key);
    free(fetch);
}

static void fetch_end(struct fetch *fetch)
{
    pod_call_done(fetch->pod);
    fetch_free(fetch);
}

static void wipe_free(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

/* --- objects */

static void fetches_over(struct pod *pod)
{
    if (pod->n_fetches + pod->n_token_calls > 0)
        return;
    if (pod->fetch_failed)
        backoff_fail(&pod->fetch_backoff, pod_now(pod), pod->fetch_denied ? RETRY_DENIED_MS : RETRY_FIRST_MS,
                     RETRY_MAX_MS);
    pod->fetch_failed = pod->fetch_denied = false;
}

/* The first few refusals of a Node whose pod was bound just now tell nothing. True: told already, or not worth it. */
static bool note_failure(struct pod *pod, const struct err *err)
{
    bool denied = err->code == ERR_FORBIDDEN && pod->agent->options.impersonate_nodes;

    pod->fetch_failed = true;
    pod->fetch_denied = pod->fetch_denied || denied;
    return denied && pod->fetch_backoff.wait_ms < RETRY_FIRST_MS;
}

static void on_object(struct json **answer, struct err *err, void *data);

/* A CSI volume names secrets, of any namespace, for its driver. */
static void fetch_volume_secrets(struct pod *pod, const struct json *bound)
{
    static const char *const references[] = {"nodeStageSecretRef", "nodePublishSecretRef"};

    for (size_t i = 0; i < countof(references); i++) {
        const struct json *reference = json_get(bound, "spec", "csi", references[i], NULL);
        const char *namespace = json_str(reference, "namespace", NULL), *name = json_str(reference, "name", NULL);
        if (namespace == NULL || name == NULL)
            continue;
        CLEANUP(xfree) char *key = xasprintf("Secret/%s/%s", namespace, name);
        pod->n_fetches++;
        agent_request_as(pod->agent, pod_node_name(pod), "GET", kube_path("", "v1", namespace, "secrets", name, NULL), NULL,
                         on_object, fetch_new(pod, key));
    }
}

/* A claim that came leads to the volume that it is bound to. */
static void fetch_claimed(struct pod *pod, const char *key, const struct json *object)
{
    const char *name = json_str(object, "spec", "volumeName", NULL);

    if (!starts_with(key, "PersistentVolumeClaim/") || name == NULL || *name == '\0')
        return;
    CLEANUP(xfree) char *volume_key = xasprintf("PersistentVolume/%s", name);
    pod->n_fetches++;
    agent_request_as(pod->agent, pod_node_name(pod), "GET", kube_path("", "v1", NULL, "persistentvolumes", name, NULL),
                     NULL, on_object, fetch_new(pod, volume_key));
}

/* A list, so "not found" is about the API: it is of versions that a cluster may or may not serve. */
static void fetch_trust(struct pod *pod, const char *key, bool older)
{
    CLEANUP(buf_done) struct buf path = {0};
    struct fetch *fetch = fetch_new(pod, key);

    buf_printf(&path, "/apis/certificates.k8s.io/%s/clustertrustbundles", older ? "v1alpha1" : "v1beta1");
    kube_path_query(&path, "fieldSelector", strchr(key, '/') + 1);
    fetch->older = older;
    agent_request(pod->agent, "GET", buf_take(&path), NULL, NULL, on_object, fetch);
}

static void on_object(struct json **answer, struct err *err, void *data)
{
    struct fetch *fetch = data;
    struct pod *pod = fetch->pod;

    if (err->code == ERR_NOT_FOUND && starts_with(fetch->key, VOLUMES_TRUST "/") && !fetch->older) {
        fetch_trust(pod, fetch->key, true);
        fetch_end(fetch);
        return;
    }
    pod->n_fetches--;
    if (err->code == 0) {
        fetch_claimed(pod, fetch->key, *answer);
        if (starts_with(fetch->key, "PersistentVolume/"))
            fetch_volume_secrets(pod, *answer);
        struct json *old = map_set(&pod->objects, fetch->key, json_keep(*answer));
        if (old == NULL || !json_same(old, *answer))
            pod->volumes_changed = true;
        json_free(old);
    } else if (err->code == ERR_NOT_FOUND) {
        struct json *old = map_del(&pod->objects, fetch->key);
        if (old != NULL)
            pod->volumes_changed = true;
        json_free(old);
    } else {
        if (!note_failure(pod, err))
            log_warn("reading an object for a pod; trying again", "pod", pod_title(pod), "object", fetch->key, "as",
                     pod_node_name(pod), "error", err_text(err));
    }
    if (pod->n_fetches == 0 && !pod->fetch_failed)
        pod->fetched = true;
    fetches_over(pod);
    fetch_end(fetch);
}

static void fetch_objects(struct pod *pod)
{
    if (pod->needs.n_objects == 0)
        pod->fetched = true;
    pod->n_fetches += (int)pod->needs.n_objects;
    for (size_t i = 0; i < pod->needs.n_objects; i++) {
        const struct volumes_object *object = &pod->needs.objects[i];
        if (streq(object->kind, VOLUMES_TRUST)) {
            fetch_trust(pod, object->key, false);
            continue;
        }
        const char *plural = streq(object->kind, "Secret")      ? "secrets"
                             : streq(object->kind, "ConfigMap") ? "configmaps"
                                                                : "persistentvolumeclaims";
        agent_request_as(pod->agent, pod_node_name(pod), "GET",
                         kube_path("", "v1", pod->namespace, plural, object->name, NULL), NULL, on_object,
                         fetch_new(pod, object->key));
    }
}

/* --- tokens */

/* How long a token is valid is told as a duration too: the time at which it ends is on a clock that may not be ours. */
static int64_t token_life_s(const struct json *answer)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *expires = json_str(answer, "status", "expirationTimestamp", NULL);
    int64_t expires_ns, granted_s = json_int_or(0, answer, "spec", "expirationSeconds", NULL);

    if (granted_s > 0)
        return granted_s;
    if (expires != NULL && clock_parse(expires, &expires_ns, &err) == 0)
        return (expires_ns - clock_wall_ns()) / 1000000000;
    return TOKEN_LIFE_UNKNOWN_S;
}

static void token_arrived(struct pod *pod, const char *key, const struct json *answer)
{
    int64_t life_s = token_life_s(answer);
    CLEANUP(buf_done) struct buf text = {0};

    if (starts_with(key, CSI_TOKEN_PREFIX)) /* drivers are told its end, too */
        json_print(json_get(answer, "status", NULL), &text);
    else
        buf_add_str(&text, json_str_or("", answer, "status", "token", NULL));
    wipe_free(map_set(&pod->tokens, key, buf_take(&text)));
    if (life_s > TOKEN_LIFE_MAX_S)
        life_s = TOKEN_LIFE_MAX_S;
    if (life_s < 60)
        life_s = 60;
    int64_t *due_ms = NEW(int64_t);
    *due_ms = pod_now(pod) + life_s * 800 - (int64_t)random_below(10000);
    free(map_set(&pod->token_due, key, due_ms));
    pod->volumes_changed = true;
}

static void on_token(struct json **answer, struct err *err, void *data)
{
    struct fetch *fetch = data;
    struct pod *pod = fetch->pod;

    pod->n_token_calls--;
    if (err->code == 0) {
        token_arrived(pod, fetch->key, *answer);
    } else {
        bool quiet = note_failure(pod, err);
        if (!pod->volumes_ready && !quiet)
            pod_event(pod, "Warning", "FailedMount",
                      "MountVolume.SetUp failed for volume \"%.*s\" : failed to fetch token: %s",
                      (int)strcspn(fetch->key, "/"), fetch->key, err_text(err));
        if (!quiet)
            log_warn("requesting a service account token; trying again", "pod", pod_title(pod), "volume", fetch->key, "as",
                     pod_node_name(pod), "error", err_text(err));
    }
    if (pod->n_token_calls == 0 && !pod->fetch_failed)
        pod->tokens_fetched = true;
    fetches_over(pod);
    fetch_end(fetch);
}

static void request_token(struct pod *pod, const struct volumes_token *token)
{
    const char *account = json_str_or("default", pod->object, "spec", "serviceAccountName", NULL);
    struct json *spec =
        json_build("{s:I, s:{s:s, s:s, s:s, s:s}}", "expirationSeconds", (long long)token->expiration_s,
                   "boundObjectRef", "kind", "Pod", "apiVersion", "v1", "name", pod->name, "uid", pod->uid);

    if (*token->audience != '\0')
        json_set(spec, "audiences", json_build("[s]", token->audience));
    pod->n_token_calls++;
    agent_request_as(
        pod->agent, pod_node_name(pod), "POST",
        kube_path("", "v1", pod->namespace, "serviceaccounts", account, "token"),
        json_build("{s:s, s:s, s:o}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest", "spec", spec),
        on_token, fetch_new(pod, token->key));
}

/* Those that are missing or due. Tokens name the pod's Node, so they wait for the binding. */
static void request_tokens(struct pod *pod)
{
    for (size_t i = 0; i < pod->needs.n_tokens; i++) {
        const int64_t *due_ms = map_get(&pod->token_due, pod->needs.tokens[i].key);
        if (due_ms == NULL || *due_ms <= pod_now(pod))
            request_token(pod, &pod->needs.tokens[i]);
    }
    if (pod->n_token_calls == 0)
        pod->tokens_fetched = true;
}

/* --- on disk */

static void set_up(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    struct volumes_input input = {
        .pod = pod->object,
        .state_dir = pod->agent->options.state_dir,
        .objects = &pod->objects,
        .tokens = &pod->tokens,
    };

    pod_downward(pod, &input.downward);
    if (volumes_set_up(&input, &err) == 0) {
        pod->volumes_ready = true;
        pod->volumes_changed = false;
        backoff_reset(&pod->fetch_backoff);
        pod->refresh_ms = pod_now(pod) + REFRESH_MS + (int64_t)random_below(REFRESH_JITTER_MS);
        return;
    }
    pod_event(pod, "Warning", "FailedMount", "%s", err_text(&err));
    backoff_fail(&pod->fetch_backoff, pod_now(pod), RETRY_FIRST_MS, RETRY_MAX_MS);
    if (pod->volumes_ready)
        pod->refresh_ms = pod_now(pod) + pod->fetch_backoff.wait_ms;
    else
        pod->fetched = false;
}

bool pod_objects_known(const struct pod *pod)
{
    return pod->fetched || json_len(json_get(pod->object, "spec", "imagePullSecrets", NULL)) == 0;
}

void pod_volumes_refresh_in(struct pod *pod, int64_t delay_ms)
{
    int64_t due_ms = pod_now(pod) + delay_ms;

    if (pod->refresh_ms > due_ms)
        pod->refresh_ms = due_ms;
}

bool pod_volumes_sync(struct pod *pod)
{
    int64_t now_ms = pod_now(pod);
    int64_t wait_ms = backoff_left_ms(&pod->fetch_backoff, now_ms);

    if (!pod->needs_known) {
        volumes_needs_done(&pod->needs);
        pod->needs = (struct volumes_needs){0};
        volumes_needs_of(pod->object, &pod->needs);
        pod->needs_known = true;
        pod->fetched = pod->tokens_fetched = false;
    }
    if (pod->n_fetches > 0 || pod->n_token_calls > 0)
        return pod->volumes_ready;
    if (wait_ms > 0) {
        pod_wake_in(pod, wait_ms);
        return pod->volumes_ready;
    }
    if (pod->volumes_ready && pod->fetched && now_ms >= pod->refresh_ms) {
        pod->fetched = pod->tokens_fetched = false;
        pod->volumes_changed = pod->volumes_changed || pod->refresh_ms == 0 || pod_csi_is_stale(pod);
        pod->refresh_ms = now_ms + REFRESH_MS;
    }
    if (!pod->fetched && (pod_is_bound(pod) || !pod->agent->options.impersonate_nodes))
        fetch_objects(pod);
    if (!pod->tokens_fetched && pod_is_bound(pod))
        request_tokens(pod);
    /* an address may be asked for by a file of the downward API: not before the sandbox has one */
    if (pod->fetched && pod->tokens_fetched && pod->address != NULL && (!pod->volumes_ready || pod->volumes_changed) &&
        pod_mounts_sync(pod))
        set_up(pod);
    else if (pod->volumes_ready && pod->fetched && pod->tokens_fetched && pod->refresh_ms <= now_ms)
        pod->refresh_ms = now_ms + REFRESH_MS + (int64_t)random_below(REFRESH_JITTER_MS);
    if (pod->volumes_ready && pod->refresh_ms > now_ms)
        pod_wake_in(pod, pod->refresh_ms - now_ms);
    wait_ms = backoff_left_ms(&pod->fetch_backoff, now_ms);
    if (wait_ms > 0)
        pod_wake_in(pod, wait_ms);
    return pod->volumes_ready;
}

void pod_volumes_done(struct pod *pod)
{
    const char *key;
    void *value;

    for (size_t i = 0; map_next(&pod->objects, &i, &key, &value);)
        json_free(value);
    map_done(&pod->objects);
    for (size_t i = 0; map_next(&pod->tokens, &i, &key, &value);)
        wipe_free(value);
    map_done(&pod->tokens);
    for (size_t i = 0; map_next(&pod->token_due, &i, &key, &value);)
        free(value);
    map_done(&pod->token_due);
    volumes_needs_done(&pod->needs);
    while (pod->fetches != NULL) /* only when the agent ends: their answers never come */
        fetch_free(pod->fetches);
}
