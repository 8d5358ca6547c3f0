/*
 * generate.c: the common end of all generators: dry run, annotation, POST, result line.
 */
#include "objects/generate.h"

#include <regex.h>

#include "base/mem.h"
#include "data/patch.h"
#include "data/quantity.h"
#include "merge/merge.h"

void generate_done(struct generate *generate)
{
    strv_done(&generate->args);
}

bool generate_begin(struct generate *generate, const struct cli_command *command, int argc, char **argv)
{
    if (!cli_parse(generate->cli, command, argc, argv, &generate->args, &generate->dash, &generate->code))
        return false;
    size_t n = generate->dash >= 0 ? (size_t)generate->dash : generate->args.n;
    if (n != 1) {
        generate->code = cli_error("exactly one NAME is required, got %zu\nSee '%s %s -h' for help and examples", n,
                                   generate->cli->program, command->words);
        return false;
    }
    generate->name = generate->args.items[0];
    return true;
}

struct json *generate_metadata(const struct generate *generate, const char *name, bool namespaced)
{
    struct json *metadata = json_build("{s:s}", "name", name);
    if (namespaced && generate->cli->namespace != NULL)
        json_set_str(metadata, "namespace", generate->cli->namespace);
    return metadata;
}

int generate_override(const struct override *override, struct json **object, struct err *err)
{
    CLEANUP(json_free) struct json *before = *object, *patch = NULL;
    const char *text = strempty(override->patch);
    *object = NULL;
    if (text[0] == '\0') {
        *object = take(&before);
        return 0;
    }
    if (!streq(override->type, "json") && !streq(override->type, "merge") && !streq(override->type, "strategic"))
        return err_set(err, ERR_USAGE, "invalid override type: %s", override->type);
    CLEANUP(err_clear) struct err no_json = {0};
    if (json_parse(text, strlen(text), &patch, &no_json) < 0)
        return err_set(err, ERR_USAGE,
                       streq(override->type, "strategic") ? "invalid JSON document" : "Invalid JSON Patch");
    if (streq(override->type, "json"))
        return patch_apply(before, patch, object, err);
    *object = streq(override->type, "merge") ? patch_merge(before, patch) : merge_apply(before, patch);
    return 0;
}

struct json *generate_command(const struct generate *generate)
{
    if (generate->dash < 0 || (size_t)generate->dash >= generate->args.n)
        return NULL;
    struct json *command = json_new_array();
    for (size_t i = (size_t)generate->dash; i < generate->args.n; i++)
        json_push(command, json_new_string(generate->args.items[i]));
    return command;
}

bool generate_matches(const char *pattern, const char *text)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool matched = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return matched;
}

struct json *generate_number_or_text(const char *text)
{
    int64_t number = 0;
    CLEANUP(err_clear) struct err no_number = {0};
    return parse_int(text, INT32_MIN, INT32_MAX, &number, &no_number) == 0 ? json_new_int(number)
                                                                           : json_new_string(text);
}

static int send(struct generate *generate, struct json *object, struct json **ret, struct err *err)
{
    if (cli_connect(generate->cli, err) < 0)
        return err->code;
    const struct kube_resource *resource = NULL;
    if (kube_discovery_find_kind(generate->cli->discovery, json_str(object, "apiVersion", NULL),
                                 json_str(object, "kind", NULL), &resource, err) < 0)
        return err->code;
    const char *own = json_str(object, "metadata", "namespace", NULL);
    const char *namespace = own != NULL ? own : cli_namespace(generate->cli);
    const struct item item = {.resource = resource,
                              .object = object,
                              .namespace = resource->namespaced ? (char *)(uintptr_t) namespace : NULL};
    return write_create(generate->cli, &generate->write, &item, ret, err);
}

void generate_annotate(struct json *object)
{
    CLEANUP(buf_done) struct buf text = {0};
    json_print(object, &text);
    buf_add_char(&text, '\n');
    json_set_str(json_edit(object, "metadata", "annotations", NULL), LAST_APPLIED_ANNOTATION, buf_text(&text));
}

