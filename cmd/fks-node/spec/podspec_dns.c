/*
 * podspec_dns.c: the pod's names: host name, /etc/hosts, resolv.conf, by the kubelet's rules.
 * https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
 */
#include "spec/podspec_internal.h"

#include "base/mem.h"

#define MAX_SERVERS 3          /* glibc's MAXNS */
#define MAX_SEARCHES 32        /* these three: KEP-2595 */
#define MAX_SEARCH_LENGTH 253
#define MAX_SEARCH_LINE 2048
#define MAX_HOST_NAME 63

/* --- names */

void podspec_host_name(const struct json *pod, const char *cluster_domain, char **ret_name, char **ret_domain)
{
    const char *whole = json_str(pod, "spec", "hostnameOverride", NULL);
    const char *subdomain = json_str_or("", pod, "spec", "subdomain", NULL);
    const char *wanted = json_str_or("", pod, "spec", "hostname", NULL);
    const char *name = wanted[0] != '\0' ? wanted : json_str_or("", pod, "metadata", "name", NULL);
    size_t len = strlen(name);

    *ret_domain = NULL;
    if (whole != NULL && whole[0] != '\0') {
        *ret_name = xstrdup(whole);
        return;
    }
    if (len > MAX_HOST_NAME)
        len = MAX_HOST_NAME;
    while (len > 0 && (name[len - 1] == '-' || name[len - 1] == '.'))
        len--;
    *ret_name = xstrndup(name, len);
    if (subdomain[0] != '\0')
        *ret_domain = xasprintf("%s.%s.svc.%s", subdomain, json_str_or("", pod, "metadata", "namespace", NULL),
                                strempty(cluster_domain));
}

static void print_alias(const struct json *alias, struct buf *out)
{
    const struct json *name;

    buf_add_str(out, json_str_or("", alias, "ip", NULL));
    json_each(name, json_get(alias, "hostnames", NULL))
        buf_printf(out, "\t%s", strempty(json_string_value(name)));
    buf_add_char(out, '\n');
}

void podspec_hosts_file(const struct json *pod, const char *pod_ip, const char *cluster_domain, struct buf *out)
{
    CLEANUP(xfree) char *name = NULL;
    CLEANUP(xfree) char *domain = NULL;
    const struct json *aliases = json_get(pod, "spec", "hostAliases", NULL);
    const struct json *alias;

    podspec_host_name(pod, cluster_domain, &name, &domain);
    buf_add_str(out, "# Kubernetes-managed hosts file.\n"
                     "127.0.0.1\tlocalhost\n"
                     "::1\tlocalhost ip6-localhost ip6-loopback\n"
                     "fe00::0\tip6-localnet\n"
                     "fe00::0\tip6-mcastprefix\n"
                     "fe00::1\tip6-allnodes\n"
                     "fe00::2\tip6-allrouters\n");
    if (pod_ip != NULL && domain != NULL)
        buf_printf(out, "%s\t%s.%s\t%s\n", pod_ip, name, domain, name);
    else if (pod_ip != NULL)
        buf_printf(out, "%s\t%s\n", pod_ip, name);
    if (json_len(aliases) == 0)
        return;
    buf_add_str(out, "\n# Entries added by HostAliases.\n");
    json_each(alias, aliases)
        print_alias(alias, out);
}

/* --- resolv.conf */

struct dns {
    struct strv servers, searches, options;
};

static void dns_done(struct dns *dns)
{
    strv_done(&dns->servers);
    strv_done(&dns->searches);
    strv_done(&dns->options);
}
DEFINE_CLEANUP_IN_PLACE(struct dns, dns_done)

static void drop_at(struct strv *list, size_t i)
{
    free(list->items[i]);
    memmove(&list->items[i], &list->items[i + 1], (list->n - i) * sizeof(*list->items)); /* with the NULL at the end */
    list->n--;
}

static void add_once(struct strv *list, const char *text)
{
    if (!strv_has(list, text))
        strv_add(list, text);
}

/* "search" and "options" lines overrule earlier ones, as the resolver does. */
static void read_resolv_line(struct str line, struct dns *dns)
{
    CLEANUP(strv_done) struct strv words = {0};
    CLEANUP(xfree) char *text = xstrndup(line.p, line.len);

    for (char *p = text; *p != '\0'; p++)
        if (*p == '\t' || *p == '\r')
            *p = ' ';
    strv_split(&words, text, ' ');
    for (size_t i = 0; i < words.n;) /* runs of blanks leave empty words */
        if (words.items[i][0] == '\0')
            drop_at(&words, i);
        else
            i++;
    if (words.n < 2)
        return;
    if (streq(words.items[0], "nameserver")) {
        strv_add(&dns->servers, words.items[1]);
    } else if (streq(words.items[0], "search") || streq(words.items[0], "options")) {
        struct strv *list = streq(words.items[0], "search") ? &dns->searches : &dns->options;

        strv_done(list);
        *list = (struct strv){0};
        for (size_t i = 1; i < words.n; i++) {
            size_t len = strlen(words.items[i]);

            if (list == &dns->searches && len > 1 && words.items[i][len - 1] == '.')
                words.items[i][len - 1] = '\0';
            strv_add(list, words.items[i]);
        }
    }
}

