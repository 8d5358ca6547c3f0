/*
 * cli.c: what all commands share: parsing with the global options, the connection made on first use, and failures in
 * kubectl's words. It knows no single command; dispatch is main.c's.
 */
#include "cli.h"

#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "completion/completion.h"
#include "help.h"
#include "trace.h"

#define TRANSPORT_REFUSED "The connection to the server "
#define TRANSPORT_FAILED "Unable to connect to the server: "
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* --- the connection */

void cli_warn(const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    (void)fflush(stdout);
    bool colour = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL && !streq(getenv("TERM"), "dumb");
    fprintf(stderr, colour ? "\x1b[33;1mWarning:\x1b[0m %s\n" : "Warning: %s\n", buf_text(&text));
}

static void print_warning(const char *text, void *data)
{
    struct cli *cli = data;
    if (strv_has(&cli->warnings, text))
        return;
    strv_add(&cli->warnings, text);
    cli_warn("%s", text);
}

/* kubectl takes a bare number of seconds or a Go duration. */
static int parse_request_timeout(const char *text, int64_t *ret_ms, struct err *err)
{
    CLEANUP(err_clear) struct err as_number = {0};
    int64_t seconds = 0;
    if (parse_int(text, 0, INT32_MAX, &seconds, &as_number) == 0) {
        *ret_ms = seconds * 1000;
        return 0;
    }
    CLEANUP(err_clear) struct err as_duration = {0};
    if (parse_duration(text, ret_ms, &as_duration) < 0)
        return err_set(
            err, ERR_USAGE,
            "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a "
            "corresponding time unit (e.g. 1s | 2m | 3h)");
    return 0;
}

/* --match-server-version */
static int require_same_version(struct cli *cli, struct err *err)
{
    const struct kube_request request = {.path = "/version"};
    CLEANUP(json_free) struct json *version = NULL;
    if (kube_do(cli->client, &request, &version, err) < 0)
        return err->code;
    const char *server = json_str_or("", version, "gitVersion", NULL);
    if (streq(server, CLI_COMPATIBLE_VERSION))
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "server version (%s) differs from client version (" CLI_COMPATIBLE_VERSION ")",
                   server);
}

int cli_connect(struct cli *cli, struct err *err)
{
    if (cli->client != NULL)
        return 0;
    if (cli->request_timeout != NULL &&
        parse_request_timeout(cli->request_timeout, &cli->overrides.request_timeout_ms, err) < 0)
        return err->code;
    cli->overrides.namespace = cli->namespace;
    if (kube_config_load(&cli->overrides, &cli->config, err) < 0)
        return err->code;
    CLEANUP(xfree) char *user_agent = xasprintf("%s/v" FKS_PROGRAM_VERSION, cli->program);
    if (kube_client_new(NULL, &cli->config, user_agent, &cli->client, err) < 0)
        return err->code;
    kube_client_on_warning(cli->client, print_warning, cli);
    if (cli->verbosity >= 6)
        kube_client_on_trace(cli->client, trace_print, cli);
    cli->discovery = kube_discovery_new(cli->client, cli->cache_dir);
    return cli->match_server_version ? require_same_version(cli, err) : 0;
}

const char *cli_namespace(const struct cli *cli)
{
    return cli->namespace != NULL && cli->namespace[0] != '\0' ? cli->namespace : cli->config.namespace;
}

/* --- failures */

