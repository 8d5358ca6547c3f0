/*
 * edit.c: one editing session: the objects as text with a header, the editor, and what comes back compared, sent, or
 * shown again with the reasons for which it was refused. The commands around it are edit_commands.c.
 */
#include "change/edit.h"

#include <unistd.h>

#include "base/mem.h"
#include "data/yaml.h"

#include "change/editor.h"
#include "merge/merge.h"
#include "text/gotext.h"

#define SYNTAX_ERROR_TRIES 100 /* sessions of one edit; a broken EDITOR must not open files for ever */

static const char live_header[] =
    "# Please edit the object below. Lines beginning with a '#' will be ignored,\n"
    "# and an empty file will abort the edit. If an error occurs while saving this file will be\n"
    "# reopened with the relevant failures.\n#\n";
static const char last_applied_header[] =
    "# Please edit the 'last-applied-configuration' annotations below.\n"
    "# Lines beginning with a '#' will be ignored, and an empty file will abort the edit.\n#\n";

struct session {
    struct edit *edit;
    const struct items *originals; /* their objects have no managedFields */
    struct buf reasons;            /* comment lines for the next round */
    bool was_refused;              /* the next round shows what was typed, not the originals */
    size_t n_retryable, n_missing, n_invalid;
    char *path; /* the file of the last round, while it exists */
};

/* --- text */

static bool is_comment(const char *line)
{
    return line[strspn(line, " \t")] == '#';
}

/* Without comment lines. */
static void strip_comments(const struct buf *text, struct buf *out)
{
    const char *line = buf_text(text);
    while (*line != '\0') {
        size_t len = strcspn(line, "\n");
        len += line[len] == '\n' ? 1 : 0;
        if (!is_comment(line))
            buf_add(out, line, len);
        line += len;
    }
}

static bool has_content(const struct buf *text)
{
    CLEANUP(buf_done) struct buf plain = {0};
    strip_comments(text, &plain);
    const char *c = buf_text(&plain);
    return c[strspn(c, " \t\r\n")] != '\0';
}

/* The same content: as trees, or, where that is no YAML, as text without comments. */
static bool same_content(const struct buf *a, const struct buf *b)
{
    CLEANUP(json_free) struct json *left = NULL, *right = NULL;
    CLEANUP(err_clear) struct err ignored = {0};
    if (yaml_parse_all(buf_text(a), a->len, &left, &ignored) == 0 &&
        yaml_parse_all(buf_text(b), b->len, &right, &ignored) == 0)
        return json_same(left, right);
    CLEANUP(buf_done) struct buf plain_a = {0}, plain_b = {0};
    strip_comments(a, &plain_a);
    strip_comments(b, &plain_b);
    return streq(buf_text(&plain_a), buf_text(&plain_b));
}

/* "# text", and a '#' before each further line. */
static void add_reason(struct session *session, const char *bullet, const char *text, const char *end)
{
    buf_printf(&session->reasons, "# %s", bullet);
    for (const char *c = text; *c != '\0'; c++) {
        buf_add_char(&session->reasons, *c);
        if (*c == '\n' && c[1] != '\0' && c[1] != '#')
            buf_add_str(&session->reasons, "# ");
    }
    buf_printf(&session->reasons, "%s\n", end);
}

static bool as_json(const struct edit *edit)
{
    return streq(edit->output_options->format, "json");
}

/* The originals as the editor shows them: one as itself, several as a List. */
static void print_originals(const struct session *session, struct buf *out)
{
    const struct items *items = session->originals;
    CLEANUP(json_free) struct json *list = NULL;
    const struct json *shown = items->list[0].object;
    if (items->n != 1) {
        list = json_build("{s:s, s:[], s:s, s:{}}", "apiVersion", "v1", "items", "kind", "List", "metadata");
        for (size_t i = 0; i < items->n; i++)
            json_push(json_edit_member(list, "items"), json_keep(items->list[i].object));
        shown = list;
    }
    if (as_json(session->edit)) {
        json_print_pretty(shown, out);
        buf_add_char(out, '\n');
    } else {
        yaml_print(shown, out);
    }
}

static void add_line_endings(const struct edit *edit, const struct buf *text, struct buf *out)
{
    if (!edit->windows_line_endings) {
        buf_add(out, buf_text(text), text->len);
        return;
    }
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] == '\n' && (i == 0 || text->data[i - 1] != '\r'))
            buf_add_char(out, '\r');
        buf_add_char(out, text->data[i]);
    }
}

/* --- what came back */

