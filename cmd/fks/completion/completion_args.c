/*
 * completion_args.c: candidates for a command's arguments and for the values of options: types and names of the cluster's
 * objects, containers, ports, and what the kubeconfig names. What cannot be read gives no candidates and no error, since
 * a shell has no place for one.
 */
#include "completion/completion.h"

#include <dirent.h>

#include "base/mem.h"
#include "objects/items.h"
#include "objects/pods.h"

#define METADATA_ONLY                                                                                              \
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;" \
    "g=meta.k8s.io;v=v1,application/json"

/* --- what is asked of the cluster */

struct names {
    struct strv *out;
    bool with_namespace;
};

static bool take_names(struct json **answer, void *data)
{
    struct names *names = data;
    const struct json *item;
    json_each(item, json_get(*answer, "items", NULL)) {
        const char *name = json_str_or("", item, "metadata", "name", NULL);
        if (names->with_namespace)
            strv_addf(names->out, "%s/%s", json_str_or("", item, "metadata", "namespace", NULL), name);
        else
            strv_add(names->out, name);
    }
    return true;
}

/* The names of all objects of a type, in the namespace of the line. */
static void list_names(struct cli *cli, const char *type, bool with_namespace, struct strv *out)
{
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(err_clear) struct err err = {0};
    const struct selection selection = {.everything_if_unnamed = true, .chunk_size = 500};
    const struct item_listing listing = {.selection = &selection, .accept = METADATA_ONLY};
    struct names names = {.out = out, .with_namespace = with_namespace};
    strv_add(&args, type);
    if (items_from_args(cli, &selection, &args, &items, &err) < 0)
        return;
    for (size_t i = 0; i < items.n; i++) {
        CLEANUP(err_clear) struct err refused = {0};
        if (item_list(cli, &items.list[i], &listing, take_names, &names, &refused) < 0)
            continue;
    }
}

static void add_names(struct cli *cli, struct completion *completion, const char *type, const char *suffix)
{
    CLEANUP(strv_done) struct strv names = {0};
    list_names(cli, type, false, &names);
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(xfree) char *candidate = xasprintf("%s%s", names.items[i], suffix);
        completion_add(completion, candidate);
    }
}

static int by_group(const void *left, const void *right)
{
    const struct kube_resource *const *a = left, *const *b = right;
    int order = strcmp((*a)->group, (*b)->group);
    return order != 0 ? order : strcmp((*a)->plural, (*b)->plural);
}

/* Types that can be read, "deployments.apps"; after "a,b," the next one. */
static void add_types(struct cli *cli, struct completion *completion, const char *suffix)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct kube_resource *all = NULL, **list;
    const struct strv *stale = NULL; /* what does not answer has no candidates */
    size_t n_all = 0, n = 0;
    if (cli_connect(cli, &err) < 0 || kube_discovery_all(cli->discovery, true, &all, &n_all, &stale, &err) < 0)
        return;
    const char *comma = strrchr(completion->typed, ',');
    list = xcalloc(n_all + 1, sizeof(*list));
    for (size_t i = 0; i < n_all; i++) {
        if (kube_resource_lists(all[i].verbs, "get"))
            list[n++] = &all[i];
    }
    qsort(list, n, sizeof(*list), by_group);
    for (size_t i = 0; i < n; i++) {
        CLEANUP(buf_done) struct buf name = {0};
        buf_add(&name, completion->typed, comma != NULL ? (size_t)(comma - completion->typed) + 1 : 0);
        resource_print_plural(list[i], &name);
        buf_add_str(&name, suffix);
        completion_add(completion, buf_text(&name));
    }
    free(list);
}

/* The sections of a kubeconfig. */
static void add_config_names(struct cli *cli, struct completion *completion, const char *section)
{
    CLEANUP(json_free) struct json *config = NULL;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv names = {0};
    const struct json *entry;
    if (kube_config_raw(&cli->overrides, &config, &err) < 0)
        return;
    json_each(entry, json_get(config, section, NULL))
        strv_add(&names, json_str_or("", entry, "name", NULL));
    strv_sort(&names);
    for (size_t i = 0; i < names.n; i++)
        completion_add(completion, names.items[i]);
}

