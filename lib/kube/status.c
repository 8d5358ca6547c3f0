/*
 * status.c: metav1.Status to struct err, and the texts client-go makes up when a server or proxy answers without one.
 * The codes are what callers branch on; the message goes to people unchanged.
 */
#include "kube/status.h"

#include "base/mem.h"
#include "base/str.h"
#include "kube/client.h"

static const struct {
    const char *reason;
    enum err_code code;
} reasons[] = {
    {"NotFound", ERR_NOT_FOUND},         {"AlreadyExists", ERR_EXISTS},       {"Conflict", ERR_CONFLICT},
    {"Expired", ERR_GONE},               {"Gone", ERR_GONE},                  {"Forbidden", ERR_FORBIDDEN},
    {"Unauthorized", ERR_UNAUTHORIZED},  {"Invalid", ERR_INVALID},            {"BadRequest", ERR_INVALID},
    {"TooManyRequests", ERR_BUSY},       {"ServiceUnavailable", ERR_BUSY},    {"Timeout", ERR_TIMEOUT},
    {"ServerTimeout", ERR_TIMEOUT},      {"MethodNotAllowed", ERR_UNSUPPORTED},
    {"NotAcceptable", ERR_UNSUPPORTED},  {"UnsupportedMediaType", ERR_UNSUPPORTED},
    {"RequestEntityTooLarge", ERR_TOO_BIG}, {"InternalError", ERR_INTERNAL},
};

/* client-go's NewGenericServerResponse: reason and words by HTTP code. */
static const struct {
    int http_status;
    enum err_code code;
    const char *reason, *message;
} generic[] = {
    {400, ERR_INVALID, "BadRequest", "the server rejected our request for an unknown reason"},
    {401, ERR_UNAUTHORIZED, "Unauthorized", "the server has asked for the client to provide credentials"},
    {403, ERR_FORBIDDEN, "Forbidden", "the server does not allow access to the requested resource"},
    {404, ERR_NOT_FOUND, "NotFound", "the server could not find the requested resource"},
    {405, ERR_UNSUPPORTED, "MethodNotAllowed", "the server does not allow this method on the requested resource"},
    {406, ERR_UNSUPPORTED, "NotAcceptable",
     "the server was unable to respond with a content type that the client supports"},
    {409, ERR_CONFLICT, "Conflict", "the server reported a conflict"},
    {410, ERR_GONE, "Gone", "the requested resource is no longer available"},
    {413, ERR_TOO_BIG, "RequestEntityTooLarge", "the request is too large for the server"},
    {415, ERR_UNSUPPORTED, "UnsupportedMediaType", "the server does not understand the format of the request body"},
    {422, ERR_INVALID, "Invalid", "the server rejected our request due to an error in our request"},
    {429, ERR_BUSY, "TooManyRequests",
     "the server has received too many requests and has asked us to try again later"},
    {503, ERR_BUSY, "ServiceUnavailable", "the server is currently unable to handle the request"},
    {504, ERR_TIMEOUT, "Timeout",
     "the server was unable to return a response in the time allotted, but may still be processing the request"},
};

static enum err_code code_of(const char *reason, int http_status)
{
    for (size_t i = 0; reason != NULL && i < countof(reasons); i++)
        if (streq(reasons[i].reason, reason))
            return reasons[i].code;
    for (size_t i = 0; i < countof(generic); i++)
        if (generic[i].http_status == http_status)
            return generic[i].code;
    return ERR_INTERNAL;
}

int kube_status_error(const struct json *status, int http_status, struct err *err)
{
    const char *reason = json_str(status, "reason", NULL);
    const char *message = json_str(status, "message", NULL);
    int code = (int)json_int_or(http_status, status, "code", NULL);
    if (http_status == 0)
        http_status = code;
    if (message == NULL || message[0] == '\0')
        message = reason != NULL && reason[0] != '\0' ? reason : "the server gave no reason";
    int result = err_set(err, code_of(reason, code), "%s", message);
    err->reason = xstrdup(reason);
    err->http_status = http_status;
    return result;
}

/* " (get pods.apps web)" from a path of the API, "" when it names no resource. */
static char *resource_of(const char *method, const char *path)
{
    CLEANUP(strv_done) struct strv parts = {0};
    CLEANUP(xfree) char *plain = xstrndup(strempty(path), strcspn(strempty(path), "?"));
    strv_split(&parts, plain, '/');
    /* "", "api", "v1", ... or "", "apis", group, version, ...; then ["namespaces", namespace,] plural [, name] */
    size_t first = parts.n > 0 && parts.items[0][0] == '\0' ? 1 : 0;
    if (parts.n <= first)
        return xstrdup("");
    bool grouped = streq(parts.items[first], "apis");
    if (!grouped && !streq(parts.items[first], "api"))
        return xstrdup("");
    size_t at = first + (grouped ? 3 : 2);
    if (at + 2 < parts.n && streq(parts.items[at], "namespaces"))
        at += 2;
    if (at >= parts.n)
        return xstrdup("");
    CLEANUP(buf_done) struct buf text = {0};
    buf_add_str(&text, " (");
    for (const char *c = method; *c != '\0'; c++)
        buf_add_char(&text, *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c);
    buf_printf(&text, " %s%s%s", parts.items[at], grouped ? "." : "", grouped ? parts.items[first + 1] : "");
    if (at + 1 < parts.n)
        buf_printf(&text, " %s", parts.items[at + 1]);
    buf_add_char(&text, ')');
    return buf_take(&text);
}

int kube_answer_error(int http_status, const char *body, size_t len, const char *method, const char *path,
                      struct json **ret_status, struct err *err)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(json_free) struct json *status = NULL;
    if (len > 0 && json_parse(body, len, &status, &ignored) == 0 && streq(json_str(status, "kind", NULL), "Status")) {
        int result = kube_status_error(status, http_status, err);
        *ret_status = take(&status);
        return result;
    }
    CLEANUP(xfree) char *resource = resource_of(method, path);
    struct str text = str_trim((struct str){body, len});
    while (text.len > 0 && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r'))
        text.len--;
    int shown = (int)(text.len < 2048 ? text.len : 2048);
    const char *reason = "InternalError";
    int result = 0;
    for (size_t i = 0; i < countof(generic) && result == 0; i++) {
        if (generic[i].http_status != http_status)
            continue;
        reason = generic[i].reason;
        if ((http_status == 403 || http_status == 406) && shown > 0)
            result = err_set(err, generic[i].code, "%.*s%s", shown, text.p, resource);
        else
            result = err_set(err, generic[i].code, "%s%s", generic[i].message, resource);
    }
    if (result == 0 && http_status >= 500)
        result = err_set(err, ERR_INTERNAL,
                         "an error on the server (\"%.*s\") has prevented the request from succeeding%s", shown > 0 ? shown : 7, shown > 0 ? text.p : "unknown", resource);
    if (result == 0) {
        reason = "Unknown";
        result = err_set(err, ERR_INVALID,
                         "the server responded with the status code %d but did not return more information%s", http_status, resource);
    }
    err->reason = xstrdup(reason);
    err->http_status = http_status;
    return result;
}
