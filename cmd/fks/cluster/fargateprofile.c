/*
 * fargateprofile.c: create, get and delete fargateprofile, as eksctl has them, on FargateProfile objects.
 */
#include "base/codec.h"
#include "base/mem.h"
#include "cluster/addons.h"
#include "cluster/commands.h"
#include "cluster/eksctl_output.h"
#include "cluster/target.h"
#include "cluster/webhook_probe.h"
#include "cluster_options.h"
#include "fargate/names.h"
#include "fargate/profile.h"
#include "install/install.h"
#include "install/progress.h"
#include "install/wait.h"

#define DEFAULT_TIMEOUT_MS (25 * 60 * 1000)

/* "k=v" items into an object; ERR_USAGE names a bad one. */
static int pairs_to_object(const struct strv *pairs, const char *flag, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *object = json_new_object();
    for (size_t i = 0; i < pairs->n; i++) {
        const char *equals = strchr(pairs->items[i], '=');
        if (equals == NULL || equals == pairs->items[i])
            return err_set(err, ERR_USAGE, "invalid argument \"%s\" for \"--%s\" flag: %s must be formatted as key=value",
                           pairs->items[i], flag, pairs->items[i]);
        CLEANUP(xfree) char *key = xstrndup(pairs->items[i], (size_t)(equals - pairs->items[i]));
        json_set_str(object, key, equals + 1);
    }
    *ret = take(&object);
    return 0;
}

static int build_profile(const char *name, const char *namespace, const struct strv *labels, const struct strv *tags,
                         struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *label_object = NULL;
    CLEANUP(json_free) struct json *tag_object = NULL;
    int r = pairs_to_object(labels, "labels", &label_object, err);
    if (r < 0 || (r = pairs_to_object(tags, "tags", &tag_object, err)) < 0)
        return r;
    CLEANUP(json_free) struct json *selector = json_build("{s:s}", "namespace", namespace);
    if (json_len(label_object) > 0)
        json_set(selector, "labels", take(&label_object));
    CLEANUP(json_free) struct json *profile =
        json_build("{s:s, s:s, s:{s:s}, s:{s:[O]}}", "apiVersion", FKS_API_VERSION, "kind", "FargateProfile", "metadata",
                   "name", name, "spec", "selectors", selector);
    if (json_len(tag_object) > 0)
        json_set(json_edit_member(profile, "spec"), "tags", take(&tag_object));
    CLEANUP(strv_done) struct strv reasons = {0};
    fargate_profile_check(profile, &reasons);
    if (reasons.n > 0) {
        CLEANUP(xfree) char *all = strv_join(&reasons, "; ");
        return err_set(err, ERR_INVALID, "invalid Fargate profile \"%s\": %s", name, all);
    }
    *ret = take(&profile);
    return 0;
}

