/*
 * cordon.h: nodes out of and back into service: what cordon, uncordon and drain share.
 */
#pragma once

#include "objects/write.h"
#include "print/output.h"

struct cordon {
    struct cli *cli;
    const char *words; /* "cordon", "uncordon", "drain" */
    struct selection selection;
    bool selector_seen;
    struct write_options write;
    struct items nodes; /* after cordon_find_nodes */
};
void cordon_done(struct cordon *cordon);

/* Rows for -l and --dry-run. */
#define CORDON_OPTIONS(cordon)                                                                              \
    {.name = "selector",                                                                                    \
     .letter = 'l',                                                                                         \
     .type = OPT_STRING,                                                                                    \
     .value = &(cordon)->selection.label_selector,                                                          \
     .argument = "",                                                                                        \
     .help = "Label query for the nodes, for example -l key1=value1,key2=value2.",                          \
     .seen = &(cordon)->selector_seen},                                                                     \
        WRITE_DRY_RUN_OPTION(&(cordon)->write)

/* Checks the options and reads the nodes that names or the selector mean. */
int cordon_find_nodes(struct cordon *cordon, const struct strv *names, struct err *err) MUST_CHECK;
/* Sets spec.unschedulable of all nodes; what fails is told and left. */
void cordon_set(struct cordon *cordon, bool unschedulable);
