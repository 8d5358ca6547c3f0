/*
 * describe_network.c: ingresses and their classes, endpoints, addresses, network policies. Services are in
 * describe_core.c.
 */
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "describe/describe.h"
#include "text/gotext.h"

/* --- ingresses */

/* "web:80 (10.0.0.1:8080)": where requests go; what there is of the service is in related.backends, by its name. */
static void print_backend(const struct describe *describe, const struct json *backend, struct buf *out)
{
    const struct json *service = json_get(backend, "service", NULL), *resource = json_get(backend, "resource", NULL),
                      *port;
    if (resource != NULL && service == NULL) {
        buf_printf(out, "APIGroup: %s, Kind: %s, Name: %s", json_str_or("<none>", resource, "apiGroup", NULL),
                   json_str_or("", resource, "kind", NULL), json_str_or("", resource, "name", NULL));
        return;
    }
    if (service == NULL)
        return;
    const char *name = json_str_or("", service, "name", NULL), *wanted = json_str_or("", service, "port", "name", NULL);
    long long number = json_int_or(0, service, "port", "number", NULL);
    const struct json *found = json_get(describe->related, "backends", name, NULL);
    const char *failure = json_str(found, "error", NULL), *port_name = "";
    if (number != 0)
        buf_printf(out, "%s:%lld", name, number);
    else
        buf_printf(out, "%s:%s", name, wanted);
    if (failure != NULL) {
        buf_printf(out, " (<error: %s>)", failure);
        return;
    }
    json_each(port, json_get(found, "service", "spec", "ports", NULL)) {
        const char *own = json_str_or("", port, "name", NULL);
        if (number != 0 ? number == json_int_or(0, port, "port", NULL) : wanted[0] != '\0' && streq(wanted, own))
            port_name = own;
    }
    buf_add_str(out, " (");
    describe_endpoints(json_get(found, "endpointSlices", NULL), port_name, out);
    buf_add_char(out, ')');
}

static void describe_ingress_address(struct describe *describe)
{
    CLEANUP(strv_done) struct strv all = {0}, addresses = {0};
    const struct json *point;
    json_each(point, json_get(describe->object, "status", "loadBalancer", "ingress", NULL)) {
        const char *text = describe_or(json_str(point, "ip", NULL), json_str_or("", point, "hostname", NULL));
        if (text[0] != '\0')
            strv_add(&all, text);
    }
    strv_sort(&all);
    for (size_t i = 0; i < all.n; i++) {
        if (!strv_has(&addresses, all.items[i]))
            strv_add(&addresses, all.items[i]);
    }
    CLEANUP(xfree) char *joined = strv_join(&addresses, ",");
    describe_write(describe, 0, "Address:\t%s\n", joined);
}

static void describe_ingress_tls(struct describe *describe, const struct json *list)
{
    const struct json *tls, *host;
    if (json_len(list) > 0)
        describe_write(describe, 0, "TLS:\n");
    json_each(tls, list) {
        CLEANUP(buf_done) struct buf hosts = {0};
        const char *secret = json_str_or("", tls, "secretName", NULL);
        json_each(host, json_get(tls, "hosts", NULL))
            buf_printf(&hosts, "%s%s", host_index > 0 ? "," : "", strempty(json_string_value(host)));
        if (secret[0] == '\0')
            describe_write(describe, 1, "SNI routes %s\n", buf_text(&hosts));
        else
            describe_write(describe, 1, "%s terminates %s\n", secret, buf_text(&hosts));
    }
}

static void describe_ingress_rules(struct describe *describe, const char *default_backend)
{
    const struct json *rule, *path;
    bool any = false;
    describe_write(describe, 0, "Rules:\n  Host\tPath\tBackends\n");
    describe_write(describe, 1, "----\t----\t--------\n");
    json_each(rule, json_get(describe->object, "spec", "rules", NULL)) {
        if (json_get(rule, "http", NULL) == NULL)
            continue;
        any = true;
        describe_write(describe, 1, "%s\t\n", describe_or(json_str(rule, "host", NULL), "*"));
        json_each(path, json_get(rule, "http", "paths", NULL)) {
            CLEANUP(buf_done) struct buf backend = {0};
            print_backend(describe, json_get(path, "backend", NULL), &backend);
            describe_write(describe, 2, "\t%s \t%s\n", json_str_or("", path, "path", NULL), buf_text(&backend));
        }
    }
    if (!any)
        describe_write(describe, 1, "*\t*\t%s\n", default_backend);
}

