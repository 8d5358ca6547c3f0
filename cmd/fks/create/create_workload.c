/*
 * create_workload.c: `create namespace | serviceaccount | deployment | job | cronjob`.
 */
#include "objects/generate.h"

#include <ctype.h>

#include "base/codec.h"
#include "base/mem.h"

int command_create_namespace(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    const struct opt options[] = {GENERATE_OPTIONS(&generate), {0}};
    const struct cli_command command = {.words = "create namespace",
                                        .usage = "NAME [--dry-run=server|client|none] [options]",
                                        .about = "Create a namespace with the specified name.",
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o, s:{}, s:{}}", "kind", "Namespace", "apiVersion", "v1",
                                      "metadata", generate_metadata(&generate, generate.name, false), "spec", "status"),
                           NULL);
}

int command_create_serviceaccount(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    const struct opt options[] = {GENERATE_OPTIONS(&generate), {0}};
    const struct cli_command command = {.words = "create serviceaccount",
                                        .usage = "NAME [--dry-run=server|client|none] [options]",
                                        .about = "Create a service account with the specified name.",
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o}", "kind", "ServiceAccount", "apiVersion", "v1", "metadata",
                                      generate_metadata(&generate, generate.name, true)),
                           "serviceaccount:");
}

/* A container's name from its image: the last part without tag and digest, made a DNS label. */
static char *container_name(const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *base = slash != NULL ? slash + 1 : image;
    char *name = xstrndup(base, strcspn(base, ":@"));
    bool changed = false;
    size_t n = 0;
    for (const char *c = name; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) && !isupper((unsigned char)*c))
            name[n++] = *c;
        else if (*c == '-' || isupper((unsigned char)*c))
            name[n++] = (char)tolower((unsigned char)*c);
        else
            changed = true;
        changed = changed || isupper((unsigned char)*c);
    }
    name[n] = '\0';
    if (!changed)
        return name;
    /* several images may lose what told them apart */
    char suffix[6] = "";
    random_hex(suffix, 5);
    CLEANUP(xfree) char *plain = name;
    return xasprintf("%s-%s", plain, suffix);
}

static struct json *deployment_containers(const struct strv *images, struct json *command_line, int64_t port)
{
    struct json *containers = json_new_array();
    for (size_t i = 0; i < images->n; i++) {
        CLEANUP(xfree) char *name = container_name(images->items[i]);
        struct json *container = json_build("{s:s, s:s}", "name", name, "image", images->items[i]);
        if (command_line != NULL)
            json_set(container, "command", json_clone(command_line));
        if (i == 0 && port >= 0)
            json_set(container, "ports", json_build("[{s:I}]", "containerPort", port));
        json_set(container, "resources", json_new_object());
        json_push(containers, container);
    }
    return containers;
}

int command_create_deployment(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(strv_done) struct strv images = {0};
    int64_t port = -1, replicas = 1;
    bool image_seen = false;
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        {"image", 0, OPT_LIST, &images, "[]", "Images to run, one container each.", NULL, &image_seen},
        {"port", 0, OPT_INT, &port, "-1", "The port that the first container exposes."},
        {"replicas", 'r', OPT_INT, &replicas, "1", "Number of replicas."},
        {0},
    };
    const struct cli_command command = {.words = "create deployment",
                                        .usage = "NAME --image=image -- [COMMAND] [args...] [options]",
                                        .about = "Create a deployment with the specified name.",
                                        .required = "image",
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    const char *name = generate.name;
    CLEANUP(json_free) struct json *command_line = generate_command(&generate);
    if (command_line != NULL && images.n > 1)
        return cli_error("cannot specify multiple --image options and command");
    struct json *metadata = generate_metadata(&generate, generate.name, true);
    json_set(metadata, "labels", json_build("{s:s}", "app", name));
    struct json *template = json_build("{s:{s:{s:s}}, s:{s:o}}", "metadata", "labels", "app", name, "spec",
                                       "containers", deployment_containers(&images, command_line, port));
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o, s:{s:I, s:{s:{s:s}}, s:o, s:{}}, s:{}}", "kind", "Deployment",
                                      "apiVersion", "apps/v1", "metadata", metadata, "spec", "replicas", replicas,
                                      "selector", "matchLabels", "app", name, "template", template, "strategy",
                                      "status"),
                           "deployment:");
}

/* The pod template of a job: one container. */
static struct json *job_template(const char *name, const char *image, struct json *command_line, const char *restart)
{
    struct json *container = json_build("{s:s, s:s}", "name", name, "image", image);
    if (command_line != NULL)
        json_set(container, "command", command_line);
    json_set(container, "resources", json_new_object());
    return json_build("{s:{}, s:{s:[o], s:s}}", "metadata", "spec", "containers", container, "restartPolicy", restart);
}

