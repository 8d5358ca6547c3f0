/*
 * config.h: between config.c (reading), config_edit.c, config_entries.c and config_property.c (writing).
 */
#pragma once

#include "cli.h"

/* The entry of a section ("clusters", "users", "contexts") with a name; NULL if there is none. Borrowed. */
const struct json *config_entry(const struct json *config, const char *section, const char *name);
/* "cluster", "user", "context": the key of an entry's content. */
const char *config_content_key(const char *section);

/* A user's exec with the members that kubectl's types have and write, though nobody gave them. */
void config_fill_exec(struct json *exec);
/* The line of a command that takes n arguments. False: *ret_code tells how it ended. */
bool config_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, size_t n,
                  struct strv *ret_args, int *ret_code);

/* One kubeconfig file being changed. */
struct config_file {
    const struct cli *cli;
    char *path;
    struct json *config; /* {} when the file is not there yet */
    struct buf said;     /* what the user is told once the file is written */
};
typedef int config_changer(struct config_file *file, void *data, struct err *err);
/*
 * Changes the file that has the entry (section NULL: a current-context), else the one for new entries: it is read, changed
 * by the caller, written if it says something else then. Returns the exit code.
 */
int config_change(struct cli *cli, const char *section, const char *name, config_changer *change, void *data);
/* The content of an entry, made if it is not there. */
struct json *config_edit_entry(struct json *config, const char *section, const char *name, bool *ret_existed);
/* False: there was none of the name. */
bool config_drop_entry(struct json *config, const char *section, const char *name);
