/*
 * watches.h: what fks-scheduler keeps of the objects that it watches. At thousands of pods, most of a pod (environment,
 * probes, mounts, what its containers are doing) would be most of the memory, and nobody here reads it.
 */
#pragma once

#include "data/json.h"

extern const struct json_omit watches_omit_of_pods[], watches_omit_of_nodes[], watches_omit_of_others[];

/* For pods, Nodes and books: struct pod, struct node and ledger.c have what is needed of them. */
struct json *watches_keep_names(const struct json *object);
