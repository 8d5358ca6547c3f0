/*
 * match.c: the decision at admission: is this pod for a profile, and for which. Runs on every pod that is created,
 * so it allocates nothing.
 */
#include "fargate/match.h"

#include "fargate/names.h"

/* The start of the next UTF-8 character. */
static const char *next_character(const char *p)
{
    do
        p++;
    while (((unsigned char)*p & 0xC0) == 0x80);
    return p;
}

/* On a mismatch only the last star takes one character more: what an earlier one took is as good as any other
 * choice. */
bool fargate_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL;

    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (*pattern == '?') {
            pattern++;
            text = next_character(text);
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = retry = next_character(retry);
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool label_matches(const struct fargate_label *wanted, const struct json *labels)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (strpbrk(wanted->key, "*?") == NULL) {
        const char *text = json_string_value(json_member(labels, wanted->key));
        return text != NULL && fargate_glob(wanted->value, text);
    }
    while (json_next(labels, &position, &key, &value)) {
        const char *text = json_string_value(value);
        if (text != NULL && fargate_glob(wanted->key, key) && fargate_glob(wanted->value, text))
            return true;
    }
    return false;
}

static bool selector_matches(const struct fargate_selector *selector, const char *namespace,
                             const struct json *labels)
{
    if (!fargate_glob(selector->namespace, namespace))
        return false;
    for (size_t i = 0; i < selector->n_labels; i++)
        if (!label_matches(&selector->labels[i], labels))
            return false;
    return true;
}

static bool profile_matches(const struct fargate_profile *profile, const char *namespace, const struct json *labels,
                            size_t *ret_selector)
{
    for (size_t i = 0; i < profile->n_selectors; i++) {
        if (selector_matches(&profile->selectors[i], namespace, labels)) {
            *ret_selector = i;
            return true;
        }
    }
    return false;
}

static bool is_owned_by_daemonset(const struct json *pod)
{
    const struct json *owner;

    json_each(owner, json_get(pod, "metadata", "ownerReferences", NULL))
        if (streq(json_str(owner, "kind", NULL), "DaemonSet") &&
            starts_with(json_str_or("", owner, "apiVersion", NULL), "apps/"))
            return true;
    return false;
}

/* Reasons in the pod itself; FARGATE_MATCHED: none. */
static enum fargate_verdict check_pod(const struct json *pod)
{
    const struct json *annotations = json_get(pod, "metadata", "annotations", NULL);
    const char *scheduler = json_str_or("", pod, "spec", "schedulerName", NULL);

    if (json_member(annotations, "kubernetes.io/config.mirror") != NULL)
        return FARGATE_MIRROR;
    if (*json_str_or("", pod, "spec", "nodeName", NULL) != '\0')
        return FARGATE_BOUND;
    if (is_owned_by_daemonset(pod))
        return FARGATE_DAEMONSET;
    if (streq(json_string_value(json_member(annotations, FARGATE_COMPUTE_TYPE)), FARGATE_COMPUTE_EC2))
        return FARGATE_OPTED_OUT;
    if (*scheduler != '\0' && !streq(scheduler, "default-scheduler") && !streq(scheduler, FARGATE_SCHEDULER))
        return FARGATE_OTHER_SCHEDULER;
    return FARGATE_MATCHED;
}

struct fargate_match fargate_match_pod(const struct fargate_profiles *profiles, const char *namespace,
                                       const struct json *pod)
{
    const struct json *labels = json_get(pod, "metadata", "labels", NULL);
    const char *chosen = strempty(json_string_value(json_member(labels, FARGATE_PROFILE_LABEL)));
    struct fargate_match match = {.verdict = check_pod(pod)};

    if (match.verdict != FARGATE_MATCHED)
        return match;
    for (size_t i = 0; profiles != NULL && i < profiles->n; i++) {
        const struct fargate_profile *profile = &profiles->items[i];
        if (*chosen != '\0' && !streq(profile->name, chosen))
            continue;
        if (profile_matches(profile, namespace, labels, &match.selector)) {
            match.profile = profile;
            return match;
        }
    }
    match.verdict = *chosen != '\0' ? FARGATE_PROFILE_UNKNOWN : FARGATE_NO_PROFILE;
    return match;
}

const char *fargate_verdict_text(enum fargate_verdict verdict)
{
    switch (verdict) {
    case FARGATE_MATCHED:
        return "a profile matches the pod";
    case FARGATE_NO_PROFILE:
        return "no profile matches the pod's namespace and labels";
    case FARGATE_OPTED_OUT:
        return "the pod opts out by the annotation " FARGATE_COMPUTE_TYPE ": " FARGATE_COMPUTE_EC2;
    case FARGATE_DAEMONSET:
        return "the pod belongs to a DaemonSet";
    case FARGATE_MIRROR:
        return "the pod mirrors a static pod";
    case FARGATE_BOUND:
        return "spec.nodeName is set already";
    case FARGATE_OTHER_SCHEDULER:
        return "spec.schedulerName names another scheduler";
    case FARGATE_PROFILE_UNKNOWN:
        return "the label " FARGATE_PROFILE_LABEL " names a profile that does not exist or does not match the pod";
    }
    return "unknown";
}
