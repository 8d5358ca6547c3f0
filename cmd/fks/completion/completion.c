/*
 * completion.c: the answer to a shell's TAB: which options and subcommands may come next. A command is called as usual, and
 * cli_parse, which sees its options, comes here instead of parsing: no command does anything. What the cluster knows is
 * completion_args.c's, the shells' scripts are completion_shell.c's.
 */
#include "completion/completion.h"

#include "base/mem.h"
#include "help.h"

void completion_done(struct completion *completion)
{
    strv_done(&completion->found);
}

void completion_add(struct completion *completion, const char *candidate)
{
    if (starts_with(candidate, completion->typed))
        strv_add(&completion->found, candidate);
}

void completion_print(const struct completion *completion)
{
    static const struct {
        int bit;
        const char *name;
    } names[] = {{COMPLETION_NO_SPACE, "ShellCompDirectiveNoSpace"},
                 {COMPLETION_NO_FILES, "ShellCompDirectiveNoFileComp"},
                 {COMPLETION_EXTENSIONS, "ShellCompDirectiveFilterFileExt"}};
    CLEANUP(strv_done) struct strv said = {0};
    for (size_t i = 0; i < completion->found.n; i++) {
        const char *line = completion->found.items[i];
        size_t len = completion->without_help ? strcspn(line, "\t") : strlen(line);
        printf("%.*s\n", (int)len, line);
    }
    printf(":%d\n", completion->directive);
    for (size_t i = 0; i < countof(names); i++) {
        if ((completion->directive & names[i].bit) != 0)
            strv_add(&said, names[i].name);
    }
    CLEANUP(xfree) char *list = said.n > 0 ? strv_join(&said, ", ") : xstrdup("ShellCompDirectiveDefault");
    (void)fflush(stdout);
    fprintf(stderr, "Completion ended with directive: %s\n", list);
}

void completion_subcommands(const struct cli *cli, struct completion *completion, const char *words)
{
    bool with_own = !streq(cli->program, "kubectl");
    CLEANUP(strv_done) struct strv all = {0};
    help_complete(words, "", with_own, &all);
    if (words[0] == '\0')
        strv_add(&all, "help\tHelp about any command");
    strv_sort(&all);
    for (size_t i = 0; i < all.n; i++)
        completion_add(completion, all.items[i]);
    if (all.n > 0)
        completion->directive = COMPLETION_NO_FILES;
}

/* --- options */

/* The tables of a command and the global one; `given` gets what the line gives. */
static void gather_tables(const struct cli *cli, const struct cli_command *command, struct opt_tables *tables)
{
    size_t n = 0;
    if (command->options != NULL)
        tables->tables[n++] = command->options;
    if (command->more_options != NULL)
        tables->tables[n++] = command->more_options;
    if (!command->alone)
        tables->tables[n] = cli->global_options;
}

/* The option of a word "--name" or "-abc": of letters the last one, which alone may take the next word. */
static const struct opt *option_of(const struct opt_tables *tables, const char *word)
{
    bool is_long = starts_with(word, "--");
    size_t len = strcspn(word, "=");
    for (size_t i = 0; i < countof(tables->tables) && tables->tables[i] != NULL; i++) {
        for (const struct opt *option = tables->tables[i]; option->name != NULL; option++) {
            if (is_long ? strlen(option->name) == len - 2 && strncmp(option->name, word + 2, len - 2) == 0
                        : len > 1 && option->letter != 0 && option->letter == word[len - 1])
                return option;
        }
    }
    return NULL;
}

static bool takes_value(const struct opt *option)
{
    return option->type != OPT_BOOL && option->bare_value == NULL;
}

static bool is_given(const struct strv *given, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < given->n; i++) {
        const char *word = given->items[i] + strspn(given->items[i], "-");
        if (strncmp(word, name, len) == 0 && (word[len] == '=' || word[len] == '\0'))
            return true;
    }
    return false;
}

static void add_option(struct completion *completion, const struct opt *option)
{
    CLEANUP(xfree) char *name = xasprintf("--%s\t%s", option->name, strempty(option->help));
    completion_add(completion, name);
    if (option->letter != 0) {
        CLEANUP(xfree) char *letter = xasprintf("-%c\t%s", option->letter, strempty(option->help));
        completion_add(completion, letter);
    }
}

static int by_name(const void *left, const void *right)
{
    const struct opt *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* The options of some tables by name, without those that are hidden, or were given and take one value. */
static void add_tables(struct completion *completion, const struct opt *const *tables, size_t n_tables,
                       const struct strv *given)
{
    const struct opt **list = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < n_tables; i++) {
        for (const struct opt *option = tables[i]; option != NULL && option->name != NULL; option++) {
            bool may_repeat = option->type == OPT_LIST || option->type == OPT_ARRAY;
            if ((option->help == NULL && !streq(option->name, "help")) || (is_given(given, option->name) && !may_repeat))
                continue;
            GROW(list, n, cap);
            list[n++] = option;
        }
    }
    if (n > 0)
        qsort(list, n, sizeof(*list), by_name);
    for (size_t i = 0; i < n; i++)
        add_option(completion, list[i]);
    free(list);
}

