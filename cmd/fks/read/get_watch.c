/*
 * get_watch.c: get -w and --watch-only: prints what is there, then every change as it comes. Column widths are kept
 * from one line to the next.
 */
#include "read/get.h"

#include "base/mem.h"
#include "objects/watch.h"
#include "trace.h"

struct watching {
    struct get *get;
    struct table table;
    bool is_table, show; /* show: the next event is printed */
    struct err err;
};

static bool print_now(struct watching *watching, const struct json *object, const char *event)
{
    struct get *get = watching->get;
    if (watching->is_table) {
        CLEANUP(buf_done) struct buf text = {0};
        table_add(&watching->table, object, event);
        table_flush(&watching->table, &text);
        fwrite(buf_text(&text), 1, text.len, stdout);
    } else {
        CLEANUP(json_free)
        struct json *wrapped = event != NULL ? json_build("{s:s, s:O}", "type", event, "object", object) : NULL;
        bool by_name = get->output.kind == OUTPUT_NAME;
        if (wrapped != NULL && !by_name)
            return output_print_event(&get->output, wrapped, &watching->err) == 0 && fflush(stdout) == 0;
        if (output_print(&get->output, object, &watching->err) < 0)
            return false;
    }
    return fflush(stdout) == 0;
}

static bool on_event(const char *type, const struct json *object, void *data)
{
    struct watching *watching = data;
    bool go_on = true;
    if (watching->show)
        go_on = print_now(watching, object, watching->get->output_watch_events ? type : NULL);
    watching->show = true;
    return go_on;
}

/* What is there before the watch begins; *ret_version: where to watch from. */
static int print_current(struct watching *watching, const struct item *item, char **ret_version, struct err *err)
{
    struct get *get = watching->get;
    const char *event = get->output_watch_events ? "ADDED" : NULL;
    CLEANUP(json_free) struct json *current = NULL;
    const char *accept = watching->is_table ? GET_TABLE_ACCEPT : NULL;
    if (item->name != NULL) {
        if (item_get(get->cli, item, accept, &current, err) < 0)
            return err->code;
        if (!get->watch_only && !print_now(watching, current, event))
            return -1;
        *ret_version = xstrdup("0");
        watching->show = false; /* a watch from 0 begins with the object as it is */
        return 0;
    }
    CLEANUP(xfree) char *collection = item_collection_path(item);
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, collection);
    if (get->selection.label_selector != NULL)
        kube_path_query(&path, "labelSelector", get->selection.label_selector);
    if (get->selection.field_selector != NULL)
        kube_path_query(&path, "fieldSelector", get->selection.field_selector);
    const struct kube_request request = {.path = buf_text(&path), .accept = accept};
    if (cli_do(get->cli, &request, &current, err) < 0)
        return err->code;
    *ret_version = xstrdup(json_str_or("0", current, "metadata", "resourceVersion", NULL));
    watching->show = true;
    if (get->watch_only)
        return 0;
    if (watching->is_table)
        return print_now(watching, current, event) ? 0 : -1;
    CLEANUP(items_done) struct items members = {0};
    const struct json *member;
    json_each(member, json_get(current, "items", NULL)) {
        CLEANUP(json_free) struct json *object = json_clone(member);
        CLEANUP(xfree)
        char *version =
            item->resource->group[0] != '\0' ? xasprintf("%s/%s", item->resource->group, item->resource->version)
                                             : xstrdup(item->resource->version);
        json_set_str(object, "apiVersion", version);
        json_set_str(object, "kind", item->resource->kind);
        if (!print_now(watching, object, event))
            return -1;
    }
    return 0;
}

static int watch_item(struct get *get, const struct item *item)
{
    CLEANUP(err_clear) struct err err = {0};
    struct watching watching = {.get = get, .is_table = get_is_table(get)};
    CLEANUP(buf_done) struct buf prefix = {0};
    resource_print_kind(item->resource, &prefix);
    get_table_init(get, item->resource, get->show_kind ? buf_text(&prefix) : NULL, &watching.table);
    CLEANUP(xfree) char *version = NULL;
    int code = print_current(&watching, item, &version, &err);
    if (code == 0) {
        CLEANUP(xfree) char *path = item_collection_path(item);
        const struct watch_request request = {
            .path = path,
            .name = item->name,
            .label_selector = get->selection.label_selector,
            .field_selector = get->selection.field_selector,
            .resource_version = version,
            .accept = watching.is_table ? GET_TABLE_ACCEPT : NULL,
        };
        bool ended_by_server = false;
        code = watch_run(get->cli, &request, on_event, &watching, &ended_by_server, &err);
        if (code == ERR_TIMEOUT) { /* --request-timeout: what there was has been shown */
            trace_line(get->cli, 5,
                       "\"Unable to decode an event from the watch stream\" err=\"context deadline exceeded "
                       "(Client.Timeout or context cancellation while reading body)\"");
            err_clear(&err);
            code = 0;
        }
    }
    table_done(&watching.table);
    if (code < 0 && err.code == 0) {
        err_move(&err, &watching.err);
        code = err.code != 0 ? code : 0; /* stdout was closed: nobody listens any more */
    }
    err_clear(&watching.err);
    if (err.code == ERR_NOT_FOUND && get->ignore_not_found)
        return 0;
    return code < 0 ? cli_fail(get->cli, &err) : 0;
}

int get_watch(struct get *get, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (items_select(get->cli, &get->selection, args, &items, &failures, &err) < 0)
        return cli_fail(get->cli, &err);
    if (failures.n > 0)
        return cli_fail_all(get->cli, &failures);
    for (size_t i = 1; i < items.n; i++) {
        if (items.list[i].resource != items.list[0].resource && !selection_has_files(&get->selection))
            return cli_error("you may only specify a single resource type");
    }
    if (items.n != 1)
        return cli_error(
            "watch is only supported on individual resources and resource collections - %zu resources were found",
            items.n);
    return watch_item(get, &items.list[0]);
}
