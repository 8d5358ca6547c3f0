/*
 * fuzz_merge.c: three objects, a line each: what was applied, the new file, the live object. Their patch is built and
 * applied, as built-in and as custom kind.
 */
#include "base/mem.h"
#include "base/str.h"
#include "cmd/fks/merge/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_style(struct json **objects, enum merge_style style)
{
    CLEANUP(json_free) struct json *patch = NULL, *applied = NULL, *first = NULL;
    CLEANUP(err_clear) struct err err = {0};
    bool conflicts = false;
    if (merge_three_way(objects[0], objects[1], objects[2], style, &patch, &err) < 0)
        return;
    if (!json_is_object(patch))
        abort();
    applied = merge_apply(objects[2], patch);
    first = merge_apply_first(objects[2], patch);
    if (!json_is_object(applied) || !json_is_object(first))
        abort();
    if (merge_conflicts(objects[0], objects[2], patch, style, &conflicts, &err) < 0)
        err_clear(&err);
    /* an object is no different from itself */
    CLEANUP(json_free) struct json *nothing = NULL;
    if (merge_two_way(objects[1], objects[1], style, &nothing, &err) == 0 && json_len(nothing) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *objects[3] = {NULL, NULL, NULL};
    struct str rest = {(const char *)data, size}, line;
    bool complete = size < 16384;
    for (size_t i = 0; i < 3 && complete; i++) {
        CLEANUP(err_clear) struct err err = {0};
        (void)str_cut(rest, '\n', &line, &rest);
        complete = json_parse(strempty(line.p), line.len, &objects[i], &err) == 0 && json_is_object(objects[i]);
    }
    if (complete) {
        try_style(objects, MERGE_STRATEGIC);
        try_style(objects, MERGE_JSON);
        CLEANUP(json_free) struct json *patched = merge_apply(objects[2], objects[1]); /* as a patch with directives */
        if (!json_is_object(patched))
            abort();
    }
    for (size_t i = 0; i < 3; i++)
        json_free(objects[i]);
    return 0;
}
