/*
 * nodes.h: the Node that every pod gets: made Ready at once, kept alive by a Lease, deleted when the pod's object
 * is gone. Each Node has a port of its own for the kubelet API, so that a request tells which pod it is about.
 */
#pragma once

#include "agent.h"
#include "fargate/size.h"

struct node;
struct pod;

struct nodes *nodes_new(struct agent *agent);
/* Starts the watch of this host's Nodes. */
void nodes_start(struct nodes *nodes);
struct nodes *nodes_free(struct nodes *nodes);
/* The first list of Nodes is complete. */
bool nodes_settled(const struct nodes *nodes);
/*
 * Makes sure of the pod's Node (pod->node afterwards): adopts the one that carries its UID, else makes one for its
 * address. Repeatable. True once the API server has it.
 */
bool nodes_ensure(struct pod *pod);
/* Deletes the pod's Node and Lease; true once both are gone. pod->node is NULL then. Repeatable. */
bool nodes_remove(struct pod *pod);
void nodes_detach(struct pod *pod);
const char *node_name(const struct node *node);
/* The name of the watched Node that carries this UID, or NULL. Borrowed until the next change. */
const char *nodes_name_for(const struct nodes *nodes, const char *uid);
size_t nodes_count(const struct nodes *nodes);

/*
 * "fargate-ip-10-0-0-7.eu-west-1.compute.internal"; suffix (NULL: none) comes behind the address, for an address
 * that the Node of a finished pod still carries in its name. Heap string. Pure.
 */
char *node_name_for(const char *prefix, const char *address, const char *suffix, const char *region) MUST_CHECK;
/* The Node object as it is POSTed, Ready. Pure but for the clock. */
struct json *node_object(const struct agent *agent, const struct pod *pod, const char *name, int port) MUST_CHECK;
/* Its capacity: the size of the pod's machine. */
struct json *node_resources(const struct pod *pod) MUST_CHECK;
/* status.conditions of a Node that is well. */
struct json *node_conditions(int64_t wall_ns) MUST_CHECK;
