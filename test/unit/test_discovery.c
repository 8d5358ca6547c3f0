/* discovery.h: the compiled-in table, a fake server's aggregated discovery, and the cache on disk. */
#include "kube/discovery.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "fake_api.h"
#include "temporary.h"

#define CRD(plural, kind, short_name)                                                                                  \
    "{\"resource\":\"" plural "\",\"responseKind\":{\"kind\":\"" kind "\"},\"scope\":\"Cluster\","                     \
    "\"singularResource\":\"x" plural "\",\"verbs\":[\"get\",\"list\"],\"shortNames\":[\"" short_name "\"],"           \
    "\"categories\":[\"all\",\"fargate\"],"                                                                            \
    "\"subresources\":[{\"subresource\":\"scale\",\"responseKind\":{\"group\":\"autoscaling\",\"version\":\"v1\","        \
    "\"kind\":\"Scale\"},\"verbs\":[\"get\"]}]}"
#define DISCOVERY(items) "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[" items "]}"

struct content {
    char *folder;
    bool has_hosts; /* the second kind exists by now */
    bool broken;    /* nothing is told */
};

static void on_request(struct server_request *request, void *data)
{
    struct fake_api *api = data;
    struct content *content = api->data;
    api->requests++;
    if (content->broken)
        server_respond_text(request, 403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"code\":403}");
    else if (server_request_is(request, "GET", "/api"))
        server_respond_text(request, 200, DISCOVERY("{\"metadata\":{},\"versions\":[{\"version\":\"v1\",\"resources\":[]}]}"));
    else
        server_respond_text(request, 200,
                            DISCOVERY("{\"metadata\":{\"name\":\"fks.dev\"},\"versions\":[{\"version\":\"v1\","
                                      "\"resources\":[%s]},{\"version\":\"v1beta1\",\"resources\":[%s]}]},"
                                      "{\"metadata\":{\"name\":\"far.example.com\"},\"versions\":[{\"version\":\"v1\","
                                      "\"freshness\":\"Stale\"}]}"),
                            content->has_hosts ? CRD("fargateprofiles", "FargateProfile", "fp") ","
                                                 CRD("fargatehosts", "FargateHost", "fh")
                                               : CRD("fargateprofiles", "FargateProfile", "fp"),
                            CRD("fargateprofiles", "FargateProfile", "fp"));
}

static int setup(void **state)
{
    struct fake_api *api = fake_api_new(on_request);
    struct content *content = NEW(struct content);
    content->folder = temporary_folder();
    api->data = content;
    *state = api;
    return 0;
}

static int teardown(void **state)
{
    struct fake_api *api = *state;
    struct content *content = api->data;
    temporary_remove(content->folder);
    free(content);
    fake_api_free(api);
    return 0;
}

static struct kube_discovery *discover(struct fake_api *api)
{
    return kube_discovery_new(api->client, ((struct content *)api->data)->folder);
}

static void test_find__built_in(void **state)
{
    static const struct {
        const char *text, *group, *version, *plural;
        bool namespaced;
    } cases[] = {
        {"po", "", "v1", "pods", true},
        {"Pod", "", "v1", "pods", true},
        {"PODS", "", "v1", "pods", true},
        {"no", "", "v1", "nodes", false},
        {"endpoints", "", "v1", "endpoints", true},
        {"pods.v1.", "", "v1", "pods", true},
        {"deploy.v1.apps", "apps", "v1", "deployments", true},
        {"deployment.apps", "apps", "v1", "deployments", true},
        {"deploy.app", "apps", "v1", "deployments", true},
        {"ev", "", "v1", "events", true},
        {"events.events.k8s.io", "events.k8s.io", "v1", "events", true},
        {"hpa", "autoscaling", "v2", "horizontalpodautoscalers", true},
        {"hpa.v1.autoscaling", "autoscaling", "v1", "horizontalpodautoscalers", true},
        {"crd", "apiextensions.k8s.io", "v1", "customresourcedefinitions", false},
        {"clusterrole", "rbac.authorization.k8s.io", "v1", "clusterroles", false},
    };
    struct fake_api *api = *state;
    CLEANUP(kube_discovery_free) struct kube_discovery *discovery = discover(api);
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = {0};
        const struct kube_resource *resource = NULL;
        assert_int_equal(kube_discovery_find(discovery, cases[i].text, &resource, &err), 0);
        assert_string_equal(resource->plural, cases[i].plural);
        assert_string_equal(resource->group, cases[i].group);
        assert_string_equal(resource->version, cases[i].version);
        assert_int_equal(resource->namespaced, cases[i].namespaced);
    }
    assert_int_equal(api->requests, 0);
}

