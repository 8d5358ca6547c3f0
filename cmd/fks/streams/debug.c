/*
 * debug.c: `debug`: a container for looking into a pod (an ephemeral one, or in a copy of the pod), or a pod for looking into a
 * node. What is made is debug_pod.c's, with which rights debug_profile.c's; here are the options, the requests, and
 * waiting for the container to attach to it.
 */
#include "streams/debug.h"
#include "merge/merge.h"
#include "objects/generate.h"
#include "objects/items.h"
#include "objects/watch.h"
#include "streams/run_attach.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/yaml.h"

static void debug_done(struct debug *debug)
{
    strv_done(&debug->env);
    strv_done(&debug->set_image);
    strv_done(&debug->command);
    json_free(debug->custom);
}
DEFINE_CLEANUP_IN_PLACE(struct debug, debug_done)

static bool is_given(const char *text)
{
    return strempty(text)[0] != '\0';
}

/* --- what was asked for */

static int check_images(const struct debug *debug, struct err *err)
{
    static const char *const policies[] = {"", "Always", "IfNotPresent", "Never"};
    bool known = false;
    for (size_t i = 0; i < countof(policies); i++)
        known = known || streq(policies[i], strempty(debug->pull_policy));
    if (!known)
        return err_set(err, ERR_USAGE, "invalid image pull policy: %s", debug->pull_policy);
    for (size_t i = 0; i < debug->set_image.n; i++) {
        const char *pair = debug->set_image.items[i], *sign = strchr(pair, '=');
        if (!generate_is_image(sign + 1))
            return err_set(err, ERR_USAGE, "invalid image name \"%s\" for container \"%.*s\": invalid reference format",
                           sign + 1, (int)(sign - pair), pair);
    }
    return 0;
}

/* --copy-to and what goes only with it. */
static int check_copy(const struct debug *debug, struct err *err)
{
    bool has_image = is_given(debug->image);
    if (is_given(debug->copy_to)) {
        if (!has_image && debug->set_image.n == 0 && debug->command.n == 0)
            return err_set(err, ERR_USAGE, "you must specify --image, --set-image or command arguments.");
        if (debug->command.n > 0 && !is_given(debug->container) && !has_image)
            return err_set(err, ERR_USAGE, "you must specify an existing container or a new image when specifying args.");
        return 0;
    }
    if (debug->replace)
        return err_set(err, ERR_USAGE, "--replace may only be used with --copy-to.");
    if (debug->same_node)
        return err_set(err, ERR_USAGE, "--same-node may only be used with --copy-to.");
    if (debug->set_image.n > 0)
        return err_set(err, ERR_USAGE, "--set-image may only be used with --copy-to.");
    if (!has_image)
        return err_set(err, ERR_USAGE, "you must specify --image when not using --copy-to.");
    return 0;
}

static int check_custom(const struct json *custom, struct err *err)
{
    static const char *const fixed[] = {"name", "image", "command", "volumeDevices", "lifecycle"};
    for (size_t i = 0; i < countof(fixed); i++) {
        const struct json *value = json_member(custom, fixed[i]);
        bool is_set = json_string_value(value) != NULL ? json_string_value(value)[0] != '\0'
                                                       : json_is_object(value) || json_len(value) > 0;
        if (is_set)
            return err_set(err, ERR_USAGE,
                           "name, command, image, lifecycle and volume devices are not modifiable via custom profile");
    }
    return 0;
}

static int check(const struct debug *debug, bool has_target, struct err *err)
{
    if (debug->attach && debug->attach_seen && !is_given(debug->image) && !is_given(debug->container))
        return err_set(err, ERR_USAGE,
                       "you must specify --container or create a new container using --image in order to attach.");
    if (check_copy(debug, err) < 0)
        return (int)err->code;
    if (is_given(debug->image) && !generate_is_image(debug->image))
        return err_set(err, ERR_USAGE, "invalid image name \"%s\": invalid reference format", debug->image);
    if (!has_target)
        return err_set(err, ERR_USAGE, "NAME or filename is required for debug");
    if (check_images(debug, err) < 0)
        return (int)err->code;
    if (is_given(debug->target) && is_given(debug->copy_to))
        return err_set(err, ERR_USAGE, "--target is incompatible with --copy-to. Use --share-processes instead.");
    if (is_given(debug->target) && !debug->quiet)
        printf("Targeting container \"%s\". If you don't see processes from this container it may be because the "
               "container runtime doesn't support this feature.\n",
               debug->target);
    if (debug->tty && !debug->use_stdin)
        return err_set(err, ERR_USAGE, "-i/--stdin is required for containers with -t/--tty=true");
    if (check_custom(debug->custom, err) < 0)
        return (int)err->code;
    if (streq(debug->profile, "legacy"))
        fputs("--profile=legacy is deprecated and planned to be removed in v1.39. It is recommended to specify other "
              "profile, for example \"--profile=general\".\n",
              stderr);
    return 0;
}