static const struct item *find_original(const struct session *session, const struct item *edited)
{
    for (size_t i = 0; i < session->originals->n; i++) {
        const struct item *item = &session->originals->list[i];
        const char *own = json_str_or("", item->object, "metadata", "uid", NULL);
        bool same = session->edit->mode == EDIT_LIVE
                        ? streq(own, json_str_or("", edited->object, "metadata", "uid", NULL))
                        : item->resource == edited->resource && streq(item->name, edited->name);
        if (same)
            return item;
    }
    return NULL;
}

/* Prints the failure and says what it means for the session. */
static void note_failure(struct session *session, const struct item *item, const struct err *failure)
{
    CLEANUP(buf_done) struct buf name = {0};
    resource_print_plural(item->resource, &name);
    CLEANUP(xfree) char *what = xasprintf("%s \"%s\"", buf_text(&name), strempty(item->name));
    if (failure->http_status == 422) {
        session->n_invalid++;
        CLEANUP(xfree) char *head = xasprintf("%s was not valid", what);
        add_reason(session, "", head, ":");
        const char *text = strempty(session->edit->cli->invalid_text), *colon = strstr(text, " is invalid: ");
        CLEANUP(strv_done) struct strv lines = {0};
        strv_split(&lines, colon != NULL ? colon + strlen(" is invalid: ") : text, '\n');
        for (size_t i = 0; i < lines.n; i++) {
            const char *line = lines.items[i] + (starts_with(lines.items[i], "* ") ? 2 : 0);
            if (line[strspn(line, " ")] != '\0')
                add_reason(session, "* ", line, "");
        }
        buf_add_str(&session->reasons, "#\n");
        (void)cli_error("%s is invalid", what);
    } else if (failure->code == ERR_NOT_FOUND) {
        session->n_missing++;
        (void)cli_error("%s could not be found on the server", what);
    } else {
        session->n_retryable++;
        (void)cli_error("%s could not be patched: %s", what, err_text(failure));
    }
}

static int check_identity(const struct json *patch, struct err *err)
{
    if (json_get(patch, "apiVersion", NULL) != NULL || json_get(patch, "kind", NULL) != NULL ||
        json_get(patch, "metadata", "name", NULL) != NULL)
        return err_set(err, ERR_INVALID, "At least one of apiVersion, kind and name was changed");
    return 0;
}

static int send_patch(struct session *session, const struct item *original, const struct item *edited, struct err *err)
{
    struct edit *edit = session->edit;
    CLEANUP(json_free) struct json *patch = NULL, *patched = NULL;
    enum merge_style style = merge_style_of(original->resource->group);
    if (merge_two_way(original->object, edited->object, style, &patch, err) < 0 || check_identity(patch, err) < 0)
        return err->code;
    if (edit->output_patch) {
        CLEANUP(buf_done) struct buf text = {0};
        gotext_json(patch, &text);
        printf("Patch: %s\n", buf_text(&text));
    }
    struct err failure = {0};
    if (write_patch(edit->cli, edit->write, original, edit->subresource,
                    style == MERGE_STRATEGIC ? KUBE_STRATEGIC_PATCH : KUBE_MERGE_PATCH, patch, NULL, &patched,
                    &failure) < 0) {
        note_failure(session, original, &failure);
        err_clear(&failure);
        return 0;
    }
    return output_result(&edit->output, patched, "edited", "none", err);
}

static int send_annotation(struct session *session, const struct item *edited, struct err *err)
{
    struct edit *edit = session->edit;
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *patched = NULL;
    gotext_json(edited->object, &text);
    buf_add_char(&text, '\n');
    CLEANUP(json_free)
    struct json *patch =
        json_build("{s:{s:{s:s}}}", "metadata", "annotations", LAST_APPLIED_ANNOTATION, buf_text(&text));
    if (write_patch(edit->cli, edit->write, edited, NULL, KUBE_MERGE_PATCH, patch, NULL, &patched, err) < 0)
        return err->code;
    return output_result(&edit->output, edited->object, "edited", "none", err);
}

static int send_one(struct session *session, struct item *edited, struct err *err)
{
    struct edit *edit = session->edit;
    CLEANUP(json_free) struct json *created = NULL;
    if (edit->mode == EDIT_CREATE) {
        if (write_create(edit->cli, edit->write, edited, &created, err) < 0)
            return err->code;
        return output_result(&edit->output, created, "created", "none", err);
    }
    const struct item *original = find_original(session, edited);
    if (original == NULL)
        return err_set(err, ERR_INVALID, "no original object found for %s \"%s\": its uid was changed or is gone",
                       edited->resource->kind, strempty(edited->name));
    if (!streq(original->namespace, edited->namespace))
        return err_set(err, ERR_INVALID,
                       "the namespace from the provided object \"%s\" does not match the namespace \"%s\". You must "
                       "pass '--namespace=%s' to perform this operation.",
                       strempty(edited->namespace), strempty(original->namespace), strempty(edited->namespace));
    if (json_same(original->object, edited->object))
        return output_result(&edit->output, edited->object, "skipped", "none", err);
    return edit->mode == EDIT_LIVE ? send_patch(session, original, edited, err) : send_annotation(session, edited, err);
}

