/* test_environment.c: variables of containers, from cases in JSON: pod, container 0 of it, and what has to come out. */
#include "cmd/fks-node/spec/environment.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

static const char *const objects_json =
    "{\"ConfigMap/cm\":{\"data\":{\"a\":\"1\",\"b\":\"two words\"}},"
    "\"Secret/se\":{\"data\":{\"pw\":\"czNjcmV0\"}},"
    "\"Secret/broken\":{\"data\":{\"pw\":\"***\"}}}";
static const char *const services_json =
    "[{\"metadata\":{\"name\":\"redis-master\",\"namespace\":\"ns\"},\"spec\":{\"clusterIP\":\"10.0.0.11\",\"ports\":["
    "{\"name\":\"main-port\",\"port\":6379,\"protocol\":\"TCP\"},{\"name\":\"udp\",\"port\":53,\"protocol\":\"UDP\"}]}},"
    "{\"metadata\":{\"name\":\"headless\",\"namespace\":\"ns\"},\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":1}]}},"
    "{\"metadata\":{\"name\":\"other\",\"namespace\":\"elsewhere\"},\"spec\":{\"clusterIP\":\"10.0.0.9\",\"ports\":[{\"port\":1}]}},"
    "{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\"},\"spec\":{\"clusterIP\":\"10.0.0.1\",\"ports\":["
    "{\"name\":\"https\",\"port\":443,\"protocol\":\"TCP\"}]}}]";

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *json = NULL;

    if (json_parse(text, strlen(text), &json, &err) < 0)
        fail_msg("%s in %s", err_text(&err), text);
    return json;
}

struct fixture {
    struct json *objects, *services, *pod;
    struct map map;
    const struct json *list[8];
    struct environment_context context;
    struct environment made;
    struct err err;
    int code;
};

static void fixture_done(struct fixture *f)
{
    json_free(f->objects);
    json_free(f->services);
    json_free(f->pod);
    map_done(&f->map);
    environment_done(&f->made);
    err_clear(&f->err);
}
DEFINE_CLEANUP_IN_PLACE(struct fixture, fixture_done)

static int read_file(const char *volume, const char *path, struct buf *ret, const void *data, struct err *err)
{
    (void)data;
    if (!streq(volume, "v"))
        return err_set(err, ERR_INVALID, "cannot find the volume \"%s\" referenced by FileKeyRef", volume);
    if (streq(path, "bad"))
        buf_add_str(ret, "K=plain\n");
    else if (streq(path, "dir/env"))
        buf_add_str(ret, "# from init\nK='a b'\nE=''\n");
    else
        return err_set(err, ERR_NOT_FOUND, "no file '%s' in volume \"%s\"", path, volume);
    return 0;
}

/* spec: members of spec beside containers; container: members of the only container. */
static void make(struct fixture *f, const char *spec, const char *container)
{
    CLEANUP(xfree) char *text = xasprintf(
        "{\"metadata\":{\"name\":\"web\",\"namespace\":\"ns\",\"uid\":\"u\",\"labels\":{\"app\":\"x\"},\"annotations\":{\"k.io/a\":\"v\"}},"
        "\"spec\":{%s\"serviceAccountName\":\"sa\",\"containers\":[{\"name\":\"c\",%s}]},\"status\":{\"hostIP\":\"9.9.9.9\"}}",
        spec, container);
    void *position = NULL;
    const char *key;
    const struct json *object;

    f->objects = parse(objects_json);
    f->services = parse(services_json);
    f->pod = parse(text);
    while (json_next(f->objects, &position, &key, &object))
        map_set(&f->map, key, (void *)(uintptr_t)object);
    for (size_t i = 0; i < json_len(f->services); i++)
        f->list[i] = json_at(f->services, i);
    f->context = (struct environment_context){
        .downward = {.pod_ip = "10.1.0.5",
                     .node_name = "node-1",
                     .allocatable_cpu_m = 250,
                     .allocatable_mem_b = 512 << 20},
        .objects = &f->map,
        .services = f->list,
        .n_services = json_len(f->services),
        .read_file = read_file,
    };
    f->code = environment_make(f->pod, json_at(json_get(f->pod, "spec", "containers", NULL), 0), &f->context, &f->made,
                               &f->err);
}