static int read_custom(struct debug *debug, const char *path, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err why = {0};
    if (!is_given(path))
        return 0;
    if (file_read(path, LIMIT_FILE, &text, &why) < 0)
        return err_set(err, why.code, "must pass a container spec json file for custom profile: open %s: %s", path,
                       why.code == ERR_NOT_FOUND ? "no such file or directory" : err_text(&why));
    if (yaml_parse(buf_text(&text), text.len, &debug->custom, &why) < 0)
        return err_set(err, why.code, "%s does not contain a valid container spec: %s", path, err_text(&why));
    if (!json_is_object(debug->custom))
        return err_set(err, ERR_PARSE, "%s does not contain a valid container spec: it is no object", path);
    return 0;
}

/* --- what is done */

static int create_pod(const struct debug *debug, const char *namespace, const struct json *pod, struct err *err)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, "pods", NULL, NULL);
    const struct kube_request request = {.method = "POST", .path = path, .body = pod};
    return cli_do(debug->cli, &request, NULL, err);
}

static int add_container(const struct debug *debug, const char *namespace, const struct json *pod, const char *name,
                         char **ret_container, struct err *err)
{
    CLEANUP(json_free) struct json *changed = NULL, *patch = NULL;
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, "pods", name, "ephemeralcontainers");
    debug_add_container(debug, pod, &changed, ret_container);
    debug_warn_of_user(pod, changed, *ret_container);
    if (merge_two_way(pod, changed, MERGE_STRATEGIC, &patch, err) < 0)
        return (int)err->code;
    const struct kube_request request = {
        .method = "PATCH", .path = path, .body = patch, .content_type = KUBE_STRATEGIC_PATCH};
    return cli_do(debug->cli, &request, NULL, err);
}

static int copy_pod(const struct debug *debug, const char *namespace, const struct json *pod, const char *name,
                    char **ret_container, struct err *err)
{
    CLEANUP(json_free) struct json *copy = NULL, *now = json_build("{s:s, s:s, s:i}", "kind", "DeleteOptions",
                                                                   "apiVersion", "v1", "gracePeriodSeconds", 0);
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, "pods", name, NULL);
    if (debug_copy_pod(debug, pod, &copy, ret_container, err) < 0)
        return (int)err->code;
    if (*ret_container != NULL)
        debug_warn_of_user(copy, copy, *ret_container);
    if (create_pod(debug, namespace, copy, err) < 0)
        return (int)err->code;
    const struct kube_request removal = {.method = "DELETE", .path = path, .body = now};
    return debug->replace ? cli_do(debug->cli, &removal, NULL, err) : 0;
}

/* One target. Returns the exit code of attaching, or a negative code. */
static int visit(const struct debug *debug, const struct item *item, struct err *err)
{
    const char *kind = item->resource->kind, *group = item->resource->group;
    const char *namespace = item->namespace != NULL ? item->namespace : cli_namespace(debug->cli);
    CLEANUP(xfree) char *container = NULL, *pod = NULL;
    CLEANUP(json_free) struct json *made = NULL;
    int code;
    if (group[0] == '\0' && streq(kind, "Node")) {
        debug_node_pod(debug, item->name, &made, &container);
        pod = xstrdup(json_str_or("", made, "metadata", "name", NULL));
        code = create_pod(debug, namespace, made, err);
    } else if (group[0] == '\0' && streq(kind, "Pod")) {
        bool copies = is_given(debug->copy_to);
        pod = xstrdup(copies ? debug->copy_to : item->name);
        code = copies ? copy_pod(debug, namespace, item->object, item->name, &container, err)
                      : add_container(debug, namespace, item->object, item->name, &container, err);
    } else {
        return err_set(err, ERR_USAGE, "\"%s%s%s, Kind=%s\" not supported by debug", group, group[0] != '\0' ? "/" : "",
                       item->resource->version, kind);
    }
    if (code < 0)
        return code;
    return debug->attach && container != NULL ? debug_attach(debug, namespace, pod, container) : 0;
}

/* --- attaching */

