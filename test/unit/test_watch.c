/* watch.h against a fake API server that plays one list and one stream after the other. */
#include "kube/watch.h"

#include "fake_api.h"

#define OBJECT(name, uid, version)                                                                                     \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"" uid "\",\"resourceVersion\":\"" version "\"}}"
#define LIST(version, items)                                                                                           \
    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

struct script {
    const char *lists[4];   /* answers to lists, in order; the last is repeated */
    const char *streams[4]; /* what watches send; NULL: nothing */
    int list, stream;
    struct server_request *open; /* the watch under way */
    char *last_query;
    struct kube_watch *watch;
    struct strv changes; /* "+a", "~a", "-a" */
    int synced, errors;
    bool free_on_change;
};

static void on_request(struct server_request *request, void *data)
{
    struct fake_api *api = data;
    struct script *script = api->data;
    struct str query = server_request_head(request)->query;
    CLEANUP(xfree) char *watching = http1_query(query, "watch", 0);
    if (watching == NULL) {
        const char *list = script->lists[script->list];
        if (script->lists[script->list + 1] != NULL)
            script->list++;
        server_respond(request, 200, "application/json", list, strlen(list));
        return;
    }
    free(script->last_query);
    script->last_query = xstrndup(query.p, query.len);
    server_stream_begin(request, 200, "application/json");
    const char *stream = script->streams[script->stream] != NULL ? script->streams[script->stream++] : "";
    for (const char *c = stream; *c != '\0'; c++) /* byte by byte: lines are cut anywhere */
        server_stream_write(request, c, 1);
    script->open = request;
}

static void on_change(const struct json *old, const struct json *new, void *data)
{
    struct script *script = data;
    assert_string_equal(json_str_or("Pod", new, "kind", NULL), "Pod");
    strv_addf(&script->changes, "%c%s", old == NULL ? '+' : new == NULL ? '-' : '~',
              json_str(new != NULL ? new : old, "metadata", "name", NULL));
    if (script->free_on_change)
        script->watch = kube_watch_free(script->watch);
}

static void on_synced(void *data)
{
    struct script *script = data;
    script->synced++;
}

static void on_error(const struct err *err, void *data)
{
    struct script *script = data;
    assert_int_not_equal(err->code, 0);
    script->errors++;
}

static void begin(struct fake_api *api)
{
    struct kube_watch_options options = {.path = "/api/v1/pods", .label_selector = "a=b", .on_change = on_change,
                                         .on_synced = on_synced, .on_error = on_error, .data = api->data};
    ((struct script *)api->data)->watch = kube_watch_new(api->client, &options);
}

static int setup(void **state)
{
    struct fake_api *api = fake_api_new(on_request);
    api->data = NEW(struct script);
    *state = api;
    return 0;
}

