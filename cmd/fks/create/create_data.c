/*
 * create_data.c: `create configmap`, `create secret generic | tls | docker-registry`: keys from literals, files, env
 * files.
 */
#include "objects/generate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/pki.h"
#include "text/gotext.h"

struct sources {
    struct strv files, literals, env_files;
    bool append_hash;
};

/* What is being filled. Secrets keep everything as base64, ConfigMaps what is no UTF-8. */
struct filling {
    const char *name;
    bool is_secret;
    struct json *data, *binary;
    struct err *err;
};

static bool is_valid_key(const char *key)
{
    for (const char *c = key; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("-._", *c) == NULL)
            return false;
    }
    return key[0] != '\0' && strlen(key) <= 253 && !streq(key, ".") && !starts_with(key, "..");
}

static bool is_utf8(const char *text, size_t len)
{
    if (memchr(text, '\0', len) != NULL)
        return false;
    CLEANUP(json_free) struct json *string = json_new_string_n(text, len);
    return strlen(json_string_value(string)) == len && memcmp(json_string_value(string), text, len) == 0;
}

static int add_key(struct filling *filling, const char *key, const char *bytes, size_t len)
{
    static const char rule[] =
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
        "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    if (!is_valid_key(key))
        return filling->is_secret
                   ? err_set(filling->err, ERR_INVALID, "\"%s\" is not valid key name for a Secret %s", key, rule)
                   : err_set(filling->err, ERR_INVALID, "\"%s\" is not a valid key name for a ConfigMap: %s", key,
                             rule);
    if (json_member(filling->data, key) != NULL || json_member(filling->binary, key) != NULL)
        return filling->is_secret
                   ? err_set(filling->err, ERR_EXISTS, "cannot add key %s, another key by that name already exists",
                             key)
                   : err_set(
                         filling->err, ERR_EXISTS,
                         "cannot add key \"%s\", another key by that name already exists in %s for ConfigMap \"%s\"",
                         key, json_member(filling->data, key) != NULL ? "Data" : "BinaryData", filling->name);
    bool plain = !filling->is_secret && is_utf8(bytes, len);
    if (plain) {
        json_set(filling->data, key, json_new_string_n(bytes, len));
        return 0;
    }
    CLEANUP(buf_done) struct buf encoded = {0};
    base64_encode(bytes, len, &encoded);
    json_set_str(filling->is_secret ? filling->data : filling->binary, key, buf_text(&encoded));
    return 0;
}

static int add_literal(struct filling *filling, const char *literal)
{
    struct str key, value;
    if (!str_cut(str_of(literal), '=', &key, &value) || key.len == 0)
        return err_set(filling->err, ERR_USAGE, "invalid literal source %s, expected key=value", literal);
    CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
    return add_key(filling, name, value.p, value.len);
}

static int add_file(struct filling *filling, const char *key, const char *path)
{
    CLEANUP(buf_done) struct buf bytes = {0};
    if (file_read(path, LIMIT_FILE, &bytes, filling->err) < 0)
        return filling->err->code;
    return add_key(filling, key, buf_text(&bytes), bytes.len);
}

static int add_folder(struct filling *filling, const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        return err_set(filling->err, ERR_IO, "error listing files in %s: %s", path, strerror(errno));
    int code = 0;
    for (int i = 0; i < n; i++) {
        CLEANUP(xfree) char *full = path_join(path, entries[i]->d_name, NULL);
        struct stat info;
        if (code == 0 && lstat(full, &info) == 0 && S_ISREG(info.st_mode))
            code = add_file(filling, entries[i]->d_name, full);
        free(entries[i]);
    }
    free(entries);
    return code;
}

