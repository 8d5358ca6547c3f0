/*
 * version.c: `version`, `cluster-info`, `api-versions`.
 */
#include "cli.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/yaml.h"
#include "text/gotext.h"

/* The kubectl whose behaviour this program has; scripts and --match-server-version look at it. */
#define COMPATIBLE_MAJOR 1
#define COMPATIBLE_MINOR 36
#define COMPATIBLE_KUSTOMIZE "v5.8.1"
#define SUPPORTED_SKEW 1 /* minor versions between client and server */

/* Two blanks of indentation, which only this command has. */
static void print_indented(const struct json *json, size_t depth, struct buf *out)
{
    if (!json_is_object(json)) {
        json_print_pretty(json, out);
        return;
    }
    void *position = NULL;
    const char *key;
    const struct json *value;
    bool first = true;
    buf_add_char(out, '{');
    while (json_next(json, &position, &key, &value)) {
        buf_printf(out, "%s\n%*s", first ? "" : ",", (int)(depth + 1) * 2, "");
        gotext_quote(key, out);
        buf_add_str(out, ": ");
        print_indented(value, depth + 1, out);
        first = false;
    }
    buf_printf(out, "\n%*s}", (int)depth * 2, "");
}

static struct json *client_version(void)
{
    CLEANUP(xfree) char *major = xasprintf("%d", COMPATIBLE_MAJOR), *minor = xasprintf("%d", COMPATIBLE_MINOR);
    return json_build("{s:{s:s, s:s, s:s, s:s, s:s}, s:s}", "clientVersion", "major", major, "minor", minor,
                      "gitVersion", CLI_COMPATIBLE_VERSION, "compiler", "gcc", "platform",
#if defined(__aarch64__)
                      "linux/arm64",
#else
                      "linux/amd64",
#endif
                      "kustomizeVersion", COMPATIBLE_KUSTOMIZE);
}

static void print_short(const struct json *versions)
{
    printf("Client Version: %s\n", json_str_or("", versions, "clientVersion", "gitVersion", NULL));
    printf("Kustomize Version: %s\n", json_str_or("", versions, "kustomizeVersion", NULL));
    const char *server = json_str(versions, "serverVersion", "gitVersion", NULL);
    if (server != NULL)
        printf("Server Version: %s\n", server);
}

/* One minor version up or down is supported. Returns the exit code. */
static int tell_skew(const struct cli *cli, const char *server)
{
    int major = 0, minor = 0, patch = 0;
    if (sscanf(server, "v%4d.%4d.%9d", &major, &minor, &patch) != 3)
        return cli_error("server version error: could not parse \"%s\" as version", server);
    if (major == COMPATIBLE_MAJOR && abs(minor - COMPATIBLE_MINOR) <= SUPPORTED_SKEW)
        return 0;
    CLEANUP(xfree)
    char *text = xasprintf("version difference between client (%d.%d) and server (%d.%d) exceeds the supported minor version "
                           "skew of +/-%d", COMPATIBLE_MAJOR, COMPATIBLE_MINOR, major, minor, SUPPORTED_SKEW);
    if (cli->warnings_as_errors)
        return cli_error("%s", text);
    (void)fflush(stdout);
    fprintf(stderr, "Warning: %s\n", text);
    return 0;
}

int command_version(struct cli *cli, int argc, char **argv)
{
    bool client_only = false;
    const char *format = NULL;
    const struct opt options[] = {
        {"client", 0, OPT_BOOL, &client_only, NULL, "Do not ask the server."},
        {"output", 'o', OPT_STRING, &format, "", "yaml or json."},
        {0},
    };
    const struct cli_command command = {.words = "version",
                                        .usage = "[options]",
                                        .about =
                                            "Print the client and server version information for the current context.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *server = NULL, *versions = client_version();
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (args.n > 0 && !client_only) {
        CLEANUP(xfree) char *joined = strv_join(&args, " ");
        return cli_error("extra arguments: [%s]", joined);
    }
    if (format != NULL && format[0] != '\0' && !streq(format, "json") && !streq(format, "yaml"))
        return cli_error("--output must be 'yaml' or 'json'");
    const struct kube_request request = {.path = "/version"};
    int asked = client_only ? 0 : cli_connect(cli, &err);
    if (asked < 0 && !streq(err.reason, "ExecCredential")) /* of a configuration that is wrong kubectl says nothing else */
        return cli_fail(cli, &err);
    if (asked == 0 && !client_only)
        asked = cli_do(cli, &request, &server, &err);
    if (server != NULL)
        json_set(versions, "serverVersion", take(&server));
    CLEANUP(buf_done) struct buf text = {0};
    if (streq(format, "json"))
        print_indented(versions, 0, &text);
    else if (streq(format, "yaml"))
        yaml_print(versions, &text);
    else
        print_short(versions);
    if (text.len > 0)
        puts(buf_text(&text));
    if (asked < 0 && err.http_status == 401)
        return cli_error("You must be logged in to the server (the server has asked for the client to provide credentials)");
    if (asked < 0)
        return cli_fail(cli, &err);
    const char *running = json_str(versions, "serverVersion", "gitVersion", NULL);
    return running != NULL ? tell_skew(cli, running) : 0;
}

/* --- cluster-info */

static void print_endpoint(const char *name, const char *link)
{
    bool colour = isatty(STDOUT_FILENO);
    printf(colour ? "\x1b[0;32m%s\x1b[0m is running at \x1b[0;33m%s\x1b[0m\n" : "%s is running at %s\n", name, link);
}

/* The proxy path of a service labelled as part of the cluster. */
static void print_service(const struct cli *cli, const struct json *service)
{
    const struct json *metadata = json_get(service, "metadata", NULL);
    const char *name = json_str_or("", metadata, "labels", "kubernetes.io/name", NULL);
    const char *own = json_str_or("", metadata, "name", NULL);
    const struct json *port = json_at(json_get(service, "spec", "ports", NULL), 0);
    const char *port_name = json_str_or("", port, "name", NULL);
    bool https = json_int_or(0, port, "port", NULL) == 443 || streq(port_name, "https");
    CLEANUP(xfree)
    char *link = xasprintf("%s/api/v1/namespaces/%s/services/%s%s%s%s/proxy", cli->config.server,
                           json_str_or("", metadata, "namespace", NULL), https ? "https:" : "", own,
                           port_name[0] != '\0' || https ? ":" : "", port_name);
    print_endpoint(name[0] != '\0' ? name : own, link);
}

int command_cluster_info(struct cli *cli, int argc, char **argv)
{
    const struct cli_command command = {.words = "cluster-info",
                                        .usage = "[flags] [options]",
                                        .about = "Display addresses of the control plane and services with label "
                                                 "kubernetes.io/cluster-service=true."};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *list = NULL;
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    const struct kube_request request = {
        .path = "/api/v1/namespaces/kube-system/services?labelSelector=kubernetes.io%2Fcluster-service%3Dtrue"};
    if (cli_do(cli, &request, &list, &err) < 0) {
        code = cli_fail(cli, &err);
        return code;
    }
    print_endpoint("Kubernetes control plane", cli->config.server);
    const struct json *service;
    json_each(service, json_get(list, "items", NULL))
        print_service(cli, service);
    printf("\nTo further debug and diagnose cluster problems, use '%s cluster-info dump'.\n", cli->program);
    return 0;
}
