/*
 * environment.c: one container's environment. Order and precedence are the kubelet's: service variables lose against
 * envFrom, which loses against env; a later entry wins over an earlier one; $(VAR) sees everything set before it.
 */
#include "spec/environment.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"

#include "spec/env_file.h"

void environment_done(struct environment *environment)
{
    for (size_t i = 0; i < environment->n; i++) {
        free((char *)(uintptr_t)environment->items[i].key);
        free((char *)(uintptr_t)environment->items[i].value);
    }
    free(environment->items);
    map_done(&environment->index);
    *environment = (struct environment){0};
}

/* The map holds positions, one up, because a NULL value cannot be told from an absent key. */
static size_t position_of(const struct environment *environment, const char *name)
{
    return (size_t)(uintptr_t)map_get(&environment->index, name);
}

const char *environment_get(const struct environment *environment, const char *name)
{
    size_t position = position_of(environment, name);

    return position > 0 ? environment->items[position - 1].value : NULL;
}

/* Takes value over; an existing variable keeps its place. */
static void environment_set(struct environment *environment, const char *name, char *value)
{
    size_t position = position_of(environment, name);

    if (position > 0) {
        free((char *)(uintptr_t)environment->items[position - 1].value);
        environment->items[position - 1].value = value;
        return;
    }
    GROW(environment->items, environment->n, environment->cap);
    environment->items[environment->n++] = (struct cri_pair){xstrdup(name), value};
    map_set(&environment->index, name, (void *)(uintptr_t)environment->n);
}

void environment_values(const struct json *env, struct environment *ret)
{
    const struct json *item;

    json_each(item, env)
        environment_set(ret, json_str_or("", item, "name", NULL), xstrdup(json_str_or("", item, "value", NULL)));
}

/* --- $(VAR) */

/* Expands into out; the first unknown variable is handed back as a heap string (NULL: all known). */
static char *expand(const struct environment *environment, const char *text, struct buf *out)
{
    char *unknown = NULL;

    while (*text != '\0') {
        const char *end;

        if (text[0] != '$' || (text[1] != '$' && text[1] != '(')) {
            buf_add_char(out, *text++);
        } else if (text[1] == '$') {
            buf_add_char(out, '$');
            text += 2;
        } else if ((end = strchr(text, ')')) == NULL) {
            buf_add_str(out, "$(");
            text += 2;
        } else {
            CLEANUP(xfree) char *name = xstrndup(text + 2, (size_t)(end - text - 2));
            const char *value = environment_get(environment, name);

            if (value != NULL)
                buf_add_str(out, value);
            else
                buf_add(out, text, (size_t)(end - text + 1));
            if (value == NULL && unknown == NULL)
                unknown = take(&name);
            text = end + 1;
        }
    }
    return unknown;
}

char *environment_expand(const struct environment *environment, const char *text)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(xfree) char *unknown = expand(environment, text, &out);

    return buf_take(&out);
}

int environment_expand_strict(const struct environment *environment, const char *text, char **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(xfree) char *unknown = expand(environment, text, &out);

    if (unknown != NULL)
        return err_set(err, ERR_INVALID, "missing value for \"%s\"", unknown);
    *ret = buf_take(&out);
    return 0;
}

/* --- services */

