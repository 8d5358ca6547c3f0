/*
 * set_env.c: `set env`: sets, removes, imports or lists the environment variables of containers.
 */
#include "change/set.h"

#include <ctype.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "print/resource_ref.h"
#include "text/gotext.h"

struct env {
    struct set *set;
    struct strv params, keys, resources, specs;
    const char *from, *prefix;
    bool list, resolve, overwrite;
    struct json *variables; /* to set: EnvVar objects */
    struct strv removals;
};

static void env_done(struct env *env)
{
    strv_done(&env->params);
    strv_done(&env->keys);
    strv_done(&env->resources);
    strv_done(&env->specs);
    strv_done(&env->removals);
    env->variables = json_free(env->variables);
}
DEFINE_CLEANUP_IN_PLACE(struct env, env_done)

/* --- what the command line says */

static int split_arguments(struct env *env, const struct strv *args, struct err *err)
{
    bool in_specs = false;
    for (size_t i = 0; i < args->n; i++) {
        const char *equals = strchr(args->items[i], '=');
        bool is_spec = (equals != NULL && equals != args->items[i]) || ends_with(args->items[i], "-");
        if (in_specs && !is_spec) {
            CLEANUP(xfree) char *all = strv_join(args, " ");
            return err_set(err, ERR_USAGE, "all resources must be specified before environment changes: %s", all);
        }
        in_specs = in_specs || is_spec;
        strv_add(is_spec ? &env->specs : &env->resources, args->items[i]);
    }
    return 0;
}

static void add_variable(struct env *env, struct str name, struct str value)
{
    struct json *variable = json_new_object();
    json_set(variable, "name", json_new_string_n(name.p, name.len));
    if (value.len > 0)
        json_set(variable, "value", json_new_string_n(value.p, value.len));
    json_push(env->variables, variable);
}

/* Lines NAME=VALUE; # begins a comment anywhere in a line. */
static int read_variables(struct env *env, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    buf_init(&text, LIMIT_FILE);
    if (fd_read_all(STDIN_FILENO, &text, err) < 0)
        return err->code;
    struct str rest = {buf_text(&text), text.len}, line, comment, name, value;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        (void)str_cut(line, '#', &line, &comment);
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (str_cut(line, '=', &name, &value))
            add_variable(env, name, value);
    }
    return 0;
}

static bool is_variable_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (!isalpha(c) && strchr("-._", c) == NULL && (i == 0 || !isdigit(c)))
            return false;
    }
    return name.len > 0 && !str_is(name, ".") && !(name.len >= 2 && name.p[0] == '.' && name.p[1] == '.');
}

static int parse_spec(struct env *env, const char *spec, struct err *err)
{
    struct str name, value;
    if (streq(spec, "-"))
        return read_variables(env, err);
    if (str_cut(str_of(spec), '=', &name, &value)) {
        if (!is_variable_name(name))
            return err_set(err, ERR_USAGE,
                           "\"%.*s\" is not a valid key name: a valid environment variable name must consist of "
                           "alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. "
                           "'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is "
                           "'[-._a-zA-Z][-._a-zA-Z0-9]*')",
                           (int)name.len, name.p);
        add_variable(env, name, value);
        return 0;
    }
    if (!ends_with(spec, "-"))
        return err_set(err, ERR_USAGE, "unknown environment variable: %s", spec);
    strv_take(&env->removals, xstrndup(spec, strlen(spec) - 1));
    return 0;
}

static const struct json *find_variable(const struct json *variables, const char *name)
{
    const struct json *variable;
    json_each(variable, variables) {
        if (streq(json_str(variable, "name", NULL), name))
            return variable;
    }
    return NULL;
}

static int parse_specs(struct env *env, struct err *err)
{
    const struct strv *lists[] = {&env->params, &env->specs};
    for (size_t i = 0; i < countof(lists); i++) {
        for (size_t j = 0; j < lists[i]->n; j++) {
            if (parse_spec(env, lists[i]->items[j], err) < 0)
                return err->code;
        }
    }
    for (size_t i = 0; i < env->removals.n; i++) {
        if (find_variable(env->variables, env->removals.items[i]) != NULL)
            return err_set(err, ERR_USAGE,
                           "can not both modify and remove the same environment variable in the same command");
    }
    return 0;
}

