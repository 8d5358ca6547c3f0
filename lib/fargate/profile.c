/*
 * profile.c: FargateProfile objects checked and read. The CLI, the webhook's /validate and its file loader all ask
 * here, so a profile that one of them takes, all of them take. What the cluster's schema (the CRD) checks too is
 * checked again, because files do not pass it.
 */
#include "fargate/profile.h"

#include <ctype.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/quantity.h"
#include "fargate/match_index.h"

enum { LABEL_MAX = 63, PREFIX_MAX = 253 };

/* --- syntax of names, with and without wildcards */

static bool has_wildcard(const char *text)
{
    return strpbrk(text, "*?") != NULL;
}

/* Letters, digits and the characters of `more`; beginning and ending with a letter or digit unless loose. */
static bool is_word(const char *text, size_t len, const char *more, bool upper_case, bool loose)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = isdigit(c) || islower(c) || (upper_case && isupper(c));
        bool inside = loose || (i > 0 && i + 1 < len);
        if (!plain && !(inside && c < 0x80 && strchr(more, c) != NULL))
            return false;
    }
    return len > 0;
}

static bool is_dns_label(const char *text)
{
    size_t len = strlen(text);

    return len <= LABEL_MAX && is_word(text, len, "-", false, false);
}

static bool is_namespace_pattern(const char *text)
{
    size_t len = strlen(text);

    if (!has_wildcard(text))
        return is_dns_label(text);
    return len <= LABEL_MAX && is_word(text, len, "-*?", false, true);
}

static bool is_label_name(const char *text, size_t len)
{
    bool loose = has_wildcard(text);

    return len <= LABEL_MAX && is_word(text, len, loose ? "-_.*?" : "-_.", true, loose);
}

static bool is_label_key_pattern(const char *text)
{
    const char *slash = strchr(text, '/');
    size_t prefix_len;

    if (slash == NULL)
        return is_label_name(text, strlen(text));
    prefix_len = (size_t)(slash - text);
    bool loose = has_wildcard(text);
    return prefix_len <= PREFIX_MAX && is_word(text, prefix_len, loose ? "-.*?" : "-.", false, loose) &&
           is_label_name(slash + 1, strlen(slash + 1));
}

static bool is_label_value_pattern(const char *text)
{
    return *text == '\0' || is_label_name(text, strlen(text));
}

/* --- checks; each adds one reason per fault */

static void check_name(const struct json *object, struct strv *reasons)
{
    const char *name = json_str_or("", object, "metadata", "name", NULL);

    if (*name == '\0')
        strv_add(reasons, "metadata.name must not be empty");
    else if (!is_dns_label(name))
        strv_addf(reasons,
                  "metadata.name '%.80s' must consist of lower case letters, digits and '-', begin and end with a "
                  "letter or "
                  "digit, and have at most 63 characters",
                  name);
    else if (starts_with(name, "eks-"))
        strv_addf(reasons, "metadata.name '%s' must not begin with 'eks-'", name);
}

static void check_labels(const struct json *labels, size_t index, struct strv *reasons)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (json_type(labels) != JSON_NULL && !json_is_object(labels)) {
        strv_addf(reasons, "spec.selectors[%zu].labels must be a map of strings", index);
        return;
    }
    if (json_len(labels) > LIMIT_SELECTOR_LABELS)
        strv_addf(reasons, "Request contains Selector with more than %d Label pairs", LIMIT_SELECTOR_LABELS);
    while (json_next(labels, &position, &key, &value)) {
        const char *text = json_string_value(value);
        if (!is_label_key_pattern(key))
            strv_addf(reasons, "spec.selectors[%zu].labels: '%.80s' is no label key (* and ? are allowed)", index,
                      key);
        if (text == NULL)
            strv_addf(reasons, "spec.selectors[%zu].labels: the value of '%.80s' must be a string", index, key);
        else if (!is_label_value_pattern(text))
            strv_addf(reasons, "spec.selectors[%zu].labels: '%.80s' is no label value (* and ? are allowed)", index,
                      text);
    }
}

static bool same_selector(const struct json *a, const struct json *b)
{
    const struct json *a_labels = json_get(a, "labels", NULL), *b_labels = json_get(b, "labels", NULL);

    if (!streq(json_str(a, "namespace", NULL), json_str(b, "namespace", NULL)))
        return false;
    return json_len(a_labels) == 0 ? json_len(b_labels) == 0 : json_same(a_labels, b_labels);
}

