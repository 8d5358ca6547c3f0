/*
 * stream.c: moves bytes between our terminal or pipes and a container. One poll loop: stdin, the WebSocket, window
 * size. https://kubernetes.io/docs/reference/kubernetes-api (v5.channel.k8s.io: a message 255, N closes channel N).
 */
#include "streams/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/ws.h"

#include "objects/identity.h"
#include "streams/detach.h"

enum channel { CHANNEL_STDIN, CHANNEL_STDOUT, CHANNEL_STDERR, CHANNEL_STATUS, CHANNEL_RESIZE, CHANNEL_CLOSE = 255 };

#define CHUNK 16384

struct session {
    struct ws *ws;
    bool stdin_open, tty, can_close; /* can_close: the protocol has a message for the end of stdin */
    struct detach detach;
    int signals;                     /* signalfd of SIGWINCH and of the ones that end us, or -1 */
    int ended_by;                    /* such a signal, or 0 */
    struct json *status;             /* what came on the status channel */
    struct err *err;
};

bool stream_wants_tty(bool use_stdin, bool tty, bool quiet)
{
    if (!use_stdin || !tty)
        return false;
    if (isatty(STDIN_FILENO))
        return true;
    if (!quiet)
        fputs("Unable to use a TTY - input is not a terminal or the right kind of file\n", stderr);
    return false;
}

void stream_warn_of_logs(void)
{
    fputs("All commands and output from this session will be recorded in container logs, including credentials and "
          "sensitive information passed through the command prompt.\n"
          "If you don't see a command prompt, try pressing enter.\n",
          stderr);
}

char *stream_path(const struct json *pod, const char *subresource, const char *container, const struct strv *command,
                  bool use_stdin, bool tty)
{
    CLEANUP(xfree)
    char *plain = kube_path("", "v1", json_str(pod, "metadata", "namespace", NULL), "pods",
                            json_str(pod, "metadata", "name", NULL), subresource);
    struct buf path = {0};
    buf_add_str(&path, plain);
    for (size_t i = 0; command != NULL && i < command->n; i++)
        kube_path_query(&path, "command", command->items[i]);
    kube_path_query(&path, "container", container);
    if (use_stdin)
        kube_path_query(&path, "stdin", "true");
    kube_path_query(&path, "stdout", "true");
    if (tty)
        kube_path_query(&path, "tty", "true");
    else
        kube_path_query(&path, "stderr", "true");
    return buf_take(&path);
}

/* --- dialling */

int stream_connect(struct cli *cli, const char *path, const char *const *protocols, struct ws **ret, struct err *err)
{
    const struct kube_config *config = &cli->config;
    CLEANUP(xfree) char *url = xasprintf("%s%s", config->server, path);
    CLEANUP(identity_done) struct identity headers = {0};
    CLEANUP(buf_done) struct buf refusal = {0};
    int code = identity_of(config, &headers, err);
    if (code == 0) {
        const struct ws_options options = {
            .url = url,
            .tls = {.ca_pem = config->ca_pem,
                    .cert_pem = config->cert_pem,
                    .key_pem = config->key_pem,
                    .server_name = config->tls_server_name,
                    .insecure = config->insecure},
            .headers = headers.list,
            .n_headers = headers.n,
            .protocols = protocols,
            .proxy = config->proxy_url,
        };
        code = ws_connect(&options, ret, &refusal, err);
    }
    if (code == 0)
        return 0;
    CLEANUP(json_free) struct json *status = NULL;
    struct err no_status = {0};
    if (err->http_status > 0 && json_parse(buf_text(&refusal), refusal.len, &status, &no_status) == 0) {
        int http_status = err->http_status;
        err_clear(err);
        if (http_status == 400)
            code =
                err_set(err, ERR_INVALID, "unable to upgrade connection: %s", json_str_or("", status, "message", NULL));
        else
            code = kube_status_error(status, http_status, err);
    }
    err_clear(&no_status);
    return code;
}

/* --- the session */

static int send_channel(struct session *session, unsigned char channel, const void *data, size_t len)
{
    unsigned char *message = xmalloc(len + 1);
    message[0] = channel;
    if (len > 0)
        memcpy(message + 1, data, len);
    int code = ws_send(session->ws, message, len + 1, session->err);
    free(message);
    return code;
}

