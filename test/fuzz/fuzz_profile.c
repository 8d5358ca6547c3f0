/*
 * fuzz_profile.c: any JSON as a FargateProfile. What the check finds nothing wrong with can be read, and the other way
 * round; a profile that was read matches, overlaps and patches without harm, and takes a pod that is made to fit it.
 */
#include "base/mem.h"
#include "data/patch.h"
#include "fargate/mutate.h"
#include "fargate/overlap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text that the pattern matches: * as nothing, ? as one letter. */
static char *fitting(const char *pattern)
{
    CLEANUP(buf_done) struct buf text = {0};

    for (; *pattern != '\0'; pattern++)
        if (*pattern != '*')
            buf_add_char(&text, *pattern == '?' ? 'x' : *pattern);
    return xstrdup(buf_text(&text));
}

static struct json *fitting_pod(const struct fargate_selector *selector)
{
    struct json *labels = json_new_object();

    for (size_t i = 0; i < selector->n_labels; i++) {
        CLEANUP(xfree) char *key = fitting(selector->labels[i].key);
        CLEANUP(xfree) char *value = fitting(selector->labels[i].value);
        json_set_str(labels, key, value);
    }
    return json_build("{s:{s:o}, s:{}}", "metadata", "labels", labels, "spec");
}

/* Two keys that become one, or one that becomes the label which chooses a profile, make a pod that fits nothing. */
static bool is_plain(const struct fargate_selector *selector, const struct json *pod)
{
    const struct json *labels = json_get(pod, "metadata", "labels", NULL);

    return json_len(labels) == selector->n_labels && json_member(labels, "eks.amazonaws.com/fargate-profile") == NULL;
}

static void check_selector(const struct fargate_profiles *profiles, const struct fargate_selector *selector)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *namespace = fitting(selector->namespace);
    CLEANUP(json_free) struct json *pod = fitting_pod(selector);
    CLEANUP(json_free) struct json *patch = NULL;
    CLEANUP(json_free) struct json *patched = NULL;
    CLEANUP(buf_done) struct buf text = {0};
    struct fargate_match match = fargate_match_pod(profiles, namespace, pod);

    if (is_plain(selector, pod) && match.verdict != FARGATE_MATCHED)
        abort();
    fargate_mutate(pod, &match, &text);
    if (text.len > 0 && (json_parse(text.data, text.len, &patch, &err) < 0 || patch_apply(pod, patch, &patched, &err) < 0))
        abort();
}

static void check_profile(struct fargate_profile *profile)
{
    CLEANUP(strv_done) struct strv warnings = {0};
    struct fargate_profile *items = xcalloc(1, sizeof(*items));

    items[0] = *profile;
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = fargate_profiles_new(items, 1);
    for (size_t i = 0; i < items[0].n_selectors; i++)
        check_selector(profiles, &items[0].selectors[i]);
    fargate_overlaps(&items[0], profiles, &warnings); /* it does not overlap itself */
    if (warnings.n > 0)
        abort();
    char other_name[] = "-";
    struct fargate_profile renamed = items[0];
    renamed.name = other_name;
    fargate_overlaps(&renamed, profiles, &warnings);
    if (warnings.n == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *object = NULL;
    CLEANUP(strv_done) struct strv reasons = {0};
    struct fargate_profile profile;

    if (json_parse((const char *)data, size, &object, &ignored) < 0)
        return 0;
    fargate_profile_check(object, &reasons);
    if ((fargate_profile_read(object, &profile, &err) == 0) != (reasons.n == 0))
        abort();
    if (reasons.n == 0)
        check_profile(&profile);
    return 0;
}
