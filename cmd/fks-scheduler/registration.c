/*
 * registration.c: see registration.h. One look at what is there says the next step; its end, a change of the ConfigMap or the
 * Secret, and a tick lead to the next look. One request at a time.
 */
#include "registration.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "fargate/names.h"
#include "kube/watch.h"
#include "narrow.h"
#include "watches.h"
#include "webhook_secret.h"

#define TICK_MS 2000
#define AGAIN_MS 300000   /* what somebody changed by hand is put right after so long */
#define TRUSTED_MS 10000  /* until every API server has read a registration */
#define SERVED_MS 600000  /* until every webhook pod serves what others wrote into the Secret; kubelets take up to two minutes */
#define SETTLE_MS 10000   /* until the Service of a ready webhook pod works on the API servers' hosts, too */
#define REGISTRATION_SETTLING "fks.dev/settling" /* annotation of a registration in its first seconds; fks waits for its end */
#define REGISTRATION_NAMESPACES "fks.dev/namespaces" /* annotation: what it is narrowed to; fks waits until a new profile's are there */
#define NAMESPACE_PATH "/api/v1/namespaces/" FKS_NAMESPACE
#define FIELD_MANAGER "?fieldManager=fks-scheduler&force=true"

struct registration {
    struct loop *loop;
    struct kube_client *client;
    struct registration_options options;
    struct kube_watch *config_watch, *secret_watch, *profile_watch;
    char *secret_name;       /* that secret_watch follows, or NULL */
    struct loop_timer *timer;
    struct kube_call *call;
    struct json *documents;  /* the registrations of the ConfigMap, without an authority; or NULL */
    bool withdrawing;        /* the ConfigMap went: documents are to be deleted */
    size_t index;            /* of the document under way */
    bool asked, webhook_seen; /* whether it is registered already; an endpoint was ready once */
    int64_t settle_ms;       /* end of the time of grace of a first registration */
    char *found;             /* base64: what a leader before us registered, or NULL */
    struct json *replacement; /* data of a Secret that was lost, until it is there again; or NULL */
    char *authority;         /* base64, as registered; NULL: not yet */
    char *sending;           /* likewise, under way */
    char *newest;            /* of a Secret that somebody else writes: its authority, base64; or NULL */
    char *beside;            /* newest, and those that it took the place of; NULL: not for now */
    int64_t beside_until_ms;
    int64_t since_ms, written_ms; /* authority is registered since; last written */
    bool settling;           /* what is being written, or was, is the gentle form of a first registration */
    bool current;            /* nothing changed since */
    bool profiles_changed;
    char *expression;        /* what the mutating webhooks are narrowed to, or NULL: to nothing */
    char *namespaces;        /* the patterns behind it, comma-separated */
    char *complaint;         /* the last, so that each is said once */
};

static void look(void *data);

static void complain(struct registration *registration, const char *text)
{
    if (streq(registration->complaint, text))
        return;
    free(registration->complaint);
    registration->complaint = xstrdup(text);
    log_warn("the webhook's registration waits", "reason", text);
}

static void look_soon(struct registration *registration)
{
    loop_timer_set(registration->timer, 0);
}

/* --- the ConfigMap */

static const struct json *config_of(const struct registration *registration)
{
    return kube_watch_get(registration->config_watch, FKS_NAMESPACE, registration->options.config_map);
}

/* Only these two kinds: whoever may write the ConfigMap shall not get at anything else through us. */
static const char *plural_of(const struct json *document)
{
    const char *kind = json_str(document, "kind", NULL);

    if (!streq(json_str(document, "apiVersion", NULL), "admissionregistration.k8s.io/v1") ||
        json_str(document, "metadata", "name", NULL) == NULL)
        return NULL;
    if (streq(kind, "MutatingWebhookConfiguration"))
        return "mutatingwebhookconfigurations";
    return streq(kind, "ValidatingWebhookConfiguration") ? "validatingwebhookconfigurations" : NULL;
}

static int read_documents(const struct json *config, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *documents = NULL;
    const char *text = json_str_or("", config, "data", "registrations.yaml", NULL);
    const struct json *document;

    int r = yaml_parse_all(text, strlen(text), &documents, err);
    if (r < 0)
        return err_wrap(err, "reading registrations.yaml");
    if (json_len(documents) == 0)
        return err_set(err, ERR_INVALID, "registrations.yaml is empty");
    json_each(document, documents)
        if (plural_of(document) == NULL)
            return err_set(err, ERR_INVALID, "registrations.yaml holds something else than named webhook configurations");
    *ret = take(&documents);
    return 0;
}