/* redis-master → REDIS_MASTER */
static char *variable_prefix(const char *service_name)
{
    char *text = xstrdup(service_name);

    for (char *p = text; *p != '\0'; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return text;
}

static void set_printf(struct environment *environment, char *name, char *value)
{
    environment_set(environment, name, value);
    free(name);
}

/* JoinHostPort: an IPv6 address goes into brackets. */
static char *host_port(const char *host, int64_t port)
{
    return xasprintf(strchr(host, ':') != NULL ? "[%s]:%" PRId64 : "%s:%" PRId64, host, port);
}

static void add_port(struct environment *environment, const char *prefix, const char *ip, const struct json *port,
                     bool first)
{
    CLEANUP(xfree) char *protocol = xstrdup(json_str_or("TCP", port, "protocol", NULL));
    int64_t number = json_int_or(0, port, "port", NULL);
    CLEANUP(xfree) char *address = host_port(ip, number);
    CLEANUP(xfree) char *upper = NULL;

    for (char *p = protocol; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    upper = variable_prefix(protocol);
    if (first)
        set_printf(environment, xasprintf("%s_PORT", prefix), xasprintf("%s://%s", protocol, address));
    set_printf(environment, xasprintf("%s_PORT_%" PRId64 "_%s", prefix, number, upper),
               xasprintf("%s://%s", protocol, address));
    set_printf(environment, xasprintf("%s_PORT_%" PRId64 "_%s_PROTO", prefix, number, upper), xstrdup(protocol));
    set_printf(environment, xasprintf("%s_PORT_%" PRId64 "_%s_PORT", prefix, number, upper),
               xasprintf("%" PRId64, number));
    set_printf(environment, xasprintf("%s_PORT_%" PRId64 "_%s_ADDR", prefix, number, upper), xstrdup(ip));
}

/*
 * The variables that Docker's links had:
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
static void add_service(struct environment *environment, const struct json *service)
{
    CLEANUP(xfree) char *prefix = variable_prefix(json_str_or("", service, "metadata", "name", NULL));
    const char *ip = json_str_or("", service, "spec", "clusterIP", NULL);
    const struct json *ports = json_get(service, "spec", "ports", NULL);
    const struct json *port;

    if (ip[0] == '\0' || streq(ip, "None") || json_len(ports) == 0)
        return;
    set_printf(environment, xasprintf("%s_SERVICE_HOST", prefix), xstrdup(ip));
    set_printf(environment, xasprintf("%s_SERVICE_PORT", prefix),
               xasprintf("%" PRId64, json_int_or(0, json_at(ports, 0), "port", NULL)));
    json_each(port, ports)
    {
        const char *name = json_str_or("", port, "name", NULL);
        CLEANUP(xfree) char *upper = variable_prefix(name);

        if (name[0] != '\0')
            set_printf(environment, xasprintf("%s_SERVICE_PORT_%s", prefix, upper),
                       xasprintf("%" PRId64, json_int_or(0, port, "port", NULL)));
        add_port(environment, prefix, ip, port, port_index == 0);
    }
}

/*
 * Services of the pod's namespace unless it opted out, and always the API server's own, which one of the same name
 * in the pod's namespace hides.
 */
static void add_services(struct environment *environment, const struct json *pod,
                         const struct environment_context *context)
{
    const char *namespace = json_str_or("default", pod, "metadata", "namespace", NULL);
    bool links = json_bool_or(true, pod, "spec", "enableServiceLinks", NULL);
    const struct json *api_server = NULL;
    bool hidden = false;

    for (size_t i = 0; i < context->n_services; i++) {
        const char *of = json_str_or("", context->services[i], "metadata", "namespace", NULL);
        bool named_kubernetes = streq(json_str(context->services[i], "metadata", "name", NULL), "kubernetes");

        if (named_kubernetes && streq(of, "default"))
            api_server = context->services[i];
        else if (links && named_kubernetes && streq(of, namespace))
            hidden = true;
    }
    for (size_t i = 0; links && i < context->n_services; i++)
        if (context->services[i] != api_server &&
            streq(json_str(context->services[i], "metadata", "namespace", NULL), namespace))
            add_service(environment, context->services[i]);
    if (api_server != NULL && !hidden)
        add_service(environment, api_server);
}

/* --- ConfigMaps and Secrets */

static const struct json *find_object(const struct environment_context *context, const char *kind, const char *name)
{
    CLEANUP(xfree) char *key = xasprintf("%s/%s", kind, name);

    return context->objects != NULL ? map_get(context->objects, key) : NULL;
}

static int object_missing(const char *kind, const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "%s \"%s\" not found", streq(kind, "Secret") ? "secret" : "configmap", name);
}

/* A member of data as text: as it is in a ConfigMap, base64 in a Secret (a NUL ends it: no variable can hold one). */
static int object_value(const char *kind, const struct json *member, char **ret, struct err *err)
{
    const char *text = strempty(json_string_value(member));
    CLEANUP(buf_done) struct buf bytes = {.max = LIMIT_FILE};
    int r;

    if (!streq(kind, "Secret")) {
        *ret = xstrdup(text);
        return 0;
    }
    r = base64_decode(text, strlen(text), &bytes, err);
    if (r < 0)
        return r;
    *ret = buf_take(&bytes);
    return 0;
}

static int add_from(struct environment *environment, const struct json *source, const char *kind, const char *field,
                    const struct environment_context *context, struct err *err)
{
    const struct json *reference = json_get(source, field, NULL);
    const char *name = json_str_or("", reference, "name", NULL);
    const char *prefix = json_str_or("", source, "prefix", NULL);
    const struct json *object;
    void *position = NULL;
    const char *key;
    const struct json *member;

    if (reference == NULL)
        return 0;
    object = find_object(context, kind, name);
    if (object == NULL)
        return json_is_true(reference, "optional", NULL) ? 0 : object_missing(kind, name, err);
    while (json_next(json_get(object, "data", NULL), &position, &key, &member)) {
        CLEANUP(xfree) char *variable = xasprintf("%s%s", prefix, key);
        char *value;
        int r = object_value(kind, member, &value, err);

        if (r < 0)
            return err_wrap(err, "key %s of %s %s", key, kind, name);
        environment_set(environment, variable, value);
    }
    return 0;
}

/* *ret stays NULL when an optional object or key is not there. */
static int key_value(const struct json *pod, const char *kind, const struct json *reference,
                     const struct environment_context *context, char **ret, struct err *err)
{
    const char *name = json_str_or("", reference, "name", NULL);
    const char *key = json_str_or("", reference, "key", NULL);
    bool optional = json_is_true(reference, "optional", NULL);
    const struct json *object = find_object(context, kind, name);
    const struct json *member;

    if (object == NULL)
        return optional ? 0 : object_missing(kind, name, err);
    member = json_member(json_get(object, "data", NULL), key);
    if (member == NULL)
        return optional ? 0
                        : err_set(err, ERR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key, kind,
                                  json_str_or("default", pod, "metadata", "namespace", NULL), name);
    return object_value(kind, member, ret, err);
}

/*
 * Of a file that an earlier container wrote. *ret stays NULL when it is optional and the file or its key are not there; an
 * empty value counts as none, as with the kubelet.
 */
static int file_value(const struct json *reference, const struct environment_context *context, char **ret, struct err *err)
{
    const char *path = json_str_or("", reference, "path", NULL);
    const char *key = json_str_or("", reference, "key", NULL);
    bool optional = json_is_true(reference, "optional", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    int r = context->read_file == NULL ? err_set(err, ERR_UNSUPPORTED, "variables from files cannot be read here")
                                       : context->read_file(json_str_or("", reference, "volumeName", NULL), path, &text,
                                                            context->read_file_data, err);

    if (r == ERR_NOT_FOUND && optional) {
        err_clear(err);
        return 0;
    }
    if (r == 0)
        r = env_file_value(buf_text(&text), text.len, key, ret, err);
    if (r < 0)
        return err_wrap(err, "couldn't parse env file \"%s\"", path);
    if (*ret == NULL && !optional)
        return err_set(err, ERR_NOT_FOUND, "environment variable key \"%s\" not found in file \"%s\"", key, path);
    return 0;
}

/* The container that a resourceFieldRef names; without a name the one whose variable it is. */
static const struct json *referenced_container(const struct json *pod, const struct json *own, const char *name)
{
    static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
    const struct json *container;

    if (name == NULL || name[0] == '\0')
        return own;
    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            if (streq(json_str(container, "name", NULL), name))
                return container;
    return NULL;
}

/* *ret stays NULL when the variable is not to be set. */
static int value_from(const struct json *pod, const struct json *container, const struct json *source,
                      const struct environment_context *context, char **ret, struct err *err)
{
    const struct json *reference;

    if ((reference = json_get(source, "fieldRef", NULL)) != NULL)
        return downward_field(pod, json_str_or("", reference, "fieldPath", NULL), &context->downward, ret, err);
    if ((reference = json_get(source, "resourceFieldRef", NULL)) != NULL) {
        const char *name = json_str(reference, "containerName", NULL);
        const struct json *target = referenced_container(pod, container, name);

        if (target == NULL)
            return err_set(err, ERR_INVALID, "container %s not found", name);
        return downward_resource(target, json_str_or("", reference, "resource", NULL),
                                 json_str(reference, "divisor", NULL), &context->downward, ret, err);
    }
    if ((reference = json_get(source, "configMapKeyRef", NULL)) != NULL)
        return key_value(pod, "ConfigMap", reference, context, ret, err);
    if ((reference = json_get(source, "secretKeyRef", NULL)) != NULL)
        return key_value(pod, "Secret", reference, context, ret, err);
    if ((reference = json_get(source, "fileKeyRef", NULL)) != NULL)
        return file_value(reference, context, ret, err);
    return err_set(err, ERR_UNSUPPORTED, "valueFrom names no source that is supported");
}

int environment_make(const struct json *pod, const struct json *container, const struct environment_context *context,
                     struct environment *ret, struct err *err)
{
    CLEANUP(environment_done) struct environment environment = {0};
    const struct json *item;

    add_services(&environment, pod, context);
    json_each(item, json_get(container, "envFrom", NULL))
    {
        int r = add_from(&environment, item, "ConfigMap", "configMapRef", context, err);

        if (r == 0)
            r = add_from(&environment, item, "Secret", "secretRef", context, err);
        if (r < 0)
            return r;
    }
    json_each(item, json_get(container, "env", NULL))
    {
        const char *name = json_str_or("", item, "name", NULL);
        const struct json *source = json_get(item, "valueFrom", NULL);
        char *value = NULL;

        if (source != NULL) {
            int r = value_from(pod, container, source, context, &value, err);

            if (r < 0)
                return r;
        } else {
            value = environment_expand(&environment, json_str_or("", item, "value", NULL));
        }
        if (value != NULL && name[0] != '\0')
            environment_set(&environment, name, value);
        else
            free(value);
    }
    *ret = environment;
    environment = (struct environment){0};
    return 0;
}
