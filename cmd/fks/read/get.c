/*
 * get.c: `get`: reads resources and prints them, as the server's Tables for people and as objects for programs.
 * Watching is get_watch.c's.
 */
#include "read/get.h"

#include "base/mem.h"
#include "describe/describe.h"
#include "print/sort.h"
#include "trace.h"

struct answer {
    const struct kube_resource *resource;
    struct json *table;
};

struct answers {
    struct answer *list;
    size_t n, cap;
    const struct kube_resource *resource; /* of the collection being read */
    bool one_kind;      /* then the answers become rows of this table as they come, and no list */
    struct table table;
};

static void answers_done(struct answers *answers)
{
    for (size_t i = 0; i < answers->n; i++)
        json_free(answers->list[i].table);
    free(answers->list);
    if (answers->one_kind)
        table_done(&answers->table);
}
DEFINE_CLEANUP_IN_PLACE(struct answers, answers_done)

bool get_is_table(const struct get *get)
{
    return get->output.kind == OUTPUT_HUMAN || get->output.kind == OUTPUT_WIDE;
}

void get_table_init(const struct get *get, const struct kube_resource *resource, const char *prefix,
                    struct table *table)
{
    const struct table_options options = {
        .wide = get->output.kind == OUTPUT_WIDE,
        .no_headers = get->no_headers,
        .with_namespace = get->selection.all_namespaces && resource->namespaced,
        .show_labels = get->show_labels,
        .label_columns = &get->label_columns,
        .kind_prefix = prefix,
    };
    table_init(table, &options);
}

/* --- reading tables */

static bool add_answer(struct json **table, void *data)
{
    struct answers *answers = data;
    if (answers->one_kind) {
        table_add(&answers->table, *table, NULL);
        return true;
    }
    GROW(answers->list, answers->n, answers->cap);
    answers->list[answers->n++] = (struct answer){answers->resource, take(table)};
    return true;
}

/* --server-print=false: a Table made here of objects, with the columns that every kind has. */
static struct json *table_of_objects(const struct json *answer)
{
    struct json *rows = json_new_array();
    const struct json *items = json_get(answer, "items", NULL), *object;
    CLEANUP(json_free) struct json *single = json_new_array();
    if (!json_is_array(items)) {
        json_push(single, json_keep(answer));
        items = single;
    }
    json_each(object, items) {
        CLEANUP(buf_done) struct buf age = {0};
        describe_age(json_str(object, "metadata", "creationTimestamp", NULL), &age);
        json_push(rows, json_build("{s:[s,s], s:O}", "cells", json_str_or("", object, "metadata", "name", NULL),
                                   buf_text(&age), "object", object));
    }
    return json_build("{s:[{s:s,s:s,s:s,s:i},{s:s,s:s,s:s,s:i}], s:o}", "columnDefinitions", "name", "Name", "type",
                      "string", "format", "name", "priority", 0, "name", "Age", "type", "string", "format", "",
                      "priority", 0, "rows", rows);
}

static bool add_objects_as_table(struct json **answer, void *data)
{
    CLEANUP(json_free) struct json *table = table_of_objects(*answer);
    return add_answer(&table, data);
}

void get_fail_or_ignore(const struct get *get, struct failures *failures, struct err *failure)
{
    if (get->ignore_not_found && failure->code == ERR_NOT_FOUND && failure->http_status == 404)
        err_clear(failure);
    else
        failures_add(failures, failure);
}

/* One object; a Table as the rest when the accept header asks for it. */
int get_read_one(struct get *get, const struct item *item, bool table, struct json **ret, struct err *err)
{
    if (get->subresource == NULL && get->sort_by == NULL)
        return item_get(get->cli, item, table ? GET_TABLE_ACCEPT : NULL, ret, err);
    CLEANUP(xfree) char *path = item_path(item, get->subresource);
    CLEANUP(xfree) char *query = xasprintf("%s%s", path, table && get->sort_by != NULL ? "?includeObject=Object" : "");
    const struct kube_request request = {.path = query, .accept = table ? GET_TABLE_ACCEPT : NULL};
    return cli_do(get->cli, &request, ret, err);
}

