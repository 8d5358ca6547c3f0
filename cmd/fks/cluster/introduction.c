/* introduction.c: see introduction.h. */
#include "cluster/introduction.h"

#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"

#define POLL_MS 50
#define GIVE_UP_MS 40000
#define RETRY_MS 1000

struct introduction {
    struct loop *loop;
    struct kube_client *client;
    struct http_client *http;
    char *name, *health_url;
    loop_callback *ready;
    void *data;
    int64_t started_ms;
    struct loop_timer *timer;
    struct kube_call *call;
    struct http_call *health;
};

static void on_deleted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct introduction *introduction = data;
    introduction->call = NULL;
    if (err->code != 0 && err->code != ERR_NOT_FOUND)
        loop_timer_set(introduction->timer, RETRY_MS); /* the API server may be away: the Node must go all the same */
}

static void delete_node(struct introduction *introduction)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", NULL, "nodes", introduction->name, NULL);
    const struct kube_request request = {.method = "DELETE", .path = path};
    introduction->call = kube_start(introduction->client, &request, on_deleted, introduction);
}

static bool is_over(const struct introduction *introduction)
{
    return loop_now_ms(introduction->loop) - introduction->started_ms > GIVE_UP_MS;
}

static void on_health(struct http_response *response, struct err *err UNUSED, void *data)
{
    struct introduction *introduction = data;
    introduction->health = NULL;
    if (response->status == 0 && !is_over(introduction)) {
        loop_timer_set(introduction->timer, POLL_MS);
        return;
    }
    /* from here on the timer repeats the deletion only */
    introduction->health_url = xfree(introduction->health_url);
    delete_node(introduction);
}

static void on_timer(void *data)
{
    struct introduction *introduction = data;
    if (introduction->health_url == NULL) {
        delete_node(introduction);
        return;
    }
    const struct http_request request = {.method = "GET", .url = introduction->health_url, .timeout_ms = 1000};
    introduction->health = http_start(introduction->http, &request, NULL, on_health, introduction);
}

static void on_created(struct json **answer UNUSED, struct err *err, void *data)
{
    struct introduction *introduction = data;
    introduction->call = NULL;
    if (err->code != 0 && err->code != ERR_EXISTS)
        log_warn("cannot introduce the host, kube-proxy will take 30 s", "host", introduction->name, "error", err_text(err));
    loop_timer_set(introduction->timer, POLL_MS);
    introduction->ready(introduction->data);
}

struct introduction *introduction_new(struct loop *loop, struct kube_client *client, const char *name, const char *address,
                                      const char *health_url, loop_callback *ready, void *data)
{
    struct introduction *introduction = NEW(struct introduction);
    const struct http_client_options options = {.proxy = "", .connect_timeout_ms = 1000};
    CLEANUP(err_clear) struct err err = {0};
    introduction->loop = loop;
    introduction->client = client;
    introduction->name = xstrdup(name);
    introduction->health_url = xstrdup(health_url);
    introduction->ready = ready;
    introduction->data = data;
    introduction->started_ms = loop_now_ms(loop);
    introduction->timer = loop_timer_new(loop, on_timer, introduction);
    if (http_client_new(loop, &options, &introduction->http, &err) < 0)
        log_warn("cannot ask kube-proxy for its health", "error", err_text(&err));
    CLEANUP(json_free) struct json *node = json_build(
        "{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:b, s:[{s:s, s:s, s:s}]}, s:{s:[{s:s, s:s}]}}", "apiVersion", "v1", "kind", "Node",
        "metadata", "name", name, "labels", "node.kubernetes.io/exclude-from-external-load-balancers", "true", "spec",
        "unschedulable", 1, "taints", "key", FARGATE_COMPUTE_TYPE, "value", FARGATE_COMPUTE_FARGATE, "effect", "NoExecute",
        "status", "addresses", "type", "InternalIP", "address", address);
    const struct kube_request request = {.method = "POST", .path = "/api/v1/nodes", .body = node};
    introduction->call = kube_start(client, &request, on_created, introduction);
    return introduction;
}

struct introduction *introduction_free(struct introduction *introduction)
{
    if (introduction == NULL)
        return NULL;
    kube_cancel(introduction->call);
    if (introduction->health != NULL)
        http_cancel(introduction->health);
    http_client_free(introduction->http);
    loop_timer_free(introduction->timer);
    free(introduction->name);
    free(introduction->health_url);
    free(introduction);
    return NULL;
}
