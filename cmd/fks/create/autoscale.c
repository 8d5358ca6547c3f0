/*
 * autoscale.c: `autoscale`: a HorizontalPodAutoscaler for something that can be scaled.
 */
#include "objects/generate.h"

#include "base/mem.h"
#include "data/quantity.h"

struct autoscale {
    struct generate generate;
    struct selection selection;
    struct output output;
    const char *name, *cpu, *memory;
    int64_t min, max, cpu_percent;
    bool max_seen, cpu_percent_seen;
};

/* "70%" (utilization) or an amount, whose unit may be left out; as the target of a metric. */
static int parse_target(const char *resource, const char *text, struct json **ret, struct err *err)
{
    size_t len = strlen(text);
    char *end = NULL;
    CLEANUP(xfree) char *amount = xstrdup(text);
    CLEANUP(buf_done) struct buf quantity = {0};
    if (len > 0 && text[len - 1] == '%') {
        int64_t percent = 0;
        CLEANUP(err_clear) struct err no_number = {0};
        amount[len - 1] = '\0';
        if (parse_int(amount, 0, INT32_MAX, &percent, &no_number) < 0)
            return err_set(err, ERR_USAGE, "invalid percentage value: %s", amount);
        *ret = json_build("{s:s, s:I}", "type", "Utilization", "averageUtilization", percent);
        return 0;
    }
    double number = strtod(text, &end);
    if (len > 0 && *end == '\0') {
        free(amount);
        amount = xasprintf("%g%s", number, streq(resource, "cpu") ? "m" : "Mi");
    }
    CLEANUP(err_clear) struct err no_quantity = {0};
    if (quantity_canonical(amount, &quantity, &no_quantity) < 0)
        return err_set(err, ERR_USAGE, "invalid resource %s value: %s", resource, text);
    *ret = json_build("{s:s, s:s}", "type", "AverageValue", "averageValue", buf_text(&quantity));
    return 0;
}

static void add_metric(struct json *metrics, const char *resource, struct json *target)
{
    json_push(metrics,
              json_build("{s:s, s:{s:s, s:o}}", "type", "Resource", "resource", "name", resource, "target", target));
}

static int build_metrics(const struct autoscale *autoscale, struct json **ret, struct err *err)
{
    const struct {
        const char *resource, *text;
    } targets[] = {{"cpu", strempty(autoscale->cpu)}, {"memory", strempty(autoscale->memory)}};
    CLEANUP(json_free) struct json *metrics = json_new_array();
    if (autoscale->cpu_percent > 0)
        add_metric(metrics, "cpu",
                   json_build("{s:s, s:I}", "type", "Utilization", "averageUtilization", autoscale->cpu_percent));
    for (size_t i = 0; i < countof(targets); i++) {
        struct json *target = NULL;
        if (targets[i].text[0] == '\0')
            continue;
        if (parse_target(targets[i].resource, targets[i].text, &target, err) < 0)
            return err->code;
        add_metric(metrics, targets[i].resource, target);
    }
    *ret = json_len(metrics) > 0 ? take(&metrics) : NULL;
    return 0;
}

static int check_options(const struct autoscale *autoscale, struct err *err)
{
    struct json *metrics = NULL;
    if (autoscale->max < 1)
        return err_set(err, ERR_USAGE, "--max=MAXPODS is required and must be at least 1, max: %lld",
                       (long long)autoscale->max);
    if (autoscale->max < autoscale->min)
        return err_set(err, ERR_USAGE, "--max=MAXPODS must be larger or equal to --min=MINPODS, max: %lld, min: %lld",
                       (long long)autoscale->max, (long long)autoscale->min);
    if (autoscale->cpu_percent > 0 && strempty(autoscale->cpu)[0] != '\0')
        return err_set(err, ERR_USAGE, "--cpu-percent and --cpu are mutually exclusive");
    if (build_metrics(autoscale, &metrics, err) < 0)
        return err->code;
    json_free(metrics);
    return 0;
}

/* The kinds that have a scale subresource; a kind that is not built in may have one. */
static int check_kind(const struct kube_resource *resource, struct err *err)
{
    static const char *const kinds[] = {"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"};
    for (size_t i = 0; i < countof(kinds); i++) {
        if (streq(resource->kind, kinds[i]))
            return 0;
    }
    if (strchr(resource->group, '.') != NULL && !ends_with(resource->group, ".k8s.io"))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "cannot autoscale a %s: could not find scale subresource for %s/%s, Resource=%s in discovery "
                   "information",
                   resource->kind, resource->group, resource->version, resource->plural);
}

/*
 * After any failure kubectl tries autoscaling/v1, which every server with v2 refuses for the same reason, and which
 * cannot hold more than a share of CPU; then it says so instead of the reason.
 */
static int blame_version(const struct autoscale *autoscale, struct err *err)
{
    const char *cpu = strempty(autoscale->cpu), *memory = strempty(autoscale->memory);
    if (ends_with(cpu, "%") && memory[0] == '\0')
        return err->code;
    err_clear(err);
    return err_set(err, ERR_UNSUPPORTED,
                   "failed to create autoscaling/v2 HPA and the configuration is incompatible with autoscaling/v1: %s",
                   cpu[0] == '\0' ? "empty input" : "%!w(<nil>)");
}

