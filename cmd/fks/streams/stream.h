/*
 * stream.h: an interactive stream to a container (exec, attach) over WebSocket, subprotocol v5.channel.k8s.io: the
 * first byte of each message is the channel.
 */
#pragma once

#include "cli.h"

struct ws;

/* A WebSocket to a path of the API server as who we are; refusals are the server's words. After cli_connect. */
int stream_connect(struct cli *cli, const char *path, const char *const *protocols, struct ws **ret,
                   struct err *err) MUST_CHECK;

/* Path and query of exec (command) or attach (command NULL) to a container. Heap string. */
char *stream_path(const struct json *pod, const char *subresource, const char *container, const struct strv *command,
                  bool use_stdin, bool tty) MUST_CHECK;

struct stream_options {
    const char *path; /* with query */
    bool use_stdin, tty;
    bool quiet;
    bool redraw;             /* tty: the size is told as another one first, so that a program draws its screen anew */
    const char *detach_keys; /* tty: keys that end the input, as in detach.h; or NULL */
};
/*
 * Joins the container's streams to ours until the remote side ends. *ret_exit_code is the remote program's. tty: our
 * terminal is raw meanwhile and its size is passed on. ERR_* for anything but the program's own exit code.
 */
int stream_run(struct cli *cli, const struct stream_options *options, int *ret_exit_code, struct err *err) MUST_CHECK;
/*
 * What -i and -t come to: a terminal is only used when stdin is one; says so on stderr otherwise. Returns whether to
 * ask for a terminal.
 */
bool stream_wants_tty(bool use_stdin, bool tty, bool quiet);
/* The remote program's exit code from what came on the status channel; NULL is success. ERR_* when it did not run. */
int stream_read_status(const struct json *status, int *ret_exit_code, struct err *err) MUST_CHECK;
/* On stderr, before a session with a container's main program: what is typed there ends up in its log. */
void stream_warn_of_logs(void);
