/*
 * auth.c: who may use the kubelet API. Exec is root in a container, so every request is decided: the API server's own
 * client certificate and the cluster's administrators are let in at once; anybody else is known by a client
 * certificate or a token (TokenReview), and allowed what a SubjectAccessReview of the Node's subresource says, as with a
 * kubelet. Answers are remembered for a short while.
 */
#include "api/auth.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/pki.h"

#include "api/api.h"
#include "host/nodes.h"
#include "pod/pod.h"

#define API_SERVER "kube-apiserver-kubelet-client"
#define ADMINISTRATORS "system:masters"
/* the kubelet's */
#define TOKEN_KNOWN_MS 120000
#define ALLOWED_MS 300000
#define DENIED_MS 30000
#define REMEMBERED_MAX 1000

struct answer { /* remembered */
    int64_t until_ms;
    struct json *user; /* of a token; NULL: nobody's, or an answer about access */
    bool allowed;
};

struct check { /* one request that waits for the API server */
    struct auth *auth;
    struct check *previous, *next;
    struct server_request *request; /* NULL: the peer is gone */
    auth_allowed *allowed;
    void *data;
    char *node, *token_key, *access_key;
    struct json *user; /* {"user", "groups", "uid", "extra"} as a SubjectAccessReview takes it */
    struct auth_attributes attributes;
    size_t attribute; /* which subresource is asked about */
};

struct auth {
    struct agent *agent;
    struct map tokens, accesses; /* → struct answer * */
    struct check *checks;
};

/* --- rules */

static bool is_below(struct str path, const char *prefix)
{
    size_t len = strlen(prefix);

    return path.len >= len && memcmp(path.p, prefix, len) == 0 && (path.len == len || path.p[len] == '/');
}

void auth_attributes_of(struct str method, struct str path, struct auth_attributes *ret)
{
    static const struct {
        const char *method, *verb;
    } verbs[] = {{"GET", "get"}, {"POST", "create"}, {"PUT", "update"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
    static const struct {
        const char *path, *subresource;
        bool proxy; /* else the right to everything does, too */
    } rows[] = {
        {"/pods", "pods", true},       {"/runningpods", "pods", true}, {"/healthz", "healthz", true},
        {"/configz", "configz", true}, {"/stats", "stats", false},     {"/metrics", "metrics", false},
        {"/logs", "log", false},       {"/checkpoint", "checkpoint", false},
        {"/statusz", "statusz", false}, {"/flagz", "configz", false},
    };

    *ret = (struct auth_attributes){.verb = ""};
    for (size_t i = 0; i < countof(verbs); i++)
        if (str_is(method, verbs[i].method))
            ret->verb = verbs[i].verb;
    for (size_t i = 0; i < countof(rows); i++) {
        if (!is_below(path, rows[i].path))
            continue;
        ret->subresources[ret->n++] = rows[i].subresource;
        if (!rows[i].proxy)
            return;
        break;
    }
    ret->subresources[ret->n++] = "proxy";
}

bool auth_is_trusted(const struct tls_peer *peer)
{
    return peer != NULL && peer->common_name != NULL &&
           (streq(peer->common_name, API_SERVER) || strv_has(&peer->organizations, ADMINISTRATORS));
}

/* --- what is remembered */

static struct answer *recall(struct map *map, const char *key, int64_t now_ms)
{
    struct answer *answer = map_get(map, key);

    return answer != NULL && answer->until_ms > now_ms ? answer : NULL;
}

static void answer_free(struct answer *answer)
{
    if (answer != NULL)
        json_free(answer->user);
    free(answer);
}

static void forget_all(struct map *map)
{
    const char *key;
    void *answer;

    for (size_t i = 0; map_next(map, &i, &key, &answer);)
        answer_free(answer);
    map_done(map);
    *map = (struct map){0};
}

static void remember(struct map *map, const char *key, const struct answer *answer)
{
    struct answer *kept = NEW(struct answer);

    if (map->n >= REMEMBERED_MAX)
        forget_all(map);
    *kept = *answer;
    answer_free(map_set(map, key, kept));
}

/* --- one check */

static void check_free(struct check *check)
{
    if (check->previous != NULL)
        check->previous->next = check->next;
    else
        check->auth->checks = check->next;
    if (check->next != NULL)
        check->next->previous = check->previous;
    free(check->node);
    free(check->token_key);
    free(check->access_key);
    json_free(check->user);
    free(check);
}
DEFINE_CLEANUP_POINTER(struct check *, check_free)

static void on_gone(void *data)
{
    struct check *check = data;

    check->request = NULL;
}

/* Ends the check: status 0 lets the request in. */
static void decide(struct check *check, int status, const char *text)
{
    CLEANUP(check_free) struct check *over = check;

    if (over->request == NULL)
        return;
    if (status == 0) {
        server_on_gone(over->request, NULL, NULL);
        over->allowed(over->request, over->data);
        return;
    }
    server_respond_text(over->request, status, "%s\n", text);
}

static void ask_access(struct check *check);

static void deny(struct check *check)
{
    CLEANUP(xfree) char *text =
        xasprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=[%s%s%s])",
                  json_str_or("", check->user, "user", NULL), check->attributes.verb,
                  check->attributes.subresources[0], check->attributes.n > 1 ? " " : "",
                  check->attributes.n > 1 ? check->attributes.subresources[1] : "");

    decide(check, 403, text);
}