static void test_lists__whole_words(void **state)
{
    (void)state;
    assert_true(kube_resource_lists("get,list", "get"));
    assert_true(kube_resource_lists("get,list", "list"));
    assert_false(kube_resource_lists("get,list", "lis"));
    assert_false(kube_resource_lists("get,list", "LIST"));
    assert_false(kube_resource_lists("get,list", "get,list"));
    assert_false(kube_resource_lists("get,list", ""));
    assert_false(kube_resource_lists("", "get"));
}

static void test_find__asks_once_and_caches(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    const struct kube_resource *resource = NULL;
    struct kube_discovery *first = discover(api);
    assert_int_equal(kube_discovery_find(first, "fp", &resource, &err), 0);
    assert_string_equal(resource->kind, "FargateProfile");
    assert_string_equal(resource->version, "v1");
    assert_false(resource->namespaced);
    assert_true(kube_resource_lists(resource->verbs, "list"));
    assert_int_equal(api->requests, 2);
    kube_discovery_free(first);

    CLEANUP(kube_discovery_free) struct kube_discovery *second = discover(api);
    assert_int_equal(kube_discovery_find(second, "fargateprofiles.v1beta1.fks.dev", &resource, &err), 0);
    assert_string_equal(resource->version, "v1beta1");
    assert_string_equal(resource->singular, "xfargateprofiles");
    assert_int_equal(api->requests, 2);
}

