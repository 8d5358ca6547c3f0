/*
 * ws.c: WebSocket client: bytes over the connection that ws_connect.c made, framing by wslay, whole messages for the caller.
 * What a peer can make us keep is bounded: messages that nobody took yet, and answers that it does not take.
 * The socket is non-blocking inside; calls that may wait do so with poll. What the messages mean (channels of exec and
 * port-forward) is the caller's business.
 */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/ws_internal.h"

#define CLOSE_MS 1000       /* to get the close frame out */
#define QUEUE_ENOUGH MIB(1) /* received in one go: a peer may send more quickly than we read, for ever */
#define QUEUE_MAX MIB(64)   /* received while a send waits */
#define MESSAGE_COST 64     /* memory of a message beside its bytes, of which it may have none */
#define ANSWERS_MAX 1000    /* pongs that the peer does not take */

struct ws *ws_free(struct ws *ws)
{
    if (ws == NULL)
        return NULL;
    if (ws->frames != NULL)
        wslay_event_context_free(ws->frames);
    wire_done(&ws->wire);
    for (size_t i = ws->queue_at; i < ws->queue_n; i++)
        buf_done(&ws->queue[i]);
    free(ws->queue);
    buf_done(&ws->input);
    err_clear(&ws->failed);
    free(ws->protocol);
    free(ws);
    return NULL;
}

const char *ws_protocol(const struct ws *ws)
{
    return strempty(ws->protocol);
}

int ws_fd(const struct ws *ws)
{
    return ws->wire.fd;
}

int ws_wait(const struct ws *ws, short events, int64_t deadline, const char *what, struct err *err)
{
    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - clock_monotonic_ms();
        struct pollfd poll_fd = {.fd = ws->wire.fd, .events = events};
        if (deadline >= 0 && left <= 0)
            return err_set(err, ERR_TIMEOUT, "%s: timed out", what);
        int ready = poll(&poll_fd, 1, (int)left);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return err_errno(err, errno, "%s: poll", what);
    }
}

/* --- frames: wslay's callbacks */

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *data, size_t len, int flags, void *user)
{
    struct ws *ws = user;
    size_t n = 0;
    (void)flags;
    if (ws->input.len > 0) {
        n = ws->input.len < len ? ws->input.len : len;
        memcpy(data, ws->input.data, n);
        buf_consume(&ws->input, n);
        return (ssize_t)n;
    }
    if (ws->queue_bytes >= ws->queue_enough) {
        ws->drained = true;
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (ws->failed.code == 0 && wslay_event_get_queued_msg_count(frames) > ANSWERS_MAX)
        (void)err_set(&ws->failed, ERR_TOO_BIG, "the peer sends pings without reading the answers");
    int result = ws->failed.code != 0 ? -1 : wire_read(&ws->wire, data, len, &n, &ws->failed);
    if (result == TLS_DONE)
        return (ssize_t)n;
    ws->drained = true;
    if (result == TLS_CLOSED)
        (void)err_set(&ws->failed, ERR_IO, "the WebSocket was closed without a close frame");
    wslay_event_set_error(frames, ws->failed.code == 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t len, int flags, void *user)
{
    struct ws *ws = user;
    size_t n = 0;
    (void)flags;
    int result = ws->failed.code != 0 ? -1 : wire_write(&ws->wire, data, len, &n, &ws->failed);
    if (result == TLS_DONE)
        return (ssize_t)n;
    if (result == TLS_CLOSED)
        (void)err_set(&ws->failed, ERR_IO, "writing to the WebSocket: the connection was closed");
    wslay_event_set_error(frames, ws->failed.code == 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr frames, uint8_t *data, size_t len, void *user)
{
    (void)frames;
    (void)user;
    random_bytes(data, len);
    return 0;
}

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct ws *ws = user;
    (void)frames;
    if (message->opcode == WSLAY_CONNECTION_CLOSE)
        ws->closed = true;
    if (message->opcode != WSLAY_TEXT_FRAME && message->opcode != WSLAY_BINARY_FRAME)
        return;
    struct buf bytes = {0};
    buf_add(&bytes, message->msg, message->msg_length);
    GROW(ws->queue, ws->queue_n, ws->queue_cap);
    ws->queue[ws->queue_n++] = bytes;
    ws->queue_bytes += bytes.len + MESSAGE_COST;
}

int ws_begin_frames(struct ws *ws, struct err *err)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_msg_recv_callback = on_message,
    };
    if (wslay_event_context_client_init(&ws->frames, &callbacks, ws) != 0)
        return err_set(err, ERR_INTERNAL, "wslay cannot be initialised");
    wslay_event_config_set_max_recv_msg_length(ws->frames, LIMIT_WS_MESSAGE);
    ws->queue_enough = QUEUE_ENOUGH;
    return 0;
}

