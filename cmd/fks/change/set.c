/*
 * set.c: `set image | resources | serviceaccount | selector`, and the way that all `set` commands share: select
 * objects, change each here, send the difference as a strategic merge patch.
 */
#include "change/set.h"
#include "merge/merge.h"
#include "objects/generate.h"
#include "objects/selector.h"

#include <ctype.h>
#include <fnmatch.h>

#include "base/mem.h"

void set_done(struct set *set)
{
    selection_done(&set->selection);
    output_done(&set->output);
    failures_done(&set->problems);
}

/* --- the way of all */

int set_check(struct set *set, struct err *err)
{
    if (write_options_check(&set->write, err) < 0 || output_parse(&set->output_options, &set->output, err) < 0)
        return err->code;
    set->output.keep_order = true; /* the server's order is that of kubectl's types */
    if (set->selection.local && streq(set->write.dry_run, "server"))
        return err_set(err, ERR_USAGE, "cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
    if (set->selection.all && set->selection.label_selector != NULL)
        return err_set(err, ERR_USAGE, "cannot set --all and --selector at the same time");
    return 0;
}

int set_pod_spec(struct json *object, struct json **ret, struct err *err)
{
    static const char *const with_template[] = {"ReplicationController", "Deployment", "DaemonSet", "ReplicaSet",
                                                "StatefulSet",           "Job"};
    const char *kind = json_str_or("", object, "kind", NULL), *version = json_str_or("", object, "apiVersion", NULL);
    if (streq(kind, "Pod"))
        *ret = json_edit(object, "spec", NULL);
    else if (streq(kind, "CronJob"))
        *ret = json_edit(object, "spec", "jobTemplate", "spec", "template", "spec", NULL);
    else
        *ret = NULL;
    for (size_t i = 0; i < countof(with_template); i++) {
        if (streq(kind, with_template[i]))
            *ret = json_edit(object, "spec", "template", "spec", NULL);
    }
    if (*ret != NULL)
        return 0;
    const char *slash = strrchr(version, '/');
    return err_set(err, ERR_UNSUPPORTED, "the object is not a pod or does not have a pod template: *%s.%s",
                   slash != NULL ? slash + 1 : version, kind);
}

struct json *set_next_container(const struct set *set, struct json *spec, size_t *position)
{
    struct json *containers = json_edit_member(spec, "containers"), *init = json_edit_member(spec, "initContainers");
    size_t n = json_len(containers);
    while (*position < n + json_len(init)) {
        size_t i = (*position)++;
        struct json *container = i < n ? json_edit_at(containers, i) : json_edit_at(init, i - n);
        if (fnmatch(set->containers, json_str_or("", container, "name", NULL), FNM_NOESCAPE) == 0)
            return container;
    }
    return NULL;
}

int set_select(struct set *set, const struct strv *resources, struct items *ret, struct failures *failures,
               struct err *err)
{
    if (!set->selection.local)
        return items_resolve(set->cli, &set->selection, resources, true, ret, failures, err);
    if (resources->n > 0 || !selection_has_files(&set->selection))
        return err_set(err, ERR_USAGE,
                       "error: you must specify resources by --filename when --local is set.\n"
                       "Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'");
    return items_from_files(set->cli, &set->selection, ret, failures, err);
}

/* "deployments/web", for messages. */
static void add_name(const struct item *item, struct err *err)
{
    struct err plain = {0};
    err_move(&plain, err);
    CLEANUP(xfree)
    char *type = xstrdup(item->resource != NULL ? item->resource->plural : json_str_or("", item->object, "kind", NULL));
    for (char *c = type; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    (void)err_set(err, plain.code, "error: %s/%s %s\n", type, json_str_or("", item->object, "metadata", "name", NULL),
                  err_text(&plain));
    err_clear(&plain);
}

static int set_one(struct set *set, const struct item *item, set_change *change, void *data, struct err *err)
{
    CLEANUP(json_free) struct json *changed = json_clone(item->object), *patch = NULL, *answer = NULL;
    int code = change(set, data, item, changed, err);
    if (code < 0 && !set->plain_errors)
        add_name(item, err);
    if (code < 0)
        return err->code;
    if (code == 0)
        return 0;
    write_record(set->cli, &set->write, changed);
    if (merge_three_way(item->object, changed, item->object, MERGE_STRATEGIC, &patch, err) < 0)
        return err->code;
    if (set->resource_version != NULL)
        json_set_str(json_edit(patch, "metadata", NULL), "resourceVersion", set->resource_version);
    if (json_len(patch) == 0 && !set->send_unchanged)
        return 0;
    if (set->selection.local)
        set_fill_types(changed);
    if (set->selection.local || write_is_client_dry_run(&set->write))
        return output_result(&set->output, changed, set->verb, set->write.dry_run, err);
    if (write_patch(set->cli, &set->write, item, NULL, KUBE_STRATEGIC_PATCH, patch, NULL, &answer, err) < 0) {
        if (set->failed == NULL || err->http_status == 0)
            return err->code;
        struct err plain = {0};
        err_move(&plain, err);
        (void)err_set(err, plain.code, "%s %s", set->failed, err_text(&plain));
        err_clear(&plain);
        return err->code;
    }
    return output_result(&set->output, answer, set->verb, set->write.dry_run, err);
}

int set_run_items(struct set *set, const struct items *items, set_change *change, void *data)
{
    for (size_t i = 0; i < items->n; i++) {
        struct err failure = {0};
        if (set_one(set, &items->list[i], change, data, &failure) < 0)
            failures_add(&set->problems, &failure);
    }
    return cli_fail_all(set->cli, &set->problems);
}

int set_run(struct set *set, const struct strv *resources, set_change *change, void *data)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (set_select(set, resources, &items, &failures, &err) < 0)
        return cli_fail(set->cli, &err);
    if (failures.n > 0)
        return cli_fail_all(set->cli, &failures);
    return set_run_items(set, &items, change, data);
}

/* --- set image */

struct images {
    struct strv resources, names, values;
};

static int split_images(const struct strv *args, struct images *images, struct err *err)
{
    CLEANUP(buf_done) struct buf wrong = {0};
    bool in_pairs = false;
    for (size_t i = 0; i < args->n; i++) {
        const char *arg = args->items[i], *equals = strchr(arg, '=');
        bool has_value = equals != NULL && equals != arg;
        if (has_value || (ends_with(arg, "-") && !streq(arg, "-"))) {
            in_pairs = true;
            if (has_value) {
                strv_take(&images->names, xstrndup(arg, (size_t)(equals - arg)));
                strv_add(&images->values, equals + 1);
            } else {
                buf_printf(&wrong, "%s%s", wrong.len > 0 ? ", " : "", arg);
            }
        } else if (in_pairs) {
            return err_set(err, ERR_USAGE, "all resources must be specified before image changes: %s", arg);
        } else {
            strv_add(&images->resources, arg);
        }
    }
    if (wrong.len > 0)
        return err_set(err, ERR_USAGE, "invalid image format: %s", buf_text(&wrong));
    return 0;
}

static bool set_image(struct json *containers, const char *name, const char *image)
{
    bool found = false;
    for (size_t i = 0; i < json_len(containers); i++) {
        struct json *container = json_edit_at(containers, i);
        if (streq(name, "*") || streq(json_str(container, "name", NULL), name)) {
            json_set_str(container, "image", image);
            found = true;
        }
    }
    return found;
}

static int change_images(struct set *set, void *data, const struct item *item, struct json *object, struct err *err)
{
    const struct images *images = data;
    struct json *spec = NULL;
    (void)item;
    if (set_pod_spec(object, &spec, err) < 0)
        return err->code;
    for (size_t i = 0; i < images->names.n; i++) {
        bool found =
            set_image(json_edit_member(spec, "initContainers"), images->names.items[i], images->values.items[i]);
        found =
            set_image(json_edit_member(spec, "containers"), images->names.items[i], images->values.items[i]) || found;
        if (found)
            continue;
        struct err missing = {0};
        (void)err_set(&missing, ERR_NOT_FOUND, "error: unable to find container named \"%s\"", images->names.items[i]);
        failures_add(&set->problems, &missing);
    }
    return 1;
}

static int run_set_image(struct set *set, const struct strv *args, struct images *images)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(failures_done) struct failures wrong = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (set_check(set, &err) < 0 || split_images(args, images, &err) < 0 ||
        set_select(set, &images->resources, &items, &failures, &err) < 0)
        return cli_fail(set->cli, &err);
    if (failures.n > 0)
        return cli_fail_all(set->cli, &failures);
    const char *problems[3] = {NULL};
    size_t n = 0;
    if (images->resources.n == 0 && !selection_has_files(&set->selection))
        problems[n++] = "one or more resources must be specified as <resource> <name> or <resource>/<name>";
    if (images->names.n == 0)
        problems[n++] = "at least one image update is required";
    else if (images->names.n > 1 && strv_has(&images->names, "*"))
        problems[n++] =
            "all containers are already specified by *, but saw more than one container_name=container_image "
            "pairs";
    for (size_t i = 0; i < n; i++) {
        struct err problem = {0};
        (void)err_set(&problem, ERR_USAGE, "%s", problems[i]);
        failures_add(&wrong, &problem);
    }
    return n > 0 ? cli_fail_all(set->cli, &wrong) : set_run_items(set, &items, change_images, images);
}

