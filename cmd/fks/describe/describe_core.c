/*
 * describe_core.c: services, namespaces, secrets, config maps, service accounts.
 */
#include "base/codec.h"
#include "base/mem.h"
#include "describe/describe.h"
#include "text/gotext.h"

#define ENDPOINTS_SHOWN 3

static void join_strings(const struct json *list, struct buf *out)
{
    const struct json *item;
    json_each(item, list)
        buf_printf(out, "%s%s", item_index > 0 ? "," : "", strempty(json_string_value(item)));
}

/* --- services */

struct endpoints {
    struct buf text;
    size_t n, n_shown;
    bool more;
};

static void add_endpoint(struct endpoints *endpoints, const struct json *endpoint, int64_t port)
{
    if (endpoints->n_shown == ENDPOINTS_SHOWN)
        endpoints->more = true;
    if (!json_bool_or(true, endpoint, "conditions", "ready", NULL))
        return;
    const char *address = strempty(json_string_value(json_at(json_get(endpoint, "addresses", NULL), 0)));
    bool is_ipv6 = strchr(address, ':') != NULL;
    if (!endpoints->more) {
        endpoints->n_shown++;
        buf_printf(&endpoints->text, "%s", endpoints->n_shown > 1 ? "," : "");
        if (port < 0)
            buf_add_str(&endpoints->text, address);
        else
            buf_printf(&endpoints->text, is_ipv6 ? "[%s]:%lld" : "%s:%lld", address, (long long)port);
    }
    endpoints->n++;
}

void describe_endpoints(const struct json *slices, const char *port_name, struct buf *out)
{
    struct endpoints endpoints = {0};
    const struct json *slice, *port, *endpoint;
    json_each(slice, slices) {
        const struct json *ports = json_get(slice, "ports", NULL), *list = json_get(slice, "endpoints", NULL);
        if (json_len(ports) == 0) {
            json_each(endpoint, list)
                add_endpoint(&endpoints, endpoint, -1);
            continue;
        }
        json_each(port, ports) {
            if (!streq(json_str_or("", port, "name", NULL), port_name))
                continue;
            json_each(endpoint, list)
                add_endpoint(&endpoints, endpoint, json_int_or(0, port, "port", NULL));
        }
    }
    if (json_len(slices) == 0)
        buf_add_str(out, "<none>");
    buf_add_str(out, buf_text(&endpoints.text));
    if (endpoints.more)
        buf_printf(out, " + %lld more...", (long long)endpoints.n - ENDPOINTS_SHOWN);
    buf_done(&endpoints.text);
}

static void describe_service_port(struct describe *describe, const struct json *port)
{
    const char *name = json_str_or("", port, "name", NULL), *protocol = json_str_or("", port, "protocol", NULL);
    const char *shown = name[0] != '\0' ? name : "<unset>", *app = json_str(port, "appProtocol", NULL);
    long long node_port = json_int_or(0, port, "nodePort", NULL);
    CLEANUP(buf_done) struct buf target = {0}, endpoints = {0};
    const struct json *target_port = json_get(port, "targetPort", NULL);
    if (target_port != NULL)
        describe_scalar(target_port, &target);
    else
        buf_add_char(&target, '0');
    describe_write(describe, 0, "Port:\t%s\t%lld/%s\n", shown, (long long)json_int_or(0, port, "port", NULL), protocol);
    describe_write(describe, 0, "TargetPort:\t%s/%s\n", buf_text(&target), protocol);
    if (app != NULL)
        describe_write(describe, 0, "AppProtocol:\t%s\n", app);
    if (node_port != 0)
        describe_write(describe, 0, "NodePort:\t%s\t%lld/%s\n", shown, node_port, protocol);
    describe_endpoints(json_get(describe->related, "endpointSlices", NULL), name, &endpoints);
    describe_write(describe, 0, "Endpoints:\t%s\n", buf_text(&endpoints));
}

static void describe_list(struct describe *describe, const char *title, const struct json *list, bool none)
{
    CLEANUP(buf_done) struct buf text = {0};
    join_strings(list, &text);
    if (text.len > 0 || none)
        describe_write(describe, 0, "%s:\t%s\n", title, text.len > 0 ? buf_text(&text) : "<none>");
}