static int send_size(struct session *session, int more)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    CLEANUP(xfree) char *text = xasprintf("{\"Width\":%d,\"Height\":%d}", size.ws_col + more, size.ws_row + more);
    return send_channel(session, CHANNEL_RESIZE, text, strlen(text));
}

static int forward_stdin(struct session *session)
{
    char bytes[CHUNK];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n > 0) {
        CLEANUP(buf_done) struct buf typed = {0};
        bool detached = detach_filter(&session->detach, bytes, (size_t)n, &typed);
        if (typed.len > 0 && send_channel(session, CHANNEL_STDIN, typed.data, typed.len) < 0)
            return session->err->code;
        if (!detached)
            return 0;
    }
    session->stdin_open = false;
    const unsigned char which = CHANNEL_STDIN;
    return session->can_close ? send_channel(session, CHANNEL_CLOSE, &which, 1) : 0;
}

/* 1: one that ends us. */
static int handle_signal(struct session *session)
{
    struct signalfd_siginfo info;
    if (read(session->signals, &info, sizeof(info)) != sizeof(info))
        return 0;
    if (info.ssi_signo == SIGWINCH)
        return send_size(session, 0);
    session->ended_by = (int)info.ssi_signo;
    return 1;
}

/* Until somebody reads what goes there; keys and signals are heard meanwhile. 1: a signal ends us. */
static int wait_for_reader(struct session *session, int fd)
{
    for (;;) {
        struct pollfd sources[3] = {
            {.fd = fd, .events = POLLOUT},
            {.fd = session->stdin_open ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = session->signals, .events = POLLIN},
        };
        if (poll(sources, 3, -1) < 0 && errno != EINTR)
            return err_errno(session->err, errno, "poll");
        int ended = sources[2].revents != 0 ? handle_signal(session) : 0;
        if (ended != 0 || sources[0].revents != 0)
            return ended;
        if (sources[1].revents != 0 && forward_stdin(session) < 0)
            return session->err->code;
    }
}

/*
 * With a terminal our signals come by signalfd, and a write that waits for a stopped pager would hear none of them: `exec -it ... |
 * less` could not be ended. So it is never more than a pipe with room surely takes. Without one, signals end us anyway.
 */
static int write_output(struct session *session, int fd, const char *data, size_t len)
{
    if (session->signals < 0)
        return fd_write_all(fd, data, len, session->err);
    while (len > 0) {
        size_t n = len < PIPE_BUF ? len : PIPE_BUF;
        int code = wait_for_reader(session, fd);
        if (code != 0)
            return code < 0 ? code : 0;
        if (fd_write_all(fd, data, n, session->err) < 0)
            return session->err->code;
        data += n;
        len -= n;
    }
    return 0;
}

static int handle_message(struct session *session, const struct buf *message)
{
    if (message->len == 0)
        return 0;
    unsigned char channel = (unsigned char)message->data[0];
    const char *data = message->data + 1;
    size_t len = message->len - 1;
    if ((channel == CHANNEL_STDOUT || channel == CHANNEL_STDERR) && len > 0)
        return write_output(session, channel == CHANNEL_STDOUT ? STDOUT_FILENO : STDERR_FILENO, data, len);
    if (channel == CHANNEL_STATUS && len > 0) {
        json_free(session->status);
        session->status = NULL;
        return json_parse(data, len, &session->status, session->err);
    }
    return 0;
}

/* Everything that has arrived. 1: the peer closed. */
static int receive_all(struct session *session)
{
    for (;;) {
        CLEANUP(buf_done) struct buf message = {0};
        int got = ws_receive(session->ws, &message, session->err);
        if (got == 1 && handle_message(session, &message) < 0)
            return session->err->code;
        if (got == 2 || session->ended_by != 0)
            return 1;
        if (got <= 0)
            return got;
    }
}

