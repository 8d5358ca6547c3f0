/* wait.c: see wait.h. */
#include "install/wait.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define STEP_US 40000

int wait_until(const char *what, int64_t timeout_ms, int (*check)(void *data, struct err *err), void *data, struct err *err)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        CLEANUP(err_clear) struct err last = {0};
        int r = check(data, &last);
        if (r > 0)
            return 0;
        if (clock_monotonic_ms() >= deadline)
            return err_set(err, ERR_TIMEOUT, "timed out after %lld s waiting for %s%s%s", (long long)(timeout_ms / 1000), what,
                           r < 0 ? ": " : "", r < 0 ? err_text(&last) : "");
        usleep(STEP_US);
    }
}

bool wait_condition_is(const struct json *object, const char *type, const char *wanted)
{
    const struct json *condition;
    json_each(condition, json_get(object, "status", "conditions", NULL))
        if (streq(json_str(condition, "type", NULL), type))
            return streq(json_str(condition, "status", NULL), wanted);
    return false;
}
