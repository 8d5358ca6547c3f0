/*
 * narrow.c: see narrow.h. Namespaces without wildcards become a list, the others one regular expression (RE2): `*` stands for
 * any run of characters, `?` for one.
 */
#include "narrow.h"

#include "base/mem.h"

/* What a namespace's name can hold, and the wildcards; anything else would also have to be quoted. */
static bool can_match(const char *pattern)
{
    return *pattern != '\0' && pattern[strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789-*?")] == '\0';
}

void narrow_add(struct strv *patterns, const struct json *profile)
{
    const struct json *selector;

    json_each(selector, json_get(profile, "spec", "selectors", NULL))
    {
        const char *pattern = json_str_or("", selector, "namespace", NULL);
        if (can_match(pattern))
            strv_add(patterns, pattern);
    }
}

void narrow_tidy(struct strv *patterns)
{
    struct strv tidy = {0};

    strv_sort(patterns);
    for (size_t i = 0; i < patterns->n; i++)
        if (i == 0 || !streq(patterns->items[i], patterns->items[i - 1]))
            strv_add(&tidy, patterns->items[i]);
    strv_done(patterns);
    *patterns = tidy;
}

static bool has_wildcard(const char *pattern)
{
    return strpbrk(pattern, "*?") != NULL;
}

static void add_regular(struct buf *out, const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*')
            buf_add_str(out, ".*");
        else
            buf_add_char(out, *pattern == '?' ? '.' : *pattern);
    }
}

char *narrow_expression(const struct strv *patterns)
{
    CLEANUP(buf_done) struct buf exact = {0};
    CLEANUP(buf_done) struct buf regular = {0};

    for (size_t i = 0; i < patterns->n; i++) {
        const char *pattern = patterns->items[i];
        if (pattern[strspn(pattern, "*")] == '\0')
            return NULL;
        if (has_wildcard(pattern)) {
            buf_add_str(&regular, regular.len > 0 ? "|" : "");
            add_regular(&regular, pattern);
        } else {
            buf_printf(&exact, "%s'%s'", exact.len > 0 ? ", " : "", pattern);
        }
    }
    if (exact.len + regular.len > NARROW_MAX)
        return NULL;
    if (exact.len == 0 && regular.len == 0)
        return xstrdup("false");
    if (regular.len == 0)
        return xasprintf("request.namespace in [%s]", buf_text(&exact));
    if (exact.len == 0)
        return xasprintf("request.namespace.matches('^(?:%s)$')", buf_text(&regular));
    return xasprintf("request.namespace in [%s] || request.namespace.matches('^(?:%s)$')", buf_text(&exact),
                     buf_text(&regular));
}

static bool is_about_pods(const struct json *webhook)
{
    const struct json *rule, *resource;

    json_each(rule, json_get(webhook, "rules", NULL))
        json_each(resource, json_get(rule, "resources", NULL))
            if (streq(json_string_value(resource), "pods"))
                return true;
    return false;
}

void narrow_apply(struct json *registration, const char *expression)
{
    struct json *webhooks = json_edit_member(registration, "webhooks");

    for (size_t i = 0; i < json_len(webhooks); i++) {
        struct json *webhook = json_edit_at(webhooks, i);
        if (!is_about_pods(webhook))
            continue;
        if (!json_is_array(json_get(webhook, "matchConditions", NULL)))
            json_set(webhook, "matchConditions", json_new_array());
        json_push(json_edit_member(webhook, "matchConditions"),
                  json_build("{s:s, s:s}", "name", NARROW_CONDITION, "expression", expression));
    }
}
