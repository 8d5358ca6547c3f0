/* detach.h, ports.h, tar.h: what the streaming commands decide without a cluster. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "streams/detach.h"
#include "streams/ports.h"
#include "streams/tar.h"

/* --- detach keys */

static void check_typed(const char *keys, const char *const *typed, const char *passed_on, bool detached)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf out = {0};
    struct detach detach = {0};
    bool ended = false;
    assert_int_equal(detach_parse(keys, &detach, &err), 0);
    for (; *typed != NULL && !ended; typed++)
        ended = detach_filter(&detach, *typed, strlen(*typed), &out);
    assert_string_equal(buf_text(&out), passed_on);
    assert_int_equal(ended, detached);
}

static void test_detach__filter(void **state)
{
    (void)state;
    check_typed("ctrl-p,ctrl-q", (const char *const[]){"ab\x10\x11zz", NULL}, "ab", true);
    check_typed("ctrl-p,ctrl-q", (const char *const[]){"a\x10", "\x11", NULL}, "a", true);
    check_typed("ctrl-p,ctrl-q", (const char *const[]){"a\x10", "b\x11", NULL}, "a\x10" "b\x11", false);
    check_typed("ctrl-p,ctrl-q", (const char *const[]){"\x10\x10\x11", NULL}, "\x10", true);
    check_typed("a,b,c", (const char *const[]){"abxabc", NULL}, "abx", true);
    check_typed("DEL", (const char *const[]){"x\x7fy", NULL}, "x", true);
    check_typed("ctrl-\\", (const char *const[]){"x\x1c", NULL}, "x", true);
}

static void test_detach__wrong_keys(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    struct detach detach = {0};
    (void)state;
    assert_int_equal(detach_parse("ctrl-p,ctrl-%", &detach, &err), ERR_USAGE);
    assert_string_equal(err_text(&err), "Unknown character: 'ctrl-%'");
}

/* --- ports */

static const char pod_text[] =
    "{'kind':'Pod','metadata':{'name':'p'},'spec':{'containers':[{'ports':[{'name':'web','containerPort':8080},"
    "{'name':'dns','containerPort':53,'protocol':'UDP'},{'containerPort':54,'protocol':'UDP'},"
    "{'containerPort':54,'protocol':'TCP'}]}]}}";
static const char service_text[] =
    "{'kind':'Service','metadata':{'name':'s'},'spec':{'clusterIP':'10.0.0.1','ports':["
    "{'name':'http','port':80,'targetPort':'web'},{'name':'number','port':81,'targetPort':9000},"
    "{'name':'same','port':82},{'name':'dns','port':53,'protocol':'UDP'},{'name':'lost','port':83,'targetPort':'none'}]}}";

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *copy = xstrdup(text);
    struct json *ret = NULL;
    for (char *c = copy; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_int_equal(json_parse(copy, strlen(copy), &ret, &err), 0);
    return ret;
}

static void test_ports__parse(void **state)
{
    static const struct {
        bool by_service;
        const char *text, *failure;
        int local, remote;
    } rows[] = {
        {false, "8080", NULL, 8080, 8080},
        {false, "80:8080", NULL, 80, 8080},
        {false, ":8080", NULL, 0, 8080},
        {false, "web", NULL, 8080, 8080},
        {false, "1:web", NULL, 1, 8080},
        {false, "54", NULL, 54, 54},
        {false, "nope", "Pod 'p' does not have a named port 'nope'", 0, 0},
        {false, "1:", "Pod 'p' does not have a named port ''", 0, 0},
        {false, "53", "UDP protocol is not supported for 53", 0, 0},
        {false, "1:dns", "UDP protocol is not supported for dns", 0, 0},
        {false, "1:0", "remote port must be > 0", 0, 0},
        {false, "1:65536",
         "error parsing remote port '65536': strconv.ParseUint: parsing \"65536\": value out of range", 0, 0},
        {false, "a:80", "error parsing local port 'a': strconv.ParseUint: parsing \"a\": invalid syntax", 0, 0},
        {false, "1:2:3", "invalid port format '1:2:3'", 0, 0},
        {true, "80", NULL, 80, 8080},
        {true, "http", NULL, 8080, 8080},
        {true, "1:81", NULL, 1, 9000},
        {true, ":same", NULL, 0, 82},
        {true, "84", "Service s does not have a service port 84", 0, 0},
        {true, "nope", "Service 's' does not have a named port 'nope'", 0, 0},
        {true, "1:lost", "Pod 'p' does not have a named port 'none'", 0, 0},
        {true, "dns", "UDP protocol is not supported for dns", 0, 0},
    };
    CLEANUP(json_free) struct json *pod = parse(pod_text);
    CLEANUP(json_free) struct json *service = parse(service_text);
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        struct port_pair pair = {0};
        int code = ports_parse(rows[i].text, rows[i].by_service ? service : pod, pod, &pair, &err);
        if (rows[i].failure != NULL) {
            assert_true(code < 0);
            assert_string_equal(err_text(&err), rows[i].failure);
            continue;
        }
        assert_int_equal(code, 0);
        assert_int_equal(pair.local, rows[i].local);
        assert_int_equal(pair.remote, rows[i].remote);
    }
}

/* --- archives */

