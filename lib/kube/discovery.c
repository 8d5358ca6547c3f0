/*
 * discovery.c: finds the resource that a word or a manifest means. First the compiled-in table, which costs nothing; then
 * the list cached on disk; then, once per process, the server. So a new CRD is found at once, and a stale cache costs one
 * request on the first miss.
 */
#include "kube/discovery.h"

#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "kube/discovery_internal.h"

/*
 * A manifest often follows its CustomResourceDefinition at once, and the server offers the new kind a moment after it has
 * taken the definition.
 */
#define KIND_TRIES 3
#define KIND_PAUSE_MS 100

struct kube_discovery {
    struct kube_client *client;
    char *cache_path; /* a folder */
    struct discovery_answer unsaved; /* what is not on disk yet */
    struct discovery_shelf *shelf;   /* where it goes if it is the first; or NULL */
    struct strv stale;    /* group/version that the server could not tell about */
    struct discovery_list server;
    bool has_server;  /* server is filled */
    bool asked;       /* by this process: asking again would tell nothing new */
    bool waited;      /* for a kind that the server may be about to offer */
    struct discovery_list *outdated; /* earlier server lists: pointers into them may have been handed out */
    size_t n_outdated, outdated_cap;
    struct kube_resource *preferred; /* shallow copies of server's items, one version each */
    size_t n_preferred;
};

/* --- lists */

struct kube_discovery *kube_discovery_new(struct kube_client *client, const char *cache_dir)
{
    struct kube_discovery *discovery = NEW(struct kube_discovery);
    discovery->client = client;
    discovery->cache_path = discovery_cache_path(cache_dir, kube_client_config(client)->server);
    return discovery;
}

void kube_discovery_save(struct kube_discovery *discovery)
{
    if (discovery->unsaved.core != NULL)
        discovery_cache_save(discovery->cache_path, discovery->shelf, &discovery->unsaved);
    discovery_answer_done(&discovery->unsaved);
    discovery->shelf = discovery_shelf_free(discovery->shelf);
}

struct kube_discovery *kube_discovery_free(struct kube_discovery *discovery)
{
    if (discovery == NULL)
        return NULL;
    kube_discovery_save(discovery);
    strv_done(&discovery->stale);
    discovery_list_done(&discovery->server);
    for (size_t i = 0; i < discovery->n_outdated; i++)
        discovery_list_done(&discovery->outdated[i]);
    free(discovery->outdated);
    free(discovery->preferred);
    free(discovery->cache_path);
    free(discovery);
    return NULL;
}

static int ask_server(struct kube_discovery *discovery, struct err *err)
{
    struct discovery_answer answer = {0};
    discovery_shelf_free(discovery->shelf);
    discovery->shelf = discovery_shelf_new(discovery->cache_path);
    if (discovery_fetch(discovery->client, discovery->shelf != NULL ? discovery_shelf_step : NULL, discovery->shelf, &answer,
                        err) < 0) {
        discovery->shelf = discovery_shelf_free(discovery->shelf);
        return (int)err->code;
    }
    GROW(discovery->outdated, discovery->n_outdated, discovery->outdated_cap);
    discovery->outdated[discovery->n_outdated++] = discovery->server;
    discovery->server = (struct discovery_list){0};
    strv_done(&discovery->stale);
    discovery_answer_fill(&answer, &discovery->server, &discovery->stale);
    discovery->has_server = discovery->asked = true;
    discovery_answer_done(&discovery->unsaved);
    discovery->unsaved = answer; /* the user's answer comes first, the disk when there is time */
    return 0;
}

static bool has_server(struct kube_discovery *discovery)
{
    discovery->has_server = discovery->has_server || discovery_cache_load(discovery->cache_path, &discovery->server);
    return discovery->has_server;
}

static int need_server(struct kube_discovery *discovery, struct err *err)
{
    return has_server(discovery) ? 0 : ask_server(discovery, err);
}

/* --- words */

struct resources {
    const struct kube_resource *items;
    size_t n;
};

static struct resources built_in(void)
{
    return (struct resources){discovery_table, discovery_table_len};
}

static struct resources of_server(const struct kube_discovery *discovery)
{
    return (struct resources){discovery->server.items, discovery->server.n};
}

enum group_match { GROUP_ANY, GROUP_EXACT, GROUP_PREFIX };

struct word { /* "deploy.v1.apps" in its two readings */
    char *name;
    const char *version; /* NULL: any */
    const char *group;   /* NULL: any */
};

