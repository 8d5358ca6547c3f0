/*
 * keeper.c: the process that holds on. Between the two is a pair of sockets: each message carries one descriptor, its end tells
 * that the owner is gone.
 */
#include "net/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

struct keeper {
    int fd;
    pid_t pid;
};

union control { /* room for one descriptor, aligned */
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* --- in the process that holds on */

/* The next descriptor; -1: none came with it; -2: the owner is gone. */
static int receive(int fd)
{
    char byte;
    union control control;
    struct iovec text = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT); /* an interrupted poll tells nothing new */
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN) ? -1 : -2;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return -1;
    int received;
    memcpy(&received, CMSG_DATA(header), sizeof(received));
    return received;
}

/* files[0] is the owner; of the others those are let go that were shut down. How many are left. */
static size_t let_go(struct pollfd *files, size_t n)
{
    size_t left = 1;
    for (size_t i = 1; i < n; i++) {
        if (files[i].revents != 0)
            (void)close(files[i].fd);
        else
            files[left++] = files[i];
    }
    return left;
}

static NORETURN void hold_on(int owner)
{
    static struct pollfd files[1 + KEEPER_MAX];
    size_t n = 1;
    int64_t until_ms = -1; /* the owner is gone, and this is how long we wait */

    files[0] = (struct pollfd){.fd = owner, .events = POLLIN};
    while (files[0].fd >= 0 || n > 1) {
        int64_t left_ms = until_ms < 0 ? -1 : until_ms - clock_monotonic_ms();
        if ((until_ms >= 0 && left_ms <= 0) || (poll(files, n, (int)left_ms) < 0 && errno != EINTR))
            break;
        bool asked = files[0].fd >= 0 && files[0].revents != 0;
        n = let_go(files, n);
        if (!asked)
            continue;
        int fd = receive(owner);
        if (fd == -2) {
            files[0].fd = -1; /* poll passes over it */
            until_ms = clock_monotonic_ms() + KEEPER_PATIENCE_MS;
        } else if (fd >= 0 && n <= KEEPER_MAX) {
            files[n++] = (struct pollfd){.fd = fd, .events = POLLRDHUP};
        } else if (fd >= 0) {
            (void)close(fd);
        }
    }
    _exit(0);
}

/* Neither the owner's files nor its folder nor its terminal are held. */
static NORETURN void begin(int owner)
{
    static const int quiet[] = {SIGINT, SIGTERM, SIGHUP};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        (void)dup2(null, fd);
    owner = dup2(owner, STDERR_FILENO + 1);
    if (null < 0 || owner < 0 || close_range((unsigned int)owner + 1, ~0U, 0) < 0 || chdir("/") < 0)
        _exit(1);
    (void)setsid();
    (void)prctl(PR_SET_NAME, "fks-keeper");
    for (size_t i = 0; i < countof(quiet); i++)
        (void)signal(quiet[i], SIG_IGN); /* meant for the owner */
    hold_on(owner);
}

/* --- in the owner */

int keeper_new(struct keeper **ret, struct err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return err_errno(err, errno, "making a pair of sockets");
    pid_t pid = fork();
    if (pid == 0)
        begin(ends[1]);
    int why = errno;
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return err_errno(err, why, "starting the process that holds connections");
    }
    struct keeper *keeper = NEW(struct keeper);
    *keeper = (struct keeper){ends[0], pid};
    *ret = keeper;
    return 0;
}

struct keeper *keeper_free(struct keeper *keeper)
{
    if (keeper == NULL)
        return NULL;
    (void)close(keeper->fd);
    (void)waitpid(keeper->pid, NULL, WNOHANG);
    free(keeper);
    return NULL;
}

void keeper_hold(struct keeper *keeper, int fd)
{
    char byte = 0;
    union control control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec text = {&byte, 1};
    const struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    (void)sendmsg(keeper->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}
