/* options.c: see options.h. */
#include "cluster_options.h"

#include <stddef.h>
#include <unistd.h>

#include "base/mem.h"
#include "install/progress.h"

/* Flags with an effect; help NULL: hidden. */
static const struct {
    const char *name;
    char letter;
    enum opt_type type;
    size_t offset; /* in struct cluster_options */
    const char *argument, *help;
} known[] = {
    {"name", 'n', OPT_STRING, offsetof(struct cluster_options, name), "NAME", "its name; the same as the argument"},
    {"cluster", 'c', OPT_STRING, offsetof(struct cluster_options, cluster), "CLUSTER", "cluster (default: that of the current context)"},
    {"region", 'r', OPT_STRING, offsetof(struct cluster_options, region), "REGION", "only what is in this region"},
    {"output", 'o', OPT_STRING, offsetof(struct cluster_options, output), "FORMAT", "table, json or yaml"},
    {"wait", 'w', OPT_BOOL, offsetof(struct cluster_options, wait), NULL, "wait until it is gone"},
    {"timeout", 0, OPT_DURATION, offsetof(struct cluster_options, timeout_ms), "DURATION", "longest time to wait"},
    {"config-file", 'f', OPT_STRING, offsetof(struct cluster_options, config_file), "FILE", NULL},
};

/* eksctl's flags that can mean nothing here; those of `known` may be named as such, too. */
static const struct {
    const char *name;
    char letter;
    enum opt_type type;
} meaningless[] = {
    {"profile", 'p', OPT_STRING},
    {"chunk-size", 0, OPT_INT},
    {"cfn-role-arn", 0, OPT_STRING},
    {"cfn-disable-rollback", 0, OPT_BOOL},
    {"authenticator-role-arn", 0, OPT_STRING},
    {"role-arn", 0, OPT_STRING},
    {"disable-nodegroup-eviction", 0, OPT_BOOL},
    {"pod-eviction-wait-period", 0, OPT_DURATION},
    {"parallel", 0, OPT_INT},
    {"update-auth-configmap", 0, OPT_BOOL},
    {"drain", 0, OPT_BOOL},
    {"max-grace-period", 0, OPT_DURATION},
    {"disable-eviction", 0, OPT_BOOL},
    {"version", 0, OPT_STRING},
    {"tags", 0, OPT_STRING},
    {"node-type", 't', OPT_STRING},
    {"nodes-min", 'm', OPT_INT},
    {"nodes-max", 'M', OPT_INT},
    {"node-volume-size", 0, OPT_INT},
    {"node-volume-type", 0, OPT_STRING},
    {"max-pods-per-node", 0, OPT_INT},
    {"ssh-access", 0, OPT_BOOL},
    {"ssh-public-key", 0, OPT_STRING},
    {"enable-ssm", 0, OPT_BOOL},
    {"node-ami", 0, OPT_STRING},
    {"node-ami-family", 0, OPT_STRING},
    {"node-private-networking", 'P', OPT_BOOL},
    {"node-security-groups", 0, OPT_STRING},
    {"node-labels", 0, OPT_STRING},
    {"node-zones", 0, OPT_STRING},
    {"instance-prefix", 0, OPT_STRING},
    {"instance-name", 0, OPT_STRING},
    {"disable-pod-imds", 0, OPT_BOOL},
    {"managed", 0, OPT_BOOL},
    {"spot", 0, OPT_BOOL},
    {"instance-types", 0, OPT_STRING},
    {"subnet-ids", 0, OPT_STRING},
    {"skip-outdated-addons-check", 0, OPT_BOOL},
};

/* What each command takes, and what it takes for eksctl's sake only. */
static const struct verb {
    const char *words, *takes, *ignores;
} verbs[] = {
    {"get cluster", "name region output config-file", "timeout chunk-size profile"},
    {"delete cluster", "name wait config-file",
     "region timeout profile cfn-role-arn cfn-disable-rollback disable-nodegroup-eviction pod-eviction-wait-period parallel"},
    {"start cluster", "name timeout", ""},
    {"stop cluster", "name", ""},
    {"register cluster", "name timeout", "region profile role-arn"},
    {"deregister cluster", "name timeout", "region profile"},
    {"create fargateprofile", "name cluster timeout config-file", "region profile"},
    {"get fargateprofile", "name cluster output config-file", "region timeout chunk-size profile"},
    {"delete fargateprofile", "name cluster wait timeout config-file", "region profile"},
    {"create nodegroup", "name cluster timeout config-file",
     "region profile tags version node-type nodes-min nodes-max node-volume-size node-volume-type max-pods-per-node ssh-access "
     "ssh-public-key enable-ssm node-ami node-ami-family node-private-networking node-security-groups node-labels node-zones "
     "instance-prefix instance-name disable-pod-imds managed spot instance-types subnet-ids update-auth-configmap "
     "skip-outdated-addons-check cfn-role-arn cfn-disable-rollback"},
    {"get nodegroup", "name cluster output config-file", "region timeout chunk-size profile"},
    {"delete nodegroup", "name cluster wait config-file",
     "region timeout profile update-auth-configmap drain max-grace-period pod-eviction-wait-period disable-eviction parallel "
     "cfn-role-arn cfn-disable-rollback"},
    {"utils write-kubeconfig", "cluster name config-file", "region timeout profile authenticator-role-arn"},
};