static bool in_group(const struct kube_resource *resource, const struct word *word, enum group_match match)
{
    switch (match) {
    case GROUP_EXACT:
        return strcasecmp(resource->group, word->group) == 0;
    case GROUP_PREFIX:
        return strncasecmp(resource->group, word->group, strlen(word->group)) == 0;
    default:
        return true;
    }
}

bool kube_resource_lists(const char *list, const char *word)
{
    size_t len = strlen(word);
    while (len > 0 && *list != '\0') {
        size_t item_len = strcspn(list, ",");
        if (item_len == len && strncmp(list, word, len) == 0)
            return true;
        list += item_len;
        list += *list == ',';
    }
    return false;
}

/* In this case only, other than names and kinds: "PODS" is one, "PO" is not. */
static bool is_short_name(const struct kube_resource *resource, const char *name)
{
    return kube_resource_lists(resource->short_names, name);
}

/* Full names before short ones, exact groups before prefixes of one ("deploy.app"), as client-go's mapper. */
static const struct kube_resource *find_word(struct resources list, const struct word *word)
{
    enum group_match match = word->group != NULL ? GROUP_EXACT : GROUP_ANY;
    for (;;) {
        for (int by_short = 0; by_short < 2; by_short++) {
            for (size_t i = 0; i < list.n; i++) {
                const struct kube_resource *resource = &list.items[i];
                bool named = by_short ? is_short_name(resource, word->name)
                                      : strcasecmp(resource->plural, word->name) == 0 ||
                                            strcasecmp(resource->singular, word->name) == 0 ||
                                            strcasecmp(resource->kind, word->name) == 0;
                if (named && in_group(resource, word, match) &&
                    (word->version == NULL || strcasecmp(resource->version, word->version) == 0))
                    return resource;
            }
        }
        if (match != GROUP_EXACT || word->group[0] == '\0')
            return NULL;
        match = GROUP_PREFIX;
    }
}

static const struct kube_resource *find_text(struct resources list, const char *text)
{
    size_t len = strcspn(text, ".");
    CLEANUP(xfree) char *name = xstrndup(text, len);
    if (text[len] == '\0')
        return find_word(list, &(struct word){.name = name});
    const char *rest = text + len + 1, *dot = strchr(rest, '.');
    if (dot != NULL) {
        CLEANUP(xfree) char *version = xstrndup(rest, (size_t)(dot - rest));
        const struct kube_resource *found =
            find_word(list, &(struct word){.name = name, .version = version, .group = dot + 1});
        if (found != NULL)
            return found;
    }
    return find_word(list, &(struct word){.name = name, .group = rest});
}

static const struct kube_resource *find_kind(struct resources list, const char *group, const char *version,
                                             const char *kind)
{
    for (size_t i = 0; i < list.n; i++) {
        const struct kube_resource *resource = &list.items[i];
        if (streq(resource->kind, kind) && streq(resource->group, group) && streq(resource->version, version))
            return resource;
    }
    return NULL;
}

/* A bare short name that another resource has too: kubectl says so and takes the first. */
static void warn_of_others(struct kube_discovery *discovery, struct resources list, const char *text,
                           const struct kube_resource *found)
{
    if (strchr(text, '.') != NULL || !is_short_name(found, text))
        return;
    for (size_t i = 0; i < list.n; i++) {
        const struct kube_resource *other = &list.items[i];
        if (!is_short_name(other, text) || (streq(other->group, found->group) && streq(other->plural, found->plural)))
            continue;
        CLEANUP(xfree)
        char *warning = xasprintf("short name \"%s\" could also match lower priority resource %s%s%s", text,
                                  other->plural, other->group[0] != '\0' ? "." : "", other->group);
        kube_client_warn(discovery->client, warning);
        return;
    }
}

const struct kube_resource *kube_discovery_known(struct kube_discovery *discovery, const char *text)
{
    const struct kube_resource *found = find_text(built_in(), text);
    return found == NULL && has_server(discovery) ? find_text(of_server(discovery), text) : found;
}