/* "Pod \"x\" is invalid: ..." as kubectl builds it from the Status' details. */
static void describe_invalid(const struct json *status, struct buf *out)
{
    const struct json *details = json_get(status, "details", NULL);
    const char *message = json_str_or("", status, "message", NULL);
    if (details == NULL) {
        buf_printf(out, "request is invalid%s%s", message[0] != '\0' ? ": " : "", message);
        return;
    }
    const char *kind = json_str_or("", details, "kind", NULL), *name = json_str_or("", details, "name", NULL);
    const struct json *causes = json_get(details, "causes", NULL), *cause;
    if (kind[0] != '\0' || name[0] != '\0')
        buf_printf(out, "%s \"%s\" is invalid", kind, name);
    else if (message[0] != '\0' && json_len(causes) == 0)
        buf_printf(out, "request is invalid: %s", message);
    else
        buf_add_str(out, "request is invalid");

    CLEANUP(strv_done) struct strv lines = {0};
    json_each(cause, causes) {
        CLEANUP(xfree)
        char *line =
            xasprintf("%s: %s", json_str_or("", cause, "field", NULL), json_str_or("", cause, "message", NULL));
        if (!strv_has(&lines, line))
            strv_add(&lines, line);
    }
    if (lines.n == 1)
        buf_printf(out, ": %s\n", lines.items[0]);
    if (lines.n > 1) {
        buf_add_str(out, ": \n");
        for (size_t i = 0; i < lines.n; i++)
            buf_printf(out, "* %s\n", lines.items[i]);
    }
}

static const char *server_host(const struct cli *cli)
{
    const char *server = strempty(cli->config.server);
    const char *host = strstr(server, "://");
    return host != NULL ? host + 3 : server;
}

/* Replaces the text of a set error, keeps its code. */
static void rephrase(struct err *err, char *text)
{
    free(err->msg);
    err->msg = text;
}

/* What failed, without the "METHOD URL: " that the HTTP client puts before it. */
static const char *without_request(const struct cli *cli, const char *text)
{
    const char *url = strchr(text, ' '), *end = url != NULL ? strstr(url, ": ") : NULL;
    return end != NULL && cli->config.server != NULL && starts_with(url + 1, cli->config.server) ? end + 2 : text;
}

static void name_transport_failure(const struct cli *cli, struct err *err)
{
    if (err->code == ERR_REFUSED)
        rephrase(err, xasprintf(TRANSPORT_REFUSED "%s was refused - did you specify the right host or port?",
                                server_host(cli)));
    else if (err->code == ERR_IO || err->code == ERR_TIMEOUT)
        rephrase(err, xasprintf(TRANSPORT_FAILED "%s", without_request(cli, err_text(err))));
}

int cli_do(struct cli *cli, const struct kube_request *request, struct json **ret, struct err *err)
{
    if (cli_connect(cli, err) < 0)
        return err->code;
    CLEANUP(json_free) struct json *answer = NULL;
    int code = kube_do(cli->client, request, &answer, err);
    if (code < 0) {
        if (err->http_status == 0) {
            name_transport_failure(cli, err);
        } else if (streq(err->reason, "Invalid")) {
            struct buf text = {0};
            describe_invalid(answer, &text);
            free(cli->invalid_text);
            cli->invalid_text = buf_take(&text);
        }
        return err->code;
    }
    if (ret != NULL)
        *ret = take(&answer);
    return 0;
}

/* Is the command one of these: "auth", or "set env" alone of the words that follow "set"? */
static bool is_command(const struct cli *cli, const char *const *commands)
{
    const char *line = strchr(strempty(cli->command_line), ' ');
    for (; line != NULL && *commands != NULL; commands++) {
        if (starts_with(line + 1, *commands) && strchr(" ", line[1 + strlen(*commands)]) != NULL)
            return true;
    }
    return false;
}

/* What kubectl makes first, its client or the namespace, decides how it tells of a context that is not there. */
static bool has_client_first(const struct cli *cli)
{
    static const char *const commands[] = {"api-resources", "api-versions", "apply", "auth", "autoscale", "certificate",
                                           "cluster-info", "cordon", "create", "diff", "drain", "explain", "expose", "proxy",
                                           "replace", "run", "set env", "top node", "top nodes", "uncordon", "version",
                                           "wait", NULL};
    static const char *const others[] = {"apply view-last-applied", "apply set-last-applied", "apply edit-last-applied",
                                         "auth reconcile", "create token", NULL};
    return is_command(cli, commands) && !is_command(cli, others);
}

