/*
 * create_ingress.c: `create ingress`: rules "host/path=service:port[,tls[=secret]]" become an Ingress.
 */
#include "objects/generate.h"

#include "base/mem.h"

struct ingress {
    const char *class, *default_backend;
    struct strv rules, annotations;
};

static void ingress_done(struct ingress *ingress)
{
    strv_done(&ingress->rules);
    strv_done(&ingress->annotations);
}
DEFINE_CLEANUP_IN_PLACE(struct ingress, ingress_done)

/* A rule taken apart; all owned. */
struct ingress_rule {
    char *host, *path, *service, *secret;
    bool tls, prefix;
};

static void ingress_rule_done(struct ingress_rule *rule)
{
    free(rule->host);
    free(rule->path);
    free(rule->service);
    free(rule->secret);
}
DEFINE_CLEANUP_IN_PLACE(struct ingress_rule, ingress_rule_done)

static char *text_of(struct str s)
{
    return xstrndup(strempty(s.p), s.len);
}

static int parse_rule(const char *text, struct ingress_rule *ret, struct err *err)
{
    struct str backend, options, host, rest, path, service, tls_word, secret;
    /* kubectl's expression, which is not anchored at the end */
    if (!generate_matches("^[A-Za-z0-9_*.-]*/.*=[A-Za-z0-9_-]+:[A-Za-z0-9_-]+", text))
        return err_set(err, ERR_USAGE,
                       "rule %s is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]", text);
    (void)str_cut(str_of(text), ',', &backend, &options);
    (void)str_cut(backend, '/', &host, &rest);
    (void)str_cut(rest, '=', &path, &service);
    (void)str_cut(options, '=', &tls_word, &secret);
    ret->prefix = path.len > 0 && path.p[path.len - 1] == '*';
    path.len -= ret->prefix;
    CLEANUP(xfree) char *path_text = text_of(path);
    ret->host = text_of(host);
    ret->path = xasprintf("/%s", path_text);
    ret->service = text_of(service);
    ret->secret = text_of(secret);
    ret->tls = options.len > 0;
    return 0;
}

static struct json *backend_of(const char *service)
{
    struct str name, port;
    (void)str_cut(str_of(service), ':', &name, &port);
    CLEANUP(xfree) char *name_text = text_of(name), *port_text = text_of(port);
    struct json *number = generate_number_or_text(port_text);
    const char *key = json_type(number) == JSON_STRING ? "name" : "number";
    return json_build("{s:{s:s, s:{s:o}}}", "service", "name", name_text, "port", key, number);
}

/* The element of the array whose member has this text ("" stands for none), or NULL. */
static struct json *find(struct json *array, const char *member, const char *text)
{
    for (size_t i = 0; i < json_len(array); i++) {
        struct json *element = json_edit_at(array, i);
        if (streq(json_str_or("", element, member, NULL), text))
            return element;
    }
    return NULL;
}

static void add_rule(struct json *rules, const struct ingress_rule *rule)
{
    struct json *path = json_build("{s:s, s:s, s:o}", "path", rule->path, "pathType", rule->prefix ? "Prefix" : "Exact",
                                   "backend", backend_of(rule->service));
    struct json *same_host = find(rules, "host", rule->host);
    if (same_host != NULL) {
        json_push(json_edit(same_host, "http", "paths", NULL), path);
        return;
    }
    struct json *one = json_new_object();
    if (rule->host[0] != '\0')
        json_set_str(one, "host", rule->host);
    json_set(one, "http", json_build("{s:[o]}", "paths", path));
    json_push(rules, one);
}

