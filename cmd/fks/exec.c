/*
 * exec.c: `exec` and `attach`: find the pod and the container, then stream.h does the rest.
 */
#include "pods.h"
#include "stream.h"

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
    if (pods_of_object(exec->cli, object, "attach to", &pods, err) < 0)
        return err->code;
    *ret = json_keep(json_at(pods, 0));
    return 0;
}

static int stream_to(struct exec *exec, const struct json *pod, const char *subresource, const struct strv *command)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *container = NULL;
    if (pods_choose_container(pod, exec->container, exec->quiet, &container, &err) < 0)
        return cli_fail(exec->cli, &err);
    bool tty = stream_wants_tty(exec->use_stdin, exec->tty, exec->quiet);
    CLEANUP(xfree) char *path = stream_path(pod, subresource, container, command, exec->use_stdin, tty);
    const struct stream_options options = {
        .path = path, .use_stdin = exec->use_stdin, .tty = tty, .quiet = exec->quiet};
    int exit_code = 0;
    if (stream_run(exec->cli, &options, &exit_code, &err) < 0)
        return cli_fail(exec->cli, &err);
    if (exit_code != 0)
        fprintf(stderr, "command terminated with exit code %d\n", exit_code);
    return exit_code;
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
    return stream_to(exec, pod, "exec", &command);
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

static int run_attach(struct exec *exec, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    if (args->n == 0)
        return cli_error("at least 1 argument is required for attach\nSee '%s attach -h' for help and examples",
                         exec->cli->program);
    if (args->n > 2)
        return cli_error(
            "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw %zu: [%s %s %s]\nSee '%s attach -h' for "
            "help and examples",
            args->n, args->items[0], args->items[1], args->items[2], exec->cli->program);
    CLEANUP(xfree)
    char *argument = args->n == 2 ? xasprintf("%s/%s", args->items[0], args->items[1]) : xstrdup(args->items[0]);
    CLEANUP(json_free) struct json *pod = NULL;
    if (find_pod(exec, argument, &pod, &err) < 0)
        return cli_fail(exec->cli, &err);
    const char *phase = json_str_or("", pod, "status", "phase", NULL);
    if (streq(phase, "Succeeded") || streq(phase, "Failed"))
        return cli_error("cannot attach a container in a completed pod; current phase is %s", phase);
    if (exec->tty && exec->use_stdin && !exec->quiet)
        fputs("If you don't see a command prompt, try pressing enter.\n", stderr);
    return stream_to(exec, pod, "attach", NULL);
}

int command_attach(struct cli *cli, int argc, char **argv)
{
    struct exec exec = {.cli = cli, .pod_timeout_ms = 60000};
    const struct opt options[] = {EXEC_OPTIONS(&exec), {0}};
    const struct cli_command command = {.words = "attach",
                                        .usage = "(POD | TYPE/NAME) -c CONTAINER [options]",
                                        .about =
                                            "Attach to a process that is already running inside an existing container.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_attach(&exec, &args);
    return code;
}