/* kubectl's StandardErrorMessage: true when the text is a whole sentence that needs no "error: ". */
static bool standard_text(const struct cli *cli, const struct err *err, struct buf *out)
{
    static const char missing_context[] = "context was not found for specified context: ";
    const char *text = err_text(err);
    if (streq(err->reason, "InvalidConfiguration") && err->http_status == 0 && text[0] == '*')
        buf_printf(out, "Error in configuration: \n%s", text);
    else if (streq(err->reason, "InvalidConfiguration") && starts_with(text, missing_context) && cli->overrides.context != NULL &&
             has_client_first(cli))
        buf_printf(out, "error: context \"%s\" does not exist", text + strlen(missing_context));
    else if (streq(err->reason, "InvalidConfiguration") && starts_with(text, missing_context))
        buf_printf(out, "Error in configuration: %s", text);
    else if (streq(err->reason, "InvalidConfiguration") && err->http_status == 0)
        return false;
    else if (streq(err->reason, "ExecCredential") && err->http_status == 0)
        buf_printf(out, TRANSPORT_FAILED "%s", text);
    else if (streq(err->reason, "Unauthorized") || err->http_status == 401)
        buf_printf(out, "error: You must be logged in to the server (%s)", text);
    else if (err->reason != NULL && err->reason[0] != '\0')
        buf_printf(out, "Error from server (%s): %s", err->reason, text);
    else if (err->http_status >= 400)
        buf_printf(out, "Error from server: %s", text);
    else if (err->code == ERR_REFUSED && !starts_with(text, TRANSPORT_REFUSED))
        buf_printf(out, TRANSPORT_REFUSED "%s was refused - did you specify the right host or port?", server_host(cli));
    else if (starts_with(text, TRANSPORT_REFUSED) || starts_with(text, TRANSPORT_FAILED))
        buf_add_str(out, text);
    else
        return false;
    return true;
}

static void print_line(struct buf *text)
{
    (void)fflush(stdout);
    fputs(buf_text(text), stderr);
    if (!ends_with(buf_text(text), "\n"))
        fputc('\n', stderr);
}

int cli_fail(const struct cli *cli, const struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (streq(err->reason, "Invalid") && err->http_status == 422)
        buf_printf(&text, "The %s", cli->invalid_text != NULL ? cli->invalid_text : err_text(err));
    else if (!standard_text(cli, err, &text))
        buf_printf(&text, "%s%s", starts_with(err_text(err), "error: ") ? "" : "error: ", err_text(err));
    print_line(&text);
    return 1;
}

int cli_fail_type(const struct cli *cli, const struct err *err)
{
    if (err->http_status != 0 || !starts_with(err_text(err), "the server doesn't have a resource type"))
        return cli_fail(cli, err);
    (void)fflush(stdout);
    fprintf(stderr, "%s\n", err_text(err));
    return 1;
}

int cli_error(const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_add_str(&text, "error: ");
    buf_vprintf(&text, format, args);
    va_end(args);
    print_line(&text);
    return 1;
}

int cli_usage(const struct cli *cli, const char *command, const struct err *err)
{
    return cli_error("%s\nSee '%s %s -h' for help and examples", err_text(err), cli->program, command);
}

void failures_add(struct failures *failures, struct err *err)
{
    GROW(failures->list, failures->n, failures->cap);
    struct err *slot = &failures->list[failures->n++];
    *slot = (struct err){0};
    err_move(slot, err);
}

void failures_done(struct failures *failures)
{
    for (size_t i = 0; i < failures->n; i++)
        err_clear(&failures->list[i]);
    free(failures->list);
    *failures = (struct failures){0};
}