static void test_find__miss_refreshes_once(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    const struct kube_resource *resource = NULL;
    kube_discovery_free(discover(api));
    struct kube_discovery *first = discover(api);
    assert_int_equal(kube_discovery_find(first, "fp", &resource, &err), 0);
    kube_discovery_free(first);
    ((struct content *)api->data)->has_hosts = true;
    CLEANUP(kube_discovery_free) struct kube_discovery *second = discover(api);
    assert_int_equal(kube_discovery_find(second, "fh", &resource, &err), 0);
    assert_int_equal(api->requests, 4);
    assert_int_equal(kube_discovery_find(second, "nonsense.example.com", &resource, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "the server doesn't have a resource type \"nonsense\"");
    assert_int_equal(api->requests, 4);
}

static void test_find_kind(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(kube_discovery_free) struct kube_discovery *discovery = discover(api);
    const struct kube_resource *resource = NULL;
    assert_int_equal(kube_discovery_find_kind(discovery, "apps/v1", "Deployment", &resource, &err), 0);
    assert_int_equal(api->requests, 0);
    assert_int_equal(kube_discovery_find_kind(discovery, "fks.dev/v1", "FargateProfile", &resource, &err), 0);
    assert_string_equal(resource->plural, "fargateprofiles");
    assert_int_equal(kube_discovery_find_kind(discovery, "apps/v9", "Deployment", &resource, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "no matches for kind \"Deployment\" in version \"apps/v9\"");
}

static void test_category(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    CLEANUP(kube_discovery_free) struct kube_discovery *discovery = discover(api);
    const struct kube_resource **members = NULL;
    size_t n = 9;
    assert_int_equal(kube_discovery_category(discovery, "pods", &members, &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(api->requests, 0);
    assert_int_equal(kube_discovery_category(discovery, "fargate", &members, &n, &err), 0);
    assert_int_equal(n, 1); /* one row for two versions */
    assert_string_equal(members[0]->version, "v1");
    free(members);
}

static void test_all(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    CLEANUP(kube_discovery_free) struct kube_discovery *discovery = discover(api);
    const struct kube_resource *all = NULL;
    const struct strv *stale = NULL;
    size_t n = 0;
    assert_int_equal(kube_discovery_all(discovery, false, &all, &n, &stale, &err), 0);
    assert_int_equal(n, 1);
    assert_string_equal(all[0].plural, "fargateprofiles");
    assert_int_equal(stale->n, 1);
    assert_string_equal(stale->items[0], "far.example.com/v1");
}

static char *cache_file(struct fake_api *api, const char *name)
{
    struct content *content = api->data;
    CLEANUP(xfree) char *host = xasprintf("127.0.0.1_%d", api->port);
    return path_join(content->folder, "discovery", host, name, NULL);
}

static void assert_file(char *path, const char *want)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct stat status;
    assert_int_equal(file_read(path, KIB(64), &text, &err), 0);
    assert_string_equal(buf_text(&text), want);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    free(path);
}

/* Byte for byte what kubectl 1.36 writes. */
static void test_cache__is_in_kubectls_form(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    const struct kube_resource *resource = NULL;
    struct kube_discovery *discovery = discover(api);
    assert_int_equal(kube_discovery_find(discovery, "fp", &resource, &err), 0);
    kube_discovery_free(discovery);
    assert_file(cache_file(api, "servergroups.json"),
                "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[{\"name\":\"\",\"versions\":[{"
                "\"groupVersion\":\"v1\",\"version\":\"v1\"}],\"preferredVersion\":{\"groupVersion\":\"v1\",\"version\":"
                "\"v1\"}},{\"name\":\"fks.dev\",\"versions\":[{\"groupVersion\":\"fks.dev/v1\",\"version\":\"v1\"},{"
                "\"groupVersion\":\"fks.dev/v1beta1\",\"version\":\"v1beta1\"}],\"preferredVersion\":{\"groupVersion\":"
                "\"fks.dev/v1\",\"version\":\"v1\"}},{\"name\":\"far.example.com\",\"versions\":[],\"preferredVersion\":{"
                "\"groupVersion\":\"\",\"version\":\"\"}}]}\n");
    assert_file(cache_file(api, "fks.dev/v1/serverresources.json"),
                "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"fks.dev/v1\",\"resources\":[{"
                "\"name\":\"fargateprofiles\",\"singularName\":\"xfargateprofiles\",\"namespaced\":false,\"kind\":"
                "\"FargateProfile\",\"verbs\":[\"get\",\"list\"],\"shortNames\":[\"fp\"],\"categories\":[\"all\","
                "\"fargate\"]},{\"name\":\"fargateprofiles/scale\",\"singularName\":\"xfargateprofiles\",\"namespaced\":"
                "false,\"group\":\"autoscaling\",\"version\":\"v1\",\"kind\":\"Scale\",\"verbs\":[\"get\"]}]}\n");
}

static void test_cache__is_read_as_it_is_there(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    const struct kube_resource *resource = NULL, *all = NULL;
    const struct strv *stale = NULL;
    size_t n = 0;
    CLEANUP(xfree) char *path = cache_file(api, "fks.dev/v1/serverresources.json");
    static const char other[] = "{\"groupVersion\":\"fks.dev/v1\",\"resources\":[{\"name\":\"inventions\",\"singularName\":"
                                "\"invention\",\"namespaced\":true,\"kind\":\"Invention\",\"verbs\":[\"get\"]},"
                                "{\"name\":\"inventions/status\",\"kind\":\"Invention\",\"verbs\":[\"get\"]}]}";
    struct kube_discovery *first = discover(api);
    assert_int_equal(kube_discovery_find(first, "fp", &resource, &err), 0);
    kube_discovery_free(first);
    assert_int_equal(file_write_atomic(path, other, strlen(other), 0600, &err), 0);

    struct kube_discovery *second = discover(api);
    assert_int_equal(kube_discovery_all(second, true, &all, &n, &stale, &err), 0);
    assert_int_equal(n, 2); /* and the beta version's */
    assert_int_equal(kube_discovery_find_kind(second, "fks.dev/v1", "Invention", &resource, &err), 0);
    assert_string_equal(resource->plural, "inventions");
    assert_int_equal(api->requests, 2);
    kube_discovery_free(second);

    const struct timespec long_ago[] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    CLEANUP(kube_discovery_free) struct kube_discovery *third = discover(api);
    assert_int_equal(kube_discovery_find(third, "inventions", &resource, &err), ERR_NOT_FOUND);
    assert_int_equal(api->requests, 4);
}

static bool is_there(struct fake_api *api, const char *name)
{
    CLEANUP(xfree) char *path = cache_file(api, name);
    return file_exists(path);
}

static size_t count_caches(struct fake_api *api)
{
    CLEANUP(xfree) char *folder = path_join(((struct content *)api->data)->folder, "discovery", NULL);
    size_t n = 0;
    DIR *list = opendir(folder);
    for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
        n += entry->d_name[0] != '.';
    if (list != NULL)
        closedir(list);
    return n;
}

/* What is laid out while the server thinks is there in the end if the server has it, and only then. */
static void test_cache__is_made_meanwhile(void **state)
{
    struct fake_api *api = *state;
    struct err err = {0};
    const struct kube_resource *resource = NULL;
    CLEANUP(kube_client_free) struct kube_client *light = NULL;
    assert_int_equal(kube_client_new_light(api->loop, &api->config, "test/1", &light, &err), 0);
    struct kube_discovery *discovery = kube_discovery_new(light, ((struct content *)api->data)->folder);
    assert_int_equal(kube_discovery_find(discovery, "fp", &resource, &err), 0);
    assert_false(is_there(api, ""));
    kube_discovery_free(discovery);
    assert_true(is_there(api, "servergroups.json"));
    assert_true(is_there(api, "v1/serverresources.json"));
    assert_true(is_there(api, "fks.dev/v1beta1/serverresources.json"));
    assert_false(is_there(api, "apps"));
    assert_false(is_there(api, "autoscaling"));
    assert_int_equal(count_caches(api), 1);
}

static void test_cache__leaves_nothing_when_the_server_fails(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    const struct kube_resource *resource = NULL;
    CLEANUP(kube_client_free) struct kube_client *light = NULL;
    ((struct content *)api->data)->broken = true;
    assert_int_equal(kube_client_new_light(api->loop, &api->config, "test/1", &light, &err), 0);
    struct kube_discovery *discovery = kube_discovery_new(light, ((struct content *)api->data)->folder);
    assert_int_equal(kube_discovery_find(discovery, "fp", &resource, &err), ERR_FORBIDDEN);
    kube_discovery_free(discovery);
    assert_int_equal(count_caches(api), 0);
}

static void test_find__broken_cache_and_no_server(void **state)
{
    struct fake_api *api = *state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *folder = cache_file(api, ""), *path = cache_file(api, "servergroups.json");
    static const char *const broken[] = {"{\"groups\":[1]", "{\"groups\":[{\"versions\":[{\"groupVersion\":\"../..\"}]}]}",
                                         "{\"groups\":[{\"versions\":[{\"groupVersion\":\"v1\"}]}]}"};
    const struct kube_resource *resource = NULL;
    assert_int_equal(dir_make(folder, 0700, &err), 0);
    api->server = server_free(api->server);
    for (size_t i = 0; i < countof(broken); i++) {
        assert_int_equal(file_write_atomic(path, broken[i], strlen(broken[i]), 0600, &err), 0);
        CLEANUP(kube_discovery_free) struct kube_discovery *discovery = discover(api);
        assert_int_equal(kube_discovery_find(discovery, "fp", &resource, &err), ERR_REFUSED);
        err_clear(&err);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_find__built_in),       CASE(test_lists__whole_words),
        CASE(test_find__asks_once_and_caches),
        CASE(test_find__miss_refreshes_once), CASE(test_find_kind),
        CASE(test_category),             CASE(test_all),
        CASE(test_cache__is_in_kubectls_form), CASE(test_cache__is_read_as_it_is_there),
        CASE(test_cache__is_made_meanwhile), CASE(test_cache__leaves_nothing_when_the_server_fails),
        CASE(test_find__broken_cache_and_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