static void test_environment__values(void **state)
{
    static const struct {
        const char *container, *name, *value; /* value NULL: not set */
    } rows[] = {
        {"\"env\":[{\"name\":\"A\",\"value\":\"x\"}]", "A", "x"},
        {"\"env\":[{\"name\":\"A\"}]", "A", ""},
        {"\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"$(A)2\"}]", "B", "12"},
        {"\"env\":[{\"name\":\"B\",\"value\":\"$(A)2\"},{\"name\":\"A\",\"value\":\"1\"}]", "B", "$(A)2"}, /* too early */
        {"\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"A\",\"value\":\"$(A)2\"}]", "A", "12"},
        {"\"env\":[{\"name\":\"A\",\"value\":\"$$(B)\"}]", "A", "$(B)"},
        {"\"env\":[{\"name\":\"A\",\"value\":\"$$$(KUBERNETES_SERVICE_HOST)\"}]", "A", "$10.0.0.1"},
        {"\"env\":[{\"name\":\"A\",\"value\":\"$(B\"}]", "A", "$(B"},
        {"\"env\":[{\"name\":\"A\",\"value\":\"cost $5\"}]", "A", "cost $5"},
        {"\"env\":[{\"name\":\"A\",\"value\":\"$\"}]", "A", "$"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}}]", "A", "web"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['app']\"}}}]", "A", "x"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.annotations['k.io/a']\"}}}]", "A",
         "v"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['none']\"}}}]", "A", ""},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.nodeName\"}}}]", "A", "node-1"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.serviceAccountName\"}}}]", "A", "sa"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIPs\"}}}]", "A", "10.1.0.5"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.hostIP\"}}}]", "A", "9.9.9.9"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\"}}}]", "A", "1"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\",\"divisor\":\"1m\"}}}]",
         "A", "250"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"requests.cpu\"}}}]", "A", "0"},
        {"\"resources\":{\"limits\":{\"memory\":\"100Mi\"}},\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{"
         "\"resource\":\"limits.memory\",\"divisor\":\"1Mi\"}}}]",
         "A", "100"},
        {"\"resources\":{\"limits\":{\"memory\":\"1025\"}},\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{"
         "\"resource\":\"limits.memory\",\"divisor\":\"1Ki\"}}}]",
         "A", "2"}, /* rounded up */
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"cm\",\"key\":\"b\"}}}]", "A", "two words"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"se\",\"key\":\"pw\"}}}]", "A", "s3cret"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"no\",\"key\":\"b\",\"optional\":true}}}]",
         "A", NULL},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"se\",\"key\":\"no\",\"optional\":true}}}]", "A",
         NULL},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"dir/env\",\"key\":\"K\"}}}]", "A", "a b"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"dir/env\",\"key\":\"no\",\"optional\":true}}}]", "A", NULL},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"dir/env\",\"key\":\"E\",\"optional\":true}}}]", "A", NULL},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"none\",\"key\":\"K\",\"optional\":true}}}]", "A", NULL},
        {"\"envFrom\":[{\"prefix\":\"P_\",\"configMapRef\":{\"name\":\"cm\"}}]", "P_a", "1"},
        {"\"envFrom\":[{\"secretRef\":{\"name\":\"se\"}}]", "pw", "s3cret"},
        {"\"envFrom\":[{\"secretRef\":{\"name\":\"no\",\"optional\":true}}]", "pw", NULL},
        {"\"envFrom\":[{\"configMapRef\":{\"name\":\"cm\"}}],\"env\":[{\"name\":\"a\",\"value\":\"mine\"}]", "a", "mine"},
        {"\"envFrom\":[{\"configMapRef\":{\"name\":\"cm\"}}],\"env\":[{\"name\":\"A\",\"value\":\"$(a)\"}]", "A", "1"},
        {"\"env\":[]", "REDIS_MASTER_SERVICE_HOST", "10.0.0.11"},
        {"\"env\":[]", "REDIS_MASTER_SERVICE_PORT", "6379"},
        {"\"env\":[]", "REDIS_MASTER_SERVICE_PORT_MAIN_PORT", "6379"},
        {"\"env\":[]", "REDIS_MASTER_PORT", "tcp://10.0.0.11:6379"},
        {"\"env\":[]", "REDIS_MASTER_PORT_53_UDP_PROTO", "udp"},
        {"\"env\":[]", "REDIS_MASTER_PORT_6379_TCP_ADDR", "10.0.0.11"},
        {"\"env\":[]", "HEADLESS_SERVICE_HOST", NULL},
        {"\"env\":[]", "OTHER_SERVICE_HOST", NULL},
        {"\"env\":[]", "KUBERNETES_SERVICE_PORT_HTTPS", "443"},
        {"\"env\":[{\"name\":\"REDIS_MASTER_SERVICE_HOST\",\"value\":\"mine\"}]", "REDIS_MASTER_SERVICE_HOST", "mine"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(fixture_done) struct fixture f = {0};
        const char *value;

        make(&f, "", rows[i].container);
        if (f.code != 0)
            fail_msg("row %zu: %s", i, err_text(&f.err));
        value = environment_get(&f.made, rows[i].name);
        if (!streq(value, rows[i].value))
            fail_msg("row %zu: %s is '%s', not '%s'", i, rows[i].name, value != NULL ? value : "(unset)",
                     rows[i].value != NULL ? rows[i].value : "(unset)");
    }
}