/* --- --from: a variable for each key of a ConfigMap or Secret */

static void import_key(struct env *env, const char *reference, const char *object, const char *key)
{
    CLEANUP(xfree) char *name = xstrdup(key);
    if (env->keys.n > 0 && !strv_has(&env->keys, key))
        return;
    for (char *c = name; *c != '\0'; c++)
        *c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
    if (!streq(name, key))
        fprintf(stderr, "Warning: key %s transferred to %s\n", key, name);
    json_push(env->variables,
              json_build("{s:s, s:{s:{s:s, s:s}}}", "name", name, "valueFrom", reference, "name", object, "key", key));
}

static int import_variables(struct env *env, struct err *err)
{
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(strv_done) struct strv from = {0};
    if (env->from == NULL)
        return 0;
    strv_add(&from, env->from);
    if (items_resolve(env->set->cli, &env->set->selection, &from, true, &items, &failures, err) < 0)
        return err->code;
    if (failures.n > 0) {
        err_move(err, &failures.list[0]);
        return err->code;
    }
    for (size_t i = 0; i < items.n; i++) {
        const struct json *object = items.list[i].object;
        const char *kind = json_str_or("", object, "kind", NULL);
        CLEANUP(strv_done) struct strv keys = {0};
        if (!streq(kind, "Secret") && !streq(kind, "ConfigMap"))
            return err_set(err, ERR_UNSUPPORTED, "unsupported resource specified in --from");
        gotext_keys(json_get(object, "data", NULL), &keys);
        for (size_t j = 0; j < keys.n; j++)
            import_key(env, streq(kind, "Secret") ? "secretKeyRef" : "configMapKeyRef", items.list[i].name,
                       keys.items[j]);
    }
    return 0;
}

static void add_prefix(struct env *env)
{
    for (size_t i = 0; i < json_len(env->variables) && env->prefix != NULL; i++) {
        struct json *variable = json_edit_at(env->variables, i);
        CLEANUP(xfree) char *name = xasprintf("%s%s", env->prefix, json_str_or("", variable, "name", NULL));
        json_set_str(variable, "name", name);
    }
}

/* --- changing */

/* The container's variables, changed: new ones take the place of old ones of their name, others follow. */
static struct json *updated(const struct env *env, const struct json *existing)
{
    struct json *out = json_new_array();
    const struct json *variable;
    CLEANUP(strv_done) struct strv covered = {0};
    for (size_t i = 0; i < env->removals.n; i++)
        strv_add(&covered, env->removals.items[i]);
    json_each(variable, existing) {
        const char *name = json_str_or("", variable, "name", NULL);
        const struct json *newer = find_variable(env->variables, name);
        if (strv_has(&covered, name))
            continue;
        if (newer != NULL)
            strv_add(&covered, name);
        json_push(out, json_keep(newer != NULL ? newer : variable));
    }
    json_each(variable, env->variables) {
        const char *name = json_str_or("", variable, "name", NULL);
        if (strv_has(&covered, name))
            continue;
        strv_add(&covered, name);
        json_push(out, json_keep(variable));
    }
    return out;
}

static int refuse_overwrites(const struct env *env, const struct json *existing, struct err *err)
{
    const struct json *variable;
    json_each(variable, env->variables) {
        const char *name = json_str_or("", variable, "name", NULL);
        const struct json *current = find_variable(existing, name);
        const char *value = json_str_or("", current, "value", NULL);
        if (!env->overwrite && current != NULL && !streq(value, json_str_or("", variable, "value", NULL)))
            return err_set(err, ERR_EXISTS, "'%s' already has a value (%s), and --overwrite is false", name, value);
    }
    return 0;
}

/* --- --list */

static void print_reference(const struct json *variable)
{
    const struct json *from = json_get(variable, "valueFrom", NULL);
    const struct json *map = json_get(from, "configMapKeyRef", NULL), *secret = json_get(from, "secretKeyRef", NULL);
    const struct json *field = json_get(from, "fieldRef", NULL), *resource = json_get(from, "resourceFieldRef", NULL);
    const struct json *keyed = map != NULL ? map : secret;
    const char *container = json_str_or("", resource, "containerName", NULL);
    printf("# %s from ", json_str_or("", variable, "name", NULL));
    if (keyed != NULL)
        printf("%s %s, key %s\n", map != NULL ? "configmap" : "secret", json_str_or("", keyed, "name", NULL),
               json_str_or("", keyed, "key", NULL));
    else if (field != NULL)
        printf("field path %s\n", json_str_or("", field, "fieldPath", NULL));
    else if (resource != NULL)
        printf("resource field %s%s%s\n", container, container[0] != '\0' ? "/" : "",
               json_str_or("", resource, "resource", NULL));
    else
        puts("invalid valueFrom");
}

