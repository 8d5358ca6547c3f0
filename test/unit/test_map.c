/* test_map.c: the map against a plain array, order, and deletion during iteration. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

#define N_KEYS 200

static void test_map__empty(void **state)
{
    CLEANUP(map_done) struct map map = {0};
    size_t i = 0;

    (void)state;
    assert_null(map_get(&map, "a"));
    assert_false(map_has(&map, "a"));
    assert_null(map_del(&map, "a"));
    assert_false(map_next(&map, &i, NULL, NULL));
}

static void test_map__set_returns_the_old_value(void **state)
{
    CLEANUP(map_done) struct map map = {0};
    int first = 1, second = 2;

    (void)state;
    assert_null(map_set(&map, "a", &first));
    assert_ptr_equal(map_set(&map, "a", &second), &first);
    assert_ptr_equal(map_get(&map, "a"), &second);
    assert_int_equal(map.n, 1);
    assert_null(map_set(&map, "", NULL));
    assert_true(map_has(&map, ""));
    assert_null(map_get(&map, ""));
}

static void test_map__like_an_array(void **state)
{
    CLEANUP(map_done) struct map map = {0};
    int values[N_KEYS] = {0};
    bool present[N_KEYS] = {false};
    uint32_t random = 1;
    size_t n = 0;

    (void)state;
    for (int step = 0; step < 20000; step++) {
        CLEANUP(xfree) char *key = NULL;
        size_t i;

        random = random * 1664525 + 1013904223;
        i = (random >> 8) % N_KEYS;
        key = xasprintf("key-%zu", i);
        assert_ptr_equal(map_get(&map, key), present[i] ? &values[i] : NULL);
        if (random >> 31) {
            map_set(&map, key, &values[i]);
            n += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(map_del(&map, key), present[i] ? &values[i] : NULL);
            n -= present[i];
            present[i] = false;
        }
        assert_int_equal(map.n, n);
    }
    /* holes are squeezed out: the table follows the live entries, not the history */
    assert_true(map.cap <= 1024);
}

static void test_map__iterates_in_order(void **state)
{
    CLEANUP(map_done) struct map map = {0};
    const char *key;
    size_t expected = 0;

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        CLEANUP(xfree) char *name = xasprintf("k%zu", i);

        map_set(&map, name, NULL);
    }
    for (size_t i = 0; map_next(&map, &i, &key, NULL); expected++) {
        CLEANUP(xfree) char *name = xasprintf("k%zu", expected);

        assert_string_equal(key, name);
    }
    assert_int_equal(expected, 100);
}

static void test_map__deletes_while_iterating(void **state)
{
    CLEANUP(map_done) struct map map = {0};
    const char *key;
    size_t visited = 0;

    (void)state;
    for (size_t i = 0; i < 50; i++) {
        CLEANUP(xfree) char *name = xasprintf("k%zu", i);

        map_set(&map, name, NULL);
    }
    for (size_t i = 0; map_next(&map, &i, &key, NULL); visited++) {
        CLEANUP(xfree) char *name = xstrdup(key);

        map_del(&map, name);
    }
    assert_int_equal(visited, 50);
    assert_int_equal(map.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map__empty),
        cmocka_unit_test(test_map__set_returns_the_old_value),
        cmocka_unit_test(test_map__like_an_array),
        cmocka_unit_test(test_map__iterates_in_order),
        cmocka_unit_test(test_map__deletes_while_iterating),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
