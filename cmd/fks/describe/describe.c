/*
 * describe.c: the parts that all descriptions share: indentation, labels, annotations, times, events.
 */
#include "describe/describe.h"

#include "base/clock.h"
#include "base/mem.h"
#include "text/gotext.h"

#define ANNOTATION_MAX 140 /* longer ones go on a line of their own, cut off */
#define HIDDEN_ANNOTATION "kubectl.kubernetes.io/last-applied-configuration"

void describe_write(struct describe *describe, int level, const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    struct buf *out = &describe->writer.text;
    for (int i = 0; i < level + describe->nested; i++)
        buf_add_str(out, "  ");
    for (size_t i = 0; i < text.len; i++) { /* what a terminal would obey is made visible */
        if (text.data[i] == '\x1b')
            buf_add_str(out, "^[");
        else if (text.data[i] == '\r')
            buf_add_str(out, "\\r");
        else
            buf_add_char(out, text.data[i]);
    }
}

void describe_scalar(const struct json *value, struct buf *out)
{
    gotext_print(value, out);
}

void describe_map(struct describe *describe, const char *title, const struct json *map)
{
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(map, &keys);
    describe_write(describe, 0, "%s:\t", title);
    if (keys.n == 0)
        describe_write(describe, 0, "<none>\n");
    for (size_t i = 0; i < keys.n; i++) {
        if (i > 0) { /* kubectl writes the pieces one by one, each of them indented when nested */
            describe_write(describe, 0, "%s", "");
            describe_write(describe, 0, "\t");
        }
        describe_write(describe, 0, "%s=%s\n", keys.items[i],
                       strempty(json_string_value(json_member(map, keys.items[i]))));
    }
}

static void describe_annotation(struct describe *describe, const char *key, const char *value)
{
    CLEANUP(xfree) char *text = xstrdup(value);
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len + strlen(key) + 2 <= ANNOTATION_MAX && strchr(text, '\n') == NULL) {
        describe_write(describe, 0, "%s: %s\n", key, text);
        return;
    }
    describe_write(describe, 0, "%s:\n", key);
    for (const char *line = text; line != NULL;) {
        const char *end = strchr(line, '\n');
        size_t n = end != NULL ? (size_t)(end - line) : strlen(line);
        bool cut = n > ANNOTATION_MAX - 2;
        describe_write(describe, 0, "\t  %.*s%s\n", (int)(cut ? ANNOTATION_MAX - 2 : n), line, cut ? "..." : "");
        line = end != NULL ? end + 1 : NULL;
    }
}

void describe_annotations(struct describe *describe, const char *title, const struct json *annotations)
{
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(annotations, &keys);
    size_t n_shown = 0;
    describe_write(describe, 0, "%s:\t", title);
    for (size_t i = 0; i < keys.n; i++) {
        if (streq(keys.items[i], HIDDEN_ANNOTATION))
            continue;
        if (n_shown++ > 0)
            describe_write(describe, 0, "\t");
        describe_annotation(describe, keys.items[i],
                            strempty(json_string_value(json_member(annotations, keys.items[i]))));
    }
    if (n_shown == 0)
        describe_write(describe, 0, "<none>\n");
}

void describe_time(const char *time, struct buf *out)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t wall_ns = 0;
    CLEANUP(err_clear) struct err err = {0};
    if (time == NULL || clock_parse(time, &wall_ns, &err) < 0) {
        buf_add_str(out, "Mon, 01 Jan 0001 00:00:00 +0000");
        return;
    }
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm parts;
    if (localtime_r(&seconds, &parts) == NULL)
        return;
    long offset = parts.tm_gmtoff / 60;
    buf_printf(out, "%s, %02d %s %04d %02d:%02d:%02d %c%02ld%02ld", days[parts.tm_wday], parts.tm_mday,
               months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec,
               offset < 0 ? '-' : '+', labs(offset) / 60, labs(offset) % 60);
}

void describe_time_field(struct describe *describe, int level, const char *title, const char *time)
{
    CLEANUP(buf_done) struct buf text = {0};
    describe_time(time, &text);
    describe_write(describe, level, "%s:\t%s\n", title, buf_text(&text));
}

void describe_age(const char *time, struct buf *out)
{
    int64_t wall_ns = 0;
    CLEANUP(err_clear) struct err err = {0};
    char age[CLOCK_TEXT_MAX];
    if (time == NULL || clock_parse(time, &wall_ns, &err) < 0) {
        buf_add_str(out, "<unknown>");
        return;
    }
    clock_human_duration((clock_wall_ns() - wall_ns) / 1000000000, age);
    buf_add_str(out, age);
}

