/*
 * leader.c: the leader Lease. Every renewal carries the resourceVersion last seen, so of two that grab at a time one is
 * refused. Clocks are never compared between machines: a follower counts from the moment it saw the Lease change.
 */
#include "leader.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"

#define LOOK_MS 1000
#define RETRY_MS 500
#define RESIGN_MS 1000
#define LEASES_PATH "/apis/coordination.k8s.io/v1/namespaces/" FKS_NAMESPACE "/leases"

struct leader {
    struct loop *loop;
    struct kube_client *client;
    char *identity;
    void (*on_change)(void *data);
    void *data;
    struct loop_timer *timer;
    struct kube_call *call;
    int64_t sent_ms;         /* when the call under way began */
    int64_t until_ms;        /* leading until then; 0: not */
    int64_t heard_ms;        /* last answer of the API server; 0: none */
    bool told;               /* the state that on_change has told */
    struct json *lease;      /* as last seen, or NULL */
    char *renew_time;        /* of it */
    int64_t changed_ms;      /* when that was first seen */
    void (*done)(void *data); /* of leader_resign */
    void *done_data;
};

static void look(void *data);

bool leader_is_leading(const struct leader *leader)
{
    return leader->identity == NULL || clock_monotonic_ms() < leader->until_ms;
}

int64_t leader_silence_ms(const struct leader *leader)
{
    return leader->heard_ms == 0 ? INT64_MAX : clock_monotonic_ms() - leader->heard_ms;
}

static void tell(struct leader *leader)
{
    bool leading = leader_is_leading(leader);

    if (leading == leader->told)
        return;
    leader->told = leading;
    leader->on_change(leader->data);
}

/* An answer of any kind but a broken connection or an overloaded server. */
static void hear(struct leader *leader, const struct err *err)
{
    leader->call = NULL;
    if (err->code == 0 || (err->http_status > 0 && err->http_status < 500 && err->http_status != 429))
        leader->heard_ms = clock_monotonic_ms();
}

static void remember(struct leader *leader, struct json **answer)
{
    const char *renew_time = json_str_or("", *answer, "spec", "renewTime", NULL);

    if (!streq(renew_time, leader->renew_time)) {
        free(leader->renew_time);
        leader->renew_time = xstrdup(renew_time);
        leader->changed_ms = clock_monotonic_ms();
    }
    json_free(leader->lease);
    leader->lease = take(answer);
}

static bool is_free(const struct leader *leader)
{
    const char *holder = json_str_or("", leader->lease, "spec", "holderIdentity", NULL);
    int64_t duration_ms = json_int_or(LEADER_LEASE_MS / 1000, leader->lease, "spec", "leaseDurationSeconds", NULL) * 1000;

    return *holder == '\0' || streq(holder, leader->identity) ||
           clock_monotonic_ms() - leader->changed_ms > duration_ms;
}

/* The Lease as it should be next; holder "" gives it up. */
static struct json *next_lease(const struct leader *leader, const char *holder)
{
    const struct json *spec = json_get(leader->lease, "spec", NULL);
    bool same = streq(json_str(spec, "holderIdentity", NULL), holder);
    int64_t transitions = json_int_or(0, spec, "leaseTransitions", NULL);
    char now[CLOCK_TEXT_MAX];

    clock_rfc3339_micro(clock_wall_ns(), now);
    return json_build("{s:s, s:s, s:{s:s, s:s, s:s*}, s:{s:s, s:i, s:s, s:s, s:I}}", "apiVersion",
                      "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", LEADER_LEASE_NAME, "namespace",
                      FKS_NAMESPACE, "resourceVersion", json_str(leader->lease, "metadata", "resourceVersion", NULL),
                      "spec", "holderIdentity", holder, "leaseDurationSeconds",
                      *holder != '\0' ? LEADER_LEASE_MS / 1000 : 1, "acquireTime",
                      same ? json_str_or(now, spec, "acquireTime", NULL) : now, "renewTime", now, "leaseTransitions",
                      (long long)(transitions + (same || leader->lease == NULL ? 0 : 1)));
}

