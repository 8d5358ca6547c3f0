/*
 * port_forward.c: `port-forward`: ports of this machine that lead into a pod. Each connection is a child process with a
 * WebSocket of its own (subprotocol v4.channel.k8s.io: channel 0 carries the bytes, 1 an error, and the first message on
 * each is the port, little endian), so a slow one holds up nobody. That protocol cannot half-close: after the local end
 * of file the answer is still awaited for a while.
 *
 * As with kubectl a session ends when a connection fails at the pod, or when the pod goes.
 */
#include "streams/ports.h"
#include "streams/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/ws.h"

#define LISTENERS_MAX 64
#define CHUNK 16384
#define TO_LOCAL_MAX MIB(1) /* then the pod has to wait */
#define AFTER_END_MS 10000 /* how long an answer may be on its way after the local end of file */

enum channel { CHANNEL_DATA, CHANNEL_ERROR };

struct forward {
    struct cli *cli;
    struct strv addresses;
    int64_t pod_timeout_ms;
    struct json *pod;
    struct port_pair pairs[PORTS_MAX];
    size_t n_pairs;
    bool localhost; /* "localhost" stands for both loopback addresses */
    int listeners[LISTENERS_MAX];
    const struct port_pair *pair_of[LISTENERS_MAX];
    size_t n_listeners;
    int signals;        /* signalfd of SIGCHLD and SIGINT */
    struct ws *session; /* see open_session; or NULL */
};

/* --- one connection, in a process of its own */

struct tunnel {
    struct ws *ws;
    int local;
    int port;
    struct buf to_local; /* what the local side does not take yet; it must not hold up what that side sends */
    bool local_open, local_gone;
    bool seen_data, seen_error; /* the first message of a channel is the port */
};

static int take_message(struct tunnel *tunnel, const struct buf *message, struct err *err)
{
    if (message->len == 0)
        return 0;
    int channel = (unsigned char)message->data[0];
    bool *seen = channel == CHANNEL_DATA ? &tunnel->seen_data : &tunnel->seen_error;
    size_t skip = *seen ? 1 : 3;
    if (channel > CHANNEL_ERROR || message->len < skip)
        return 0;
    *seen = true;
    if (channel == CHANNEL_DATA) {
        buf_add(&tunnel->to_local, message->data + skip, message->len - skip);
        return 0;
    }
    if (message->len > skip)
        return err_set(err, ERR_IO, "%.*s", (int)(message->len - skip), message->data + skip);
    return 0;
}

static void write_local(struct tunnel *tunnel)
{
    while (tunnel->to_local.len > 0) {
        ssize_t n = send(tunnel->local, tunnel->to_local.data, tunnel->to_local.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            tunnel->local_gone = errno != EAGAIN;
            return;
        }
        buf_consume(&tunnel->to_local, (size_t)n);
    }
}

/* Takes what has come, as far as the local side keeps up. 1: the other side has closed. */
static int take_messages(struct tunnel *tunnel, struct err *err)
{
    while (tunnel->to_local.len < TO_LOCAL_MAX && !tunnel->local_gone) {
        CLEANUP(buf_done) struct buf message = {0};
        int got = ws_receive(tunnel->ws, &message, err);
        if (got == 1 && take_message(tunnel, &message, err) < 0)
            return err->code;
        if (got == 2)
            return 1;
        if (got <= 0)
            return got;
        write_local(tunnel);
    }
    return 0;
}

static int send_local(struct tunnel *tunnel, struct err *err)
{
    char bytes[CHUNK + 1];
    ssize_t n = read(tunnel->local, bytes + 1, CHUNK);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0) {
        tunnel->local_open = false;
        return 0;
    }
    bytes[0] = CHANNEL_DATA;
    return ws_send(tunnel->ws, bytes, (size_t)n + 1, err);
}

/* One wait, and what came of it. 1: through. */
static int tunnel_turn(struct tunnel *tunnel, bool remote_open, struct err *err)
{
    bool full = tunnel->to_local.len >= TO_LOCAL_MAX;
    short local_events = (short)((tunnel->local_open && remote_open ? POLLIN : 0) | (tunnel->to_local.len > 0 ? POLLOUT : 0));
    struct pollfd sources[2] = {{.fd = remote_open && !full ? ws_fd(tunnel->ws) : -1, .events = POLLIN},
                                {.fd = local_events != 0 ? tunnel->local : -1, .events = local_events}};
    int n = poll(sources, 2, local_events != 0 ? -1 : AFTER_END_MS);
    if (n == 0)
        return 1;
    if (n < 0)
        return errno == EINTR ? 0 : err_errno(err, errno, "poll");
    write_local(tunnel);
    if (tunnel->local_open && remote_open && (sources[1].revents & ~POLLOUT) != 0)
        return send_local(tunnel, err);
    return 0;
}

