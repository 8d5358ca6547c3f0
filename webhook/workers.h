/*
 * workers.h: the threads that answer reviews, one event loop each. They share nothing but the snapshot of the profiles.
 * The main thread does everything else: it accepts connections and shakes hands, so that a storm of connections never
 * stands before a review, deals them out, watches profiles and certificates, and takes signals.
 *
 *     main loop ── connections ──▶ worker loops ── /metrics asks each in turn ──▶ ... ──▶ main loop ──▶ the asker
 *               ── snapshots ────▶
 *
 * Threads talk by loop_post only. Everything here is called on the main loop.
 */
#pragma once

#include "base/metrics.h"
#include "net/server.h"
#include "snapshot.h"

struct workers;

struct workers_options {
    size_t n;                /* threads; 0: one for each CPU that the process may use, at most WORKERS_MAX */
    bool client_ca;          /* reviews are only taken from clients with a verified certificate */
    bool enforce;            /* pods that Fargate does not support are refused */
    const struct fargate_names *names; /* borrowed */
    size_t max_connections;  /* of all workers together */
    size_t max_per_peer;     /* likewise; 0: no limit */
    /* Brings the main loop's own numbers up to date, for /metrics; they are added to the workers'. */
    void (*update_metrics)(void *data);
    struct metrics *metrics; /* the main loop's; borrowed */
    void *data;
};

enum { WORKERS_MAX = 64 };

/* Starts the threads. Signals that the main loop waits for must be blocked by now. */
int workers_new(struct loop *loop, const struct workers_options *options, struct workers **ret,
                struct err *err) MUST_CHECK;
/* Ends what still is under way. */
struct workers *workers_free(struct workers *workers);
size_t workers_count(const struct workers *workers);
/* Open ones, of all workers. */
size_t workers_connections(const struct workers *workers);
/* server_deal: hands the connection to the worker that has the fewest. data is the struct workers. */
void workers_deal(struct server_passage *passage, void *data);
/* From now on every worker decides by this snapshot, from its next turn on. Borrowed. */
void workers_publish(struct workers *workers, struct snapshot *snapshot);
/* /readyz says no, and every answer ends its connection. */
void workers_announce_end(struct workers *workers);
/* Lets requests under way finish, at most timeout_ms, then calls done. */
void workers_drain(struct workers *workers, int64_t timeout_ms, loop_callback *done, void *data);
DEFINE_CLEANUP_POINTER(struct workers *, workers_free)