/* What is under way may be of yesterday: begin again. */
static void begin_again(struct registration *registration)
{
    registration->current = false;
    registration->index = 0;
    registration->call = (kube_cancel(registration->call), NULL);
    look_soon(registration);
}

static void on_secret_change(const struct json *old UNUSED, const struct json *new UNUSED, void *data)
{
    begin_again(data);
}

static void on_profile_change(const struct json *old UNUSED, const struct json *new UNUSED, void *data)
{
    struct registration *registration = data;

    registration->profiles_changed = true;
    look_soon(registration);
}

static void on_synced(void *data)
{
    look_soon(data);
}

static void on_error(const struct err *err, void *data UNUSED)
{
    log_warn("a watch of the webhook's registration failed and goes on after a pause", "error", err_text(err));
}

static struct kube_watch *watch(struct registration *registration, const char *path, const char *name,
                                void (*changed)(const struct json *old, const struct json *new, void *data))
{
    CLEANUP(xfree) char *only = xasprintf("metadata.name=%s", name);
    const struct kube_watch_options options = {
        .path = path, .field_selector = only, .on_change = changed, .on_synced = on_synced, .on_error = on_error,
        .data = registration};

    return kube_watch_new(registration->client, &options);
}

static void follow_secret(struct registration *registration, const char *name)
{
    if (streq(name, registration->secret_name))
        return;
    registration->secret_watch = kube_watch_free(registration->secret_watch);
    free(registration->secret_name);
    registration->secret_name = xstrdup(name);
    if (name != NULL)
        registration->secret_watch = watch(registration, NAMESPACE_PATH "/secrets", name, on_secret_change);
}

static void on_config_change(const struct json *old UNUSED, const struct json *new, void *data)
{
    struct registration *registration = data;
    CLEANUP(err_clear) struct err err = {0};
    struct json *documents = NULL;

    begin_again(registration);
    registration->withdrawing = new == NULL && registration->documents != NULL;
    if (new == NULL)
        return;
    follow_secret(registration, json_str(new, "data", "secret", NULL));
    if (read_documents(new, &documents, &err) < 0) {
        complain(registration, err_text(&err));
        return; /* what is registered goes on as it is */
    }
    json_free(registration->documents);
    registration->documents = documents;
}

/* --- requests */

/* The end of each request: look again, after a pause if it failed. */
static bool went_well(struct registration *registration, const struct err *err, const char *what)
{
    registration->call = NULL;
    loop_timer_set(registration->timer, err->code == 0 ? 0 : TICK_MS);
    if (err->code == 0)
        return true;
    CLEANUP(xfree) char *text = xasprintf("%s: %s", what, err_text(err));
    complain(registration, text);
    return false;
}

static void on_withdrawn(struct json **answer UNUSED, struct err *err, void *data)
{
    struct registration *registration = data;

    if (err->code == ERR_NOT_FOUND)
        err_clear(err);
    if (!went_well(registration, err, "withdrawing it") ||
        ++registration->index < json_len(registration->documents))
        return;
    log_info("the webhook's registration is withdrawn");
    registration->withdrawing = false;
    registration->documents = json_free(registration->documents);
    registration->authority = xfree(registration->authority);
    registration->found = xfree(registration->found);
    registration->newest = xfree(registration->newest);
    registration->beside = xfree(registration->beside);
    registration->webhook_seen = false;
}

static void on_registered(struct json **answer UNUSED, struct err *err, void *data)
{
    struct registration *registration = data;

    if (!went_well(registration, err, "writing it")) {
        registration->index = 0;
        return;
    }
    if (++registration->index < json_len(registration->documents))
        return;
    registration->index = 0;
    registration->written_ms = loop_now_ms(registration->loop);
    if (registration->settle_ms != 0 && !registration->settling) {
        registration->settle_ms = 0;
        log_info("the webhook's registration is in force as it should be");
    }
    registration->complaint = xfree(registration->complaint);
    if (!streq(registration->authority, registration->sending)) {
        registration->since_ms = registration->written_ms;
        free(registration->authority);
        registration->authority = xstrdup(registration->sending);
        log_info("the webhook is registered");
    }
    registration->current = true;
}

