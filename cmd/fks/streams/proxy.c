/*
 * proxy.c: `proxy`: an HTTP server on this machine that hands requests to the API server with our credentials. Only what
 * the filters allow gets through; without TLS towards the browser, so it listens on loopback unless told otherwise.
 */
#include "streams/proxy.h"

#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "net/server.h"
#include "objects/identity.h"

#define DEFAULT_PORT 8001

struct patterns {
    regex_t list[16];
    size_t n;
};

struct proxy {
    struct cli *cli;
    const char *address, *api_prefix, *www, *www_prefix;
    const char *accept_hosts, *accept_paths, *reject_methods, *reject_paths, *unix_socket;
    int64_t port, keepalive_ms;
    bool disable_filter, append_server_path;
    char *prefix, *static_prefix; /* with a slash at both ends */
    struct patterns hosts, paths, bad_methods, bad_paths;
    struct loop *loop;
    struct proxy_way way;
};

/* --- filters */

static int compile(const char *text, struct patterns *ret, struct err *err)
{
    CLEANUP(strv_done) struct strv parts = {0};
    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        if (ret->n == countof(ret->list))
            return err_set(err, ERR_TOO_BIG, "more than %zu regular expressions in '%s'", countof(ret->list), text);
        if (regcomp(&ret->list[ret->n], parts.items[i], REG_EXTENDED | REG_NOSUB) > 0)
            return err_set(err, ERR_USAGE, "error parsing regexp: '%s'", parts.items[i]);
        ret->n++;
    }
    return 0;
}

static void patterns_done(struct patterns *patterns)
{
    for (size_t i = 0; i < patterns->n; i++)
        regfree(&patterns->list[i]);
    patterns->n = 0;
}

static bool matches(const struct patterns *patterns, const char *text)
{
    for (size_t i = 0; i < patterns->n; i++) {
        if (regexec(&patterns->list[i], text, 0, NULL, 0) == 0)
            return true;
    }
    return false;
}

/* "localhost:8001" → "localhost", "[::1]:80" → "::1", as Go splits it. */
static char *host_of(struct str header)
{
    CLEANUP(xfree) char *text = xstrndup(strempty(header.p), header.len);
    char *colon = strrchr(text, ':');
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        return end != NULL && end[1] == ':' ? xstrndup(text + 1, (size_t)(end - text) - 1) : xstrdup(text);
    }
    if (colon != NULL && strchr(text, ':') == colon)
        *colon = '\0';
    return xstrdup(text);
}

static bool is_allowed(const struct proxy *proxy, const struct http1_request *head, const char *path)
{
    CLEANUP(xfree) char *host = host_of(http1_header(head, "Host"));
    CLEANUP(xfree) char *method = xstrndup(head->method.p, head->method.len);
    if (proxy->disable_filter)
        return true;
    return !matches(&proxy->bad_paths, path) && !matches(&proxy->bad_methods, method) && matches(&proxy->paths, path) &&
           matches(&proxy->hosts, host);
}

/* --- requests */

/* How much of a URL is scheme and host. */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    return (size_t)(host - url) + strcspn(host, "/");
}

/* The part of the target below a prefix, with its slash; NULL if it is not below. */
static const char *below(const char *target, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(target, prefix, len) == 0 ? target + len - 1 : NULL;
}

static void on_request(struct server_request *request, void *data)
{
    struct proxy *proxy = data;
    const struct http1_request *head = server_request_head(request);
    CLEANUP(xfree) char *whole = xstrndup(head->target.p, head->target.len);
    size_t slashes = strspn(whole, "/"); /* "//a" means "/a" */
    const char *target = whole + (slashes > 0 ? slashes - 1 : 0);
    if (proxy->www != NULL && below(target, proxy->static_prefix) != NULL) {
        CLEANUP(xfree) char *path = xstrndup(target, strcspn(target, "?"));
        proxy_serve_file(request, proxy->www, below(path, proxy->static_prefix));
        return;
    }
    /* a prefix of the API's own paths stays, any other is taken off */
    const char *inner = starts_with(proxy->prefix, "/api") ? (below(target, proxy->prefix) != NULL ? target : NULL)
                                                           : below(target, proxy->prefix);
    if (inner == NULL) {
        server_respond_text(request, 404, "404 page not found\n");
        return;
    }
    CLEANUP(xfree) char *path = xstrndup(inner, strcspn(inner, "?"));
    if (!is_allowed(proxy, head, path))
        server_respond_text(request, 403, "Forbidden\n");
    else
        proxy_pass(&proxy->way, request, inner);
}

