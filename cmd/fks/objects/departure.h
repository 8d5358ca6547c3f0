/*
 * departure.h: pods that are sent away through the eviction API and waited for, all at once.
 */
#pragma once

#include "cli.h"

struct departure_options {
    int64_t timeout_ms; /* 0: none */
    int64_t grace_period_s; /* below 0: the pod's own */
    bool dry_run;
};
#define DEPARTURE_OPTIONS(options)                                                                                     \
    {.name = "timeout", .type = OPT_DURATION, .value = &(options)->timeout_ms, .argument = "0s",                       \
     .help = "How long to wait before giving up, zero means infinite."},                                               \
    {                                                                                                                  \
        .name = "grace-period", .type = OPT_INT, .value = &(options)->grace_period_s, .argument = "-1",                \
        .help = "Seconds that each pod gets to end; below zero, what the pod itself says."                             \
    }

/*
 * Evicts each pod of the array; one that a PodDisruptionBudget holds back is tried again every five seconds. Tells on
 * stdout what went. ERR_TIMEOUT names the pods that are left.
 */
int departure_run(struct cli *cli, const struct departure_options *options, const struct json *pods,
                  struct err *err) MUST_CHECK;
