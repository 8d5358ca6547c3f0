/*
 * ws_internal.h: what ws.c (bytes, frames, messages) and ws_connect.c (dialling, proxies, TLS, the upgrade) share.
 */
#pragma once

#include <wslay/wslay.h>

#include "net/tls.h"
#include "net/ws.h"

struct ws {
    int fd;
    struct tls_context *context; /* NULL: plain */
    struct tls *tls;         /* what bytes go through; NULL: plain */
    struct tls *outer;       /* to the proxy, when tls goes inside of it */
    short wait_for;          /* what the last short read or write waits for */
    struct buf input;        /* bytes that came behind the upgrade's answer */
    char *protocol;
    wslay_event_context_ptr frames;
    struct buf *queue;       /* whole messages, oldest first */
    size_t queue_n, queue_cap, queue_bytes;
    bool drained;            /* nothing more can be read for now */
    bool closed;             /* the peer sent a close frame */
    struct err failed;       /* what a callback of wslay met */
};

/* 1: moved *ret_n > 0 bytes; 0: would block, ws->wait_for tells for what; 2: orderly end. */
int ws_read_bytes(struct ws *ws, void *data, size_t len, size_t *ret_n, struct err *err) MUST_CHECK;
int ws_write_bytes(struct ws *ws, const void *data, size_t len, size_t *ret_n, struct err *err) MUST_CHECK;
/* Blocks for events of poll(2). deadline: monotonic milliseconds, -1 for none: ERR_TIMEOUT. */
int ws_wait(const struct ws *ws, short events, int64_t deadline, const char *what, struct err *err) MUST_CHECK;
/* The connection is upgraded: from now on it carries frames, the first of which may be in ws->input. */
int ws_begin_frames(struct ws *ws, struct err *err) MUST_CHECK;