static ssize_t read_buf(void *data, void *bytes, size_t len, struct err *err)
{
    struct buf *from = data;
    size_t n = len < from->len ? len : from->len;
    (void)err;
    if (n > 0)
        memcpy(bytes, from->data, n);
    buf_consume(from, n);
    return (ssize_t)n;
}

static void add(struct buf *archive, enum tar_type type, const char *path, const char *content, const char *link)
{
    struct tar_entry entry = {.type = type,
                              .path = xstrdup(path),
                              .link = xstrdup(link),
                              .size = (int64_t)strlen(content),
                              .mode = 0640,
                              .mtime_s = 7};
    tar_add_header(&entry, archive);
    buf_add_str(archive, content);
    tar_add_padding(entry.size, archive);
    tar_entry_done(&entry);
}

static void test_tar__there_and_back(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf archive = {0};
    CLEANUP(tar_entry_done) struct tar_entry entry = {0};
    char name[300] = {0}, bytes[16] = {0};
    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    add(&archive, TAR_FILE, "a/b", "hello", NULL);
    add(&archive, TAR_FOLDER, "d", "", NULL);
    add(&archive, TAR_SYMLINK, name, "", "../else");
    tar_add_end(&archive);
    struct tar_reader reader = {.source = read_buf, .data = &archive};
    assert_int_equal(tar_next(&reader, &entry, &err), 1);
    assert_int_equal(entry.type, TAR_FILE);
    assert_string_equal(entry.path, "a/b");
    assert_int_equal(entry.mode, 0640);
    assert_int_equal(tar_read(&reader, bytes, sizeof(bytes), &err), 5);
    assert_string_equal(bytes, "hello");
    assert_int_equal(tar_read(&reader, bytes, sizeof(bytes), &err), 0);
    assert_int_equal(tar_next(&reader, &entry, &err), 1);
    assert_int_equal(entry.type, TAR_FOLDER);
    assert_int_equal(tar_next(&reader, &entry, &err), 1);
    assert_int_equal(entry.type, TAR_SYMLINK);
    assert_string_equal(entry.path, name);
    assert_string_equal(entry.link, "../else");
    assert_int_equal(tar_next(&reader, &entry, &err), 0);
}

/* A header whose type and sizes were tampered with, its sum right again. */
static void tamper(struct buf *archive, char type, const char *size)
{
    unsigned sum = 0;
    archive->data[156] = type;
    if (size != NULL)
        memcpy(archive->data + 124, size, 12);
    memset(archive->data + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)archive->data[i];
    (void)snprintf(archive->data + 148, 8, "%06o", sum);
}

static void test_tar__hostile(void **state)
{
    CLEANUP(buf_done) struct buf archive = {0};
    CLEANUP(tar_entry_done) struct tar_entry entry = {0};
    struct tar_reader reader = {.source = read_buf, .data = &archive};
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    add(&archive, TAR_FILE, "f", "", NULL);
    tamper(&archive, '1', NULL);
    assert_int_equal(tar_next(&reader, &entry, &err), 1);
    assert_int_equal(entry.type, TAR_HARD_LINK);
    buf_clear(&archive);
    add(&archive, TAR_FILE, "f", "", NULL);
    tamper(&archive, 'S', NULL);
    assert_int_equal(tar_next(&reader, &entry, &err), ERR_UNSUPPORTED);
    err_clear(&err);
    buf_clear(&archive);
    add(&archive, TAR_FILE, "f", "", NULL);
    tamper(&archive, '0', "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"); /* 2^63 - 1 */
    assert_int_equal(tar_next(&reader, &entry, &err), ERR_PARSE);
    err_clear(&err);
    buf_clear(&archive);
    add(&archive, TAR_FILE, "f", "28 size=9223372036854775807\n", NULL);
    tamper(&archive, 'x', NULL);
    add(&archive, TAR_FILE, "f", "", NULL);
    assert_int_equal(tar_next(&reader, &entry, &err), ERR_TOO_BIG);
    err_clear(&err);
    buf_clear(&archive);
    add(&archive, TAR_FILE, "f", "", NULL);
    archive.data[0] = 'g';
    assert_int_equal(tar_next(&reader, &entry, &err), ERR_PARSE);
    err_clear(&err);
    buf_clear(&archive);
    buf_add_str(&archive, "cut");
    assert_int_equal(tar_next(&reader, &entry, &err), ERR_PARSE);
}

static void test_tar__safe_path(void **state)
{
    static const struct {
        const char *name, *prefix, *expected;
    } rows[] = {
        {"etc/passwd", "etc", "passwd"}, {"etc/a/../b", "etc", NULL},    {"etc/..", "etc", NULL},
        {"/etc/x", "", "etc/x"},         {"etc//./a/", "etc", "a"},      {"etc", "etc", ""},
        {"other", "etc", NULL},          {"../../root/x", "", NULL},     {"etc/a..b", "etc", "a..b"},
    };
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *got = tar_safe_path(rows[i].name, rows[i].prefix);
        assert_int_equal(got == NULL, rows[i].expected == NULL);
        assert_string_equal(strempty(got), strempty(rows[i].expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detach__filter),      cmocka_unit_test(test_detach__wrong_keys),
        cmocka_unit_test(test_ports__parse),        cmocka_unit_test(test_tar__there_and_back),
        cmocka_unit_test(test_tar__hostile),        cmocka_unit_test(test_tar__safe_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
