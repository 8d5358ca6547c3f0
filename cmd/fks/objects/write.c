/*
 * write.c: sending objects and patches to the server with dry run, validation and field manager in the query.
 */
#include "objects/write.h"

#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "text/gotext.h"
#include "trace.h"

static int check_dry_run(struct write_options *options, struct err *err)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    const char *text = options->dry_run, *meant = NULL;
    if (text == NULL || streq(text, "none")) {
        options->dry_run = "none";
        return 0;
    }
    if (streq(text, "client") || streq(text, "server"))
        return 0;
    if (streq(text, "unchanged")) {
        trace_warning("helpers.go:719", "--dry-run is deprecated and can be replaced with --dry-run=client.");
        options->dry_run = "client";
        return 0;
    }
    for (size_t i = 0; i < countof(yes) && meant == NULL; i++)
        meant = streq(text, yes[i]) ? "client" : streq(text, no[i]) ? "none" : NULL;
    if (meant == NULL)
        return err_set(err, ERR_USAGE, "Invalid dry-run value (%s). Must be \"none\", \"server\", or \"client\".",
                       text);
    CLEANUP(xfree)
    char *warning = xasprintf("--dry-run=%s is deprecated (boolean value) and can be replaced with --dry-run=%s.", text,
                              meant);
    trace_warning(streq(meant, "client") ? "helpers.go:733" : "helpers.go:736", warning);
    options->dry_run = meant;
    return 0;
}

int write_options_check(struct write_options *options, struct err *err)
{
    static const struct {
        const char *given, *directive;
    } directives[] = {
        {"strict", "Strict"}, {"true", "Strict"}, {"warn", "Warn"}, {"ignore", "Ignore"}, {"false", "Ignore"}};
    if (options->record_seen)
        fputs("Flag --record has been deprecated, --record will be removed in the future\n", stderr);
    options->record_seen = false; /* said once, also when the options are looked at twice */
    if (check_dry_run(options, err) < 0)
        return err->code;
    const char *text = options->validate;
    if (text == NULL)
        return 0;
    for (size_t i = 0; i < countof(directives); i++) {
        if (str_is_nocase(str_of(text), directives[i].given)) {
            options->validate = directives[i].directive;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE,
                   "invalid - validate option \"%s\"; must be one of: strict (or true), warn, ignore (or false)", text);
}

bool write_is_client_dry_run(const struct write_options *options)
{
    return streq(options->dry_run, "client");
}

bool write_is_dry_run(const struct write_options *options)
{
    return !streq(options->dry_run, "none");
}

static void add_query(const struct write_options *options, const char *extra_query, struct buf *path)
{
    if (extra_query != NULL)
        buf_printf(path, "?%s", extra_query);
    if (streq(options->dry_run, "server"))
        kube_path_query(path, "dryRun", "All");
    if (options->field_manager != NULL)
        kube_path_query(path, "fieldManager", options->field_manager);
    if (options->validate != NULL)
        kube_path_query(path, "fieldValidation", options->validate);
}

int write_create(struct cli *cli, const struct write_options *options, const struct item *item, struct json **ret,
                 struct err *err)
{
    CLEANUP(xfree) char *collection = item_collection_path(item);
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, collection);
    add_query(options, NULL, &path);
    CLEANUP(json_free) struct json *object = json_keep(item->object);
    if (json_get(object, "metadata", "resourceVersion", NULL) != NULL) { /* of an object that somebody dumped */
        json_free(object);
        object = json_clone(item->object);
        json_del(json_edit(object, "metadata", NULL), "resourceVersion");
    }
    const struct kube_request request = {.method = "POST", .path = buf_text(&path), .body = object};
    return cli_do(cli, &request, ret, err);
}

int write_patch(struct cli *cli, const struct write_options *options, const struct item *item, const char *subresource,
                const char *content_type, const struct json *patch, const char *extra_query, struct json **ret,
                struct err *err)
{
    if (item_check_name(item, err) < 0)
        return err->code;
    CLEANUP(xfree) char *plain = item_path(item, subresource);
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, plain);
    add_query(options, extra_query, &path);
    const struct kube_request request = {
        .method = "PATCH", .path = buf_text(&path), .body = patch, .content_type = content_type};
    return cli_do(cli, &request, ret, err);
}

