/*
 * daemonset.c: see daemonset.h. Node selector terms are ORed, so each gets the expression; a term without any matches no
 * node and is left alone.
 */
#include "fargate/daemonset.h"

#include "base/mem.h"
#include "base/str.h"
#include "data/patch.h"
#include "fargate/names.h"

#define AFFINITY "/spec/template/spec/affinity"
#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"

/* Kubernetes' rule: no key with Exists tolerates everything; an empty effect, every effect. */
static bool tolerates(const struct json *toleration)
{
    const char *key = json_str_or("", toleration, "key", NULL), *effect = json_str_or("", toleration, "effect", NULL);
    bool exists = streq(json_str(toleration, "operator", NULL), "Exists");

    if (*effect != '\0' && !streq(effect, "NoSchedule"))
        return false;
    if (*key == '\0')
        return exists;
    return streq(key, FARGATE_COMPUTE_TYPE) &&
           (exists || streq(json_str(toleration, "value", NULL), FARGATE_COMPUTE_FARGATE));
}

static struct json *expression(void)
{
    return json_build("{s:s, s:s, s:[s]}", "key", FARGATE_COMPUTE_TYPE, "operator", "NotIn", "values",
                      FARGATE_COMPUTE_FARGATE);
}

static bool has_string(const struct json *array, const char *text)
{
    const struct json *item;

    json_each(item, array)
        if (streq(json_string_value(item), text))
            return true;
    return false;
}

/* Whether no Fargate Node meets this term, in whatever words. */
static bool demands(const struct json *term)
{
    const struct json *item;

    json_each(item, json_get(term, "matchExpressions", NULL)) {
        const char *op = json_str_or("", item, "operator", NULL);
        bool named = has_string(json_get(item, "values", NULL), FARGATE_COMPUTE_FARGATE);
        if (streq(json_str(item, "key", NULL), FARGATE_COMPUTE_TYPE) &&
            (streq(op, "DoesNotExist") || (streq(op, "NotIn") && named) || (streq(op, "In") && !named)))
            return true;
    }
    return false;
}

static void patch_terms(struct json *patch, const struct json *terms)
{
    const struct json *term;

    json_each(term, terms) {
        const struct json *expressions = json_get(term, "matchExpressions", NULL);
        if (demands(term) || (json_len(expressions) == 0 && json_len(json_get(term, "matchFields", NULL)) == 0))
            continue;
        CLEANUP(xfree) char *pointer = xasprintf(AFFINITY "/nodeAffinity/" REQUIRED "/nodeSelectorTerms/%zu/matchExpressions%s",
                                                 term_index, json_is_array(expressions) ? "/-" : "");
        patch_add(patch, pointer, json_is_array(expressions) ? expression() : json_build("[o]", expression()));
    }
}

struct json *fargate_keep_off(const struct json *daemonset)
{
    const struct json *spec = json_get(daemonset, "spec", "template", "spec", NULL), *toleration;
    const struct json *affinity = json_get(spec, "affinity", NULL), *node = json_get(affinity, "nodeAffinity", NULL);
    const struct json *terms = json_get(node, REQUIRED, "nodeSelectorTerms", NULL);
    struct json *patch = json_new_array();
    bool wanted = false;

    json_each(toleration, json_get(spec, "tolerations", NULL))
        wanted |= tolerates(toleration);
    const char *chosen = json_string_value(json_member(json_get(spec, "nodeSelector", NULL), FARGATE_COMPUTE_TYPE));
    if (!wanted || (chosen != NULL && !streq(chosen, FARGATE_COMPUTE_FARGATE)))
        return patch;
    if (json_len(terms) > 0) {
        patch_terms(patch, terms);
        return patch;
    }
    struct json *required = json_build("{s:[{s:[o]}]}", "nodeSelectorTerms", "matchExpressions", expression());
    if (json_is_object(node))
        patch_add(patch, AFFINITY "/nodeAffinity/" REQUIRED, required);
    else if (json_is_object(affinity))
        patch_add(patch, AFFINITY "/nodeAffinity", json_build("{s:o}", REQUIRED, required));
    else
        patch_add(patch, AFFINITY, json_build("{s:{s:o}}", "nodeAffinity", REQUIRED, required));
    return patch;
}
