/* test_grpc.c: frames, statuses, and answers of the CRI decoded from bytes. */
#include "cri/grpc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cri/runtime_internal.h"

static void test_grpc__frame_and_back(void **state)
{
    CLEANUP(buf_done) struct buf frame = {0};
    CLEANUP(err_clear) struct err err = {0};
    const char *message;
    size_t len;

    (void)state;
    grpc_frame("hello", 5, &frame);
    assert_int_equal(frame.len, 10);
    assert_memory_equal(frame.data, "\0\0\0\0\5hello", 10);
    assert_int_equal(grpc_unframe(frame.data, frame.len, &message, &len, &err), 0);
    assert_int_equal(len, 5);
    assert_memory_equal(message, "hello", 5);
    buf_clear(&frame);
    grpc_frame(NULL, 0, &frame);
    assert_int_equal(grpc_unframe(frame.data, frame.len, &message, &len, &err), 0);
    assert_int_equal(len, 0);
}

static void test_grpc__refuses_broken_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum err_code code;
    } rows[] = {
        {"", 0, ERR_PARSE},
        {"\0\0\0\0", 4, ERR_PARSE},
        {"\1\0\0\0\1x", 6, ERR_PARSE},        /* compressed */
        {"\0\0\0\0\2x", 6, ERR_PARSE},        /* short */
        {"\0\0\0\0\1xy", 7, ERR_PARSE},       /* trailing bytes */
        {"\0\xff\xff\xff\xff", 5, ERR_TOO_BIG},
        {"\0\1\0\0\1", 5, ERR_TOO_BIG},       /* one byte over LIMIT_GRPC_MESSAGE */
        {"\0\1\0\0\0", 5, ERR_PARSE},         /* exactly that many are announced, none came */
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        const char *message;
        size_t len;

        assert_int_equal(grpc_unframe(rows[i].bytes, rows[i].len, &message, &len, &err), rows[i].code);
    }
}

static void test_grpc__status_codes(void **state)
{
    static const struct {
        const char *status, *message;
        int code;
        const char *text;
    } rows[] = {
        {"0", NULL, 0, "no error"},
        {"0", "ignored", 0, "no error"},
        {"1", "x", ERR_CANCELLED, "x"},
        {"3", "x", ERR_INVALID, "x"},
        {"4", "deadline%20exceeded", ERR_TIMEOUT, "deadline exceeded"},
        {"5", "no%0Asuch", ERR_NOT_FOUND, "no such"},
        {"6", "x", ERR_EXISTS, "x"},
        {"7", "x", ERR_FORBIDDEN, "x"},
        {"8", "x", ERR_TOO_BIG, "x"},
        {"12", "x", ERR_UNSUPPORTED, "x"},
        {"14", "x", ERR_REFUSED, "x"},
        {"16", "x", ERR_UNAUTHORIZED, "x"},
        {"2", "50% done", ERR_INTERNAL, "50% done"}, /* broken escape: shown as it is */
        {"2", NULL, ERR_INTERNAL, "gRPC status 2 without a message"},
        {NULL, "x", ERR_PARSE, "gRPC answer ends without a status"},
        {"five", "x", ERR_PARSE, "gRPC answer has status 'five'"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};

        assert_int_equal(grpc_status(rows[i].status, rows[i].message, &err), rows[i].code);
        assert_string_equal(err_text(&err), rows[i].text);
    }
}

/* --- answers */

static const struct cri_method *method_named(const char *name)
{
    const struct cri_method *const *lists[] = {cri_runtime_methods, cri_image_methods, cri_stream_methods};

    for (size_t i = 0; i < countof(lists); i++)
        for (size_t j = 0; lists[i][j] != NULL; j++)
            if (streq(lists[i][j]->name, name))
                return lists[i][j];
    fail();
    return NULL;
}

struct seen {
    int calls;
    int code;
    char text[200];
};

static void on_containers(const struct cri_container *items, size_t n, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    seen->code = err->code;
    if (err->code != 0)
        (void)snprintf(seen->text, sizeof(seen->text), "%s", err_text(err));
    else
        (void)snprintf(seen->text, sizeof(seen->text), "%zu %s %s %u %d %s", n, items[0].id, items[0].name,
                       items[0].attempt, items[0].state, cri_pairs_get(&items[0].labels, "k"));
}

