/*
 * place_internal.h: topology spread constraints, for place.c alone.
 */
#pragma once

#include "fargate/place.h"

/* The value that a Node made by this host has for a label; NULL: none. *ret_unknown: could be anything. */
const char *place_label(const struct host *host, const char *key, bool *ret_unknown);

struct place_domains { /* {0} is valid and empty */
    struct map totals[PLACE_SPREADS_MAX]; /* of each constraint: value of its key → matching pods */
    int64_t least[PLACE_SPREADS_MAX];     /* in the emptiest domain */
};
void place_domains_count(struct place_domains *domains, const struct hosts *hosts, const struct place_need *need,
                         int64_t now_ms);
/* A required constraint would be broken by one more pod on the host. */
bool place_domains_uneven(const struct place_domains *domains, const struct host *host, const struct place_need *need);
/* Matching pods in the host's domains, all constraints together. */
int64_t place_domains_crowd(const struct place_domains *domains, const struct host *host,
                            const struct place_need *need);
void place_domains_done(struct place_domains *domains);
DEFINE_CLEANUP_IN_PLACE(struct place_domains, place_domains_done)
