/*
 * top.c: `top pods` and `top nodes`: what the metrics API (metrics.k8s.io/v1beta1) says is used. Without a metrics server
 * there is nothing to show, and it says so.
 */
#include "objects/items.h"
#include "text/tabwriter.h"

#include "base/clock.h"
#include "base/mem.h"
#include "data/quantity.h"

#define METRICS "metrics.k8s.io"
#define YOUNG_MS 120000 /* a pod so old should have been measured */

struct top {
    struct cli *cli;
    struct selection selection;
    const char *sort_by;
    bool no_headers, show_capacity, show_swap, containers, sum;
    bool protocol_buffers; /* how kubectl asks; the answer is the same in JSON, in which fks asks */
};

enum { CPU, MEMORY, SWAP, N_MEASURED };
static const char *const measured[N_MEASURED] = {"cpu", "memory", "swap"};

struct usage {
    const char *namespace, *pod, *name; /* pod: of a container, else NULL */
    int64_t amounts[N_MEASURED];        /* billionths of a core, bytes */
    const struct json *metric;          /* what it was read from */
    bool by_namespace;                  /* sort by it first */
};

struct usages {
    struct usage *list;
    size_t n, cap;
};

/* Sums of what is below a thousandth must not be rounded one by one. */
static int64_t cpu_n(const char *text)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(xfree) char *digits = xstrndup(text, strspn(text, "0123456789"));
    const char *unit = text + strlen(digits);
    int64_t value = 0;
    bool small = streq(unit, "n") || streq(unit, "u");
    if (small && parse_int(digits, 0, INT64_MAX / 1000, &value, &ignored) == 0)
        return streq(unit, "n") ? value : value * 1000;
    if (small || quantity_parse_milli(text, &value, &ignored) < 0 || value > INT64_MAX / 1000000)
        return 0;
    return value * 1000000;
}

static int64_t amount(const struct json *resources, size_t which)
{
    CLEANUP(err_clear) struct err ignored = {0};
    const char *text = json_str_or("0", resources, measured[which], NULL);
    int64_t value = 0;
    if (which == CPU)
        return cpu_n(text);
    return quantity_parse_units(text, &value, &ignored) < 0 ? 0 : value;
}

static void add_amounts(struct usage *usage, const struct json *resources)
{
    for (size_t i = 0; i < N_MEASURED; i++)
        if (__builtin_add_overflow(usage->amounts[i], amount(resources, i), &usage->amounts[i]))
            usage->amounts[i] = INT64_MAX;
}

static struct usage *add_usage(struct usages *usages, const struct top *top, const struct json *metric)
{
    GROW(usages->list, usages->n, usages->cap);
    usages->list[usages->n] = (struct usage){.namespace = json_str_or("", metric, "metadata", "namespace", NULL),
                                             .name = json_str_or("", metric, "metadata", "name", NULL),
                                             .metric = metric,
                                             .by_namespace = top->selection.all_namespaces};
    add_amounts(&usages->list[usages->n], json_get(metric, "usage", NULL));
    return &usages->list[usages->n++];
}

static int by_name(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    int order = x->by_namespace && x->pod == NULL ? strcmp(x->namespace, y->namespace) : 0;
    return order != 0 ? order : strcmp(x->name, y->name);
}

static int by_cpu(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    return x->amounts[CPU] != y->amounts[CPU] ? (x->amounts[CPU] > y->amounts[CPU] ? -1 : 1) : by_name(a, b);
}

static int by_memory(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    return x->amounts[MEMORY] != y->amounts[MEMORY] ? (x->amounts[MEMORY] > y->amounts[MEMORY] ? -1 : 1) : by_name(a, b);
}