/* false with reasons for the next round when the text is no YAML. */
static bool is_readable(struct session *session, const struct buf *text)
{
    const struct item *first = &session->originals->list[0];
    CLEANUP(json_free) struct json *documents = NULL;
    CLEANUP(err_clear) struct err broken = {0};
    CLEANUP(buf_done) struct buf plain = {0}, name = {0};
    strip_comments(text, &plain); /* so that the lines are counted as the user sees them */
    if (yaml_parse_all(buf_text(&plain), plain.len, &documents, &broken) == 0)
        return true;
    resource_print_plural(first->resource, &name);
    CLEANUP(xfree) char *head = xasprintf("%s \"%s\" was not valid", buf_text(&name), strempty(first->name));
    CLEANUP(xfree)
    char *reason = xasprintf("<nil>: Invalid value: \"The edited file failed validation\": %s", err_text(&broken));
    add_reason(session, "", head, ":");
    add_reason(session, "* ", reason, "\n#");
    (void)cli_error("%s \"%s\" is invalid", buf_text(&name), strempty(first->name));
    return false;
}

/* 0 with reasons when the text cannot be read. */
static int send_all(struct session *session, const struct buf *text, struct err *err)
{
    CLEANUP(items_done) struct items edited = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    struct edit *edit = session->edit;
    if (!is_readable(session, text))
        return 0;
    if (items_from_text(edit->cli, "edited-file", text, &edited, &failures, err) < 0)
        return err->code;
    if (failures.n > 0) {
        CLEANUP(xfree) char *reason = xasprintf("The edited file had a syntax error: %s", err_text(&failures.list[0]));
        add_reason(session, "", reason, "\n#");
        return 0;
    }
    for (size_t i = 0; i < edited.n; i++) {
        if (edit->save_config)
            write_set_last_applied(edited.list[i].object);
        write_record(edit->cli, edit->write, edited.list[i].object);
    }
    for (size_t i = 0; i < edited.n; i++) {
        if (send_one(session, &edited.list[i], err) < 0)
            return err->code;
    }
    return 0;
}

/* --- the session */

static void remove_file(struct session *session)
{
    if (session->path != NULL)
        (void)unlink(session->path);
    free(session->path);
    session->path = NULL;
}

static int stop(const struct session *session, const struct err *err)
{
    if (session->path != NULL && access(session->path, F_OK) == 0)
        fprintf(stderr, "A copy of your changes has been stored to \"%s\"\n", session->path);
    return cli_fail(session->edit->cli, err);
}

/* One editor run. *typed: what was there before, then what is there now. */
static int show(struct session *session, const struct buf *plain, struct buf *typed, struct err *err)
{
    const struct edit *edit = session->edit;
    CLEANUP(buf_done) struct buf text = {0}, shown = {0}, now = {0};
    char *path = NULL;
    if (!as_json(edit)) {
        buf_add_str(&text, edit->mode == EDIT_LAST_APPLIED ? last_applied_header : live_header);
        buf_add(&text, buf_text(&session->reasons), session->reasons.len);
    }
    if (session->was_refused)
        strip_comments(typed, &text);
    else
        buf_add(&text, buf_text(plain), plain->len);
    add_line_endings(edit, &text, &shown);
    int code = editor_edit(edit->cli->program, as_json(edit) ? ".json" : ".yaml", &shown, &now, &path, err);
    if (code < 0) { /* nothing was typed into this file; one of a round before stays */
        if (path != NULL)
            (void)unlink(path);
        free(path);
        return code;
    }
    if (session->was_refused && same_content(typed, &now))
        code = err_set(err, ERR_CANCELLED, "Edit cancelled, no valid changes were saved.");
    remove_file(session); /* of the round before */
    session->path = path;
    buf_clear(typed);
    buf_add(typed, buf_text(&now), now.len);
    return code;
}

