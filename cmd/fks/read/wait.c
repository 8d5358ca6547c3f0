/*
 * wait.c: `wait`: until a condition, a field or the absence of objects is as asked for.
 */
#include "objects/items.h"

#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "objects/watch.h"
#include "print/jsonpath.h"
#include "print/output.h"
#include "text/gotext.h"

#define WEEK_MS (INT64_C(168) * 3600 * 1000)

enum goal_kind { GOAL_CONDITION, GOAL_JSONPATH, GOAL_DELETE, GOAL_CREATE };

struct goal {
    enum goal_kind kind;
    char *condition; /* type of the condition */
    char *value;     /* wanted status or text; NULL for a JSONPath: any value */
    struct jsonpath *path;
};

struct waiting {
    struct cli *cli;
    struct selection selection;
    struct output_options output_options;
    struct output output;
    struct strv targets; /* --for */
    int64_t timeout_ms, deadline_ms;
    struct goal *goals; /* one for each target */
    size_t n_goals;
};

/* --- the goal */

/* The parts between single "=": "==" belongs to a path, as in [?(@.a=="b")]. */
static void split_at_equals(const char *text, struct strv *parts)
{
    CLEANUP(buf_done) struct buf part = {0};
    for (; *text != '\0'; text++) {
        if (*text != '=') {
            buf_add_char(&part, *text);
        } else if (text[1] == '=') {
            buf_add_str(&part, "==");
            text++;
        } else {
            strv_add(parts, buf_text(&part));
            buf_clear(&part);
        }
    }
    strv_add(parts, buf_text(&part));
}

/* "{.status.phase}=Running", "{.status.podIP}", ".status.phase=Running" */
static int parse_jsonpath_goal(const char *text, struct goal *goal, struct err *err)
{
    static const char quotes[] = "'\"";
    CLEANUP(strv_done) struct strv parts = {0};
    split_at_equals(text, &parts);
    goal->kind = GOAL_JSONPATH;
    if (parts.n > 2)
        return err_set(err, ERR_USAGE, "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or "
                                       "--for=jsonpath='{.status.readyReplicas}'");
    if (parts.n == 2) {
        const char *value = parts.items[1] + strspn(parts.items[1], quotes);
        size_t len = strlen(value);
        while (len > 0 && strchr(quotes, value[len - 1]) != NULL)
            len--;
        if (len == 0)
            return err_set(err, ERR_USAGE, "jsonpath wait has to have a value after equal sign, like "
                                           "--for=jsonpath='{.status.readyReplicas}'=3");
        goal->value = xstrndup(value, len);
    }
    if (parts.items[0][0] == '\0')
        return err_set(err, ERR_USAGE, "jsonpath expression cannot be empty");
    return jsonpath_parse_relaxed(parts.items[0], &goal->path, err);
}

static int parse_goal(const char *text, struct goal *goal, struct err *err)
{
    if (strcasecmp(text, "delete") == 0) {
        goal->kind = GOAL_DELETE;
    } else if (strcasecmp(text, "create") == 0) {
        goal->kind = GOAL_CREATE;
    } else if (starts_with(text, "condition=")) {
        const char *name = text + strlen("condition="), *equals = strchr(name, '=');
        goal->kind = GOAL_CONDITION;
        goal->condition = equals != NULL ? xstrndup(name, (size_t)(equals - name)) : xstrdup(name);
        goal->value = xstrdup(equals != NULL ? equals + 1 : "true");
    } else if (starts_with(text, "jsonpath=")) {
        return parse_jsonpath_goal(text + strlen("jsonpath="), goal, err);
    } else {
        return err_set(err, ERR_USAGE, "unrecognized condition: \"%s\"", text);
    }
    return 0;
}

static bool condition_met(const struct goal *goal, const struct json *object)
{
    int64_t generation = json_int_or(0, object, "metadata", "generation", NULL);
    const struct json *condition;
    json_each(condition, json_get(object, "status", "conditions", NULL)) {
        if (strcasecmp(json_str_or("", condition, "type", NULL), goal->condition) != 0)
            continue;
        int64_t seen = json_int_or(json_int_or(generation, object, "status", "observedGeneration", NULL), condition,
                                   "observedGeneration", NULL);
        return seen >= generation && strcasecmp(json_str_or("", condition, "status", NULL), goal->value) == 0;
    }
    return false;
}