void describe_ingress(struct describe *describe)
{
    const struct json *metadata = json_get(describe->object, "metadata", NULL),
                      *spec = json_get(describe->object, "spec", NULL);
    const struct json *backend = json_get(spec, "defaultBackend", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    print_backend(describe, backend, &text);
    const char *default_backend = backend != NULL ? buf_text(&text) : "<default>";
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", metadata, "name", NULL));
    describe_map(describe, "Labels", json_get(metadata, "labels", NULL));
    describe_write(describe, 0, "Namespace:\t%s\n", json_str_or("", metadata, "namespace", NULL));
    describe_ingress_address(describe);
    describe_write(describe, 0, "Ingress Class:\t%s\n", json_str_or("<none>", spec, "ingressClassName", NULL));
    describe_write(describe, 0, "Default backend:\t%s\n", default_backend);
    describe_ingress_tls(describe, json_get(spec, "tls", NULL));
    describe_ingress_rules(describe, default_backend);
    describe_annotations(describe, "Annotations", json_get(metadata, "annotations", NULL));
    describe_events(describe);
}

void describe_ingress_class(struct describe *describe)
{
    static const struct describe_field parameters[] = {{1, "APIGroup", "spec.parameters.apiGroup", SKIP_LINE, AS_TEXT},
                                                       {1, "Kind", "spec.parameters.kind", SHOW_EMPTY, AS_TEXT},
                                                       {1, "Name", "spec.parameters.name", SHOW_EMPTY, AS_TEXT},
                                                       {0}};
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", describe->object, "metadata", "name", NULL));
    describe_labels(describe);
    describe_write(describe, 0, "Controller:\t%s\n", json_str_or("", describe->object, "spec", "controller", NULL));
    if (json_get(describe->object, "spec", "parameters", NULL) != NULL) {
        describe_write(describe, 0, "Parameters:\n");
        describe_fields(describe, parameters, describe->object);
    }
    describe_events(describe);
}

/* --- addresses */

void describe_service_cidr(struct describe *describe)
{
    const struct json *conditions = json_get(describe->object, "status", "conditions", NULL);
    static const struct describe_field ranges[] = {{0, "CIDRs", "spec.cidrs", SHOW_EMPTY, AS_COMMAS}, {0}};
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", describe->object, "metadata", "name", NULL));
    describe_labels(describe);
    describe_fields(describe, ranges, describe->object);
    if (json_len(conditions) > 0) {
        static const struct describe_column columns[] = {{"Type", "type", NULL, AS_TEXT},
                                                         {"Status", "status", NULL, AS_TEXT},
                                                         {"LastTransitionTime", "lastTransitionTime", NULL, AS_TIME},
                                                         {"Reason", "reason", NULL, AS_TEXT},
                                                         {"Message", "message", NULL, AS_TEXT},
                                                         {0}};
        describe_write(describe, 0, "Status:\nConditions:\n");
        describe_table(describe, 1, columns, "", conditions);
    }
    describe_events(describe);
}

void describe_ip_address(struct describe *describe)
{
    static const struct describe_field parent[] = {{1, "Group", "spec.parentRef.group", SHOW_EMPTY, AS_TEXT},
                                                   {1, "Resource", "spec.parentRef.resource", SHOW_EMPTY, AS_TEXT},
                                                   {1, "Namespace", "spec.parentRef.namespace", SHOW_EMPTY, AS_TEXT},
                                                   {1, "Name", "spec.parentRef.name", SHOW_EMPTY, AS_TEXT},
                                                   {0}};
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", describe->object, "metadata", "name", NULL));
    describe_labels(describe);
    if (json_get(describe->object, "spec", "parentRef", NULL) != NULL) {
        describe_write(describe, 0, "Parent Reference:\n");
        describe_fields(describe, parent, describe->object);
    }
    describe_events(describe);
}

/* --- endpoints */

static const struct describe_column port_columns[] = {{"Name", "name", "<unset>", AS_TEXT},
                                                      {"Port", "port", "<unset>", AS_TEXT},
                                                      {"Protocol", "protocol", NULL, AS_TEXT},
                                                      {0}};

static void describe_addresses(struct describe *describe, const char *title, const struct json *addresses)
{
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *address;
    json_each(address, addresses)
        buf_printf(&text, "%s%s", address_index > 0 ? "," : "", json_str_or("", address, "ip", NULL));
    describe_write(describe, 1, "%s:\t%s\n", title, describe_or(buf_text(&text), "<none>"));
}

void describe_endpoints_object(struct describe *describe)
{
    const struct json *subset;
    describe_head(describe);
    describe_labels(describe);
    describe_write(describe, 0, "Subsets:\n");
    json_each(subset, json_get(describe->object, "subsets", NULL)) {
        const struct json *ports = json_get(subset, "ports", NULL);
        describe_addresses(describe, "Addresses", json_get(subset, "addresses", NULL));
        describe_addresses(describe, "NotReadyAddresses", json_get(subset, "notReadyAddresses", NULL));
        if (json_len(ports) > 0) {
            describe_write(describe, 1, "Ports:\n");
            describe_table(describe, 2, port_columns, "", ports);
        }
        describe_write(describe, 0, "\n");
    }
    describe_events(describe);
}

static void describe_slice_endpoint(struct describe *describe, const struct json *endpoint)
{
    static const struct describe_field addresses[] = {{1, "- Addresses", "addresses", SHOW_NONE, AS_COMMAS}, {0}};
    static const struct describe_field ready[] = {
        {3, "Ready", "conditions.ready", SHOW_UNSET, AS_TEXT}, {2, "Hostname", "hostname", SHOW_UNSET, AS_TEXT}, {0}};
    static const struct describe_field place[] = {
        {2, "NodeName", "nodeName", SHOW_UNSET, AS_TEXT}, {2, "Zone", "zone", SHOW_UNSET, AS_TEXT}, {0}};
    const struct json *target = json_get(endpoint, "targetRef", NULL);
    describe_fields(describe, addresses, endpoint);
    describe_write(describe, 2, "Conditions:\n");
    describe_fields(describe, ready, endpoint);
    if (target != NULL)
        describe_write(describe, 2, "TargetRef:\t%s/%s\n", json_str_or("", target, "kind", NULL),
                       json_str_or("", target, "name", NULL));
    describe_fields(describe, place, endpoint);
}

void describe_endpoint_slice(struct describe *describe)
{
    const struct json *ports = json_get(describe->object, "ports", NULL), *endpoint;
    const struct json *endpoints = json_get(describe->object, "endpoints", NULL);
    describe_head(describe);
    describe_labels(describe);
    describe_write(describe, 0, "AddressType:\t%s\n", json_str_or("", describe->object, "addressType", NULL));
    describe_write(describe, 0, "Ports:%s\n", json_len(ports) == 0 ? " <unset>" : "");
    if (json_len(ports) > 0)
        describe_table(describe, 1, port_columns, "", ports);
    describe_write(describe, 0, "Endpoints:%s\n", json_len(endpoints) == 0 ? " <none>" : "");
    json_each(endpoint, endpoints)
        describe_slice_endpoint(describe, endpoint);
    describe_events(describe);
}

/* --- network policies */

/* "2026-01-02 15:04:05 +0000 UTC": a time as Go prints it by default. */
static void print_go_time(const char *time, struct buf *out)
{
    int64_t wall_ns = 0;
    struct tm parts;
    char text[64];
    CLEANUP(err_clear) struct err no_time = {0};
    if (time == NULL || clock_parse(time, &wall_ns, &no_time) < 0)
        return;
    time_t seconds = (time_t)(wall_ns / 1000000000);
    if (localtime_r(&seconds, &parts) != NULL && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z", &parts) > 0)
        buf_add_str(out, text);
}

static void describe_policy_selector(struct describe *describe, const char *title, const struct json *selector)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (selector == NULL)
        return;
    describe_selector(selector, &text);
    describe_write(describe, 3, "%s: %s\n", title, buf_text(&text));
}

static void describe_policy_peer(struct describe *describe, const struct json *peer)
{
    const struct json *block = json_get(peer, "ipBlock", NULL), *except;
    const struct json *pods = json_get(peer, "podSelector", NULL),
                      *namespaces = json_get(peer, "namespaceSelector", NULL);
    describe_policy_selector(describe, "NamespaceSelector", namespaces);
    describe_policy_selector(describe, "PodSelector", pods);
    if (pods != NULL || namespaces != NULL || block == NULL)
        return;
    CLEANUP(buf_done) struct buf text = {0};
    json_each(except, json_get(block, "except", NULL))
        buf_printf(&text, "%s%s", except_index > 0 ? ", " : "", strempty(json_string_value(except)));
    describe_write(describe, 3, "IPBlock:\n");
    describe_write(describe, 4, "CIDR: %s\n", json_str_or("", block, "cidr", NULL));
    describe_write(describe, 4, "Except: %s\n", buf_text(&text));
}

static void describe_policy_ports(struct describe *describe, const struct json *ports)
{
    const struct json *port;
    if (json_len(ports) == 0)
        describe_write(describe, 2, "To Port: <any> (traffic allowed to all ports)\n");
    json_each(port, ports) {
        const struct json *number = json_get(port, "port", NULL), *end = json_get(port, "endPort", NULL);
        CLEANUP(buf_done) struct buf text = {0};
        if (number != NULL)
            describe_scalar(number, &text);
        else
            buf_add_str(&text, "<nil>");
        if (end != NULL)
            buf_printf(&text, "-%lld", (long long)json_int_value(end));
        describe_write(describe, 2, "To Port%s: %s/%s\n", end != NULL ? " Range" : "", buf_text(&text),
                       json_str_or("TCP", port, "protocol", NULL));
    }
}

/* One direction. peers: "from" or "to". */
static void describe_policy_rules(struct describe *describe, const struct json *rules, const char *direction,
                                  const char *peers, const char *other)
{
    const struct json *rule, *peer;
    const char *title = streq(peers, "from") ? "From" : "To";
    if (json_len(rules) == 0)
        describe_write(describe, 2, "<none> (Selected pods are isolated for %s connectivity)\n", direction);
    json_each(rule, rules) {
        const struct json *list = json_get(rule, peers, NULL);
        describe_policy_ports(describe, json_get(rule, "ports", NULL));
        if (json_len(list) == 0)
            describe_write(describe, 2, "%s: <any> (traffic not restricted by %s)\n", title, other);
        json_each(peer, list) {
            describe_write(describe, 2, "%s:\n", title);
            describe_policy_peer(describe, peer);
        }
        if (rule_index + 1 < json_len(rules))
            describe_write(describe, 2, "----------\n");
    }
}

void describe_network_policy(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL), *selector = json_get(spec, "podSelector", NULL),
                      *type;
    CLEANUP(buf_done) struct buf created = {0}, pods = {0}, types = {0};
    bool ingress = false, egress = false;
    json_each(type, json_get(spec, "policyTypes", NULL)) {
        ingress = ingress || streq(json_string_value(type), "Ingress");
        egress = egress || streq(json_string_value(type), "Egress");
        buf_printf(&types, "%s%s", type_index > 0 ? ", " : "", strempty(json_string_value(type)));
    }
    print_go_time(json_str(describe->object, "metadata", "creationTimestamp", NULL), &created);
    describe_selector(selector, &pods);
    bool all =
        json_len(json_get(selector, "matchLabels", NULL)) + json_len(json_get(selector, "matchExpressions", NULL)) == 0;
    describe_head(describe);
    describe_write(describe, 0, "Created on:\t%s\n", buf_text(&created));
    describe_labels(describe);
    describe_write(describe, 0, "Spec:\n");
    describe_write(describe, 1, "PodSelector:     %s\n",
                   all ? "<none> (Allowing the specific traffic to all pods in this namespace)" : buf_text(&pods));
    describe_write(describe, 1, ingress ? "Allowing ingress traffic:\n" : "Not affecting ingress traffic\n");
    if (ingress)
        describe_policy_rules(describe, json_get(spec, "ingress", NULL), "ingress", "from", "source");
    describe_write(describe, 1, egress ? "Allowing egress traffic:\n" : "Not affecting egress traffic\n");
    if (egress)
        describe_policy_rules(describe, json_get(spec, "egress", NULL), "egress", "to", "destination");
    describe_write(describe, 1, "Policy Types: %s\n", buf_text(&types));
}