/* The value behind a key of a ConfigMap or Secret. */
static int read_key(const struct env *env, const struct json *reference, bool is_secret, const char *namespace,
                    struct buf *out, struct err *err)
{
    const char *name = json_str_or("", reference, "name", NULL), *key = json_str_or("", reference, "key", NULL);
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, is_secret ? "secrets" : "configmaps", name, NULL);
    const struct kube_request request = {.path = path};
    CLEANUP(json_free) struct json *object = NULL;
    if (cli_do(env->set->cli, &request, &object, err) < 0)
        return err->code;
    const char *value = json_str(object, "data", key, NULL);
    if (value == NULL)
        return err_set(err, ERR_NOT_FOUND, "key %s not found in %s %s", key, is_secret ? "secret" : "config map", name);
    if (is_secret)
        return base64_decode(value, strlen(value), out, err);
    buf_add_str(out, value);
    return 0;
}

/* A field of the object by the paths that a fieldRef may have. */
static int read_field(const struct json *object, const char *path, struct buf *out, struct err *err)
{
    static const char *const plain[] = {"name", "namespace", "uid"};
    static const char *const maps[] = {"annotations", "labels"};
    for (size_t i = 0; i < countof(plain); i++) {
        if (starts_with(path, "metadata.") && streq(path + strlen("metadata."), plain[i])) {
            buf_add_str(out, json_str_or("", object, "metadata", plain[i], NULL));
            return 0;
        }
    }
    for (size_t i = 0; i < countof(maps); i++) {
        CLEANUP(xfree) char *prefix = xasprintf("metadata.%s['", maps[i]);
        if (!starts_with(path, prefix) || !ends_with(path, "']"))
            continue;
        CLEANUP(xfree) char *key = xstrndup(path + strlen(prefix), strlen(path) - strlen(prefix) - 2);
        buf_add_str(out, json_str_or("", object, "metadata", maps[i], key, NULL));
        return 0;
    }
    return err_set(err, ERR_UNSUPPORTED, "unsupported fieldPath: %s", path);
}

static int read_value(const struct env *env, const struct json *variable, const struct item *item,
                      const struct json *container, struct buf *out, struct err *err)
{
    const struct json *from = json_get(variable, "valueFrom", NULL);
    const struct json *map = json_get(from, "configMapKeyRef", NULL), *secret = json_get(from, "secretKeyRef", NULL);
    if (map != NULL || secret != NULL)
        return read_key(env, map != NULL ? map : secret, secret != NULL, item->namespace, out, err);
    if (json_get(from, "fieldRef", NULL) != NULL)
        return read_field(item->object, json_str_or("", from, "fieldRef", "fieldPath", NULL), out, err);
    int64_t value = 0;
    if (resource_ref_value(json_get(from, "resourceFieldRef", NULL), container, &value, err) < 0)
        return err->code;
    buf_printf(out, "%lld", (long long)value);
    return 0;
}

/* References that cannot be followed are told on stderr; listing does not fail for them. */
static void list_container(const struct env *env, const struct item *item, const struct json *container)
{
    CLEANUP(strv_done) struct strv problems = {0};
    const struct json *variable;
    printf("# %s %s, container %s\n", json_str_or("", item->object, "kind", NULL),
           json_str_or("", item->object, "metadata", "name", NULL), json_str_or("", container, "name", NULL));
    json_each(variable, json_get(container, "env", NULL)) {
        const char *name = json_str_or("", variable, "name", NULL);
        CLEANUP(buf_done) struct buf value = {0};
        CLEANUP(err_clear) struct err err = {0};
        if (json_get(variable, "valueFrom", NULL) == NULL) {
            printf("%s=%s\n", name, json_str_or("", variable, "value", NULL));
        } else if (env->resolve && read_value(env, variable, item, container, &value, &err) == 0) {
            printf("%s=%s\n", name, buf_text(&value));
        } else {
            print_reference(variable);
            if (env->resolve)
                strv_addf(&problems, "error retrieving reference for %s: %s", name, err_text(&err));
        }
    }
    strv_sort(&problems);
    for (size_t i = 0; i < problems.n; i++)
        fprintf(stderr, "%s\n", problems.items[i]);
}

