/*
 * detach.c: detach keys, named as Docker and kubectl name them.
 */
#include "streams/detach.h"

#include "base/mem.h"
#include "base/str.h"

/* "a", "ctrl-a", "ctrl-\\", "DEL"; -1 for none. */
static int key_of(const char *name)
{
    static const char controls[] = "@abcdefghijklmnopqrstuvwxyz[\\]^_"; /* the characters 0 to 31 */
    if (strlen(name) == 1)
        return (unsigned char)name[0];
    if (streq(name, "DEL"))
        return 127;
    const char *control = starts_with(name, "ctrl-") && strlen(name) == 6 ? strchr(controls, name[5]) : NULL;
    return control != NULL ? (int)(control - controls) : -1;
}

int detach_parse(const char *text, struct detach *ret, struct err *err)
{
    CLEANUP(strv_done) struct strv names = {0};
    struct detach detach = {0};
    strv_split(&names, text, ',');
    for (size_t i = 0; i < names.n; i++) {
        int key = key_of(names.items[i]);
        if (key < 0)
            return err_set(err, ERR_USAGE, "Unknown character: '%s'", names.items[i]);
        if (detach.n_keys == DETACH_KEYS_MAX)
            return err_set(err, ERR_TOO_BIG, "more than %d detach keys", DETACH_KEYS_MAX);
        detach.keys[detach.n_keys++] = (char)key;
    }
    *ret = detach;
    return 0;
}

bool detach_filter(struct detach *detach, const char *typed, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (detach->n_keys > 0 && typed[i] == detach->keys[detach->matched]) {
            if (++detach->matched == detach->n_keys)
                return true;
            continue;
        }
        /* not the keys after all; this one may be the first of them */
        buf_add(out, detach->keys, detach->matched);
        bool begins = detach->matched > 0 && typed[i] == detach->keys[0];
        detach->matched = begins;
        if (!begins)
            buf_add_char(out, typed[i]);
    }
    return false;
}
