/*
 * events.c: `events`: what happened, oldest first, of all objects or of one. `get events` shows the server's table; this
 * one has kubectl's own columns and can follow.
 */
#include "objects/items.h"

#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "describe/describe.h"
#include "objects/watch.h"
#include "print/output.h"
#include "text/tabwriter.h"

struct events {
    struct tabwriter lines; /* of a watch: columns do not become narrower */
    struct cli *cli;
    struct output_options output_options;
    struct output output;
    struct selection selection; /* all_namespaces and chunk_size only */
    struct strv types;
    const char *object; /* --for */
    char *field_selector;
    bool watch, no_headers, headers_printed;
    struct err failure; /* of printing, inside a callback */
};

/* --- one line */

static void add_interval(const struct json *event, struct buf *out)
{
    CLEANUP(buf_done) struct buf first = {0};
    const char *time = json_str(event, "eventTime", NULL);
    const struct json *series = json_member(event, "series");
    int64_t count = json_int_or(0, event, "count", NULL);
    describe_age(time != NULL ? time : json_str(event, "firstTimestamp", NULL), &first);
    if (json_is_object(series)) {
        describe_age(json_str(series, "lastObservedTime", NULL), out);
        buf_printf(out, " (x%lld over %s)", (long long)json_int_or(0, series, "count", NULL), buf_text(&first));
    } else if (count > 1) {
        describe_age(json_str(event, "lastTimestamp", NULL), out);
        buf_printf(out, " (x%lld over %s)", (long long)count, buf_text(&first));
    } else {
        buf_add(out, first.data, first.len);
    }
}

/* Texts of others must not steer the terminal: ESC is shown as ^[, line ends stay (the writer sees them as lines). */
static void add_harmless(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\x1b')
            buf_add_str(out, "^[");
        else if (text[i] == '\r')
            buf_add_str(out, "\\r");
        else
            buf_add_char(out, text[i]);
    }
}

static void add_cell(const char *text, const char *end, struct buf *out)
{
    add_harmless(text, strlen(text), out);
    buf_add_str(out, end);
}

static void add_line(struct events *events, const struct json *event, struct buf *out)
{
    if (!events->no_headers && !events->headers_printed) {
        buf_printf(out, "%sLAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n",
                   events->selection.all_namespaces ? "NAMESPACE\t" : "");
        events->headers_printed = true;
    }
    if (events->selection.all_namespaces)
        add_cell(json_str_or("", event, "metadata", "namespace", NULL), "\t", out);
    add_interval(event, out);
    buf_add_char(out, '\t');
    add_cell(json_str_or("", event, "type", NULL), "\t", out);
    add_cell(json_str_or("", event, "reason", NULL), "\t", out);
    add_cell(json_str_or("", event, "involvedObject", "kind", NULL), "/", out);
    add_cell(json_str_or("", event, "involvedObject", "name", NULL), "\t", out);
    const char *message = json_str_or("", event, "message", NULL);
    message += strspn(message, " \t\r\n");
    size_t len = strlen(message);
    while (len > 0 && strchr(" \t\r\n", message[len - 1]) != NULL)
        len--;
    add_harmless(message, len, out);
    buf_add_char(out, '\n');
}

static bool is_wanted(const struct events *events, const struct json *event)
{
    const char *type = json_str_or("", event, "type", NULL);
    for (size_t i = 0; i < events->types.n; i++) {
        if (strcasecmp(events->types.items[i], type) == 0)
            return true;
    }
    return events->types.n == 0;
}

/* --- all of them */

static const char *event_time(const struct json *event)
{
    const char *time = json_str(event, "series", "lastObservedTime", NULL);
    if (time == NULL)
        time = json_str(event, "lastTimestamp", NULL);
    return time != NULL ? time : json_str_or("", event, "eventTime", NULL);
}

struct dated {
    int64_t wall_ns;
    size_t position;
    const struct json *event;
};