void describe_head(struct describe *describe)
{
    const struct json *metadata = json_get(describe->object, "metadata", NULL);
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", metadata, "name", NULL));
    describe_write(describe, 0, "Namespace:\t%s\n", json_str_or("", metadata, "namespace", NULL));
}

void describe_controller(struct describe *describe)
{
    const struct json *owner;
    json_each(owner, json_get(describe->object, "metadata", "ownerReferences", NULL)) {
        if (json_is_true(owner, "controller", NULL)) {
            describe_write(describe, 0, "Controlled By:\t%s/%s\n", json_str_or("", owner, "kind", NULL),
                           json_str_or("", owner, "name", NULL));
            return;
        }
    }
}

void describe_labels(struct describe *describe)
{
    describe_map(describe, "Labels", json_get(describe->object, "metadata", "labels", NULL));
    describe_annotations(describe, "Annotations", json_get(describe->object, "metadata", "annotations", NULL));
}

const char *describe_or(const char *text, const char *otherwise)
{
    return strempty(text)[0] != '\0' ? text : otherwise;
}

/* --- tables of fields */

const struct json *describe_path(const struct json *object, const char *path)
{
    struct str rest = str_of(path), name;
    while (rest.len > 0) {
        (void)str_cut(rest, '.', &name, &rest);
        CLEANUP(xfree) char *key = xstrndup(name.p, name.len);
        object = json_is_object(object) ? json_member(object, key) : NULL;
    }
    return object;
}

static void print_form(const struct json *value, enum describe_form form, struct buf *out)
{
    const struct json *item;
    switch (form) {
    case AS_TEXT:
    case AS_GO:
        describe_scalar(value, out);
        break;
    case AS_TIME:
        describe_time(json_string_value(value), out);
        break;
    case AS_SECONDS:
        buf_printf(out, "%llds", (long long)json_int_value(value));
        break;
    case AS_TITLE:
        buf_add_str(out, json_is_true(value, NULL) ? "True" : "False");
        break;
    case AS_COMMAS:
    case AS_TIGHT:
        json_each(item, value)
            buf_printf(out, "%s%s",
                       item_index == 0     ? ""
                       : form == AS_COMMAS ? ", "
                                           : ",",
                       strempty(json_string_value(item)));
        break;
    case AS_LABELS:
        describe_selector(value, out);
        break;
    }
}

void describe_fields(struct describe *describe, const struct describe_field *fields, const struct json *object)
{
    static const char *const missing[] = {[SKIP_LINE] = "",         [SHOW_EMPTY] = "", [SHOW_NONE] = "<none>",
                                          [SHOW_UNSET] = "<unset>", [SHOW_ZERO] = "0", [SHOW_FALSE] = "false"};
    for (; fields->title != NULL; fields++) {
        const struct json *value = describe_path(object, fields->path);
        CLEANUP(buf_done) struct buf text = {0};
        if (value != NULL && json_type(value) != JSON_NULL)
            print_form(value, fields->form, &text);
        else if (fields->missing == SKIP_LINE)
            continue;
        else if (fields->form == AS_GO)
            buf_add_str(&text, "[]");
        else if (fields->form == AS_TIME && fields->missing == SHOW_EMPTY)
            describe_time(NULL, &text);
        else
            buf_add_str(&text, missing[fields->missing]);
        describe_write(describe, fields->level, "%s:\t%s\n", fields->title, buf_text(&text));
    }
}

void describe_table(struct describe *describe, int level, const struct describe_column *columns, const char *gap,
                    const struct json *list)
{
    const struct json *item;
    for (int line = 0; line < 2; line++) {
        describe_write(describe, level, "%s", "");
        for (size_t i = 0; columns[i].title != NULL; i++) {
            int len = (int)strlen(columns[i].title);
            static const char ruler[] = "------------------------------";
            if (line == 1 && columns[i].ruler != 0)
                len = columns[i].ruler;
            describe_write(describe, 0, "%s%.*s", i > 0 ? "\t" : "", len, line == 0 ? columns[i].title : ruler);
        }
        describe_write(describe, 0, "\n");
    }
    json_each(item, list) {
        describe_write(describe, level, "%s", "");
        for (size_t i = 0; columns[i].title != NULL; i++) {
            const struct json *value = describe_path(item, columns[i].member);
            CLEANUP(buf_done) struct buf text = {0};
            if (value != NULL)
                print_form(value, columns[i].form, &text);
            else if (columns[i].form == AS_TIME)
                describe_time(NULL, &text);
            describe_write(describe, 0, "%s%s%s", i > 0 ? gap : "", i > 0 ? "\t" : "",
                           describe_or(buf_text(&text), strempty(columns[i].missing)));
        }
        describe_write(describe, 0, "\n");
    }
}

