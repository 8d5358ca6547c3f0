/* Who may change a cluster, and which numbers are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cluster/claim.h"
#include "home.h"
#include "test/unit/temporary.h"

/* The folder of a cluster in a home of its own. */
static char *make_home(const char *name, int number)
{
    CLEANUP(err_clear) struct err err = {0};
    struct cluster cluster = {.name = xstrdup(name), .region = xstrdup("local"), .version = xstrdup("v1.36.3"),
                              .assets = xstrdup("/assets"), .home = home_of_cluster(name), .number = number};
    assert_int_equal(dir_make(cluster.home, 0700, &err), 0);
    assert_int_equal(claim_prepare(cluster.home, &err), 0);
    assert_int_equal(cluster_save(&cluster, &err), 0);
    char *home = xstrdup(cluster.home);
    cluster_done(&cluster);
    return home;
}

static int setup(void **state)
{
    *state = temporary_folder();
    return setenv("FKS_HOME", *state, 1);
}

static int teardown(void **state)
{
    temporary_remove(*state);
    return 0;
}

/* A process that has the cluster until it is killed. */
static pid_t holder(const char *home)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = {0};
        int fd = -1;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (claim_cluster(home, &fd, &err) == 0)
            (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void test_cluster__is_free_when_its_holder_is_killed(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *home = make_home("held", 0);
    CLEANUP(fd_close) int fd = -1;
    assert_false(claim_is_held(home));
    pid_t pid = holder(home);
    assert_true(claim_is_held(home));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(claim_is_held(home));
    assert_int_equal(claim_cluster(home, &fd, &err), 0);
    assert_false(claim_is_held(home)); /* by another */
}

/* Who waited for a delete finds no cluster, not one without a folder. */
static void test_cluster__deleted_meanwhile_is_not_found(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *home = make_home("gone", 0);
    CLEANUP(fd_close) int fd = -1;
    pid_t pid = holder(home);
    pid_t waiting = fork();
    if (waiting == 0) {
        struct err failure = {0};
        int mine = -1;
        (void)close(STDERR_FILENO);
        _exit(claim_cluster(home, &mine, &failure) == ERR_NOT_FOUND ? 0 : 1);
    }
    CLEANUP(xfree) char *description = path_join(home, "cluster.json", NULL);
    assert_int_equal(unlink(description), 0);
    assert_int_equal(dir_remove(home, &err), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status = -1;
    assert_int_equal(waitpid(waiting, &status, 0), waiting);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(claim_cluster(home, &fd, &err), ERR_NOT_FOUND);
}

static void test_numbers__of_stopped_clusters_are_taken(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *a = make_home("a", 5);
    CLEANUP(xfree) char *b = make_home("b", CLUSTER_MAX - 1);
    CLEANUP(xfree) char *damaged = home_of_cluster("damaged");
    bool taken[CLUSTER_MAX] = {false};
    assert_int_equal(dir_make(damaged, 0700, &err), 0);
    assert_int_equal(claim_numbers(taken, &err), 0);
    assert_true(taken[5] && taken[CLUSTER_MAX - 1]);
    assert_false(taken[6]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cluster__is_free_when_its_holder_is_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster__deleted_meanwhile_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers__of_stopped_clusters_are_taken, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
