/*
 * cluster_dump.c: `cluster-info dump`: nodes, then of each namespace its events, workloads, services, pods and their
 * logs, to standard output or into a folder. What a log request answers is part of the dump, also when it is an error.
 */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli.h"
#include "print/output.h"

struct dump {
    struct cli *cli;
    const char *folder; /* NULL: standard output */
    const char *extension;
    struct output output;
    bool all_namespaces;
    struct strv namespaces;
};

static void dump_done(struct dump *dump)
{
    output_done(&dump->output);
    strv_done(&dump->namespaces);
}
DEFINE_CLEANUP_IN_PLACE(struct dump, dump_done)

/* --- where it goes */

/* FOLDER/NAMESPACE/NAME.EXTENSION, or standard output. */
static int open_file(const struct dump *dump, const char *namespace, const char *name, const char *extension, FILE **ret,
                     struct err *err)
{
    if (dump->folder == NULL) {
        *ret = stdout;
        return 0;
    }
    CLEANUP(xfree) char *file = xasprintf("%s%s", name, extension);
    CLEANUP(xfree) char *path = path_join(dump->folder, namespace != NULL ? namespace : "", file, NULL);
    CLEANUP(xfree) char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    if (dir_make(parent, 0755, err) < 0)
        return (int)err->code;
    *ret = fopen(path, "we");
    return *ret != NULL ? 0 : err_errno(err, errno, "open %s", path);
}

static int close_file(FILE *file, struct err *err)
{
    if (file == stdout || fclose(file) == 0)
        return 0;
    return err_errno(err, errno, "writing the dump");
}

/* --- objects */

/* One collection; *ret, if wanted, keeps it. */
static int dump_list(struct dump *dump, const char *group, const char *plural, const char *namespace, const char *name,
                     struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *path = kube_path(group, "v1", namespace, plural, NULL, NULL);
    CLEANUP(json_free) struct json *list = NULL;
    const struct kube_request request = {.path = path};
    FILE *file = NULL;
    if (cli_do(dump->cli, &request, &list, err) < 0 || open_file(dump, namespace, name, dump->extension, &file, err) < 0)
        return (int)err->code;
    if (dump->output.kind == OUTPUT_NAME)
        return err_set(err, ERR_USAGE, "list types are not supported by name printing: *v1.%s",
                       json_str_or("List", list, "kind", NULL));
    dump->output.to = file;
    int code = output_print(&dump->output, list, err);
    CLEANUP(err_clear) struct err late = {0};
    if (close_file(file, &late) < 0 && code == 0)
        code = err_set(err, late.code, "%s", err_text(&late));
    if (code == 0 && ret != NULL)
        *ret = take(&list);
    return code;
}

static void dump_log(struct dump *dump, const char *namespace, const char *pod, const char *container, FILE *file)
{
    CLEANUP(xfree) char *base = kube_path("", "v1", namespace, "pods", pod, "log");
    CLEANUP(buf_done) struct buf path = {0}, log = {0};
    CLEANUP(err_clear) struct err err = {0};
    buf_add_str(&path, base);
    kube_path_query(&path, "container", container);
    fprintf(file, "==== START logs for container %s of pod %s/%s ====\n", container, namespace, pod);
    const struct kube_request request = {.path = buf_text(&path)};
    if (kube_do_raw(dump->cli->client, &request, NULL, NULL, &log, &err) < 0)
        fprintf(file, "Request log error: %s\n", err_text(&err));
    else
        fwrite(log.data, 1, log.len, file);
    fprintf(file, "==== END logs for container %s of pod %s/%s ====\n", container, namespace, pod);
}

static int dump_logs(struct dump *dump, const char *namespace, const struct json *pods, struct err *err)
{
    static const char *const lists[] = {"initContainers", "containers"};
    const struct json *pod, *container;
    json_each(pod, json_get(pods, "items", NULL)) {
        const char *name = json_str_or("", pod, "metadata", "name", NULL);
        CLEANUP(xfree) char *file_name = xasprintf("%s/logs", name);
        FILE *file = NULL;
        if (open_file(dump, namespace, file_name, ".txt", &file, err) < 0)
            return (int)err->code;
        for (size_t i = 0; i < countof(lists); i++) {
            json_each(container, json_get(pod, "spec", lists[i], NULL))
                dump_log(dump, namespace, name, json_str_or("", container, "name", NULL), file);
        }
        if (close_file(file, err) < 0)
            return (int)err->code;
    }
    return 0;
}

