/*
 * backoff.h: waiting longer after each failure. Pure: the caller brings the time.
 */
#pragma once

#include "base/compiler.h"

/* {0} is a fresh one. */
struct backoff {
    int64_t wait_ms;  /* after the latest failure; 0: none yet */
    int64_t until_ms; /* on the caller's clock */
};

/*
 * The kubelet's figures for restarts and image pulls: 10 s, doubling to 5 minutes, forgotten after 10 good minutes.
 */
#define BACKOFF_RESTART_FIRST_MS 10000
#define BACKOFF_RESTART_MAX_MS 300000
#define BACKOFF_RESTART_FORGET_MS 600000

/* Notes a failure at now_ms: the next try is due after first_ms, then twice that, ... at most max_ms. */
void backoff_fail(struct backoff *backoff, int64_t now_ms, int64_t first_ms, int64_t max_ms);
void backoff_reset(struct backoff *backoff);
/* Milliseconds left to wait, 0 when a try is due. */
int64_t backoff_left_ms(const struct backoff *backoff, int64_t now_ms);
/* Kubernetes' spelling of a delay: "10s", "1m20s", "5m0s". */
#define BACKOFF_TEXT_MAX 32
void backoff_text(int64_t wait_ms, char text[BACKOFF_TEXT_MAX]);