/* The pod that "web", "deploy/web" stands for. */
static struct json *find_pod(struct cli *cli, const char *argument)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *object = NULL, *pods = NULL;
    if (cli_connect(cli, &err) < 0 || pods_read_object(cli, argument, &object, &err) < 0 ||
        pods_of_object(cli, object, PODS_TO_ATTACH, 100, &pods, &err) < 0)
        return NULL;
    return json_len(pods) > 0 ? json_clone(json_at(pods, 0)) : NULL;
}

static void add_containers(struct cli *cli, struct completion *completion, const char *argument)
{
    static const char *const lists[] = {"initContainers", "containers"};
    CLEANUP(json_free) struct json *pod = find_pod(cli, argument);
    const struct json *container;
    for (size_t i = 0; i < countof(lists); i++) {
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            completion_add(completion, json_str_or("", container, "name", NULL));
    }
}

/* "LOCAL:PORT", of which LOCAL is what is typed or the same port. */
static void add_port(struct completion *completion, int64_t port)
{
    size_t len = strcspn(completion->typed, ":");
    CLEANUP(xfree) char *candidate = len > 0 ? xasprintf("%.*s:%lld", (int)len, completion->typed, (long long)port)
                                             : xasprintf("%lld:%lld", (long long)port, (long long)port);
    completion_add(completion, candidate);
}

static void add_ports(struct cli *cli, struct completion *completion, const char *argument)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *object = NULL;
    const struct json *container, *port;
    bool is_service = starts_with(argument, "service/") || starts_with(argument, "services/") || starts_with(argument, "svc/");
    if (!is_service)
        object = find_pod(cli, argument);
    else if (cli_connect(cli, &err) < 0 || pods_read_object(cli, argument, &object, &err) < 0)
        return;
    json_each(port, json_get(object, "spec", "ports", NULL))
        add_port(completion, json_int_or(0, port, "port", NULL));
    json_each(container, json_get(object, "spec", "containers", NULL)) {
        json_each(port, json_get(container, "ports", NULL))
            add_port(completion, json_int_or(0, port, "containerPort", NULL));
    }
}

/* --- which command takes what */

enum argument_kind {
    ANY_TYPE,  /* TYPE NAME..., TYPE/NAME...; with `types` only these */
    NAMES,     /* one name of a type */
    POD,       /* one pod, or TYPE/NAME that has pods */
    CONTAINER, /* the same, then a container */
    PORT,      /* the same, then a port */
    FILES,     /* of cp: pods, namespaces, files */
    CONFIG,    /* one name of the kubeconfig */
    WORDS,     /* one of some words */
};
struct argument {
    const char *words;
    enum argument_kind kind;
    const char *types; /* the types, the section or the words; blanks between them */
    bool only_one;
};
#define WORKLOADS "deployment daemonset statefulset"
#define SCALABLE "deployment replicaset replicationcontroller statefulset"
static const struct argument arguments[] = {
    {"get", ANY_TYPE, NULL, false},
    {"describe", ANY_TYPE, NULL, false},
    {"delete", ANY_TYPE, NULL, false},
    {"edit", ANY_TYPE, NULL, false},
    {"label", ANY_TYPE, NULL, false},
    {"annotate", ANY_TYPE, NULL, false},
    {"patch", ANY_TYPE, NULL, false},
    {"debug", ANY_TYPE, NULL, false},
    {"apply edit-last-applied", ANY_TYPE, NULL, false},
    {"apply view-last-applied", ANY_TYPE, NULL, false},
    {"rollout history", ANY_TYPE, WORKLOADS, false},
    {"rollout pause", ANY_TYPE, "deployment", false},
    {"rollout restart", ANY_TYPE, WORKLOADS, false},
    {"rollout resume", ANY_TYPE, "deployment", false},
    {"rollout status", ANY_TYPE, WORKLOADS, true},
    {"rollout undo", ANY_TYPE, WORKLOADS, false},
    {"scale", ANY_TYPE, SCALABLE, false},
    {"autoscale", ANY_TYPE, SCALABLE, false},
    {"expose", ANY_TYPE, "pod service replicationcontroller deployment replicaset", false},
    {"taint", ANY_TYPE, "node", false},
    {"set image", ANY_TYPE,
     "daemonsets deployments pods cronjobs replicasets replicationcontrollers statefulsets", true},
    {"top node", NAMES, "node", false},
    {"top pod", NAMES, "pod", false},
    {"cordon", NAMES, "node", false},
    {"uncordon", NAMES, "node", false},
    {"drain", NAMES, "node", false},
    {"create token", NAMES, "serviceaccount", false},
    {"exec", POD, NULL, false},
    {"attach", POD, NULL, false},
    {"logs", CONTAINER, NULL, false},
    {"port-forward", PORT, NULL, false},
    {"cp", FILES, NULL, false},
    {"config use-context", CONFIG, "contexts", false},
    {"config set-context", CONFIG, "contexts", false},
    {"config rename-context", CONFIG, "contexts", false},
    {"config delete-context", CONFIG, "contexts", false},
    {"config delete-cluster", CONFIG, "clusters", false},
    {"config delete-user", CONFIG, "users", false},
    {"completion", WORDS, "bash zsh fish powershell", false},
};

