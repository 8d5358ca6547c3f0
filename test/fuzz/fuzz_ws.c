/*
 * fuzz_ws.c: frames as a server sends them, after the upgrade: whole messages, fragments, pings, closes, and what breaks the
 * protocol. None is over the limit, and the end is an end. Messages are those of exec: channel 3 has a Status.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/ws_internal.h"
#include "streams/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_status(const char *text, size_t len)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *status = NULL;
    int exit_code = -1;
    if (json_parse(text, len, &status, &err) < 0)
        return;
    int code = stream_read_status(status, &exit_code, &err);
    if ((code < 0) != (err.code != 0) || (code == 0 && (exit_code < 0 || exit_code > 255)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(ws_free) struct ws *ws = NEW(struct ws);
    CLEANUP(buf_done) struct buf message = {0};
    int ends[2];
    if (size > 32768 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return 0;
    ws->wire.fd = ends[0];
    size_t before = size / 2; /* half of it came with the upgrade's answer */
    buf_add(&ws->input, data, before);
    if (write(ends[1], data + before, size - before) != (ssize_t)(size - before) || shutdown(ends[1], SHUT_WR) < 0)
        abort();
    if (ws_begin_frames(ws, &err) < 0)
        abort();
    int result = 0;
    for (size_t n = 0; n <= size && (result = ws_receive(ws, &message, &err)) == 1; n++) {
        if (message.len > size || message.len > LIMIT_WS_MESSAGE)
            abort();
        if (message.len > 0 && message.data[0] == 3)
            check_status(message.data + 1, message.len - 1);
    }
    if (result == 0 || result == 1 || (result < 0) != (err.code != 0))
        abort(); /* the peer has ended: there is nothing to wait for */
    if (result == 2)
        ws_close(ws);
    (void)fd_close(ends[1]);
    return 0;
}