static int compare_dated(const void *a, const void *b)
{
    const struct dated *left = a, *right = b;
    if (left->wall_ns != right->wall_ns)
        return left->wall_ns < right->wall_ns ? -1 : 1;
    return left->position < right->position ? -1 : left->position > right->position;
}

/* As a Go type prints it: kind and apiVersion first, then what the server sent, in its order. */
static struct json *as_typed(const struct json *event)
{
    struct json *typed = json_new_object();
    void *position = NULL;
    const char *key;
    const struct json *value;
    json_set_str(typed, "kind", "Event");
    json_set_str(typed, "apiVersion", "v1");
    while (json_next(event, &position, &key, &value)) {
        if (!streq(key, "kind") && !streq(key, "apiVersion"))
            json_set(typed, key, json_keep(value));
    }
    return typed;
}

static void print_names(const struct dated *dated, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("event/%s\n", json_str_or("", dated[i].event, "metadata", "name", NULL));
}

static int print_list(struct events *events, const struct items *items, struct err *err)
{
    struct dated *dated = xcalloc(items->n + 1, sizeof(*dated));
    size_t n = 0;
    for (size_t i = 0; i < items->n; i++) {
        CLEANUP(err_clear) struct err undated = {0};
        const struct json *event = items->list[i].object;
        if (!is_wanted(events, event))
            continue;
        dated[n] = (struct dated){.wall_ns = INT64_MIN, .position = i, .event = event};
        (void)!clock_parse(event_time(event), &dated[n].wall_ns, &undated);
        n++;
    }
    qsort(dated, n, sizeof(*dated), compare_dated);
    int code = 0;
    if (n == 0 && events->selection.all_namespaces) {
        fputs("No events found.\n", stderr);
    } else if (n == 0) {
        fprintf(stderr, "No events found in %s namespace.\n", cli_namespace(events->cli));
    } else if (events->output.kind == OUTPUT_NAME) {
        print_names(dated, n);
    } else if (output_is_object(&events->output)) {
        CLEANUP(json_free) struct json *list = json_new_object();
        json_set_str(list, "kind", "EventList");
        json_set_str(list, "apiVersion", "v1");
        json_set(list, "metadata", json_new_object());
        json_set(list, "items", json_new_array());
        events->output.keep_order = true;
        for (size_t i = 0; i < n; i++)
            json_push(json_edit_member(list, "items"), as_typed(dated[i].event));
        code = output_print(&events->output, list, err);
    } else {
        CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
        CLEANUP(buf_done) struct buf text = {0};
        for (size_t i = 0; i < n; i++)
            add_line(events, dated[i].event, &writer.text);
        tabwriter_flush(&writer, &text);
        fwrite(text.data, 1, text.len, stdout);
    }
    free(dated);
    return code;
}

/* --- as they come */

static bool on_event(const char *type, const struct json *object, void *data)
{
    struct events *events = data;
    if (streq(type, "DELETED") || streq(type, "BOOKMARK") || !is_wanted(events, object))
        return true;
    if (events->output.kind == OUTPUT_NAME) {
        print_names(&(struct dated){.event = object}, 1);
    } else if (output_is_object(&events->output)) {
        CLEANUP(json_free) struct json *typed = as_typed(object);
        events->output.keep_order = true;
        if (output_print(&events->output, typed, &events->failure) < 0)
            return false;
    } else {
        CLEANUP(buf_done) struct buf text = {0};
        add_line(events, object, &events->lines.text);
        tabwriter_flush(&events->lines, &text);
        fwrite(text.data, 1, text.len, stdout);
    }
    return fflush(stdout) == 0;
}

static int follow(struct events *events, const struct item *collection, struct err *err)
{
    CLEANUP(xfree) char *path = item_collection_path(collection);
    const struct watch_request request = {.path = path, .field_selector = events->field_selector};
    bool ended_by_server = false;
    int code = watch_run(events->cli, &request, on_event, events, &ended_by_server, err);
    if (code == ERR_TIMEOUT) { /* --request-timeout */
        err_clear(err);
        code = 0;
    }
    if (code == 0 && events->failure.code != 0) {
        err_move(err, &events->failure);
        code = err->code;
    }
    return code;
}

