/*
 * editor.h: letting the user change a text in the editor of their choice.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/*
 * Writes text to a temporary file "PROGRAM-edit-...SUFFIX", runs KUBE_EDITOR, EDITOR or vi on it, and reads it back
 * into *ret (empty before). *ret_path: the file, which stays; heap string, also set when the editor failed. ERR_IO,
 * ERR_TOO_BIG.
 */
int editor_edit(const char *program, const char *suffix, const struct buf *text, struct buf *ret, char **ret_path,
                struct err *err) MUST_CHECK;
/* An editor command as words; quotes and backslashes as in a shell, no expansion of anything. ERR_PARSE. */
int editor_words(const char *command, struct strv *ret, struct err *err) MUST_CHECK;
