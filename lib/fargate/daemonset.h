/*
 * daemonset.h: keeps DaemonSets off Fargate Nodes. The Nodes' taint does so for most; the pods of one that tolerates
 * everything would wait on every Node for room that is another pod's. Pure.
 */
#pragma once

#include "data/json.h"

/*
 * The RFC 6902 patch that adds node affinity "eks.amazonaws.com/compute-type NotIn [fargate]" to the pod template of a
 * DaemonSet that tolerates the taint of Fargate Nodes. Empty when it does not, or when every term demands so already.
 */
struct json *fargate_keep_off(const struct json *daemonset) MUST_CHECK;
