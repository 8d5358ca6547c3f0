/*
 * explain_pod.h: `explain pod NAME`: explain_pod.c tells a pod's story, explain_hosts.c the hosts' part of it.
 */
#pragma once

#include "cli.h"
#include "fargate/place.h"

/* Tells why the pod is where it is, or why it waits; returns the exit code. */
int explain_pod(struct cli *cli, const char *name);

/*
 * Lists the hosts, with what every other pod takes of them, and prints each one's verdict. ret_fits: how many could take
 * the pod now.
 */
int explain_hosts(struct cli *cli, const struct json *pod, const struct fargate_profile *profile,
                  const char *profile_label, const struct fargate_size *size, const char *runtime_handler,
                  const struct strv *csi_drivers,
                  size_t *ret_fits, struct err *err) MUST_CHECK;
/* As cli_do on a GET, but what does not exist is NULL and no error. */
int explain_find(struct cli *cli, const char *path, struct json **ret, struct err *err) MUST_CHECK;