/* --- the command */

static char *slashed(const char *text)
{
    size_t len = strlen(text);
    return xasprintf("%s%s%s", text[0] != '/' ? "/" : "", text, len > 0 && text[len - 1] == '/' ? "" : "/");
}

static void on_signal(int number, void *data)
{
    (void)number;
    struct proxy *proxy = data;
    loop_stop(proxy->loop, 0);
}

static int serve(struct proxy *proxy, struct err *err)
{
    const struct kube_config *config = &proxy->cli->config;
    const struct http_client_options client = {.tls = {.ca_pem = config->ca_pem,
                                                       .cert_pem = config->cert_pem,
                                                       .key_pem = config->key_pem,
                                                       .server_name = config->tls_server_name,
                                                       .insecure = config->insecure},
                                               .proxy = config->proxy_url,
                                               .keepalive_ms = proxy->keepalive_ms,
                                               .user_agent = PROXY_USER_AGENT};
    const struct server_options options = {.handler = on_request, .data = proxy};
    struct server *server = NULL;
    struct server_listener *listener = NULL;
    if (loop_new(&proxy->loop, err) < 0 || http_client_new(proxy->loop, &client, &proxy->way.client, err) < 0 ||
        server_new(proxy->loop, &options, &server, err) < 0)
        return err->code;
    int code = proxy->unix_socket != NULL
                   ? server_listen_unix(server, proxy->unix_socket, NULL, &listener, err)
                   : server_listen(server, proxy->address, (int)proxy->port, NULL, &listener, err);
    if (code == ERR_EXISTS) { /* in kubectl's words */
        err_clear(err);
        if (proxy->unix_socket != NULL)
            code = err_set(err, ERR_EXISTS, "listen unix %s: bind: address already in use", proxy->unix_socket);
        else
            code = err_set(err, ERR_EXISTS, "listen tcp %s:%lld: bind: address already in use", proxy->address,
                           (long long)proxy->port);
    }
    if (code == 0 && (loop_signal(proxy->loop, SIGINT, on_signal, proxy, err) < 0 ||
                      loop_signal(proxy->loop, SIGTERM, on_signal, proxy, err) < 0))
        code = err->code;
    if (code == 0) {
        if (proxy->unix_socket != NULL)
            printf("Starting to serve on %s\n", proxy->unix_socket);
        else
            printf("Starting to serve on %s:%d\n", proxy->address, server_listener_port(listener));
        (void)fflush(stdout);
        code = loop_run(proxy->loop, err);
    }
    server_free(server);
    return code;
}

static void warn(const struct proxy *proxy)
{
    struct stat info;
    const char *server = proxy->cli->config.server, *path = server + origin_len(server);
    if (!proxy->append_server_path && path[0] != '\0')
        fprintf(stderr,
                "Your kube context contains a server path %s, use --append-server-path to automatically append the path to "
                "each request\n",
                path);
    if (proxy->www != NULL && stat(proxy->www, &info) < 0)
        fprintf(stderr, "Failed to stat static file directory %s: %s\n", proxy->www, strerror(errno));
    else if (proxy->www != NULL && !S_ISDIR(info.st_mode))
        fprintf(stderr, "Static file directory %s is not a directory\n", proxy->www);
    if (proxy->disable_filter && proxy->unix_socket == NULL)
        fputs("Request filter disabled, your proxy is vulnerable to XSRF attacks, please be cautious\n", stderr);
}

