/*
 * ws_internal.h: what ws.c (frames, messages) and ws_connect.c (the upgrade) share.
 */
#pragma once

#include <wslay/wslay.h>

#include "net/wire.h"
#include "net/ws.h"

struct ws {
    struct wire wire;
    struct buf input;        /* bytes that came behind the upgrade's answer */
    char *protocol;
    wslay_event_context_ptr frames;
    struct buf *queue;       /* whole messages, from queue_at on, oldest first */
    size_t queue_at, queue_n, queue_cap;
    size_t queue_bytes;      /* memory of the messages */
    size_t queue_enough;     /* with so much in the queue nothing more is read */
    bool drained;            /* nothing more can be read for now */
    bool closed;             /* the peer sent a close frame */
    struct err failed;       /* what a callback of wslay met */
};

/* Blocks for events of poll(2). deadline: monotonic milliseconds, -1 for none: ERR_TIMEOUT. */
int ws_wait(const struct ws *ws, short events, int64_t deadline, const char *what, struct err *err) MUST_CHECK;
/* The connection is upgraded: from now on it carries frames, the first of which may be in ws->input. */
int ws_begin_frames(struct ws *ws, struct err *err) MUST_CHECK;
