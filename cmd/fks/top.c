/*
 * top.c: `top pods` and `top nodes`: what the metrics API (metrics.k8s.io/v1beta1) says is used. Without a metrics server
 * there is nothing to show, and it says so. Swap is not shown.
 */
#include "items.h"
#include "print/tabwriter.h"

#include "base/mem.h"
#include "data/quantity.h"

#define METRICS "metrics.k8s.io"

struct top {
    struct cli *cli;
    struct selection selection;
    const char *sort_by;
    bool no_headers, show_capacity;
};

struct usage {
    const char *namespace, *name;
    int64_t cpu_m, memory_b;
};

static int64_t amount(const struct json *resources, const char *name)
{
    CLEANUP(err_clear) struct err ignored = {0};
    const char *text = json_str_or("0", resources, name, NULL);
    int64_t value = 0;
    int code = streq(name, "cpu") ? quantity_parse_milli(text, &value, &ignored)
                                  : quantity_parse_units(text, &value, &ignored);
    return code < 0 ? 0 : value;
}

static struct usage usage_of(const struct json *metric)
{
    const struct json *container;
    struct usage usage = {.namespace = json_str_or("", metric, "metadata", "namespace", NULL),
                          .name = json_str_or("", metric, "metadata", "name", NULL),
                          .cpu_m = amount(json_get(metric, "usage", NULL), "cpu"),
                          .memory_b = amount(json_get(metric, "usage", NULL), "memory")};
    json_each(container, json_get(metric, "containers", NULL)) {
        usage.cpu_m += amount(json_get(container, "usage", NULL), "cpu");
        usage.memory_b += amount(json_get(container, "usage", NULL), "memory");
    }
    return usage;
}

static int by_name(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    int order = strcmp(x->namespace, y->namespace);
    return order != 0 ? order : strcmp(x->name, y->name);
}

static int by_cpu(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    return x->cpu_m != y->cpu_m ? (x->cpu_m > y->cpu_m ? -1 : 1) : by_name(a, b);
}

static int by_memory(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    return x->memory_b != y->memory_b ? (x->memory_b > y->memory_b ? -1 : 1) : by_name(a, b);
}

/* GET of a collection, or of the one object that was named, as an array. */
static int read_list(const struct top *top, const char *group, const char *version, const char *plural, bool namespaced,
                     const char *name, struct json **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf path = {0};
    CLEANUP(json_free) struct json *answer = NULL;
    const char *namespace = namespaced && !top->selection.all_namespaces ? cli_namespace(top->cli) : NULL;
    CLEANUP(xfree) char *plain = kube_path(group, version, namespace, plural, name, NULL);
    buf_add_str(&path, plain);
    if (name == NULL && strempty(top->selection.field_selector)[0] != '\0')
        kube_path_query(&path, "fieldSelector", top->selection.field_selector);
    if (name == NULL && strempty(top->selection.label_selector)[0] != '\0')
        kube_path_query(&path, "labelSelector", top->selection.label_selector);
    const struct kube_request request = {.path = buf_text(&path)};
    if (cli_do(top->cli, &request, &answer, err) < 0)
        return err->code;
    *ret = name != NULL ? json_build("[O]", answer) : json_keep(json_get(answer, "items", NULL));
    return 0;
}

static int check_api(const struct top *top, struct err *err)
{
    const struct kube_request request = {.path = "/apis/" METRICS "/v1beta1"};
    if (cli_connect(top->cli, err) < 0 || cli_do(top->cli, &request, NULL, err) == 0)
        return err->code;
    if (err->http_status != 404)
        return err->code;
    err_clear(err);
    return err_set(err, ERR_UNSUPPORTED, "Metrics API not available");
}

static void print_share(struct tabwriter *writer, int64_t used, int64_t available)
{
    buf_printf(&writer->text, "%lld%%\t", available > 0 ? (long long)((double)used / (double)available * 100) : 0LL);
}

static const struct json *node_resources(const struct top *top, const struct json *nodes, const char *name)
{
    const struct json *node;
    json_each(node, nodes) {
        if (streq(json_str(node, "metadata", "name", NULL), name))
            return json_get(node, "status", top->show_capacity ? "capacity" : "allocatable", NULL);
    }
    return NULL;
}