/* Where the values of flags that mean nothing go. */
struct unused {
    bool truth;
    const char *text;
    int64_t number;
    bool seen[countof(known) + countof(meaningless)];
    const char *names[countof(known) + countof(meaningless)];
};

static bool has_word(const char *list, const char *word)
{
    CLEANUP(strv_done) struct strv words = {0};
    strv_split(&words, list, ' ');
    return strv_has(&words, word);
}

static void add_unused(struct unused *unused, const char *name, char letter, enum opt_type type, struct opt *rows, size_t *n)
{
    void *value = type == OPT_BOOL ? (void *)&unused->truth : type == OPT_STRING ? (void *)&unused->text : (void *)&unused->number;
    unused->names[*n] = name;
    rows[*n] = (struct opt){name, letter, type, value, type == OPT_BOOL ? NULL : "VALUE", NULL, NULL, &unused->seen[*n]};
    (*n)++;
}

/* rows has room for every flag, --help and the end. */
static void make_rows(const struct verb *verb, struct cluster_options *options, struct unused *unused, struct opt *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < countof(known); i++) {
        if (has_word(verb->takes, known[i].name))
            rows[n++] = (struct opt){known[i].name,     known[i].letter, known[i].type, (char *)options + known[i].offset,
                                     known[i].argument, known[i].help,   NULL,          NULL};
        else if (has_word(verb->ignores, known[i].name))
            add_unused(unused, known[i].name, known[i].letter, known[i].type, rows, &n);
    }
    for (size_t i = 0; i < countof(meaningless); i++) {
        if (has_word(verb->ignores, meaningless[i].name))
            add_unused(unused, meaningless[i].name, meaningless[i].letter, meaningless[i].type, rows, &n);
    }
    rows[n++] = (struct opt){"help", 'h', OPT_BOOL, &options->help, NULL, "help for this command", NULL, NULL};
    rows[n] = (struct opt){0};
}

static const struct verb *find_verb(const char *words)
{
    for (size_t i = 0; i < countof(verbs); i++) {
        if (streq(verbs[i].words, words))
            return &verbs[i];
    }
    return NULL;
}

static void print_help(const char *words, const char *summary, const struct opt *shared, const struct opt *own)
{
    CLEANUP(buf_done) struct buf help = {0};
    buf_printf(&help, "%s\n\nUsage: fks %s [NAME] [flags]\n\nFlags:\n", summary, words);
    if (own != NULL)
        opt_help(own, &help);
    opt_help(shared, &help);
    (void)!write(STDOUT_FILENO, help.data, help.len);
}

static int take_name(struct cluster_options *options, const struct strv *args, int argc, char **argv, struct err *err)
{
    if (args->n > 1)
        return err_set(err, ERR_USAGE, "only one argument is allowed to be used as a name");
    if (args->n == 0)
        return 0;
    if (options->name != NULL)
        return err_set(err, ERR_USAGE, "--name=%s and argument %s cannot be used at the same time", options->name, args->items[0]);
    for (int i = 1; i < argc; i++) /* args holds copies; argv lives as long as the program */
        if (streq(argv[i], args->items[0]))
            options->name = argv[i];
    return 0;
}

int cluster_options_parse(struct cli *cli, struct cluster_options *options, const struct opt *own, const char *words,
                          const char *summary, int argc, char **argv, struct err *err)
{
    struct opt shared[countof(known) + countof(meaningless) + 2];
    struct unused unused = {0};
    const struct verb *verb = find_verb(words);
    if (verb == NULL)
        return err_set(err, ERR_INTERNAL, "'%s' has no row in the table of clusters' commands", words);
    make_rows(verb, options, &unused, shared);
    const struct cli_command command = {.words = words, .usage = "[NAME] [flags]", .about = summary, .options = shared, .more_options = own, .alone = true};
    if (cli_answers(cli, &command, argc, argv))
        return 1;
    const struct opt_tables tables = {{shared, own}};
    CLEANUP(strv_done) struct strv args = {0};
    int dash;
    int r = opt_parse(&tables, argc - 1, argv + 1, false, &args, &dash, err);
    if (r < 0)
        return r;
    if (options->help) {
        options->help = false; /* the default, which the text shows */
        print_help(words, summary, shared, own);
        return 1;
    }
    for (size_t i = 0; i < countof(unused.seen); i++) {
        if (!unused.seen[i])
            continue;
        progress(PROGRESS_WARNING, "--%s has no effect on '%s' here", unused.names[i], words);
        options->n_ignored++;
    }
    if (options->config_file != NULL)
        return err_set(err, ERR_USAGE, "--config-file is not available yet for '%s': use flags, or 'fks apply -f' with FargateProfile objects", words);
    return take_name(options, &args, argc, argv, err);
}