static void add_words(struct completion *completion, const char *words, const char *suffix)
{
    CLEANUP(strv_done) struct strv list = {0};
    strv_split(&list, words, ' ');
    for (size_t i = 0; i < list.n; i++) {
        CLEANUP(xfree) char *candidate = xasprintf("%s%s", list.items[i], suffix);
        completion_add(completion, candidate);
    }
}

/* "TYPE/NAME" of what is typed as "TYPE/..." */
static void add_slash_names(struct cli *cli, struct completion *completion)
{
    CLEANUP(strv_done) struct strv names = {0};
    size_t len = strcspn(completion->typed, "/");
    CLEANUP(xfree) char *type = xstrndup(completion->typed, len);
    list_names(cli, type, false, &names);
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(xfree) char *candidate = xasprintf("%s/%s", type, names.items[i]);
        completion_add(completion, candidate);
    }
}

/* Leaves out what the line has already. */
static void drop_given(struct completion *completion, const struct strv *args)
{
    struct strv kept = {0};
    for (size_t i = 0; i < completion->found.n; i++) {
        if (!strv_has(args, completion->found.items[i]))
            strv_add(&kept, completion->found.items[i]);
    }
    strv_done(&completion->found);
    completion->found = kept;
}

static void add_typed_names(struct cli *cli, struct completion *completion, const struct argument *argument,
                            const struct strv *args)
{
    bool first = args->n == 0, has_slash = strchr(completion->typed, '/') != NULL;
    bool after_type = !first && strchr(args->items[0], '/') == NULL;
    if (argument->only_one && args->n > (after_type ? 1 : 0))
        return;
    if (after_type)
        add_names(cli, completion, args->items[0], "");
    else if (has_slash)
        add_slash_names(cli, completion);
    else if (argument->types != NULL)
        add_words(completion, argument->types, first ? "" : "/");
    else
        add_types(cli, completion, first ? "" : "/");
    if (!first && !after_type && !has_slash)
        completion->directive |= COMPLETION_NO_SPACE;
    drop_given(completion, args);
}

static void add_pods(struct cli *cli, struct completion *completion)
{
    if (strchr(completion->typed, '/') != NULL) {
        add_slash_names(cli, completion);
        return;
    }
    add_names(cli, completion, "pod", "");
    if (completion->found.n == 0) /* what follows are types, after which a name is still to come */
        completion->directive |= COMPLETION_NO_SPACE;
    add_words(completion, "daemonsets deployments pods jobs replicasets replicationcontrollers services statefulsets", "/");
}

