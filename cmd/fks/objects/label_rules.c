/*
 * label_rules.c: label keys and values. https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
 * The server checks them too; this is for commands whose text has to be taken apart first.
 */
#include "objects/label_rules.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define NAME_MAX_LEN 63
#define PREFIX_MAX_LEN 253
#define KEY_PROBLEM                                                                                                \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "       \
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "                        \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define VALUE_PROBLEM                                                                                              \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "      \
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "   \
    "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define PREFIX_PROBLEM                                                                                             \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "     \
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "              \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

static void add(struct buf *problems, const char *part, const char *text)
{
    buf_printf(problems, "%s%s%s", problems->len > 0 ? "; " : "", part, text);
}

static void add_too_long(struct buf *problems, const char *part, size_t len, int max)
{
    if (len > (size_t)max)
        buf_printf(problems, "%s%smust be no more than %d characters", problems->len > 0 ? "; " : "", part, max);
}

static bool is_name(const char *text, size_t len)
{
    if (len == 0 || !isalnum((unsigned char)text[0]) || !isalnum((unsigned char)text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL)
            return false;
    }
    return true;
}

static bool is_subdomain(const char *text)
{
    CLEANUP(strv_done) struct strv parts = {0};
    strv_split(&parts, text, '.');
    for (size_t i = 0; i < parts.n; i++) {
        const char *part = parts.items[i];
        size_t len = strlen(part);
        if (len == 0 || part[0] == '-' || part[len - 1] == '-' ||
            strspn(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
            return false;
    }
    return parts.n > 0;
}

void label_rules_key(const char *key, struct buf *problems)
{
    const char *slash = strchr(key, '/');
    const char *name = slash != NULL ? slash + 1 : key;
    if (strchr(name, '/') != NULL) {
        add(problems, "a valid label key ", KEY_PROBLEM " with an optional DNS subdomain prefix and '/' (e.g. "
                                            "'example.com/MyName')");
        return;
    }
    if (slash == key) {
        add(problems, "prefix part ", "must be non-empty");
    } else if (slash != NULL) {
        CLEANUP(xfree) char *prefix = xstrndup(key, (size_t)(slash - key));
        add_too_long(problems, "prefix part ", strlen(prefix), PREFIX_MAX_LEN);
        if (!is_subdomain(prefix))
            add(problems, "prefix part ", PREFIX_PROBLEM);
    }
    if (name[0] == '\0')
        add(problems, "name part ", "must be non-empty");
    add_too_long(problems, "name part ", strlen(name), NAME_MAX_LEN);
    if (!is_name(name, strlen(name)))
        add(problems, "name part ", KEY_PROBLEM);
}

void label_rules_value(const char *value, struct buf *problems)
{
    add_too_long(problems, "", strlen(value), NAME_MAX_LEN);
    if (value[0] != '\0' && !is_name(value, strlen(value)))
        add(problems, "", VALUE_PROBLEM);
}