static void read_tables(struct get *get, const struct items *items, struct answers *answers, struct failures *failures)
{
    struct selection selection = get->selection;
    if (get->sort_by != NULL)
        selection.chunk_size = 0;
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->list[i];
        struct err failure = {0};
        answers->resource = item->resource;
        int code = 0;
        if (item->name == NULL) {
            const struct item_listing listing = {
                .selection = &selection,
                .accept = get->server_print ? GET_TABLE_ACCEPT : NULL,
                .extra_query = get->sort_by != NULL && get->server_print ? "includeObject=Object" : NULL};
            code = item_list(get->cli, item, &listing, get->server_print ? add_answer : add_objects_as_table, answers,
                             &failure);
        } else {
            CLEANUP(json_free) struct json *table = NULL;
            code = get_read_one(get, item, get->server_print, &table, &failure);
            if (code == 0 && get->server_print)
                add_answer(&table, answers);
            else if (code == 0)
                add_objects_as_table(&table, answers);
        }
        if (code < 0)
            get_fail_or_ignore(get, failures, &failure);
    }
}

/* --- printing tables */

static int sort_table(const struct get *get, struct answer *answer, struct err *err)
{
    if (get->sort_by == NULL || json_len(json_get(answer->table, "rows", NULL)) == 0)
        return 0;
    struct json *sorted = json_clone(answer->table);
    struct json *rows = json_keep(json_get(sorted, "rows", NULL));
    int code = sort_by_path(&rows, "object", get->sort_by, err);
    json_set(sorted, "rows", rows);
    json_free(answer->table);
    answer->table = sorted;
    return code;
}

static bool print_table(const struct get *get, struct table *table, bool blank_line_before)
{
    CLEANUP(buf_done) struct buf text = {0};
    table_flush(table, &text);
    if (text.len == 0)
        return false;
    if (blank_line_before && !get->no_headers)
        fputc('\n', stdout);
    fwrite(text.data, 1, text.len, stdout);
    return true;
}

/* Answers [from, to) are of one kind: one table. Returns whether something was printed. */
static bool print_group(const struct get *get, const struct answers *answers, size_t from, size_t to, bool with_kind,
                        bool with_namespace, bool blank_line_before)
{
    const struct kube_resource *resource = answers->list[from].resource;
    CLEANUP(buf_done) struct buf prefix = {0};
    resource_print_kind(resource, &prefix);
    CLEANUP(table_done) struct table table;
    get_table_init(get, resource, with_kind ? buf_text(&prefix) : NULL, &table);
    table.options.with_namespace = with_namespace;
    for (size_t i = from; i < to; i++)
        table_add(&table, answers->list[i].table, NULL);
    return print_table(get, &table, blank_line_before);
}

/*
 * Returns whether something was printed; negative: a table could not be sorted. Behind a table with namespaces all have that
 * column, as kubectl's.
 */
static int print_groups(struct get *get, struct answers *answers, struct err *err)
{
    bool with_kind = get->show_kind, with_namespace = false, printed = false;
    for (size_t i = 0; i < answers->n; i++) {
        with_kind = with_kind || answers->list[i].resource != answers->list[0].resource;
        if (sort_table(get, &answers->list[i], err) < 0)
            return (int)err->code;
    }
    for (size_t from = 0, to; from < answers->n; from = to) {
        for (to = from + 1; to < answers->n && answers->list[to].resource == answers->list[from].resource; to++)
            continue;
        with_namespace = with_namespace || (get->selection.all_namespaces && answers->list[from].resource->namespaced);
        printed = print_group(get, answers, from, to, with_kind, with_namespace, printed) || printed;
    }
    return printed ? 1 : 0;
}

static bool is_one_kind(const struct get *get, const struct items *items)
{
    for (size_t i = 1; i < items->n; i++) {
        if (items->list[i].resource != items->list[0].resource)
            return false;
    }
    return items->n > 0 && get->sort_by == NULL;
}

/* failures: of reading the files; told after what there is. */
static int print_tables(struct get *get, const struct items *items, struct failures *failures)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf prefix = {0};
    CLEANUP(answers_done) struct answers answers = {.one_kind = is_one_kind(get, items)};
    if (answers.one_kind) {
        resource_print_kind(items->list[0].resource, &prefix);
        get_table_init(get, items->list[0].resource, get->show_kind ? buf_text(&prefix) : NULL, &answers.table);
    }
    read_tables(get, items, &answers, failures);
    if (items->single) /* one object has its order */
        get->sort_by = NULL;
    int printed = answers.one_kind ? (int)print_table(get, &answers.table, false) : print_groups(get, &answers, &err);
    if (printed < 0 && err.code == ERR_UNSUPPORTED)
        return trace_fatal("sorter.go:375", err_text(&err));
    if (printed < 0 && answers.n > 1)
        return cli_fail(get->cli, &err);
    printed = printed > 0; /* kubectl takes no notice of what is wrong with the path of a single table */
    if (printed == 0 && !get->ignore_not_found && failures->n == 0) {
        bool all_namespaced = !get->selection.all_namespaces;
        for (size_t i = 0; i < items->n; i++)
            all_namespaced = all_namespaced && items->list[i].resource->namespaced;
        if (all_namespaced)
            fprintf(stderr, "No resources found in %s namespace.\n", cli_namespace(get->cli));
        else
            fputs("No resources found\n", stderr);
    }
    return cli_fail_all(get->cli, failures);
}