int command_set_image(struct cli *cli, int argc, char **argv)
{
    CLEANUP(set_done) struct set set = SET_INIT(cli, "image updated");
    set.failed = "failed to patch image update to pod template:";
    const struct opt options[] = {
        SET_OPTIONS(&set), SELECTION_LABEL_OPTION(&set.selection), WRITE_RECORD_OPTION(&set.write), {0}};
    const struct cli_command command = {
        .words = "set image",
        .usage = "(-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N "
                 "[options]",
        .about = "Update existing container images of resources.",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    struct images images = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_set_image(&set, &args, &images);
    strv_done(&images.resources);
    strv_done(&images.names);
    strv_done(&images.values);
    return code;
}

/* --- set resources */

struct requirements {
    const char *limits, *requests;
    struct json *limits_map, *requests_map;
};

static void add_amounts(struct json *container, const char *which, const struct json *amounts)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(amounts, &position, &key, &value))
        json_set(json_edit(container, "resources", which, NULL), key, json_keep(value));
}

static int change_resources(struct set *set, void *data, const struct item *item, struct json *object, struct err *err)
{
    const struct requirements *wanted = data;
    struct json *spec = NULL, *container;
    bool found = false;
    (void)item;
    if (set_pod_spec(object, &spec, err) < 0)
        return err->code;
    for (size_t i = 0; (container = set_next_container(set, spec, &i)) != NULL; found = true) {
        add_amounts(container, "limits", wanted->limits_map);
        add_amounts(container, "requests", wanted->requests_map);
    }
    if (!found) {
        struct err missing = {0};
        (void)err_set(&missing, ERR_NOT_FOUND, "error: unable to find container named %s", set->containers);
        failures_add(&set->problems, &missing);
    }
    return found;
}

