/* webhook_probe.c: see webhook_probe.h. */
#include "cluster/webhook_probe.h"

#include "base/mem.h"
#include "cluster/credentials.h"
#include "fargate/names.h"
#include "install/wait.h"

struct probe {
    struct http_client *client;
    const char *url;
    const char *body; /* an AdmissionReview, or NULL for a GET */
};

static int probe_answers(void *data, struct err *err)
{
    const struct probe *probe = data;
    const struct http_header json_header = {"Content-Type", "application/json"};
    const struct http_request request = {
        .method = probe->body != NULL ? "POST" : "GET",
        .url = probe->url,
        .headers = &json_header,
        .n_headers = probe->body != NULL ? 1 : 0,
        .body = probe->body,
        .body_len = probe->body != NULL ? strlen(probe->body) : 0,
        .timeout_ms = 2000,
    };
    CLEANUP(http_response_done) struct http_response response = {0};
    int r = http_perform(probe->client, &request, NULL, NULL, &response, err);
    if (r < 0)
        return r;
    if (response.status != 200)
        return err_set(err, ERR_BUSY, "it answers %d: %s", response.status, buf_text(&response.body));
    if (probe->body == NULL)
        return 1;
    CLEANUP(json_free) struct json *review = NULL;
    if ((r = json_parse(buf_text(&response.body), response.body.len, &review, err)) < 0)
        return r;
    return json_str(review, "response", "patch", NULL) != NULL ? 1 : 0;
}

static int probe_until(const struct cluster *cluster, const char *what, const char *path, const char *body,
                       int64_t timeout_ms, struct err *err)
{
    CLEANUP(xfree) char *ca = NULL;
    CLEANUP(xfree) char *url = xasprintf("https://127.0.0.1:%d%s", cluster->webhook_port, path);
    CLEANUP(http_client_free) struct http_client *client = NULL;
    int r = credentials_ca(cluster, &ca, err);
    if (r < 0)
        return r;
    const struct http_client_options options = {.tls = {.ca_pem = ca}, .proxy = ""};
    if ((r = http_client_new(NULL, &options, &client, err)) < 0)
        return r;
    struct probe probe = {client, url, body};
    return wait_until(what, timeout_ms, probe_answers, &probe, err);
}

int webhook_probe_ready(const struct cluster *cluster, int64_t timeout_ms, struct err *err)
{
    return probe_until(cluster, "fks-webhook (log: logs/fks-webhook.log)", "/readyz", NULL, timeout_ms, err);
}

/* A text that a glob matches: * as nothing, ? as one letter; "x" for a pattern of stars alone. */
static char *fitting(const char *pattern)
{
    CLEANUP(buf_done) struct buf text = {0};
    for (; *pattern != '\0'; pattern++)
        if (*pattern != '*')
            buf_add_char(&text, *pattern == '?' ? 'x' : *pattern);
    return text.len > 0 ? buf_take(&text) : xstrdup("x");
}

int webhook_probe_profile(const struct cluster *cluster, const struct json *profile, int64_t timeout_ms, struct err *err)
{
    const char *name = json_str_or("", profile, "metadata", "name", NULL);
    const struct json *selector = json_at(json_get(profile, "spec", "selectors", NULL), 0);
    CLEANUP(xfree) char *namespace = fitting(json_str_or("", selector, "namespace", NULL));
    struct json *labels = json_build("{s:s}", FARGATE_PROFILE_LABEL, name);
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(json_get(selector, "labels", NULL), &position, &key, &value)) {
        CLEANUP(xfree) char *fitting_key = fitting(key);
        CLEANUP(xfree) char *fitting_value = fitting(strempty(json_string_value(value)));
        json_set_str(labels, fitting_key, fitting_value);
    }
    CLEANUP(json_free) struct json *review = json_build(
        "{s:s, s:s, s:{s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:s, s:s, s:{s:s}, s:{s:s, s:s, s:{s:s, s:o}, s:{s:[]}}}}",
        "apiVersion", "admission.k8s.io/v1", "kind", "AdmissionReview", "request", "uid", "fks-probe", "kind", "group", "",
        "version", "v1", "kind", "Pod", "resource", "group", "", "version", "v1", "resource", "pods", "operation", "CREATE",
        "namespace", namespace, "userInfo", "username", "fks", "object", "apiVersion", "v1", "kind", "Pod", "metadata",
        "name", "probe", "labels", labels, "spec", "containers");
    CLEANUP(buf_done) struct buf body = {0};
    json_print(review, &body);
    CLEANUP(xfree) char *what = xasprintf("Fargate profile '%s' to be in force in fks-webhook", name);
    return probe_until(cluster, what, "/mutate", buf_text(&body), timeout_ms, err);
}
