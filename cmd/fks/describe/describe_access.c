/*
 * describe_access.c: roles, bindings, certificate signing requests: who may do what.
 */
#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "describe/describe.h"
#include "net/pki.h"

/* --- roles: their rules taken apart and put together again by resource, so that each resource has one line */

struct access {
    char *resource, *group, *name, *url; /* "" where the rule has none; url only for rules about paths */
    struct strv verbs;
    char *order; /* as Go prints the rule: lines are sorted by it */
};

struct accesses {
    struct access *list;
    size_t n, cap;
};

static void accesses_done(struct accesses *accesses)
{
    for (size_t i = 0; i < accesses->n; i++) {
        struct access *access = &accesses->list[i];
        free(access->resource);
        free(access->group);
        free(access->name);
        free(access->url);
        free(access->order);
        strv_done(&access->verbs);
    }
    free(accesses->list);
}
DEFINE_CLEANUP_IN_PLACE(struct accesses, accesses_done)

static void add_access(struct accesses *accesses, const char *group, const char *resource, const char *name,
                       const char *url, const char *verb)
{
    struct access *found = NULL;
    for (size_t i = 0; i < accesses->n && url == NULL; i++) {
        struct access *access = &accesses->list[i];
        if (access->url == NULL && streq(access->group, group) && streq(access->resource, resource) &&
            streq(access->name, name))
            found = access;
    }
    if (found == NULL) {
        GROW(accesses->list, accesses->n, accesses->cap);
        found = &accesses->list[accesses->n++];
        *found = (struct access){.resource = xstrdup(resource),
                                 .group = xstrdup(group),
                                 .name = name != NULL ? xstrdup(name) : NULL,
                                 .url = url != NULL ? xstrdup(url) : NULL};
    }
    if (!strv_has(&found->verbs, verb))
        strv_add(&found->verbs, verb);
}

static void take_apart(struct accesses *accesses, const struct json *rule)
{
    const struct json *group, *resource, *verb, *name, *url, *names = json_get(rule, "resourceNames", NULL);
    json_each(group, json_get(rule, "apiGroups", NULL)) {
        json_each(resource, json_get(rule, "resources", NULL)) {
            json_each(verb, json_get(rule, "verbs", NULL)) {
                const char *g = strempty(json_string_value(group)), *r = strempty(json_string_value(resource));
                const char *v = strempty(json_string_value(verb));
                json_each(name, names)
                    add_access(accesses, g, r, strempty(json_string_value(name)), NULL, v);
                if (json_len(names) == 0)
                    add_access(accesses, g, r, NULL, NULL, v);
            }
        }
    }
    json_each(url, json_get(rule, "nonResourceURLs", NULL)) {
        json_each(verb, json_get(rule, "verbs", NULL))
            add_access(accesses, "", "", NULL, strempty(json_string_value(url)), strempty(json_string_value(verb)));
    }
}

static int by_order(const void *left, const void *right)
{
    const struct access *a = left, *b = right;
    return strcmp(a->order, b->order);
}

/* "pods/log", "deployments.apps/scale" */
static char *resource_text(const struct access *access)
{
    struct str plural, subresource;
    bool has_subresource = str_cut(str_of(access->resource), '/', &plural, &subresource);
    return xasprintf("%.*s%s%s%s%.*s", (int)plural.len, plural.p, access->group[0] != '\0' ? "." : "", access->group,
                     has_subresource ? "/" : "", (int)subresource.len, strempty(subresource.p));
}

