/*
 * action.h: one thing that a probe or a lifecycle hook asks for: run a program in the container, GET a URL, open a
 * TCP connection, ask gRPC's health service, or wait.
 */
#pragma once

#include "agent.h"

struct action;
struct action_clients; /* HTTP clients that all actions share */

int action_clients_new(struct loop *loop, struct action_clients **ret, struct err *err) MUST_CHECK;
struct action_clients *action_clients_free(struct action_clients *clients);

struct action_target { /* borrowed for the call */
    const char *container_id;
    const char *address;      /* of the pod: where to connect unless the handler names a host */
    const struct json *ports; /* of the container, for ports given by name; or NULL */
    const struct json *env;   /* of the container, for $(NAME) in a probe's command; or NULL */
    bool is_hook;             /* told that something happens; what a web server answers to that is no failure */
};

enum action_result {
    ACTION_SUCCEEDED,
    ACTION_WARNED, /* it succeeded, but the output says what is strange about it */
    ACTION_FAILED,
    ACTION_UNKNOWN, /* it could not be tried: the container runtime is away. Says nothing about the container. */
};
/* Called once unless the action is freed before. output is borrowed: the kubelet's text about the outcome. */
typedef void action_done(enum action_result result, const char *output, void *data);

/*
 * handler: a probe or hook with exec, httpGet, tcpSocket, grpc or sleep. Fails through done, never here, and never
 * before this returns. timeout_ms: after that the action failed. The result lives until action_free, also after
 * done.
 */
struct action *action_start(struct agent *agent, const struct json *handler, const struct action_target *target,
                            int64_t timeout_ms, action_done *done, void *data) MUST_CHECK;
/* Cancels if still under way. */
struct action *action_free(struct action *action);
/* Shortens the time that is left, for a grace period that became shorter. */
void action_limit(struct action *action, int64_t timeout_ms);

/* Whether the runtime still runs a program for an action with this data, or gives one up, though the action is over. */
bool action_is_running(const struct agent *agent, const void *data);
/* The data is about to be freed: what still runs is nobody's. */
void action_forget(const struct agent *agent, const void *data);

DEFINE_CLEANUP_POINTER(struct action *, action_free)
DEFINE_CLEANUP_POINTER(struct action_clients *, action_clients_free)
