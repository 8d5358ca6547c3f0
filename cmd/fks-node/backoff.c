/*
 * backoff.c: the arithmetic of trying again: restarts, image pulls, calls to a runtime that is away.
 */
#include "backoff.h"

void backoff_fail(struct backoff *backoff, int64_t now_ms, int64_t first_ms, int64_t max_ms)
{
    backoff->wait_ms = backoff->wait_ms == 0 ? first_ms : backoff->wait_ms * 2;
    if (backoff->wait_ms > max_ms)
        backoff->wait_ms = max_ms;
    backoff->until_ms = now_ms + backoff->wait_ms;
}

void backoff_reset(struct backoff *backoff)
{
    *backoff = (struct backoff){0};
}

int64_t backoff_left_ms(const struct backoff *backoff, int64_t now_ms)
{
    if (backoff->wait_ms == 0 || backoff->until_ms <= now_ms)
        return 0;
    return backoff->until_ms - now_ms;
}

void backoff_text(int64_t wait_ms, char text[BACKOFF_TEXT_MAX])
{
    long long seconds = (long long)(wait_ms / 1000);

    if (seconds < 60)
        (void)snprintf(text, BACKOFF_TEXT_MAX, "%llds", seconds);
    else
        (void)snprintf(text, BACKOFF_TEXT_MAX, "%lldm%llds", seconds / 60, seconds % 60);
}