struct waiting {
    const struct debug *debug;
    const char *container;
    struct json *pod; /* once the container runs or has ended; owned */
    bool ended, deleted;
    struct strv told;
};

static const struct json *find_status(const struct json *pod, const char *container)
{
    static const char *const lists[] = {"initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"};
    const struct json *status;
    for (size_t i = 0; i < countof(lists); i++) {
        json_each(status, json_get(pod, "status", lists[i], NULL)) {
            if (streq(json_str(status, "name", NULL), container))
                return status;
        }
    }
    return NULL;
}

static bool on_pod(const char *type, const struct json *object, void *data)
{
    struct waiting *waiting = data;
    const struct json *state = json_get(find_status(object, waiting->container), "state", NULL);
    const char *message = json_str_or("", state, "waiting", "message", NULL);
    waiting->deleted = streq(type, "DELETED");
    waiting->ended = json_get(state, "terminated", NULL) != NULL;
    if (waiting->ended || json_get(state, "running", NULL) != NULL) {
        waiting->pod = json_clone(object);
        return false;
    }
    if (message[0] != '\0' && !waiting->debug->quiet && !strv_has(&waiting->told, message)) {
        strv_add(&waiting->told, message);
        cli_warn("container %s: %s", waiting->container, message);
    }
    return !waiting->deleted;
}

static int wait_for_container(struct waiting *waiting, const char *namespace, const char *name, struct err *err)
{
    struct cli *cli = waiting->debug->cli;
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, "pods", NULL, NULL);
    const struct watch_request watch = {.path = path, .name = name};
    while (waiting->pod == NULL && !waiting->deleted) {
        bool ended_by_server = false;
        if (watch_run(cli, &watch, on_pod, waiting, &ended_by_server, err) < 0)
            return (int)err->code;
    }
    return waiting->pod != NULL ? 0 : err_set(err, ERR_NOT_FOUND, "pods \"\" not found");
}

int debug_attach(const struct debug *debug, const char *namespace, const char *pod, const char *container)
{
    CLEANUP(err_clear) struct err err = {0};
    struct waiting waiting = {.debug = debug, .container = container};
    const struct run_attach attach = {.cli = debug->cli,
                                      .name = pod,
                                      .container = container,
                                      .use_stdin = debug->use_stdin,
                                      .tty = debug->tty,
                                      .quiet = debug->quiet};
    int code = wait_for_container(&waiting, namespace, pod, &err) < 0
                   ? cli_fail(debug->cli, &err)
                   : run_attach_join(&attach, waiting.pod, waiting.ended);
    json_free(waiting.pod);
    strv_done(&waiting.told);
    return code;
}

/* --- the command */

static int run(struct debug *debug, const struct selection *selection, const struct strv *targets)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    for (size_t i = 0; i < targets->n; i++) /* a bare name is a pod's */
        strv_addf(&args, "%s%s", strchr(targets->items[i], '/') == NULL ? "pods/" : "", targets->items[i]);
    if (items_resolve(debug->cli, selection, &args, true, &items, &failures, &err) < 0)
        return cli_fail(debug->cli, &err);
    for (size_t i = 0; i < items.n && code == 0 && failures.n == 0; i++)
        code = visit(debug, &items.list[i], &err);
    if (code < 0)
        return cli_fail(debug->cli, &err);
    return failures.n > 0 ? cli_fail_all(debug->cli, &failures) : code;
}

/* "name=value" each, or kubectl's words about it. */
static bool are_pairs(const struct cli *cli, const char *option, const struct strv *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        if (strchr(pairs->items[i], '=') == NULL) {
            (void)cli_error("invalid argument \"%s\" for \"--%s\" flag: %s must be formatted as key=value\n"
                            "See '%s debug --help' for usage.",
                            pairs->items[i], option, pairs->items[i], cli->program);
            return false;
        }
    }
    return true;
}

static int finish_options(struct debug *debug, struct strv *args, int dash, const char *custom, bool has_files,
                          struct err *err)
{
    for (size_t i = dash >= 0 ? (size_t)dash : args->n; i < args->n; i++)
        strv_add(&debug->command, args->items[i]);
    while (dash >= 0 && args->n > (size_t)dash) {
        free(args->items[--args->n]);
        args->items[args->n] = NULL;
    }
    if (!debug->attach_seen && debug->use_stdin)
        debug->attach = true;
    if (debug_profile_check(debug->profile, err) < 0 || read_custom(debug, custom, err) < 0)
        return (int)err->code;
    return check(debug, args->n > 0 || has_files, err);
}

