/*
 * probe_state.c: counts equal results in a row, as the kubelet's probe workers do.
 */
#include "pod/probe_state.h"

void probe_state_init(struct probe_state *state, enum probe_kind kind, const struct json *probe)
{
    *state = (struct probe_state){
        .kind = kind,
        .healthy = kind == PROBE_LIVENESS,
        .success_threshold = json_int_or(1, probe, "successThreshold", NULL),
        .failure_threshold = json_int_or(3, probe, "failureThreshold", NULL),
    };
}

bool probe_state_result(struct probe_state *state, bool success)
{
    if (state->streak > 0 && state->last == success)
        state->streak++;
    else
        state->streak = 1;
    state->last = success;
    if (state->streak < (success ? state->success_threshold : state->failure_threshold))
        return false;
    state->healthy = success;
    state->decided = true;
    return true;
}