static void add_own_files(struct completion *completion)
{
    struct dirent **entries = NULL;
    int n = scandir(".", &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        CLEANUP(xfree) char *candidate = xasprintf("%s%s", name, entries[i]->d_type == DT_DIR ? "/" : "");
        if (!streq(name, ".") && !streq(name, ".."))
            completion_add(completion, candidate);
        free(entries[i]);
    }
    free(entries);
}

static void add_cp(struct cli *cli, struct completion *completion)
{
    const char *typed = completion->typed;
    completion->directive = COMPLETION_NO_SPACE;
    if ((typed[0] != '\0' && strchr("/.~", typed[0]) != NULL) || strchr(typed, ':') != NULL)
        return;
    if (strchr(typed, '/') != NULL) {
        CLEANUP(strv_done) struct strv names = {0};
        CLEANUP(xfree) char *namespace = xstrndup(typed, strcspn(typed, "/"));
        const char *before = cli->namespace;
        cli->namespace = namespace;
        list_names(cli, "pod", true, &names);
        cli->namespace = before;
        for (size_t i = 0; i < names.n; i++) {
            CLEANUP(xfree) char *candidate = xasprintf("%s:", names.items[i]);
            completion_add(completion, candidate);
        }
        return;
    }
    add_names(cli, completion, "namespace", "/");
    add_names(cli, completion, "pod", ":");
    if (typed[0] == '\0')
        add_words(completion, "./ /", "");
    else if (completion->found.n > 0)
        add_own_files(completion);
}

void completion_arguments(struct cli *cli, struct completion *completion, const char *words, const struct strv *args)
{
    const struct argument *argument = NULL;
    for (size_t i = 0; i < countof(arguments); i++)
        argument = streq(arguments[i].words, words) ? &arguments[i] : argument;
    if (argument == NULL)
        return;
    completion->directive = argument->kind == FILES ? COMPLETION_NO_SPACE : COMPLETION_NO_FILES;
    if (argument->kind == ANY_TYPE)
        add_typed_names(cli, completion, argument, args);
    else if (args->n == 1 && argument->kind == CONTAINER)
        add_containers(cli, completion, args->items[0]);
    else if (args->n == 1 && argument->kind == PORT)
        add_ports(cli, completion, args->items[0]);
    if (args->n > 0)
        return;
    if (argument->kind == NAMES)
        add_names(cli, completion, argument->types, "");
    else if (argument->kind == POD || argument->kind == CONTAINER || argument->kind == PORT)
        add_pods(cli, completion);
    else if (argument->kind == FILES)
        add_cp(cli, completion);
    else if (argument->kind == CONFIG)
        add_config_names(cli, completion, argument->types);
    else if (argument->kind == WORDS)
        add_words(completion, argument->types, "");
}

bool completion_values(struct cli *cli, struct completion *completion, const char *words, const char *option,
                       const struct strv *args)
{
    static const struct {
        const char *option, *section;
    } sections[] = {{"context", "contexts"}, {"cluster", "clusters"}, {"user", "users"}};
    for (size_t i = 0; i < countof(sections); i++) {
        if (streq(sections[i].option, option)) {
            add_config_names(cli, completion, sections[i].section);
            return true;
        }
    }
    if (streq(option, "namespace"))
        add_names(cli, completion, "namespace", "");
    else if (streq(option, "clusterrole") && streq(words, "create clusterrolebinding"))
        add_names(cli, completion, "clusterrole", "");
    else if (streq(option, "subresource"))
        add_words(completion, "status scale resize", "");
    else if (streq(option, "output") && streq(words, "get"))
        add_words(completion,
                  "json yaml kyaml name go-template go-template-file template templatefile jsonpath jsonpath-as-json "
                  "jsonpath-file custom-columns custom-columns-file wide",
                  "");
    else if (streq(option, "container") && (streq(words, "exec") || streq(words, "logs") || streq(words, "attach"))) {
        if (args->n > 0)
            add_containers(cli, completion, args->items[0]);
    } else
        return false;
    return true;
}
