/*
 * help.h: the tree of commands as text: the overview, what may follow a word. All from the rows of commands.h.
 */
#pragma once

#include "cli.h"

/* The overview: fks's own groups and kubectl's; as kubectl only kubectl's come first. In the language of $LANG where kubectl has it. */
void help_print_overview(const struct cli *cli);
/* The commands that begin with `words`, and how to learn more; nothing is appended when there are none. */
void help_subcommands(const struct cli *cli, const char *words, struct buf *out);
/* What a group of commands ("config") says without a subcommand. */
void help_print_group(const struct cli *cli, const char *words);
/* The first words of all listed commands, each once. */
void help_top_words(struct strv *out);
/* The longest command that the text begins with, as a heap string; NULL if there is none. */
char *help_find_command(const char *text);
/* The same for "Did you mean this?": in kubectl's order; called kubectl, only kubectl's. */
void help_suggestion_words(const struct cli *cli, struct strv *out);
/* True for the first word of any command, hidden ones too. */
bool help_is_word(const char *word);
/* The name of a command of which these words are another: "create ns" gives "create namespace"; NULL: no command. */
const char *help_full_name(const char *words);
/* A text that kubectl has in other languages, in the user's; else as it is. */
const char *help_translate(const char *text);
/* Words that complete "WORDS PREFIX": subcommands with their help, "word\thelp" each; with_own: those about clusters, too. */
void help_complete(const char *words, const char *prefix, bool with_own, struct strv *out);