int generate_finish(struct generate *generate, struct json *object, const char *what)
{
    CLEANUP(json_free) struct json *mine = object, *created = NULL;
    CLEANUP(output_done) struct output output = {0};
    CLEANUP(err_clear) struct err err = {0};
    if (write_options_check(&generate->write, &err) < 0 || output_parse(&generate->output_options, &output, &err) < 0)
        return cli_fail(generate->cli, &err);
    if (generate->save_config)
        generate_annotate(mine);
    if (write_is_client_dry_run(&generate->write)) {
        output.keep_order = true;
        created = json_keep(mine);
    } else if (send(generate, mine, &created, &err) < 0) {
        if (what == NULL || err.http_status == 0)
            return cli_fail(generate->cli, &err);
        return cli_error("failed to create %s %s", what, err_text(&err));
    }
    if (!generate->quiet && output_result(&output, created, "created", generate->write.dry_run, &err) < 0)
        return cli_fail(generate->cli, &err);
    return 0;
}

int generate_quantity(const char *text, struct buf *out, struct err *err)
{
    CLEANUP(err_clear) struct err wrong = {0};
    if (quantity_canonical(text, out, &wrong) == 0)
        return 0;
    const char *suffix = text + (text[0] == '-' || text[0] == '+');
    suffix += strspn(suffix, "0123456789.");
    bool has_number = suffix > text, only_letters = suffix[strspn(suffix, "eEinumkKMGTP")] == '\0';
    return err_set(err, ERR_USAGE,
                   has_number && only_letters ? "unable to parse quantity's suffix"
                                              : "quantities must match the regular expression "
                                                "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

int generate_amounts(const char *text, struct json **ret, struct err *err)
{
    CLEANUP(strv_done) struct strv pairs = {0};
    if (strempty(text)[0] == '\0')
        return 0;
    CLEANUP(json_free) struct json *amounts = json_new_object();
    strv_split(&pairs, text, ',');
    strv_sort(&pairs);
    for (size_t i = 0; i < pairs.n; i++) {
        CLEANUP(strv_done) struct strv parts = {0};
        CLEANUP(buf_done) struct buf quantity = {0};
        strv_split(&parts, pairs.items[i], '=');
        if (parts.n != 2)
            return err_set(err, ERR_USAGE, "Invalid argument syntax %s, expected <resource>=<value>", pairs.items[i]);
        if (generate_quantity(parts.items[1], &quantity, err) < 0)
            return err->code;
        json_set_str(amounts, parts.items[0], buf_text(&quantity));
    }
    *ret = take(&amounts);
    return 0;
}

struct json *generate_pairs(const struct strv *pairs)
{
    struct json *object = json_new_object();
    CLEANUP(strv_done) struct strv sorted = {0};
    for (size_t i = 0; i < pairs->n; i++)
        strv_add(&sorted, pairs->items[i]);
    strv_sort(&sorted);
    for (size_t i = 0; i < sorted.n; i++) {
        struct str key, value;
        if (!str_cut(str_of(sorted.items[i]), '=', &key, &value))
            continue;
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
        json_set(object, name, json_new_string_n(value.p, value.len));
    }
    return object;
}

int generate_labels(const char *text, struct json **ret, struct err *err)
{
    CLEANUP(strv_done) struct strv pairs = {0};
    CLEANUP(json_free) struct json *labels = json_new_object();
    strv_split(&pairs, text, ',');
    strv_sort(&pairs);
    for (size_t i = 0; i < pairs.n; i++) {
        struct str key, value;
        if (!str_cut(str_of(pairs.items[i]), '=', &key, &value) || key.len == 0)
            return err_set(err, ERR_USAGE, "unexpected label spec: %s", pairs.items[i]);
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
        json_set(labels, name, json_new_string_n(value.p, value.len));
    }
    *ret = take(&labels);
    return 0;
}

/* The grammar of github.com/distribution/reference. */
bool generate_is_image(const char *image)
{
#define DOMAIN_PART "([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
#define PATH_PART "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*"
#define DIGEST_PART "[A-Za-z][A-Za-z0-9]*"
    return generate_matches("^((" DOMAIN_PART "([.]" DOMAIN_PART ")*|\\[[a-fA-F0-9:]+\\])(:[0-9]+)?/)?" PATH_PART
                            "(/" PATH_PART ")*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?"
                            "(@" DIGEST_PART "([-_+.]" DIGEST_PART ")*:[0-9a-fA-F]{32,})?$",
                            image);
}