static void access_known(struct check *check, bool allowed)
{
    if (allowed)
        decide(check, 0, NULL);
    else if (++check->attribute < check->attributes.n)
        ask_access(check);
    else
        deny(check);
}

static void on_access(struct json **answer, struct err *err, void *data)
{
    struct check *check = data;
    struct auth *auth = check->auth;

    if (err->code != 0) {
        agent_warn("asking what a client of the kubelet API may do", check->node, err);
        CLEANUP(xfree) char *text =
            xasprintf("Authorization error (user=%s, verb=%s, resource=nodes, subresource=%s)",
                      json_str_or("", check->user, "user", NULL), check->attributes.verb,
                      check->attributes.subresources[check->attribute]);
        decide(check, 500, text);
        return;
    }
    bool allowed = json_is_true(*answer, "status", "allowed", NULL) && !json_is_true(*answer, "status", "denied", NULL);
    const struct answer known = {
        .until_ms = loop_now_ms(auth->agent->loop) + (allowed ? ALLOWED_MS : DENIED_MS),
        .allowed = allowed,
    };
    remember(&auth->accesses, check->access_key, &known);
    access_known(check, allowed);
}

static void ask_access(struct check *check)
{
    struct auth *auth = check->auth;
    const char *subresource = check->attributes.subresources[check->attribute];
    CLEANUP(buf_done) struct buf user = {0};

    json_print(check->user, &user);
    free(check->access_key);
    check->access_key = xasprintf("%s %s %s %s", check->attributes.verb, subresource, check->node, buf_text(&user));
    const struct answer *known = recall(&auth->accesses, check->access_key, loop_now_ms(auth->agent->loop));
    if (known != NULL) {
        access_known(check, known->allowed);
        return;
    }
    struct json *spec = json_clone(check->user);
    json_set(spec, "resourceAttributes",
             json_build("{s:s, s:s, s:s, s:s, s:s}", "verb", check->attributes.verb, "version", "v1", "resource",
                        "nodes", "subresource", subresource, "name", check->node));
    agent_request(auth->agent, "POST", kube_path("authorization.k8s.io", "v1", NULL, "subjectaccessreviews", NULL, NULL),
                  json_build("{s:s, s:s, s:o}", "apiVersion", "authorization.k8s.io/v1", "kind", "SubjectAccessReview",
                             "spec", spec),
                  NULL, on_access, check);
}

/* --- who */

static struct json *user_of_certificate(const struct tls_peer *peer)
{
    struct json *groups = json_new_array();

    for (size_t i = 0; i < peer->organizations.n; i++)
        json_push(groups, json_new_string(peer->organizations.items[i]));
    json_push(groups, json_new_string("system:authenticated"));
    return json_build("{s:s, s:o}", "user", peer->common_name, "groups", groups);
}

/* TokenReview calls the name "username", SubjectAccessReview "user". */
static struct json *user_of_review(const struct json *user)
{
    struct json *named = json_build("{s:s}", "user", json_str_or("", user, "username", NULL));
    static const char *const same[] = {"uid", "groups", "extra"};

