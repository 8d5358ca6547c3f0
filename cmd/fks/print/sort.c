/*
 * sort.c: stable sort of JSON trees by a JSONPath.
 */
#include "print/sort.h"

#include "base/mem.h"
#include "data/quantity.h"
#include "print/jsonpath.h"

#define SHORT_LIST 12 /* up to here Go's sort is an insertion sort */

struct sorting {
    char *unsortable; /* why two values cannot be compared, or NULL */
};

struct sortable {
    struct sorting *sorting;
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

/* What kubectl gives up at, in its words: values that have no order, or are of two types. */
static void check_types(struct sorting *sorting, enum json_type x, enum json_type y)
{
    const char *type = x == JSON_BOOL     ? "bool"
                       : x == JSON_ARRAY  ? "[]interface {}"
                       : x == JSON_OBJECT ? "map[string]interface {}"
                                          : NULL;
    if (sorting->unsortable != NULL)
        return;
    if (type != NULL)
        sorting->unsortable = xasprintf("unsortable type: %s", type);
    else if (x != y)
        sorting->unsortable = xstrdup("unsortable interface: interface");
}

static int compare_values(const struct sortable *a, const struct sortable *b)
{
    const struct json *x = json_at(a->found, 0), *y = json_at(b->found, 0);
    if (json_type(x) == JSON_NULL || json_type(y) == JSON_NULL)
        return (json_type(x) != JSON_NULL) - (json_type(y) != JSON_NULL);
    check_types(a->sorting, json_type(x), json_type(y));
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
    struct sorting sorting = {0};
    bool found_once = n == 0;
    int code = 0;
    for (size_t i = 0; i < n && code == 0; i++) {
        const struct json *element = json_at(*array, i);
        list[i] = (struct sortable){.sorting = &sorting, .element = element, .place = i};
        code =
            jsonpath_find(parsed, within != NULL ? json_member(element, within) : element, true, &list[i].found, err);
        found_once = found_once || json_len(list[i].found) > 0;
    }
    bool braced = path[0] == '{';
    CLEANUP(xfree) char *full = braced ? xstrdup(path) : xasprintf("{%s%s}", path[0] == '.' ? "" : ".", path);
    if (code == 0 && !found_once)
        code = err_set(err, ERR_NOT_FOUND, "couldn't find any field with path \"%s\" in the list of objects", full);
    if (code == 0) {
        if (n <= SHORT_LIST)
            sort_short(list, n);
        else
            qsort(list, n, sizeof(*list), compare);
        if (sorting.unsortable != NULL)
            code = err_set(err, ERR_UNSUPPORTED, "Field %s in %s is an unsortable type: interface, err: %s", full,
                           within != NULL ? "[][][]reflect.Value" : "*unstructured.Unstructured", sorting.unsortable);
    }
    if (code == 0) {
        struct json *sorted = json_new_array();
        for (size_t i = 0; i < n; i++)
            json_push(sorted, json_keep(list[i].element));
        json_free(*array);
        *array = sorted;
    }
    for (size_t i = 0; i < n; i++)
        json_free(list[i].found);
    free(list);
    free(sorting.unsortable);
    return code;
}