static int dump_namespace(struct dump *dump, const char *namespace, struct err *err)
{
    static const struct {
        const char *group, *plural, *name;
    } lists[] = {{"", "events", "events"},
                 {"", "replicationcontrollers", "replication-controllers"},
                 {"", "services", "services"},
                 {"apps", "daemonsets", "daemonsets"},
                 {"apps", "deployments", "deployments"},
                 {"apps", "replicasets", "replicasets"}};
    CLEANUP(json_free) struct json *pods = NULL;
    for (size_t i = 0; i < countof(lists); i++) {
        if (dump_list(dump, lists[i].group, lists[i].plural, namespace, lists[i].name, NULL, err) < 0)
            return (int)err->code;
    }
    if (dump_list(dump, "", "pods", namespace, "pods", &pods, err) < 0)
        return (int)err->code;
    return dump_logs(dump, namespace, pods, err);
}

/* --all-namespaces, --namespaces, or kube-system and the line's own. */
static int find_namespaces(struct dump *dump, struct err *err)
{
    CLEANUP(json_free) struct json *list = NULL;
    const struct kube_request request = {.path = "/api/v1/namespaces"};
    const struct json *namespace;
    if (!dump->all_namespaces && dump->namespaces.n == 0) {
        strv_add(&dump->namespaces, "kube-system");
        strv_add(&dump->namespaces, cli_namespace(dump->cli));
    }
    if (!dump->all_namespaces)
        return 0;
    if (cli_do(dump->cli, &request, &list, err) < 0)
        return (int)err->code;
    strv_done(&dump->namespaces);
    json_each(namespace, json_get(list, "items", NULL))
        strv_add(&dump->namespaces, json_str_or("", namespace, "metadata", "name", NULL));
    return 0;
}

static int run_dump(struct dump *dump)
{
    CLEANUP(err_clear) struct err err = {0};
    if (dump_list(dump, "", "nodes", NULL, "nodes", NULL, &err) < 0 || find_namespaces(dump, &err) < 0)
        return cli_fail(dump->cli, &err);
    for (size_t i = 0; i < dump->namespaces.n; i++) {
        if (dump_namespace(dump, dump->namespaces.items[i], &err) < 0)
            return cli_fail(dump->cli, &err);
    }
    if (dump->folder != NULL)
        printf("Cluster info dumped to %s\n", dump->folder);
    return 0;
}

int command_cluster_info_dump(struct cli *cli, int argc, char **argv)
{
    CLEANUP(dump_done) struct dump dump = {.cli = cli};
    struct output_options wanted = {.format = "json", .hide_missing = true};
    int64_t pod_timeout_ms = 20000; /* kubectl's flag; nothing follows from it, since a log is asked of a pod by its name */
    const struct opt options[] = {
        OUTPUT_OPTIONS(&wanted),
        {"all-namespaces", 'A', OPT_BOOL, &dump.all_namespaces, NULL, "All namespaces; --namespaces is ignored."},
        {"namespaces", 0, OPT_LIST, &dump.namespaces, "[]", "The namespaces to dump, separated by commas."},
        {"output-directory", 0, OPT_STRING, &dump.folder, "",
         "The folder that gets a file for each kind and each pod's logs; empty or - is standard output."},
        {"pod-running-timeout", 0, OPT_DURATION, &pod_timeout_ms, "20s", "How long to wait for a pod to run (no wait is needed)."},
        {0},
    };
    const struct cli_command command = {
        .words = "cluster-info dump",
        .usage = "[flags] [options]",
        .about = "Dump what helps to find out what is wrong in a cluster: nodes, and of the current namespace and kube-system "
                 "(or those that are named, or all) events, workloads, services, pods and their logs.",
        .examples = "  # Into a folder, of all namespaces\n"
                    "  kubectl cluster-info dump --all-namespaces --output-directory=/tmp/state\n",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (output_parse(&wanted, &dump.output, &err) < 0)
        return cli_fail(cli, &err);
    dump.output.keep_order = true;
    dump.extension = dump.output.kind == OUTPUT_JSON ? ".json" : dump.output.kind == OUTPUT_YAML ? ".yaml" : ".txt";
    if (streq(dump.folder, "") || streq(dump.folder, "-"))
        dump.folder = NULL;
    return run_dump(&dump);
}
