/*
 * image_credentials.c: see image_credentials.h. One small JSON file: image id to the digests of the credentials that it was
 * pulled with, or to an empty list if it was pulled with none. No password is kept.
 */
#include "images/image_credentials.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/json.h"
#include "net/pki.h"

#define RECORDS_MAX 10000 /* images; then all records go, and everybody pulls once more */

struct image_credentials {
    char *path;
    struct json *images; /* {"sha256:...": ["digest", ...]} */
    bool unsaved;        /* the file does not have all of them: the disk was full */
};

static char *digest_of(const struct pull_credential *credential)
{
    CLEANUP(buf_done) struct buf text = {0};
    const char *parts[] = {credential->username, credential->password, credential->identity_token};
    char digest[65];

    for (size_t i = 0; i < countof(parts); i++) {
        buf_add_str(&text, strempty(parts[i]));
        buf_add_char(&text, '\0');
    }
    pki_sha256_hex(text.data, text.len, digest);
    explicit_bzero(text.data, text.len);
    return xstrdup(digest);
}

static bool has(const struct json *list, const char *digest)
{
    const struct json *item;

    json_each(item, list)
        if (streq(json_string_value(item), digest))
            return true;
    return false;
}

struct image_credentials *image_credentials_new(const char *state_dir)
{
    struct image_credentials *records = NEW(struct image_credentials);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};

    records->path = path_join(state_dir, "image-credentials.json", NULL);
    int result = file_read(records->path, LIMIT_FILE, &text, &err);
    if (result == 0)
        result = json_parse(buf_text(&text), text.len, &records->images, &err);
    if (result < 0 && result != ERR_NOT_FOUND)
        log_warn("the record of what images were pulled with cannot be read", "path", records->path, "error",
                 err_text(&err));
    if (!json_is_object(records->images)) {
        json_free(records->images);
        records->images = json_new_object();
    }
    return records;
}

struct image_credentials *image_credentials_free(struct image_credentials *records)
{
    if (records != NULL) {
        json_free(records->images);
        free(records->path);
        free(records);
    }
    return NULL;
}

static void save(struct image_credentials *records)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};

    json_print(records->images, &text);
    records->unsaved = file_write_atomic(records->path, buf_text(&text), text.len, 0600, &err) < 0;
    if (records->unsaved)
        log_warn("the record of what images were pulled with cannot be written", "path", records->path, "error",
                 err_text(&err));
}

void image_credentials_record(struct image_credentials *records, const char *image_id,
                              const struct pull_credential *used)
{
    const struct json *known = json_member(records->images, image_id);
    CLEANUP(xfree) char *digest = used != NULL ? digest_of(used) : NULL;

    if (known != NULL && (json_len(known) == 0 || (digest != NULL && has(known, digest))))
        return;
    if (known == NULL && json_len(records->images) >= RECORDS_MAX) {
        json_free(records->images);
        records->images = json_new_object();
    }
    struct json *list = known != NULL && digest != NULL ? json_clone(known) : json_new_array();
    if (digest != NULL)
        json_push(list, json_new_string(digest));
    json_set(records->images, image_id, list);
    save(records);
}

bool image_credentials_allow(struct image_credentials *records, const char *image_id,
                             const struct pull_credentials *own)
{
    const struct json *known = json_member(records->images, image_id);

    if (records->unsaved)
        save(records);
    if (known == NULL || json_len(known) == 0)
        return true;
    for (size_t i = 0; i < own->n; i++) {
        CLEANUP(xfree) char *digest = digest_of(&own->items[i]);
        if (has(known, digest))
            return true;
    }
    return false;
}
