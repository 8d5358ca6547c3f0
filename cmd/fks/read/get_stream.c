/*
 * get_stream.c: a list as JSON, YAML or names, printed while it comes: of 5,000 pods no more than a piece of the server's list
 * is ever in memory. What needs all objects at once (sorting, templates, paths) is get.c's.
 */
#include "read/get.h"

#include "base/limits.h"
#include "base/mem.h"
#include "data/yaml.h"

#define WRITE_SIZE KIB(64)

struct stream {
    struct get *get;
    const struct kube_resource *resource; /* of the collection being read */
    size_t n;
    struct buf text;
};

bool get_streams(const struct get *get, const struct items *items)
{
    const struct output *output = &get->output;
    bool known = output->kind == OUTPUT_JSON || output->kind == OUTPUT_YAML || output->kind == OUTPUT_NAME;
    return known && get->sort_by == NULL && !items->single && !items->one_file;
}

static void print_start(struct stream *stream)
{
    if (stream->get->output.kind == OUTPUT_JSON)
        buf_add_str(&stream->text, "{\n    \"apiVersion\": \"v1\",\n    \"items\": [");
    else if (stream->get->output.kind == OUTPUT_YAML)
        buf_add_str(&stream->text, "apiVersion: v1\nitems:");
}

static void print_object(struct stream *stream, const struct json *object)
{
    struct buf *text = &stream->text;
    if (stream->n == 0)
        print_start(stream);
    if (stream->get->output.kind == OUTPUT_JSON) {
        buf_add_str(text, stream->n > 0 ? ",\n        " : "\n        ");
        json_print_pretty_inside(object, 2, text);
    } else if (stream->get->output.kind == OUTPUT_YAML) {
        CLEANUP(json_free) struct json *one = json_build("[O]", object);
        buf_add_str(text, stream->n == 0 ? "\n" : "");
        yaml_print(one, text);
    } else {
        output_print_names(object, text);
    }
    stream->n++;
    if (text->len >= WRITE_SIZE) {
        fwrite(text->data, 1, text->len, stdout);
        buf_clear(text);
    }
}

static void print_end(struct stream *stream)
{
    if (stream->n == 0)
        print_start(stream);
    if (stream->get->output.kind == OUTPUT_JSON)
        buf_printf(&stream->text, "%s],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n"
                                  "    }\n}\n", stream->n > 0 ? "\n    " : "");
    else if (stream->get->output.kind == OUTPUT_YAML)
        buf_printf(&stream->text, "%skind: List\nmetadata:\n  resourceVersion: \"\"\n", stream->n > 0 ? "" : " []\n");
    fwrite(buf_text(&stream->text), 1, stream->text.len, stdout);
}

static bool print_page(struct json **answer, void *data)
{
    struct stream *stream = data;
    struct json *list = json_edit_member(*answer, "items");
    for (size_t i = 0; i < json_len(list); i++) {
        struct json *member = json_edit_at(list, i);
        item_set_type(stream->resource, member);
        print_object(stream, member);
    }
    return true;
}

/* One that was asked for by name. */
static int print_single(struct stream *stream, const struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL;
    if (get_read_one(stream->get, item, false, &object, err) < 0)
        return err->code;
    struct json *metadata = json_edit_member(object, "metadata");
    if (!stream->get->output.show_managed_fields && json_is_object(metadata))
        json_del(metadata, "managedFields");
    print_object(stream, object);
    return 0;
}

int get_stream(struct get *get, const struct items *items, struct failures *failures)
{
    static const struct json_omit of_metadata[] = {{"managedFields", NULL}, {NULL, NULL}};
    static const struct json_omit of_item[] = {{"metadata", of_metadata}, {NULL, NULL}};
    static const struct json_omit of_list[] = {{"items", of_item}, {NULL, NULL}};
    const struct item_listing listing = {.selection = &get->selection,
                                         .omit = get->output.show_managed_fields ? NULL : of_list};
    struct stream stream = {.get = get};
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->list[i];
        struct err failure = {0};
        stream.resource = item->resource;
        int code = item->name == NULL ? item_list(get->cli, item, &listing, print_page, &stream, &failure)
                                      : print_single(&stream, item, &failure);
        if (code < 0)
            get_fail_or_ignore(get, failures, &failure);
    }
    if (stream.n > 0 || !get->ignore_not_found)
        print_end(&stream);
    buf_done(&stream.text);
    return cli_fail_all(get->cli, failures);
}