/* --- objects */

static void read_objects(struct get *get, const struct items *items, struct items *objects, struct failures *failures)
{
    objects->single = items->single;
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->list[i];
        struct err failure = {0};
        if (item->name == NULL) {
            if (items_list(get->cli, item, &get->selection, objects, &failure) < 0)
                get_fail_or_ignore(get, failures, &failure);
            continue;
        }
        struct json *object = NULL;
        if (get_read_one(get, item, false, &object, &failure) < 0) {
            get_fail_or_ignore(get, failures, &failure);
            continue;
        }
        struct item *copy = items_add(objects);
        copy->resource = item->resource;
        copy->object = object;
    }
}

static int print_objects(struct get *get, const struct items *items, struct failures *failures)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items objects = {0};
    read_objects(get, items, &objects, failures);
    if ((objects.n == 0 && get->ignore_not_found) || ((objects.single || items->one_file) && failures->n > 0))
        return cli_fail_all(get->cli, failures);

    int code = 0;
    if (objects.single && objects.n == 1) {
        code = output_print(&get->output, objects.list[0].object, &err);
    } else {
        struct json *members = json_new_array();
        for (size_t i = 0; i < objects.n; i++)
            json_push(members, json_keep(objects.list[i].object));
        if (get->sort_by != NULL)
            code = sort_by_path(&members, NULL, get->sort_by, &err);
        CLEANUP(json_free)
        struct json *list = json_build("{s:s, s:o, s:s, s:{s:s}}", "apiVersion", "v1", "items", members, "kind", "List",
                                       "metadata", "resourceVersion", "");
        if (code == 0)
            code = output_print(&get->output, list, &err);
    }
    if (code == ERR_UNSUPPORTED && get->sort_by != NULL)
        return trace_fatal("sorter.go:329", err_text(&err));
    if (code < 0)
        failures_add(failures, &err);
    return cli_fail_all(get->cli, failures);
}

/* --- the command */

/* Of a whole URL only the path counts. */
static int get_raw(struct get *get)
{
    CLEANUP(err_clear) struct err err = {0};
    if (cli_connect(get->cli, &err) < 0)
        return cli_fail(get->cli, &err);
    const char *host = get->raw[0] != '/' ? strstr(get->raw, "://") : NULL;
    const char *path = host != NULL ? strchr(host + 3, '/') : get->raw;
    const struct kube_request request = {.path = path != NULL ? path : "/"};
    CLEANUP(buf_done) struct buf body = {0};
    if (kube_do_raw(get->cli->client, &request, NULL, NULL, &body, &err) < 0)
        return cli_fail(get->cli, &err);
    fwrite(buf_text(&body), 1, body.len, stdout);
    return 0;
}

/* What the options forbid one another; an empty text is as good as none. */
static int check_get(struct get *get, const struct strv *args, struct err *err)
{
    const char *format = strempty(get->output_options.format);
    get->raw = strempty(get->raw)[0] != '\0' ? get->raw : NULL;
    get->sort_by = strempty(get->sort_by)[0] != '\0' ? get->sort_by : NULL;
    if (get->raw != NULL && args->n > 0)
        return err_set(err, ERR_USAGE, "arguments may not be passed when --raw is specified");
    if (get->raw != NULL && (get->watch || get->watch_only || strempty(get->selection.label_selector)[0] != '\0'))
        return err_set(err, ERR_USAGE,
                       "--raw may not be specified with other flags that filter the server request or alter the output");
    if (get->raw != NULL && format[0] != '\0')
        return err_set(err, ERR_USAGE, "--raw and --output are mutually exclusive");
    if (get->raw != NULL && get->raw[0] != '/' && strstr(get->raw, "://") == NULL)
        return err_set(err, ERR_USAGE, "--raw must be a valid URL path: parse \"%s\": invalid URI for request", get->raw);
    return 0;
}

