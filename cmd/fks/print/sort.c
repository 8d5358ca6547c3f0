/*
 * sort.c: stable sort of JSON trees by a JSONPath.
 */
#include "print/sort.h"

#include "base/mem.h"
#include "data/quantity.h"
#include "print/jsonpath.h"

#define SHORT_LIST 12 /* up to here Go's sort is an insertion sort */

struct sortable {
    const struct json *element;
    struct json *found; /* array of what the path leads to */
    size_t place;
};

static int compare_text(const char *a, const char *b)
{
    int64_t x = 0, y = 0;
    CLEANUP(err_clear) struct err no_x = {0}, no_y = {0};
    if (quantity_parse_milli(a, &x, &no_x) == 0 && quantity_parse_milli(b, &y, &no_y) == 0)
        return x < y ? -1 : x > y;
    return strcmp(a, b);
}

static int compare_values(const struct sortable *a, const struct sortable *b)
{
    const struct json *x = json_at(a->found, 0), *y = json_at(b->found, 0);
    if (json_type(x) == JSON_NULL || json_type(y) == JSON_NULL)
        return (json_type(x) != JSON_NULL) - (json_type(y) != JSON_NULL);
    if (json_type(x) == JSON_STRING && json_type(y) == JSON_STRING)
        return compare_text(json_string_value(x), json_string_value(y));
    return json_real_value(x) < json_real_value(y) ? -1 : json_real_value(x) > json_real_value(y);
}

static int compare(const void *left, const void *right)
{
    const struct sortable *a = left, *b = right;
    int order = compare_values(a, b);
    return order != 0 ? order : a->place < b->place ? -1 : 1;
}

/*
 * Go's sort for short lists, whose order of equal and missing values people see: insertion, "less" as kubectl has
 * it.
 */
static void sort_short(struct sortable *list, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t j = i; j > 0; j--) {
            bool left_missing = json_type(json_at(list[j - 1].found, 0)) == JSON_NULL;
            bool missing = json_type(json_at(list[j].found, 0)) == JSON_NULL;
            bool less = missing || (!left_missing && compare_values(&list[j], &list[j - 1]) < 0);
            if (!less)
                break;
            struct sortable moved = list[j];
            list[j] = list[j - 1];
            list[j - 1] = moved;
        }
    }
}

int sort_by_path(struct json **array, const char *within, const char *path, struct err *err)
{
    CLEANUP(jsonpath_free) struct jsonpath *parsed = NULL;
    if (jsonpath_parse_relaxed(path, &parsed, err) < 0)
        return err->code;
    size_t n = json_len(*array);
    struct sortable *list = xcalloc(n + 1, sizeof(*list));
    bool found_once = n == 0;
    int code = 0;
    for (size_t i = 0; i < n && code == 0; i++) {
        const struct json *element = json_at(*array, i);
        list[i] = (struct sortable){.element = element, .place = i};
        code =
            jsonpath_find(parsed, within != NULL ? json_member(element, within) : element, true, &list[i].found, err);
        found_once = found_once || json_len(list[i].found) > 0;
    }
    if (code == 0 && !found_once) {
        bool braced = path[0] == '{';
        code = err_set(err, ERR_NOT_FOUND, "couldn't find any field with path \"%s%s%s%s\" in the list of objects",
                       braced ? "" : "{", braced || path[0] == '.' ? "" : ".", path, braced ? "" : "}");
    }
    if (code == 0) {
        if (n <= SHORT_LIST)
            sort_short(list, n);
        else
            qsort(list, n, sizeof(*list), compare);
        struct json *sorted = json_new_array();
        for (size_t i = 0; i < n; i++)
            json_push(sorted, json_keep(list[i].element));
        json_free(*array);
        *array = sorted;
    }
    for (size_t i = 0; i < n; i++)
        json_free(list[i].found);
    free(list);
    return code;
}