static int run_tunnel(struct tunnel *tunnel, struct err *err)
{
    bool remote_open = true;
    while (!tunnel->local_gone) {
        int ended = remote_open ? take_messages(tunnel, err) : 0;
        remote_open = remote_open && ended == 0;
        if (ended >= 0 && !remote_open && tunnel->to_local.len == 0)
            return 0;
        if (ended == 0 || ended == 1)
            ended = tunnel_turn(tunnel, remote_open, err);
        if (ended != 0)
            return ended < 0 ? ended : 0;
    }
    return 0;
}

static int carry(const struct forward *forward, const struct port_pair *pair, int local, struct err *err)
{
    static const char *const protocols[] = {"v4.channel.k8s.io", NULL};
    CLEANUP(ws_free) struct ws *ws = NULL;
    CLEANUP(xfree)
    char *plain = kube_path("", "v1", json_str(forward->pod, "metadata", "namespace", NULL), "pods",
                            json_str(forward->pod, "metadata", "name", NULL), "portforward");
    CLEANUP(xfree) char *path = xasprintf("%s?ports=%d", plain, pair->remote);
    if (stream_connect(forward->cli, path, protocols, &ws, err) < 0)
        return err->code;
    struct tunnel tunnel = {.ws = ws, .local = local, .port = pair->remote, .local_open = true};
    int code = fd_set_nonblocking(local, err) < 0 ? (int)err->code : run_tunnel(&tunnel, err);
    ws_close(ws);
    buf_done(&tunnel.to_local);
    return code;
}

static void start_tunnel(struct forward *forward, const struct port_pair *pair, int local)
{
    printf("Handling connection for %d\n", pair->local);
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid != 0) {
        if (pid < 0)
            fprintf(stderr, "error: cannot start a process for the connection: %s\n", strerror(errno));
        (void)fd_close(local);
        return;
    }
    CLEANUP(err_clear) struct err err = {0};
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* with the session its connections end */
    for (size_t i = 0; i < forward->n_listeners; i++)
        (void)fd_close(forward->listeners[i]);
    (void)fd_close(forward->signals);
    if (carry(forward, pair, local, &err) < 0)
        fprintf(stderr, "error: an error occurred forwarding %d -> %d: %s\n", pair->local, pair->remote, err_text(&err));
    (void)shutdown(local, SHUT_RDWR);
    (void)fflush(stderr);
    _exit(err.code == 0 ? 0 : 1);
}

/* --- listening */

static int listen_at(struct forward *forward, const char *address, struct port_pair *pair, struct err *err)
{
    bool ipv6 = strchr(address, ':') != NULL;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)pair->local)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)pair->local)};
    struct sockaddr *name = ipv6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
    socklen_t len = ipv6 ? sizeof(six) : sizeof(four);
    const int on = 1;
    if (inet_pton(ipv6 ? AF_INET6 : AF_INET, address, ipv6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr) != 1)
        return err_set(err, ERR_USAGE, "%s is not a valid IP", address);
    if (forward->n_listeners == LISTENERS_MAX)
        return err_set(err, ERR_TOO_BIG, "more than %d addresses to listen on", LISTENERS_MAX);
    CLEANUP(fd_close) int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && ipv6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (fd < 0 || bind(fd, name, len) < 0 || listen(fd, SOMAXCONN) < 0 || getsockname(fd, name, &len) < 0)
        return err_errno(err, errno, "unable to create listener: Error listen tcp%c %s%s%s:%d: bind", ipv6 ? '6' : '4',
                         ipv6 ? "[" : "", address, ipv6 ? "]" : "", pair->local);
    pair->local = ntohs(ipv6 ? six.sin6_port : four.sin_port);
    printf("Forwarding from %s%s%s:%d -> %d\n", ipv6 ? "[" : "", address, ipv6 ? "]" : "", pair->local, pair->remote);
    forward->listeners[forward->n_listeners] = fd;
    forward->pair_of[forward->n_listeners++] = pair;
    fd = -1;
    return 0;
}

