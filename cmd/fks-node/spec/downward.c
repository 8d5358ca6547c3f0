/*
 * downward.c: the downward API. environment.c asks for single values, volumes.c for the text of files. What only
 * the agent knows (addresses, the Node's allocatable) comes in a context, so that this stays pure.
 */
#include "spec/downward.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/quantity.h"

/* Go's %q for the values of labels and annotations: what a reader of the file unquotes. */
static void print_quoted(const char *text, struct buf *out)
{
    buf_add_char(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        switch (c) {
        case '"':
        case '\\':
            buf_add_char(out, '\\');
            buf_add_char(out, *text);
            break;
        case '\n':
            buf_add_str(out, "\\n");
            break;
        case '\r':
            buf_add_str(out, "\\r");
            break;
        case '\t':
            buf_add_str(out, "\\t");
            break;
        default:
            if (c < 0x20 || c == 0x7f)
                buf_printf(out, "\\x%02x", c);
            else
                buf_add_char(out, *text);
        }
    }
    buf_add_char(out, '"');
}

/* One key="value" line each, sorted by key, no newline at the end. */
static char *print_map(const struct json *object)
{
    CLEANUP(strv_done) struct strv keys = {0};
    CLEANUP(buf_done) struct buf text = {0};
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(object, &position, &key, &value))
        strv_add(&keys, key);
    strv_sort(&keys);
    for (size_t i = 0; i < keys.n; i++) {
        if (i > 0)
            buf_add_char(&text, '\n');
        buf_add_str(&text, keys.items[i]);
        buf_add_char(&text, '=');
        print_quoted(strempty(json_string_value(json_member(object, keys.items[i]))), &text);
    }
    return buf_take(&text);
}

/* metadata.labels['k'] → k, as a heap string; NULL when path is no such expression. */
static char *subscript_key(const char *path, const char *map_path)
{
    size_t len = strlen(map_path);
    const char *key;

    if (!starts_with(path, map_path) || !starts_with(path + len, "['") || !ends_with(path, "']"))
        return NULL;
    key = path + len + 2;
    if (strlen(key) < 2)
        return NULL;
    return xstrndup(key, strlen(key) - 2);
}

static const char *first_known(const char *from_agent, const struct json *pod, const char *parent, const char *key)
{
    return from_agent != NULL ? from_agent : json_str_or("", pod, parent, key, NULL);
}

int downward_field(const struct json *pod, const char *field_path, const struct downward_context *context, char **ret,
                   struct err *err)
{
    CLEANUP(xfree) char *label = subscript_key(field_path, "metadata.labels");
    CLEANUP(xfree) char *annotation = subscript_key(field_path, "metadata.annotations");
    const char *value;

    if (streq(field_path, "metadata.labels") || streq(field_path, "metadata.annotations")) {
        *ret = print_map(json_get(pod, "metadata", field_path + strlen("metadata."), NULL));
        return 0;
    }
    if (label != NULL)
        value = json_str_or("", pod, "metadata", "labels", label, NULL);
    else if (annotation != NULL)
        value = json_str_or("", pod, "metadata", "annotations", annotation, NULL);
    else if (streq(field_path, "metadata.name") || streq(field_path, "metadata.namespace") ||
             streq(field_path, "metadata.uid"))
        value = json_str_or("", pod, "metadata", field_path + strlen("metadata."), NULL);
    else if (streq(field_path, "spec.nodeName"))
        value = first_known(context->node_name, pod, "spec", "nodeName");
    else if (streq(field_path, "spec.serviceAccountName"))
        value = json_str_or("", pod, "spec", "serviceAccountName", NULL);
    else if (streq(field_path, "status.podIP") || streq(field_path, "status.podIPs"))
        value = first_known(context->pod_ip, pod, "status", "podIP");
    else if (streq(field_path, "status.hostIP") || streq(field_path, "status.hostIPs"))
        value = first_known(context->host_ip, pod, "status", "hostIP");
    else
        return err_set(err, ERR_INVALID, "unsupported fieldPath: %s", field_path);
    *ret = xstrdup(value);
    return 0;
}

/* What the machine offers, for containers without a limit or request of their own. */
static int64_t allocatable_of(const char *resource, const struct downward_context *context)
{
    if (streq(resource, "cpu"))
        return context->allocatable_cpu_m;
    if (streq(resource, "memory"))
        return context->allocatable_mem_b;
    if (streq(resource, "ephemeral-storage"))
        return context->allocatable_storage_b;
    return 0;
}

static bool is_resource(const char *resource)
{
    return streq(resource, "cpu") || streq(resource, "memory") || streq(resource, "ephemeral-storage") ||
           starts_with(resource, "hugepages-");
}

int downward_resource(const struct json *container, const char *resource, const char *divisor,
                      const struct downward_context *context, char **ret, struct err *err)
{
    bool limits = starts_with(resource, "limits.");
    const char *name;
    const char *text;
    bool is_cpu;
    int64_t value, unit;
    int r;

    if (!limits && !starts_with(resource, "requests."))
        return err_set(err, ERR_INVALID, "unsupported container resource: %s", resource);
    name = resource + (limits ? strlen("limits.") : strlen("requests."));
    if (!is_resource(name))
        return err_set(err, ERR_INVALID, "unsupported container resource: %s", resource);
    is_cpu = streq(name, "cpu");
    text = json_str(container, "resources", limits ? "limits" : "requests", name, NULL);
    if (text == NULL)
        value = limits ? allocatable_of(name, context) : 0;
    else {
        r = is_cpu ? quantity_parse_milli(text, &value, err) : quantity_parse_units(text, &value, err);
        if (r < 0)
            return r;
    }
    if (divisor == NULL || divisor[0] == '\0' || streq(divisor, "0"))
        divisor = "1";
    r = is_cpu ? quantity_parse_milli(divisor, &unit, err) : quantity_parse_units(divisor, &unit, err);
    if (r < 0)
        return r;
    if (unit <= 0)
        return err_set(err, ERR_INVALID, "divisor '%s' of %s is not above zero", divisor, resource);
    *ret = xasprintf("%" PRId64, value / unit + (value % unit > 0));
    return 0;
}