/* About the document at index: GET, PATCH or DELETE. */
static void send_document(struct registration *registration, const char *method, struct json *body, kube_done *done)
{
    CLEANUP(json_free) struct json *owned = body;
    const struct json *document = json_at(registration->documents, registration->index);
    CLEANUP(xfree) char *path = kube_path("admissionregistration.k8s.io", "v1", NULL, plural_of(document),
                                          json_str(document, "metadata", "name", NULL), NULL);
    CLEANUP(xfree) char *whole = xasprintf("%s%s", path, body != NULL ? FIELD_MANAGER : "");
    const struct kube_request request = {
        .method = method, .path = whole, .body = body, .content_type = body != NULL ? KUBE_APPLY_PATCH : NULL};

    registration->call = kube_start(registration->client, &request, done, registration);
}

/*
 * For the first seconds of its life a registration ignores a webhook that cannot be reached: the proxies of the API servers'
 * hosts learn of a Service after we do, and nobody's pod shall be refused because of that.
 */
static void write_document(struct registration *registration, const char *authority)
{
    struct json *body = json_clone(json_at(registration->documents, registration->index));
    struct json *webhooks = json_edit_member(body, "webhooks");

    if (registration->index == 0) {
        registration->settling = loop_now_ms(registration->loop) < registration->settle_ms;
        registration->current = false;
        free(registration->sending);
        registration->sending = xstrdup(authority);
    }
    if (registration->settling)
        json_set_str(json_edit(body, "metadata", "annotations", NULL), REGISTRATION_SETTLING, "true");
    if (registration->expression != NULL && streq(json_str(body, "kind", NULL), "MutatingWebhookConfiguration")) {
        json_set_str(json_edit(body, "metadata", "annotations", NULL), REGISTRATION_NAMESPACES, registration->namespaces);
        narrow_apply(body, registration->expression);
    }
    for (size_t i = 0; i < json_len(webhooks); i++) {
        struct json *webhook = json_edit_at(webhooks, i);
        json_set_str(json_edit(webhook, "clientConfig", NULL), "caBundle", authority);
        if (registration->settling)
            json_set_str(webhook, "failurePolicy", "Ignore");
    }
    send_document(registration, "PATCH", body, on_registered);
}

static void on_secret_written(struct json **answer UNUSED, struct err *err, void *data)
{
    struct registration *registration = data;

    if (went_well(registration, err, "writing the Secret of its certificate"))
        loop_timer_set(registration->timer, TICK_MS); /* the watch brings what was written, and looks at once */
}

/* Goes with the ConfigMap: the API server collects what has no owner any more. */
static void write_secret(struct registration *registration, struct json *data)
{
    const struct json *config = config_of(registration);
    CLEANUP(json_free) struct json *body = json_build(
        "{s:s, s:s, s:{s:s, s:{s:s}, s:[{s:s, s:s, s:s, s:s}]}, s:s, s:o}", "apiVersion", "v1", "kind", "Secret",
        "metadata", "name", registration->secret_name, "labels", "app.kubernetes.io/part-of", "fks", "ownerReferences",
        "apiVersion", "v1", "kind", "ConfigMap", "name", registration->options.config_map, "uid",
        json_str(config, "metadata", "uid", NULL), "type", "kubernetes.io/tls", "data", data);
    CLEANUP(xfree) char *path = xasprintf(NAMESPACE_PATH "/secrets/%s" FIELD_MANAGER, registration->secret_name);
    const struct kube_request request = {
        .method = "PATCH", .path = path, .body = body, .content_type = KUBE_APPLY_PATCH};

    log_info("writing the webhook's certificate", "secret", registration->secret_name);
    registration->call = kube_start(registration->client, &request, on_secret_written, registration);
}

static void on_endpoints(struct json **answer, struct err *err, void *data)
{
    struct registration *registration = data;
    const struct json *slice, *endpoint;

    if (!went_well(registration, err, "looking for ready webhook pods"))
        return;
    json_each(slice, json_get(*answer, "items", NULL))
        json_each(endpoint, json_get(slice, "endpoints", NULL))
            if (json_is_true(endpoint, "conditions", "ready", NULL))
                registration->webhook_seen = true;
    if (registration->webhook_seen) {
        registration->settle_ms = loop_now_ms(registration->loop) + SETTLE_MS;
        return;
    }
    complain(registration, "no webhook pod is ready");
    loop_timer_set(registration->timer, TICK_MS / 2);
}

