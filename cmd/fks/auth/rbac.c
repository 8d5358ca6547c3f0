/*
 * rbac.c: RBAC rules broken down into their smallest parts, compared, and put together again. Pure: no requests. The
 * meaning of "*" is the authorizer's: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
 */
#include "auth/rbac.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const struct json *list_of(const struct json *rule, const char *key)
{
    return json_get(rule, key, NULL);
}

static struct json *one(const struct json *value)
{
    struct json *list = json_new_array();
    json_push(list, json_keep(value));
    return list;
}

static void add_resource_parts(const struct json *rule, const struct json *group, const struct json *resource,
                               struct json *parts)
{
    const struct json *names = list_of(rule, "resourceNames"), *verb, *name;
    json_each(verb, list_of(rule, "verbs")) {
        struct json *part = json_build("{s:o, s:o, s:o}", "verbs", one(verb), "apiGroups", one(group), "resources",
                                       one(resource));
        json_each(name, names) {
            struct json *named = json_clone(part);
            json_set(named, "resourceNames", one(name));
            json_push(parts, named);
        }
        if (json_len(names) == 0)
            json_push(parts, part);
        else
            json_free(part);
    }
}

void rbac_break_down(const struct json *rule, struct json *parts)
{
    const struct json *group, *resource, *url, *verb;
    json_each(group, list_of(rule, "apiGroups"))
        json_each(resource, list_of(rule, "resources"))
            add_resource_parts(rule, group, resource, parts);
    json_each(url, list_of(rule, "nonResourceURLs"))
        json_each(verb, list_of(rule, "verbs"))
            json_push(parts, json_build("{s:o, s:o}", "verbs", one(verb), "nonResourceURLs", one(url)));
}

/* --- covering */

static bool has(const struct json *list, const char *text)
{
    const struct json *item;
    json_each(item, list) {
        if (streq(json_string_value(item), text))
            return true;
    }
    return false;
}

/* The only element of a part's list; NULL if the part has none. */
static const char *only(const struct json *part, const char *key)
{
    return json_string_value(json_at(list_of(part, key), 0));
}

static bool covers_word(const struct json *owner, const struct json *part, const char *key)
{
    const char *word = only(part, key);
    return word == NULL || has(list_of(owner, key), "*") || has(list_of(owner, key), word);
}

/* "*" and "pods/log" cover "pods/log", and so does every resource's "log". */
static bool covers_resource(const struct json *owner, const struct json *part)
{
    const char *resource = only(part, "resources");
    const char *slash = resource != NULL ? strchr(resource, '/') : NULL;
    if (covers_word(owner, part, "resources"))
        return true;
    if (slash == NULL)
        return false;
    CLEANUP(xfree) char *of_every = xasprintf("*%s", slash);
    return has(list_of(owner, "resources"), of_every);
}

static bool covers_url(const struct json *owner, const struct json *part)
{
    const char *url = only(part, "nonResourceURLs");
    const struct json *item;
    if (url == NULL)
        return true;
    json_each(item, list_of(owner, "nonResourceURLs")) {
        const char *pattern = strempty(json_string_value(item));
        size_t len = strlen(pattern);
        if (streq(pattern, url))
            return true;
        if (len == 0 || pattern[len - 1] != '*')
            continue;
        while (len > 0 && pattern[len - 1] == '*')
            len--;
        if (strncmp(url, pattern, len) == 0)
            return true;
    }
    return false;
}

static bool covers_name(const struct json *owner, const struct json *part)
{
    const char *name = only(part, "resourceNames");
    const struct json *names = list_of(owner, "resourceNames");
    return json_len(names) == 0 || (name != NULL && has(names, name));
}

static bool covers(const struct json *owner, const struct json *part)
{
    return covers_word(owner, part, "verbs") && covers_word(owner, part, "apiGroups") && covers_resource(owner, part) &&
           covers_url(owner, part) && covers_name(owner, part);
}