static int run_proxy(struct proxy *proxy)
{
    CLEANUP(err_clear) struct err err = {0};
    if (strempty(proxy->unix_socket)[0] == '\0')
        proxy->unix_socket = NULL;
    if (proxy->unix_socket != NULL && proxy->port != DEFAULT_PORT)
        return cli_error("cannot set --unix-socket and --port at the same time");
    if (proxy->port < 0 || proxy->port > 65535)
        return cli_error("listen tcp: address %lld: invalid port", (long long)proxy->port);
    if (compile(proxy->accept_hosts, &proxy->hosts, &err) < 0 || compile(proxy->accept_paths, &proxy->paths, &err) < 0 ||
        compile(proxy->reject_methods, &proxy->bad_methods, &err) < 0 ||
        compile(proxy->reject_paths, &proxy->bad_paths, &err) < 0 || cli_connect(proxy->cli, &err) < 0)
        return cli_fail(proxy->cli, &err);
    warn(proxy);
    proxy->prefix = slashed(proxy->api_prefix);
    proxy->static_prefix = slashed(proxy->www_prefix);
    const char *server = proxy->cli->config.server;
    proxy->way.config = &proxy->cli->config;
    proxy->way.base = proxy->append_server_path ? xstrdup(server) : xstrndup(server, origin_len(server));
    int code = serve(proxy, &err);
    http_client_free(proxy->way.client);
    loop_free(proxy->loop);
    return code < 0 ? cli_fail(proxy->cli, &err) : code;
}

int command_proxy(struct cli *cli, int argc, char **argv)
{
    struct proxy proxy = {.cli = cli,
                          .address = "127.0.0.1",
                          .api_prefix = "/",
                          .www_prefix = "/static/",
                          .port = DEFAULT_PORT,
                          .accept_hosts = "^localhost$,^127\\.0\\.0\\.1$,^\\[::1\\]$",
                          .accept_paths = "^.*",
                          .reject_methods = "^$",
                          .reject_paths = "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach"};
    const struct opt options[] = {
        {"accept-hosts", 0, OPT_STRING, &proxy.accept_hosts, "", "Regular expressions for hosts that are accepted."},
        {"accept-paths", 0, OPT_STRING, &proxy.accept_paths, "", "Regular expressions for paths that are accepted."},
        {"address", 0, OPT_STRING, &proxy.address, "", "The IP address to serve on."},
        {"api-prefix", 0, OPT_STRING, &proxy.api_prefix, "", "Prefix to serve the API under."},
        {"append-server-path", 0, OPT_BOOL, &proxy.append_server_path, NULL,
         "Put the path of the context's server before that of each request."},
        {"disable-filter", 0, OPT_BOOL, &proxy.disable_filter, NULL,
         "Accept everything. Dangerous: any web page can then use the cluster."},
        {"keepalive", 0, OPT_DURATION, &proxy.keepalive_ms, "0s", "How often TCP asks a silent API server whether it is still there; 0s: every 30 s."},
        {"port", 'p', OPT_INT, &proxy.port, "8001", "The port to serve on; 0 takes a free one."},
        {"reject-methods", 0, OPT_STRING, &proxy.reject_methods, "", "Regular expressions for methods to reject."},
        {"reject-paths", 0, OPT_STRING, &proxy.reject_paths, "", "Regular expressions for paths to reject, first of all."},
        {"unix-socket", 'u', OPT_STRING, &proxy.unix_socket, "", "Serve on this socket in the file system instead of a port."},
        {"www", 'w', OPT_STRING, &proxy.www, "", "Also serve the files of this folder."},
        {"www-prefix", 'P', OPT_STRING, &proxy.www_prefix, "", "Prefix to serve the files under."},
        {0},
    };
    const struct cli_command command = {
        .words = "proxy",
        .usage = "[--port=PORT] [--www=static-dir] [--www-prefix=prefix] [--api-prefix=prefix] [options]",
        .about = "Creates a proxy server or application-level gateway between localhost and the Kubernetes API server.",
        .examples = "  # Serve the API on a free port of this machine\n  kubectl proxy --port=0\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_proxy(&proxy);
    free(proxy.prefix);
    free(proxy.static_prefix);
    free(proxy.way.base);
    patterns_done(&proxy.hosts);
    patterns_done(&proxy.paths);
    patterns_done(&proxy.bad_methods);
    patterns_done(&proxy.bad_paths);
    return code;
}
