/*
 * temporary.h: folders of a test's own, below $TMPDIR; what a failed test leaves there is removed by test/run.py.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

/* An empty folder; owned by the caller, who ends it with temporary_remove. */
static inline char *temporary_folder(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = path_join(parent != NULL ? parent : "/tmp", "fks-unit-XXXXXX", NULL);

    if (mkdtemp(folder) == NULL)
        fail_msg("no folder %s", folder);
    return folder;
}

static inline void temporary_remove(char *folder)
{
    CLEANUP(err_clear) struct err err = {0};

    if (dir_remove(folder, &err) < 0)
        fail_msg("%s", err_text(&err));
    free(folder);
}
DEFINE_CLEANUP_POINTER(char *, temporary_remove)

/* A file of this text in the folder; the folders on its path are made. */
static inline void temporary_file(const char *folder, const char *path, const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *full = path_join(folder, path, NULL);
    CLEANUP(xfree) char *parent = xstrndup(full, (size_t)(strrchr(full, '/') - full));

    if (dir_make(parent, 0755, &err) < 0 || file_write_atomic(full, text, strlen(text), 0644, &err) < 0)
        fail_msg("%s", err_text(&err));
}