static int run_get(struct get *get, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    if (check_get(get, args, &err) < 0)
        return cli_fail(get->cli, &err);
    if (get->raw != NULL)
        return get_raw(get);
    if (args->n == 0 && !selection_has_files(&get->selection)) {
        fprintf(
            stderr,
            "You must specify the type of resource to get. Use \"%s api-resources\" for a complete list of supported "
            "resources.\n\n",
            get->cli->program);
        return cli_error(
            "Required resource not specified.\nUse \"%s explain <resource>\" for a detailed description of that "
            "resource (e.g. %s explain pods).\nSee '%s get -h' for help and examples",
            get->cli->program, get->cli->program, get->cli->program);
    }
    const char *format = strempty(get->output_options.format);
    if (get->show_labels && format[0] != '\0' && !streq(format, "wide"))
        return cli_error("--show-labels option cannot be used with %s printer", format);
    if (output_parse(&get->output_options, &get->output, &err) < 0)
        return cli_fail(get->cli, &err);
    get->output.no_headers = get->no_headers;
    if (get->output_watch_events && !get->watch && !get->watch_only)
        return cli_error("--output-watch-events option can only be used with --watch or --watch-only");
    if (get->watch || get->watch_only)
        return get_watch(get, args);

    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (items_select(get->cli, &get->selection, args, &items, &failures, &err) < 0)
        return items_fail(get->cli, &get->selection, &err);
    if (failures.n > 0 && items.n == 0)
        return items_fail_all(get->cli, &get->selection, &failures);
    for (size_t i = 0; i < items.n && strempty(get->subresource)[0] != '\0'; i++)
        if (items.list[i].name == NULL)
            return cli_error("subresource cannot be used when bulk resources are specified");
    if (get_is_table(get))
        return print_tables(get, &items, &failures);
    return get_streams(get, &items) ? get_stream(get, &items, &failures) : print_objects(get, &items, &failures);
}

int command_get(struct cli *cli, int argc, char **argv)
{
    struct get get = {.cli = cli,
                      .server_print = true,
                      .selection = {.chunk_size = 500, .everything_if_unnamed = true},
                      .output_options = {.hide_missing = true, .is_get = true}};
    const struct opt options[] = {
        SELECTION_NAMESPACES_OPTION(&get.selection),
        SELECTION_CHUNK_OPTION(&get.selection),
        SELECTION_FIELD_OPTION(&get.selection),
        SELECTION_FILE_OPTIONS(&get.selection),
        SELECTION_LABEL_OPTION(&get.selection),
        OUTPUT_OPTIONS(&get.output_options),
        {"ignore-not-found", 0, OPT_BOOL, &get.ignore_not_found, NULL, "No error for objects that do not exist."},
        {"label-columns", 'L', OPT_LIST, &get.label_columns, "[]", "Labels to show as columns."},
        {"no-headers", 0, OPT_BOOL, &get.no_headers, NULL, "Leave the header line out."},
        {"output-watch-events", 0, OPT_BOOL, &get.output_watch_events, NULL, "Show the type of each watch event."},
        {"raw", 0, OPT_STRING, &get.raw, "", "A path to request as it is."},
        {"server-print", 0, OPT_BOOL, &get.server_print, NULL, "Let the server make the table."},
        {"show-kind", 0, OPT_BOOL, &get.show_kind, NULL, "Put the kind before the names."},
        {"show-labels", 0, OPT_BOOL, &get.show_labels, NULL, "Show all labels as the last column."},
        {"sort-by", 0, OPT_STRING, &get.sort_by, "", "JSONPath of the field to sort by."},
        {"subresource", 0, OPT_STRING, &get.subresource, "", "Read this subresource of the objects."},
        {"watch", 'w', OPT_BOOL, &get.watch, NULL, "After listing, show changes."},
        {"watch-only", 0, OPT_BOOL, &get.watch_only, NULL, "Show changes without listing first."},
        {0},
    };
    const struct cli_command command = {
        .words = "get",
        .usage = "[(-o|--output=)json|yaml|name|wide|...] (TYPE[.VERSION][.GROUP] [NAME | -l label] | "
                 "TYPE[.VERSION][.GROUP]/NAME ...) [flags] [options]",
        .about = "Display one or many resources.",
        .examples = "  # All pods of the namespace\n  fks get pods\n\n  # One deployment as YAML\n  fks get deployment "
                    "web -o yaml\n\n"
                    "  # Everything with a label, in all namespaces\n  fks get all -A -l app=web\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_get(&get, &args);
    selection_done(&get.selection);
    output_done(&get.output);
    strv_done(&get.label_columns);
    return code;
}
