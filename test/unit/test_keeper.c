/* test_keeper.c: connections outlive the process that made them, and only those that it had not done with. */
#include "net/keeper.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

/* What the owner does with its end of the connection once the keeper has a copy. */
enum owner_end { KILLED, FREES, SHUTS_DOWN };

struct scene {
    pid_t owner;
    int server; /* the other end of its connection */
};

static void be_owner(int connection, int ready, enum owner_end what)
{
    CLEANUP(err_clear) struct err err = {0};
    struct keeper *keeper;

    if (keeper_new(&keeper, &err) < 0)
        _exit(1);
    keeper_hold(keeper, connection);
    if (what == SHUTS_DOWN)
        (void)shutdown(connection, SHUT_RDWR);
    (void)close(connection);
    if (what == FREES)
        keeper_free(keeper);
    if (write(ready, "", 1) != 1)
        _exit(1);
    while (what != FREES)
        (void)pause();
    _exit(0);
}

static struct scene play(enum owner_end what)
{
    int ends[2], ready[2];
    char byte;
    struct scene scene;

    /* the keeper becomes our child when its owner has died */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pipe(ready), 0);
    scene.owner = fork();
    assert_true(scene.owner >= 0);
    if (scene.owner == 0) {
        (void)close(ends[1]);
        be_owner(ends[0], ready[1], what);
    }
    (void)close(ends[0]);
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    scene.server = ends[1];
    return scene;
}

static void end_owner(const struct scene *scene)
{
    (void)kill(scene->owner, SIGKILL);
    assert_int_equal(waitpid(scene->owner, NULL, 0), scene->owner);
}

static void assert_connected(int server)
{
    char byte;

    assert_int_equal(recv(server, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(send(server, "x", 1, MSG_NOSIGNAL), 1);
}

/* The only child that is left is the keeper, and it ends by itself. */
static void assert_keeper_ends(void)
{
    int status;

    assert_true(waitpid(-1, &status, 0) > 0);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(-1, &status, 0), -1);
}

static void test_keeper__owner_killed(void **state)
{
    struct scene scene = play(KILLED);

    (void)state;
    end_owner(&scene);
    assert_connected(scene.server);
    (void)close(scene.server); /* the answer has come, or the server has ended */
    assert_keeper_ends();
}

static void test_keeper__owner_frees_it(void **state)
{
    struct scene scene = play(FREES);

    (void)state;
    end_owner(&scene);
    assert_connected(scene.server);
    (void)close(scene.server);
    assert_keeper_ends();
}

static void test_keeper__what_is_done_with_is_let_go(void **state)
{
    struct scene scene = play(SHUTS_DOWN);
    char byte;

    (void)state;
    assert_int_equal(read(scene.server, &byte, 1), 0);
    end_owner(&scene);
    assert_keeper_ends(); /* while the server has still its end */
    (void)close(scene.server);
}

static void test_keeper__nothing_held(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    struct keeper *keeper;

    (void)state;
    assert_int_equal(keeper_new(&keeper, &err), 0);
    keeper_hold(keeper, -1); /* is not possible */
    keeper_free(keeper);
    (void)waitpid(-1, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeper__owner_killed),
        cmocka_unit_test(test_keeper__owner_frees_it),
        cmocka_unit_test(test_keeper__what_is_done_with_is_let_go),
        cmocka_unit_test(test_keeper__nothing_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
