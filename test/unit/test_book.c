/* test_book.c: lines of a host's book. */
#include "fargate/book.h"

#include "trees.h"

#define UID "3a1c2f4e-9d1b-4c55-8f43-0a6b1d2c3e4f"
#define GOOD UID " default/web-0 12345 0.25vCPU 0.5GB 20Gi"

static void test_book__reads_what_it_writes(UNUSED void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    struct book_line line;

    assert_int_equal(book_line_parse(str_of(GOOD), &line, &err), 0);
    assert_string_equal(line.uid, UID);
    assert_true(str_is(line.pod, "default/web-0"));
    assert_int_equal(line.version, 12345);
    assert_int_equal(line.size.cpu_m, 250);
    assert_int_equal(line.size.mem_b, 512 << 20);
    assert_int_equal(line.size.storage_b, 20ll << 30);
    book_line_print(&line, &text);
    assert_string_equal(buf_text(&text), GOOD "\n");
}

static void test_book__exact_sizes_stay_exact(UNUSED void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    struct book_line line = {.uid = "u", .pod = str_of("a/b"), .version = UINT64_MAX,
                             .size = {.cpu_m = 17, .mem_b = 333ll << 20, .storage_b = (30ll << 30) + 1}};
    const struct fargate_size size = line.size;

    book_line_print(&line, &text);
    assert_int_equal(book_line_parse((struct str){text.data, text.len - 1}, &line, &err), 0);
    assert_true(line.version == UINT64_MAX);
    assert_memory_equal(&line.size, &size, sizeof(size));
}

static void test_book__bad_lines(UNUSED void **state)
{
    static const char *const lines[] = {
        "",
        UID,
        UID " default/web-0",
        UID " default/web-0 12345",
        UID " default/web-0 12345 0.25vCPU",
        UID " default/web-0 12345 0.25vCPU 0.5GB",
        UID " default/web-0 12345 0.25vCPU 0.5GB 20Gi more",
        UID " default/web-0 12345 0.25vCPU 0.5GB -1",
        UID " default/web-0 12345 0.25 0.5GB 20Gi",
        UID " default/web-0 x 0.25vCPU 0.5GB 20Gi",
        UID " default/web-0 18446744073709551616 0.25vCPU 0.5GB 20Gi",
        UID "  12345 0.25vCPU 0.5GB 20Gi",
        UID "0 default/web-0 12345 0.25vCPU 0.5GB 20Gi",
        " default/web-0 12345 0.25vCPU 0.5GB 20Gi",
    };

    for (size_t i = 0; i < countof(lines); i++) {
        CLEANUP(err_clear) struct err err = {0};
        struct book_line line = {.version = 7};

        if (book_line_parse(str_of(lines[i]), &line, &err) != ERR_PARSE || line.version != 7)
            fail_msg("'%s' was read", lines[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_book__reads_what_it_writes),
        cmocka_unit_test(test_book__exact_sizes_stay_exact),
        cmocka_unit_test(test_book__bad_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