static void sort(const struct top *top, struct usage *list, size_t n)
{
    const char *by = strempty(top->sort_by);
    if (n > 0)
        qsort(list, n, sizeof(*list), streq(by, "cpu") ? by_cpu : streq(by, "memory") ? by_memory : by_name);
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

/* --- tables */

/* Rounded up to thousandths, as a quantity is. */
static int64_t cpu_m(int64_t value_n)
{
    return value_n / 1000000 + (value_n % 1000000 > 0);
}

static void print_amount(size_t which, int64_t value, struct buf *out)
{
    if (which == CPU)
        buf_printf(out, "%lldm\t", (long long)cpu_m(value));
    else
        buf_printf(out, "%lldMi\t", (long long)(value >> 20));
}

static const struct json *find_node(const struct json *nodes, const char *name)
{
    const struct json *node;
    json_each(node, nodes) {
        if (streq(json_str(node, "metadata", "name", NULL), name))
            return node;
    }
    return NULL;
}

/* One resource of a node with its share of what there is; a node tells its swap elsewhere, or not at all. */
static void print_share(const struct top *top, const struct usage *usage, const struct json *node, size_t which,
                        struct buf *out)
{
    const struct json *available = json_get(node, "status", top->show_capacity ? "capacity" : "allocatable", NULL);
    const struct json *swap = json_get(node, "status", "nodeInfo", "swap", "capacity", NULL);
    if (which == SWAP && node != NULL && swap == NULL) {
        buf_add_str(out, "<unknown>\t<unknown>\t");
        return;
    }
    print_amount(which, usage->amounts[which], out);
    if (which == SWAP ? swap == NULL : json_get(available, measured[which], NULL) == NULL)
        return;
    int64_t whole = which == SWAP ? json_int_value(swap) : amount(available, which);
    int64_t used = usage->amounts[which];
    double share = which == CPU ? (double)cpu_m(used) / (double)cpu_m(whole) : (double)used / (double)whole;
    buf_printf(out, "%lld%%\t", whole > 0 ? (long long)(share * 100) : 0LL);
}

static void print_nodes(const struct top *top, const struct json *metrics, const struct json *nodes, struct buf *out)
{
    struct usages usages = {0};
    const struct json *metric, *node;
    size_t n_shown = top->show_swap ? N_MEASURED : SWAP;
    json_each(metric, metrics)
        (void)add_usage(&usages, top, metric);
    sort(top, usages.list, usages.n);
    if (!top->no_headers)
        buf_printf(out, "NAME\tCPU(cores)\tCPU(%%)\tMEMORY(bytes)\tMEMORY(%%)\t%s\n",
                   top->show_swap ? "SWAP(bytes)\tSWAP(%)\t" : "");
    for (size_t i = 0; i < usages.n; i++) {
        buf_printf(out, "%s\t", usages.list[i].name);
        for (size_t which = 0; which < n_shown; which++)
            print_share(top, &usages.list[i], find_node(nodes, usages.list[i].name), which, out);
        buf_add_char(out, '\n');
    }
    json_each(node, nodes) { /* nobody has measured these */
        const char *name = json_str_or("", node, "metadata", "name", NULL);
        if (find_node(metrics, name) != NULL)
            continue;
        buf_printf(out, "%s\t", name);
        for (size_t which = 0; which < n_shown; which++)
            buf_add_str(out, "<unknown>\t<unknown>\t");
        buf_add_char(out, '\n');
    }
    free(usages.list);
}

static void print_usage(const struct top *top, const struct usage *usage, struct buf *out)
{
    if (top->selection.all_namespaces)
        buf_printf(out, "%s\t", usage->namespace);
    if (usage->pod != NULL)
        buf_printf(out, "%s\t", usage->pod);
    buf_printf(out, "%s\t", usage->name);
    for (size_t which = 0; which < (top->show_swap ? N_MEASURED : SWAP); which++)
        print_amount(which, usage->amounts[which], out);
    buf_add_char(out, '\n');
}

static void print_containers(const struct top *top, const struct usage *pod, struct buf *out)
{
    struct usages usages = {0};
    const struct json *container;
    json_each(container, json_get(pod->metric, "containers", NULL)) {
        struct usage *usage = add_usage(&usages, top, container);
        usage->namespace = pod->namespace;
        usage->pod = pod->name;
        usage->name = json_str_or("", container, "name", NULL);
    }
    sort(top, usages.list, usages.n);
    for (size_t i = 0; i < usages.n; i++)
        print_usage(top, &usages.list[i], out);
    free(usages.list);
}

/* Under the last two columns of a header with so many, as kubectl places it. */
static void print_sum(const struct top *top, const struct usage *sum, struct buf *out)
{
    size_t columns = top->show_swap ? 4 : 3;
    if (!top->no_headers)
        columns += (top->selection.all_namespaces ? 1u : 0u) + (top->containers ? 1u : 0u);
    for (size_t i = 0; i + 2 < columns; i++)
        buf_add_char(out, '\t');
    buf_add_str(out, "________\t________\t\n");
    for (size_t i = 0; i + 3 < columns; i++)
        buf_add_char(out, '\t');
    buf_add_char(out, '\t');
    for (size_t which = 0; which < (top->show_swap ? N_MEASURED : SWAP); which++)
        print_amount(which, sum->amounts[which], out);
    buf_add_char(out, '\n');
}

static void print_pods(const struct top *top, const struct json *metrics, struct buf *out)
{
    struct usages usages = {0};
    struct usage sum = {0};
    const struct json *metric, *container;
    json_each(metric, metrics) {
        struct usage *usage = add_usage(&usages, top, metric);
        json_each(container, json_get(metric, "containers", NULL)) {
            add_amounts(usage, json_get(container, "usage", NULL));
            add_amounts(&sum, json_get(container, "usage", NULL));
        }
    }
    sort(top, usages.list, usages.n);
    if (!top->no_headers)
        buf_printf(out, "%s%sNAME\tCPU(cores)\tMEMORY(bytes)\t%s\n", top->selection.all_namespaces ? "NAMESPACE\t" : "",
                   top->containers ? "POD\t" : "", top->show_swap ? "SWAP(bytes)\t" : "");
    for (size_t i = 0; i < usages.n; i++) {
        if (top->containers)
            print_containers(top, &usages.list[i], out);
        else
            print_usage(top, &usages.list[i], out);
    }
    if (top->sum)
        print_sum(top, &sum, out);
    free(usages.list);
}

/* --- the commands */

/* Why there are no metrics: nothing to measure, pods that are too young, or nobody who measures. */
static int explain_no_metrics(const struct top *top, struct err *err)
{
    CLEANUP(json_free) struct json *pods = NULL;
    if (read_list(top, "", "v1", "pods", true, NULL, &pods, err) < 0)
        return err->code;
    const struct json *pod;
    json_each(pod, pods) {
        CLEANUP(err_clear) struct err ignored = {0};
        int64_t created_ns = 0;
        if (clock_parse(json_str_or("", pod, "metadata", "creationTimestamp", NULL), &created_ns, &ignored) < 0)
            continue;
        int64_t age_ms = (clock_wall_ns() - created_ns) / 1000000;
        if (age_ms > YOUNG_MS)
            return err_set(err, ERR_NOT_FOUND, "Metrics not available for pod %s/%s, age: %lld.%03llds",
                           json_str_or("", pod, "metadata", "namespace", NULL),
                           json_str_or("", pod, "metadata", "name", NULL), (long long)(age_ms / 1000),
                           (long long)(age_ms % 1000));
    }
    if (json_len(pods) > 0)
        return err_set(err, ERR_NOT_FOUND, "metrics not available yet");
    if (top->selection.all_namespaces)
        fputs("No resources found\n", stderr);
    else
        fprintf(stderr, "No resources found in %s namespace.\n", cli_namespace(top->cli));
    return 0;
}

static int show(const struct top *top, bool of_nodes, const char *name, struct err *err)
{
    CLEANUP(json_free) struct json *metrics = NULL, *nodes = NULL;
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
    CLEANUP(buf_done) struct buf text = {0};
    if (check_api(top, err) < 0 ||
        read_list(top, METRICS, "v1beta1", of_nodes ? "nodes" : "pods", !of_nodes, name, &metrics, err) < 0)
        return err->code;
    if (json_len(metrics) == 0)
        return of_nodes ? err_set(err, ERR_NOT_FOUND, "metrics not available yet") : explain_no_metrics(top, err);
    if (of_nodes && read_list(top, "", "v1", "nodes", false, name, &nodes, err) < 0)
        return err->code;
    if (of_nodes)
        print_nodes(top, metrics, nodes, &writer.text);
    else
        print_pods(top, metrics, &writer.text);
    tabwriter_flush(&writer, &text);
    fputs(buf_text(&text), stdout);
    return 0;
}

static int run_top(struct top *top, bool of_nodes, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *name = args->n > 0 ? args->items[0] : NULL, *by = strempty(top->sort_by);
    const char *words = of_nodes ? "node" : "pod";
    if (args->n > 1)
        return cli_error("%s [NAME | -l label]\nSee '%s top %s -h' for help and examples", words, top->cli->program, words);
    if (by[0] != '\0' && !streq(by, "cpu") && !streq(by, "memory"))
        return cli_error("--sort-by accepts only cpu or memory");
    if (name != NULL && (top->selection.label_selector != NULL || top->selection.field_selector != NULL))
        return cli_error(of_nodes ? "only one of NAME or --selector can be provided"
                                  : "only one of NAME or selector can be provided");
    return show(top, of_nodes, name, &err) < 0 ? cli_fail(top->cli, &err) : 0;
}

static int top_command(struct cli *cli, bool of_nodes, int argc, char **argv)
{
    struct top top = {.cli = cli, .protocol_buffers = true};
    const struct opt common[] = {
        {"no-headers", 0, OPT_BOOL, &top.no_headers, NULL, "Print no headers."},
        {"sort-by", 0, OPT_STRING, &top.sort_by, "", "Sort by cpu or memory."},
        {"show-swap", 0, OPT_BOOL, &top.show_swap, NULL, "Show swap, too."},
        {"use-protocol-buffers", 0, OPT_BOOL, &top.protocol_buffers, NULL,
         "Without effect: the metrics API is asked for JSON, which says the same."},
        SELECTION_LABEL_OPTION(&top.selection),
        {0},
    };
    const struct opt of_node[] = {
        {"show-capacity", 0, OPT_BOOL, &top.show_capacity, NULL, "Shares of the capacity, not of what is allocatable."},
        {0},
    };
    const struct opt of_pod[] = {
        {"containers", 0, OPT_BOOL, &top.containers, NULL, "Show the containers of each pod."},
        {"sum", 0, OPT_BOOL, &top.sum, NULL, "Print the sum of what is used below."},
        SELECTION_NAMESPACES_OPTION(&top.selection),
        SELECTION_FIELD_OPTION(&top.selection),
        {0},
    };
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
