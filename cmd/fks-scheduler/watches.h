/*
 * watches.h: what fks-scheduler keeps of the objects that it watches. At thousands of pods, most of a pod (environment,
 * probes, mounts, what its containers are doing) would be most of the memory, and nobody here reads it.
 */
#pragma once

#include "data/json.h"

extern const struct json_omit watches_omit_of_pods[], watches_omit_of_nodes[], watches_omit_of_others[];

/* Of a pod that is bound only its names and labels are read again; of a Node nothing but its name: struct node has the rest. */
struct json *watches_keep_of_pod(const struct json *pod);
struct json *watches_keep_of_node(const struct json *node);