int write_replace(struct cli *cli, const struct write_options *options, const struct item *item,
                  const char *subresource, const struct json *object, struct json **ret, struct err *err)
{
    if (item_check_name(item, err) < 0)
        return err->code;
    CLEANUP(xfree) char *plain = item_path(item, subresource);
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, plain);
    add_query(options, NULL, &path);
    const struct kube_request request = {.method = "PUT", .path = buf_text(&path), .body = object};
    return cli_do(cli, &request, ret, err);
}

static int read_body(const char *name, struct buf *ret, struct err *err)
{
    buf_init(ret, LIMIT_FILE);
    if (name == NULL)
        return 0;
    if (streq(name, "-"))
        return fd_read_all(STDIN_FILENO, ret, err);
    CLEANUP(err_clear) struct err cause = {0};
    if (file_read(name, LIMIT_FILE, ret, &cause) == 0)
        return 0;
    return cause.code == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "open %s: no such file or directory", name)
                                       : err_set(err, cause.code, "%s", err_text(&cause));
}

int write_raw(struct cli *cli, const char *method, const char *path, const struct selection *selection,
              const char *output, struct err *err)
{
    const char *name = selection->filenames.n == 1 ? selection->filenames.items[0] : NULL;
    if (selection->filenames.n > 1 || (name == NULL && !streq(method, "DELETE")))
        return err_set(err, ERR_USAGE, "--raw can only use a single local file or stdin");
    if (name != NULL && (starts_with(name, "http://") || starts_with(name, "https://")))
        return err_set(err, ERR_USAGE, "--raw cannot read from a url");
    if (selection->recursive)
        return err_set(err, ERR_USAGE, "--raw and --recursive are mutually exclusive");
    if (selection->label_selector != NULL)
        return err_set(err, ERR_USAGE, "--raw and --selector (-l) are mutually exclusive");
    if (strempty(output)[0] != '\0')
        return err_set(err, ERR_USAGE, "--raw and --output are mutually exclusive");
    if (path[0] != '/')
        return err_set(err, ERR_USAGE, "--raw must be a valid URL path: parse \"%s\": invalid URI for request", path);
    CLEANUP(buf_done) struct buf body = {0}, answer = {0};
    if (read_body(name, &body, err) < 0 || cli_connect(cli, err) < 0)
        return err->code;
    const struct kube_request request = {
        .method = method, .path = path, .body_text = name != NULL ? buf_text(&body) : NULL};
    if (kube_do_raw(cli->client, &request, NULL, NULL, &answer, err) < 0)
        return err->code;
    fwrite(buf_text(&answer), 1, answer.len, stdout);
    return 0;
}

void write_record(const struct cli *cli, const struct write_options *options, struct json *object)
{
    if (options->record)
        json_set_str(json_edit(object, "metadata", "annotations", NULL), CHANGE_CAUSE_ANNOTATION, cli->command_line);
}

void write_warn_if_deleting(const struct json *object)
{
    if (json_str(object, "metadata", "deletionTimestamp", NULL) != NULL)
        fprintf(stderr, "Warning: Detected changes to resource %s which is currently being deleted.\n",
                json_str_or("", object, "metadata", "name", NULL));
}

void write_blame_source(const char *verb, const char *source, struct err *err)
{
    if (source != NULL && (err->http_status != 0 || err->code != ERR_REFUSED))
        (void)err_wrap(err, "error when %s \"%s\"", verb, source);
}

char *write_last_applied(const struct json *object)
{
    CLEANUP(json_free) struct json *plain = json_clone(object);
    struct json *annotations = json_edit(plain, "metadata", "annotations", NULL);
    json_del(annotations, LAST_APPLIED_ANNOTATION);
    struct buf text = {0};
    gotext_json(plain, &text);
    buf_add_char(&text, '\n');
    return buf_take(&text);
}

void write_set_last_applied(struct json *object)
{
    CLEANUP(xfree) char *text = write_last_applied(object);
    json_set_str(json_edit(object, "metadata", "annotations", NULL), LAST_APPLIED_ANNOTATION, text);
}
