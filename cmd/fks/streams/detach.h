/*
 * detach.h: the keys that end an attached session ("ctrl-p,ctrl-q"), found in what is typed. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"
#define DETACH_KEYS_MAX 32

/* {0} looks for nothing. */
struct detach {
    char keys[DETACH_KEYS_MAX];
    size_t n_keys, matched; /* matched: so many have been typed and are held back */
};
/* ERR_USAGE "Unknown character: 'x'". */
int detach_parse(const char *text, struct detach *ret, struct err *err) MUST_CHECK;
/* Adds to out what may be passed on. true: the keys have been typed, what came after them is dropped. */
bool detach_filter(struct detach *detach, const char *typed, size_t len, struct buf *out);
