/* test_queue.c: order, back-off and waking of fks-scheduler's queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/fks-scheduler/queue.h"

static void test_queue__first_in_first_out(void **state)
{
    struct queue queue;
    struct queue_item a = {0}, b = {0};

    (void)state;
    queue_init(&queue);
    assert_int_equal(queue_delay(&queue, 0), -1);
    assert_null(queue_next(&queue, 0));
    queue_add(&queue, &a);
    queue_add(&queue, &b);
    queue_add(&queue, &a); /* is in already */
    assert_int_equal(queue.n, 2);
    assert_int_equal(queue_delay(&queue, 0), 0);
    assert_ptr_equal(queue_next(&queue, 0), &a);
    assert_ptr_equal(queue_next(&queue, 0), &b);
    assert_null(queue_next(&queue, 0));
    assert_int_equal(queue.n, 0);
}

static void test_queue__back_off_doubles_to_a_minute_for_ever(void **state)
{
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct queue queue;
    struct queue_item item = {0};
    int64_t now = 5000;

    (void)state;
    queue_init(&queue);
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        queue_failed(&queue, &item, now);
        assert_int_equal(queue_delay(&queue, now), seconds[i] * 1000);
        assert_null(queue_next(&queue, now + seconds[i] * 1000 - 1));
        now += seconds[i] * 1000;
        assert_int_equal(queue_delay(&queue, now), 0);
        assert_ptr_equal(queue_next(&queue, now), &item);
    }
    queue_forgive(&item);
    queue_failed(&queue, &item, now);
    assert_int_equal(queue_delay(&queue, now), 1000);
}

static void test_queue__wake_puts_the_oldest_first(void **state)
{
    struct queue queue;
    struct queue_item fresh = {0}, once = {0}, once_too = {0}, twice = {0};

    (void)state;
    queue_init(&queue);
    queue_failed(&queue, &twice, 0);
    assert_ptr_equal(queue_next(&queue, 1000), &twice);
    queue_failed(&queue, &twice, 1000);
    queue_failed(&queue, &once, 1000);
    queue_failed(&queue, &once_too, 1001);
    queue_add(&queue, &fresh);
    queue_wake(&queue);
    assert_int_equal(queue.n, 4);
    assert_ptr_equal(queue_next(&queue, 1001), &twice);
    assert_ptr_equal(queue_next(&queue, 1001), &once);
    assert_ptr_equal(queue_next(&queue, 1001), &once_too);
    assert_ptr_equal(queue_next(&queue, 1001), &fresh);
    /* woken ones can fail and be added again */
    queue_failed(&queue, &once, 1001);
    queue_add(&queue, &once);
    assert_int_equal(queue.n, 1);
    assert_null(queue_next(&queue, 1001));
}

static void test_queue__remove_from_any_list(void **state)
{
    struct queue queue;
    struct queue_item a = {0}, b = {0}, c = {0};

    (void)state;
    queue_init(&queue);
    queue_add(&queue, &a);
    queue_failed(&queue, &b, 0);
    queue_remove(&queue, &a);
    queue_remove(&queue, &b);
    queue_remove(&queue, &c); /* never was in */
    assert_int_equal(queue.n, 0);
    assert_int_equal(queue_delay(&queue, 0), -1);
    queue_add(&queue, &a);
    assert_ptr_equal(queue_next(&queue, 0), &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue__first_in_first_out),
        cmocka_unit_test(test_queue__back_off_doubles_to_a_minute_for_ever),
        cmocka_unit_test(test_queue__wake_puts_the_oldest_first),
        cmocka_unit_test(test_queue__remove_from_any_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
