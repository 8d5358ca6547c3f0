/*
 * config.h: between config.c (reading) and config_edit.c (writing).
 */
#pragma once

#include "cli.h"

/* The entry of a section ("clusters", "users", "contexts") with a name; NULL if there is none. Borrowed. */
const struct json *config_entry(const struct json *config, const char *section, const char *name);
/* "cluster", "user", "context": the key of an entry's content. */
const char *config_content_key(const char *section);
