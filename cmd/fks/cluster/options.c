/* options.c: see options.h. */
#include "cluster/options.h"

#include <unistd.h>

#include "base/mem.h"

static void print_help(const char *words, const char *summary, const struct opt *shared, const struct opt *own)
{
    CLEANUP(buf_done) struct buf help = {0};
    buf_printf(&help, "%s\n\nUsage: fks %s [NAME] [flags]\n\nFlags:\n", summary, words);
    if (own != NULL)
        opt_help(own, &help);
    opt_help(shared, &help);
    (void)!write(STDOUT_FILENO, help.data, help.len);
}

int cluster_options_parse(struct cluster_options *options, const struct opt *own, const char *words, const char *summary,
                          int argc, char **argv, struct err *err)
{
    const char *aws = NULL;
    const struct opt shared[] = {
        {"name", 'n', OPT_STRING, &options->name, "NAME", "its name; the same as the argument", NULL, NULL},
        {"cluster", 'c', OPT_STRING, &options->cluster, "CLUSTER", "cluster (default: that of the current context)", NULL, NULL},
        {"region", 'r', OPT_STRING, &options->region, "REGION", "region; a cluster's name is enough here", NULL, NULL},
        {"output", 'o', OPT_STRING, &options->output, "FORMAT", "table, json or yaml", NULL, NULL},
        {"wait", 'w', OPT_BOOL, &options->wait, NULL, "wait until it is gone", NULL, NULL},
        {"timeout", 0, OPT_DURATION, &options->timeout_ms, "DURATION", "longest time to wait", NULL, NULL},
        {"config-file", 'f', OPT_STRING, &options->config_file, "FILE", NULL, NULL, NULL},
        {"chunk-size", 0, OPT_INT, &options->chunk_size, "N", NULL, NULL, NULL},
        {"profile", 'p', OPT_STRING, &aws, "NAME", NULL, NULL, NULL},
        {"help", 'h', OPT_BOOL, &options->help, NULL, "help for this command", NULL, NULL},
        {0},
    };
    const struct opt_tables tables = {{shared, own}};
    CLEANUP(strv_done) struct strv args = {0};
    int dash;
    int r = opt_parse(&tables, argc - 1, argv + 1, false, &args, &dash, err);
    if (r < 0)
        return r;
    if (options->help) {
        print_help(words, summary, shared, own);
        return 1;
    }
    if (options->config_file != NULL)
        return err_set(err, ERR_USAGE, "--config-file is not available yet for '%s': use flags, or 'fks apply -f' with FargateProfile objects", words);
    if (args.n > 1)
        return err_set(err, ERR_USAGE, "only one argument is allowed to be used as a name");
    if (args.n == 0)
        return 0;
    if (options->name != NULL)
        return err_set(err, ERR_USAGE, "--name=%s and argument %s cannot be used at the same time", options->name, args.items[0]);
    for (int i = 1; i < argc; i++) /* args holds copies; argv lives as long as the program */
        if (streq(argv[i], args.items[0]))
            options->name = argv[i];
    return 0;
}
