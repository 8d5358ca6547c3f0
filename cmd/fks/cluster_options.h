/*
 * options.h: the flags that eksctl-style commands share, which of them each command takes, and the rule for its one
 * optional NAME. A flag that a command has no use for is unknown to it, unless eksctl's command of that name has it: then
 * it is taken, so that scripts go on, and a warning says that it does nothing.
 */
#pragma once

#include "base/opt.h"
#include "cli.h"

struct cluster_options {
    const char *name, *cluster, *region, *output, *config_file;
    int64_t timeout_ms;
    bool wait, help;
    int n_ignored; /* flags that were given and do nothing */
};

/*
 * Parses the command's shared flags (options.c has a row for each command) and those of `own` (may be NULL), and takes NAME
 * from the argument or --name. words: "get cluster"; summary: first paragraph of the help. 1: the command is done: help was
 * printed, or a shell's question answered.
 */
int cluster_options_parse(struct cli *cli, struct cluster_options *options, const struct opt *own, const char *words,
                          const char *summary, int argc, char **argv, struct err *err) MUST_CHECK;
