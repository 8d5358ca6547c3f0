/*
 * drain_host.c: `drain host`, `cordon host` and `uncordon host`: a host that offers capacity is taken out of service for
 * maintenance. Draining cordons it, evicts its pods, whose controllers create them again on other hosts, and waits until
 * the last is gone.
 */
#include "base/mem.h"
#include "fargate/early.h"
#include "fargate/names.h"
#include "objects/departure.h"

struct drain_host {
    struct departure_options departure;
    bool force, delete_emptydir;
};

/* Sets spec.unschedulable and says so. */
static int set_cordoned(struct cli *cli, const char *name, bool cordoned, bool dry_run, struct err *err)
{
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargatehosts", name, NULL);
    CLEANUP(json_free) struct json *before = NULL;
    CLEANUP(json_free) struct json *body = json_build("{s:{s:b}}", "spec", "unschedulable", cordoned);
    const struct kube_request look = {.path = path};
    const struct kube_request change = {.method = "PATCH", .path = path, .body = body, .content_type = KUBE_MERGE_PATCH};
    int r = cli_do(cli, &look, &before, err);

    if (r == ERR_NOT_FOUND) {
        err_clear(err);
        return err_set(err, ERR_NOT_FOUND, "there is no host '%s' ('%s get fargatehosts' lists them)", name, cli->program);
    }
    if (r < 0)
        return r;
    bool already = json_is_true(before, "spec", "unschedulable", NULL) == cordoned;
    if (!already && !dry_run && (r = cli_do(cli, &change, NULL, err)) < 0)
        return r;
    printf("fargatehost.fks.dev/%s %s%s%s\n", name, already ? "already " : "", cordoned ? "cordoned" : "uncordoned",
           dry_run ? " (dry run)" : "");
    return 0;
}

static bool has_emptydir(const struct json *pod)
{
    const struct json *volume;

    json_each(volume, json_get(pod, "spec", "volumes", NULL))
        if (json_get(volume, "emptyDir", NULL) != NULL)
            return true;
    return false;
}

static void add_name(struct buf *list, const struct json *pod)
{
    buf_printf(list, "%s%s/%s", list->len > 0 ? ", " : "", json_str_or("", pod, "metadata", "namespace", NULL),
               json_str_or("", pod, "metadata", "name", NULL));
}

/* Pods that would be lost for good hold the drain up, in kubectl's words. */
static int check_losses(const struct drain_host *drain, const struct json *pods, struct err *err)
{
    CLEANUP(buf_done) struct buf bare = {0};
    CLEANUP(buf_done) struct buf local = {0};
    const struct json *pod;

    json_each(pod, pods) {
        if (early_owner(pod) == NULL && !drain->force)
            add_name(&bare, pod);
        if (has_emptydir(pod) && !drain->delete_emptydir)
            add_name(&local, pod);
    }
    if (bare.len == 0 && local.len == 0)
        return 0;
    CLEANUP(buf_done) struct buf text = {0};
    if (local.len > 0)
        buf_printf(&text, "cannot delete Pods with local storage (use --delete-emptydir-data to override): %s",
                   buf_text(&local));
    if (bare.len > 0)
        buf_printf(&text, "%scannot delete Pods that declare no controller (use --force to override): %s",
                   text.len > 0 ? ", " : "", buf_text(&bare));
    return err_set(err, ERR_INVALID, "%s", buf_text(&text));
}

static bool has_ended(const struct json *pod)
{
    const char *phase = json_str(pod, "status", "phase", NULL);

    return streq(phase, "Succeeded") || streq(phase, "Failed");
}

static int drain_host(struct cli *cli, const struct drain_host *drain, const char *name, struct err *err)
{
    CLEANUP(buf_done) struct buf path = {0};
    CLEANUP(xfree) char *selector = xasprintf("%s=%s", FKS_HOST_LABEL, name);
    CLEANUP(json_free) struct json *list = NULL;
    CLEANUP(json_free) struct json *going = json_new_array();
    const struct json *pod;
    int r = set_cordoned(cli, name, true, drain->departure.dry_run, err);

    if (r < 0)
        return r;
    buf_add_str(&path, "/api/v1/pods");
    kube_path_query(&path, "labelSelector", selector);
    const struct kube_request request = {.path = buf_text(&path)};
    if ((r = cli_do(cli, &request, &list, err)) < 0)
        return r;
    json_each(pod, json_get(list, "items", NULL))
        if (!has_ended(pod))
            json_push(going, json_keep(pod));
    if ((r = check_losses(drain, going, err)) < 0 || (r = departure_run(cli, &drain->departure, going, err)) < 0)
        return err_wrap(err, "unable to drain host \"%s\"", name);
    printf("fargatehost.fks.dev/%s drained%s\n", name, drain->departure.dry_run ? " (dry run)" : "");
    return 0;
}

