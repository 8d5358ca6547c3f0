/*
 * probe_state.h: when the results of a probe count: thresholds and first values. Pure.
 */
#pragma once

#include "base/compiler.h"
#include "data/json.h"

enum probe_kind { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS };

struct probe_state {
    enum probe_kind kind;
    bool healthy;   /* the verdict so far */
    bool decided;   /* a threshold was reached at least once */
    int64_t streak; /* equal results in a row */
    bool last;      /* the latest result */
    int64_t success_threshold, failure_threshold;
};

/*
 * From the probe's JSON, with the API's defaults. A container counts as alive, but not as ready or started, at
 * first.
 */
void probe_state_init(struct probe_state *state, enum probe_kind kind, const struct json *probe);
/* One more result. True when a threshold was reached by it: healthy then is the (perhaps unchanged) verdict. */
bool probe_state_result(struct probe_state *state, bool success);
