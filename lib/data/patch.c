/*
 * patch.c: writes JSON Patch operations (the admission server's answer), applies them (tests, --local), and merges,
 * compares and applies merge patches.
 */
#include "data/patch.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

void patch_pointer_add(struct buf *pointer, const char *key)
{
    buf_add_char(pointer, '/');
    for (;;) {
        size_t plain = strcspn(key, "~/");
        buf_add(pointer, key, plain);
        key += plain;
        if (*key == '\0')
            return;
        buf_add_str(pointer, *key++ == '~' ? "~0" : "~1");
    }
}

void patch_add(struct json *patch, const char *pointer, struct json *value)
{
    json_push(patch, json_build("{s:s, s:s, s:o}", "op", "add", "path", pointer, "value", value));
}

void patch_replace(struct json *patch, const char *pointer, struct json *value)
{
    json_push(patch, json_build("{s:s, s:s, s:o}", "op", "replace", "path", pointer, "value", value));
}

void patch_remove(struct json *patch, const char *pointer)
{
    json_push(patch, json_build("{s:s, s:s}", "op", "remove", "path", pointer));
}

void patch_text_begin(struct buf *patch, const char *op, const char *pointer)
{
    buf_add_str(patch, patch->len == 0 ? "[{\"op\":" : "},{\"op\":");
    json_print_text(op, patch);
    buf_add_str(patch, ",\"path\":");
    json_print_text(pointer, patch);
    buf_add_str(patch, ",\"value\":");
}

void patch_text_end(struct buf *patch)
{
    if (patch->len > 0)
        buf_add_str(patch, "}]");
}

/* --- applying; the document is an object with one member, so that the root can be replaced like any member */

#define ROOT "root"

struct place { /* where an operation works: a member or element of container */
    struct json *container;
    char *key;    /* decoded last token */
    bool append;  /* the token "-" of an array */
    size_t index; /* in an array; may be its length */
};

static void place_done(struct place *place)
{
    free(place->key);
    place->key = NULL;
}
DEFINE_CLEANUP_IN_PLACE(struct place, place_done)

/* The next reference token, decoded; NULL for a broken escape. */
static char *next_token(const char **pointer)
{
    CLEANUP(buf_done) struct buf token = {0};
    const char *p = *pointer + 1;

    for (; *p != '\0' && *p != '/'; p++) {
        if (*p == '~' && p[1] != '0' && p[1] != '1')
            return NULL;
        buf_add_char(&token, *p != '~' ? *p : p[1] == '0' ? '~' : '/');
        p += *p == '~';
    }
    *pointer = p;
    return buf_take(&token);
}

static bool read_index(const char *token, size_t *ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t index;

    if ((token[0] == '0' && token[1] != '\0') || token[0] == '-' || token[0] == '+' ||
        parse_int(token, 0, INT32_MAX, &index, &ignored) < 0)
        return false;
    *ret = (size_t)index;
    return true;
}

static struct json *step(struct json *container, const char *token)
{
    size_t index;

    if (json_is_array(container))
        return read_index(token, &index) ? json_edit_at(container, index) : NULL;
    return json_edit_member(container, token);
}

static bool find_place(struct json *box, const char *pointer, struct place *ret)
{
    struct json *container = box;
    CLEANUP(xfree) char *token = xstrdup(ROOT);

    while (*pointer == '/') {
        container = step(container, token);
        free(token);
        token = next_token(&pointer);
        if (container == NULL || token == NULL)
            return false;
    }
    if (*pointer != '\0')
        return false;
    ret->container = container;
    ret->append = json_is_array(container) && streq(token, "-");
    if (json_is_array(container) && !ret->append && !read_index(token, &ret->index))
        return false;
    ret->key = take(&token);
    return json_is_array(container) || json_is_object(container);
}

static struct json *value_at(const struct place *place)
{
    if (place->append)
        return NULL;
    return json_is_array(place->container) ? json_edit_at(place->container, place->index)
                                           : json_edit_member(place->container, place->key);
}

static void delete_at(const struct place *place)
{
    if (json_is_array(place->container))
        json_remove_at(place->container, place->index);
    else
        json_del(place->container, place->key);
}

