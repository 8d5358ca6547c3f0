/*
 * http_light.h: one connection of the light way, shared by http_light.c (connections) and http_light_answer.c (what comes
 * back on them).
 */
#pragma once

#include "net/dial.h"
#include "net/http1.h"
#include "net/http_internal.h"

enum light_state { CONNECTING, HANDSHAKE, SENDING, HEAD, BODY, BODY_TO_END, IDLE };

struct light_connection {
    struct http_client *client;
    struct light_connection *next;
    struct http_call *call; /* NULL while idle */
    enum light_state state;
    struct dial_address to;
    bool reused;
    bool spoiled; /* an answer that nobody waits for may still come */
    struct addrinfo *addresses, *address; /* all, and the one being tried */
    int fd;
    struct loop_fd *source;
    struct loop_timer *timer; /* connecting: its time-out; afterwards the call's */
    int64_t call_began_ms; /* of those sent together: the first */
    struct tls *tls;
    struct buf out, in, content;
    size_t sent;
    struct http1_body body;
    bool keep;
};

/* The call is over; the connection is kept or freed, and call->err tells what happened. */
void light_finish(struct light_connection *connection);
/* The same with an error, unless call->err is set already. */
void light_fail(struct light_connection *connection, enum err_code code, const char *text);
/* Makes of connection->in all that can be made of it. False when the call is over: do not touch the connection then. */
bool light_take_input(struct light_connection *connection);
