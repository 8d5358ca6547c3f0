/* client.h against a fake API server. */
#include "kube/client.h"

#include "fake_api.h"

static void on_request(struct server_request *request, void *data)
{
    struct fake_api *api = data;
    const struct http1_request *head = server_request_head(request);
    api->requests++;
    if (server_request_is(request, "GET", "/api/v1/nodes/gone"))
        server_respond_text(request, 404, "{\"kind\":\"Status\",\"message\":\"nodes \\\"gone\\\" not found\","
                                          "\"reason\":\"NotFound\",\"code\":404}");
    else if (server_request_is(request, "GET", "/apis/foo/v1/bars"))
        server_respond_text(request, 404, "404 page not found\n");
    else if (server_request_is(request, "GET", "/broken"))
        server_respond_text(request, 500, "oops");
    else if (server_request_is(request, "GET", "/text"))
        server_respond_text(request, 200, "plain");
    else if (server_request_is(request, "GET", "/log")) {
        server_stream_begin(request, 200, "text/plain");
        server_stream_write(request, "line\n", 5);
        server_stream_end(request);
    } else if (str_is(head->method, "GET") && str_is(head->path, "/headers"))
        server_respond_text(request, 200, "{\"auth\":\"%.*s\",\"as\":\"%.*s\",\"group\":\"%.*s\",\"query\":\"%.*s\"}",
                            (int)http1_header(head, "authorization").len, strempty(http1_header(head, "authorization").p),
                            (int)http1_header(head, "impersonate-user").len, strempty(http1_header(head, "impersonate-user").p),
                            (int)http1_header(head, "impersonate-group").len,
                            strempty(http1_header(head, "impersonate-group").p), (int)head->query.len, head->query.p);
    else if (str_is(head->method, "PATCH"))
        server_respond_text(request, 200, "{\"type\":\"%.*s\",\"body\":%.*s}", (int)http1_header(head, "content-type").len,
                            http1_header(head, "content-type").p, (int)server_request_body(request).len,
                            server_request_body(request).p);
    else if (server_request_is(request, "GET", "/a") || server_request_is(request, "GET", "/b"))
        server_respond_text(request, 200, "{\"path\":\"%.*s\"}", (int)head->path.len, head->path.p);
    else if (server_request_is(request, "DELETE", "/nothing"))
        server_respond(request, 200, KUBE_JSON, "", 0);
}

static int setup(void **state)
{
    *state = fake_api_new(on_request);
    return 0;
}

static int teardown(void **state)
{
    fake_api_free(*state);
    return 0;
}

static int get(struct fake_api *api, const char *path, struct json **ret, struct err *err)
{
    return kube_do(api->client, &(struct kube_request){.path = path, .timeout_ms = 5000}, ret, err);
}

