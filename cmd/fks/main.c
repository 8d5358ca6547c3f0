/*
 * main.c: the front door of fks: which command the words on the line mean, and the options that every command takes.
 * The commands are rows of commands.h; the longest row whose words match is run. Options may stand before the words.
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "base/str.h"

#include "cli.h"
#include "completion/completion.h"
#include "config/kuberc.h"
#include "help.h"
#include "plugin.h"

struct command {
    const char *words;
    command_run *run;
    const char *help; /* NULL: not listed */
};
static const struct command commands[] = {
#define COMMAND(words, function, help) {words, function, help},
#include "commands.h"
#undef COMMAND
};

#define WORDS_MAX 3 /* words of the longest command, plus one */

/* "kubectl" for kubectl and kubectl-fks's user-visible name stays fks. */
static const char *program_name(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    const char *base = slash != NULL ? slash + 1 : argv0;
    return streq(base, "kubectl") ? "kubectl" : "fks";
}

/* The global option that an argument names, or NULL. */
static const struct opt *find_global(const struct opt *options, const char *argument)
{
    for (const struct opt *option = options; option->name != NULL; option++) {
        if (argument[1] == '-' ? streq(option->name, argument + 2)
                               : option->letter != 0 && argument[1] == option->letter)
            return option;
    }
    return NULL;
}

/* True when the next argument is this option's value. "-nx", "-n=x" and "--x=y" carry their own. */
static bool takes_next(const struct opt *option, const char *argument)
{
    bool has_own_value = argument[1] == '-' ? false : argument[2] != '\0';
    return option != NULL && option->type != OPT_BOOL && option->bare_value == NULL && !has_own_value;
}

/*
 * The places in argv of the leading words, at most WORDS_MAX. Before the first word an unknown option ends the
 * search; after it, an option that is no global one does, since only the command knows whether it takes a value.
 */
static size_t find_words(const struct opt *options, int argc, char **argv, int places[WORDS_MAX])
{
    size_t n = 0;
    for (int i = 1; i < argc && n < WORDS_MAX; i++) {
        const char *argument = argv[i];
        if (argument[0] != '-' || argument[1] == '\0') {
            places[n++] = i;
            continue;
        }
        if (streq(argument, "--"))
            break;
        if (strchr(argument, '=') != NULL)
            continue;
        const struct opt *option = find_global(options, argument);
        if (option == NULL)
            break;
        if (takes_next(option, argument))
            i++;
    }
    return n;
}

/* How many words of the command the line begins with; 0 unless all match. */
static size_t match_words(const char *words, char **argv, const int *places, size_t n_places)
{
    for (size_t n = 0; n < n_places; n++) {
        const char *argument = argv[places[n]];
        size_t len = strcspn(words, " ");
        if (strncmp(words, argument, len) != 0 || argument[len] != '\0')
            return 0;
        words += len;
        if (*words++ == '\0')
            return n + 1;
    }
    return 0;
}

/* Edit distance, ASCII case ignored. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    size_t *row = xcalloc(lb + 1, sizeof(*row));
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j];
            size_t change = diagonal + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20) ? 1 : 0);
            size_t least = above < row[j - 1] ? above : row[j - 1];
            row[j] = change < least + 1 ? change : least + 1;
            diagonal = above;
        }
    }
    size_t result = row[lb];
    free(row);
    return result;
}

static int unknown_command(const struct cli *cli, const char *word)
{
    /* Words people type for another, as kubectl suggests them. */
    static const struct {
        const char *typed, *meant;
    } habits[] = {{"list", "get"}, {"ls", "get"}, {"ps", "get"}, {"rm", "delete"}, {"remove", "delete"}};
    CLEANUP(strv_done) struct strv words = {0}, meant = {0};
    help_suggestion_words(cli, &words);
    for (size_t i = 0; i < words.n; i++) {
        bool close = distance(word, words.items[i]) <= 2 || strncasecmp(words.items[i], word, strlen(word)) == 0;
        for (size_t j = 0; j < countof(habits); j++)
            close = close || (streq(habits[j].typed, word) && streq(habits[j].meant, words.items[i]));
        if (close)
            strv_add(&meant, words.items[i]);
    }
    fprintf(stderr, "error: unknown command \"%s\" for \"%s\"\n", word, cli->program);
    if (meant.n > 0)
        fputs("\nDid you mean this?\n", stderr);
    for (size_t i = 0; i < meant.n; i++)
        fprintf(stderr, "\t%s\n", meant.items[i]);
    return 1;
}

