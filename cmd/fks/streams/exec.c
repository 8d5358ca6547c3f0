/*
 * exec.c: `exec` and `attach`: find the pod and the container, then stream.h does the rest.
 */
#include "objects/pods.h"
#include "streams/detach.h"
#include "streams/stream.h"

#include "base/mem.h"

struct exec {
    struct cli *cli;
    struct selection selection;
    const char *container;
    bool use_stdin, tty, quiet;
    int64_t pod_timeout_ms;
};
#define EXEC_OPTIONS(exec)                                                                                         \
    {.name = "container",                                                                                          \
     .letter = 'c',                                                                                                \
     .type = OPT_STRING,                                                                                           \
     .value = &(exec)->container,                                                                                  \
     .argument = "",                                                                                               \
     .help = "Container; the default-container annotation's or the first one if omitted."},                        \
        {.name = "stdin",                                                                                          \
         .letter = 'i',                                                                                            \
         .type = OPT_BOOL,                                                                                         \
         .value = &(exec)->use_stdin,                                                                              \
         .help = "Pass stdin to the container."},                                                                  \
        {"tty", 't', OPT_BOOL, &(exec)->tty, NULL, "Stdin is a terminal."},   \
        {.name = "quiet",                                                                                          \
         .letter = 'q',                                                                                            \
         .type = OPT_BOOL,                                                                                         \
         .value = &(exec)->quiet,                                                                                  \
         .help = "Only the output of the remote session."},                                                        \
    {                                                                                                              \
        .name = "pod-running-timeout", .type = OPT_DURATION, .value = &(exec)->pod_timeout_ms, .argument = "1m0s", \
        .help = "How long to wait until at least one pod is running."                                              \
    }

/* The pod behind the argument or the file. */
static int find_pod(struct exec *exec, const char *argument, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL, *pods = NULL;
    if (argument != NULL) {
        if (pods_read_object(exec->cli, argument, &object, err) < 0)
            return err->code;
    } else {
        CLEANUP(items_done) struct items items = {0};
        CLEANUP(failures_done) struct failures failures = {0};
        if (items_from_files(exec->cli, &exec->selection, &items, &failures, err) < 0)
            return err->code;
        if (failures.n > 0) {
            err_move(err, &failures.list[0]);
            return err->code;
        }
        if (items.n != 1)
            return err_set(err, ERR_USAGE, "cannot exec into multiple objects at a time");
        if (item_get(exec->cli, &items.list[0], NULL, &object, err) < 0)
            return err->code;
    }
    if (pods_of_object(exec->cli, object, PODS_TO_ATTACH, exec->pod_timeout_ms, &pods, err) < 0)
        return err->code;
    *ret = json_keep(json_at(pods, 0));
    return 0;
}

/* Runs the session of exec or attach; the exit code is the remote program's. */
static int stream_to(struct exec *exec, const struct stream_options *options)
{
    CLEANUP(err_clear) struct err err = {0};
    int exit_code = 0;
    if (stream_run(exec->cli, options, &exit_code, &err) < 0)
        return cli_fail(exec->cli, &err);
    if (exit_code != 0)
        fprintf(stderr, "command terminated with exit code %d\n", exit_code);
    return exit_code;
}

static int wrong_timeout(const struct exec *exec, const char *words)
{
    return cli_error("--pod-running-timeout must be higher than zero\nSee '%s %s -h' for help and examples",
                     exec->cli->program, words);
}

static int run_exec(struct exec *exec, const struct strv *args, int dash)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *argument = args->n > 0 && dash != 0 ? args->items[0] : NULL;
    bool has_file = exec->selection.filenames.n > 0;
    if (dash < 0 && (args->n > 1 || (args->n > 0 && has_file)))
        return cli_error(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee '%s exec -h' "
            "for help and examples",
            exec->cli->program);
    if (exec->pod_timeout_ms <= 0)
        return wrong_timeout(exec, "exec");
    CLEANUP(strv_done) struct strv command = {0};
    for (size_t i = dash >= 0 ? (size_t)dash : args->n; i < args->n; i++)
        strv_add(&command, args->items[i]);
    if (argument == NULL && !has_file)
        return cli_error("pod, type/name or --filename must be specified");
    if (command.n == 0)
        return cli_error("you must specify at least one command for the container");
    CLEANUP(json_free) struct json *pod = NULL;
    if (find_pod(exec, argument, &pod, &err) < 0)
        return cli_fail(exec->cli, &err);
    const char *phase = json_str_or("", pod, "status", "phase", NULL);
    if (streq(phase, "Succeeded") || streq(phase, "Failed"))
        return cli_error("cannot exec into a container in a completed pod; current phase is %s", phase);
    const char *container = NULL;
    if (pods_choose_container(pod, exec->container, exec->quiet, &container, &err) < 0)
        return cli_fail(exec->cli, &err);
    bool tty = stream_wants_tty(exec->use_stdin, exec->tty, exec->quiet);
    CLEANUP(xfree) char *path = stream_path(pod, "exec", container, &command, exec->use_stdin, tty);
    const struct stream_options options = {
        .path = path, .use_stdin = exec->use_stdin, .tty = tty, .quiet = exec->quiet};
    return stream_to(exec, &options);
}