int kube_discovery_find(struct kube_discovery *discovery, const char *text, const struct kube_resource **ret,
                        struct err *err)
{
    const struct kube_resource *found = kube_discovery_known(discovery, text);
    if (found == NULL && !discovery->asked) {
        if (ask_server(discovery, err) < 0)
            return (int)err->code;
        found = find_text(of_server(discovery), text);
    }
    if (found == NULL)
        return err_set(err, ERR_NOT_FOUND, "the server doesn't have a resource type \"%.*s\"", (int)strcspn(text, "."),
                       text);
    bool is_built_in = found >= discovery_table && found < discovery_table + discovery_table_len;
    warn_of_others(discovery, is_built_in ? built_in() : of_server(discovery), text, found);
    *ret = found;
    return 0;
}

int kube_discovery_find_kind(struct kube_discovery *discovery, const char *api_version, const char *kind,
                             const struct kube_resource **ret, struct err *err)
{
    const char *slash = strchr(api_version, '/'), *version = slash != NULL ? slash + 1 : api_version;
    CLEANUP(xfree) char *group = slash != NULL ? xstrndup(api_version, (size_t)(slash - api_version)) : xstrdup("");
    const struct kube_resource *found = find_kind(built_in(), group, version, kind);
    if (found == NULL) {
        if (need_server(discovery, err) < 0)
            return (int)err->code;
        found = find_kind(of_server(discovery), group, version, kind);
    }
    if (found == NULL && !discovery->asked) {
        if (ask_server(discovery, err) < 0)
            return (int)err->code;
        found = find_kind(of_server(discovery), group, version, kind);
    }
    for (int tries = 0; found == NULL && tries < KIND_TRIES && !discovery->waited; tries++) {
        const struct timespec pause = {.tv_nsec = KIND_PAUSE_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        if (ask_server(discovery, err) < 0)
            return (int)err->code;
        found = find_kind(of_server(discovery), group, version, kind);
    }
    discovery->waited = discovery->waited || found == NULL;
    if (found == NULL)
        return err_set(err, ERR_NOT_FOUND, "no matches for kind \"%s\" in version \"%s\"", kind, api_version);
    *ret = found;
    return 0;
}

/* --- everything, and categories */

/* One row a resource: the first version that has it is the group's preferred one. */
static void fill_preferred(struct kube_discovery *discovery)
{
    const struct discovery_list *list = &discovery->server;
    discovery->preferred = xrealloc(discovery->preferred, list->n + 1, sizeof(list->items[0]));
    discovery->n_preferred = 0;
    for (size_t i = 0; i < list->n; i++) {
        bool earlier = false;
        for (size_t j = 0; j < i && !earlier; j++)
            earlier = streq(list->items[j].plural, list->items[i].plural) &&
                      streq(list->items[j].group, list->items[i].group);
        if (!earlier)
            discovery->preferred[discovery->n_preferred++] = list->items[i];
    }
}

int kube_discovery_all(struct kube_discovery *discovery, bool cached, const struct kube_resource **ret, size_t *ret_n,
                       const struct strv **ret_stale, struct err *err)
{
    if (!discovery->asked && (cached ? need_server(discovery, err) : ask_server(discovery, err)) < 0)
        return (int)err->code;
    fill_preferred(discovery);
    *ret = discovery->preferred;
    *ret_n = discovery->n_preferred;
    *ret_stale = &discovery->stale;
    return 0;
}

static size_t collect(const struct discovery_list *list, const char *category, const struct kube_resource **members)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct kube_resource *resource = &list->items[i];
        bool is_member = kube_resource_lists(resource->categories, category);
        for (size_t j = 0; j < n && is_member; j++) /* another version of it */
            is_member = !streq(members[j]->plural, resource->plural) || !streq(members[j]->group, resource->group);
        if (is_member)
            members[n++] = resource;
    }
    return n;
}

int kube_discovery_category(struct kube_discovery *discovery, const char *category, const struct kube_resource ***ret,
                            size_t *ret_n, struct err *err)
{
    *ret = NULL;
    *ret_n = 0;
    if (find_text(built_in(), category) != NULL)
        return 0;
    if (need_server(discovery, err) < 0)
        return (int)err->code;
    CLEANUP(xfree) const struct kube_resource **members = xcalloc(discovery->server.n + 1, sizeof(void *));
    size_t n = collect(&discovery->server, category, members);
    if (n == 0 && !discovery->asked && find_text(of_server(discovery), category) == NULL) {
        if (ask_server(discovery, err) < 0)
            return (int)err->code;
        members = xrealloc(members, discovery->server.n + 1, sizeof(void *));
        n = collect(&discovery->server, category, members);
    }
    if (n > 0)
        *ret = take(&members);
    *ret_n = n;
    return 0;
}
