/*
 * run.c: `run`: a pod from options; with -i or -t also attached to.
 */
#include "objects/generate.h"
#include "streams/run_attach.h"

#include "base/mem.h"

/* How --rm deletes the pod. */
struct removal {
    const char *cascade;
    bool force, wait;
    int64_t grace_period, timeout_ms; /* grace_period -1: the pod's own */
};

struct run_options {
    struct generate generate;
    const char *image, *labels, *restart, *pull_policy, *privileged_text;
    struct strv env, annotations;
    int64_t port;
    struct override override;
    struct removal removal;
    int64_t timeout_ms; /* until the pod runs */
    bool image_seen, attach_seen, quiet, leave_stdin_open, command, expose, attach, use_stdin, tty, remove, privileged;
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
    struct json *metadata = generate_metadata(&run->generate, name, write_is_client_dry_run(&run->generate.write));
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
    struct json *metadata = generate_metadata(&run->generate, name, write_is_client_dry_run(&run->generate.write));
    return generate_finish(&run->generate,
                           json_build("{s:s, s:s, s:o, s:{s:[{s:s, s:I, s:I}], s:O}, s:{s:{}}}", "kind", "Service",
                                      "apiVersion", "v1", "metadata", metadata, "spec", "ports", "protocol", "TCP",
                                      "port", run->port, "targetPort", run->port, "selector", labels, "status",
                                      "loadBalancer"),
                           NULL);
}

static int run_usage(const struct run_options *run, const char *text)
{
    return cli_error("%s\nSee '%s run -h' for help and examples", text, run->generate.cli->program);
}

/* --rm, with the options that delete has for it. */
static int delete_pod(const struct run_options *run, const char *name)
{
    CLEANUP(strv_done) struct strv words = {0};
    strv_add(&words, "delete");
    strv_add(&words, "pod");
    strv_add(&words, name);
    strv_add(&words, "--ignore-not-found");
    strv_addf(&words, "--wait=%s", run->removal.wait ? "true" : "false");
    strv_addf(&words, "--cascade=%s", run->removal.cascade);
    strv_addf(&words, "--grace-period=%lld", (long long)run->removal.grace_period);
    strv_addf(&words, "--timeout=%lldms", (long long)run->removal.timeout_ms);
    if (run->removal.force)
        strv_add(&words, "--force");
    return command_delete(run->generate.cli, (int)words.n, words.items);
}

static int join_pod(struct run_options *run, const char *name)
{
    const struct run_attach attach = {.cli = run->generate.cli,
                                      .name = name,
                                      .use_stdin = run->use_stdin,
                                      .tty = run->tty,
                                      .quiet = run->quiet,
                                      .wait_for_end = !run->leave_stdin_open && !streq(run->restart, "Always"),
                                      .for_success = streq(run->restart, "OnFailure"),
                                      .timeout_ms = run->timeout_ms};
    int code = run_attach(&attach);
    if (run->remove) {
        int deleted = delete_pod(run, name);
        code = code != 0 ? code : deleted;
    }
    return code;
}

/* Options that do not go together; in the order in which kubectl looks at them. */
static int check_run(struct run_options *run, const struct strv *args, int dash)
{
    static const char *const policies[] = {"Always", "OnFailure", "Never"}, *const pulls[] = {"Always", "IfNotPresent",
                                                                                              "Never"};
    const char *pull = strempty(run->pull_policy);
    bool known_policy = false, known_pull = pull[0] == '\0';
    for (size_t i = 0; i < countof(policies); i++) {
        known_policy = known_policy || streq(policies[i], run->restart);
        known_pull = known_pull || streq(pulls[i], pull);
    }
    if (args->n == 0 || dash == 0)
        return run_usage(run, "NAME is required for run");
    if (run->image[0] == '\0')
        return cli_error("--image is required");
    if (!generate_is_image(run->image))
        return cli_error("Invalid image name \"%s\": invalid reference format", run->image);
    if (run->tty && !run->use_stdin)
        return run_usage(run, "-i/--stdin is required for containers with -t/--tty=true");
    if (run->expose && run->port <= 0)
        return run_usage(run, "--port must be set when exposing a service");
    CLEANUP(xfree) char *policy_text = xasprintf("invalid restart policy: %s", run->restart);
    if (!known_policy)
        return run_usage(run, policy_text);
    if (run->remove && !run->attach)
        return run_usage(run, "--rm should only be used for attached containers");
    if (run->attach && write_is_dry_run(&run->generate.write))
        return run_usage(
            run,
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)");
    CLEANUP(xfree) char *pull_text = xasprintf("invalid image pull policy: %s", pull);
    return known_pull ? 0 : run_usage(run, pull_text);
}