static void on_held(struct json **answer, struct err *err, void *data)
{
    struct leader *leader = data;

    hear(leader, err);
    if (err->code == 0) {
        remember(leader, answer);
        leader->until_ms = leader->sent_ms + LEADER_DEADLINE_MS;
        tell(leader);
        loop_timer_set(leader->timer, LEADER_RENEW_MS);
        return;
    }
    if (err->code == ERR_CONFLICT || err->code == ERR_EXISTS || err->code == ERR_NOT_FOUND)
        leader->lease = json_free(leader->lease); /* somebody else was there: look again */
    else
        log_warn("the leader Lease could not be renewed; trying again", "error", err_text(err));
    loop_timer_set(leader->timer, err->code == ERR_CONFLICT ? 0 : RETRY_MS);
}

static void send_lease(struct leader *leader, const char *holder, kube_done *done)
{
    CLEANUP(json_free) struct json *body = next_lease(leader, holder);
    bool exists = leader->lease != NULL;
    const struct kube_request request = {.method = exists ? "PUT" : "POST",
                                         .path = exists ? LEASES_PATH "/" LEADER_LEASE_NAME : LEASES_PATH,
                                         .body = body, .timeout_ms = LEADER_DEADLINE_MS / 2};

    leader->sent_ms = clock_monotonic_ms();
    leader->call = kube_start(leader->client, &request, done, leader);
}

static void on_looked(struct json **answer, struct err *err, void *data)
{
    struct leader *leader = data;

    hear(leader, err);
    if (leader->identity == NULL) { /* only whether there is an API server was asked */
        loop_timer_set(leader->timer, LEADER_RENEW_MS);
        return;
    }
    if (err->code == 0) {
        remember(leader, answer);
    } else if (err->code != ERR_NOT_FOUND) {
        log_warn("the leader Lease could not be read; trying again", "error", err_text(err));
        loop_timer_set(leader->timer, LOOK_MS);
        return;
    } else {
        leader->lease = json_free(leader->lease);
    }
    if (err->code == ERR_NOT_FOUND || is_free(leader))
        send_lease(leader, leader->identity, on_held);
    else
        loop_timer_set(leader->timer, LOOK_MS);
}

/* Renews what is held without looking; else looks. */
static void look(void *data)
{
    struct leader *leader = data;
    static const struct kube_request request = {.path = LEASES_PATH "/" LEADER_LEASE_NAME,
                                                .timeout_ms = LEADER_DEADLINE_MS / 2};

    tell(leader); /* the deadline may have passed */
    if (leader->call != NULL || leader->done != NULL)
        return;
    if (leader->identity != NULL && leader->lease != NULL &&
        streq(json_str(leader->lease, "spec", "holderIdentity", NULL), leader->identity) &&
        leader->until_ms > 0)
        send_lease(leader, leader->identity, on_held);
    else
        leader->call = kube_start(leader->client, &request, on_looked, leader);
}

struct leader *leader_new(struct loop *loop, struct kube_client *client, const char *identity,
                          void (*on_change)(void *data), void *data)
{
    struct leader *leader = NEW(struct leader);

    leader->loop = loop;
    leader->client = client;
    leader->identity = identity != NULL ? xstrdup(identity) : NULL;
    leader->on_change = on_change;
    leader->data = data;
    leader->timer = loop_timer_new(loop, look, leader);
    loop_timer_set(leader->timer, 0);
    return leader;
}

struct leader *leader_free(struct leader *leader)
{
    if (leader == NULL)
        return NULL;
    kube_cancel(leader->call);
    (void)loop_timer_free(leader->timer);
    json_free(leader->lease);
    free(leader->renew_time);
    free(leader->identity);
    free(leader);
    return NULL;
}

static void resigned(void *data)
{
    struct leader *leader = data;

    leader->done(leader->done_data);
}

static void on_resigned(struct json **answer UNUSED, struct err *err UNUSED, void *data)
{
    struct leader *leader = data;

    leader->call = NULL;
    loop_timer_set(leader->timer, 0);
}

void leader_resign(struct leader *leader, void (*done)(void *data), void *data)
{
    bool holds = leader->identity != NULL && leader_is_leading(leader) && leader->lease != NULL;

    if (leader->done != NULL)
        return;
    leader->done = done;
    leader->done_data = data;
    leader->until_ms = 0;
    tell(leader);
    leader->call = (kube_cancel(leader->call), NULL);
    (void)loop_timer_free(leader->timer);
    leader->timer = loop_timer_new(leader->loop, resigned, leader);
    loop_timer_set(leader->timer, holds ? RESIGN_MS : 0);
    if (holds)
        send_lease(leader, "", on_resigned);
}