static void test_environment__errors(void **state)
{
    static const struct {
        const char *container;
        int code;
        const char *text;
    } rows[] = {
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"x\",\"key\":\"k\"}}}]", ERR_NOT_FOUND,
         "configmap \"x\" not found"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"x\",\"key\":\"k\"}}}]", ERR_NOT_FOUND,
         "secret \"x\" not found"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"cm\",\"key\":\"k\"}}}]", ERR_NOT_FOUND,
         "couldn't find key k in ConfigMap ns/cm"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"se\",\"key\":\"k\"}}}]", ERR_NOT_FOUND,
         "couldn't find key k in Secret ns/se"},
        {"\"envFrom\":[{\"configMapRef\":{\"name\":\"x\"}}]", ERR_NOT_FOUND, "configmap \"x\" not found"},
        {"\"envFrom\":[{\"secretRef\":{\"name\":\"x\"}}]", ERR_NOT_FOUND, "secret \"x\" not found"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"broken\",\"key\":\"pw\"}}}]", ERR_PARSE, NULL},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.nope\"}}}]", ERR_INVALID,
         "unsupported fieldPath: spec.nope"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.pods\"}}}]", ERR_INVALID,
         "unsupported container resource: limits.pods"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"containerName\":\"no\",\"resource\":\"limits.cpu\"}}}]",
         ERR_INVALID, "container no not found"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"dir/env\",\"key\":\"no\"}}}]", ERR_NOT_FOUND,
         "environment variable key \"no\" not found in file \"dir/env\""},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"dir/env\",\"key\":\"E\"}}}]", ERR_NOT_FOUND,
         "environment variable key \"E\" not found in file \"dir/env\""},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"none\",\"key\":\"K\"}}}]", ERR_NOT_FOUND,
         "couldn't parse env file \"none\": no file 'none' in volume \"v\""},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"bad\",\"key\":\"K\",\"optional\":true}}}]", ERR_PARSE,
         "couldn't parse env file \"bad\": invalid environment variable format at line 1: value must be enclosed in single quotes"},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"w\",\"path\":\"dir/env\",\"key\":\"K\",\"optional\":true}}}]", ERR_INVALID, NULL},
        {"\"env\":[{\"name\":\"A\",\"valueFrom\":{\"somethingNew\":{}}}]", ERR_UNSUPPORTED, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(fixture_done) struct fixture f = {0};

        make(&f, "", rows[i].container);
        assert_int_equal(f.code, rows[i].code);
        if (rows[i].text != NULL)
            assert_string_equal(err_text(&f.err), rows[i].text);
        assert_int_equal(f.made.n, 0);
    }
}

static void test_environment__service_links_off(void **state)
{
    CLEANUP(fixture_done) struct fixture f = {0};

    (void)state;
    make(&f, "\"enableServiceLinks\":false,", "\"env\":[]");
    assert_int_equal(f.code, 0);
    assert_null(environment_get(&f.made, "REDIS_MASTER_SERVICE_HOST"));
    assert_string_equal(environment_get(&f.made, "KUBERNETES_SERVICE_HOST"), "10.0.0.1");
}

static void test_environment__strict_expansion(void **state)
{
    CLEANUP(fixture_done) struct fixture f = {0};
    CLEANUP(xfree) char *text = NULL;
    CLEANUP(err_clear) struct err err = {0};
    char *unset = NULL;

    (void)state;
    make(&f, "", "\"env\":[{\"name\":\"A\",\"value\":\"x\"}]");
    assert_int_equal(environment_expand_strict(&f.made, "d/$(A)", &text, &err), 0);
    assert_string_equal(text, "d/x");
    assert_int_equal(environment_expand_strict(&f.made, "d/$(NO)", &unset, &err), ERR_INVALID);
    assert_string_equal(err_text(&err), "missing value for \"NO\"");
    assert_null(unset);
}

static void test_environment__probe_values(void **state)
{
    CLEANUP(json_free) struct json *env = parse("[{\"name\":\"A\",\"value\":\"x\"},{\"name\":\"B\",\"value\":\"$(A)\"},"
                                                "{\"name\":\"C\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}}]");
    CLEANUP(environment_done) struct environment values = {0};
    CLEANUP(environment_done) struct environment none = {0};

    (void)state;
    environment_values(env, &values);
    CLEANUP(xfree) char *text = environment_expand(&values, "$(A) $(B) [$(C)] $(D) $$(A)");
    assert_string_equal(text, "x $(A) [] $(D) $(A)");
    environment_values(NULL, &none);
    CLEANUP(xfree) char *as_it_is = environment_expand(&none, "$(A)");
    assert_string_equal(as_it_is, "$(A)");
}

static void test_downward__maps_are_sorted_and_quoted(void **state)
{
    CLEANUP(json_free) struct json *pod = parse("{\"metadata\":{\"labels\":{\"b\":\"2\",\"a\":\"say \\\"1\\\"\\n\"}}}");
    const struct downward_context context = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *text = NULL;

    (void)state;
    assert_int_equal(downward_field(pod, "metadata.labels", &context, &text, &err), 0);
    assert_string_equal(text, "a=\"say \\\"1\\\"\\n\"\nb=\"2\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment__values),
        cmocka_unit_test(test_environment__errors),
        cmocka_unit_test(test_environment__service_links_off),
        cmocka_unit_test(test_environment__strict_expansion),
        cmocka_unit_test(test_environment__probe_values),
        cmocka_unit_test(test_downward__maps_are_sorted_and_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