/* --- messages */

static int frame_failure(struct ws *ws, int result, const char *what, struct err *err)
{
    if (ws->failed.code != 0)
        return err_set(err, ws->failed.code, "%s", err_text(&ws->failed));
    return err_set(err, ERR_PARSE, "%s: WebSocket protocol error %d", what, result);
}

/* Reads what is there; answers pings and closes on the way. */
static int pump_in(struct ws *ws, struct err *err)
{
    int result;
    do { /* wslay stops at half a frame's head, though more of it may be there, where poll cannot see it */
        ws->drained = false;
        result = wslay_event_recv(ws->frames);
    } while (result == 0 && !ws->drained && !ws->closed && wslay_event_get_read_enabled(ws->frames));
    /* wslay stops reading after an error, some of which it only tells that way */
    if ((result != 0 || !wslay_event_get_read_enabled(ws->frames)) && !ws->closed)
        return frame_failure(ws, result, "receiving", err);
    if (wslay_event_want_write(ws->frames) && ws->failed.code == 0)
        (void)wslay_event_send(ws->frames);
    return 0;
}

/*
 * Sends all that is queued. Reads meanwhile: a peer that waits for us to take its output would otherwise never take ours.
 */
static int flush_while_reading(struct ws *ws, int64_t deadline, struct err *err)
{
    while (wslay_event_want_write(ws->frames)) {
        int result = wslay_event_send(ws->frames);
        if (result != 0)
            return frame_failure(ws, result, "sending", err);
        if (!wslay_event_want_write(ws->frames))
            break;
        if (ws->queue_bytes >= QUEUE_MAX)
            return err_set(err, ERR_TOO_BIG, "sending: the peer sends %zu bytes without reading", ws->queue_bytes);
        if (ws_wait(ws, POLLIN | POLLOUT, deadline, "sending", err) < 0 || pump_in(ws, err) < 0)
            return (int)err->code;
        if (ws->closed)
            return err_set(err, ERR_IO, "sending: the peer closed the WebSocket");
    }
    return 0;
}

static int flush(struct ws *ws, int64_t deadline, struct err *err)
{
    ws->queue_enough = QUEUE_MAX;
    int code = flush_while_reading(ws, deadline, err);
    ws->queue_enough = QUEUE_ENOUGH;
    return code;
}

int ws_send(struct ws *ws, const void *data, size_t len, struct err *err)
{
    struct wslay_event_msg message = {.opcode = WSLAY_BINARY_FRAME, .msg = data, .msg_length = len};
    int result = wslay_event_queue_msg(ws->frames, &message);
    if (result != 0)
        return err_set(err, ERR_IO, "sending: the WebSocket is closed");
    return flush(ws, -1, err);
}

int ws_receive(struct ws *ws, struct buf *ret, struct err *err)
{
    buf_clear(ret);
    if (ws->queue_at == ws->queue_n) {
        ws->queue_at = ws->queue_n = 0;
        if (!ws->closed && pump_in(ws, err) < 0 && ws->queue_n == 0)
            return (int)err->code;
    }
    if (ws->queue_n == 0)
        return ws->closed ? 2 : 0;
    err_clear(err); /* messages before a failure come first; it is met again */
    size_t max = ret->max;
    buf_done(ret);
    *ret = ws->queue[ws->queue_at++];
    ret->max = max;
    ws->queue_bytes -= ret->len + MESSAGE_COST;
    return 1;
}

void ws_close(struct ws *ws)
{
    CLEANUP(err_clear) struct err ignored = {0};
    if (ws == NULL || wslay_event_queue_close(ws->frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) != 0)
        return;
    (void)!flush(ws, clock_monotonic_ms() + CLOSE_MS, &ignored);
}