    for (size_t i = 0; i < countof(same); i++)
        if (json_member(user, same[i]) != NULL)
            json_set(named, same[i], json_clone(json_member(user, same[i])));
    return named;
}

static void token_known(struct check *check, const struct json *user)
{
    if (user == NULL) {
        decide(check, 401, "Unauthorized");
        return;
    }
    check->user = json_clone(user);
    ask_access(check);
}

static void on_token(struct json **answer, struct err *err, void *data)
{
    struct check *check = data;
    struct auth *auth = check->auth;

    if (err->code != 0) {
        agent_warn("asking whose a token is", check->node, err);
        decide(check, 500, "Authentication error");
        return;
    }
    struct answer known = {.until_ms = loop_now_ms(auth->agent->loop) + TOKEN_KNOWN_MS};
    if (json_is_true(*answer, "status", "authenticated", NULL))
        known.user = user_of_review(json_get(*answer, "status", "user", NULL));
    const struct json *user = known.user;
    remember(&auth->tokens, check->token_key, &known);
    token_known(check, user);
}

static void ask_token(struct check *check, struct str token)
{
    struct auth *auth = check->auth;
    char digest[65];

    pki_sha256_hex(token.p, token.len, digest); /* no token is kept */
    check->token_key = xstrdup(digest);
    const struct answer *known = recall(&auth->tokens, digest, loop_now_ms(auth->agent->loop));
    if (known != NULL) {
        token_known(check, known->user);
        return;
    }
    CLEANUP(xfree) char *text = xstrndup(token.p, token.len);
    agent_request(auth->agent, "POST", kube_path("authentication.k8s.io", "v1", NULL, "tokenreviews", NULL, NULL),
                  json_build("{s:s, s:s, s:{s:s}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenReview",
                             "spec", "token", text),
                  NULL, on_token, check);
    explicit_bzero(text, token.len);
}

static bool bearer_token(const struct http1_request *head, struct str *ret)
{
    static const char scheme[] = "Bearer ";
    struct str value = http1_header(head, "Authorization");

    if (value.p == NULL || value.len <= strlen(scheme) || strncasecmp(value.p, scheme, strlen(scheme)) != 0)
        return false;
    *ret = (struct str){value.p + strlen(scheme), value.len - strlen(scheme)};
    return true;
}

void auth_check(struct auth *auth, struct server_request *request, auth_allowed *allowed, void *data)
{
    const struct http1_request *head = server_request_head(request);
    const struct tls_peer *peer = server_request_peer(request);
    const struct pod *pod = server_request_tag(request);
    struct str token = {0};

    if (auth_is_trusted(peer)) {
        allowed(request, data);
        return;
    }
    bool has_token = bearer_token(head, &token);
    if (peer->common_name == NULL && !has_token) {
        server_respond_text(request, 401, "Unauthorized\n");
        return;
    }
    if (pod == NULL || pod->node == NULL) { /* there is no Node to ask about */
        server_respond_text(request, 404, "the pod of this node is gone\n");
        return;
    }
    struct check *check = NEW(struct check);
    *check = (struct check){.auth = auth, .next = auth->checks, .request = request, .allowed = allowed, .data = data};
    if (auth->checks != NULL)
        auth->checks->previous = check;
    auth->checks = check;
    check->node = xstrdup(node_name(pod->node));
    auth_attributes_of(head->method, head->path, &check->attributes);
    server_on_gone(request, on_gone, check);
    if (peer->common_name != NULL) {
        check->user = user_of_certificate(peer);
        ask_access(check);
    } else {
        ask_token(check, token);
    }
}

struct auth *auth_new(struct agent *agent)
{
    struct auth *auth = NEW(struct auth);

    auth->agent = agent;
    return auth;
}

struct auth *auth_free(struct auth *auth)
{
    if (auth != NULL) {
        while (auth->checks != NULL) /* only when the agent ends: their answers never come */
            check_free(auth->checks);
        forget_all(&auth->tokens);
        forget_all(&auth->accesses);
        free(auth);
    }
    return NULL;
}