void describe_role(struct describe *describe)
{
    CLEANUP(accesses_done) struct accesses accesses = {0};
    const struct json *rule;
    json_each(rule, json_get(describe->object, "rules", NULL))
        take_apart(&accesses, rule);
    for (size_t i = 0; i < accesses.n; i++) {
        struct access *access = &accesses.list[i];
        CLEANUP(xfree) char *verbs = strv_join(&access->verbs, " ");
        bool is_url = access->url != NULL;
        access->order = xasprintf("Verbs:[%s],APIGroups:[%s],Resources:[%s],ResourceNames:[%s],NonResourceURLs:[%s],",
                                  verbs, is_url ? "" : access->group, is_url ? "" : access->resource,
                                  strempty(access->name), strempty(access->url));
    }
    if (accesses.n > 0)
        qsort(accesses.list, accesses.n, sizeof(*accesses.list), by_order);
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", describe->object, "metadata", "name", NULL));
    describe_labels(describe);
    describe_write(describe, 0, "PolicyRule:\n");
    describe_write(describe, 1, "Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    describe_write(describe, 1, "---------\t-----------------\t--------------\t-----\n");
    for (size_t i = 0; i < accesses.n; i++) {
        const struct access *access = &accesses.list[i];
        CLEANUP(xfree) char *verbs = strv_join(&access->verbs, " "), *resource = resource_text(access);
        describe_write(describe, 1, "%s\t[%s]\t[%s]\t[%s]\n", resource, strempty(access->url), strempty(access->name),
                       verbs);
    }
}

void describe_role_binding(struct describe *describe)
{
    static const struct describe_field role[] = {
        {1, "Kind", "roleRef.kind", SHOW_EMPTY, AS_TEXT}, {1, "Name", "roleRef.name", SHOW_EMPTY, AS_TEXT}, {0}};
    static const struct describe_column subjects[] = {{"Kind", "kind", NULL, AS_TEXT},
                                                      {"Name", "name", NULL, AS_TEXT},
                                                      {"Namespace", "namespace", NULL, AS_TEXT},
                                                      {0}};
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", describe->object, "metadata", "name", NULL));
    describe_labels(describe);
    describe_write(describe, 0, "Role:\n");
    describe_fields(describe, role, describe->object);
    describe_write(describe, 0, "Subjects:\n");
    describe_table(describe, 1, subjects, "", json_get(describe->object, "subjects", NULL));
}

/* --- certificate signing requests */

static void print_status(const struct json *request, struct buf *out)
{
    bool approved = false, denied = false, failed = false;
    const struct json *condition;
    json_each(condition, json_get(request, "status", "conditions", NULL)) {
        const char *type = json_str_or("", condition, "type", NULL);
        approved = approved || streq(type, "Approved");
        denied = denied || streq(type, "Denied");
        failed = failed || streq(type, "Failed");
    }
    buf_printf(out, "%s%s%s",
               denied     ? "Denied"
               : approved ? "Approved"
                          : "Pending",
               failed ? ",Failed" : "",
               json_str_or("", request, "status", "certificate", NULL)[0] != '\0' ? ",Issued" : "");
}

static void describe_names(struct describe *describe, const char *title, const struct strv *names)
{
    if (names->n == 0)
        return;
    CLEANUP(xfree) char *joined = strv_join(names, "\n\t\t");
    describe_write(describe, 0, "\t%s:\t%s\n", title, joined);
}

static void describe_subject(struct describe *describe, const struct pki_subject *subject)
{
    static const struct {
        const char *title;
        enum pki_name name;
    } parts[] = {{"Organization", PKI_ORGANIZATION}, {"Organizational Unit", PKI_UNIT}, {"Country", PKI_COUNTRY},
                 {"Locality", PKI_LOCALITY},         {"Province", PKI_PROVINCE},        {"StreetAddress", PKI_STREET},
                 {"PostalCode", PKI_POSTAL_CODE}};
    static const struct {
        const char *title;
        enum pki_name name;
    } alternatives[] = {
        {"DNS Names", PKI_DNS}, {"Email Addresses", PKI_EMAIL}, {"URIs", PKI_URI}, {"IP Addresses", PKI_IP}};
    const struct strv *common = &subject->names[PKI_COMMON_NAME], *serial = &subject->names[PKI_SERIAL];
    size_t n = 0;
    describe_write(describe, 0, "Subject:\n");
    describe_write(describe, 0, "\tCommon Name:\t%s\n", common->n > 0 ? common->items[common->n - 1] : "");
    describe_write(describe, 0, "\tSerial Number:\t%s\n", serial->n > 0 ? serial->items[serial->n - 1] : "");
    for (size_t i = 0; i < countof(parts); i++)
        describe_names(describe, parts[i].title, &subject->names[parts[i].name]);
    for (size_t i = 0; i < countof(alternatives); i++)
        n += subject->names[alternatives[i].name].n;
    if (n > 0)
        describe_write(describe, 0, "Subject Alternative Names:\n");
    for (size_t i = 0; i < countof(alternatives); i++)
        describe_names(describe, alternatives[i].title, &subject->names[alternatives[i].name]);
}

void describe_signing_request(struct describe *describe)
{
    static const struct describe_field head[] = {
        {0, "Name", "metadata.name", SHOW_EMPTY, AS_TEXT},
        {0, "Labels", "metadata.labels", SHOW_NONE, AS_LABELS},
        {0, "Annotations", "metadata.annotations", SHOW_NONE, AS_LABELS},
        {0, "CreationTimestamp", "metadata.creationTimestamp", SHOW_EMPTY, AS_TIME},
        {0, "Requesting User", "spec.username", SHOW_EMPTY, AS_TEXT},
        {0, "Signer", "spec.signerName", SKIP_LINE, AS_TEXT},
        {0}};
    const char *encoded = json_str_or("", describe->object, "spec", "request", NULL);
    const struct json *seconds = json_get(describe->object, "spec", "expirationSeconds", NULL);
    CLEANUP(buf_done) struct buf pem = {0}, status = {0};
    CLEANUP(pki_subject_done) struct pki_subject subject = {0};
    CLEANUP(err_clear) struct err err = {0};
    if (base64_decode(encoded, strlen(encoded), &pem, &err) < 0 ||
        pki_read_request(buf_text(&pem), &subject, &err) < 0) {
        describe->failure = xasprintf("Error parsing CSR: %s", err_text(&err));
        return;
    }
    describe_fields(describe, head, describe->object);
    if (seconds != NULL) {
        char duration[CLOCK_TEXT_MAX];
        clock_human_duration(json_int_value(seconds), duration);
        describe_write(describe, 0, "Requested Duration:\t%s\n", duration);
    }
    print_status(describe->object, &status);
    describe_write(describe, 0, "Status:\t%s\n", buf_text(&status));
    describe_subject(describe, &subject);
    describe_events(describe);
}
