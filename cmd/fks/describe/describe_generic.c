/*
 * describe_generic.c: any other kind: its whole tree, field names made readable ("apiVersion" is "API Version").
 */
#include "describe/describe.h"

#include <ctype.h>
#include <strings.h>

#include "base/mem.h"
#include "text/gotext.h"

/* "podIPs" → "pod", "I", "Ps"... split where the case of the letters changes, as the camelcase package does. */
static void split_words(const char *field, struct strv *out)
{
    CLEANUP(strv_done) struct strv runs = {0};
    for (size_t i = 0; field[i] != '\0';) {
        size_t n = 0;
        int class = islower((unsigned char)field[i]) ? 1 : isupper((unsigned char)field[i]) ? 2 : 3;
        while (field[i + n] != '\0' && class == (islower((unsigned char)field[i + n])   ? 1
                                                 : isupper((unsigned char)field[i + n]) ? 2
                                                                                        : 3))
            n++;
        strv_take(&runs, xstrndup(field + i, n));
        i += n;
    }
    /* an upper-case run gives its last letter to the lower-case run behind it */
    for (size_t i = 0; i + 1 < runs.n; i++) {
        size_t len = strlen(runs.items[i]);
        if (len == 0 || !isupper((unsigned char)runs.items[i][0]) || !islower((unsigned char)runs.items[i + 1][0]))
            continue;
        char *joined = xasprintf("%c%s", runs.items[i][len - 1], runs.items[i + 1]);
        free(runs.items[i + 1]);
        runs.items[i + 1] = joined;
        runs.items[i][len - 1] = '\0';
    }
    for (size_t i = 0; i < runs.n; i++) {
        if (runs.items[i][0] != '\0')
            strv_add(out, runs.items[i]);
    }
}

static bool is_upper(const char *word)
{
    for (; *word != '\0'; word++) {
        if (isalpha((unsigned char)*word) && !isupper((unsigned char)*word))
            return false;
    }
    return true;
}

static bool is_lower(const char *word)
{
    for (; *word != '\0'; word++) {
        if (isupper((unsigned char)*word))
            return false;
    }
    return true;
}

static void add_word(const char *word, struct buf *out)
{
    static const char *const acronyms[] = {"API", "URL", "UID", "GUID"};
    buf_add_str(out, out->len > 0 ? " " : "");
    for (size_t i = 0; i < countof(acronyms); i++) {
        if (strcasecmp(word, acronyms[i]) == 0) {
            buf_add_str(out, acronyms[i]);
            return;
        }
    }
    bool lower = is_lower(word);
    for (size_t i = 0; word[i] != '\0'; i++)
        buf_add_char(out, i == 0 && lower ? (char)toupper((unsigned char)word[i]) : word[i]);
}

static void readable_name(const char *field, struct buf *out)
{
    for (const char *c = field; *c != '\0'; c++) {
        if (!isalpha((unsigned char)*c) && *c != '-') {
            buf_add_str(out, field);
            return;
        }
    }
    CLEANUP(strv_done) struct strv words = {0};
    split_words(field, &words);
    for (size_t i = 0; i < words.n; i++) {
        bool joins = i + 1 < words.n && strlen(words.items[i]) >= 2 && is_upper(words.items[i]) &&
                     isupper((unsigned char)words.items[i + 1][0]);
        if (joins) {
            CLEANUP(xfree) char *joined = xasprintf("%s%s", words.items[i], words.items[i + 1]);
            add_word(joined, out);
            i++;
        } else {
            add_word(words.items[i], out);
        }
    }
}

static void describe_tree(struct describe *describe, int level, const struct json *object, bool is_metadata)
{
    static const char *const hidden[] = {"managedFields", "name", "namespace", "labels", "annotations"};
    CLEANUP(strv_done) struct strv keys = {0};
    const struct json *item;
    gotext_keys(object, &keys);
    for (size_t i = 0; i < keys.n; i++) {
        bool skip = false;
        for (size_t j = 0; j < countof(hidden); j++)
            skip = skip || (is_metadata && streq(keys.items[i], hidden[j]));
        if (skip)
            continue;
        const struct json *value = json_member(object, keys.items[i]);
        CLEANUP(buf_done) struct buf name = {0}, text = {0};
        readable_name(keys.items[i], &name);
        if (json_is_object(value)) {
            describe_write(describe, level, "%s:\n", buf_text(&name));
            describe_tree(describe, level + 1, value, level == 0 && streq(keys.items[i], "metadata"));
        } else if (json_is_array(value)) {
            describe_write(describe, level, "%s:\n", buf_text(&name));
            json_each(item, value) {
                CLEANUP(buf_done) struct buf item_text = {0};
                if (json_is_object(item)) {
                    describe_tree(describe, level + 1, item, false);
                    continue;
                }
                describe_scalar(item, &item_text);
                describe_write(describe, level + 1, "%s\n", buf_text(&item_text));
            }
        } else {
            describe_scalar(value, &text);
            describe_write(describe, level, "%s:\t%s\n", buf_text(&name), buf_text(&text));
        }
    }
}

void describe_generic(struct describe *describe)
{
    describe_head(describe);
    describe_map(describe, "Labels", json_get(describe->object, "metadata", "labels", NULL));
    describe_annotations(describe, "Annotations", json_get(describe->object, "metadata", "annotations", NULL));
    describe_tree(describe, 0, describe->object, false);
    describe_events(describe);
}
