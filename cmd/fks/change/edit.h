/*
 * edit.h: objects in an editor: edit, apply edit-last-applied, create --edit.
 */
#pragma once

#include "objects/write.h"
#include "print/output.h"

enum edit_mode {
    EDIT_LIVE,         /* the server's objects; what was changed is patched */
    EDIT_LAST_APPLIED, /* apply's annotation on them */
    EDIT_CREATE,       /* the objects of files, each alone, before they are created */
};

struct edit {
    struct cli *cli;
    enum edit_mode mode;
    struct selection *selection;
    struct write_options *write;
    struct output_options *output_options;
    struct output output;
    bool output_patch, save_config, windows_line_endings;
    const char *subresource; /* or NULL */
};

/* Returns the exit code. */
int edit_run(struct edit *edit, const struct strv *args);
