/* test_cluster_options.c: which flags each of the clusters' commands takes, by test/cases/cluster_flags.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "cmd/fks/cluster_options.h"

static int parse_words(const char *words, struct str flags, struct cluster_options *options, struct err *err)
{
    CLEANUP(xfree) char *line = xstrndup(flags.p, flags.len);
    static struct strv kept; /* options borrow from the words */
    strv_done(&kept);
    kept = (struct strv){0};
    strv_add(&kept, words);
    strv_split(&kept, line, ' ');
    struct cli cli = {0};
    int code = cluster_options_parse(&cli, options, NULL, words, "about", (int)kept.n, kept.items, err);
    return code;
}

/* command | flags | ok, ignored, or the error */
static void test_cluster_options__flags_of_each_command(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf cases = {0};
    CLEANUP(err_clear) struct err failed = {0};
    assert_int_equal(file_read("test/cases/cluster_flags.txt", 1 << 20, &cases, &failed), 0);
    struct str rest = {buf_text(&cases), cases.len}, line, words, flags, want;
    size_t n = 0;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        if (line.len == 0 || line.p[0] == '#')
            continue;
        assert_true(str_cut(line, '|', &words, &flags) && str_cut(flags, '|', &flags, &want));
        words = str_trim(words);
        want = str_trim(want);
        CLEANUP(xfree) char *command = xstrndup(words.p, words.len);
        CLEANUP(err_clear) struct err err = {0};
        struct cluster_options options = {0};
        int code = parse_words(command, str_trim(flags), &options, &err);
        const char *got = code < 0 ? err_text(&err) : options.n_ignored > 0 ? "ignored" : "ok";
        if (!str_is(want, got))
            fail_msg("%.*s: %s", (int)line.len, line.p, got);
        n++;
    }
    assert_true(n > 50);
}

static void test_cluster_options__values(void **state)
{
    (void)state;
    struct cluster_options options = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(parse_words("delete fargateprofile", STR("fp -c demo -w --timeout 2m"), &options, &err), 0);
    assert_string_equal(options.name, "fp");
    assert_string_equal(options.cluster, "demo");
    assert_true(options.wait);
    assert_int_equal(options.timeout_ms, 120000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cluster_options__flags_of_each_command),
        cmocka_unit_test(test_cluster_options__values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
