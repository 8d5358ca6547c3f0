/*
 * fuzz_admission.c: any bytes as a review of both endpoints. An answer is an AdmissionReview with the request's
 * uid, a patch applies to the object, and a second pass over the patched object finds nothing to do.
 */
#include "webhook/admission.h"

#include "base/codec.h"
#include "base/mem.h"
#include "data/patch.h"
#include "data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char profiles_text[] = "- {metadata: {name: a}, spec: {selectors: [{namespace: default}, {namespace: "
                                    "'k*', labels: {'*/x': '?y*'}}]}}\n"
                                    "- {metadata: {name: b}, spec: {priority: 1, runtimeClassName: kata, "
                                    "nodeSelector: {a: b, c/d: e}, tolerations: [{key: x}],\n"
                                    "   selectors: [{namespace: '*', labels: {app: web}}]}}\n";

static struct fargate_profiles *make_profiles(void)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *list = NULL;
    struct fargate_profile *items = xcalloc(2, sizeof(*items));

    if (yaml_parse(profiles_text, strlen(profiles_text), &list, &err) < 0)
        abort();
    for (size_t i = 0; i < 2; i++)
        if (fargate_profile_read(json_at(list, i), &items[i], &err) < 0)
            abort();
    return fargate_profiles_new(items, 2);
}

static struct json *answer_of(const struct buf *out, const struct json *review)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *answer = NULL;

    if (json_parse(buf_text(out), out->len, &answer, &err) < 0 ||
        !json_same(json_get(answer, "response", "uid", NULL), json_get(review, "request", "uid", NULL)))
        abort();
    return answer;
}

/* The patch of an answer applied to the review's object, in place; false when there is none. */
static bool apply(const struct json *answer, struct json *review)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *patch = NULL;
    const char *base64 = json_str(answer, "response", "patch", NULL);
    struct json *patched;

    if (base64 == NULL)
        return false;
    if (base64_decode(base64, strlen(base64), &text, &err) < 0 ||
        json_parse(buf_text(&text), text.len, &patch, &err) < 0 ||
        patch_apply(json_get(review, "request", "object", NULL), patch, &patched, &err) < 0)
        abort();
    json_set(json_edit(review, "request", NULL), "object", patched);
    return true;
}

static void check_mutate(const struct fargate_profiles *profiles, struct json *review, const char *text, size_t len,
                         int pass)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(buf_done) struct buf again = {0};
    CLEANUP(json_free) struct json *answer = NULL;
    struct admission_decision decision;

    if (admission_mutate(&(struct admission_rules){.profiles = profiles}, text, len, &out, &decision, &err) < 0) {
        if (out.len > 0 || pass > 0)
            abort();
        return;
    }
    answer = answer_of(&out, review);
    if (!apply(answer, review))
        return;
    if (pass > 0)
        abort();
    json_print(review, &again);
    check_mutate(profiles, review, buf_text(&again), again.len, pass + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = make_profiles();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(json_free) struct json *review = NULL;
    struct admission_decision decision;

    if (json_parse((const char *)data, size, &review, &ignored) < 0)
        review = json_new_null();
    check_mutate(profiles, review, (const char *)data, size, 0);
    if (admission_validate(&(struct admission_rules){.profiles = profiles}, (const char *)data, size, &out, &decision, &err) == 0)
        json_free(answer_of(&out, review));
    return 0;
}