/* "file", "key=file" or a folder. */
static int add_source(struct filling *filling, const char *source)
{
    CLEANUP(strv_done) struct strv parts = {0};
    strv_split(&parts, source, '=');
    if (parts.n > 2)
        return err_set(filling->err, ERR_USAGE, "key names or file paths cannot contain '='");
    if (parts.n == 2 && (parts.items[0][0] == '\0' || parts.items[1][0] == '\0'))
        return err_set(filling->err, ERR_USAGE,
                       parts.items[0][0] == '\0' ? "key name for file path %s missing"
                                                 : "file path for key name %s missing",
                       parts.items[0][0] == '\0' ? parts.items[1] : parts.items[0]);
    const char *path = parts.n == 2 ? parts.items[1] : source;
    const char *slash = strrchr(path, '/');
    const char *key = parts.n == 2 ? parts.items[0] : slash != NULL ? slash + 1 : path;
    struct stat info;
    if (stat(path, &info) < 0)
        return err_set(filling->err, ERR_NOT_FOUND, "error reading %s: %s", path,
                       errno == ENOENT ? "no such file or directory" : strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return add_file(filling, key, path);
    if (parts.n == 2)
        return err_set(filling->err, ERR_USAGE, "cannot give a key name for a directory path");
    return add_folder(filling, path);
}

/* Lines KEY=VALUE; KEY alone takes the value of the environment; # begins a comment line. */
static int add_env_file(struct filling *filling, const char *path)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct stat info;
    if (stat(path, &info) < 0)
        return err_set(filling->err, ERR_NOT_FOUND, "error reading %s: %s", path,
                       errno == ENOENT ? "no such file or directory" : strerror(errno));
    if (S_ISDIR(info.st_mode))
        return err_set(filling->err, ERR_USAGE, "env %s file cannot be a directory",
                       filling->is_secret ? "secret" : "config");
    if (file_read(path, LIMIT_FILE, &text, filling->err) < 0)
        return filling->err->code;
    struct str rest = {buf_text(&text), text.len}, line;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        while (line.len > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
            line = (struct str){line.p + 1, line.len - 1};
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || line.p[0] == '#')
            continue;
        struct str key, value;
        bool has_value = str_cut(line, '=', &key, &value);
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
        const char *inherited = has_value ? NULL : getenv(name);
        if (!has_value && inherited == NULL)
            inherited = "";
        int code = has_value ? add_key(filling, name, value.p, value.len)
                             : add_key(filling, name, inherited, strlen(inherited));
        if (code < 0)
            return code;
    }
    return 0;
}

static int fill(struct filling *filling, const struct sources *sources)
{
    if (sources->env_files.n > 0 && (sources->files.n > 0 || sources->literals.n > 0))
        return err_set(filling->err, ERR_USAGE, "from-env-file cannot be combined with from-file or from-literal");
    int code = 0;
    for (size_t i = 0; i < sources->literals.n && code == 0; i++)
        code = add_literal(filling, sources->literals.items[i]);
    for (size_t i = 0; i < sources->files.n && code == 0; i++)
        code = add_source(filling, sources->files.items[i]);
    for (size_t i = 0; i < sources->env_files.n && code == 0; i++)
        code = add_env_file(filling, sources->env_files.items[i]);
    return code;
}

/* Sets the member with its keys sorted, unless it is empty. */
static void set_sorted(struct json *object, const char *key, const struct json *map)
{
    if (json_len(map) == 0)
        return;
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(map, &keys);
    struct json *sorted = json_new_object();
    for (size_t i = 0; i < keys.n; i++)
        json_set(sorted, keys.items[i], json_keep(json_member(map, keys.items[i])));
    json_set(object, key, sorted);
}

/*
 * --append-hash: ten characters that change with the content, made as kubectl and kustomize make them: SHA-256 of the
 * object's JSON without the rest of its metadata, in an alphabet without vowels.
 */
static void append_hash(struct json *object)
{
    CLEANUP(json_free) struct json *hashed = json_new_object();
    CLEANUP(buf_done) struct buf text = {0};
    char hex[65], tail[11] = "";
    bool is_secret = streq(json_str(object, "kind", NULL), "Secret");
    json_set(hashed, "kind", json_keep(json_get(object, "kind", NULL)));
    json_set(hashed, "name", json_keep(json_get(object, "metadata", "name", NULL)));
    const struct json *data = json_get(object, "data", NULL), *binary = json_get(object, "binaryData", NULL);
    json_set(hashed, "data", data != NULL ? json_keep(data) : json_new_object());
    if (binary != NULL)
        json_set(hashed, "binaryData", json_keep(binary));
    if (is_secret)
        json_set_str(hashed, "type", json_str_or("", object, "type", NULL));
    gotext_json(hashed, &text);
    pki_sha256_hex(buf_text(&text), text.len, hex);
    for (size_t i = 0; i + 1 < sizeof(tail); i++) {
        static const char from[] = "013ae", to[] = "ghkmt";
        const char *at = strchr(from, hex[i]);
        tail[i] = at != NULL ? to[at - from] : hex[i];
    }
    CLEANUP(xfree) char *name = xasprintf("%s-%s", json_str_or("", object, "metadata", "name", NULL), tail);
    json_set_str(json_edit(object, "metadata", NULL), "name", name);
}

#define APPEND_HASH_OPTION(flag)                                                           \
    {                                                                                      \
        "append-hash", 0, OPT_BOOL, (flag), NULL, "Add a hash of the content to the name." \
    }