/* No row matches. A word that only begins rows ("config") lists what may follow. */
static int no_command(const struct cli *cli, int argc, char **argv, const int *places, size_t n)
{
    if (n == 0) {
        struct opt_tables tables = {.tables = {cli->global_options}};
        CLEANUP(strv_done) struct strv args = {0};
        CLEANUP(err_clear) struct err err = {0};
        int dash = -1;
        if (opt_parse(&tables, argc - 1, argv + 1, false, &args, &dash, &err) < 0)
            return cli_error("%s\nSee '%s --help' for usage.", err_text(&err), cli->program);
        help_print_overview(cli);
        return 0;
    }
    const char *word = argv[places[0]];
    if (streq(word, "options")) {
        CLEANUP(buf_done) struct buf text = {0};
        opt_help(cli->global_options, &text);
        printf("The following options can be passed to any command:\n\n%s", buf_text(&text));
        return 0;
    }
    if (streq(word, "help")) {
        help_print_overview(cli);
        return 0;
    }
    size_t len = strlen(word);
    for (size_t i = 0; i < countof(commands); i++) {
        if (strncmp(commands[i].words, word, len) != 0 || commands[i].words[len] != ' ')
            continue;
        if (n > 1)
            return cli_error("unknown command \"%s\"\nSee '%s %s -h' for help and examples", argv[places[1]],
                             cli->program, word);
        help_print_group(cli, word);
        return argc > 2 ? 0 : 1;
    }
    plugin_run(argc, argv, 1);
    return unknown_command(cli, word);
}

/* Runs a command on argv without its words but for the last, which becomes argv[0]; options before the words stay. */
static int run_command(struct cli *cli, const struct command *command, int argc, char **argv, const int *places,
                       size_t n)
{
    char **rest = xcalloc((size_t)argc + 1, sizeof(*rest));
    int n_rest = 0;
    rest[n_rest++] = argv[places[n - 1]];
    for (int i = 1; i < argc; i++) {
        bool is_word = false;
        for (size_t j = 0; j < n; j++)
            is_word = is_word || places[j] == i;
        if (!is_word)
            rest[n_rest++] = argv[i];
    }
    int code = command->run(cli, n_rest, rest);
    free(rest);
    return code;
}

static const struct command *find_command(char **argv, const int *places, size_t n_places, size_t *ret_words)
{
    const struct command *best = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < countof(commands); i++) {
        size_t matched = match_words(commands[i].words, argv, places, n_places);
        if (matched > *ret_words) {
            best = &commands[i];
            *ret_words = matched;
        }
    }
    return best;
}

/* "fks help get" is "fks get --help". */
static int help_command(struct cli *cli, int argc, char **argv)
{
    char **turned = xcalloc((size_t)argc + 1, sizeof(*turned));
    int n = 0;
    bool dropped = false;
    for (int i = 0; i < argc; i++) {
        if (!dropped && i > 0 && streq(argv[i], "help"))
            dropped = true;
        else
            turned[n++] = argv[i];
    }
    turned[n++] = xstrdup("--help");
    int places[WORDS_MAX];
    size_t n_words = find_words(cli->global_options, n, turned, places);
    size_t best_words = 0;
    const struct command *best = find_command(turned, places, n_words, &best_words);
    int code = best != NULL ? run_command(cli, best, n, turned, places, best_words)
                            : no_command(cli, argc, argv, places, n_words > 0 ? 0 : n_words);
    free(turned);
    return code;
}

