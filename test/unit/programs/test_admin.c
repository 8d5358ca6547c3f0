/*
 * test_admin.c: the pure parts of the administration commands of fks: RBAC rules as sets, archives, ports.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "auth/rbac.h"
#include "base/mem.h"
#include "base/str.h"
#include "streams/ports.h"
#include "streams/tar.h"

static struct json *tree(const char *text)
{
    struct err err = {0};
    struct json *json = NULL;
    assert_int_equal(json_parse(text, strlen(text), &json, &err), 0);
    return json;
}

static void test_rbac__stars_cover(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *owner = tree("[{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"*/log\",\"pods\"]},"
                              "{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"/healthz*\"]}]");
    CLEANUP(json_free)
    struct json *asked = tree("[{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"pods/log\"]},"
                              "{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/healthz/ping\",\"/metrics\"]}]");
    CLEANUP(json_free) struct json *left = rbac_uncovered(owner, asked);
    assert_int_equal(json_len(left), 3); /* list pods, list pods/log, get /metrics */
    assert_string_equal(json_string_value(json_at(json_get(json_at(left, 2), "nonResourceURLs", NULL), 0)), "/metrics");
}

static void test_rbac__compact_merges_verbs(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *parts = json_new_array();
    CLEANUP(json_free)
    struct json *rule = tree("{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"apps\"],\"resources\":[\"deployments/scale\"]}");
    CLEANUP(buf_done) struct buf text = {0};
    rbac_break_down(rule, parts);
    assert_int_equal(json_len(parts), 2);
    CLEANUP(json_free) struct json *rules = rbac_compact(parts);
    assert_int_equal(json_len(rules), 1);
    rbac_resource_text(json_at(rules, 0), &text);
    rbac_list_text(json_get(json_at(rules, 0), "verbs", NULL), &text);
    assert_string_equal(buf_text(&text), "deployments.apps/scale[get list]");
}

static ssize_t from_buf(void *data, void *bytes, size_t len, struct err *err)
{
    struct buf *buf = data;
    (void)err;
    size_t n = len < buf->len ? len : buf->len;
    if (n > 7)
        n = 7; /* short reads */
    if (n > 0)
        memcpy(bytes, buf->data, n);
    buf_consume(buf, n);
    return (ssize_t)n;
}

static void test_tar__there_and_back(void **state)
{
    (void)state;
    char name[300] = {0}, short_name[] = "l", target[] = "target";
    memset(name, 'n', sizeof(name) - 1);
    CLEANUP(buf_done) struct buf archive = {0};
    CLEANUP(tar_entry_done) struct tar_entry entry = {0};
    CLEANUP(err_clear) struct err err = {0};
    const struct tar_entry file = {.type = TAR_FILE, .path = name, .size = 5, .mode = 0640, .mtime_s = 12};
    const struct tar_entry link = {.type = TAR_SYMLINK, .path = short_name, .link = target};
    tar_add_header(&file, &archive);
    buf_add_str(&archive, "hello");
    tar_add_padding(5, &archive);
    tar_add_header(&link, &archive);
    tar_add_end(&archive);
    struct tar_reader reader = {.source = from_buf, .data = &archive};
    char bytes[16];
    assert_int_equal(tar_next(&reader, &entry, &err), 1);
    assert_string_equal(entry.path, name);
    assert_int_equal(entry.mode, 0640);
    assert_int_equal(tar_read(&reader, bytes, 3, &err), 3);
    assert_int_equal(tar_next(&reader, &entry, &err), 1); /* skips the rest */
    assert_int_equal(entry.type, TAR_SYMLINK);
    assert_string_equal(entry.link, "target");
    assert_int_equal(tar_next(&reader, &entry, &err), 0);
}

static void test_tar__broken(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf archive = {0};
    CLEANUP(tar_entry_done) struct tar_entry entry = {0};
    CLEANUP(err_clear) struct err err = {0};
    char name[] = "a";
    const struct tar_entry file = {.type = TAR_FILE, .path = name, .size = 5};
    tar_add_header(&file, &archive);
    archive.data[0] = 'b'; /* the sum is wrong now */
    struct tar_reader reader = {.source = from_buf, .data = &archive};
    assert_int_equal(tar_next(&reader, &entry, &err), ERR_PARSE);
}

static void test_tar__safe_path(void **state)
{
    (void)state;
    static const char *const rows[][3] = {{"tmp/dst/a", "tmp/dst", "a"},    {"tmp/dst", "tmp/dst", ""},
                                          {"tmp/dst/../x", "tmp/dst", NULL}, {"other", "tmp/dst", NULL},
                                          {"/abs/x", "", "abs/x"},           {"a/./b//c", "", "a/b/c"}};
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *path = tar_safe_path(rows[i][0], rows[i][1]);
        assert_true(streq(path, rows[i][2]));
    }
}

static void test_ports__names_and_services(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *pod = tree("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"ports\":"
                            "[{\"name\":\"http\",\"containerPort\":8080}]}]}}");
    CLEANUP(json_free)
    struct json *service = tree("{\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":"
                                "[{\"name\":\"web\",\"port\":80,\"targetPort\":\"http\"}]}}");
    static const struct {
        const char *text;
        bool service;
        int local, remote; /* remote 0: an error */
    } rows[] = {{"5000", false, 5000, 5000}, {"1:http", false, 1, 8080}, {":80", false, 0, 80},   {"80", true, 80, 8080},
                {"web", true, 8080, 8080},   {"81", true, 0, 0},         {"x:80", false, 0, 0},   {"1:2:3", false, 0, 0},
                {"nope", false, 0, 0},       {"70000", false, 0, 0}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct port_pair pair = {0};
        CLEANUP(err_clear) struct err err = {0};
        int code = ports_parse(rows[i].text, rows[i].service ? service : pod, pod, &pair, &err);
        assert_int_equal(code == 0, rows[i].remote != 0);
        if (code == 0) {
            assert_int_equal(pair.local, rows[i].local);
            assert_int_equal(pair.remote, rows[i].remote);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rbac__stars_cover),     cmocka_unit_test(test_rbac__compact_merges_verbs),
        cmocka_unit_test(test_tar__there_and_back),   cmocka_unit_test(test_tar__broken),
        cmocka_unit_test(test_tar__safe_path),        cmocka_unit_test(test_ports__names_and_services),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