#define SOURCE_OPTIONS(sources)                                                                     \
    {.name = "from-env-file",                                                                       \
     .type = OPT_LIST,                                                                              \
     .value = &(sources)->env_files,                                                                \
     .argument = "[]",                                                                              \
     .help = "File with lines KEY=VALUE."},                                                         \
        {.name = "from-file",                                                                       \
         .type = OPT_LIST,                                                                          \
         .value = &(sources)->files,                                                                \
         .argument = "[]",                                                                          \
         .help = "File or folder; the key is the file's name, or given as key=file."},              \
        APPEND_HASH_OPTION(&(sources)->append_hash),                                                \
    {                                                                                               \
        .name = "from-literal", .type = OPT_ARRAY, .value = &(sources)->literals, .argument = "[]", \
        .help = "A key and its value: key=value."                                                   \
    }

/* Both commands: parse, fill, send. */
static int create_from_sources(struct generate *generate, const struct cli_command *command,
                               const struct sources *sources, const char *const *type, int argc, char **argv,
                               bool is_secret)
{
    if (!generate_begin(generate, command, argc, argv))
        return generate->code;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *data = json_new_object(), *binary = json_new_object();
    struct filling filling = {
        .name = generate->name, .is_secret = is_secret, .data = data, .binary = binary, .err = &err};
    if (fill(&filling, sources) < 0)
        return cli_fail(generate->cli, &err);
    struct json *object = json_build("{s:s, s:s, s:o}", "kind", is_secret ? "Secret" : "ConfigMap", "apiVersion", "v1",
                                     "metadata", generate_metadata(generate, generate->name, true));
    set_sorted(object, "data", data);
    set_sorted(object, "binaryData", binary);
    if (is_secret && strempty(*type)[0] != '\0')
        json_set_str(object, "type", *type);
    if (sources->append_hash)
        append_hash(object);
    return generate_finish(generate, object, is_secret ? "secret" : "configmap:");
}

static void sources_done(struct sources *sources)
{
    strv_done(&sources->files);
    strv_done(&sources->literals);
    strv_done(&sources->env_files);
}

int command_create_configmap(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    struct sources sources = {0};
    const struct opt options[] = {GENERATE_OPTIONS(&generate), SOURCE_OPTIONS(&sources), {0}};
    const struct cli_command command = {
        .words = "create configmap",
        .usage =
            "NAME [--from-file=[key=]source] [--from-literal=key1=value1] [--dry-run=server|client|none] [options]",
        .about = "Create a config map based on a file, directory, or specified literal value.",
        .options = options};
    const char *no_type = NULL;
    int code = create_from_sources(&generate, &command, &sources, &no_type, argc, argv, false);
    sources_done(&sources);
    return code;
}

int command_create_secret_generic(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    struct sources sources = {0};
    const char *type = NULL;
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        SOURCE_OPTIONS(&sources),
        {"type", 0, OPT_STRING, &type, "", "The type of secret."},
        {0},
    };
    const struct cli_command command = {
        .words = "create secret generic",
        .usage = "NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1] "
                 "[--dry-run=server|client|none] [options]",
        .about = "Create a secret based on a file, directory, or specified literal value.",
        .options = options};
    int code = create_from_sources(&generate, &command, &sources, &type, argc, argv, true);
    sources_done(&sources);
    return code;
}

static int read_pem(const char *path, struct buf *out, struct err *err)
{
    struct stat info;
    if (stat(path, &info) < 0)
        return err_set(err, ERR_NOT_FOUND, "Cannot read file %s, open %s: %s", path, path,
                       errno == ENOENT ? "no such file or directory" : strerror(errno));
    return file_read(path, LIMIT_FILE, out, err);
}

/* Certificate and key as the data of a secret, if they belong together. */
static int read_pair(const char *cert_path, const char *key_path, struct json **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf cert = {0}, key = {0}, encoded_cert = {0}, encoded_key = {0};
    if (read_pem(cert_path, &cert, err) < 0 || read_pem(key_path, &key, err) < 0 ||
        pki_check_pair(buf_text(&cert), buf_text(&key), err) < 0)
        return err->code;
    base64_encode(buf_text(&cert), cert.len, &encoded_cert);
    base64_encode(buf_text(&key), key.len, &encoded_key);
    *ret = json_build("{s:s, s:s}", "tls.crt", buf_text(&encoded_cert), "tls.key", buf_text(&encoded_key));
    return 0;
}

int command_create_secret_tls(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    const char *cert = NULL, *key = NULL;
    bool with_hash = false;
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        APPEND_HASH_OPTION(&with_hash),
        {"cert", 0, OPT_STRING, &cert, "", "File with the PEM certificate."},
        {"key", 0, OPT_STRING, &key, "", "File with the PEM key."},
        {0},
    };
    const struct cli_command command = {.words = "create secret tls",
                                        .usage = "NAME --cert=path/to/cert/file --key=path/to/key/file [options]",
                                        .about = "Create a TLS secret from the given public/private key pair.",
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    if (strempty(cert)[0] == '\0' || strempty(key)[0] == '\0')
        return cli_error("key and cert must be specified");
    CLEANUP(err_clear) struct err err = {0};
    struct json *data = NULL;
    if (read_pair(cert, key, &data, &err) < 0)
        return cli_fail(cli, &err);
    struct json *secret =
        json_build("{s:s, s:s, s:o, s:o, s:s}", "kind", "Secret", "apiVersion", "v1", "metadata",
                   generate_metadata(&generate, generate.name, true), "data", data, "type", "kubernetes.io/tls");
    if (with_hash)
        append_hash(secret);
    return generate_finish(&generate, secret, "secret");
}

