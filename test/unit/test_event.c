/* event.h: what is written, and that equal events are counted instead. */
#include "kube/event.h"

#include "fake_api.h"

struct seen {
    int posts, patches;
    struct json *last;
    char *last_path;
    int status; /* to answer with */
};

static void on_request(struct server_request *request, void *data)
{
    struct seen *seen = ((struct fake_api *)data)->data;
    const struct http1_request *head = server_request_head(request);
    struct str body = server_request_body(request);
    CLEANUP(err_clear) struct err err = {0};
    seen->posts += str_is(head->method, "POST");
    seen->patches += str_is(head->method, "PATCH");
    json_free(seen->last);
    seen->last = NULL;
    assert_int_equal(json_parse(body.p, body.len, &seen->last, &err), 0);
    free(seen->last_path);
    seen->last_path = xstrndup(head->path.p, head->path.len);
    server_respond_text(request, seen->status, "{}");
}

static int setup(void **state)
{
    struct fake_api *api = fake_api_new(on_request);
    struct seen *seen = NEW(struct seen);
    seen->status = 201;
    api->data = seen;
    *state = api;
    return 0;
}

static int teardown(void **state)
{
    struct fake_api *api = *state;
    struct seen *seen = api->data;
    json_free(seen->last);
    free(seen->last_path);
    free(seen);
    fake_api_free(api);
    return 0;
}

static struct json *pod(void)
{
    return json_build("{s:{s:s, s:s, s:s}}", "metadata", "name", "web", "namespace", "apps", "uid", "u1");
}

static void test_event__fields(void **state)
{
    struct fake_api *api = *state;
    struct seen *seen = api->data;
    CLEANUP(json_free) struct json *object = pod();
    CLEANUP(kube_events_free) struct kube_events *events = kube_events_new(api->client, "kubelet");
    kube_event(events, object, "node-1", "Warning", "Failed", "exit %d", 3);
    fake_api_turn(api, 10, 10);
    assert_int_equal(seen->posts, 1);
    assert_string_equal(seen->last_path, "/api/v1/namespaces/apps/events");
    assert_string_equal(json_str(seen->last, "involvedObject", "kind", NULL), "Pod");
    assert_string_equal(json_str(seen->last, "involvedObject", "uid", NULL), "u1");
    assert_string_equal(json_str(seen->last, "type", NULL), "Warning");
    assert_string_equal(json_str(seen->last, "reason", NULL), "Failed");
    assert_string_equal(json_str(seen->last, "message", NULL), "exit 3");
    assert_string_equal(json_str(seen->last, "source", "component", NULL), "kubelet");
    assert_string_equal(json_str(seen->last, "source", "host", NULL), "node-1");
    assert_true(starts_with(json_str(seen->last, "metadata", "name", NULL), "web."));
    assert_int_equal(json_int_or(0, seen->last, "count", NULL), 1);
    assert_null(json_get(seen->last, "involvedObject", "fieldPath", NULL));

    kube_event_of(events, object, "spec.containers{main}", "node-1", "Warning", "Failed", "exit 3");
    fake_api_turn(api, 10, 10);
    assert_int_equal(seen->posts, 2); /* another part of the pod is another object */
    assert_string_equal(json_str(seen->last, "involvedObject", "fieldPath", NULL), "spec.containers{main}");
}

static void test_event__equal_ones_are_counted(void **state)
{
    struct fake_api *api = *state;
    struct seen *seen = api->data;
    CLEANUP(json_free) struct json *object = pod();
    CLEANUP(kube_events_free) struct kube_events *events = kube_events_new(api->client, "kubelet");
    for (int i = 0; i < 3; i++) /* the last two while the first is under way */
        kube_event(events, object, NULL, "Normal", "Pulled", "image");
    fake_api_turn(api, 20, 10);
    assert_int_equal(seen->posts, 1);
    assert_int_equal(seen->patches, 1);
    assert_int_equal(json_int_or(0, seen->last, "count", NULL), 3);
    kube_event(events, object, NULL, "Normal", "Pulled", "other image");
    fake_api_turn(api, 10, 10);
    assert_int_equal(seen->posts, 2);
}

static void test_event__refused_is_forgotten(void **state)
{
    struct fake_api *api = *state;
    struct seen *seen = api->data;
    CLEANUP(json_free) struct json *object = pod();
    CLEANUP(kube_events_free) struct kube_events *events = kube_events_new(api->client, "kubelet");
    seen->status = 403;
    kube_event(events, object, NULL, "Normal", "Pulled", "image");
    fake_api_turn(api, 10, 10);
    kube_event(events, object, NULL, "Normal", "Pulled", "image");
    fake_api_turn(api, 10, 10);
    assert_int_equal(seen->posts, 2);
    assert_int_equal(seen->patches, 0);
}

static void test_free__with_calls_under_way(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(json_free) struct json *object = pod();
    struct kube_events *events = kube_events_new(api->client, "kubelet");
    for (int i = 0; i < 200; i++)
        kube_event(events, object, NULL, "Normal", "Pulled", "image %d", i);
    kube_events_free(events);
    fake_api_turn(api, 5, 10);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_event__fields),
        CASE(test_event__equal_ones_are_counted),
        CASE(test_event__refused_is_forgotten),
        CASE(test_free__with_calls_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