/* Takes value over. */
static bool insert_at(const struct place *place, struct json *value)
{
    struct json *array = place->container;
    size_t len = json_len(array), index = place->append ? len : place->index;

    if (!json_is_array(array)) {
        json_set(array, place->key, value);
        return true;
    }
    if (index > len) {
        json_free(value);
        return false;
    }
    /* elements behind the new one move to the end, in their order */
    json_push(array, value);
    for (size_t i = index; i < len; i++) {
        json_push(array, json_keep(json_at(array, index)));
        json_remove_at(array, index);
    }
    return true;
}

static bool apply_copy_or_move(struct json *box, const struct json *operation, const char *path, bool move)
{
    CLEANUP(place_done) struct place from = {0};
    CLEANUP(place_done) struct place to = {0};
    const char *from_path = json_str(operation, "from", NULL);

    if (from_path == NULL || !find_place(box, from_path, &from) || value_at(&from) == NULL)
        return false;
    size_t len = strlen(from_path);
    if (move && strncmp(path, from_path, len) == 0 && path[len] == '/')
        return false; /* into itself */
    CLEANUP(json_free) struct json *value = json_clone(value_at(&from));
    if (move)
        delete_at(&from);
    return find_place(box, path, &to) && insert_at(&to, take(&value));
}

static bool apply_one(struct json *box, const struct json *operation)
{
    CLEANUP(place_done) struct place place = {0};
    const char *op = strempty(json_str(operation, "op", NULL));
    const char *path = json_str(operation, "path", NULL);
    const struct json *value = json_get(operation, "value", NULL);

    if (path == NULL)
        return false;
    if (streq(op, "copy") || streq(op, "move"))
        return apply_copy_or_move(box, operation, path, streq(op, "move"));
    if (!find_place(box, path, &place))
        return false;
    if (streq(op, "add"))
        return value != NULL && insert_at(&place, json_clone(value));
    if (value_at(&place) == NULL)
        return false;
    if (streq(op, "test"))
        return json_same(value_at(&place), value);
    if (streq(op, "remove")) {
        delete_at(&place);
        return true;
    }
    if (!streq(op, "replace") || value == NULL)
        return false;
    if (json_is_array(place.container))
        delete_at(&place);
    return insert_at(&place, json_clone(value));
}

int patch_apply(const struct json *document, const struct json *patch, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *box = json_build("{s:o}", ROOT, json_clone(document));
    const struct json *operation;

    if (!json_is_array(patch))
        return err_set(err, ERR_INVALID, "a JSON patch is an array of operations");
    json_each(operation, patch) {
        if (!apply_one(box, operation)) {
            CLEANUP(buf_done) struct buf text = {0};
            json_print(operation, &text);
            return err_set(err, ERR_INVALID, "operation %zu of the JSON patch cannot be applied: %.300s",
                           operation_index, buf_text(&text));
        }
    }
    *ret = json_keep(json_get(box, ROOT, NULL));
    return 0;
}

/* --- merge patches */

static void merge_into(struct json *target, const struct json *merge)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(merge, &position, &key, &value)) {
        if (json_type(value) == JSON_NULL) {
            json_del(target, key);
        } else if (!json_is_object(value)) {
            json_set(target, key, json_clone(value));
        } else {
            struct json *member = json_edit_member(target, key);
            if (!json_is_object(member)) {
                member = json_new_object();
                json_set(target, key, member);
            }
            merge_into(member, value);
        }
    }
}

struct json *patch_merge(const struct json *document, const struct json *merge)
{
    if (!json_is_object(merge))
        return json_clone(merge);
    struct json *result = json_is_object(document) ? json_clone(document) : json_new_object();
    merge_into(result, merge);
    return result;
}

struct json *patch_merge_diff(const struct json *from, const struct json *to)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (!json_is_object(from) || !json_is_object(to))
        return json_same(from, to) ? json_new_object() : json_clone(to);
    struct json *diff = json_new_object();
    while (json_next(from, &position, &key, &value))
        if (json_member(to, key) == NULL)
            json_set(diff, key, json_new_null());
    position = NULL;
    while (json_next(to, &position, &key, &value)) {
        const struct json *before = json_member(from, key);
        if (json_same(before, value))
            continue;
        if (json_is_object(before) && json_is_object(value))
            json_set(diff, key, patch_merge_diff(before, value));
        else
            json_set(diff, key, json_clone(value));
    }
    return diff;
}