static void test_do__status_becomes_error(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *answer = NULL;
    assert_int_equal(get(*state, "/api/v1/nodes/gone", &answer, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "nodes \"gone\" not found");
    assert_string_equal(err.reason, "NotFound");
    assert_int_equal(err.http_status, 404);
    assert_string_equal(json_str(answer, "kind", NULL), "Status");
}

static void test_do__texts_without_status(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(get(*state, "/apis/foo/v1/bars", NULL, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "the server could not find the requested resource (get bars.foo)");
    err_clear(&err);
    assert_int_equal(get(*state, "/broken", NULL, &err), ERR_INTERNAL);
    assert_string_equal(err_text(&err), "an error on the server (\"oops\") has prevented the request from succeeding");
}

static void test_do_all(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    struct json *answers[2] = {NULL};
    const struct kube_request good[] = {{.path = "/a"}, {.path = "/b"}}, bad[] = {{.path = "/a"}, {.path = "/api/v1/nodes/gone"}};
    assert_int_equal(kube_do_all(api->client, good, 2, NULL, NULL, answers, &err), 0);
    assert_string_equal(json_str(answers[0], "path", NULL), "/a");
    assert_string_equal(json_str(answers[1], "path", NULL), "/b");
    json_free(answers[0]);
    json_free(answers[1]);
    assert_int_equal(kube_do_all(api->client, bad, 2, NULL, NULL, answers, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "nodes \"gone\" not found");
    assert_null(answers[0]);
    assert_null(answers[1]);
}

static void test_do__no_json(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(get(*state, "/text", NULL, &err), ERR_PARSE);
}

static void test_do__empty_answer(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    struct json *answer = NULL;
    assert_int_equal(kube_do(api->client, &(struct kube_request){.method = "DELETE", .path = "/nothing"}, &answer, &err), 0);
    assert_null(answer);
}

static void test_do__patch(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    CLEANUP(json_free) struct json *body = json_build("{s:i}", "a", 1), *answer = NULL;
    struct kube_request request = {.method = "PATCH", .path = "/x", .body = body, .content_type = KUBE_MERGE_PATCH};
    assert_int_equal(kube_do(api->client, &request, &answer, &err), 0);
    assert_string_equal(json_str(answer, "type", NULL), KUBE_MERGE_PATCH);
    assert_int_equal(json_int_or(0, answer, "body", "a", NULL), 1);
}

static void test_do__refused(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    api->server = server_free(api->server);
    assert_int_equal(get(api, "/x", NULL, &err), ERR_REFUSED);
    assert_int_equal(err.http_status, 0);
}

static void test_do__timeout(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    struct kube_request request = {.path = "/never", .timeout_ms = 50};
    assert_int_equal(kube_do(api->client, &request, NULL, &err), ERR_TIMEOUT);
}

static void test_do__identity(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    CLEANUP(json_free) struct json *answer = NULL;
    api->client = kube_client_free(api->client);
    api->config.token = xstrdup("t0k3n");
    api->config.as = xstrdup("jane");
    strv_add(&api->config.as_groups, "dev");
    assert_int_equal(kube_client_new(api->loop, &api->config, "test/1", &api->client, &err), 0);
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, "/headers");
    kube_path_query(&path, "labelSelector", "a=b,c");
    kube_path_query(&path, "limit", "5");
    assert_int_equal(get(api, buf_text(&path), &answer, &err), 0);
    assert_string_equal(json_str(answer, "auth", NULL), "Bearer t0k3n");
    assert_string_equal(json_str(answer, "as", NULL), "jane");
    assert_string_equal(json_str(answer, "group", NULL), "dev");
    assert_string_equal(json_str(answer, "query", NULL), "labelSelector=a%3Db%2Cc&limit=5");
}

static void test_do__basic(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    CLEANUP(json_free) struct json *answer = NULL;
    api->client = kube_client_free(api->client);
    api->config.username = xstrdup("a");
    api->config.password = xstrdup("b");
    assert_int_equal(kube_client_new(api->loop, &api->config, "test/1", &api->client, &err), 0);
    assert_int_equal(get(api, "/headers", &answer, &err), 0);
    assert_string_equal(json_str(answer, "auth", NULL), "Basic YTpi");
}

static void test_do_raw__collects_and_refuses(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf body = {0};
    assert_int_equal(kube_do_raw(api->client, &(struct kube_request){.path = "/text"}, NULL, NULL, &body, &err), 0);
    assert_string_equal(buf_text(&body), "plain");
    assert_int_equal(kube_do_raw(api->client, &(struct kube_request){.path = "/api/v1/nodes/gone"}, NULL, NULL, NULL, &err),
                     ERR_NOT_FOUND);
}

static bool on_chunk(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    assert_int_equal(response->status, 200);
    return buf_add(data, bytes, len);
}

static void test_do_raw__streams(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    CLEANUP(buf_done) struct buf body = {0};
    assert_int_equal(kube_do_raw(api->client, &(struct kube_request){.path = "/log"}, on_chunk, &body, NULL, &err), 0);
    assert_string_equal(buf_text(&body), "line\n");
}

static void on_done_free_client(struct json **answer, struct err *err, void *data)
{
    struct fake_api *api = data;
    (void)answer;
    assert_int_equal(err->code, ERR_NOT_FOUND);
    api->client = kube_client_free(api->client);
}

static void test_start__client_freed_in_done(void **state)
{
    struct fake_api *api = *state;
    kube_start(api->client, &(struct kube_request){.path = "/never"}, on_done_free_client, api);
    kube_start(api->client, &(struct kube_request){.path = "/api/v1/nodes/gone"}, on_done_free_client, api);
    fake_api_turn(api, 10, 20);
    assert_null(api->client);
}

static void test_cancel(void **state)
{
    struct fake_api *api = *state;
    kube_cancel(NULL);
    kube_cancel(kube_start(api->client, &(struct kube_request){.path = "/text"}, on_done_free_client, api));
    fake_api_turn(api, 5, 10);
    assert_non_null(api->client);
}

static void test_path(void **state)
{
    (void)state;
    CLEANUP(xfree) char *a = kube_path("apps", "v1", "default", "deployments", "web", "scale");
    CLEANUP(xfree) char *b = kube_path("", "v1", NULL, "nodes", "a b", NULL);
    CLEANUP(xfree) char *c = kube_path("", "v1", "n", "pods", "p", "proxy/x/y");
    assert_string_equal(a, "/apis/apps/v1/namespaces/default/deployments/web/scale");
    assert_string_equal(b, "/api/v1/nodes/a%20b");
    assert_string_equal(c, "/api/v1/namespaces/n/pods/p/proxy/x/y");
}

static void test_status_error__codes(void **state)
{
    static const struct {
        const char *reason;
        int http_status, code;
    } cases[] = {
        {"AlreadyExists", 409, ERR_EXISTS}, {"Conflict", 409, ERR_CONFLICT},     {"Expired", 410, ERR_GONE},
        {"Forbidden", 403, ERR_FORBIDDEN},  {"Unauthorized", 401, ERR_UNAUTHORIZED}, {"Invalid", 422, ERR_INVALID},
        {"BadRequest", 400, ERR_INVALID},   {"TooManyRequests", 429, ERR_BUSY},  {NULL, 503, ERR_BUSY},
        {"Timeout", 504, ERR_TIMEOUT},      {"MethodNotAllowed", 405, ERR_UNSUPPORTED}, {NULL, 500, ERR_INTERNAL},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(json_free) struct json *status = json_build("{s:s*, s:s}", "reason", cases[i].reason, "message", "m");
        assert_int_equal(kube_status_error(status, cases[i].http_status, &err), cases[i].code);
        assert_string_equal(err_text(&err), "m");
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_do__status_becomes_error),
        CASE(test_do__texts_without_status),
        CASE(test_do_all),
        CASE(test_do__no_json),
        CASE(test_do__empty_answer),
        CASE(test_do__patch),
        CASE(test_do__refused),
        CASE(test_do__timeout),
        CASE(test_do__identity),
        CASE(test_do__basic),
        CASE(test_do_raw__collects_and_refuses),
        CASE(test_do_raw__streams),
        CASE(test_start__client_freed_in_done),
        CASE(test_cancel),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_status_error__codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