/* As a daemon that keeps its memory small. */
static int setup_light(void **state)
{
    struct err err = {0};
    (void)setup(state);
    struct fake_api *api = *state;
    kube_client_free(api->client);
    assert_int_equal(kube_client_new_light(api->loop, &api->config, "test/1", &api->client, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    kube_watch_free(script->watch);
    strv_done(&script->changes);
    free(script->last_query);
    free(script);
    fake_api_free(api);
    return 0;
}

static void expect_changes(struct script *script, const char *expected)
{
    CLEANUP(xfree) char *text = strv_join(&script->changes, " ");
    assert_string_equal(text, expected);
}

static void test_watch__list_then_events(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", OBJECT("a", "1", "3") "," OBJECT("b", "2", "4"));
    script->streams[0] = EVENT("ADDED", OBJECT("c", "3", "6")) EVENT("MODIFIED", OBJECT("a", "1", "7"))
        EVENT("DELETED", OBJECT("b", "2", "8")) EVENT("BOOKMARK", "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"9\"}}");
    begin(api);
    assert_false(kube_watch_synced(script->watch));
    assert_true(kube_watch_age_ms(script->watch) == INT64_MAX);
    fake_api_turn(api, 15, 10);
    expect_changes(script, "+a +b +c ~a -b");
    assert_true(kube_watch_synced(script->watch));
    assert_int_equal(script->synced, 1);
    assert_int_equal(script->errors, 0);
    assert_int_equal(kube_watch_count(script->watch), 2);
    assert_true(kube_watch_age_ms(script->watch) < 5000);
    assert_string_equal(json_str(kube_watch_get(script->watch, "n", "a"), "metadata", "resourceVersion", NULL), "7");
    assert_null(kube_watch_get(script->watch, "n", "b"));
    assert_non_null(strstr(script->last_query, "resourceVersion=5"));
    assert_non_null(strstr(script->last_query, "allowWatchBookmarks=true"));
    assert_non_null(strstr(script->last_query, "labelSelector=a%3Db"));
}

static void test_watch__list_in_pages(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"5\",\"continue\":\"x/=\"},"
                       "\"items\":[" OBJECT("a", "1", "3") "]}";
    script->lists[1] = LIST("5", OBJECT("b", "2", "4"));
    begin(api);
    fake_api_turn(api, 15, 10);
    expect_changes(script, "+a +b");
    assert_int_equal(script->synced, 1);
    assert_int_equal(script->errors, 0);
    assert_non_null(strstr(script->last_query, "resourceVersion=5")); /* the watch that follows */
}

static struct json *keep_names(const struct json *object)
{
    struct json *kept = json_clone(object);
    json_del(kept, "kind");
    return kept;
}

static void test_watch__keeps_a_part(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    struct kube_watch_options options = {.path = "/api/v1/pods", .keep = keep_names, .on_change = on_change,
                                         .on_synced = on_synced, .on_error = on_error, .data = script};
    script->lists[0] = LIST("5", OBJECT("a", "1", "3"));
    script->streams[0] = EVENT("MODIFIED", OBJECT("a", "1", "3")) EVENT("MODIFIED", OBJECT("a", "1", "7"));
    script->watch = kube_watch_new(api->client, &options);
    fake_api_turn(api, 15, 10);
    expect_changes(script, "+a ~a"); /* on_change has seen the kind; the same version again is no change */
    assert_null(json_str(kube_watch_get(script->watch, "n", "a"), "kind", NULL));
    assert_string_equal(json_str(kube_watch_get(script->watch, "n", "a"), "metadata", "resourceVersion", NULL), "7");
}

static struct json *keep_nothing(UNUSED const struct json *object)
{
    return NULL;
}

static void on_change_of_names(const struct json *old, const struct json *new, void *data)
{
    struct script *script = data;

    strv_addf(&script->changes, "%s/%s:%s@%s", json_str_or("-", old, "metadata", "namespace", NULL),
              json_str_or("-", old, "metadata", "name", NULL), json_str_or("-", old, "metadata", "uid", NULL),
              json_str_or("-", old, "metadata", "resourceVersion", NULL));
    strv_addf(&script->changes, "%s", json_str_or("-", new, "metadata", "resourceVersion", NULL));
}

/* The second list finds one as it was, one changed, one replaced by another of its name, and one gone. */
static void test_watch__keeps_only_names(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    struct kube_watch_options options = {.path = "/api/v1/pods", .keep = keep_nothing, .on_change = on_change_of_names,
                                         .on_error = on_error, .data = script};
    const struct json *object;
    size_t position = 0;

    script->lists[0] = LIST("5", OBJECT("a", "1", "2") "," OBJECT("b", "2", "3") "," OBJECT("c", "3", "4") "," OBJECT("d", "4", "5"));
    script->lists[1] = LIST("9", OBJECT("a", "1", "2") "," OBJECT("b", "2", "7") "," OBJECT("c", "33", "8"));
    script->streams[0] = EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}");
    script->watch = kube_watch_new(api->client, &options);
    fake_api_turn(api, 40, 10);
    expect_changes(script, "-/-:-@- 2 -/-:-@- 3 -/-:-@- 4 -/-:-@- 5 n/b:2@3 7 n/c:3@4 - -/-:-@- 8 n/d:4@5 -");
    assert_int_equal(kube_watch_count(script->watch), 3);
    assert_null(kube_watch_get(script->watch, "n", "a"));
    assert_false(kube_watch_next(script->watch, &position, &object));
}

static void test_watch__gone_lists_again(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", OBJECT("a", "1", "3") "," OBJECT("b", "2", "4") "," OBJECT("c", "3", "4"));
    script->lists[1] = LIST("9", OBJECT("a", "1", "3") "," OBJECT("c", "33", "8") "," OBJECT("d", "4", "7"));
    script->streams[0] = EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}");
    begin(api);
    fake_api_turn(api, 20, 10);
    /* a is unchanged, b went unseen, c was replaced by another object of that name */
    expect_changes(script, "+a +b +c -c +c +d -b");
    assert_int_equal(script->synced, 1);
    assert_non_null(strstr(script->last_query, "resourceVersion=9"));
}

static void test_watch__resumes_after_restart(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", OBJECT("a", "1", "3"));
    script->streams[0] = EVENT("MODIFIED", OBJECT("a", "1", "6"));
    script->streams[1] = EVENT("MODIFIED", OBJECT("a", "1", "7"));
    begin(api);
    fake_api_turn(api, 15, 10);
    api->server = server_free(api->server);
    fake_api_turn(api, 30, 20);
    assert_true(script->errors > 0);
    assert_int_equal(kube_watch_count(script->watch), 1); /* the store outlives the server */
    fake_api_listen(api, on_request);
    fake_api_turn(api, 150, 20);
    expect_changes(script, "+a ~a ~a");
    assert_non_null(strstr(script->last_query, "resourceVersion=6"));
}