int command_debug(struct cli *cli, int argc, char **argv)
{
    CLEANUP(debug_done) struct debug debug = {.cli = cli, .profile = "general", .share_processes = true, .keep_init = true};
    CLEANUP(selection_done) struct selection selection = {0};
    const char *custom = NULL;
    const struct opt options[] = {
        {"arguments-only", 0, OPT_BOOL, &debug.args_only, NULL, "What follows -- are arguments, not the command."},
        {"attach", 0, OPT_BOOL, &debug.attach, NULL, "Wait for the container and attach to it; the default with -i.", NULL,
         &debug.attach_seen},
        {"container", 'c', OPT_STRING, &debug.container, "", "Name of the debugging container."},
        {"copy-to", 0, OPT_STRING, &debug.copy_to, "", "Make a copy of the pod under this name."},
        {"custom", 0, OPT_STRING, &custom, "", "File with part of a container, JSON or YAML, that goes over the profile."},
        {"env", 0, OPT_LIST, &debug.env, "[]", "Environment of the container: name=value, separated by commas."},
        {"filename", 'f', OPT_LIST, &selection.filenames, "[]", "File that names the resource."},
        {"image", 0, OPT_STRING, &debug.image, "", "Image of the container."},
        {"image-pull-policy", 0, OPT_STRING, &debug.pull_policy, "", "Always, IfNotPresent or Never."},
        {"keep-annotations", 0, OPT_BOOL, &debug.keep_annotations, NULL, "With --copy-to: keep the pod's annotations."},
        {"keep-init-containers", 0, OPT_BOOL, &debug.keep_init, NULL, "With --copy-to: run the pod's init containers."},
        {"keep-labels", 0, OPT_BOOL, &debug.keep_labels, NULL, "With --copy-to: keep the pod's labels."},
        {"keep-liveness", 0, OPT_BOOL, &debug.keep_liveness, NULL, "With --copy-to: keep liveness probes."},
        {"keep-readiness", 0, OPT_BOOL, &debug.keep_readiness, NULL, "With --copy-to: keep readiness probes."},
        {"keep-startup", 0, OPT_BOOL, &debug.keep_startup, NULL, "With --copy-to: keep startup probes."},
        {"profile", 0, OPT_STRING, &debug.profile, "", "general, baseline, restricted, netadmin or sysadmin."},
        {"quiet", 'q', OPT_BOOL, &debug.quiet, NULL, "Say nothing but errors."},
        {"replace", 0, OPT_BOOL, &debug.replace, NULL, "With --copy-to: delete the original pod."},
        {"same-node", 0, OPT_BOOL, &debug.same_node, NULL, "With --copy-to: on the node of the original."},
        {"set-image", 0, OPT_LIST, &debug.set_image, "[]", "With --copy-to: other images, container=image or *=image."},
        {"share-processes", 0, OPT_BOOL, &debug.share_processes, NULL,
         "With --copy-to: the containers see one another's processes.", NULL, &debug.share_seen},
        {"stdin", 'i', OPT_BOOL, &debug.use_stdin, NULL, "Keep the container's standard input open."},
        {"target", 0, OPT_STRING, &debug.target, "", "See the processes of this container."},
        {"tty", 't', OPT_BOOL, &debug.tty, NULL, "A terminal for the container."},
        {0},
    };
    const struct cli_command command = {
        .words = "debug",
        .usage = "(POD | TYPE[[.VERSION].GROUP]/NAME) [ -- COMMAND [args...] ] [options]",
        .about = "Look into a pod with a further container, into a copy of it with other images or another command, or into "
                 "a node with a pod in its namespaces.",
        .examples = "  # A shell beside the containers of the pod web\n"
                    "  kubectl debug web -it --image=busybox\n\n"
                    "  # A copy of the pod, whose container app runs a shell\n"
                    "  kubectl debug web -it --copy-to=web-debug --container=app -- sh\n\n"
                    "  # The node's file system lies under /host\n"
                    "  kubectl debug node/worker -it --image=busybox\n",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0, dash = -1;
    if (!cli_parse(cli, &command, argc, argv, &args, &dash, &code))
        return code;
    if (!are_pairs(cli, "env", &debug.env) || !are_pairs(cli, "set-image", &debug.set_image))
        return 1;
    if (finish_options(&debug, &args, dash, custom, selection.filenames.n > 0, &err) < 0)
        return cli_fail(cli, &err);
    return run(&debug, &selection, &args);
}
