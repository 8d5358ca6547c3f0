/*
 * overlap.c: see overlap.h. Asked when a profile is written, never on the way of a pod.
 */
#include "fargate/overlap.h"

#include "base/limits.h"
#include "base/mem.h"

enum { WARNINGS_MAX = 10, PATTERN_MAX = 320 }; /* the longest pattern is a label key of 253 + 1 + 63 */

/* Length in bytes of the UTF-8 character at p; patterns are valid, and mostly ASCII. */
static size_t character(const char *p)
{
    size_t n = 1;

    while (((unsigned char)p[n] & 0xC0) == 0x80)
        n++;
    return n;
}

/* One element of each that is no star can stand for the same character. */
static bool same_character(const char *a, const char *b)
{
    if (*a == '?' || *b == '?')
        return true;
    size_t n = character(a);
    return n == character(b) && memcmp(a, b, n) == 0;
}

/*
 * Row by row over a: reach[j] says whether a's elements so far and b's first j bytes can stand for the same text. A star
 * stands for nothing, or swallows what the other side has next.
 */
bool fargate_globs_meet(const char *a, const char *b)
{
    size_t b_len = strlen(b);
    bool reach[PATTERN_MAX + 1] = {false}, next[PATTERN_MAX + 1];

    if (strlen(a) > PATTERN_MAX || b_len > PATTERN_MAX)
        return true; /* no profile has such a pattern; a warning too many does no harm */
    reach[0] = true;
    for (size_t j = 0; j < b_len && b[j] == '*'; j++)
        reach[j + 1] = true;
    for (; *a != '\0'; a += character(a)) {
        memset(next, 0, sizeof(next));
        for (size_t j = 0; j <= b_len; j += b[j] != '\0' ? character(b + j) : 1) {
            if (*a == '*' && reach[j])
                next[j] = true; /* nothing */
            if (b[j] == '*' && next[j])
                next[j + 1] = true;
            if (b[j] == '\0')
                continue;
            if (*a == '*' && (next[j] || reach[j]))
                next[j + character(b + j)] = true; /* swallows b's next */
            else if (b[j] == '*' && reach[j])
                next[j] = next[j + 1] = true; /* b's star swallows a's next */
            else if (*a != '*' && reach[j] && same_character(a, b + j))
                next[j + character(b + j)] = true;
        }
        memcpy(reach, next, sizeof(reach));
    }
    return reach[b_len];
}

bool fargate_selectors_meet(const struct fargate_selector *a, const struct fargate_selector *b)
{
    if (!fargate_globs_meet(a->namespace, b->namespace))
        return false;
    for (size_t i = 0; i < a->n_labels; i++) {
        const struct fargate_label *label = &a->labels[i];
        for (size_t k = 0; k < b->n_labels; k++)
            if (streq(label->key, b->labels[k].key) && strpbrk(label->key, "*?") == NULL &&
                !fargate_globs_meet(label->value, b->labels[k].value))
                return false;
    }
    return true;
}

static bool comes_first(const struct fargate_profile *a, const struct fargate_profile *b)
{
    return a->priority != b->priority ? a->priority > b->priority : strcmp(a->name, b->name) < 0;
}

static void warn(const struct fargate_profile *profile, const struct fargate_profile *other, size_t selector,
                 struct strv *warnings)
{
    const struct fargate_profile *winner = comes_first(profile, other) ? profile : other;

    strv_addf(warnings,
              "spec.selectors[%zu] overlaps with FargateProfile '%s': pods that match both go to '%s', which has %s", selector,
              other->name, winner->name,
              profile->priority != other->priority ? "the higher priority" : "the alphabetically first name");
}

void fargate_overlaps(const struct fargate_profile *profile, const struct fargate_profiles *profiles, struct strv *warnings)
{
    for (size_t i = 0; i < profiles->n && warnings->n < WARNINGS_MAX; i++) {
        const struct fargate_profile *other = &profiles->items[i];
        bool told = streq(other->name, profile->name);
        for (size_t k = 0; k < profile->n_selectors && !told; k++)
            for (size_t m = 0; m < other->n_selectors && !told; m++)
                if (fargate_selectors_meet(&profile->selectors[k], &other->selectors[m])) {
                    warn(profile, other, k, warnings);
                    told = true;
                }
    }
}