static void print_table(const struct top *top, const struct usage *list, size_t n, const struct json *nodes)
{
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
    CLEANUP(buf_done) struct buf text = {0};
    if (!top->no_headers)
        buf_printf(&writer.text, "%sNAME\tCPU(cores)\t%sMEMORY(bytes)\t%s\n",
                   top->selection.all_namespaces ? "NAMESPACE\t" : "", nodes != NULL ? "CPU(%)\t" : "",
                   nodes != NULL ? "MEMORY(%)\t" : "");
    for (size_t i = 0; i < n; i++) {
        const struct json *available = node_resources(top, nodes, list[i].name);
        if (top->selection.all_namespaces)
            buf_printf(&writer.text, "%s\t", list[i].namespace);
        buf_printf(&writer.text, "%s\t%lldm\t", list[i].name, (long long)list[i].cpu_m);
        if (nodes != NULL)
            print_share(&writer, list[i].cpu_m, amount(available, "cpu"));
        buf_printf(&writer.text, "%lldMi\t", (long long)(list[i].memory_b >> 20));
        if (nodes != NULL)
            print_share(&writer, list[i].memory_b, amount(available, "memory"));
        buf_add_char(&writer.text, '\n');
    }
    tabwriter_flush(&writer, &text);
    fputs(buf_text(&text), stdout);
}

static int run_top(struct top *top, bool of_nodes, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *metrics = NULL, *nodes = NULL;
    const char *name = args->n > 0 ? args->items[0] : NULL, *sort = strempty(top->sort_by);
    if (sort[0] != '\0' && !streq(sort, "cpu") && !streq(sort, "memory"))
        return cli_error("--sort-by accepts only cpu or memory");
    if (name != NULL && (top->selection.label_selector != NULL || top->selection.field_selector != NULL))
        return cli_error(of_nodes ? "only one of NAME or --selector can be provided"
                                  : "only one of NAME or selector can be provided");
    if (check_api(top, &err) < 0 ||
        read_list(top, METRICS, "v1beta1", of_nodes ? "nodes" : "pods", !of_nodes, name, &metrics, &err) < 0 ||
        (of_nodes && read_list(top, "", "v1", "nodes", false, name, &nodes, &err) < 0))
        return cli_fail(top->cli, &err);
    size_t n = json_len(metrics);
    if (n == 0 && of_nodes)
        return cli_error("metrics not available yet");
    if (n == 0) {
        if (top->selection.all_namespaces)
            fputs("No resources found\n", stderr);
        else
            fprintf(stderr, "No resources found in %s namespace.\n", cli_namespace(top->cli));
        return 0;
    }
    struct usage *list = xcalloc(n, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = usage_of(json_at(metrics, i));
    qsort(list, n, sizeof(*list), streq(sort, "cpu") ? by_cpu : streq(sort, "memory") ? by_memory : by_name);
    print_table(top, list, n, nodes);
    free(list);
    return 0;
}

static int top_command(struct cli *cli, bool of_nodes, int argc, char **argv)
{
    struct top top = {.cli = cli};
    const struct opt common[] = {
        {"no-headers", 0, OPT_BOOL, &top.no_headers, NULL, "Print no headers."},
        {"sort-by", 0, OPT_STRING, &top.sort_by, "", "Sort by cpu or memory."},
        SELECTION_LABEL_OPTION(&top.selection),
        {0},
    };
    const struct opt of_node[] = {
        {"show-capacity", 0, OPT_BOOL, &top.show_capacity, NULL, "Shares of the capacity, not of what is allocatable."},
        {0},
    };
    const struct opt of_pod[] = {SELECTION_NAMESPACES_OPTION(&top.selection),
                                 SELECTION_FIELD_OPTION(&top.selection),
                                 {0}};
    const struct cli_command command = {
        .words = of_nodes ? "top node" : "top pod",
        .usage = "[NAME | -l label] [options]",
        .about = of_nodes ? "Display resource (CPU/memory) usage of nodes." : "Display resource (CPU/memory) usage of pods.",
        .options = common,
        .more_options = of_nodes ? of_node : of_pod,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_top(&top, of_nodes, &args);
    selection_done(&top.selection);
    return code;
}

int command_top_node(struct cli *cli, int argc, char **argv)
{
    return top_command(cli, true, argc, argv);
}

int command_top_pod(struct cli *cli, int argc, char **argv)
{
    return top_command(cli, false, argc, argv);
}