static int run_run(struct run_options *run, const struct strv *args, int dash)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *labels = NULL;
    struct cli *cli = run->generate.cli;
    if (!run->attach_seen && run->use_stdin)
        run->attach = true;
    if (run->restart[0] == '\0')
        run->restart = run->use_stdin ? "OnFailure" : "Always";
    if (write_options_check(&run->generate.write, &err) < 0)
        return cli_fail(cli, &err);
    int code = check_run(run, args, dash);
    if (code != 0)
        return code;
    struct json *pod = NULL;
    const char *name = args->items[0];
    if (build_pod(run, name, args, dash, &pod, &err) < 0)
        return cli_fail(cli, &err);
    labels = json_clone(json_get(pod, "metadata", "labels", NULL));
    if (generate_override(&run->override, &pod, &err) < 0)
        return cli_fail(cli, &err);
    write_record(cli, &run->generate.write, pod);
    run->generate.save_config = run->generate.save_config && !write_is_client_dry_run(&run->generate.write);
    if (run->expose)
        code = create_run_service(run, name, labels);
    if (run->expose && code == 0 && streq(run->generate.output_options.format, "yaml"))
        puts("---\n---"); /* one of the printer and one of run's own, in kubectl too */
    if (code != 0) {
        json_free(pod);
        return code;
    }
    run->generate.quiet = run->attach; /* as kubectl, which says nothing about the pod when it attaches */
    code = generate_finish(&run->generate, pod, NULL);
    return code == 0 && run->attach ? join_pod(run, name) : code;
}

int command_run_pod(struct cli *cli, int argc, char **argv)
{
    struct run_options run = {
        .generate = {.cli = cli, .write = {.field_manager = "kubectl-run", .validate = "ignore"}, .output_options = {.hide_missing = true}},
        .restart = "Always",
        .image = "",
        .override = {.type = "merge"},
        .removal = {.cascade = "background", .grace_period = -1},
        .timeout_ms = 60000};
    const struct opt options[] = {
        GENERATE_OPTIONS(&run.generate),
        {"annotations", 0, OPT_ARRAY, &run.annotations, "[]", "Annotations of the pod."},
        {"attach", 0, OPT_BOOL, &run.attach, NULL, "Wait for the pod and attach to it.", NULL, &run.attach_seen},
        {"cascade", 0, OPT_STRING, &run.removal.cascade, "background", "With --rm: what happens to dependents.",
         "background"},
        {"force", 0, OPT_BOOL, &run.removal.force, NULL, "With --rm: remove the pod from the API at once."},
        {"grace-period", 0, OPT_INT, &run.removal.grace_period, "-1", "With --rm: seconds for a graceful end."},
        {"timeout", 0, OPT_DURATION, &run.removal.timeout_ms, "0s", "With --rm: how long to wait for the deletion."},
        {"wait", 0, OPT_BOOL, &run.removal.wait, NULL, "With --rm: wait until the pod is gone."},
        {"command", 0, OPT_BOOL, &run.command, NULL, "The words after -- are the command, not its arguments."},
        {"env", 0, OPT_ARRAY, &run.env, "[]", "Environment variables NAME=VALUE."},
        {"expose", 0, OPT_BOOL, &run.expose, NULL, "Make a ClusterIP service for the pod; needs --port."},
        {"image", 0, OPT_STRING, &run.image, "", "The image to run.", NULL, &run.image_seen},
        {"image-pull-policy", 0, OPT_STRING, &run.pull_policy, "", "Always, IfNotPresent or Never."},
        {"leave-stdin-open", 0, OPT_BOOL, &run.leave_stdin_open, NULL, "Do not wait for the end of the pod."},
        GENERATE_OVERRIDE_OPTIONS(&run.override),
        {"pod-running-timeout", 0, OPT_DURATION, &run.timeout_ms, "1m0s", "How long to wait until the pod runs."},
        {"quiet", 'q', OPT_BOOL, &run.quiet, NULL, "Only the output of the container."},
        WRITE_RECORD_OPTION(&run.generate.write),
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
        .required = "image",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0, dash = -1;
    if (cli_parse(cli, &command, argc, argv, &args, &dash, &code))
        code = run_run(&run, &args, dash);
    strv_done(&run.env);
    strv_done(&run.annotations);
    return code;
}