static void check_selectors(const struct json *selectors, struct strv *reasons)
{
    const struct json *selector;

    if (!json_is_array(selectors) || json_len(selectors) == 0) {
        strv_add(reasons, "Fargate Profile requires at least one selector.");
        return;
    }
    if (json_len(selectors) > LIMIT_SELECTORS)
        strv_addf(reasons, "Fargate Profile must not have more than %d selectors; this one has %zu", LIMIT_SELECTORS,
                  json_len(selectors));
    json_each(selector, selectors) {
        const char *namespace = json_str_or("", selector, "namespace", NULL);
        if (selector_index >= LIMIT_SELECTORS)
            break; /* named above; the comparison below is quadratic */
        if (*namespace == '\0')
            strv_add(reasons, "Fargate Profile must have at least one selector with at least one namespace value.");
        else if (!is_namespace_pattern(namespace))
            strv_addf(reasons, "spec.selectors[%zu].namespace '%.80s' is no namespace name (* and ? are allowed)",
                      selector_index, namespace);
        check_labels(json_get(selector, "labels", NULL), selector_index, reasons);
        for (size_t i = 0; i < selector_index; i++)
            if (same_selector(selector, json_at(selectors, i)))
                strv_addf(reasons, "spec.selectors[%zu] and spec.selectors[%zu] are equal", i, selector_index);
    }
}

static void check_strings(const struct json *value, const char *field, struct strv *reasons)
{
    void *position = NULL;
    const char *key;
    const struct json *item;
    bool good = json_type(value) == JSON_NULL || json_is_array(value) || json_is_object(value);

    json_each(item, value)
        good &= json_string_value(item) != NULL;
    while (json_next(value, &position, &key, &item))
        good &= json_string_value(item) != NULL;
    if (!good)
        strv_addf(reasons, "spec.%s must hold strings only", field);
}

static void check_optional_name(const struct json *spec, const char *field, struct strv *reasons)
{
    const struct json *value = json_member(spec, field);
    const char *name = json_string_value(value);

    if (json_type(value) == JSON_NULL)
        return;
    if (name == NULL || strlen(name) > PREFIX_MAX || !is_word(name, strlen(name), "-.", false, false))
        strv_addf(reasons, "spec.%s must be a name of lower case letters, digits, '-' and '.'", field);
}

static bool is_label_key(const char *text)
{
    return !has_wildcard(text) && is_label_key_pattern(text);
}

static bool is_label_value(const char *text)
{
    return !has_wildcard(text) && is_label_value_pattern(text);
}

static void check_node_selector(const struct json *selector, struct strv *reasons)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (json_is_array(selector))
        strv_add(reasons, "spec.nodeSelector must be a map of strings");
    check_strings(selector, "nodeSelector", reasons);
    while (json_next(selector, &position, &key, &value)) {
        const char *text = json_string_value(value);
        if (!is_label_key(key))
            strv_addf(reasons, "spec.nodeSelector: '%.80s' is no label key", key);
        if (text != NULL && !is_label_value(text))
            strv_addf(reasons, "spec.nodeSelector: '%.80s' is no label value", text);
    }
}

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (streq(text, list[i]))
            return true;
    return false;
}

/* As the API server checks them in a pod, where it would refuse every pod of the profile. NULL: no problem. */
static const char *problem_of_toleration(const struct json *toleration)
{
    static const char *const effects[] = {"", "NoSchedule", "PreferNoSchedule", "NoExecute"};
    static const char *const operators[] = {"", "Equal", "Exists", "Lt", "Gt"};
    const char *key = json_str_or("", toleration, "key", NULL), *value = json_str_or("", toleration, "value", NULL);
    const char *op = json_str_or("", toleration, "operator", NULL);
    const char *effect = json_str_or("", toleration, "effect", NULL);
    bool exists = streq(op, "Exists"), forever = json_type(json_member(toleration, "tolerationSeconds")) == JSON_NULL;

    if (!is_one_of(op, operators, countof(operators)))
        return "operator must be Exists or Equal";
    if (!is_one_of(effect, effects, countof(effects)))
        return "effect must be NoSchedule, PreferNoSchedule or NoExecute";
    if (*key == '\0' && !exists)
        return "operator must be Exists when the key is empty";
    if (*key != '\0' && !is_label_key(key))
        return "key must be a label key";
    if (exists && *value != '\0')
        return "value must be empty when operator is Exists";
    if (!is_label_value(value))
        return "value must be a label value";
    if (!forever && !streq(effect, "NoExecute"))
        return "effect must be NoExecute when tolerationSeconds is set";
    return NULL;
}