static int dispatch(struct cli *cli, const struct kuberc *kuberc, int argc, char **argv)
{
    int places[WORDS_MAX];
    size_t n_words = find_words(cli->global_options, argc, argv, places), n_matched = 0;
    if (n_words > 1 && streq(argv[places[0]], "help"))
        return help_command(cli, argc, argv);
    const struct command *command = find_command(argv, places, n_words, &n_matched);
    if (command == NULL)
        return no_command(cli, argc, argv, places, n_words);
    if (n_matched == 1 && streq(command->words, "create"))
        plugin_run(argc, argv, 2);
    if (kuberc->preference != NULL)
        kuberc_presets(kuberc, help_full_name(command->words), &cli->presets);
    return run_command(cli, command, argc, argv, places, n_matched);
}

/* What may follow a word that only begins commands ("config"), or the program's name; word: its place, 0 for none. */
static void ask_group(struct cli *cli, int argc, char **argv, int word)
{
    const struct cli_command group = {.words = word > 0 ? argv[word] : "", .usage = "", .about = ""};
    char **rest = xcalloc((size_t)argc + 1, sizeof(*rest));
    int n = 0;
    for (int i = 0; i < argc; i++) {
        if (i == 0 || i != word)
            rest[n++] = argv[i];
    }
    completion_answer(cli, &group, n, rest);
    free(rest);
}

/* "fks __complete WORDS... TYPED": what may come next, for the shells. */
static int answer_completion(struct cli *cli, int argc, char **argv)
{
    struct completion completion = {.typed = argc > 2 ? argv[argc - 1] : "",
                                    .without_help = streq(argv[1], "__completeNoDesc")};
    int places[WORDS_MAX], n_line = argc > 2 ? argc - 2 : 1;
    size_t n_matched = 0;
    argv[1] = argv[0];
    size_t n_words = find_words(cli->global_options, n_line, argv + 1, places);
    if (n_words > 0 && streq(argv[1 + places[0]], "help")) { /* "help get" is completed as "get" is, without arguments */
        completion_subcommands(cli, &completion, "");
        completion_print(&completion);
        completion_done(&completion);
        return 0;
    }
    const struct command *command = find_command(argv + 1, places, n_words, &n_matched);
    cli->completion = &completion;
    if (command == NULL)
        ask_group(cli, n_line, argv + 1, n_words > 0 ? places[0] : 0);
    else if (command->run != command_supervisor) /* nobody types that one */
        (void)run_command(cli, command, n_line, argv + 1, places, n_matched);
    completion_print(&completion);
    completion_done(&completion);
    return 0;
}

/* The line as the user's kuberc turns it, run. */
static int run_line(struct cli *cli, int argc, char **argv)
{
    CLEANUP(kuberc_done) struct kuberc kuberc = {0};
    CLEANUP(err_clear) struct err err = {0};
    int places[WORDS_MAX];
    if (argc > 1 && (streq(argv[1], "__complete") || streq(argv[1], "__completeNoDesc")))
        return answer_completion(cli, argc, argv);
    size_t n_words = find_words(cli->global_options, argc, argv, places);
    if (kuberc_load(cli, argc, argv, n_words > 0 ? places[0] : 0, &kuberc, &err) < 0) {
        fprintf(stderr, "error occurred while applying preferences %s\n", err_text(&err));
        return 1;
    }
    cli->alias = kuberc.alias;
    int code = kuberc.alias != NULL ? dispatch(cli, &kuberc, (int)kuberc.line.n, kuberc.line.items)
                                    : dispatch(cli, &kuberc, argc, argv);
    if (code == 0 && cli->warnings_as_errors && cli->warnings.n > 0)
        code = cli_error("%zu warning%s received", cli->warnings.n, cli->warnings.n == 1 ? "" : "s");
    return code;
}

/* With one of the first three descriptors closed, the next file to be opened would be taken for it. */
static void open_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDWR); /* the lowest number that is free */
}