static int create_profile(struct cli *cli, const struct cluster_options *options, const char *name, const char *namespace,
                          const struct strv *labels, const struct strv *tags, struct err *err)
{
    CLEANUP(target_done) struct target target = {0};
    CLEANUP(json_free) struct json *profile = NULL;
    if (namespace == NULL || *namespace == '\0')
        return err_set(err, ERR_USAGE, "invalid Fargate profile: empty selector namespace: --namespace must be set");
    int r = build_profile(name, namespace, labels, tags, &profile, err);
    if (r < 0 || (r = target_connect(cli, options->cluster, &target, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "creating Fargate profile \"%s\" on cluster \"%s\"", name, target.name);
    if ((r = addons_profile(target.client, profile, err)) == ERR_EXISTS) {
        err_clear(err);
        return err_set(err, ERR_EXISTS, "A Fargate Profile already exists with this name in this cluster: '%s'", name);
    }
    if (r < 0)
        return r;
    r = target.local ? webhook_probe_profile(&target.cluster, profile, options->timeout_ms, err)
                     : install_wait_for_profile(target.client, profile, options->timeout_ms, err);
    if (r < 0)
        return r;
    progress(PROGRESS_INFO, "created Fargate profile \"%s\" on cluster \"%s\"", name, target.name);
    return 0;
}

int command_create_fargateprofile(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {.timeout_ms = DEFAULT_TIMEOUT_MS};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv labels = {0};
    CLEANUP(strv_done) struct strv tags = {0};
    const char *namespace = NULL;
    const struct opt own[] = {
        {"namespace", 0, OPT_STRING, &namespace, "NAMESPACE", "namespace of the pods to take; * and ? are wildcards", NULL, NULL},
        {"labels", 'l', OPT_LIST, &labels, "K=V,...", "labels that the pods must all have; * and ? are wildcards", NULL, NULL},
        {"tags", 't', OPT_LIST, &tags, "K=V,...", "tags of the profile", NULL, NULL},
        {0}};
    int r = cluster_options_parse(cli, &options, own, "create fargateprofile", "Create a Fargate profile", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r < 0)
        return cli_usage(cli, "create fargateprofile", &err);
    char generated[12] = "fp-";
    random_hex(generated + 3, 8);
    r = create_profile(cli, &options, options.name != NULL ? options.name : generated, namespace, &labels, &tags, &err);
    return r < 0 ? cli_fail(cli, &err) : 0;
}

/* --- get */

/* eksctl's keys: name, podExecutionRoleARN, selectors, subnets, tags, status. */
static struct json *profile_view(const struct json *object)
{
    const struct json *spec = json_get(object, "spec", NULL);
    const struct json *role = json_get(spec, "podExecutionRoleARN", NULL);
    const struct json *subnets = json_get(spec, "subnets", NULL);
    const struct json *tags = json_get(spec, "tags", NULL);
    struct json *view = json_build("{s:s*}", "name", json_str(object, "metadata", "name", NULL));
    if (role != NULL)
        json_set(view, "podExecutionRoleARN", json_clone(role));
    json_set(view, "selectors", json_clone(json_get(spec, "selectors", NULL)));
    if (subnets != NULL)
        json_set(view, "subnets", json_clone(subnets));
    if (tags != NULL)
        json_set(view, "tags", json_clone(tags));
    json_set_str(view, "status", json_str_or("CREATING", object, "status", "state", NULL));
    return view;
}

/* "k=v,k=v" sorted, or <none>. */
static char *join_pairs(const struct json *object)
{
    CLEANUP(strv_done) struct strv pairs = {0};
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(object, &position, &key, &value))
        strv_addf(&pairs, "%s=%s", key, strempty(json_string_value(value)));
    strv_sort(&pairs);
    return pairs.n > 0 ? strv_join(&pairs, ",") : xstrdup("<none>");
}

static char *join_texts(const struct json *array)
{
    CLEANUP(strv_done) struct strv texts = {0};
    const struct json *item;
    json_each(item, array)
        strv_add(&texts, strempty(json_string_value(item)));
    return texts.n > 0 ? strv_join(&texts, ",") : xstrdup("<none>");
}

static void print_profiles(const struct json *views)
{
    static const char *const heads[] = {"NAME",    "SELECTOR_NAMESPACE", "SELECTOR_LABELS", "POD_EXECUTION_ROLE_ARN",
                                        "SUBNETS", "TAGS",               "STATUS"};
    struct eksctl_table table = {0};
    const struct json *view;
    json_each(view, views)
    {
        const struct json *selector;
        CLEANUP(xfree) char *subnets = join_texts(json_get(view, "subnets", NULL));
        CLEANUP(xfree) char *tags = join_pairs(json_get(view, "tags", NULL));
        json_each(selector, json_get(view, "selectors", NULL))
        {
            CLEANUP(xfree) char *labels = join_pairs(json_get(selector, "labels", NULL));
            strv_add(&table.cells, json_str_or("", view, "name", NULL));
            strv_add(&table.cells, json_str_or("", selector, "namespace", NULL));
            strv_add(&table.cells, labels);
            strv_add(&table.cells, json_str_or("<none>", view, "podExecutionRoleARN", NULL));
            strv_add(&table.cells, subnets);
            strv_add(&table.cells, tags);
            strv_add(&table.cells, json_str_or("", view, "status", NULL));
        }
    }
    eksctl_table_print(&table, heads, countof(heads), "fargateprofiles");
}

static int get_profiles(struct cli *cli, const struct cluster_options *options, enum eksctl_format format, struct err *err)
{
    CLEANUP(target_done) struct target target = {0};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(json_free) struct json *views = json_new_array();
    int r = target_connect(cli, options->cluster, &target, err);
    if (r < 0)
        return r;
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargateprofiles", options->name, NULL);
    const struct kube_request request = {.path = path};
    r = kube_do(target.client, &request, &answer, err);
    if (r == ERR_NOT_FOUND && options->name != NULL) {
        err_clear(err);
        return err_set(err, ERR_NOT_FOUND, "No Fargate Profile found with name: %s.", options->name);
    }
    if (r < 0)
        return r;
    const struct json *item;
    if (options->name != NULL)
        json_push(views, profile_view(answer));
    json_each(item, json_get(answer, "items", NULL))
        json_push(views, profile_view(item));
    if (format == EKSCTL_TABLE)
        print_profiles(views);
    else
        eksctl_tree_print(views, format);
    return 0;
}

int command_get_fargateprofile(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {.output = "table"};
    CLEANUP(err_clear) struct err err = {0};
    enum eksctl_format format;
    int r = cluster_options_parse(cli, &options, NULL, "get fargateprofile", "Get Fargate profile(s)", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r < 0)
        return cli_usage(cli, "get fargateprofile", &err);
    if ((r = eksctl_format_parse(options.output, &format, &err)) == 0)
        r = get_profiles(cli, &options, format, &err);
    return r < 0 ? cli_fail(cli, &err) : 0;
}

/* --- delete */

static int is_gone(void *data, struct err *err)
{
    const struct target *target = data;
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargateprofiles", target->name, NULL);
    const struct kube_request request = {.path = path};
    int r = kube_do(target->client, &request, NULL, err);
    if (r != ERR_NOT_FOUND)
        return r < 0 ? r : 0;
    err_clear(err);
    return 1;
}

int command_delete_fargateprofile(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {.timeout_ms = DEFAULT_TIMEOUT_MS};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(target_done) struct target target = {0};
    int r = cluster_options_parse(cli, &options, NULL, "delete fargateprofile", "Delete a Fargate profile", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r == 0 && options.name == NULL)
        r = err_set(&err, ERR_USAGE, "invalid Fargate profile: empty name: --name must be set");
    if (r < 0)
        return cli_usage(cli, "delete fargateprofile", &err);
    if ((r = target_connect(cli, options.cluster, &target, &err)) < 0)
        return cli_fail(cli, &err);
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargateprofiles", options.name, NULL);
    const struct kube_request request = {.method = "DELETE", .path = path};
    r = kube_do(target.client, &request, NULL, &err);
    if (r == ERR_NOT_FOUND) {
        err_clear(&err);
        r = err_set(&err, ERR_NOT_FOUND, "No Fargate Profile found with name: %s.", options.name);
    }
    if (r == 0 && options.wait) {
        struct target named = {.client = target.client, .name = xstrdup(options.name)};
        r = wait_until("the Fargate profile to be gone", options.timeout_ms, is_gone, &named, &err);
        free(named.name);
    }
    if (r < 0)
        return cli_fail(cli, &err);
    progress(PROGRESS_INFO, "deleted Fargate profile \"%s\" on cluster \"%s\"", options.name, target.name);
    return 0;
}
