/*
 * match.c: the decision at admission: is this pod for a profile, and for which. Runs on every pod that is created,
 * so it allocates nothing; which selectors are worth a look is match_index.c's.
 */
#include "fargate/match.h"

#include "fargate/match_index.h"
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

bool fargate_label_matches(const struct fargate_label *wanted, const struct json *labels)
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
        if (!fargate_label_matches(&selector->labels[i], labels))
            return false;
    return true;
}

struct pod {
    const struct fargate_profiles *profiles;
    const char *namespace;
    const struct json *labels;
};

static bool accepts(struct fargate_candidate candidate, const void *data)
{
    const struct pod *pod = data;
    const struct fargate_profile *profile = &pod->profiles->items[candidate.profile];

    return selector_matches(&profile->selectors[candidate.selector], pod->namespace, pod->labels);
}

/* The one profile that the pod asks for. */
static bool find_chosen(const struct pod *pod, const char *name, struct fargate_candidate *ret)
{
    int64_t position = fargate_index_profile(pod->profiles->index, name);

    if (position < 0)
        return false;
    *ret = (struct fargate_candidate){.profile = (uint32_t)position};
    for (; ret->selector < pod->profiles->items[position].n_selectors; ret->selector++)
        if (accepts(*ret, pod))
            return true;
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
static enum fargate_verdict check_pod(const struct fargate_names *names, const struct json *pod)
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
    if (*scheduler != '\0' && !streq(scheduler, "default-scheduler") && !streq(scheduler, names->scheduler))
        return FARGATE_OTHER_SCHEDULER;
    return FARGATE_MATCHED;
}

struct fargate_match fargate_match_pod(const struct fargate_profiles *profiles, const char *namespace,
                                       const struct json *pod)
{
    const struct json *labels = json_get(pod, "metadata", "labels", NULL);
    const struct fargate_names *names = profiles != NULL ? profiles->names : &fargate_names_usual;
    const char *chosen = strempty(json_string_value(json_member(labels, names->profile_label)));
    struct fargate_match match = {.verdict = check_pod(names, pod), .names = names};

    if (match.verdict != FARGATE_MATCHED)
        return match;
    const struct pod asked = {profiles, namespace, labels};
    struct fargate_candidate found;
    if (profiles != NULL && (*chosen != '\0' ? find_chosen(&asked, chosen, &found)
                                             : fargate_index_find(profiles->index, namespace, labels, accepts, &asked,
                                                                  &found))) {
        match.profile = &profiles->items[found.profile];
        match.selector = found.selector;
        return match;
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
        return "the pod's profile label names a profile that does not exist or does not match it";
    }
    return "unknown";
}
