/*
 * env_file.h: one variable out of an env file (KEP-3721: fileKeyRef), which a container wrote into an emptyDir for those
 * that start after it. Pure.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

/*
 * Looks for key in the text of a file: lines NAME='VALUE', in which everything between the quotes counts as it stands, line
 * ends too. Only what comes before the key is read; the first of two wins.
 * *ret: heap string, NULL when the file does not name the key. "NAME= x" sets nothing, as in a shell.
 * ERR_PARSE: `invalid environment variable format at line 3: missing '='` and the like; ERR_TOO_BIG: a line of 64 KiB.
 */
int env_file_value(const char *text, size_t len, const char *key, char **ret, struct err *err) MUST_CHECK;