int command_set_resources(struct cli *cli, int argc, char **argv)
{
    CLEANUP(set_done) struct set set = SET_INIT(cli, "resource requirements updated");
    CLEANUP(err_clear) struct err err = {0};
    struct requirements wanted = {0};
    set.failed = "failed to patch resources update to pod template";
    const struct opt options[] = {
        SET_OPTIONS(&set),
        SELECTION_LABEL_OPTION(&set.selection),
        WRITE_RECORD_OPTION(&set.write),
        SET_CONTAINERS_OPTION(&set),
        {"limits", 0, OPT_STRING, &wanted.limits, "", "Most that a container may use: cpu=100m,memory=256Mi."},
        {"requests", 0, OPT_STRING, &wanted.requests, "", "What a container is sure to get: cpu=100m,memory=256Mi."},
        {0},
    };
    const struct cli_command command = {
        .words = "set resources",
        .usage = "(-f FILENAME | TYPE NAME)  ([--limits=LIMITS & --requests=REQUESTS] [options]",
        .about = "Specify compute resource requirements (CPU, memory) for any resource that defines a pod template.",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (set_check(&set, &err) < 0)
        code = cli_fail(cli, &err);
    else if (strempty(wanted.limits)[0] == '\0' && strempty(wanted.requests)[0] == '\0')
        code = cli_error("you must specify an update to requests or limits (in the form of --requests/--limits)");
    else if (generate_amounts(wanted.limits, &wanted.limits_map, &err) < 0 ||
             generate_amounts(wanted.requests, &wanted.requests_map, &err) < 0)
        code = cli_fail(cli, &err);
    else
        code = set_run(&set, &args, change_resources, &wanted);
    json_free(wanted.limits_map);
    json_free(wanted.requests_map);
    return code;
}

/* --- set serviceaccount */

static int change_account(struct set *set, void *data, const struct item *item, struct json *object, struct err *err)
{
    struct json *spec = NULL;
    (void)set;
    (void)item;
    if (set_pod_spec(object, &spec, err) < 0)
        return err->code;
    json_set_str(spec, "serviceAccountName", data);
    return 1;
}

/* Takes the last argument off; NULL if there is none. */
static char *take_last(struct strv *args)
{
    if (args->n == 0)
        return NULL;
    char *last = args->items[--args->n];
    args->items[args->n] = NULL;
    return last;
}

int command_set_serviceaccount(struct cli *cli, int argc, char **argv)
{
    CLEANUP(set_done) struct set set = SET_INIT(cli, "serviceaccount updated");
    CLEANUP(err_clear) struct err err = {0};
    set.failed = "failed to patch ServiceAccountName";
    set.send_unchanged = true;
    const struct opt options[] = {SET_OPTIONS(&set), WRITE_RECORD_OPTION(&set.write), {0}};
    const struct cli_command command = {.words = "set serviceaccount",
                                        .usage = "(-f FILENAME | TYPE NAME) SERVICE_ACCOUNT [options]",
                                        .about = "Update the service account of pod template resources.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (set_check(&set, &err) < 0)
        return cli_fail(cli, &err);
    CLEANUP(xfree) char *account = take_last(&args);
    if (account == NULL)
        return cli_error("serviceaccount is required");
    return set_run(&set, &args, change_account, account);
}

/* --- set selector */

/* With the expressions as Go prints them: "[{a In [b c]}]". */
static int refuse_expressions(const struct json *expressions, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *expression, *value;
    json_each(expression, expressions) {
        buf_printf(&text, "%s{%s %s [", expression_index > 0 ? " " : "", json_str_or("", expression, "key", NULL),
                   json_str_or("", expression, "operator", NULL));
        json_each(value, json_get(expression, "values", NULL))
            buf_printf(&text, "%s%s", value_index > 0 ? " " : "", strempty(json_string_value(value)));
        buf_add_str(&text, "]}");
    }
    return err_set(err, ERR_UNSUPPORTED, "match expression [%s] not supported on this object", buf_text(&text));
}

static int change_selector(struct set *set, void *data, const struct item *item, struct json *object, struct err *err)
{
    const struct json *selector = data, *labels = json_get(selector, "matchLabels", NULL);
    (void)set;
    (void)item;
    if (!streq(json_str(object, "kind", NULL), "Service"))
        return err_set(err, ERR_UNSUPPORTED, "setting a selector is only supported for Services");
    if (json_get(selector, "matchExpressions", NULL) != NULL)
        return refuse_expressions(json_get(selector, "matchExpressions", NULL), err);
    json_set(json_edit(object, "spec", NULL), "selector", labels != NULL ? json_keep(labels) : json_new_object());
    return 1;
}

int command_set_selector(struct cli *cli, int argc, char **argv)
{
    CLEANUP(set_done) struct set set = SET_INIT(cli, "selector updated");
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *selector = NULL;
    set.selection.everything_if_unnamed = true;
    set.send_unchanged = true;
    set.plain_errors = true;
    const struct opt options[] = {
        SET_OPTIONS(&set),
        WRITE_RECORD_OPTION(&set.write),
        {"resource-version", 0, OPT_STRING, &set.resource_version, "",
         "Only if the resource has this version; for a single resource."},
        {0},
    };
    const struct cli_command command = {
        .words = "set selector",
        .usage = "(-f FILENAME | TYPE NAME) EXPRESSIONS [--resource-version=version] [options]",
        .about = "Set the selector on a resource: the old one is replaced.",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (set_check(&set, &err) < 0)
        return cli_fail(cli, &err);
    CLEANUP(xfree) char *text = take_last(&args);
    if (text == NULL)
        return cli_error("one selector is required");
    if (selector_parse(text, &selector, &err) < 0)
        return cli_fail(cli, &err);
    return set_run(&set, &args, change_selector, selector);
}