int main(int argc, char **argv)
{
    open_standard_files();
    struct cli cli = {.program = program_name(argv[0])};
    struct kube_overrides *o = &cli.overrides;
    bool disable_compression = false; /* nothing follows from it: fks never asks for compressed answers */
    const struct opt options[] = {
        {"as", 0, OPT_STRING, &o->as, "", "Username to impersonate for the operation."},
        {"as-group", 0, OPT_ARRAY, &o->as_groups, "[]", "Group to impersonate; may be repeated."},
        {"as-user-extra", 0, OPT_ARRAY, &o->as_user_extra, "[]",
         "Further attribute to impersonate, key=value; may be repeated."},
        {"as-uid", 0, OPT_STRING, &o->as_uid, "", "UID to impersonate for the operation."},
        {"cache-dir", 0, OPT_STRING, &cli.cache_dir, "", "Folder of the discovery cache."},
        {"certificate-authority", 0, OPT_STRING, &o->certificate_authority, "", "File with the certificates to trust."},
        {"client-certificate", 0, OPT_STRING, &o->client_certificate, "", "File with the client certificate."},
        {"client-key", 0, OPT_STRING, &o->client_key, "", "File with the client key."},
        {"cluster", 0, OPT_STRING, &o->cluster, "", "The kubeconfig cluster to use."},
        {"context", 0, OPT_STRING, &o->context, "", "The kubeconfig context to use."},
        {"disable-compression", 0, OPT_BOOL, &disable_compression, NULL,
         "Do not ask for compressed answers (none are ever asked for)."},
        {"help", 'h', OPT_BOOL, &cli.help, NULL, NULL},
        {"insecure-skip-tls-verify", 0, OPT_BOOL, &o->insecure_skip_tls_verify, NULL,
         "Do not check the server's certificate: insecure.", .seen = &cli.insecure_seen},
        {"kubeconfig", 0, OPT_STRING, &o->kubeconfig, "", "The kubeconfig file to use."},
        {"match-server-version", 0, OPT_BOOL, &cli.match_server_version, NULL,
         "Require the server's version to be this client's."},
        {"namespace", 'n', OPT_STRING, &cli.namespace, "", "The namespace to work in."},
        {"password", 0, OPT_STRING, &o->password, "", "Password for basic authentication to the API server."},
        {"request-timeout", 0, OPT_STRING, &cli.request_timeout, "0",
         "How long one request may take (1s, 2m, 3h); 0: no limit."},
        {"server", 's', OPT_STRING, &o->server, "", "Address and port of the API server."},
        {"tls-server-name", 0, OPT_STRING, &o->tls_server_name, "", "The name to expect in the server's certificate."},
        {"token", 0, OPT_STRING, &o->token, "", "Bearer token for the API server."},
        {"user", 0, OPT_STRING, &o->user, "", "The kubeconfig user to use."},
        {"username", 0, OPT_STRING, &o->username, "", "Username for basic authentication to the API server."},
        {"v", 'v', OPT_INT, &cli.verbosity, "0", "How much to tell about what is going on."},
        {"warnings-as-errors", 0, OPT_BOOL, &cli.warnings_as_errors, NULL,
         "Exit with 1 when the server sent a warning."},
        {kuberc_is_enabled() ? "kuberc" : NULL, 0, OPT_STRING, &cli.kuberc, "", "The kuberc file to use."},
        {0},
    };
    cli.global_options = options;

    (void)signal(SIGPIPE, SIG_IGN); /* the exec stream and a closed stdout are errors of a write, not of the process */
    int code = run_line(&cli, argc, argv);
    if (fflush(stdout) != 0 && code == 0)
        code = 1;
    kube_discovery_free(cli.discovery);
    kube_client_free(cli.client);
    kube_config_done(&cli.config);
    strv_done(&o->as_groups);
    strv_done(&o->as_user_extra);
    strv_done(&cli.warnings);
    strv_done(&cli.presets);
    strv_done(&cli.preset_words);
    free(cli.invalid_text);
    free(cli.command_line);
    return code;
}
