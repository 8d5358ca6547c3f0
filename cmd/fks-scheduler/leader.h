/*
 * leader.h: of several replicas one acts: the one whose name is in the Lease fks-system/fks-scheduler. The others keep
 * their picture warm and take over when the Lease runs out, LEADER_LEASE_MS after its last renewal, or at once when its
 * holder says goodbye.
 */
#pragma once

#include "base/loop.h"
#include "kube/client.h"

#define LEADER_LEASE_NAME "fks-scheduler"
#define LEADER_LEASE_MS 8000
#define LEADER_RENEW_MS 2000    /* also how often a follower looks, at most */
#define LEADER_DEADLINE_MS 6000 /* a leader that could not renew for so long stops, before others may start */

struct leader;

/*
 * identity NULL: no election, this replica always acts. Otherwise it must differ from that of every other replica; a
 * restarted one that kept its identity goes on at once. on_change is called when leading begins or ends.
 */
struct leader *leader_new(struct loop *loop, struct kube_client *client, const char *identity,
                          void (*on_change)(void *data), void *data);
struct leader *leader_free(struct leader *leader);
/* By the real clock, so also true to a process that was stopped for a while: ask before every write. */
bool leader_is_leading(const struct leader *leader);
/* Milliseconds since the API server last answered; INT64_MAX: it never has. */
int64_t leader_silence_ms(const struct leader *leader);
/* Gives the Lease up, if it is held, and calls done once, within a second or so. */
void leader_resign(struct leader *leader, void (*done)(void *data), void *data);
DEFINE_CLEANUP_POINTER(struct leader *, leader_free)
