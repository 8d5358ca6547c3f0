/*
 * resource_ref.c: the value of a resourceFieldRef, as the kubelet and kubectl compute it: CPU in thousandths,
 * everything else in units, divided by the divisor and rounded up.
 */
#include "print/resource_ref.h"

#include "base/str.h"
#include "data/quantity.h"
#include "text/gotext.h"

static int64_t amount(const struct json *value, bool milli)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err no_quantity = {0};
    int64_t result = 0;
    if (value == NULL)
        return 0;
    gotext_print(value, &text);
    int code = milli ? quantity_parse_milli(buf_text(&text), &result, &no_quantity)
                     : quantity_parse_units(buf_text(&text), &result, &no_quantity);
    return code < 0 ? 0 : result;
}

static bool is_known(const char *resource)
{
    return streq(resource, "cpu") || streq(resource, "memory") || streq(resource, "ephemeral-storage") ||
           starts_with(resource, "hugepages-");
}

int resource_ref_value(const struct json *reference, const struct json *container, int64_t *ret, struct err *err)
{
    const char *path = json_str_or("", reference, "resource", NULL), *dot = strchr(path, '.');
    const char *resource = dot != NULL ? dot + 1 : "";
    bool limits = starts_with(path, "limits."), milli = streq(resource, "cpu");
    if ((!limits && !starts_with(path, "requests.")) || !is_known(resource))
        return err_set(err, ERR_UNSUPPORTED, "Unsupported container resource : %s", path);
    int64_t divisor = amount(json_get(reference, "divisor", NULL), milli);
    int64_t value = amount(json_get(container, "resources", limits ? "limits" : "requests", resource, NULL), milli);
    if (divisor <= 0)
        divisor = milli ? 1000 : 1;
    *ret = value / divisor + (value % divisor > 0);
    return 0;
}
