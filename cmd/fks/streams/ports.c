/*
 * ports.c: port arguments resolved by name and through Services. Pure.
 */
#include "streams/ports.h"

#include "base/mem.h"

static bool as_port(const char *text, int *ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t number = 0;
    if (parse_int(text, 0, 65535, &number, &ignored) < 0)
        return false;
    *ret = (int)number;
    return true;
}

/* The number of a container's named port; 0 if no container has it. */
static int pod_port(const struct json *pod, const char *name)
{
    static const char *const lists[] = {"containers", "initContainers"};
    const struct json *container, *port;
    for (size_t i = 0; i < countof(lists); i++) {
        json_each(container, json_get(pod, "spec", lists[i], NULL)) {
            json_each(port, json_get(container, "ports", NULL)) {
                if (streq(json_str(port, "name", NULL), name))
                    return (int)json_int_or(0, port, "containerPort", NULL);
            }
        }
    }
    return 0;
}

static const struct json *service_port(const struct json *service, const char *text)
{
    const struct json *port;
    int number = 0;
    bool is_number = as_port(text, &number);
    json_each(port, json_get(service, "spec", "ports", NULL)) {
        if (is_number ? json_int_or(0, port, "port", NULL) == number : streq(json_str(port, "name", NULL), text))
            return port;
    }
    return NULL;
}

static int from_service(const char *text, const struct json *service, const struct json *pod, int *ret, struct err *err)
{
    const struct json *port = service_port(service, text);
    const char *service_name = json_str_or("", service, "metadata", "name", NULL);
    int number = 0;
    if (port == NULL && as_port(text, &number))
        return err_set(err, ERR_NOT_FOUND, "Service %s does not have a service port %d", service_name, number);
    if (port == NULL)
        return err_set(err, ERR_NOT_FOUND, "Service '%s' does not have a named port '%s'", service_name, text);
    const struct json *target = json_get(port, "targetPort", NULL);
    const char *name = json_string_value(target);
    if (streq(json_str(service, "spec", "clusterIP", NULL), "None")) /* nothing translates for a headless one */
        *ret = (int)json_int_or(0, port, "port", NULL);
    else if (name != NULL)
        *ret = pod_port(pod, name);
    else
        *ret = target != NULL ? (int)json_int_value(target) : (int)json_int_or(0, port, "port", NULL);
    if (*ret == 0)
        return err_set(err, ERR_NOT_FOUND, "Pod '%s' does not have a named port '%s'",
                       json_str_or("", pod, "metadata", "name", NULL), strempty(name));
    return 0;
}

static void note_protocols(const struct json *ports, const char *key, int number, bool *udp, bool *tcp)
{
    const struct json *port;
    json_each(port, ports) {
        const char *protocol = json_str_or("TCP", port, "protocol", NULL);
        bool same = json_int_or(-1, port, key, NULL) == number;
        *udp = *udp || (same && streq(protocol, "UDP"));
        *tcp = *tcp || (same && streq(protocol, "TCP"));
    }
}

/* Only TCP can be forwarded: a number or name that is UDP's alone is refused. */
static int refuse_udp(const char *text, const struct json *object, const struct json *pod, bool by_service,
                      struct err *err)
{
    const struct json *container;
    bool udp = false, tcp = false;
    int number = 0;
    if (!as_port(text, &number))
        number = by_service ? (int)json_int_or(0, service_port(object, text), "port", NULL) : pod_port(pod, text);
    if (by_service)
        note_protocols(json_get(object, "spec", "ports", NULL), "port", number, &udp, &tcp);
    else
        json_each(container, json_get(pod, "spec", "containers", NULL))
            note_protocols(json_get(container, "ports", NULL), "containerPort", number, &udp, &tcp);
    if (udp && !tcp)
        return err_set(err, ERR_UNSUPPORTED, "UDP protocol is not supported for %s", text);
    return 0;
}

/* strconv.ParseUint's words for what is no port. */
static int wrong_port(const char *which, const char *text, struct err *err)
{
    const char *why = text[0] != '\0' && text[strspn(text, "0123456789")] == '\0' ? "value out of range" : "invalid syntax";
    return err_set(err, ERR_USAGE, "error parsing %s port '%s': strconv.ParseUint: parsing \"%s\": %s", which, text, text,
                   why);
}

int ports_parse(const char *text, const struct json *object, const struct json *pod, struct port_pair *ret,
                struct err *err)
{
    struct str local_part, remote_part;
    bool has_colon = str_cut(str_of(text), ':', &local_part, &remote_part);
    if (!has_colon)
        remote_part = local_part;
    CLEANUP(xfree) char *local = xstrndup(local_part.p, local_part.len);
    CLEANUP(xfree) char *remote = xstrndup(remote_part.p, remote_part.len);
    bool by_service = streq(json_str(object, "kind", NULL), "Service");
    if (strchr(remote, ':') != NULL)
        return err_set(err, ERR_USAGE, "invalid port format '%s'", text);
    if (refuse_udp(remote, object, pod, by_service, err) < 0)
        return err->code;
    if (by_service) {
        if (from_service(remote, object, pod, &ret->remote, err) < 0)
            return err->code;
    } else if (!as_port(remote, &ret->remote)) {
        if (remote[0] != '\0' && remote[strspn(remote, "0123456789")] == '\0')
            return wrong_port("remote", remote, err);
        ret->remote = pod_port(pod, remote);
        if (ret->remote == 0)
            return err_set(err, ERR_NOT_FOUND, "Pod '%s' does not have a named port '%s'",
                           json_str_or("", pod, "metadata", "name", NULL), remote);
    }
    if (ret->remote == 0)
        return err_set(err, ERR_USAGE, "remote port must be > 0");
    if (!has_colon && !as_port(local, &ret->local))
        ret->local = ret->remote; /* one name for both */
    else if (local[0] == '\0')
        ret->local = 0;
    else if (!as_port(local, &ret->local))
        return wrong_port("local", local, err);
    return 0;
}