int cli_fail_all(const struct cli *cli, const struct failures *failures)
{
    if (failures->n == 1)
        return cli_fail(cli, &failures->list[0]);
    for (size_t i = 0; i < failures->n; i++) {
        CLEANUP(buf_done) struct buf text = {0};
        if (!standard_text(cli, &failures->list[i], &text))
            buf_add_str(&text, err_text(&failures->list[i]));
        if (ends_with(buf_text(&text), "\n")) /* several errors: kubectl ends each with a newline of its own */
            buf_add_char(&text, '\n');
        print_line(&text);
    }
    return failures->n > 0 ? 1 : 0;
}

/* --- options */

/* Examples call the program by either of its names; the reader sees the one that was used. */
static void add_examples(const struct cli *cli, const char *examples, struct buf *text)
{
    static const char *const names[] = {"kubectl ", "fks "};
    const char *rest = examples;
    buf_add_str(text, "\nExamples:\n");
    while (*rest != '\0') {
        bool begins = rest == examples || strchr(" \n\"'(", rest[-1]) != NULL;
        size_t len = 0;
        for (size_t i = 0; i < countof(names) && begins && len == 0; i++)
            len = starts_with(rest, names[i]) ? strlen(names[i]) - 1 : 0;
        if (len > 0)
            buf_add_str(text, cli->program);
        else
            buf_add_char(text, *rest);
        rest += len > 0 ? len : 1;
    }
    if (!ends_with(buf_text(text), "\n"))
        buf_add_char(text, '\n');
}

static void print_help(const struct cli *cli, const struct cli_command *command)
{
    CLEANUP(buf_done) struct buf text = {0};
    buf_printf(&text, "%s\n", help_translate(command->about));
    if (command->examples != NULL)
        add_examples(cli, command->examples, &text);
    help_subcommands(cli, command->words, &text);
    if (command->options != NULL || command->more_options != NULL)
        buf_add_str(&text, "\nOptions:\n");
    if (command->options != NULL)
        opt_help(command->options, &text);
    if (command->more_options != NULL)
        opt_help(command->more_options, &text);
    buf_printf(&text, "\nUsage:\n  %s %s%s%s\n", cli->program, command->words, command->usage[0] != '\0' ? " " : "",
               command->usage);
    buf_printf(&text, "\nUse \"%s options\" for a list of global command-line options (applies to all commands).\n",
               cli->program);
    fputs(buf_text(&text), stdout);
}

static bool was_given(const struct opt *table, const char *name)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (streq(table->name, name))
            return table->seen != NULL && *table->seen;
    }
    return false;
}

/* false after the error about options that are missing. */
static bool has_required(const struct cli_command *command)
{
    CLEANUP(strv_done) struct strv names = {0};
    CLEANUP(buf_done) struct buf missing = {0};
    strv_split(&names, strempty(command->required), ',');
    for (size_t i = 0; i < names.n; i++) {
        if (!was_given(command->options, names.items[i]) && !was_given(command->more_options, names.items[i]))
            buf_printf(&missing, "%s\"%s\"", missing.len > 0 ? ", " : "", names.items[i]);
    }
    if (missing.len > 0)
        (void)cli_error("required flag(s) %s not set", buf_text(&missing));
    return missing.len == 0;
}

/* "kubectl label pods web a=b --record=true": words and arguments first, then the options, as kubectl records them. */
static void keep_command_line(struct cli *cli, const struct cli_command *command, const struct strv *args,
                              const struct strv *given)
{
    struct buf line = {0};
    buf_printf(&line, "%s %s", cli->program, command->words);
    for (size_t i = 0; i < args->n; i++)
        buf_printf(&line, " %s", args->items[i]);
    for (size_t i = 0; i < given->n; i++)
        buf_printf(&line, " %s", starts_with(given->items[i], "--token=") ? "--token=CLASSIFIED" : given->items[i]);
    free(cli->command_line);
    cli->command_line = buf_take(&line);
}

static const struct opt *find_option(const struct opt_tables *tables, const char *name)
{
    for (size_t i = 0; i < countof(tables->tables) && tables->tables[i] != NULL; i++) {
        for (const struct opt *option = tables->tables[i]; option->name != NULL; option++) {
            if (streq(option->name, name))
                return option;
        }
    }
    return NULL;
}

