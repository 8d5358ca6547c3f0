/*
 * run.c: `run`: a pod from options; with -i or -t also attached to.
 */
#include "generate.h"

#include "base/mem.h"

struct run_options {
    struct generate generate;
    const char *image, *labels, *restart, *pull_policy, *privileged_text;
    struct strv env, annotations;
    int64_t port;
    bool image_seen, command, expose, attach, use_stdin, tty, remove, privileged;
};

static int build_env(const struct strv *env, struct json *container, struct err *err)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < env->n; i++) {
        struct str name, value;
        if (!str_cut(str_of(env->items[i]), '=', &name, &value) || name.len == 0) {
            json_free(list);
            return err_set(err, ERR_USAGE, "invalid env: %s", env->items[i]);
        }
        struct json *variable = json_new_object();
        json_set(variable, "name", json_new_string_n(name.p, name.len));
        if (value.len > 0)
            json_set(variable, "value", json_new_string_n(value.p, value.len));
        json_push(list, variable);
    }
    if (env->n > 0)
        json_set(container, "env", list);
    else
        json_free(list);
    return 0;
}

static int build_container(const struct run_options *run, const char *name, const struct strv *args, int dash,
                           struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *container = json_build("{s:s, s:s}", "name", name, "image", run->image);
    size_t from = dash >= 0 ? (size_t)dash : 1;
    if (from < args->n) {
        struct json *words = json_new_array();
        for (size_t i = from; i < args->n; i++)
            json_push(words, json_new_string(args->items[i]));
        json_set(container, run->command ? "command" : "args", words);
    }
    if (run->port > 0)
        json_set(container, "ports", json_build("[{s:I}]", "containerPort", run->port));
    if (build_env(&run->env, container, err) < 0)
        return err->code;
    json_set(container, "resources", json_new_object());
    if (run->pull_policy != NULL)
        json_set_str(container, "imagePullPolicy", run->pull_policy);
    if (run->use_stdin) {
        json_set_bool(container, "stdin", true);
        json_set_bool(container, "stdinOnce", true);
    }
    if (run->tty)
        json_set_bool(container, "tty", true);
    if (run->privileged)
        json_set(container, "securityContext", json_build("{s:b}", "privileged", 1));
    *ret = take(&container);
    return 0;
}

static int build_pod(const struct run_options *run, const char *name, const struct strv *args, int dash,
                     struct json **ret, struct err *err)
{
    struct json *container = NULL, *labels = NULL;
    if (build_container(run, name, args, dash, &container, err) < 0)
        return err->code;
    if (run->labels == NULL) {
        labels = json_build("{s:s}", "run", name);
    } else if (generate_labels(run->labels, &labels, err) < 0) {
        json_free(container);
        return err->code;
    }
    struct json *metadata = generate_metadata(&run->generate, name, true);
    json_set(metadata, "labels", labels);
    if (run->annotations.n > 0) {
        struct json *annotations = json_new_object();
        for (size_t i = 0; i < run->annotations.n; i++) {
            struct str key, value;
            (void)str_cut(str_of(run->annotations.items[i]), '=', &key, &value);
            CLEANUP(xfree) char *text = xstrndup(key.p, key.len);
            json_set(annotations, text, json_new_string_n(value.p, value.len));
        }
        json_set(metadata, "annotations", annotations);
    }
    *ret = json_build("{s:s, s:s, s:o, s:{s:[o], s:s, s:s}, s:{}}", "kind", "Pod", "apiVersion", "v1", "metadata",
                      metadata, "spec", "containers", container, "restartPolicy", run->restart, "dnsPolicy",
                      "ClusterFirst", "status");
    return 0;
}

static int create_run_service(struct run_options *run, const char *name, const struct json *labels)
{
    struct json *metadata = generate_metadata(&run->generate, name, true);
    return generate_finish(&run->generate,
                           json_build("{s:s, s:s, s:o, s:{s:[{s:s, s:I, s:I}], s:O}, s:{s:{}}}", "kind", "Service",
                                      "apiVersion", "v1", "metadata", metadata, "spec", "ports", "protocol", "TCP",
                                      "port", run->port, "targetPort", run->port, "selector", labels, "status",
                                      "loadBalancer"),
                           NULL);
}

static bool is_image_reference(const char *image)
{
    return image[0] != '\0' && strpbrk(image, " \t\"'<>|;") == NULL && image[0] != ':' && image[0] != '/';
}

static int run_usage(const struct run_options *run, const char *text)
{
    return cli_error("%s\nSee '%s run -h' for help and examples", text, run->generate.cli->program);
}