static int autoscale_one(struct autoscale *autoscale, const struct item *item, struct err *err)
{
    struct generate *generate = &autoscale->generate;
    struct json *metrics = NULL;
    const struct kube_resource *resource = item->resource, *scalers = NULL;
    if (check_kind(resource, err) < 0 || build_metrics(autoscale, &metrics, err) < 0)
        return err->code;
    CLEANUP(xfree)
    char *version = xasprintf("%s%s%s", resource->group, resource->group[0] != '\0' ? "/" : "", resource->version);
    struct json *metadata =
        generate_metadata(generate, strempty(autoscale->name)[0] != '\0' ? autoscale->name : item->name, true);
    struct json *spec = json_build("{s:{s:s, s:s, s:s}}", "scaleTargetRef", "kind", resource->kind, "name", item->name,
                                   "apiVersion", version);
    if (autoscale->min > 0)
        json_set_int(spec, "minReplicas", autoscale->min);
    json_set_int(spec, "maxReplicas", autoscale->max);
    if (metrics != NULL)
        json_set(spec, "metrics", metrics);
    CLEANUP(json_free)
    struct json *scaler = json_build("{s:s, s:s, s:o, s:o, s:{s:i, s:n}}", "kind", "HorizontalPodAutoscaler",
                                     "apiVersion", "autoscaling/v2", "metadata", metadata, "spec", spec, "status",
                                     "desiredReplicas", 0, "currentMetrics"),
                *created = NULL;
    write_record(generate->cli, &generate->write, scaler);
    if (write_is_client_dry_run(&generate->write)) {
        autoscale->output.keep_order = true;
        return output_result(&autoscale->output, scaler, "created", "client", err);
    }
    if (generate->save_config)
        generate_annotate(scaler);
    if (kube_discovery_find_kind(generate->cli->discovery, "autoscaling/v2", "HorizontalPodAutoscaler", &scalers, err) <
        0)
        return err->code;
    const struct item target = {.resource = scalers, .namespace = item->namespace, .object = scaler};
    if (write_create(generate->cli, &generate->write, &target, &created, err) < 0)
        return blame_version(autoscale, err);
    return output_result(&autoscale->output, created, "autoscaled", generate->write.dry_run, err);
}

static int run_autoscale(struct autoscale *autoscale, const struct strv *args)
{
    struct cli *cli = autoscale->generate.cli;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (autoscale->cpu_percent_seen)
        fputs("Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource quantity format (e.g., "
              "'70%' "
              "for utilization or '500m' for milliCPU).\n",
              stderr);
    if (write_options_check(&autoscale->generate.write, &err) < 0 ||
        output_parse(&autoscale->generate.output_options, &autoscale->output, &err) < 0 ||
        check_options(autoscale, &err) < 0 ||
        items_resolve(cli, &autoscale->selection, args, !selection_has_files(&autoscale->selection), &items, &failures,
                      &err) < 0)
        return cli_fail(cli, &err);
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (autoscale_one(autoscale, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    if (items.n == 0 && failures.n == 0)
        return cli_error("no objects passed to autoscale");
    return cli_fail_all(cli, &failures);
}

int command_autoscale(struct cli *cli, int argc, char **argv)
{
    struct autoscale autoscale = {.generate = GENERATE_INIT(cli), .min = -1, .max = -1, .cpu_percent = -1};
    autoscale.generate.write.field_manager = "kubectl-autoscale";
    autoscale.generate.write.validate = NULL;
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&autoscale.selection),
        OUTPUT_OPTIONS(&autoscale.generate.output_options),
        WRITE_DRY_RUN_OPTION(&autoscale.generate.write),
        WRITE_MANAGER_OPTION(&autoscale.generate.write),
        WRITE_RECORD_OPTION(&autoscale.generate.write),
        GENERATE_SAVE_CONFIG_OPTION(&autoscale.generate),
        {"cpu", 0, OPT_STRING, &autoscale.cpu, "", "CPU to aim at: 70% of what is requested, or an amount: 500m."},
        {"cpu-percent", 0, OPT_INT, &autoscale.cpu_percent, "-1", NULL, NULL, &autoscale.cpu_percent_seen},
        {"max", 0, OPT_INT, &autoscale.max, "-1", "Most pods.", NULL, &autoscale.max_seen},
        {"memory", 0, OPT_STRING, &autoscale.memory, "", "Memory to aim at: 60% of what is requested, or an amount."},
        {"min", 0, OPT_INT, &autoscale.min, "-1", "Fewest pods."},
        {"name", 0, OPT_STRING, &autoscale.name, "", "Name of the autoscaler; that of the resource unless given."},
        {0},
    };
    const struct cli_command command = {
        .words = "autoscale",
        .usage = "(-f FILENAME | TYPE NAME | TYPE/NAME) [--min=MINPODS] --max=MAXPODS [--cpu=CPU] [--memory=MEMORY] "
                 "[options]",
        .about = "Create an autoscaler that chooses the number of pods of a deployment, replica set, stateful set, or "
                 "replication controller.",
        .required = "max",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_autoscale(&autoscale, &args);
    selection_done(&autoscale.selection);
    output_done(&autoscale.output);
    return code;
}