/* After a round: 1 another one, else *ret_code is the end. */
static bool is_over(struct session *session, int *ret_code)
{
    if (session->n_retryable > 0) {
        fprintf(stderr, "You can run `%s replace -f %s` to try this update again.\n", session->edit->cli->program,
                session->path);
        *ret_code = 1;
        return true;
    }
    if (session->n_missing > 0) {
        fprintf(stderr, "The edits you made on deleted resources have been saved to \"%s\"\n", session->path);
        *ret_code = 1;
        return true;
    }
    if (session->reasons.len > 0) {
        session->was_refused = true;
        return false;
    }
    remove_file(session);
    *ret_code = 0;
    return true;
}

static int run_session(struct session *session)
{
    CLEANUP(buf_done) struct buf plain = {0}, typed = {0};
    CLEANUP(err_clear) struct err err = {0};
    print_originals(session, &plain);
    for (int round = 0; round < SYNTAX_ERROR_TRIES; round++) {
        int code = 0;
        if (show(session, &plain, &typed, &err) < 0)
            return stop(session, &err);
        bool changed = !same_content(&plain, &typed), empty = !has_content(&typed);
        if (!changed || empty) {
            fputs(changed ? "Edit cancelled, saved file was empty.\n" : "Edit cancelled, no changes made.\n", stderr);
            remove_file(session);
            return 0;
        }
        buf_clear(&session->reasons);
        session->n_invalid = 0;
        if (send_all(session, &typed, &err) < 0)
            return stop(session, &err);
        if (is_over(session, &code))
            return code;
    }
    return cli_error("edit cancelled: the file was refused %d times", SYNTAX_ERROR_TRIES);
}

static int edit_items(struct edit *edit, const struct items *items)
{
    struct session session = {.edit = edit, .originals = items};
    int code = run_session(&session);
    buf_done(&session.reasons);
    free(session.path);
    return code;
}

/* --- which objects */

/* The annotation's object in place of the live one; items without the annotation are dropped. */
static int take_last_applied(struct items *items, struct err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < items->n; i++) {
        struct item *item = &items->list[i];
        const char *text = json_str(item->object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL);
        struct json *last = NULL;
        if (text == NULL) {
            item_done(item);
            continue;
        }
        if (json_parse(text, strlen(text), &last, err) < 0)
            return err_wrap(err, "the annotation of %s", item->name);
        json_free(item->object);
        item->object = last;
        struct item moved = *item;
        *item = (struct item){0};
        items->list[kept++] = moved;
    }
    items->n = kept;
    if (kept == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "no last-applied-configuration annotation found on resources, to create the annotation, use "
                       "command `kubectl apply set-last-applied --create-annotation`");
    return 0;
}

static int prepare(struct edit *edit, struct items *items, struct err *err)
{
    for (size_t i = 0; i < items->n && edit->subresource != NULL; i++) {
        if (item_fetch(edit->cli, &items->list[i], edit->subresource, err) < 0)
            return err->code;
    }
    if (edit->mode == EDIT_LAST_APPLIED && take_last_applied(items, err) < 0)
        return err->code;
    for (size_t i = 0; i < items->n; i++) {
        struct json *metadata = json_edit_member(items->list[i].object, "metadata");
        if (json_is_object(metadata))
            json_del(metadata, "managedFields");
    }
    return 0;
}

static int edit_each(struct edit *edit, struct items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        const struct items one = {.list = &items->list[i], .n = 1};
        int code = edit_items(edit, &one);
        if (code != 0)
            return code;
    }
    return 0;
}

int edit_run(struct edit *edit, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    const char *format = strempty(edit->output_options->format);
    if (edit->output_patch && edit->mode != EDIT_LIVE)
        return cli_error("the edit mode doesn't support output the patch");
    if (format[0] != '\0' && !streq(format, "json") && !streq(format, "yaml"))
        return cli_error("unable to match a printer suitable for the output format \"%s\", allowed formats are: "
                         "json,kyaml,yaml",
                         format);
    if (write_options_check(edit->write, &err) < 0 || output_parse(edit->output_options, &edit->output, &err) < 0)
        return cli_fail(edit->cli, &err);
    int code = edit->mode == EDIT_CREATE
                   ? items_from_files(edit->cli, edit->selection, &items, &failures, &err)
                   : items_resolve(edit->cli, edit->selection, args, true, &items, &failures, &err);
    if (code < 0)
        return cli_fail(edit->cli, &err);
    if (failures.n > 0)
        return cli_fail_all(edit->cli, &failures);
    if (items.n == 0)
        return cli_error("edit cancelled, no objects found");
    if (prepare(edit, &items, &err) < 0)
        return cli_fail(edit->cli, &err);
    return edit->mode == EDIT_CREATE ? edit_each(edit, &items) : edit_items(edit, &items);
}