static void describe_text(struct describe *describe, const char *title, const char *text)
{
    if (strempty(text)[0] != '\0')
        describe_write(describe, 0, "%s:\t%s\n", title, text);
}

static void describe_ingress_points(struct describe *describe)
{
    const struct json *ingress;
    CLEANUP(buf_done) struct buf text = {0};
    json_each(ingress, json_get(describe->object, "status", "loadBalancer", "ingress", NULL)) {
        const char *ip = json_str_or("", ingress, "ip", NULL), *mode = json_str(ingress, "ipMode", NULL);
        buf_printf(&text, "%s%s", ingress_index > 0 ? ", " : "",
                   ip[0] != '\0' ? ip : json_str_or("", ingress, "hostname", NULL));
        if (ip[0] != '\0' && mode != NULL)
            buf_printf(&text, " (%s)", mode);
    }
    describe_text(describe, "LoadBalancer Ingress", buf_text(&text));
}

void describe_service(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL), *port;
    CLEANUP(buf_done) struct buf selector = {0};
    describe_selector(json_get(spec, "selector", NULL), &selector);
    describe_head(describe);
    describe_labels(describe);
    describe_write(describe, 0, "Selector:\t%s\n", buf_text(&selector));
    describe_write(describe, 0, "Type:\t%s\n", json_str_or("", spec, "type", NULL));
    describe_text(describe, "IP Family Policy", json_str(spec, "ipFamilyPolicy", NULL));
    describe_list(describe, "IP Families", json_get(spec, "ipFamilies", NULL), true);
    describe_write(describe, 0, "IP:\t%s\n", json_str_or("", spec, "clusterIP", NULL));
    describe_list(describe, "IPs", json_get(spec, "clusterIPs", NULL), true);
    describe_list(describe, "External IPs", json_get(spec, "externalIPs", NULL), false);
    describe_text(describe, "Desired LoadBalancer IP", json_str(spec, "loadBalancerIP", NULL));
    describe_text(describe, "External Name", json_str(spec, "externalName", NULL));
    describe_ingress_points(describe);
    json_each(port, json_get(spec, "ports", NULL))
        describe_service_port(describe, port);
    describe_write(describe, 0, "Session Affinity:\t%s\n", json_str_or("", spec, "sessionAffinity", NULL));
    describe_text(describe, "External Traffic Policy", json_str(spec, "externalTrafficPolicy", NULL));
    describe_text(describe, "Internal Traffic Policy", json_str(spec, "internalTrafficPolicy", NULL));
    if (json_int_or(0, spec, "healthCheckNodePort", NULL) != 0)
        describe_write(describe, 0, "HealthCheck NodePort:\t%lld\n",
                       (long long)json_int_or(0, spec, "healthCheckNodePort", NULL));
    describe_list(describe, "LoadBalancer Source Ranges", json_get(spec, "loadBalancerSourceRanges", NULL), false);
    describe_text(describe, "Traffic Distribution", json_str(spec, "trafficDistribution", NULL));
    describe_events(describe);
}

/* --- namespaces */

static int by_name(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    return strcmp(json_str_or("", *a, "metadata", "name", NULL), json_str_or("", *b, "metadata", "name", NULL));
}

