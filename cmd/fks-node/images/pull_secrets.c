/*
 * pull_secrets.c: reads Docker's two configuration formats and matches their registry entries against image names,
 * with the rules of the kubelet: https://kubernetes.io/docs/concepts/containers/images/#config-json
 */
#include "images/pull_secrets.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define DOCKER_HUB "docker.io"
#define DOCKER_HUB_ENTRY "index.docker.io"

/* --- image names */

/* "nginx" is docker.io/library/nginx: host and path of an image, without tag and digest. */
static char *full_name(const char *image)
{
    size_t len = strcspn(image, "@");
    const char *slash = memchr(image, '/', len);
    size_t first = slash != NULL ? (size_t)(slash - image) : 0;
    bool has_host = slash != NULL && (memchr(image, '.', first) != NULL || memchr(image, ':', first) != NULL ||
                                      (first == strlen("localhost") && memcmp(image, "localhost", first) == 0));

    /* a ':' behind the last '/' begins the tag */
    for (size_t i = len; i > 0 && image[i - 1] != '/'; i--)
        if (image[i - 1] == ':')
            len = i - 1;
    if (has_host)
        return xstrndup(image, len);
    return xasprintf(DOCKER_HUB "/%s%.*s", slash == NULL ? "library/" : "", (int)len, image);
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

bool pull_secrets_is_image(const char *text)
{
    const char *at = strchr(text, '@');
    size_t len = at != NULL ? (size_t)(at - text) : strlen(text);
    size_t name_len = len;

    if (len == 0 || len > 512)
        return false;
    for (size_t i = len; i > 0 && text[i - 1] != '/'; i--)
        if (text[i - 1] == ':')
            name_len = i - 1;
    if (name_len < len) { /* a tag */
        if (len - name_len - 1 < 1 || len - name_len - 1 > 128 || !is_word(text[name_len + 1]))
            return false;
        for (size_t i = name_len + 2; i < len; i++)
            if (!is_word(text[i]) && text[i] != '.' && text[i] != '-')
                return false;
    }
    if (at != NULL && (strchr(at, ':') == NULL || strlen(strchr(at, ':')) < 33))
        return false;
    /*
     * path: runs of lower-case letters and digits, single separators between them; the host may have capitals and a
     * port
     */
    const char *slash = memchr(text, '/', name_len);
    size_t start = 0;
    if (slash != NULL) {
        size_t first = (size_t)(slash - text);
        if (first == 0)
            return false;
        if (memchr(text, '.', first) != NULL || memchr(text, ':', first) != NULL || first == strlen("localhost"))
            start = first + 1;
    }
    for (size_t i = start; i < name_len; i++) {
        bool edge = i == start || i + 1 == name_len || text[i - 1] == '/' || text[i + 1] == '/';
        if (is_lower_or_digit(text[i]))
            continue;
        if (edge || strchr("._-/", text[i]) == NULL)
            return false;
    }
    return start < name_len;
}

/* --- entries */

/* Scheme and the API versions "/v1/", "/v2/" of old Docker clients do not count. */
static char *entry_name(const char *entry)
{
    if (starts_with(entry, "https://"))
        entry += strlen("https://");
    else if (starts_with(entry, "http://"))
        entry += strlen("http://");
    size_t host = strcspn(entry, "/");
    const char *path = entry + host;
    if (starts_with(path, "/v1/") || starts_with(path, "/v2/"))
        path += 3;
    char *name = xasprintf("%.*s%s", (int)host, entry, path);
    size_t len = strlen(name);
    while (len > 0 && name[len - 1] == '/')
        name[--len] = '\0';
    return name;
}

/* One label of a host name: '*' stands for any run of characters. */
static bool label_matches(const char *pattern, size_t pattern_len, const char *text, size_t len)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;

    while (t < len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern_len && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern_len && pattern[p] == '*')
        p++;
    return p == pattern_len;
}

static bool host_matches(const char *pattern, const char *host)
{
    for (;;) {
        size_t pattern_len = strcspn(pattern, "."), len = strcspn(host, ".");
        if (!label_matches(pattern, pattern_len, host, len))
            return false;
        pattern += pattern_len;
        host += len;
        if (*pattern == '\0' || *host == '\0')
            return *pattern == *host;
        pattern++;
        host++;
    }
}