static void check_tolerations(const struct json *tolerations, struct strv *reasons)
{
    const struct json *toleration;
    bool good = json_type(tolerations) == JSON_NULL || json_is_array(tolerations);

    json_each(toleration, tolerations) {
        const char *problem = json_is_object(toleration) ? problem_of_toleration(toleration) : NULL;
        good &= json_is_object(toleration);
        if (problem != NULL)
            strv_addf(reasons, "spec.tolerations[%zu]: %s", toleration_index, problem);
    }
    if (!good)
        strv_add(reasons, "spec.tolerations must be a list of tolerations");
}

static void check_zones(const struct json *zones, struct strv *reasons)
{
    const struct json *zone;

    if (json_is_object(zones))
        strv_add(reasons, "spec.zones must be a list of strings");
    check_strings(zones, "zones", reasons);
    json_each(zone, zones) {
        const char *name = json_string_value(zone);
        if (name != NULL && (*name == '\0' || !is_label_value(name)))
            strv_addf(reasons, "spec.zones[%zu]: '%.80s' is no label value", zone_index, name);
    }
}

/* Where it is given, the field is one of two words. */
static void check_choice(const struct json *spec, const char *field, const char *first, const char *second,
                         struct strv *reasons)
{
    const struct json *value = json_member(spec, field);
    const char *text = json_string_value(value);

    if (json_type(value) != JSON_NULL && !streq(text, first) && !streq(text, second))
        strv_addf(reasons, "spec.%s must be %s or %s", field, first, second);
}

/* An amount of spec.quota; FARGATE_NO_QUOTA when it is left out. false: it cannot be read. */
static bool read_quota(const struct json *spec, const char *name, int64_t *ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *value = json_get(spec, "quota", name, NULL);
    int64_t amount = FARGATE_NO_QUOTA;
    bool good = true;

    if (json_type(value) == JSON_STRING)
        buf_add_str(&text, json_string_value(value));
    else if (value != NULL)
        json_print(value, &text); /* 4 for "4" */
    if (json_type(value) != JSON_NULL)
        good = (streq(name, "cpu") ? quantity_parse_milli(buf_text(&text), &amount, &ignored)
                                   : quantity_parse_units(buf_text(&text), &amount, &ignored)) == 0 && amount >= 0;
    *ret = amount;
    return good;
}

static void check_quota(const struct json *spec, struct strv *reasons)
{
    static const char *const names[] = {"cpu", "memory", "pods"};
    const struct json *quota = json_get(spec, "quota", NULL);
    int64_t amount;

    if (json_type(quota) != JSON_NULL && !json_is_object(quota))
        strv_add(reasons, "spec.quota must be a map with cpu, memory and pods");
    for (size_t i = 0; i < countof(names); i++)
        if (!read_quota(spec, names[i], &amount))
            strv_addf(reasons, "spec.quota.%s must be a quantity, 0 or more", names[i]);
}

void fargate_profile_check(const struct json *object, struct strv *reasons)
{
    const struct json *spec = json_get(object, "spec", NULL);
    const struct json *priority = json_get(spec, "priority", NULL);
    const struct json *reconcile = json_get(spec, "reconcilePendingPods", NULL);

    check_name(object, reasons);
    check_selectors(json_get(spec, "selectors", NULL), reasons);
    if (json_type(priority) != JSON_NULL && json_type(priority) != JSON_INT)
        strv_add(reasons, "spec.priority must be an integer");
    check_optional_name(spec, "runtimeClassName", reasons);
    check_optional_name(spec, "schedulerName", reasons);
    check_node_selector(json_get(spec, "nodeSelector", NULL), reasons);
    check_tolerations(json_get(spec, "tolerations", NULL), reasons);
    check_zones(json_get(spec, "zones", NULL), reasons);
    check_choice(spec, "sizing", "Fargate", "Exact", reasons);
    check_choice(spec, "podValidation", "Warn", "Enforce", reasons);
    check_choice(spec, "limits", "Refuse", "Clamp", reasons);
    if (json_type(reconcile) != JSON_NULL && json_type(reconcile) != JSON_BOOL)
        strv_add(reasons, "spec.reconcilePendingPods must be true or false");
    check_quota(spec, reasons);
}

/* --- reading what was checked */