/* "localhost" is both loopback addresses, of which one is enough; of others each one is needed. */
static int listen_for(struct forward *forward, struct port_pair *pair, struct err *err)
{
    CLEANUP(strv_done) struct strv problems = {0};
    size_t n_localhost = 0, n_missed = 0, n_failed = 0;
    for (size_t i = 0; i < forward->addresses.n; i++) {
        CLEANUP(err_clear) struct err failure = {0};
        const char *address = forward->addresses.items[i];
        bool is_localhost = streq(address, "127.0.0.1") || streq(address, "::1");
        is_localhost = is_localhost && forward->localhost;
        n_localhost += is_localhost;
        if (listen_at(forward, address, pair, &failure) == 0)
            continue;
        strv_add(&problems, err_text(&failure));
        if (is_localhost)
            n_missed++;
        else
            n_failed++;
    }
    if (n_failed == 0 && (n_localhost == 0 || n_missed < n_localhost))
        return 0;
    CLEANUP(xfree) char *all = strv_join(&problems, " ");
    return err_set(err, ERR_IO, "Listeners failed to create with the following errors: [%s]", all);
}

static int listen_for_all(struct forward *forward, struct err *err)
{
    CLEANUP(buf_done) struct buf pairs = {0};
    bool any = false;
    for (size_t i = 0; i < forward->n_pairs; i++) {
        CLEANUP(err_clear) struct err failure = {0};
        struct port_pair *pair = &forward->pairs[i];
        if (listen_for(forward, pair, &failure) == 0)
            any = true;
        else
            fprintf(stderr, "Unable to listen on port %d: %s\n", pair->local, err_text(&failure));
        buf_printf(&pairs, "%s{%d %d}", i > 0 ? " " : "", pair->local, pair->remote);
    }
    return any ? 0 : err_set(err, ERR_IO, "unable to listen on any of the requested ports: [%s]", buf_text(&pairs));
}

/* kubectl's session ends with the first connection that fails at the pod, and so does this one. */
static bool has_failed(void)
{
    bool failed = false;
    int status;
    while (waitpid(-1, &status, WNOHANG) > 0)
        failed = failed || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return failed;
}

static bool is_interrupted(const struct forward *forward)
{
    struct signalfd_siginfo info;
    bool interrupted = false;
    while (read(forward->signals, &info, sizeof(info)) > 0)
        interrupted = interrupted || info.ssi_signo == SIGINT;
    return interrupted;
}

static bool session_has_ended(struct forward *forward)
{
    CLEANUP(buf_done) struct buf message = {0};
    CLEANUP(err_clear) struct err why = {0};
    int got = 1;
    while (forward->session != NULL && got == 1)
        got = ws_receive(forward->session, &message, &why);
    return forward->session != NULL && got != 0;
}

static int accept_for_ever(struct forward *forward, struct err *err)
{
    struct pollfd sources[LISTENERS_MAX + 2];
    size_t n = forward->n_listeners;
    for (size_t i = 0; i < n; i++)
        sources[i] = (struct pollfd){.fd = forward->listeners[i], .events = POLLIN};
    sources[n] = (struct pollfd){.fd = forward->signals, .events = POLLIN};
    sources[n + 1] = (struct pollfd){.fd = forward->session != NULL ? ws_fd(forward->session) : -1, .events = POLLIN};
    for (;;) {
        if (has_failed() || session_has_ended(forward))
            return err_set(err, ERR_IO, "lost connection to pod");
        if (poll(sources, n + 2, -1) < 0 && errno != EINTR)
            return err_errno(err, errno, "poll");
        if (is_interrupted(forward))
            return 0;
        for (size_t i = 0; i < n; i++) {
            if ((sources[i].revents & POLLIN) == 0)
                continue;
            int local = accept4(sources[i].fd, NULL, NULL, SOCK_CLOEXEC);
            if (local >= 0)
                start_tunnel(forward, forward->pair_of[i], local);
        }
    }
}

/* Ends of children, and Ctrl-C, which is the usual way to end, are told by a descriptor. */
static int watch_signals(struct forward *forward, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    (void)signal(SIGINT, SIG_DFL); /* a shell starts what is in its background with it ignored */
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    forward->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return forward->signals < 0 ? err_errno(err, errno, "signalfd") : 0;
}

/* --- the command */

static void add_once(struct strv *list, const char *text)
{
    if (!strv_has(list, text))
        strv_add(list, text);
}

