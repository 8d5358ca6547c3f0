/*
 * user_ids.c: gives out ranges of user and group IDs. A record in each pod's folder is the memory of it: it goes with the
 * folder. Files on volumes are not touched: the runtime maps their owners where it mounts them.
 */
#include "host/user_ids.h"

#include <dirent.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/json.h"

/* Below 2^31, since some programs take a user ID for a signed number; slot 0 is the host's own users. */
#define SLOTS (0x80000000u / USER_IDS_LENGTH)

struct user_ids {
    char *state_dir;
    struct map slots; /* pod UID → slot, as a pointer */
};

static char *record_path(const struct user_ids *ids, const char *uid)
{
    return path_join(ids->state_dir, "pods", uid, "userns", NULL);
}

static uint32_t slot_of(const struct user_ids *ids, const char *uid)
{
    return (uint32_t)(uintptr_t)map_get(&ids->slots, uid);
}

static bool is_taken(const struct user_ids *ids, uint32_t slot)
{
    const char *uid;
    void *value;

    for (size_t i = 0; map_next(&ids->slots, &i, &uid, &value);)
        if ((uint32_t)(uintptr_t)value == slot)
            return true;
    return false;
}

/* --- records */

static bool is_range(const struct json *list, int64_t *ret_first)
{
    const struct json *item = json_at(list, 0);

    *ret_first = json_int_or(0, item, "hostId", NULL);
    return json_len(list) == 1 && json_int_or(-1, item, "containerId", NULL) == 0 &&
           json_int_or(0, item, "length", NULL) == USER_IDS_LENGTH && *ret_first % USER_IDS_LENGTH == 0 &&
           *ret_first >= USER_IDS_LENGTH && *ret_first / USER_IDS_LENGTH < SLOTS;
}

uint32_t user_ids_parse(const char *text, size_t len)
{
    CLEANUP(json_free) struct json *record = NULL;
    CLEANUP(err_clear) struct err err = {0};
    int64_t users, groups;

    if (json_parse(text, len, &record, &err) < 0 || !is_range(json_get(record, "uidMappings", NULL), &users) ||
        !is_range(json_get(record, "gidMappings", NULL), &groups) || users != groups)
        return 0;
    return (uint32_t)users;
}

static int write_record(const struct user_ids *ids, const char *uid, uint32_t slot, struct err *err)
{
    CLEANUP(xfree) char *path = record_path(ids, uid);
    CLEANUP(buf_done) struct buf text = {0};
    struct json *range = json_build("[{s:I, s:i, s:i}]", "hostId", (long long)slot * USER_IDS_LENGTH, "containerId", 0,
                                    "length", USER_IDS_LENGTH);
    CLEANUP(json_free) struct json *record = json_build("{s:O, s:o}", "uidMappings", range, "gidMappings", range);

    json_print(record, &text);
    return file_write_atomic(path, text.data, text.len, 0600, err);
}

static void recall(struct user_ids *ids, const char *uid)
{
    CLEANUP(xfree) char *path = record_path(ids, uid);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};

    int result = file_read(path, LIMIT_FILE, &text, &err);
    if (result == ERR_NOT_FOUND)
        return;
    uint32_t first = result == 0 ? user_ids_parse(buf_text(&text), text.len) : 0;
    if (first == 0 || is_taken(ids, first / USER_IDS_LENGTH))
        log_warn("the record of a pod's user IDs is of no use", "file", path, "error", err_text(&err));
    else
        (void)map_set(&ids->slots, uid, (void *)(uintptr_t)(first / USER_IDS_LENGTH));
}

/* --- life */

struct user_ids *user_ids_new(const char *state_dir)
{
    struct user_ids *ids = NEW(struct user_ids);
    CLEANUP(xfree) char *path = path_join(state_dir, "pods", NULL);
    const struct dirent *entry;

    ids->state_dir = xstrdup(state_dir);
    DIR *folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            recall(ids, entry->d_name);
    if (folder != NULL)
        (void)closedir(folder);
    return ids;
}

struct user_ids *user_ids_free(struct user_ids *ids)
{
    if (ids != NULL) {
        map_done(&ids->slots);
        free(ids->state_dir);
        free(ids);
    }
    return NULL;
}

struct cri_id_range user_ids_get(const struct user_ids *ids, const char *uid)
{
    uint32_t slot = slot_of(ids, uid);

    return (struct cri_id_range){slot * USER_IDS_LENGTH, slot > 0 ? USER_IDS_LENGTH : 0};
}

/* By chance: agents of other hosts on the same machine, which know nothing of this one, then hardly ever take the same. */
static uint32_t free_slot(const struct user_ids *ids)
{
    uint32_t first = (uint32_t)random_below(SLOTS - 1);

    for (uint32_t i = 0; i < SLOTS - 1; i++) {
        uint32_t slot = 1 + (first + i) % (SLOTS - 1);
        if (!is_taken(ids, slot))
            return slot;
    }
    return 0;
}

int user_ids_take(struct user_ids *ids, const char *uid, struct cri_id_range *ret, struct err *err)
{
    uint32_t slot = slot_of(ids, uid);

    if (slot == 0) {
        slot = free_slot(ids);
        if (slot == 0)
            return err_set(err, ERR_BUSY, "every range of user IDs is taken");
        int result = write_record(ids, uid, slot, err);
        if (result < 0)
            return result;
        (void)map_set(&ids->slots, uid, (void *)(uintptr_t)slot);
    }
    *ret = user_ids_get(ids, uid);
    return 0;
}

void user_ids_give(struct user_ids *ids, const char *uid)
{
    (void)map_del(&ids->slots, uid);
}