/* Without a name behind it, "host" is the name of a node: kubectl's verb has the word. */
static int as_node(struct cli *cli, command_run *run, const char *verb, int argc, char **argv)
{
    char **words = xcalloc((size_t)argc + 2, sizeof(*words));
    CLEANUP(xfree) char *first = xstrdup(verb);
    int code;

    words[0] = first;
    memcpy(words + 1, argv, (size_t)argc * sizeof(*words));
    code = run(cli, argc + 1, words);
    free(words);
    return code;
}

static bool has_name(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-' || streq(argv[i], "-h") || streq(argv[i], "--help"))
            return true;
    return false;
}

/* The one argument that these commands take, or NULL after an error. */
static const char *only_name(const struct cli *cli, const struct strv *args, const char *words, int *ret_code)
{
    if (args->n == 1)
        return args->items[0];
    *ret_code = cli_error("the name of one host is needed\nSee '%s %s -h' for help and examples", cli->program, words);
    return NULL;
}

int command_drain_host(struct cli *cli, int argc, char **argv)
{
    struct drain_host drain = {.departure = {.grace_period_s = -1}};
    const struct opt options[] = {
        DEPARTURE_OPTIONS(&drain.departure),
        {.name = "force", .type = OPT_BOOL, .value = &drain.force,
         .help = "Go on even if there are pods that declare no controller; they are lost."},
        {.name = "delete-emptydir-data", .type = OPT_BOOL, .value = &drain.delete_emptydir,
         .help = "Go on even if there are pods using emptyDir; that data is lost."},
        {.name = "dry-run", .type = OPT_BOOL, .value = &drain.departure.dry_run, .help = "Only tell what would be done."},
        {0},
    };
    const struct cli_command command = {
        .words = "drain host",
        .usage = "NAME [options]",
        .about = "Take a host out of service: no new pods, and those that run there are evicted, respecting "
                 "PodDisruptionBudgets. Comes back when all of them are gone; 'uncordon host' puts the host back into "
                 "service.",
        .examples = "  fks drain host host-1 --delete-emptydir-data",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    const char *name;
    int code = 0;

    if (!has_name(argc, argv))
        return as_node(cli, command_drain, "drain", argc, argv);
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code) ||
        (name = only_name(cli, &args, "drain host", &code)) == NULL)
        return code;
    return drain_host(cli, &drain, name, &err) < 0 ? cli_fail(cli, &err) : 0;
}

static int cordon_or_uncordon(struct cli *cli, const struct cli_command *command, bool cordoned, int argc, char **argv)
{
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    const char *name;
    int code = 0;

    if (!has_name(argc, argv))
        return as_node(cli, cordoned ? command_cordon : command_uncordon, cordoned ? "cordon" : "uncordon", argc, argv);
    if (!cli_parse(cli, command, argc, argv, &args, NULL, &code) ||
        (name = only_name(cli, &args, command->words, &code)) == NULL)
        return code;
    return set_cordoned(cli, name, cordoned, false, &err) < 0 ? cli_fail(cli, &err) : 0;
}

int command_cordon_host(struct cli *cli, int argc, char **argv)
{
    static const struct cli_command command = {
        .words = "cordon host",
        .usage = "NAME [options]",
        .about = "Mark a host as unschedulable: it gets no new pods, those that run there stay.",
    };

    return cordon_or_uncordon(cli, &command, true, argc, argv);
}

int command_uncordon_host(struct cli *cli, int argc, char **argv)
{
    static const struct cli_command command = {
        .words = "uncordon host",
        .usage = "NAME [options]",
        .about = "Mark a host as schedulable again.",
    };

    return cordon_or_uncordon(cli, &command, false, argc, argv);
}
