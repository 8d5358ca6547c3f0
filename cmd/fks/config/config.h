/*
 * config.h: between config.c (reading), config_edit.c, config_entries.c and config_property.c (writing).
 */
#pragma once

#include "cli.h"

/* The entry of a section ("clusters", "users", "contexts") with a name; NULL if there is none. Borrowed. */
const struct json *config_entry(const struct json *config, const char *section, const char *name);
/* "cluster", "user", "context": the key of an entry's content. */
const char *config_content_key(const char *section);

/* One kubeconfig file being changed. */
struct config_file {
    char *path;
    struct json *config; /* {} when the file is not there yet */
};
/* The file that has the entry (section NULL: a current-context), else the one for new entries. */
int config_file_open(const struct cli *cli, const char *section, const char *name, struct config_file *ret,
                     struct err *err) MUST_CHECK;
int config_file_store(const struct config_file *file, struct err *err) MUST_CHECK;
void config_file_done(struct config_file *file);
DEFINE_CLEANUP_IN_PLACE(struct config_file, config_file_done)
/* The content of an entry, made if it is not there. */
struct json *config_edit_entry(struct json *config, const char *section, const char *name, bool *ret_existed);
/* False: there was none of the name. */
bool config_drop_entry(struct json *config, const char *section, const char *name);
/* "Unexpected args: [a b]"; returns the exit code. */
int config_unexpected_args(const struct strv *args);