/* A host is named once, hosts of one secret are put together. */
static void add_tls(struct json *list, struct strv *hosts_seen, const struct ingress_rule *rule)
{
    if (!rule->tls || strv_has(hosts_seen, rule->host))
        return;
    strv_add(hosts_seen, rule->host);
    struct json *same_secret = find(list, "secretName", rule->secret);
    if (same_secret != NULL) {
        if (json_member(same_secret, "hosts") == NULL)
            json_set(same_secret, "hosts", json_new_array());
        json_push(json_edit_member(same_secret, "hosts"), json_new_string(rule->host));
        return;
    }
    struct json *tls = json_new_object();
    if (rule->host[0] != '\0')
        json_set(tls, "hosts", json_build("[s]", rule->host));
    if (rule->secret[0] != '\0')
        json_set_str(tls, "secretName", rule->secret);
    if (json_len(tls) > 0)
        json_push(list, tls);
    else
        json_free(tls);
}

static int build_spec(const struct ingress *ingress, struct json **ret, struct err *err)
{
    const char *backend = strempty(ingress->default_backend);
    CLEANUP(json_free) struct json *spec = json_new_object(), *rules = json_new_array(), *tls = json_new_array();
    CLEANUP(strv_done) struct strv hosts_seen = {0};
    if (backend[0] == '\0' && ingress->rules.n == 0)
        return err_set(err, ERR_USAGE,
                       "not enough information provided: every ingress has to either specify a default-backend (which "
                       "catches all traffic) or a list of rules (which catch specific paths)");
    for (size_t i = 0; i < ingress->rules.n; i++) {
        CLEANUP(ingress_rule_done) struct ingress_rule rule = {0};
        if (parse_rule(ingress->rules.items[i], &rule, err) < 0)
            return err->code;
        add_rule(rules, &rule);
        add_tls(tls, &hosts_seen, &rule);
    }
    for (size_t i = 0; i < ingress->annotations.n; i++) {
        if (strchr(ingress->annotations.items[i], '=') == NULL)
            return err_set(err, ERR_USAGE, "annotation %s is invalid and should be in format key=[value]",
                           ingress->annotations.items[i]);
    }
    if (backend[0] != '\0' && !generate_matches("^[^:]*:[^:]*$", backend))
        return err_set(err, ERR_USAGE, "default-backend should be in format servicename:serviceport");
    if (strempty(ingress->class)[0] != '\0')
        json_set_str(spec, "ingressClassName", ingress->class);
    if (backend[0] != '\0')
        json_set(spec, "defaultBackend", backend_of(backend));
    if (json_len(tls) > 0)
        json_set(spec, "tls", take(&tls));
    if (json_len(rules) > 0)
        json_set(spec, "rules", take(&rules));
    *ret = take(&spec);
    return 0;
}

int command_create_ingress(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(ingress_done) struct ingress ingress = {0};
    CLEANUP(err_clear) struct err err = {0};
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        {"annotation", 0, OPT_ARRAY, &ingress.annotations, "[]", "Annotation of the ingress: key=value."},
        {"class", 0, OPT_STRING, &ingress.class, "", "The ingress class."},
        {"default-backend", 0, OPT_STRING, &ingress.default_backend, "", "Where other requests go: service:port."},
        {"rule", 0, OPT_ARRAY, &ingress.rules, "[]",
         "host/path=service:port[,tls[=secret]]; a path that ends with * is a prefix."},
        {0},
    };
    const struct cli_command command = {.words = "create ingress",
                                        .usage = "NAME --rule=host/path=service:port[,tls[=secret]] [options]",
                                        .about = "Create an ingress with the specified name.",
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    struct json *spec = NULL;
    if (build_spec(&ingress, &spec, &err) < 0)
        return cli_fail(cli, &err);
    struct json *metadata = generate_metadata(&generate, generate.name, true);
    if (ingress.annotations.n > 0)
        json_set(metadata, "annotations", generate_pairs(&ingress.annotations));
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o, s:o, s:{s:{}}}", "kind", "Ingress", "apiVersion",
                                      "networking.k8s.io/v1", "metadata", metadata, "spec", spec, "status",
                                      "loadBalancer"),
                           "ingress:");
}
