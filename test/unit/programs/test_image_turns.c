/* test_image_turns.c: how many pulls go at a time. */
#include "cmd/fks-node/images/image_turns.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

static int begun[8], n_begun;
static struct image_turns *giving; /* gives its turn back at once */

static void note(void *data)
{
    begun[n_begun++] = *(int *)data;
    if (giving != NULL)
        image_turns_give(giving);
}

static void test_image_turns__in_line(void **state)
{
    int numbers[] = {0, 1, 2, 3, 4};
    struct image_turns *turns = image_turns_new(2);

    (void)state;
    n_begun = 0;
    for (int i = 0; i < 5; i++)
        image_turns_take(turns, note, &numbers[i]);
    assert_int_equal(n_begun, 2);
    image_turns_give(turns);
    assert_int_equal(n_begun, 3);
    assert_int_equal(begun[2], 2);
    giving = turns; /* the rest is through as soon as it begins */
    image_turns_give(turns);
    giving = NULL;
    assert_int_equal(n_begun, 5);
    assert_int_equal(begun[4], 4);
    image_turns_give(turns);
    image_turns_take(turns, note, &numbers[0]);
    image_turns_take(turns, note, &numbers[1]);
    assert_int_equal(n_begun, 7);
    image_turns_take(turns, note, &numbers[2]);
    assert_int_equal(n_begun, 7);
    image_turns_free(turns); /* with one in line */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_turns__in_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
