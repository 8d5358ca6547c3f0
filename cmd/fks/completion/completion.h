/*
 * completion.h: what may come next on a command line, for the shells' TAB. A shell calls `fks __complete WORDS... TYPED`; the
 * answer is a candidate a line ("name\tdescription") and a last line ":N" whose bits say what the shell makes of it: the
 * protocol of kubectl's own scripts, which therefore work with fks, too.
 */
#pragma once

#include "cli.h"

enum completion_directive {
    COMPLETION_DEFAULT = 0,    /* no candidates: names of files */
    COMPLETION_NO_SPACE = 2,   /* the word goes on */
    COMPLETION_NO_FILES = 4,   /* no names of files */
    COMPLETION_EXTENSIONS = 8, /* the candidates are extensions of names of files */
};

/* One question of a shell. */
struct completion {
    const char *typed;  /* the word under the cursor, as far as it is typed */
    bool without_help;  /* candidates alone (__completeNoDesc) */
    struct strv found;  /* candidates: "name" or "name\thelp" */
    int directive;      /* enum completion_directive, added up */
};
void completion_done(struct completion *completion);
/* The candidates that begin with what is typed; then the directive. */
void completion_print(const struct completion *completion);

/*
 * Instead of running a command: its options, an option's values or its arguments. args: the words of the line between
 * the command and the one that is typed. Nothing is changed anywhere; what cannot be asked of the server is left out.
 */
void completion_answer(struct cli *cli, const struct cli_command *command, int argc, char **argv);
/* The subcommands of `words`, "" for the first word of a line; called kubectl, only kubectl's. */
void completion_subcommands(const struct cli *cli, struct completion *completion, const char *words);

/* Adds a candidate if it begins with what is typed. */
void completion_add(struct completion *completion, const char *candidate);
/* The arguments of a command that begin with what is typed (completion_args.c). */
void completion_arguments(struct cli *cli, struct completion *completion, const char *words, const struct strv *args);
/* The values of an option; false: nothing is known about them. */
bool completion_values(struct cli *cli, struct completion *completion, const char *words, const char *option,
                       const struct strv *args);