struct json *rbac_uncovered(const struct json *owner_rules, const struct json *rules)
{
    CLEANUP(json_free) struct json *parts = json_new_array();
    struct json *uncovered = json_new_array();
    const struct json *rule, *part, *owner;
    json_each(rule, rules)
        rbac_break_down(rule, parts);
    json_each(part, parts) {
        bool covered = false;
        json_each(owner, owner_rules)
            covered = covered || covers(owner, part);
        if (!covered)
            json_push(uncovered, json_keep(part));
    }
    return uncovered;
}

/* --- putting together */

void rbac_list_text(const struct json *list, struct buf *out)
{
    const struct json *item;
    buf_add_char(out, '[');
    json_each(item, list)
        buf_printf(out, "%s%s", item_index > 0 ? " " : "", strempty(json_string_value(item)));
    buf_add_char(out, ']');
}

void rbac_resource_text(const struct json *rule, struct buf *out)
{
    const char *resource = only(rule, "resources"), *group = strempty(only(rule, "apiGroups"));
    if (resource == NULL)
        return;
    size_t len = strcspn(resource, "/");
    buf_add(out, resource, len);
    if (group[0] != '\0')
        buf_printf(out, ".%s", group);
    buf_add_str(out, resource + len);
}

/* What kubectl sorts by: the text of the Go structure. */
static char *sort_key(const struct json *rule)
{
    static const char *const fields[][2] = {{"Verbs", "verbs"},
                                            {"APIGroups", "apiGroups"},
                                            {"Resources", "resources"},
                                            {"ResourceNames", "resourceNames"},
                                            {"NonResourceURLs", "nonResourceURLs"}};
    struct buf text = {0};
    for (size_t i = 0; i < countof(fields); i++) {
        buf_printf(&text, "%s:", fields[i][0]);
        rbac_list_text(list_of(rule, fields[i][1]), &text);
        buf_add_char(&text, ',');
    }
    return buf_take(&text);
}

static bool is_same_but_verbs(const struct json *a, const struct json *b)
{
    static const char *const keys[] = {"apiGroups", "resources", "resourceNames"};
    for (size_t i = 0; i < countof(keys); i++) {
        if (!streq(only(a, keys[i]), only(b, keys[i])))
            return false;
    }
    return true;
}

static void merge_part(struct json *rules, const struct json *part)
{
    if (list_of(part, "nonResourceURLs") == NULL) {
        for (size_t i = 0; i < json_len(rules); i++) {
            struct json *rule = json_edit_at(rules, i);
            if (list_of(rule, "nonResourceURLs") != NULL || !is_same_but_verbs(rule, part))
                continue;
            if (!has(list_of(rule, "verbs"), only(part, "verbs")))
                json_push(json_edit_member(rule, "verbs"), json_new_string(only(part, "verbs")));
            return;
        }
    }
    json_push(rules, json_clone(part));
}

struct keyed_rule {
    char *key;
    const struct json *rule;
    size_t place; /* where keys are equal */
};

static int compare_rules(const void *a, const void *b)
{
    const struct keyed_rule *left = a, *right = b;
    int order = strcmp(left->key, right->key);
    return order != 0 ? order : left->place < right->place ? -1 : left->place > right->place;
}

struct json *rbac_compact(const struct json *parts)
{
    CLEANUP(json_free) struct json *rules = json_new_array();
    struct json *sorted = json_new_array();
    const struct json *part;
    json_each(part, parts)
        merge_part(rules, part);
    size_t n = json_len(rules);
    struct keyed_rule *keyed = xcalloc(n + 1, sizeof(*keyed));
    for (size_t i = 0; i < n; i++)
        keyed[i] = (struct keyed_rule){sort_key(json_at(rules, i)), json_at(rules, i), i};
    qsort(keyed, n, sizeof(*keyed), compare_rules);
    for (size_t i = 0; i < n; i++) {
        json_push(sorted, json_keep(keyed[i].rule));
        free(keyed[i].key);
    }
    free(keyed);
    return sorted;
}
