/*
 * options.h: the flags that every eksctl-style command shares, and the rule for its one optional NAME.
 */
#pragma once

#include "base/opt.h"
#include "cli.h"

struct cluster_options {
    const char *name, *cluster, *region, *output, *config_file;
    int64_t timeout_ms, chunk_size;
    bool wait, help;
};

/*
 * Parses shared flags and those of `own` (may be NULL), and takes NAME from the argument or --name. words: "get cluster";
 * summary: first paragraph of the help. 1: help was printed, the command is done.
 */
int cluster_options_parse(struct cluster_options *options, const struct opt *own, const char *words, const char *summary,
                          int argc, char **argv, struct err *err) MUST_CHECK;