/* What a leader before us registered is left in force, whether webhook pods are ready at this moment or not. */
static void on_asked(struct json **answer, struct err *err, void *data)
{
    struct registration *registration = data;

    if (err->code == ERR_NOT_FOUND)
        err_clear(err);
    if (!went_well(registration, err, "reading it"))
        return;
    registration->asked = true;
    const char *bundle = json_str(json_at(json_get(*answer, "webhooks", NULL), 0), "clientConfig", "caBundle", NULL);
    free(registration->found);
    registration->found = bundle != NULL && *bundle != '\0' ? xstrdup(bundle) : NULL;
    registration->webhook_seen =
        *answer != NULL && json_get(*answer, "webhooks", NULL) != NULL &&
        json_get(*answer, "metadata", "annotations", REGISTRATION_SETTLING, NULL) == NULL;
}

static void look_for_webhook(struct registration *registration, const char *service)
{
    CLEANUP(buf_done) struct buf path = {0};
    CLEANUP(xfree) char *selector = xasprintf("kubernetes.io/service-name=%s", service);

    buf_add_str(&path, "/apis/discovery.k8s.io/v1/namespaces/" FKS_NAMESPACE "/endpointslices");
    kube_path_query(&path, "labelSelector", selector);
    const struct kube_request request = {.path = buf_text(&path)};
    registration->call = kube_start(registration->client, &request, on_endpoints, registration);
}

/* --- what is next */

/* Which namespaces the profiles are about now; true when that is something else than before. */
static bool narrow_again(struct registration *registration)
{
    CLEANUP(strv_done) struct strv patterns = {0};
    const struct json *profile;

    registration->profiles_changed = false;
    for (size_t i = 0; kube_watch_next(registration->profile_watch, &i, &profile);)
        narrow_add(&patterns, profile);
    narrow_tidy(&patterns);
    CLEANUP(xfree) char *namespaces = strv_join(&patterns, ",");
    if (streq(namespaces, registration->namespaces))
        return false;
    free(registration->namespaces);
    registration->namespaces = take(&namespaces);
    free(registration->expression);
    registration->expression = narrow_expression(&patterns);
    return true;
}

static void measure(struct registration *registration, const struct json *secret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t seconds;

    if (webhook_secret_expiry(secret, &seconds, &ignored) == 0)
        metric_set(metrics_get(registration->options.metrics, METRIC_GAUGE,
                               "fks_scheduler_webhook_certificate_expiry_timestamp_seconds",
                               "When the webhook's certificate expires", NULL),
                   (double)(clock_wall_ns() / 1000000000 + seconds));
}

/* Every API server has had time to read the registrations with this authority. */
static bool is_trusted(const struct registration *registration, const char *authority)
{
    return registration->current && streq(authority, registration->authority) &&
           loop_now_ms(registration->loop) - registration->since_ms >= TRUSTED_MS;
}

/*
 * The Secret is gone or damaged while webhook pods serve what was in it. True when its replacement is under way; before that
 * is trusted, it is what the registrations shall name.
 */
static bool replace_secret(struct registration *registration, const char *served, const char *dns_name)
{
    CLEANUP(err_clear) struct err err = {0};

    if (registration->replacement == NULL) {
        log_warn("the webhook's certificate is lost, making another", "secret", registration->secret_name);
        if (webhook_secret_replace(served, dns_name, &registration->replacement, &err) < 0)
            complain(registration, err_text(&err));
        registration->current = false;
        registration->index = 0;
    }
    if (!is_trusted(registration, json_str(registration->replacement, "ca.crt", NULL)))
        return false;
    write_secret(registration, json_clone(registration->replacement));
    return true;
}

/* True when a new Secret is under way. */
static bool keep_secret(struct registration *registration, const struct json *config, const struct json *secret)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *dns_name =
        xasprintf("%s." FKS_NAMESPACE ".svc", json_str_or("fks-webhook", config, "data", "service", NULL));
    const char *served = registration->authority != NULL ? registration->authority : registration->found;
    bool trusted = is_trusted(registration, json_str(secret, "data", "ca.crt", NULL));
    struct json *data = NULL;

    /* where no webhook pod ever was ready, none can be before there is a Secret */
    if (served != NULL && registration->webhook_seen && !webhook_secret_is_usable(secret))
        return replace_secret(registration, served, dns_name);
    registration->replacement = json_free(registration->replacement);
    if (webhook_secret_next(secret, dns_name, trusted, &data, &err) < 0)
        complain(registration, err_text(&err));
    if (data == NULL)
        return false;
    write_secret(registration, data);
    return true;
}