/* --- the command */

/* "cronjob/pi", "cronjob.v1.batch/pi" as a field selector. */
static int select_object(struct events *events, struct err *err)
{
    CLEANUP(strv_done) struct strv parts = {0};
    const struct kube_resource *resource = NULL;
    strv_split(&parts, events->object, '/');
    if (parts.n < 2)
        return err_set(err, ERR_USAGE, "--for must be in resource/name form");
    if (parts.n > 2)
        return err_set(err, ERR_USAGE, "arguments in resource/name form may not have more than one slash");
    if (kube_discovery_find(events->cli->discovery, parts.items[0], &resource, err) < 0)
        return err->code;
    events->field_selector =
        xasprintf("involvedObject.kind=%s,involvedObject.apiVersion=%s%s%s,involvedObject.name=%s", resource->kind,
                  resource->group, resource->group[0] != '\0' ? "/" : "", resource->version, parts.items[1]);
    events->selection.field_selector = events->field_selector;
    return 0;
}

static int run_events(struct events *events)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    struct cli *cli = events->cli;
    const struct kube_resource *resource = NULL;
    if (cli_connect(cli, &err) < 0 || (events->object != NULL && select_object(events, &err) < 0) ||
        output_parse(&events->output_options, &events->output, &err) < 0)
        return cli_fail_type(cli, &err);
    for (size_t i = 0; i < events->types.n; i++) {
        if (strcasecmp(events->types.items[i], "Normal") != 0 && strcasecmp(events->types.items[i], "Warning") != 0)
            return cli_error("valid --types are Normal or Warning");
    }
    if (kube_discovery_find_kind(cli->discovery, "v1", "Event", &resource, &err) < 0)
        return cli_fail(cli, &err);
    struct item collection = {
        .resource = resource,
        .namespace = events->selection.all_namespaces ? NULL : xstrdup(cli_namespace(cli)),
    };
    int code = events->watch ? follow(events, &collection, &err)
                             : items_list(cli, &collection, &events->selection, &items, &err);
    item_done(&collection);
    if (code == 0 && !events->watch)
        code = print_list(events, &items, &err);
    return code < 0 ? cli_fail(cli, &err) : 0;
}

int command_events(struct cli *cli, int argc, char **argv)
{
    struct events events = {.cli = cli, .lines = {.min_width = 6, .padding = 3, .remember = true}, .selection = {.chunk_size = 500}, .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_NAMESPACES_OPTION(&events.selection),
        SELECTION_CHUNK_OPTION(&events.selection),
        OUTPUT_OPTIONS(&events.output_options),
        {"for", 0, OPT_STRING, &events.object, "", "Only events of this object (TYPE/NAME)."},
        {"no-headers", 0, OPT_BOOL, &events.no_headers, NULL, "Leave the header line out."},
        {"types", 0, OPT_LIST, &events.types, "[]", "Only events of these types: Normal, Warning."},
        {"watch", 'w', OPT_BOOL, &events.watch, NULL, "After listing, show events as they come."},
        {0},
    };
    const struct cli_command command = {
        .words = "events",
        .usage = "[(-o|--output=)json|yaml|name|...] [--for TYPE/NAME] [--watch] [--types=Normal,Warning] [options]",
        .about = "Display events, oldest first.",
        .examples = "  # What happened to a pod\n  fks events --for pod/web-0\n\n"
                    "  # Warnings everywhere, as they come\n  fks events -A --types=Warning --watch\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_events(&events);
    strv_done(&events.types);
    free(events.field_selector);
    output_done(&events.output);
    err_clear(&events.failure);
    tabwriter_done(&events.lines);
    return code;
}
