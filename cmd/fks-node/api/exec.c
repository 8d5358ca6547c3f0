/*
 * exec.c: exec, attach and port-forward. The runtime is asked for the URL of a session, then the two connections
 * are joined byte by byte: SPDY and WebSocket are spoken by the API server and the runtime, not here.
 */
#include "base/log.h"
#include "base/mem.h"

#include "api/api.h"
#include "pod/pod.h"

#define WORDS_MAX 4096 /* of one command */

struct session { /* between the question for a URL and its answer */
    struct pod *pod;
    struct server_request *request; /* NULL: the peer is gone */
};

int exec_split_url(const char *url, char **ret_host, int *ret_port, char **ret_target, struct err *err)
{
    const char *rest = url;
    int64_t port = 80;

    if (!starts_with(url, "http://"))
        return err_set(err, ERR_PARSE, "the runtime's stream URL '%s' is not http", url);
    rest += strlen("http://");
    size_t len = strcspn(rest, "/?");
    CLEANUP(xfree) char *authority = xstrndup(rest, len);
    char *host = authority, *colon = strrchr(authority, ':');
    char *bracket = strchr(authority, ']');
    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        int result = parse_int(colon + 1, 1, 65535, &port, err);
        if (result < 0)
            return err_wrap(err, "the runtime's stream URL '%s'", url);
        *colon = '\0';
    }
    if (*host == '[' && bracket != NULL) {
        host++;
        *bracket = '\0';
    }
    if (*host == '\0')
        return err_set(err, ERR_PARSE, "the runtime's stream URL '%s' names no host", url);
    *ret_host = xstrdup(host);
    *ret_port = (int)port;
    *ret_target = xasprintf("%s%s", rest[len] == '/' ? "" : "/", rest + len);
    return 0;
}

static void on_gone(void *data)
{
    struct session *session = data;

    session->request = NULL;
}

static void on_url(const char *url, struct err *err, void *data)
{
    CLEANUP(xfree) struct session *session = data;
    CLEANUP(xfree) char *host = NULL;
    CLEANUP(xfree) char *target = NULL;
    int port;

    pod_call_done(session->pod);
    if (session->request == NULL)
        return;
    if (err->code != 0 || exec_split_url(url, &host, &port, &target, err) < 0) {
        log_warn("no stream session", "pod", pod_title(session->pod), "error", err_text(err));
        server_respond_text(session->request, 500, "%s\n", err_text(err));
        return;
    }
    server_proxy(session->request, host, port, target);
}

static struct session *session_new(struct server_request *request, struct pod *pod)
{
    struct session *session = NEW(struct session);

    session->pod = pod;
    session->request = request;
    pod_call_begin(pod);
    server_on_gone(request, on_gone, session);
    return session;
}

/* --- options of a session */

struct streams {
    bool tty, in, out, errout;
};

static bool flag(struct str query, const char *name)
{
    CLEANUP(xfree) char *value = http1_query(query, name, 0);

    return streq(value, "1") || streq(value, "true");
}

static struct streams read_streams(struct str query)
{
    struct streams streams = {
        .tty = flag(query, "tty"),
        .in = flag(query, "input"),
        .out = flag(query, "output"),
        .errout = flag(query, "error"),
    };

    /* a terminal has one output only; the runtime refuses both */
    if (streams.tty)
        streams.errout = false;
    return streams;
}

/* The container's id if a session can begin; otherwise the request is answered. */
static const char *usable(struct server_request *request, struct pod *pod, const char *name,
                          const struct streams *streams, bool attach)
{
    const struct pod_container *container = pod_container_get(pod, name);

    if (!server_request_head(request)->upgrade) {
        server_respond_text(request, 400, "Upgrade request required\n");
        return NULL;
    }
    if (!streams->in && !streams->out && !streams->errout) {
        server_respond_text(request, 400, "you must specify at least 1 of stdin, stdout, stderr\n");
        return NULL;
    }
    if (!pod_container_runs(container)) { /* code and texts of the kubelet */
        if (attach)
            server_respond_text(request, 500, "container %s not found in pod %s_%s", name, pod->name, pod->namespace);
        else
            server_respond_text(request, 500, "container not found (\"%s\")", name);
        return NULL;
    }
    return container->current->id;
}

void exec_serve(struct server_request *request, struct pod *pod, const char *container)
{
    struct str query = server_request_head(request)->query;
    struct streams streams = read_streams(query);
    CLEANUP(strv_done) struct strv command = {0};
    const char *id = usable(request, pod, container, &streams, false);

    if (id == NULL)
        return;
    while (command.n < WORDS_MAX) {
        char *word = http1_query(query, "command", command.n);
        if (word == NULL)
            break;
        strv_take(&command, word);
    }
    if (command.n == 0) {
        server_respond_text(request, 400, "the request names no command\n");
        return;
    }
    cri_exec_url(pod->agent->cri, id, (const char *const *)command.items, streams.tty, streams.in, streams.out,
                 streams.errout, on_url, session_new(request, pod));
}

void exec_serve_attach(struct server_request *request, struct pod *pod, const char *container)
{
    struct streams streams = read_streams(server_request_head(request)->query);
    const char *id = usable(request, pod, container, &streams, true);

    if (id != NULL)
        cri_attach_url(pod->agent->cri, id, streams.tty, streams.in, streams.out, streams.errout, on_url,
                       session_new(request, pod));
}

/* SPDY clients name their ports inside the session; old WebSocket ones in the query. */
void exec_serve_port_forward(struct server_request *request, struct pod *pod)
{
    struct str query = server_request_head(request)->query;
    int32_t ports[64];
    size_t n = 0;

    if (!server_request_head(request)->upgrade) {
        server_respond_text(request, 400, "Upgrade request required\n");
        return;
    }
    if (pod->sandbox == NULL || !pod->sandbox->ready) {
        server_respond_text(request, 404, "pod \"%s\" is not running\n", pod->name);
        return;
    }
    for (size_t i = 0; n < countof(ports); i++) {
        CLEANUP(xfree) char *values = http1_query(query, "port", i);
        CLEANUP(strv_done) struct strv list = {0};
        if (values == NULL)
            break;
        strv_split(&list, values, ',');
        for (size_t k = 0; k < list.n && n < countof(ports); k++) {
            CLEANUP(err_clear) struct err err = {0};
            int64_t port;
            if (parse_int(list.items[k], 1, 65535, &port, &err) < 0) {
                server_respond_text(request, 400, "%s\n", err_text(&err));
                return;
            }
            ports[n++] = (int32_t)port;
        }
    }
    cri_port_forward_url(pod->agent->cri, pod->sandbox->id, ports, n, on_url, session_new(request, pod));
}