/*
 * What to register where somebody else writes the Secret. Its certificate and authority change at once, and webhook pods serve
 * what they have until their kubelets bring the next one: meanwhile the authorities of before are named, too.
 */
static const char *with_those_served(struct registration *registration, const char *authority)
{
    const char *before = registration->authority != NULL ? registration->authority : registration->found;

    if (authority == NULL)
        return NULL;
    if (!streq(authority, registration->newest)) {
        free(registration->newest);
        registration->newest = xstrdup(authority);
        free(registration->beside);
        registration->beside = before != NULL ? webhook_secret_beside(authority, before) : NULL;
        registration->beside_until_ms = loop_now_ms(registration->loop) + SERVED_MS;
    } else if (registration->beside != NULL && loop_now_ms(registration->loop) >= registration->beside_until_ms) {
        registration->beside = xfree(registration->beside);
        registration->current = false;
        registration->index = 0;
    }
    return registration->beside != NULL ? registration->beside : authority;
}

static const char *authority_to_register(struct registration *registration, bool ours, const struct json *secret)
{
    const char *authority = json_str(secret, "data", "ca.crt", NULL);

    if (!ours)
        return with_those_served(registration, authority);
    return registration->replacement != NULL ? json_str(registration->replacement, "ca.crt", NULL) : authority;
}

static void look(void *data)
{
    struct registration *registration = data;
    const struct json *config, *secret;

    if (registration->call != NULL)
        return; /* its end looks again */
    loop_timer_set(registration->timer, TICK_MS);
    if (!leader_is_leading(registration->options.leader) || !kube_watch_synced(registration->config_watch)) {
        registration->current = false;
        return;
    }
    if (registration->withdrawing) {
        send_document(registration, "DELETE", NULL, on_withdrawn);
        return;
    }
    if (!kube_watch_synced(registration->profile_watch))
        return;
    if (registration->profiles_changed && narrow_again(registration)) {
        registration->current = false;
        registration->index = 0;
    }
    config = config_of(registration);
    if (config == NULL || registration->documents == NULL || registration->secret_watch == NULL ||
        !kube_watch_synced(registration->secret_watch))
        return;
    secret = kube_watch_get(registration->secret_watch, FKS_NAMESPACE, registration->secret_name);
    measure(registration, secret);
    if (!registration->asked) {
        send_document(registration, "GET", NULL, on_asked);
        return;
    }
    bool ours = streq(json_str(config, "data", "certificates", NULL), "self");
    if (ours && keep_secret(registration, config, secret))
        return;
    const char *authority = authority_to_register(registration, ours, secret);
    if (authority == NULL)
        complain(registration, "the Secret of its certificate is not there, or has no ca.crt");
    else if (!registration->webhook_seen)
        look_for_webhook(registration, json_str_or("fks-webhook", config, "data", "service", NULL));
    else if (!registration->current || loop_now_ms(registration->loop) - registration->written_ms > AGAIN_MS ||
             (registration->settling && loop_now_ms(registration->loop) >= registration->settle_ms))
        write_document(registration, authority);
}

struct registration *registration_new(struct loop *loop, struct kube_client *client,
                                      const struct registration_options *options)
{
    struct registration *registration = NEW(struct registration);

    registration->loop = loop;
    registration->client = client;
    registration->options = *options;
    const struct kube_watch_options profiles = {
        .path = FKS_PROFILES_PATH, .omit = watches_omit_of_others, .on_change = on_profile_change, .on_synced = on_synced,
        .on_error = on_error, .data = registration};
    registration->timer = loop_timer_new(loop, look, registration);
    registration->profiles_changed = true;
    registration->profile_watch = kube_watch_new(client, &profiles);
    registration->config_watch =
        watch(registration, NAMESPACE_PATH "/configmaps", options->config_map, on_config_change);
    return registration;
}

struct registration *registration_free(struct registration *registration)
{
    if (registration == NULL)
        return NULL;
    kube_cancel(registration->call);
    kube_watch_free(registration->config_watch);
    kube_watch_free(registration->secret_watch);
    kube_watch_free(registration->profile_watch);
    loop_timer_free(registration->timer);
    json_free(registration->documents);
    free(registration->secret_name);
    json_free(registration->replacement);
    free(registration->found);
    free(registration->authority);
    free(registration->sending);
    free(registration->newest);
    free(registration->beside);
    free(registration->expression);
    free(registration->namespaces);
    free(registration->complaint);
    free(registration);
    return NULL;
}