/* 1, 0, or negative: what is found there can never be the value. */
static int jsonpath_met(const struct goal *goal, const struct json *object, struct err *err)
{
    CLEANUP(json_free) struct json *found = NULL;
    CLEANUP(buf_done) struct buf text = {0};
    if (jsonpath_find(goal->path, object, true, &found, err) < 0)
        return (int)err->code;
    if (json_len(found) > 1)
        return err_set(err, ERR_INVALID, "given jsonpath expression matches more than one value");
    const struct json *value = json_at(found, 0);
    if (goal->value == NULL || value == NULL)
        return value != NULL;
    if (json_is_object(value) || json_is_array(value))
        return err_set(err, ERR_INVALID, "jsonpath leads to a nested object or list which is not supported");
    gotext_print(value, &text);
    struct str wanted = str_trim(str_of(goal->value)), is = str_trim(str_of(buf_text(&text)));
    return is.len == wanted.len && memcmp(is.p, wanted.p, is.len) == 0;
}

static int is_met(const struct goal *goal, const struct json *object, struct err *err)
{
    if (goal->kind == GOAL_CONDITION)
        return condition_met(goal, object);
    return goal->kind == GOAL_JSONPATH ? jsonpath_met(goal, object, err) : goal->kind == GOAL_CREATE;
}

/* --- waiting for one object */

struct following {
    const struct goal *goal;
    struct json *met; /* the object as it was when the goal was reached */
    struct err *err;  /* why it never will be */
    bool deleted;
};

static bool on_event(const char *type, const struct json *object, void *data)
{
    struct following *following = data;
    if (streq(type, "DELETED")) {
        following->deleted = following->goal->kind == GOAL_DELETE;
        return !following->deleted;
    }
    int code = is_met(following->goal, object, following->err);
    if (code == 1)
        following->met = json_clone(object);
    return code == 0;
}

static int timed_out(const struct waiting *waiting, const struct item *item, struct err *err)
{
    err_clear(err);
    if (waiting->timeout_ms == 0)
        return err_set(err, ERR_TIMEOUT, "condition not met for %s/%s", item->resource->plural, item->name);
    return err_set(err, ERR_TIMEOUT, "timed out waiting for the condition on %s/%s", item->resource->plural,
                   item->name);
}

/* 1: reached, *ret is the object or NULL when it was gone before. */
static int wait_one(struct waiting *waiting, const struct goal *goal, const struct item *item, struct json **ret,
                    struct err *err)
{
    for (;;) {
        CLEANUP(json_free) struct json *object = NULL;
        int code = item_get(waiting->cli, item, NULL, &object, err);
        bool absent = code == ERR_NOT_FOUND && err->http_status == 404;
        if (absent && goal->kind == GOAL_DELETE) {
            err_clear(err);
            return 1;
        }
        if (code < 0)
            return code;
        code = is_met(goal, object, err);
        if (code == 1)
            *ret = take(&object);
        if (code != 0)
            return code;
        int64_t left = waiting->deadline_ms - clock_monotonic_ms();
        if (left <= 0 || waiting->timeout_ms == 0)
            return timed_out(waiting, item, err);
        CLEANUP(xfree) char *collection = item_collection_path(item);
        const struct watch_request request = {.path = collection,
                                              .name = item->name,
                                              .timeout_ms = left,
                                              .resource_version =
                                                  json_str(object, "metadata", "resourceVersion", NULL)};
        CLEANUP(err_clear) struct err never = {0};
        struct following following = {.goal = goal, .err = &never};
        bool ended_by_server = false;
        code = watch_run(waiting->cli, &request, on_event, &following, &ended_by_server, err);
        if (code == ERR_TIMEOUT)
            return timed_out(waiting, item, err);
        if (following.met != NULL || following.deleted) {
            *ret = following.met != NULL ? following.met : take(&object);
            return 1;
        }
        if (never.code != 0) {
            err_clear(err);
            err_move(err, &never);
            return err->code;
        }
        if (code < 0 && code != ERR_GONE && code != ERR_IO)
            return code;
        err_clear(err); /* the server ended the watch: look again */
    }
}

static bool wants(const struct waiting *waiting, enum goal_kind kind)
{
    for (size_t i = 0; i < waiting->n_goals; i++) {
        if (waiting->goals[i].kind == kind)
            return true;
    }
    return false;
}

static bool all_not_found(const struct failures *failures)
{
    for (size_t i = 0; i < failures->n; i++) {
        if (failures->list[i].code != ERR_NOT_FOUND || failures->list[i].http_status != 404)
            return false;
    }
    return true;
}