static void read_resolv_conf(const char *text, struct dns *dns)
{
    struct str rest = str_of(strempty(text));

    while (rest.len > 0) {
        struct str line;

        (void)str_cut(rest, '\n', &line, &rest);
        line = str_trim(line);
        if (line.len > 0 && line.p[0] != '#' && line.p[0] != ';')
            read_resolv_line(line, dns);
    }
}

static bool wants_cluster_dns(const struct json *pod, const struct podspec_context *context)
{
    const char *policy = json_str_or("ClusterFirst", pod, "spec", "dnsPolicy", NULL);

    if (context->cluster_dns == NULL || context->cluster_dns[0] == NULL)
        return false;
    return streq(policy, "ClusterFirstWithHostNet") ||
           (streq(policy, "ClusterFirst") && !json_is_true(pod, "spec", "hostNetwork", NULL));
}

static void cluster_dns(const struct json *pod, const struct podspec_context *context, struct dns *dns)
{
    CLEANUP(strv_done) struct strv host_searches = dns->searches;
    const char *domain = strempty(context->cluster_domain);

    dns->searches = (struct strv){0};
    strv_done(&dns->servers);
    strv_done(&dns->options);
    dns->servers = dns->options = (struct strv){0};
    for (size_t i = 0; context->cluster_dns[i] != NULL; i++)
        strv_add(&dns->servers, context->cluster_dns[i]);
    strv_add(&dns->options, "ndots:5");
    if (domain[0] != '\0') {
        strv_addf(&dns->searches, "%s.svc.%s", json_str_or("", pod, "metadata", "namespace", NULL), domain);
        strv_addf(&dns->searches, "svc.%s", domain);
        strv_add(&dns->searches, domain);
    }
    for (size_t i = 0; i < host_searches.n; i++)
        add_once(&dns->searches, host_searches.items[i]);
}

/* An option of dnsConfig replaces one of the same name: "ndots" and "ndots:5" are the same option. */
static void set_option(struct strv *options, const char *name, const char *value)
{
    size_t len = strlen(name);
    char *text = value != NULL && value[0] != '\0' ? xasprintf("%s:%s", name, value) : xstrdup(name);

    for (size_t i = 0; i < options->n; i++)
        if (starts_with(options->items[i], name) && (options->items[i][len] == '\0' || options->items[i][len] == ':')) {
            free(options->items[i]);
            options->items[i] = text;
            return;
        }
    strv_take(options, text);
}

static void merge_dns_config(const struct json *config, struct dns *dns)
{
    const struct json *item;

    json_each(item, json_get(config, "nameservers", NULL))
        add_once(&dns->servers, strempty(json_string_value(item)));
    json_each(item, json_get(config, "searches", NULL))
        add_once(&dns->searches, strempty(json_string_value(item)));
    json_each(item, json_get(config, "options", NULL))
        set_option(&dns->options, json_str_or("", item, "name", NULL), json_str(item, "value", NULL));
}

/* Resolvers ignore or trip over more than this. */
static void limit_dns(struct dns *dns)
{
    size_t line = 0;

    while (dns->servers.n > MAX_SERVERS)
        drop_at(&dns->servers, dns->servers.n - 1);
    while (dns->searches.n > MAX_SEARCHES)
        drop_at(&dns->searches, dns->searches.n - 1);
    for (size_t i = 0; i < dns->searches.n;) {
        size_t len = strlen(dns->searches.items[i]);

        if (len > MAX_SEARCH_LENGTH || line + len + (i > 0) > MAX_SEARCH_LINE) {
            drop_at(&dns->searches, i);
        } else {
            line += len + (i > 0);
            i++;
        }
    }
}

void podspec_dns(struct podspec_memory *memory, const struct json *pod, const struct podspec_context *context,
                 struct cri_sandbox_config *config)
{
    CLEANUP(dns_done) struct dns dns = {0};

    if (!streq(json_str(pod, "spec", "dnsPolicy", NULL), "None"))
        read_resolv_conf(context->host_resolv_conf, &dns);
    if (wants_cluster_dns(pod, context))
        cluster_dns(pod, context, &dns);
    merge_dns_config(json_get(pod, "spec", "dnsConfig", NULL), &dns);
    limit_dns(&dns);
    config->dns_servers = podspec_copy_list(memory, &dns.servers);
    config->dns_searches = podspec_copy_list(memory, &dns.searches);
    config->dns_options = podspec_copy_list(memory, &dns.options);
}