bool pull_secrets_covers(const char *entry, const char *image)
{
    CLEANUP(xfree) char *pattern = entry_name(entry);
    CLEANUP(xfree) char *name = full_name(image);
    const char *pattern_path = strchr(pattern, '/');
    const char *path = strchr(name, '/');
    CLEANUP(xfree) char *pattern_host = xstrndup(pattern, strcspn(pattern, "/"));
    CLEANUP(xfree) char *host = xstrndup(name, strcspn(name, "/"));

    if (streq(pattern_host, DOCKER_HUB_ENTRY)) {
        free(pattern_host);
        pattern_host = xstrdup(DOCKER_HUB);
    }
    if (*pattern_host == '\0' || !host_matches(pattern_host, host))
        return false;
    return pattern_path == NULL || starts_with(strempty(path), pattern_path);
}

/* --- secrets */

static void add_credential(struct pull_credentials *ret, const struct json *entry)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf decoded = {0};
    const char *username = json_str_or("", entry, "username", NULL);
    const char *password = json_str_or("", entry, "password", NULL);
    const char *token = json_str(entry, "identitytoken", NULL);
    const char *auth = json_str(entry, "auth", NULL);
    struct pull_credential credential = {0};

    if (auth != NULL && *auth != '\0' && base64_decode(auth, strlen(auth), &decoded, &err) == 0 &&
        strchr(buf_text(&decoded), ':') != NULL) {
        struct str user, rest;
        (void)str_cut(str_of(buf_text(&decoded)), ':', &user, &rest);
        credential.username = xstrndup(user.p, user.len);
        credential.password = xstrndup(rest.p, rest.len);
        explicit_bzero(decoded.data, decoded.len);
    } else {
        credential.username = xstrdup(username);
        credential.password = xstrdup(password);
    }
    credential.identity_token = xstrdup(token);
    GROW(ret->items, ret->n, ret->cap);
    ret->items[ret->n++] = credential;
}

/* The decoded JSON under a key of the Secret, or NULL. */
static struct json *secret_json(const struct json *secret, const char *key)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    const char *encoded = json_string_value(json_member(json_get(secret, "data", NULL), key));
    struct json *json = NULL;

    if (encoded == NULL || base64_decode(encoded, strlen(encoded), &text, &err) < 0)
        return NULL;
    if (json_parse(buf_text(&text), text.len, &json, &err) < 0)
        json = NULL;
    if (text.len > 0)
        explicit_bzero(text.data, text.len);
    return json;
}

void pull_secrets_match(const struct json *secret, const char *image, struct pull_credentials *ret)
{
    const char *type = json_str(secret, "type", NULL);
    CLEANUP(json_free) struct json *document = NULL;
    const struct json *entries = NULL, *value;
    CLEANUP(strv_done) struct strv covering = {0};
    void *position = NULL;
    const char *key;

    if (streq(type, "kubernetes.io/dockerconfigjson")) {
        document = secret_json(secret, ".dockerconfigjson");
        entries = json_get(document, "auths", NULL);
    } else if (streq(type, "kubernetes.io/dockercfg")) {
        document = secret_json(secret, ".dockercfg");
        entries = document;
    }
    while (entries != NULL && json_next(entries, &position, &key, &value))
        if (pull_secrets_covers(key, image))
            strv_add(&covering, key);
    /* the kubelet's order: descending, so the longest of several prefixes comes first */
    strv_sort(&covering);
    for (size_t i = covering.n; i > 0; i--)
        add_credential(ret, json_member(entries, covering.items[i - 1]));
}

static void wipe(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

void pull_credentials_done(struct pull_credentials *credentials)
{
    for (size_t i = 0; i < credentials->n; i++) {
        wipe(credentials->items[i].username);
        wipe(credentials->items[i].password);
        wipe(credentials->items[i].identity_token);
    }
    free(credentials->items);
    *credentials = (struct pull_credentials){0};
}