/* Options that must be given and are not yet; how many there are. */
static size_t add_required(struct completion *completion, const struct cli_command *command,
                           const struct opt_tables *tables, const struct strv *given)
{
    CLEANUP(strv_done) struct strv names = {0};
    size_t before = completion->found.n;
    strv_split(&names, strempty(command->required), ',');
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(xfree) char *word = xasprintf("--%s", names.items[i]);
        const struct opt *option = option_of(tables, word);
        if (option != NULL && !is_given(given, option->name))
            add_option(completion, option);
    }
    return completion->found.n - before;
}

static void add_options(struct cli *cli, const struct cli_command *command, const struct opt_tables *tables,
                        const struct strv *given)
{
    struct completion *completion = cli->completion;
    static const struct opt help[] = {{"help", 'h', OPT_BOOL, NULL, NULL, "Help for this command."}, {0}};
    const struct opt *own[] = {command->options, command->more_options, command->alone ? NULL : help};
    completion->directive = COMPLETION_NO_FILES;
    if (add_required(completion, command, tables, given) > 0)
        return;
    if (command->alone) {
        add_tables(completion, own, countof(own), given);
        return;
    }
    /* the row of --help is a global one here, but every command's own in kubectl */
    struct opt *global = NULL;
    size_t n = 0, cap = 0;
    for (const struct opt *option = cli->global_options; option->name != NULL; option++) {
        if (streq(option->name, "help"))
            continue;
        GROW(global, n, cap);
        global[n++] = *option;
    }
    GROW(global, n, cap);
    global[n] = (struct opt){0};
    add_tables(completion, &(const struct opt *){global}, 1, given);
    add_tables(completion, own, countof(own), given);
    free(global);
}

/* --- the answer */

/* The value of an option; what a command or the cluster does not know may be the name of a file. */
static void answer_value(struct cli *cli, const struct cli_command *command, const struct opt *option,
                         const struct strv *args)
{
    struct completion *completion = cli->completion;
    static const char *const extensions[] = {"json", "yaml", "yml"};
    if (streq(option->name, "filename")) {
        for (size_t i = 0; i < countof(extensions); i++)
            strv_add(&completion->found, extensions[i]);
        completion->directive = COMPLETION_EXTENSIONS;
    } else if (completion_values(cli, completion, command->words, option->name, args)) {
        completion->directive = COMPLETION_NO_FILES;
    }
}

static void answer_arguments(struct cli *cli, const struct cli_command *command, const struct opt_tables *tables,
                             const struct strv *args, const struct strv *given)
{
    bool own_option = false;
    for (size_t i = 0; i < given->n; i++) {
        const char *word = given->items[i];
        bool global = false;
        for (const struct opt *option = cli->global_options; option->name != NULL; option++)
            global = global || option == option_of(tables, word);
        own_option = own_option || !global;
    }
    if (args->n == 0 && !own_option)
        completion_subcommands(cli, cli->completion, command->words);
    (void)add_required(cli->completion, command, tables, given);
    completion_arguments(cli, cli->completion, command->words, args);
}

void completion_answer(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
    struct completion *completion = cli->completion;
    CLEANUP(strv_done) struct strv args = {0}, given = {0}, line = {0};
    CLEANUP(xfree) char *letters = NULL;
    CLEANUP(err_clear) struct err err = {0};
    struct opt_tables tables = {.given = &given};
    const struct opt *option = NULL;
    const char *typed = completion->typed;
    bool dashes = false;
    int n = argc - 1, dash = -1;
    gather_tables(cli, command, &tables);
    for (int i = 1; i < argc; i++)
        dashes = dashes || streq(argv[i], "--");
    const char *before = n > 0 ? argv[n] : "";
    if (!dashes && typed[0] == '-' && strchr(typed, '=') != NULL) {
        option = option_of(&tables, typed);
        completion->typed = strchr(typed, '=') + 1;
    } else if (!dashes && before[0] == '-' && before[1] != '\0' && strchr(before, '=') == NULL) {
        option = option_of(&tables, before);
        option = option != NULL && takes_value(option) ? option : NULL;
        n -= option != NULL;
        if (option != NULL && before[1] != '-' && before[2] != '\0') { /* "-Ao": the other letters stay */
            letters = xstrndup(before, strlen(before) - 1);
            n++;
        }
    }
    for (int i = 1; i <= n; i++)
        strv_add(&line, i == n && letters != NULL ? letters : argv[i]);
    if (opt_parse(&tables, n, line.items, false, &args, &dash, &err) < 0)
        return; /* the line is wrong already: nothing fits */
    if (option != NULL)
        answer_value(cli, command, option, &args);
    else if (!dashes && typed[0] == '-' && strchr(typed, '=') == NULL)
        add_options(cli, command, &tables, &given);
    else if (dashes || typed[0] != '-')
        answer_arguments(cli, command, &tables, &args, &given);
}