static void test_watch__broken_stream(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", "");
    script->streams[0] = "nonsense\n";
    script->streams[1] = EVENT("ADDED", OBJECT("a", "1", "6"));
    begin(api);
    fake_api_turn(api, 80, 20);
    assert_int_equal(script->errors, 1);
    expect_changes(script, "+a");
}

static void test_watch__no_list(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = "{\"kind\":\"Other\"}";
    begin(api);
    fake_api_turn(api, 10, 10);
    assert_int_equal(script->errors, 1);
    assert_false(kube_watch_synced(script->watch));
}

static void test_free__inside_change(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", OBJECT("a", "1", "3") "," OBJECT("b", "2", "4"));
    script->free_on_change = true;
    begin(api);
    fake_api_turn(api, 15, 10);
    expect_changes(script, "+a");
    assert_null(script->watch);
}

static void test_free__inside_event(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", "");
    script->streams[0] = EVENT("ADDED", OBJECT("a", "1", "6")) EVENT("ADDED", OBJECT("b", "2", "7"));
    script->free_on_change = true;
    begin(api);
    fake_api_turn(api, 20, 10);
    expect_changes(script, "+a");
    assert_null(script->watch);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LIGHT(name) cmocka_unit_test_setup_teardown(name, setup_light, teardown)

/* Where nothing changes, the API server may be silent for minutes: no failure, unless the next watch is silent, too. */
static void test_watch__silence(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", OBJECT("a", "1", "3"));
    script->streams[0] = EVENT("ADDED", OBJECT("b", "2", "6"));
    struct kube_watch_options options = {
        .path = "/api/v1/pods", .on_change = on_change, .on_error = on_error, .data = script, .idle_timeout_ms = 100};
    script->watch = kube_watch_new(api->client, &options);
    for (int i = 0; i < 100 && (script->last_query == NULL || strstr(script->last_query, "resourceVersion=6") == NULL); i++)
        fake_api_turn(api, 1, 10);
    assert_non_null(strstr(script->last_query, "resourceVersion=6")); /* taken up where it was */
    assert_int_equal(script->errors, 0);
    for (int i = 0; i < 100 && script->errors == 0; i++)
        fake_api_turn(api, 1, 10);
    assert_int_equal(script->errors, 1);
    expect_changes(script, "+a +b");
}

static const struct json_omit omit_in_metadata[] = {{.name = "labels"}, {0}};
static const struct json_omit omit_labels[] = {{.name = "metadata", .inside = omit_in_metadata}, {0}};

static void test_watch__without_what_nobody_reads(void **state)
{
    struct fake_api *api = *state;
    struct script *script = api->data;
    script->lists[0] = LIST("5", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"labels\":{\"x\":\"y\"}}}");
    script->streams[0] = EVENT("ADDED", "{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\",\"labels\":{\"x\":\"y\"}},\"spec\":{\"labels\":1}}");
    struct kube_watch_options options = {.path = "/api/v1/pods", .on_error = on_error, .data = script, .omit = omit_labels};
    script->watch = kube_watch_new(api->client, &options);
    fake_api_turn(api, 15, 10);
    assert_non_null(kube_watch_get(script->watch, "n", "a"));
    assert_null(json_get(kube_watch_get(script->watch, "n", "a"), "metadata", "labels", NULL));
    assert_null(json_get(kube_watch_get(script->watch, "n", "b"), "metadata", "labels", NULL));
    assert_int_equal(json_int_or(0, kube_watch_get(script->watch, "n", "b"), "spec", "labels", NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_watch__list_then_events),
        CASE(test_watch__list_in_pages),
        CASE(test_watch__keeps_a_part),
        CASE(test_watch__keeps_only_names),
        CASE(test_watch__gone_lists_again),
        CASE(test_watch__resumes_after_restart),
        CASE(test_watch__broken_stream),
        CASE(test_watch__no_list),
        CASE(test_watch__silence),
        CASE(test_watch__without_what_nobody_reads),
        CASE(test_free__inside_change),
        CASE(test_free__inside_event),
        LIGHT(test_watch__list_then_events),
        LIGHT(test_watch__gone_lists_again),
        LIGHT(test_watch__resumes_after_restart),
        LIGHT(test_watch__broken_stream),
        LIGHT(test_watch__no_list),
        LIGHT(test_watch__silence),
        LIGHT(test_watch__without_what_nobody_reads),
        LIGHT(test_free__inside_change),
        LIGHT(test_free__inside_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
