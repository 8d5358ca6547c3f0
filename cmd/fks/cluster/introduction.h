/*
 * introduction.h: gets a kube-proxy going on a host that is no Node.
 *
 * kube-proxy waits up to 30 s at its start for a Node of its name, to learn its own address, and never looks again
 * (k8s.io/kubernetes pkg/proxy/node.go). A Fargate host has no Node, and those half-minutes are the difference between a
 * cluster in ten seconds and one in forty. So a Node of the host's name exists, cordoned and tainted, from just before
 * kube-proxy starts until its health server answers.
 */
#pragma once

#include "base/loop.h"
#include "kube/client.h"

struct introduction;

/*
 * ready: the Node is there, start kube-proxy now (called once, also when it could not be made: kube-proxy then waits).
 * health_url: of kube-proxy; the Node goes when it answers, or after 40 s.
 */
struct introduction *introduction_new(struct loop *loop, struct kube_client *client, const char *name, const char *address,
                                      const char *health_url, loop_callback *ready, void *data) MUST_CHECK;
struct introduction *introduction_free(struct introduction *introduction);