static int run_session(struct session *session, bool redraw)
{
    if (session->tty && ((redraw && send_size(session, 1) < 0) || send_size(session, 0) < 0))
        return session->err->code;
    int ended = receive_all(session);
    while (ended == 0) {
        struct pollfd sources[3] = {
            {.fd = ws_fd(session->ws), .events = POLLIN},
            {.fd = session->stdin_open ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = session->signals, .events = POLLIN},
        };
        if (poll(sources, 3, -1) < 0 && errno != EINTR)
            return err_errno(session->err, errno, "poll");
        if (sources[2].revents != 0)
            ended = handle_signal(session);
        if (sources[1].revents != 0 && forward_stdin(session) < 0)
            return session->err->code;
        if (ended == 0 && sources[0].revents != 0)
            ended = receive_all(session);
    }
    return ended < 0 ? ended : 0;
}

int stream_read_status(const struct json *status, int *ret_exit_code, struct err *err)
{
    static const char wrong[] = "error stream protocol error";
    const struct json *cause, *causes = json_get(status, "details", "causes", NULL);
    *ret_exit_code = 0;
    if (status == NULL || streq(json_str(status, "status", NULL), "Success"))
        return 0;
    if (!streq(json_str(status, "status", NULL), "Failure"))
        return err_set(err, ERR_PARSE, "%s: unknown error", wrong);
    if (!streq(json_str(status, "reason", NULL), "NonZeroExitCode"))
        return err_set(err, ERR_INTERNAL, "%s",
                       json_str_or("the remote side failed without a reason", status, "message", NULL));
    json_each(cause, causes) {
        CLEANUP(err_clear) struct err no_number = {0};
        const char *text = json_str_or("", cause, "message", NULL);
        int64_t code = 0;
        if (!streq(json_str(cause, "reason", NULL), "ExitCode"))
            continue;
        if (parse_int(text, 0, 255, &code, &no_number) < 0)
            return err_set(err, ERR_PARSE, "%s: invalid exit code value \"%s\"", wrong, text);
        *ret_exit_code = (int)code;
        return 0;
    }
    return err_set(err, ERR_PARSE, "%s: no ExitCode cause given", wrong);
}

static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void use_raw_terminal(struct termios *saved, sigset_t *saved_signals, int *ret_signals)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, saved) < 0)
        return;
    raw = *saved;
    cfmakeraw(&raw);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    sigset_t set;
    sigemptyset(&set);
    static const int numbers[] = {SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT}; /* all but the first end the session */
    for (size_t i = 0; i < countof(numbers); i++) {
        if (!is_ignored(numbers[i])) /* under nohup(1) a session outlives its terminal */
            sigaddset(&set, numbers[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &set, saved_signals);
    *ret_signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int stream_run(struct cli *cli, const struct stream_options *options, int *ret_exit_code, struct err *err)
{
    static const char *const protocols[] = {"v5.channel.k8s.io", "v4.channel.k8s.io", NULL};
    CLEANUP(ws_free) struct ws *ws = NULL;
    if (cli_connect(cli, err) < 0 || stream_connect(cli, options->path, protocols, &ws, err) < 0)
        return err->code;
    struct session session = {.ws = ws,
                              .stdin_open = options->use_stdin,
                              .tty = options->tty,
                              .signals = -1,
                              .err = err,
                              .can_close = streq(ws_protocol(ws), "v5.channel.k8s.io")};
    struct termios saved;
    sigset_t saved_signals;
    if (options->tty && options->detach_keys != NULL && detach_parse(options->detach_keys, &session.detach, err) < 0)
        return err_wrap(err, "could not bind detach keys");
    (void)fflush(stdout);
    sigemptyset(&saved_signals);
    if (options->tty)
        use_raw_terminal(&saved, &saved_signals, &session.signals);
    int code = run_session(&session, options->redraw);
    if (options->tty) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
        (void)sigprocmask(SIG_SETMASK, &saved_signals, NULL);
        if (session.signals >= 0)
            (void)fd_close(session.signals);
    }
    ws_close(ws);
    if (session.ended_by != 0)
        (void)raise(session.ended_by); /* the terminal is as it was, and nothing blocks it any more */
    if (code < 0 && session.status != NULL) { /* the verdict is in: how the connection ended does not matter */
        err_clear(err);
        code = 0;
    }
    if (code == 0)
        code = stream_read_status(session.status, ret_exit_code, err);
    json_free(session.status);
    return code;
}
