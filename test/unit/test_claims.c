/* test_claims.c: the table test/cases/claims.txt. */
#include "fargate/claims.h"

#include "trees.h"

static struct json *tree_or_null(const char *text)
{
    return streq(text, "-") ? NULL : tree_of(text);
}

static void check_line(char *line)
{
    static const char *const names[] = {"usable", "waits", "refused"};
    char *volume_text = strrchr(line, '|'), *claim_text;

    assert_non_null(volume_text);
    *(volume_text - 1) = '\0';
    claim_text = strrchr(line, '|');
    assert_non_null(claim_text);
    *(claim_text - 1) = '\0';
    CLEANUP(json_free) struct json *claim = tree_or_null(claim_text + 2);
    CLEANUP(json_free) struct json *volume = tree_or_null(volume_text + 2);
    CLEANUP(buf_done) struct buf why = {0};
    char *text = line;
    const char *expected = next_word(&text);
    enum claim_verdict verdict = claim_check("v", "data", claim, volume, &why);

    if (!streq(names[verdict], expected) || (text != NULL && strstr(buf_text(&why), text) == NULL))
        fail_msg("%s %s: %s %s", expected, strempty(text), names[verdict], buf_text(&why));
}

static void test_claims__cases(UNUSED void **state)
{
    for_each_case("test/cases/claims.txt", check_line);
}

static void test_claims__of_volume(UNUSED void **state)
{
    CLEANUP(json_free) struct json *claim = tree_of("{name: v, persistentVolumeClaim: {claimName: data}}");
    CLEANUP(json_free) struct json *other = tree_of("{name: v, emptyDir: {}}");

    assert_string_equal(claim_of_volume(claim), "data");
    assert_null(claim_of_volume(other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims__cases),
        cmocka_unit_test(test_claims__of_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
