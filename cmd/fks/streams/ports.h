/*
 * ports.h: what port-forward's port arguments mean: "8080", "8080:80", ":80", "8080:http".
 */
#pragma once

#include "objects/pods.h"

#define PORTS_MAX 32

struct port_pair {
    int local;  /* 0: a free one */
    int remote; /* of the pod */
};

/*
 * object: what the user named; for a Service the remote port is the Service's and becomes the pod's. ERR_USAGE with
 * kubectl's words, ERR_NOT_FOUND when there is no such port.
 */
int ports_parse(const char *text, const struct json *object, const struct json *pod, struct port_pair *ret,
                struct err *err) MUST_CHECK;