static void test_cri__containers_from_bytes(void **state)
{
    Runtime__V1__ListContainersResponse answer = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;
    Runtime__V1__Container container = RUNTIME__V1__CONTAINER__INIT;
    Runtime__V1__Container *items[] = {&container};
    Runtime__V1__ContainerMetadata metadata = RUNTIME__V1__CONTAINER_METADATA__INIT;
    Runtime__V1__Container__LabelsEntry label = RUNTIME__V1__CONTAINER__LABELS_ENTRY__INIT;
    Runtime__V1__Container__LabelsEntry *labels[] = {&label};
    CLEANUP(buf_done) struct buf frame = {0};
    uint8_t bytes[200];
    size_t len;
    struct seen seen = {0};
    const union cri_done done = {.containers = on_containers};

    (void)state;
    container.id = cri_text("abc");
    container.metadata = &metadata;
    metadata.name = cri_text("web");
    metadata.attempt = 3;
    container.state = (Runtime__V1__ContainerState)77; /* of a later version */
    label.key = cri_text("k");
    label.value = cri_text("v");
    container.n_labels = 1;
    container.labels = labels;
    answer.n_containers = 1;
    answer.containers = items;
    len = protobuf_c_message_pack(&answer.base, bytes);
    grpc_frame(bytes, len, &frame);
    cri_answer(method_named("ListContainers"), frame.data, frame.len, "0", NULL, done, &seen);
    assert_int_equal(seen.code, 0);
    assert_string_equal(seen.text, "1 abc web 3 3 v");

    /* every cut of it is an error, told once */
    for (size_t cut = 0; cut < frame.len; cut++) {
        seen = (struct seen){0};
        cri_answer(method_named("ListContainers"), frame.data, cut, "0", NULL, done, &seen);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.code, ERR_PARSE);
    }
    seen = (struct seen){0};
    cri_answer(method_named("ListContainers"), "", 0, "5", "gone", done, &seen);
    assert_int_equal(seen.code, ERR_NOT_FOUND);
    assert_string_equal(seen.text, "ListContainers: gone");
}

static void test_cri__error_text(void **state)
{
    static const char *const rows[][2] = {
        {"PullImage: failed to pull: no such host", "failed to pull: no such host"},
        {"PullImage: Foo: bar", "Foo: bar"},
        {"failed: twice", "failed: twice"},
        {"No space: left", "No space: left"},
        {"PullImage:none", "PullImage:none"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        err_set(&err, ERR_INTERNAL, "%s", rows[i][0]);
        assert_string_equal(cri_error_text(&err), rows[i][1]);
    }
}

static void test_cri__status_without_status(void **state)
{
    struct seen seen = {0};
    const union cri_done done = {.containers = on_containers};

    (void)state;
    cri_answer(method_named("ContainerStatus"), "\0\0\0\0\0", 5, "0", NULL, done, &seen);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.code, ERR_PARSE);
}

static void test_cri__garbage_is_no_message(void **state)
{
    struct seen seen = {0};
    const union cri_done done = {.containers = on_containers};

    (void)state;
    cri_answer(method_named("ListContainers"), "\0\0\0\0\2\x0a\x7f", 7, "0", NULL, done, &seen);
    assert_int_equal(seen.code, ERR_PARSE);
}

/* --- requests */

static void test_cri__sandbox_request(void **state)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    struct cri_pair label = {"app", "web"};
    const char *const servers[] = {"10.96.0.10", NULL};
    const int64_t groups[] = {7, 8};
    const struct cri_sandbox_config config = {
        .name = "web",
        .uid = "u1",
        .namespace = "default",
        .attempt = 2,
        .hostname = "web",
        .dns_servers = servers,
        .labels = {&label, 1},
        .security = {.pid = CRI_NS_CONTAINER,
                     .run_as_user = {true, 0},
                     .supplemental_groups = groups,
                     .n_supplemental_groups = 2},
        .resources = {.cpu_quota = 25000},
    };
    const Runtime__V1__PodSandboxConfig *message = cri_encode_sandbox(&scratch, &config);

    (void)state;
    assert_string_equal(message->metadata->namespace_, "default");
    assert_int_equal(message->metadata->attempt, 2);
    assert_int_equal(message->dns_config->n_servers, 1);
    assert_string_equal(message->labels[0]->value, "web");
    assert_int_equal(message->linux->security_context->namespace_options->pid, 1);
    assert_non_null(message->linux->security_context->run_as_user); /* root, not unset */
    assert_null(message->linux->security_context->run_as_group);
    assert_int_equal(message->linux->security_context->supplemental_groups[1], 8);
    assert_int_equal(message->linux->resources->cpu_quota, 25000);
    assert_string_equal(message->log_directory, ""); /* NULL in, empty out */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc__frame_and_back),
        cmocka_unit_test(test_grpc__refuses_broken_frames),
        cmocka_unit_test(test_grpc__status_codes),
        cmocka_unit_test(test_cri__containers_from_bytes),
        cmocka_unit_test(test_cri__error_text),
        cmocka_unit_test(test_cri__status_without_status),
        cmocka_unit_test(test_cri__garbage_is_no_message),
        cmocka_unit_test(test_cri__sandbox_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