int command_exec(struct cli *cli, int argc, char **argv)
{
    struct exec exec = {.cli = cli, .pod_timeout_ms = 60000};
    const struct opt options[] = {
        EXEC_OPTIONS(&exec),
        {"filename", 'f', OPT_LIST, &exec.selection.filenames, "[]", "File that describes what to exec into."},
        {0},
    };
    const struct cli_command command = {
        .words = "exec",
        .usage = "(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...] [options]",
        .about = "Execute a command in a container.",
        .examples =
            "  # A shell in a pod\n  fks exec -it web-0 -- sh\n\n  # One command in the first pod of a deployment\n"
            "  fks exec deploy/web -- date\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0, dash = -1;
    if (cli_parse(cli, &command, argc, argv, &args, &dash, &code))
        code = run_exec(&exec, &args, dash);
    selection_done(&exec.selection);
    return code;
}

/* --- attach */

static int find_attachable(struct exec *exec, const struct strv *args, struct json **ret, struct err *err)
{
    CLEANUP(xfree)
    char *argument = args->n == 2 ? xasprintf("%s/%s", args->items[0], args->items[1]) : xstrdup(args->items[0]);
    if (find_pod(exec, argument, ret, err) < 0)
        return err->code;
    const char *phase = json_str_or("", *ret, "status", "phase", NULL);
    if (streq(phase, "Succeeded") || streq(phase, "Failed"))
        return err_set(err, ERR_INVALID, "cannot attach a container in a completed pod; current phase is %s", phase);
    return 0;
}

/* How to come back to what goes on running. */
static void tell_how_to_resume(const struct exec *exec, const struct json *pod, const char *container)
{
    bool ephemeral = streq(pods_find_container(pod, container), "ephemeralContainers");
    const char *name = json_str_or("", pod, "metadata", "name", NULL),
               *namespace = json_str_or("", pod, "metadata", "namespace", NULL);
    printf("Session ended, %s '%s attach %s -c %s -n %s -i -t'%s\n",
           ephemeral ? "the ephemeral container will not be restarted but may be reattached using" : "resume using",
           exec->cli->program, name, container, namespace, ephemeral ? " if it is still running" : " command");
}

static bool container_has_tty(const struct json *pod, const char *name)
{
    const struct json *container;
    json_each(container, json_get(pod, "spec", pods_find_container(pod, name), NULL)) {
        if (streq(json_str(container, "name", NULL), name))
            return json_is_true(container, "tty", NULL);
    }
    return false;
}

static int run_attach(struct exec *exec, const struct strv *args, const char *detach_keys)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *pod = NULL;
    const char *container = NULL;
    if (exec->pod_timeout_ms <= 0)
        return wrong_timeout(exec, "attach");
    if (args->n == 0)
        return cli_error("at least 1 argument is required for attach");
    if (args->n > 2) {
        CLEANUP(xfree) char *all = strv_join(args, " ");
        return cli_error("expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw %zu: [%s]", args->n, all);
    }
    if (find_attachable(exec, args, &pod, &err) < 0)
        return cli_fail(exec->cli, &err);
    if (pods_choose_container(pod, exec->container, exec->quiet, &container, &err) < 0)
        return cli_error("cannot attach to the container: %s", err_text(&err));
    bool has_tty = container_has_tty(pod, container);
    if (exec->tty && !has_tty && !exec->quiet)
        fprintf(stderr, "error: Unable to use a TTY - container %s did not allocate one\n", container);
    bool tty = stream_wants_tty(exec->use_stdin, has_tty, exec->quiet);
    if (!exec->quiet)
        stream_warn_of_logs();
    CLEANUP(xfree) char *path = stream_path(pod, "attach", container, NULL, exec->use_stdin, tty);
    const struct stream_options options = {.path = path,
                                           .use_stdin = exec->use_stdin,
                                           .tty = tty,
                                           .quiet = exec->quiet,
                                           .redraw = true,
                                           .detach_keys = detach_keys[0] != '\0' ? detach_keys : DETACH_KEYS_DEFAULT};
    int exit_code = stream_to(exec, &options);
    if (exit_code == 0 && tty && !exec->quiet)
        tell_how_to_resume(exec, pod, container);
    return exit_code;
}

int command_attach(struct cli *cli, int argc, char **argv)
{
    struct exec exec = {.cli = cli, .pod_timeout_ms = 60000};
    const char *detach_keys = DETACH_KEYS_DEFAULT;
    const struct opt options[] = {
        EXEC_OPTIONS(&exec),
        {"detach-keys", 0, OPT_STRING, &detach_keys, "", "The keys that end the session and leave the container running."},
        {0},
    };
    const struct cli_command command = {.words = "attach",
                                        .usage = "(POD | TYPE/NAME) -c CONTAINER [options]",
                                        .about =
                                            "Attach to a process that is already running inside an existing container.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_attach(&exec, &args, detach_keys);
    return code;
}
