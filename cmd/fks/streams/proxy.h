/*
 * proxy.h: between proxy.c, the command and its filters, proxy_pass.c, which hands requests to the API server, and
 * proxy_files.c, which serves a folder.
 */
#pragma once

#include "cli.h"
#include "net/server.h"

#define PROXY_USER_AGENT "fks/v" FKS_PROGRAM_VERSION

/* Where requests go, and as whom. Must live as long as the server. */
struct proxy_way {
    const struct kube_config *config;
    struct http_client *client;
    char *base; /* what comes before a request's target: "https://10.0.0.1:6443" */
};
/* Answers with what the API server says to the request; target: path and query there. */
void proxy_pass(const struct proxy_way *way, struct server_request *request, const char *target);

/* Answers with the file at path ("/a%20b.html", no query) below the folder, or a list of a folder's files. */
void proxy_serve_file(struct server_request *request, const char *folder, const char *path);