static void describe_namespace_quotas(struct describe *describe, const struct json *quotas)
{
    size_t n = json_len(quotas);
    CLEANUP(xfree) const struct json **list = xcalloc(n + 1, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = json_at(quotas, i);
    qsort(list, n, sizeof(*list), by_name);
    describe_write(describe, 0, n == 0 ? "No resource quota.\n" : "Resource Quotas\n");
    for (size_t i = 0; i < n; i++) {
        describe_write(describe, 1, "Name:\t%s\n", json_str_or("", list[i], "metadata", "name", NULL));
        describe_quota_part(describe, 1, list[i], true);
    }
}

static void describe_namespace_limits(struct describe *describe)
{
    const struct json *quotas = json_get(describe->related, "quotas", NULL),
                      *ranges = json_get(describe->related, "limitRanges", NULL);
    const struct json *range;
    if (quotas != NULL) {
        describe_write(describe, 0, "\n");
        describe_namespace_quotas(describe, quotas);
    }
    if (ranges == NULL)
        return;
    describe_write(describe, 0, json_len(ranges) == 0 ? "\nNo LimitRange resource.\n" : "\nResource Limits\n");
    if (json_len(ranges) > 0)
        describe_limits_head(describe, " ");
    json_each(range, ranges)
        describe_limits_part(describe, " ", range);
}

void describe_namespace(struct describe *describe)
{
    const struct json *condition, *conditions = json_get(describe->object, "status", "conditions", NULL);
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", describe->object, "metadata", "name", NULL));
    describe_labels(describe);
    describe_write(describe, 0, "Status:\t%s\n", json_str_or("", describe->object, "status", "phase", NULL));
    if (json_len(conditions) > 0) {
        describe_write(describe, 0, "Conditions:\n");
        describe_write(describe, 1, "Type\tStatus\tLastTransitionTime\tReason\tMessage\n");
        describe_write(describe, 1, "----\t------\t------------------\t------\t-------\n");
    }
    json_each(condition, conditions) {
        CLEANUP(buf_done) struct buf time = {0};
        describe_time(json_str(condition, "lastTransitionTime", NULL), &time);
        describe_write(describe, 1, "%s\t%s\t%s\t%s\t%s\n", json_str_or("", condition, "type", NULL),
                       json_str_or("", condition, "status", NULL), buf_text(&time),
                       json_str_or("", condition, "reason", NULL), json_str_or("", condition, "message", NULL));
    }
    describe_namespace_limits(describe);
}

/* --- data */

/* Bytes behind base64, or the text itself when it is none. */
static void decode(const struct json *value, struct buf *out)
{
    CLEANUP(err_clear) struct err bad = {0};
    const char *text = strempty(json_string_value(value));
    if (base64_decode(text, strlen(text), out, &bad) < 0)
        buf_clear(out);
}

void describe_secret(struct describe *describe)
{
    const struct json *data = json_get(describe->object, "data", NULL);
    const char *type = json_str_or("", describe->object, "type", NULL);
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(data, &keys);
    describe_head(describe);
    describe_labels(describe);
    describe_write(describe, 0, "\nType:\t%s\n", type);
    describe_write(describe, 0, "\nData\n====\n");
    for (size_t i = 0; i < keys.n; i++) {
        CLEANUP(buf_done) struct buf bytes = {0};
        decode(json_member(data, keys.items[i]), &bytes);
        if (streq(keys.items[i], "token") && streq(type, "kubernetes.io/service-account-token"))
            describe_write(describe, 0, "%s:\t%s\n", keys.items[i], buf_text(&bytes));
        else
            describe_write(describe, 0, "%s:\t%zu bytes\n", keys.items[i], bytes.len);
    }
}

void describe_config_map(struct describe *describe)
{
    const struct json *data = json_get(describe->object, "data", NULL),
                      *binary = json_get(describe->object, "binaryData", NULL);
    CLEANUP(strv_done) struct strv keys = {0}, binary_keys = {0};
    gotext_keys(data, &keys);
    gotext_keys(binary, &binary_keys);
    describe_head(describe);
    describe_labels(describe);
    describe_write(describe, 0, "\nData\n====\n");
    for (size_t i = 0; i < keys.n; i++) {
        describe_write(describe, 0, "%s:\n----\n", keys.items[i]);
        describe_write(describe, 0, "%s\n", strempty(json_string_value(json_member(data, keys.items[i]))));
        describe_write(describe, 0, "\n");
    }
    describe_write(describe, 0, "\nBinaryData\n====\n");
    for (size_t i = 0; i < binary_keys.n; i++) {
        CLEANUP(buf_done) struct buf bytes = {0};
        decode(json_member(binary, binary_keys.items[i]), &bytes);
        describe_write(describe, 0, "%s: %zu bytes\n", binary_keys.items[i], bytes.len);
    }
    describe_write(describe, 0, "\n");
    describe_events(describe);
}

void describe_service_account(struct describe *describe)
{
    const struct json *secret, *secrets = json_get(describe->object, "imagePullSecrets", NULL);
    describe_head(describe);
    describe_labels(describe);
    if (json_len(secrets) == 0)
        describe_write(describe, 0, "Image pull secrets:\t<none>\n");
    json_each(secret, secrets)
        describe_write(describe, 0, "%s\t%s\n", secret_index == 0 ? "Image pull secrets:" : "                   ",
                       json_str_or("", secret, "name", NULL));
    describe_events(describe);
}