/* Waits until the pod runs and joins its streams; what --rm asks for comes after. */
static int join_pod(struct run_options *run, const char *name)
{
    struct cli *cli = run->generate.cli;
    char *wait_args[] = {(char *)(uintptr_t) "wait",
                         (char *)(uintptr_t) "--for=jsonpath={.status.startTime}",
                         (char *)(uintptr_t) "--timeout=60s",
                         (char *)(uintptr_t) "-o=jsonpath=",
                         (char *)(uintptr_t) "pod",
                         (char *)(uintptr_t)name,
                         NULL};
    int code = command_wait(cli, 6, wait_args);
    if (code == 0) {
        char *attach_args[6] = {(char *)(uintptr_t) "attach", (char *)(uintptr_t)name};
        int n = 2;
        if (run->use_stdin)
            attach_args[n++] = (char *)(uintptr_t) "-i";
        if (run->tty)
            attach_args[n++] = (char *)(uintptr_t) "-t";
        code = command_attach(cli, n, attach_args);
    }
    if (run->remove) {
        char *delete_args[] = {(char *)(uintptr_t) "delete", (char *)(uintptr_t) "pod", (char *)(uintptr_t)name, NULL};
        int deleted = command_delete(cli, 3, delete_args);
        code = code != 0 ? code : deleted;
    }
    return code;
}

static int run_run(struct run_options *run, const struct strv *args, int dash)
{
    CLEANUP(err_clear) struct err err = {0};
    static const char *const policies[] = {"Always", "OnFailure", "Never"};
    bool known_policy = false, joins = run->attach || run->use_stdin || run->tty;
    for (size_t i = 0; i < countof(policies); i++)
        known_policy = known_policy || streq(policies[i], run->restart);
    if (!run->image_seen)
        return cli_error("required flag(s) \"image\" not set");
    if (args->n == 0 || dash == 0)
        return run_usage(run, "NAME is required for run");
    if (!known_policy) {
        CLEANUP(xfree) char *text = xasprintf("invalid restart policy: %s", run->restart);
        return run_usage(run, text);
    }
    if (run->expose && run->port <= 0)
        return run_usage(run, "--port must be set when exposing a service");
    if (run->tty && !run->use_stdin)
        return run_usage(run, "-i/--stdin is required for containers with -t/--tty=true");
    if (!is_image_reference(run->image))
        return cli_error("Invalid image name \"%s\": invalid reference format", run->image);
    if (run->remove && !joins)
        return run_usage(run, "--rm should only be used for attached containers");
    if (joins && run->generate.write.dry_run != NULL && !streq(run->generate.write.dry_run, "none"))
        return run_usage(
            run,
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)");

    struct json *pod = NULL;
    const char *name = args->items[0];
    if (build_pod(run, name, args, dash, &pod, &err) < 0)
        return cli_fail(run->generate.cli, &err);
    int code = 0;
    if (run->expose)
        code = create_run_service(run, name, json_get(pod, "metadata", "labels", NULL));
    if (code != 0) {
        json_free(pod);
        return code;
    }
    if (joins)
        run->generate.output_options.format = "jsonpath="; /* kubectl says nothing about the pod when it attaches */
    code = generate_finish(&run->generate, pod, NULL);
    return code == 0 && joins ? join_pod(run, name) : code;
}

int command_run_pod(struct cli *cli, int argc, char **argv)
{
    struct run_options run = {
        .generate = {.cli = cli, .write = {.field_manager = "kubectl-run"}, .output_options = {.hide_missing = true}},
        .restart = "Always"};
    const struct opt options[] = {
        GENERATE_OPTIONS(&run.generate),
        {"annotations", 0, OPT_ARRAY, &run.annotations, "[]", "Annotations of the pod."},
        {"attach", 0, OPT_BOOL, &run.attach, NULL, "Wait for the pod and attach to it."},
        {"command", 0, OPT_BOOL, &run.command, NULL, "The words after -- are the command, not its arguments."},
        {"env", 0, OPT_ARRAY, &run.env, "[]", "Environment variables NAME=VALUE."},
        {"expose", 0, OPT_BOOL, &run.expose, NULL, "Make a ClusterIP service for the pod; needs --port."},
        {"image", 0, OPT_STRING, &run.image, "", "The image to run.", NULL, &run.image_seen},
        {"image-pull-policy", 0, OPT_STRING, &run.pull_policy, "", "Always, IfNotPresent or Never."},
        {"labels", 'l', OPT_STRING, &run.labels, "", "Labels of the pod: a=b,c=d."},
        {"port", 0, OPT_INT, &run.port, "0", "The port that the container exposes."},
        {"privileged", 0, OPT_BOOL, &run.privileged, NULL, "Run the container privileged."},
        {"restart", 0, OPT_STRING, &run.restart, "Always", "Always, OnFailure or Never."},
        {"rm", 0, OPT_BOOL, &run.remove, NULL, "Delete the pod after it exits; only for attached containers."},
        {"stdin", 'i', OPT_BOOL, &run.use_stdin, NULL, "Keep stdin open."},
        {"tty", 't', OPT_BOOL, &run.tty, NULL, "Give the container a terminal."},
        {0},
    };
    const struct cli_command command = {
        .words = "run",
        .usage =
            "NAME --image=image [--env=\"key=value\"] [--port=port] [--dry-run=server|client] [--command] -- [COMMAND] "
            "[args...] [options]",
        .about = "Create and run a particular image in a pod.",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0, dash = -1;
    if (cli_parse(cli, &command, argc, argv, &args, &dash, &code))
        code = run_run(&run, &args, dash);
    strv_done(&run.env);
    strv_done(&run.annotations);
    return code;
}