/* IP addresses, each once, sorted as text; "localhost" becomes two. */
static int take_addresses(struct forward *forward, const struct strv *given, struct err *err)
{
    struct in6_addr ignored;
    for (size_t i = 0; i < (given->n > 0 ? given->n : 1); i++) {
        const char *address = given->n > 0 ? given->items[i] : "localhost";
        bool is_localhost = streq(address, "localhost");
        if (!is_localhost && inet_pton(AF_INET, address, &ignored) != 1 && inet_pton(AF_INET6, address, &ignored) != 1)
            return err_set(err, ERR_USAGE, "%s is not a valid IP", address);
        forward->localhost = forward->localhost || is_localhost;
        add_once(&forward->addresses, is_localhost ? "127.0.0.1" : address);
        if (is_localhost)
            add_once(&forward->addresses, "::1");
    }
    strv_sort(&forward->addresses);
    return 0;
}

static int find_target(struct forward *forward, const struct strv *args, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL;
    CLEANUP(json_free) struct json *pods = NULL;
    if (pods_read_object(forward->cli, args->items[0], &object, err) < 0 ||
        pods_of_object(forward->cli, object, PODS_TO_ATTACH, forward->pod_timeout_ms, &pods, err) < 0)
        return err->code;
    forward->pod = json_keep(json_at(pods, 0));
    for (size_t i = 1; i < args->n; i++) {
        if (forward->n_pairs == PORTS_MAX)
            return err_set(err, ERR_TOO_BIG, "more than %d ports", PORTS_MAX);
        if (ports_parse(args->items[i], object, forward->pod, &forward->pairs[forward->n_pairs++], err) < 0)
            return err->code;
    }
    const char *phase = json_str_or("", forward->pod, "status", "phase", NULL);
    if (!streq(phase, "Running"))
        return err_set(err, ERR_INVALID, "unable to forward port because pod is not running. Current status=%s", phase);
    return 0;
}

/*
 * kubectl's one connection, of which only the beginning and the end matter here: what cannot work is told before there is
 * a port to listen on, and a pod that is gone ends the session. A server that does not know it is no failure.
 */
static int open_session(struct forward *forward, struct err *err)
{
    static const char *const protocols[] = {"SPDY/3.1+portforward.k8s.io", NULL};
    CLEANUP(err_clear) struct err failure = {0};
    CLEANUP(xfree)
    char *path = kube_path("", "v1", json_str(forward->pod, "metadata", "namespace", NULL), "pods",
                           json_str(forward->pod, "metadata", "name", NULL), "portforward");
    if (stream_connect(forward->cli, path, protocols, &forward->session, &failure) == 0)
        return 0;
    if (failure.http_status > 0 && failure.reason == NULL)
        return 0;
    err_move(err, &failure);
    return err_wrap(err, "error upgrading connection");
}

static int run_forward(struct forward *forward, const struct strv *args, const struct strv *addresses)
{
    CLEANUP(err_clear) struct err err = {0};
    if (args->n < 2)
        return cli_error("TYPE/NAME and list of ports are required for port-forward\nSee '%s port-forward -h' for help "
                         "and examples",
                         forward->cli->program);
    if (forward->pod_timeout_ms <= 0)
        return cli_error("--pod-running-timeout must be higher than zero\nSee '%s port-forward -h' for help and examples",
                         forward->cli->program);
    if (find_target(forward, args, &err) < 0 || take_addresses(forward, addresses, &err) < 0 ||
        open_session(forward, &err) < 0 || watch_signals(forward, &err) < 0 || listen_for_all(forward, &err) < 0)
        return cli_fail(forward->cli, &err);
    (void)fflush(stdout);
    return accept_for_ever(forward, &err) < 0 ? cli_fail(forward->cli, &err) : 0;
}

int command_port_forward(struct cli *cli, int argc, char **argv)
{
    struct forward forward = {.cli = cli, .pod_timeout_ms = 60000, .signals = -1};
    CLEANUP(strv_done) struct strv addresses = {0};
    const struct opt options[] = {
        {"address", 0, OPT_LIST, &addresses, "[localhost]", "Addresses to listen on: IP addresses or localhost."},
        {"pod-running-timeout", 0, OPT_DURATION, &forward.pod_timeout_ms, "1m0s",
         "How long to wait until at least one pod is running."},
        {0},
    };
    const struct cli_command command = {
        .words = "port-forward",
        .usage = "TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]",
        .about = "Forward one or more local ports to a pod.",
        .examples = "  # Port 8080 of this machine leads to port 80 of a pod\n  kubectl port-forward pod/web-0 8080:80\n\n"
                    "  # A free port leads to the pod behind a service's port\n  kubectl port-forward svc/web :http\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_forward(&forward, &args, &addresses);
    strv_done(&forward.addresses);
    json_free(forward.pod);
    ws_free(forward.session);
    return code;
}
