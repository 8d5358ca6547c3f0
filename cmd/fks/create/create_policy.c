/*
 * create_policy.c: `create quota | poddisruptionbudget | priorityclass`: what limits and ranks pods.
 */
#include "objects/generate.h"

#include "base/mem.h"
#include "objects/selector.h"

static int build_quota_spec(const char *hard_text, const char *scopes_text, struct json **ret, struct err *err)
{
    struct json *hard = NULL;
    CLEANUP(strv_done) struct strv scopes = {0};
    CLEANUP(json_free) struct json *spec = json_new_object();
    if (generate_amounts(hard_text, &hard, err) < 0)
        return err->code;
    if (hard != NULL)
        json_set(spec, "hard", hard);
    strv_split(&scopes, strempty(scopes_text), ',');
    if (scopes.n > 0)
        json_set(spec, "scopes", json_new_array());
    for (size_t i = 0; i < scopes.n; i++) {
        if (scopes.items[i][0] == '\0')
            return err_set(err, ERR_USAGE, "invalid resource quota scope \"\"");
        json_push(json_edit_member(spec, "scopes"), json_new_string(scopes.items[i]));
    }
    *ret = take(&spec);
    return 0;
}

int command_create_quota(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(err_clear) struct err err = {0};
    const char *hard = NULL, *scopes = NULL;
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        {"hard", 0, OPT_STRING, &hard, "", "What the namespace may use: resource=quantity,..."},
        {"scopes", 0, OPT_STRING, &scopes, "", "Scopes that an object must match to be counted."},
        {0},
    };
    const struct cli_command command = {
        .words = "create quota",
        .usage = "NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2] [--dry-run=server|client|none] "
                 "[options]",
        .about = "Create a resource quota with the specified name, hard limits, and optional scopes.",
        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    struct json *spec = NULL;
    if (build_quota_spec(hard, scopes, &spec, &err) < 0)
        return cli_fail(cli, &err);
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o, s:o, s:{}}", "kind", "ResourceQuota", "apiVersion", "v1",
                                      "metadata", generate_metadata(&generate, generate.name, true), "spec", spec,
                                      "status"),
                           "quota:");
}

/* --- pod disruption budgets */

struct budget {
    const char *min_available, *max_unavailable, *selector;
};

/* "3" or "50%". */
static bool is_amount(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && (text[digits] == '\0' || streq(text + digits, "%"));
}

static int build_budget_spec(const struct budget *budget, struct json **ret, struct err *err)
{
    const char *min = strempty(budget->min_available), *max = strempty(budget->max_unavailable);
    struct json *selector = NULL;
    if (strempty(budget->selector)[0] == '\0')
        return err_set(err, ERR_USAGE, "a selector must be specified");
    if (min[0] == '\0' && max[0] == '\0')
        return err_set(err, ERR_USAGE, "one of min-available or max-unavailable must be specified");
    if (min[0] != '\0' && max[0] != '\0')
        return err_set(err, ERR_USAGE, "min-available and max-unavailable cannot be both specified");
    if (!is_amount(min[0] != '\0' ? min : max))
        return err_set(err, ERR_USAGE, "invalid format specified for %s",
                       min[0] != '\0' ? "min-available" : "max-unavailable");
    if (selector_parse(budget->selector, &selector, err) < 0)
        return err->code;
    *ret = json_new_object();
    if (min[0] != '\0')
        json_set(*ret, "minAvailable", generate_number_or_text(min));
    json_set(*ret, "selector", selector);
    if (max[0] != '\0')
        json_set(*ret, "maxUnavailable", generate_number_or_text(max));
    return 0;
}

int command_create_poddisruptionbudget(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(err_clear) struct err err = {0};
    struct budget budget = {0};
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        {"max-unavailable", 0, OPT_STRING, &budget.max_unavailable, "", "Most pods that may be away: 1 or 50%."},
        {"min-available", 0, OPT_STRING, &budget.min_available, "", "Fewest pods that must be there: 1 or 50%."},
        {"selector", 0, OPT_STRING, &budget.selector, "", "Labels of the pods."},
        {0},
    };
    const struct cli_command command = {
        .words = "create poddisruptionbudget",
        .usage = "NAME --selector=SELECTOR --min-available=N [--dry-run=server|client|none] [options]",
        .about =
            "Create a pod disruption budget with the specified name, selector, and desired minimum available pods.",
        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    struct json *spec = NULL;
    if (build_budget_spec(&budget, &spec, &err) < 0)
        return cli_fail(cli, &err);
    return generate_finish(
        &generate,
        json_build("{s:s, s:s, s:o, s:o, s:{s:i, s:i, s:i, s:i}}", "kind", "PodDisruptionBudget", "apiVersion",
                   "policy/v1", "metadata", generate_metadata(&generate, generate.name, true), "spec", spec, "status",
                   "disruptionsAllowed", 0, "currentHealthy", 0, "desiredHealthy", 0, "expectedPods", 0),
        "poddisruptionbudgets:");
}

int command_create_priorityclass(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    int64_t value = 0;
    bool is_default = false;
    const char *description = "", *preemption = "PreemptLowerPriority";
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        {"description", 0, OPT_STRING, &description, "", "When to use this priority class."},
        {"global-default", 0, OPT_BOOL, &is_default, NULL, "Pods without a priority class get this one."},
        {"preemption-policy", 0, OPT_STRING, &preemption, "PreemptLowerPriority",
         "Whether pods of lower priority make room."},
        {"value", 0, OPT_INT, &value, "0", "The priority."},
        {0},
    };
    const struct cli_command command = {
        .words = "create priorityclass",
        .usage = "NAME --value=VALUE --global-default=BOOL [--dry-run=server|client|none] [options]",
        .about = "Create a priority class with the specified name, value, globalDefault and description.",
        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    struct json *class =
        json_build("{s:s, s:s, s:o, s:I}", "kind", "PriorityClass", "apiVersion", "scheduling.k8s.io/v1", "metadata",
                   generate_metadata(&generate, generate.name, false), "value", value);
    if (is_default)
        json_set_bool(class, "globalDefault", true);
    if (description[0] != '\0')
        json_set_str(class, "description", description);
    json_set_str(class, "preemptionPolicy", preemption);
    return generate_finish(&generate, class, "priorityclass:");
}