/* --- the command */

static int change_env(struct set *set, void *data, const struct item *item, struct json *object, struct err *err)
{
    const struct env *env = data;
    struct json *spec = NULL, *container;
    size_t n = 0;
    if (set_pod_spec(object, &spec, err) < 0)
        return err->code;
    for (size_t i = 0; (container = set_next_container(set, spec, &i)) != NULL; n++) {
        if (refuse_overwrites(env, json_get(container, "env", NULL), err) < 0)
            return err->code;
        struct json *variables = updated(env, json_get(container, "env", NULL));
        json_set(container, "env", variables);
        if (json_len(variables) == 0)
            json_del(container, "env");
        if (env->list)
            list_container(env, item, container);
    }
    if (n == 0)
        fprintf(stderr, "Warning: %s/%s does not have any containers matching \"%s\"\n",
                json_str_or("", object, "kind", NULL), json_str_or("", object, "metadata", "name", NULL),
                set->containers);
    return !env->list;
}

static int check_env(struct env *env, const struct strv *args, struct err *err)
{
    struct set *set = env->set;
    if (set->selection.all && set->selection.label_selector != NULL)
        return err_set(err, ERR_USAGE, "cannot set --all and --selector at the same time");
    if (split_arguments(env, args, err) < 0 || set_check(set, err) < 0)
        return err->code;
    if (!selection_has_files(&set->selection) && env->resources.n == 0)
        return err_set(err, ERR_USAGE,
                       "one or more resources must be specified as <resource> <name> or <resource>/<name>");
    if (env->list && strempty(set->output_options.format)[0] != '\0')
        return err_set(err, ERR_USAGE, "--list and --output may not be specified together");
    if (strv_has(&set->selection.filenames, "-") && (strv_has(&env->specs, "-") || strv_has(&env->params, "-")))
        return err_set(err, ERR_USAGE, "standard input cannot be used for multiple arguments");
    if (env->keys.n > 0 && env->from == NULL)
        return err_set(err, ERR_USAGE, "when specifying --keys, a configmap or secret must be provided with --from");
    return 0;
}

static int run_set_env(struct env *env, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    env->variables = json_new_array();
    if (check_env(env, args, &err) < 0 || parse_specs(env, &err) < 0 || import_variables(env, &err) < 0)
        return cli_fail(env->set->cli, &err);
    add_prefix(env);
    return set_run(env->set, &env->resources, change_env, env);
}

int command_set_env(struct cli *cli, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (streq(argv[i], "-"))
            cli->overrides.stdin_user = CLI_STDIN_MANIFESTS; /* the variables come from there */
    }
    CLEANUP(set_done) struct set set = SET_INIT(cli, "env updated");
    CLEANUP(env_done) struct env env = {.set = &set, .overwrite = true};
    set.failed = "failed to patch env update to pod template:";
    const struct opt options[] = {
        SET_OPTIONS(&set),
        SELECTION_LABEL_OPTION(&set.selection),
        SET_CONTAINERS_OPTION(&set),
        {"env", 'e', OPT_ARRAY, &env.params, "[]", "A variable to set in each container: NAME=VALUE."},
        {"from", 0, OPT_STRING, &env.from, "", "ConfigMap or Secret whose keys become variables."},
        {"keys", 0, OPT_LIST, &env.keys, "[]", "Take only these keys of --from."},
        {"list", 0, OPT_BOOL, &env.list, NULL, "Show the variables as they would be; change nothing."},
        {"overwrite", 0, OPT_BOOL, &env.overwrite, NULL, "Variables that exist may get another value."},
        {"prefix", 0, OPT_STRING, &env.prefix, "", "Put before the names of the variables."},
        {"resolve", 0, OPT_BOOL, &env.resolve, NULL, "With --list: show the values behind references."},
        {0},
    };
    const struct cli_command command = {.words = "set env",
                                        .usage = "RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N [options]",
                                        .about = "Update environment variables on a pod template.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_set_env(&env, &args);
    return code;
}
