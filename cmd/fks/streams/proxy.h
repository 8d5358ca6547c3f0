/*
 * proxy.h: between proxy.c, which hands requests to the API server, and proxy_files.c, which serves a folder.
 */
#pragma once

#include "cli.h"
#include "net/server.h"

/* Answers with the file at path ("/a%20b.html", no query) below the folder, or a list of a folder's files. */
void proxy_serve_file(struct server_request *request, const char *folder, const char *path);