/* --- registries */

struct registry {
    const char *user, *password, *email, *server;
    struct strv files;
    bool append_hash;
};

/* The text of a ~/.docker/config.json, escaped as Go's encoder does it. */
static void registry_config(const struct registry *registry, struct buf *out)
{
    CLEANUP(buf_done) struct buf plain = {0}, auth = {0}, text = {0};
    buf_printf(&plain, "%s:%s", registry->user, registry->password);
    base64_encode(buf_text(&plain), plain.len, &auth);
    struct json *entry = json_build("{s:s, s:s}", "username", registry->user, "password", registry->password);
    if (strempty(registry->email)[0] != '\0')
        json_set_str(entry, "email", registry->email);
    json_set_str(entry, "auth", buf_text(&auth));
    CLEANUP(json_free) struct json *config = json_build("{s:{}}", "auths");
    json_set(json_edit(config, "auths", NULL), registry->server, entry);
    json_print(config, &text);
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("<>&", text.data[i]) != NULL)
            buf_printf(out, "\\u%04x", (unsigned)text.data[i]);
        else
            buf_add_char(out, text.data[i]);
    }
}

static int fill_registry(struct filling *filling, const struct registry *registry)
{
    static const char key[] = ".dockerconfigjson";
    bool named =
        strempty(registry->user)[0] != '\0' && strempty(registry->password)[0] != '\0' && registry->server[0] != '\0';
    if (registry->files.n == 0 && !named)
        return err_set(filling->err, ERR_USAGE,
                       "either --from-file or the combination of --docker-username, --docker-password and "
                       "--docker-server is required");
    for (size_t i = 0; i < registry->files.n; i++) {
        const char *source = registry->files.items[i];
        CLEANUP(xfree)
        char *with_key =
            xasprintf("%s%s%s", strchr(source, '=') == NULL ? key : "", strchr(source, '=') == NULL ? "=" : "", source);
        if (add_source(filling, with_key) < 0)
            return filling->err->code;
    }
    if (registry->files.n > 0)
        return 0;
    CLEANUP(buf_done) struct buf config = {0};
    registry_config(registry, &config);
    return add_key(filling, key, buf_text(&config), config.len);
}

int command_create_secret_docker_registry(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(err_clear) struct err err = {0};
    struct registry registry = {.server = "https://index.docker.io/v1/"};
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        APPEND_HASH_OPTION(&registry.append_hash),
        {"docker-email", 0, OPT_STRING, &registry.email, "", "Email for the registry."},
        {"docker-password", 0, OPT_STRING, &registry.password, "", "Password for the registry."},
        {"docker-server", 0, OPT_STRING, &registry.server, "https://index.docker.io/v1/", "The registry."},
        {"docker-username", 0, OPT_STRING, &registry.user, "", "User name for the registry."},
        {"from-file", 0, OPT_LIST, &registry.files, "[]", "A file that is the docker configuration already."},
        {0},
    };
    const struct cli_command command = {
        .words = "create secret docker-registry",
        .usage = "NAME --docker-username=user --docker-password=password --docker-email=email "
                 "[--docker-server=string] [--from-file=[key=]source] [--dry-run=server|client|none] [options]",
        .about = "Create a secret for use with a Docker registry.",
        .options = options};
    CLEANUP(json_free) struct json *data = json_new_object();
    int code = 0;
    if (!generate_begin(&generate, &command, argc, argv)) {
        code = generate.code;
    } else {
        struct filling filling = {.name = generate.name, .is_secret = true, .data = data, .err = &err};
        code = fill_registry(&filling, &registry) < 0 ? cli_fail(cli, &err) : 0;
    }
    strv_done(&registry.files);
    if (generate.name == NULL || code != 0)
        return code;
    struct json *secret = json_build("{s:s, s:s, s:o, s:o, s:s}", "kind", "Secret", "apiVersion", "v1", "metadata",
                                     generate_metadata(&generate, generate.name, true), "data", take(&data), "type",
                                     "kubernetes.io/dockerconfigjson");
    if (registry.append_hash)
        append_hash(secret);
    return generate_finish(&generate, secret, "secret");
}