/* True if the line gives the option itself: --name, --name=x, -n, -nx, or as one of several letters. */
static bool is_on_line(const struct opt *option, int argc, char *const *argv)
{
    size_t len = strlen(option->name);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (starts_with(word, "--") && strncmp(word + 2, option->name, len) == 0 &&
            (word[len + 2] == '\0' || word[len + 2] == '='))
            return true;
        if (option->letter != 0 && word[0] == '-' && word[1] == option->letter)
            return true;
        bool letters = word[0] == '-' && word[1] != '\0' && word[1 + strspn(word + 1, LETTERS)] == '\0';
        if (option->letter != 0 && letters && strchr(word + 1, option->letter) != NULL)
            return true;
    }
    return false;
}

/* The kuberc's presets that the line does not give itself, as words in front of it. false: an error was told. */
static bool add_presets(struct cli *cli, const struct cli_command *command, const struct opt_tables *tables, int argc,
                        char *const *argv, int *ret_argc, char ***ret_argv)
{
    char **line = xcalloc((size_t)argc + cli->presets.n / 2 + 1, sizeof(*line));
    int n = 0;
    line[n++] = argv[0];
    *ret_argv = line;
    for (size_t i = 0; i + 1 < cli->presets.n; i += 2) {
        const char *name = cli->presets.items[i];
        const struct opt *option = find_option(tables, name);
        if (option == NULL) {
            fprintf(stderr, "error occurred while applying preferences invalid %s %s %s %s\n",
                    cli->alias != NULL ? "alias flag" : "flag", name, cli->alias != NULL ? "in alias" : "for command",
                    cli->alias != NULL ? cli->alias : command->words);
            return false;
        }
        if (is_on_line(option, argc, argv))
            continue;
        strv_addf(&cli->preset_words, "--%s=%s", name, cli->presets.items[i + 1]);
        line[n++] = cli->preset_words.items[cli->preset_words.n - 1];
    }
    for (int i = 1; i < argc; i++)
        line[n++] = argv[i];
    *ret_argc = n;
    return true;
}

bool cli_answers(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
    if (cli->completion == NULL)
        return false;
    completion_answer(cli, command, argc, argv);
    return true;
}

bool cli_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, struct strv *ret_args,
               int *ret_dash, int *ret_code)
{
    CLEANUP(xfree) char **line = NULL;
    if (cli_answers(cli, command, argc, argv)) {
        *ret_code = 0;
        return false;
    }
    /* a command's own option wins over a global one of its name: `create rolebinding --user` */
    CLEANUP(strv_done) struct strv given = {0};
    struct opt_tables tables = {.given = &given, .empty_is_none = !command->keeps_empty};
    size_t n = 0;
    if (command->options != NULL)
        tables.tables[n++] = command->options;
    if (command->more_options != NULL)
        tables.tables[n++] = command->more_options;
    tables.tables[n] = cli->global_options;

    CLEANUP(err_clear) struct err err = {0};
    int dash = -1, n_line = 0;
    if (!add_presets(cli, command, &tables, argc, argv, &n_line, &line)) {
        *ret_code = 1;
        return false;
    }
    if (opt_parse(&tables, n_line - 1, line + 1, false, ret_args, &dash, &err) < 0) {
        const char *form = streq(command->words, "diff") ? "-h' for help and examples" : "--help' for usage.";
        *ret_code = cli_error("%s\nSee '%s %s %s", err_text(&err), cli->program, command->words, form);
        return false;
    }
    if (cli->help) {
        print_help(cli, command);
        *ret_code = 0;
        return false;
    }
    keep_command_line(cli, command, ret_args, &given);
    if (ret_dash != NULL)
        *ret_dash = dash;
    if (!has_required(command)) {
        *ret_code = 1;
        return false;
    }
    return true;
}