/* --- selectors */

/* "a in (b,c)" and the like. */
static void print_requirement(const struct json *expression, struct buf *out)
{
    const char *name = json_str_or("", expression, "key", NULL),
               *relation = json_str_or("", expression, "operator", NULL);
    const struct json *value;
    CLEANUP(strv_done) struct strv values = {0};
    json_each(value, json_get(expression, "values", NULL))
        strv_add(&values, strempty(json_string_value(value)));
    strv_sort(&values);
    CLEANUP(xfree) char *joined = strv_join(&values, ",");
    if (streq(relation, "Exists"))
        buf_add_str(out, name);
    else if (streq(relation, "DoesNotExist"))
        buf_printf(out, "!%s", name);
    else
        buf_printf(out, "%s %s (%s)", name, streq(relation, "In") ? "in" : "notin", joined);
}

void describe_selector(const struct json *selector, struct buf *out)
{
    const struct json *labels = json_get(selector, "matchLabels", NULL), *expression, *value;
    const struct json *expressions = json_get(selector, "matchExpressions", NULL);
    const struct json *map = labels != NULL || expressions != NULL ? labels : selector;
    CLEANUP(strv_done) struct strv parts = {0}; /* key, a NUL's stand-in, and the text: sorted by key */
    const char separator = '\x01';
    void *position = NULL;
    const char *key;
    while (json_next(map, &position, &key, &value))
        strv_addf(&parts, "%s%c%s=%s", key, separator, key, strempty(json_string_value(value)));
    json_each(expression, expressions) {
        CLEANUP(buf_done) struct buf text = {0};
        print_requirement(expression, &text);
        strv_addf(&parts, "%s%c%s", json_str_or("", expression, "key", NULL), separator, buf_text(&text));
    }
    strv_sort(&parts);
    for (size_t i = 0; i < parts.n; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", strchr(parts.items[i], separator) + 1);
    if (parts.n == 0)
        buf_add_str(out, "<none>");
}

/* --- events */

/* "5s", or "5s (x3 over 2m)" for one that happened several times. */
static void describe_interval(const struct json *event, struct buf *out)
{
    const char *event_time = json_str(event, "eventTime", NULL), *last = json_str(event, "lastTimestamp", NULL);
    const char *first = event_time != NULL ? event_time : json_str(event, "firstTimestamp", NULL);
    const struct json *series = json_get(event, "series", NULL);
    long long count = json_int_or(json_int_or(1, event, "count", NULL), series, "count", NULL);
    bool repeated = series != NULL || count > 1;
    if (repeated) {
        describe_age(series != NULL ? json_str(series, "lastObservedTime", NULL) : last, out);
        buf_printf(out, " (x%lld over ", count);
    }
    describe_age(first, out);
    buf_add_str(out, repeated ? ")" : "");
}

static void describe_event(struct describe *describe, const struct json *event)
{
    CLEANUP(buf_done) struct buf interval = {0};
    describe_interval(event, &interval);
    const char *component = json_str_or("", event, "source", "component", NULL);
    const char *field = json_str_or("", event, "involvedObject", "fieldPath", NULL);
    const char *message = json_str_or("", event, "message", NULL);
    message += strspn(message, " \t\r\n");
    size_t len = strlen(message);
    while (len > 0 && strchr(" \t\r\n", message[len - 1]) != NULL)
        len--;
    describe_write(describe, 1, "%s\t%s\t%s\t%s\t%s%s%.*s\n", json_str_or("", event, "type", NULL),
                   json_str_or("", event, "reason", NULL), buf_text(&interval),
                   component[0] != '\0' ? component : json_str_or("", event, "reportingComponent", NULL), field,
                   field[0] != '\0' ? ": " : "", (int)len, message);
}

static int by_last_time(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    return strcmp(json_str_or("", *a, "lastTimestamp", NULL), json_str_or("", *b, "lastTimestamp", NULL));
}

void describe_events(struct describe *describe)
{
    size_t n = json_len(describe->events);
    if (describe->events == NULL)
        return;
    if (n == 0) {
        describe_write(describe, 0, "Events:\t<none>\n");
        return;
    }
    tabwriter_flush(&describe->writer, &describe->out);
    describe_write(describe, 0, "Events:\n  Type\tReason\tAge\tFrom\tMessage\n");
    describe_write(describe, 1, "----\t------\t----\t----\t-------\n");
    const struct json **list = xcalloc(n, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = json_at(describe->events, i);
    qsort(list, n, sizeof(*list), by_last_time);
    for (size_t i = 0; i < n; i++)
        describe_event(describe, list[i]);
    free(list);
}
