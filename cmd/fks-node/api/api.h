/*
 * api.h: the kubelet API, which the API server calls for logs, exec, attach and port-forward. One server for all
 * Nodes of the host, one port per Node: the port tells which pod is meant.
 */
#pragma once

#include "agent.h"
#include "net/server.h"

struct pod;

struct api_options { /* PEM text */
    const char *cert_pem, *key_pem, *client_ca_pem;
};

int api_new(struct agent *agent, const struct api_options *options, struct api **ret, struct err *err) MUST_CHECK;
struct api *api_free(struct api *api);
/* A port (0: any) for the Node of this pod. Free the listener before the pod. */
int api_listen(struct api *api, int port, struct pod *pod, struct server_listener **ret, struct err *err) MUST_CHECK;
/* Metrics for Prometheus without TLS, "host:port" (--metrics-listen). */
int api_listen_metrics(struct api *api, const char *address, struct err *err) MUST_CHECK;

/* --- for logs.c, exec.c, pages.c */
/* The pieces of "/VERB/NAMESPACE/POD[/CONTAINER]"; also the long form with a UID before the container. */
struct api_target {
    char *namespace, *pod, *container; /* owned; container NULL if the path has none */
};
void api_target_done(struct api_target *target);
DEFINE_CLEANUP_IN_PLACE(struct api_target, api_target_done)
/* Splits a path below a verb ("/containerLogs/"). Pure. ERR_PARSE. */
int api_target_parse(struct str path, const char *verb, bool with_container, struct api_target *ret, struct err *err)
    MUST_CHECK;

bool api_path_begins(struct str path, const char *prefix);

/* --- pages.c: pages to read. True: answered, or about to be. */
/* What the agent tells of itself: health, its metrics. */
bool pages_serve_agent(struct agent *agent, struct server_request *request);
/* What it tells of the pod. */
bool pages_serve_pod(struct agent *agent, struct server_request *request, struct pod *pod);

/* --- logs.c: answers GET /containerLogs/... */
void logs_serve(struct server_request *request, struct pod *pod, const char *container);

/* --- exec.c: answer /exec, /attach, /portForward */
void exec_serve(struct server_request *request, struct pod *pod, const char *container);
void exec_serve_attach(struct server_request *request, struct pod *pod, const char *container);
void exec_serve_port_forward(struct server_request *request, struct pod *pod);
/* "http://127.0.0.1:4711/exec/abc?x" in parts. Pure. ERR_PARSE. */
int exec_split_url(const char *url, char **ret_host, int *ret_port, char **ret_target, struct err *err) MUST_CHECK;