static void read_selector(const struct json *object, struct fargate_selector *ret)
{
    const struct json *labels = json_get(object, "labels", NULL);
    void *position = NULL;
    const char *key;
    const struct json *value;

    ret->namespace = xstrdup(json_str(object, "namespace", NULL));
    ret->labels = xcalloc(json_len(labels), sizeof(*ret->labels));
    while (json_next(labels, &position, &key, &value)) {
        ret->labels[ret->n_labels].key = xstrdup(key);
        ret->labels[ret->n_labels++].value = xstrdup(json_string_value(value));
    }
}

static struct json *keep_unless_empty(const struct json *value)
{
    return json_len(value) > 0 ? json_keep(value) : NULL;
}

static char *copy_unless_empty(const char *text)
{
    return text != NULL && *text != '\0' ? xstrdup(text) : NULL;
}

static enum fargate_pod_validation read_pod_validation(const char *text)
{
    return streq(text, "Enforce") ? FARGATE_VALIDATION_ENFORCE
           : streq(text, "Warn")  ? FARGATE_VALIDATION_WARN
                                  : FARGATE_VALIDATION_DEFAULT;
}

int fargate_profile_read(const struct json *object, struct fargate_profile *ret, struct err *err)
{
    CLEANUP(strv_done) struct strv reasons = {0};
    const struct json *spec = json_get(object, "spec", NULL), *selectors = json_get(spec, "selectors", NULL), *item;
    struct fargate_profile profile = {0};

    fargate_profile_check(object, &reasons);
    if (reasons.n > 0) {
        CLEANUP(xfree) char *text = strv_join(&reasons, "; ");
        return err_set(err, ERR_INVALID, "%s", text);
    }
    profile.name = xstrdup(json_str(object, "metadata", "name", NULL));
    profile.selectors = xcalloc(json_len(selectors), sizeof(*profile.selectors));
    json_each(item, selectors)
        read_selector(item, &profile.selectors[profile.n_selectors++]);
    profile.priority = json_int_or(0, spec, "priority", NULL);
    profile.runtime_class = copy_unless_empty(json_str(spec, "runtimeClassName", NULL));
    profile.scheduler_name = copy_unless_empty(json_str(spec, "schedulerName", NULL));
    profile.node_selector = keep_unless_empty(json_get(spec, "nodeSelector", NULL));
    profile.tolerations = keep_unless_empty(json_get(spec, "tolerations", NULL));
    json_each(item, json_get(spec, "zones", NULL))
        strv_add(&profile.zones, json_string_value(item));
    profile.exact_sizing = streq(json_str(spec, "sizing", NULL), "Exact");
    profile.pod_validation = read_pod_validation(json_str(spec, "podValidation", NULL));
    profile.clamp_limits = streq(json_str(spec, "limits", NULL), "Clamp");
    (void)read_quota(spec, "cpu", &profile.quota.cpu_m);
    (void)read_quota(spec, "memory", &profile.quota.mem_b);
    (void)read_quota(spec, "pods", &profile.quota.pods);
    profile.reconcile_pending = json_is_true(spec, "reconcilePendingPods", NULL);
    *ret = profile;
    return 0;
}

void fargate_profile_done(struct fargate_profile *profile)
{
    for (size_t i = 0; i < profile->n_selectors; i++) {
        struct fargate_selector *selector = &profile->selectors[i];
        for (size_t k = 0; k < selector->n_labels; k++) {
            free(selector->labels[k].key);
            free(selector->labels[k].value);
        }
        free(selector->labels);
        free(selector->namespace);
    }
    free(profile->selectors);
    free(profile->name);
    free(profile->runtime_class);
    free(profile->scheduler_name);
    json_free(profile->node_selector);
    json_free(profile->tolerations);
    strv_done(&profile->zones);
    *profile = (struct fargate_profile){0};
}

static int compare(const void *a_pointer, const void *b_pointer)
{
    const struct fargate_profile *a = a_pointer, *b = b_pointer;

    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return strcmp(a->name, b->name);
}

struct fargate_profiles *fargate_profiles_new(struct fargate_profile *items, size_t n)
{
    struct fargate_profiles *profiles = NEW(struct fargate_profiles);

    if (n > 0)
        qsort(items, n, sizeof(*items), compare);
    *profiles = (struct fargate_profiles){items, n, fargate_index_new(items, n), &fargate_names_usual};
    return profiles;
}

struct fargate_profiles *fargate_profiles_free(struct fargate_profiles *profiles)
{
    if (profiles == NULL)
        return NULL;
    for (size_t i = 0; i < profiles->n; i++)
        fargate_profile_done(&profiles->items[i]);
    fargate_index_free(profiles->index);
    free(profiles->items);
    free(profiles);
    return NULL;
}