/* create job --from=cronjob/NAME: what the CronJob would make now. */
static int job_from_cronjob(struct generate *generate, const char *name, const char *from, struct json **ret,
                            struct err *err)
{
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    const struct selection selection = {0};
    strv_add(&args, from);
    if (items_from_args(generate->cli, &selection, &args, &items, err) < 0)
        return err->code;
    const struct kube_resource *resource = items.list[0].resource;
    if (!streq(resource->kind, "CronJob"))
        return err_set(err, ERR_INVALID, "unknown object type *%s.%s", resource->version, resource->kind);
    CLEANUP(json_free) struct json *cronjob = NULL;
    if (item_get(generate->cli, &items.list[0], NULL, &cronjob, err) < 0)
        return err->code;
    const struct json *template = json_get(cronjob, "spec", "jobTemplate", NULL);
    struct json *metadata = generate_metadata(generate, name, true);
    const struct json *labels = json_get(template, "metadata", "labels", NULL);
    if (labels != NULL)
        json_set(metadata, "labels", json_keep(labels));
    const struct json *own = json_get(template, "metadata", "annotations", NULL);
    struct json *annotations = own != NULL ? json_clone(own) : json_new_object();
    json_set_str(annotations, "cronjob.kubernetes.io/instantiate", "manual");
    json_set(metadata, "annotations", annotations);
    json_set(metadata, "ownerReferences",
             json_build("[{s:s, s:s, s:s, s:s, s:b}]", "apiVersion", "batch/v1", "kind", "CronJob", "name",
                        json_str(cronjob, "metadata", "name", NULL), "uid", json_str(cronjob, "metadata", "uid", NULL),
                        "controller", 1));
    *ret = json_build("{s:s, s:s, s:o, s:O, s:{}}", "kind", "Job", "apiVersion", "batch/v1", "metadata", metadata,
                      "spec", json_get(template, "spec", NULL), "status");
    return 0;
}

int command_create_job(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    const char *image = NULL, *from = NULL;
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        {"from", 0, OPT_STRING, &from, "", "The cronjob to make a job of: cronjob/NAME."},
        {"image", 0, OPT_STRING, &image, "", "Image to run."},
        {0},
    };
    const struct cli_command command = {.words = "create job",
                                        .usage =
                                            "NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...] [options]",
                                        .about = "Create a job with the specified name.",
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    CLEANUP(json_free) struct json *command_line = generate_command(&generate);
    if ((image == NULL) == (from == NULL))
        return cli_error("either --image or --from must be specified");
    if (command_line != NULL && from != NULL)
        return cli_error("cannot specify --from and command");
    struct json *job = NULL;
    CLEANUP(err_clear) struct err err = {0};
    if (from != NULL && job_from_cronjob(&generate, generate.name, from, &job, &err) < 0)
        return cli_fail(cli, &err);
    if (from == NULL)
        job = json_build("{s:s, s:s, s:o, s:{s:o}, s:{}}", "kind", "Job", "apiVersion", "batch/v1", "metadata",
                         generate_metadata(&generate, generate.name, true), "spec", "template",
                         job_template(generate.name, image, take(&command_line), "Never"), "status");
    return generate_finish(&generate, job, "job:");
}

int command_create_cronjob(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    const char *image = NULL, *schedule = NULL, *restart = "OnFailure";
    bool image_seen = false, schedule_seen = false;
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        {"image", 0, OPT_STRING, &image, "", "Image to run.", NULL, &image_seen},
        {"restart", 0, OPT_STRING, &restart, "OnFailure", "The pods' restart policy: OnFailure or Never."},
        {"schedule", 0, OPT_STRING, &schedule, "", "When to run, in cron format.", NULL, &schedule_seen},
        {0},
    };
    const struct cli_command command = {
        .words = "create cronjob",
        .usage = "NAME --image=image --schedule='0/5 * * * ?' -- [COMMAND] [args...] [flags] [options]",
        .about = "Create a cron job with the specified name.",
        .required = "image,schedule",
        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    struct json *job = json_build("{s:{s:s}, s:{s:o}}", "metadata", "name", generate.name, "spec", "template",
                                  job_template(generate.name, image, generate_command(&generate), restart));
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o, s:{s:s, s:o}, s:{}}", "kind", "CronJob", "apiVersion",
                                      "batch/v1", "metadata", generate_metadata(&generate, generate.name, true), "spec",
                                      "schedule", schedule, "jobTemplate", job, "status"),
                           "cronjob:");
}