/* --for=create: looks again until everything named is there, or something that the selector fits. */
static int wait_created(struct waiting *waiting, const struct strv *args, struct err *err)
{
    for (;;) {
        CLEANUP(items_done) struct items items = {0};
        CLEANUP(failures_done) struct failures failures = {0};
        if (items_resolve(waiting->cli, &waiting->selection, args, true, &items, &failures, err) < 0)
            return err->code;
        if (items.n > 0 && failures.n == 0)
            return 0;
        if (failures.n > 0 && !all_not_found(&failures)) {
            err_move(err, &failures.list[0]);
            return err->code;
        }
        if (clock_monotonic_ms() >= waiting->deadline_ms)
            return err_set(err, ERR_TIMEOUT, "timed out waiting for the condition");
        const struct timespec pause = {.tv_nsec = 200000000};
        (void)nanosleep(&pause, NULL);
    }
}

static int print_met(struct waiting *waiting, const struct item *item, const struct json *object, struct err *err)
{
    if (output_is_object(&waiting->output) && object != NULL)
        return output_print(&waiting->output, object, err);
    CLEANUP(buf_done) struct buf name = {0};
    item_print_name(item, &name);
    printf("%s%s\n", buf_text(&name), waiting->output.kind == OUTPUT_NAME ? "" : " condition met");
    return fflush(stdout) == 0 ? 0 : err_set(err, ERR_IO, "writing to standard output failed");
}

/* One goal after the other, each told when it is reached. */
static int wait_for_goals(struct waiting *waiting, const struct item *item, struct err *err)
{
    for (size_t i = 0; i < waiting->n_goals; i++) {
        CLEANUP(json_free) struct json *object = NULL;
        int code = wait_one(waiting, &waiting->goals[i], item, &object, err);
        if (code == 1 && (object != NULL || item->object != NULL)) /* it was there when the waiting began */
            code = print_met(waiting, item, object, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static int parse_goals(struct waiting *waiting, struct err *err)
{
    if (waiting->targets.n == 0)
        return err_set(err, ERR_USAGE, "unrecognized condition: []");
    waiting->goals = xcalloc(waiting->targets.n, sizeof(waiting->goals[0]));
    waiting->n_goals = waiting->targets.n;
    for (size_t i = 0; i < waiting->n_goals; i++) {
        if (parse_goal(waiting->targets.items[i], &waiting->goals[i], err) < 0)
            return err->code;
    }
    return 0;
}

static int run_wait(struct waiting *waiting, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (parse_goals(waiting, &err) < 0 || output_parse(&waiting->output_options, &waiting->output, &err) < 0)
        return cli_fail(waiting->cli, &err);
    waiting->deadline_ms = clock_monotonic_ms() + (waiting->timeout_ms < 0 ? WEEK_MS : waiting->timeout_ms);
    if ((wants(waiting, GOAL_CREATE) && wait_created(waiting, args, &err) < 0) ||
        items_resolve(waiting->cli, &waiting->selection, args, false, &items, &failures, &err) < 0)
        return cli_fail(waiting->cli, &err);
    if (items.n == 0 && failures.n == 0)
        return wants(waiting, GOAL_DELETE) ? 0 : cli_error("no matching resources found");
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (wait_for_goals(waiting, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(waiting->cli, &failures);
}

int command_wait(struct cli *cli, int argc, char **argv)
{
    struct waiting waiting = {.cli = cli, .timeout_ms = 30000, .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&waiting.selection),
        SELECTION_LABEL_OPTION(&waiting.selection),
        SELECTION_FIELD_OPTION(&waiting.selection),
        SELECTION_NAMESPACES_OPTION(&waiting.selection),
        OUTPUT_OPTIONS(&waiting.output_options),
        {"all", 0, OPT_BOOL, &waiting.selection.all, NULL, "All resources of the types, in the namespace."},
        {"for", 0, OPT_ARRAY, &waiting.targets, "[]",
         "create, delete, condition=NAME[=VALUE] or jsonpath='{PATH}'[=VALUE]."},
        {"timeout", 0, OPT_DURATION, &waiting.timeout_ms, "30s", "How long to wait; 0: look once, negative: a week."},
        {0},
    };
    const struct cli_command command = {
        .words = "wait",
        .usage = "([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) "
                 "[--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]] [options]",
        .about = "Wait for a specific condition on one or many resources.",
        .examples = "  # Until a pod is ready\n  fks wait --for=condition=Ready pod/web-0\n\n  # Until it is gone\n"
                    "  fks wait --for=delete pod/web-0 --timeout=60s\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_wait(&waiting, &args);
    selection_done(&waiting.selection);
    output_done(&waiting.output);
    for (size_t i = 0; i < waiting.n_goals; i++) {
        free(waiting.goals[i].condition);
        free(waiting.goals[i].value);
        jsonpath_free(waiting.goals[i].path);
    }
    free(waiting.goals);
    strv_done(&waiting.targets);
    return code;
}
