/*
 * plugin.c: `plugin list`, and running plugins. A built-in command always goes first; plugins can add commands, and
 * subcommands only to `create`.
 */
#include "plugin.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli.h"
#include "help.h"

extern char **environ;

static const char *const prefixes[] = {"kubectl-", "fks-"};

/* --- running */

static char *find_in_path(const char *name)
{
    CLEANUP(strv_done) struct strv folders = {0};
    strv_split(&folders, strempty(getenv("PATH")), ':');
    for (size_t i = 0; i < folders.n; i++) {
        char *path = path_join(folders.items[i][0] != '\0' ? folders.items[i] : ".", name, NULL);
        struct stat info;
        if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

/* "foo", "my-plugin" → "foo-my_plugin". */
static char *plugin_name(char *const *words, int n)
{
    struct buf name = {0};
    for (int i = 0; i < n; i++) {
        buf_add_str(&name, i > 0 ? "-" : "");
        for (const char *c = words[i]; *c != '\0'; c++)
            buf_add_char(&name, *c == '-' ? '_' : *c);
    }
    return buf_take(&name);
}

void plugin_run(int argc, char **argv, int least)
{
    int n = 1;
    while (n < argc && argv[n][0] != '-' && strchr(argv[n], '/') == NULL)
        n++;
    for (int words = n - 1; words >= least; words--) {
        CLEANUP(xfree) char *name = plugin_name(argv + 1, words);
        for (size_t i = 0; i < countof(prefixes); i++) {
            CLEANUP(xfree) char *program = xasprintf("%s%s", prefixes[i], name);
            CLEANUP(xfree) char *path = find_in_path(program);
            if (path == NULL)
                continue;
            char **rest = xcalloc((size_t)argc + 1, sizeof(*rest));
            rest[0] = path;
            for (int j = words + 1; j < argc; j++)
                rest[j - words] = argv[j];
            (void)fflush(stdout);
            (void)execve(path, rest, environ);
            (void)cli_error("%s: %s", path, strerror(errno));
            free(rest);
            _exit(1);
        }
    }
}

/* --- listing */

static bool is_plugin(const char *file)
{
    for (size_t i = 0; i < countof(prefixes); i++) {
        if (starts_with(file, prefixes[i]))
            return true;
    }
    return false;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void list_folder(const char *folder, struct strv *plugins)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, NULL, by_name);
    if (n < 0) {
        const char *why = errno == ENOENT ? "no such file or directory" : strerror(errno);
        fprintf(stderr, "Unable to read directory \"%s\" from your PATH: open %s: %s. Skipping...\n", folder, folder, why);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (is_plugin(entries[i]->d_name) && entries[i]->d_type != DT_DIR)
            strv_take(plugins, path_join(folder, entries[i]->d_name, NULL));
        free(entries[i]);
    }
    free(entries);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* What is wrong with a plugin, told under it; how many such lines. */
static size_t print_warnings(const struct cli *cli, const struct strv *plugins, size_t index)
{
    const char *path = plugins->items[index], *file = base_name(path);
    struct stat info;
    size_t n = 0;
    if (stat(path, &info) < 0) {
        fprintf(stderr, "  - error: unable to identify %s as an executable file: %s\n", path, strerror(errno));
        n++;
    } else if ((info.st_mode & 0111) == 0) {
        fprintf(stderr, "  - warning: %s identified as a kubectl plugin, but it is not executable\n", path);
        n++;
    }
    for (size_t i = 0; i < index; i++) {
        if (streq(base_name(plugins->items[i]), file)) {
            fprintf(stderr, "  - warning: %s is overshadowed by a similarly named plugin: %s\n", path, plugins->items[i]);
            n++;
            break;
        }
    }
    CLEANUP(xfree) char *words = xstrdup(strchr(file, '-') + 1);
    for (char *c = words; *c != '\0'; c++)
        *c = *c == '-' ? ' ' : *c;
    CLEANUP(xfree) char *command = help_find_command(words);
    if (command != NULL) {
        fprintf(stderr, "  - warning: %s overwrites existing command: \"%s %s\"\n", file, cli->program, command);
        n++;
    }
    return n;
}

static int run_list(const struct cli *cli, bool name_only)
{
    CLEANUP(strv_done) struct strv folders = {0};
    CLEANUP(strv_done) struct strv seen = {0};
    CLEANUP(strv_done) struct strv plugins = {0};
    size_t n_warnings = 0;
    strv_split(&folders, strempty(getenv("PATH")), ':');
    for (size_t i = 0; i < folders.n; i++) {
        const char *folder = folders.items[i];
        if (folder[strspn(folder, " \t")] == '\0' || strv_has(&seen, folder))
            continue;
        strv_add(&seen, folder);
        list_folder(folder, &plugins);
    }
    if (plugins.n == 0)
        return cli_error("unable to find any kubectl plugins in your PATH");
    fputs("The following compatible plugins are available:\n\n", stdout);
    for (size_t i = 0; i < plugins.n; i++) {
        puts(name_only ? base_name(plugins.items[i]) : plugins.items[i]);
        (void)fflush(stdout);
        n_warnings += print_warnings(cli, &plugins, i);
    }
    if (n_warnings == 1)
        return cli_error("one plugin warning was found");
    return n_warnings > 0 ? cli_error("%zu plugin warnings were found", n_warnings) : 0;
}

int command_plugin_list(struct cli *cli, int argc, char **argv)
{
    bool name_only = false;
    const struct opt options[] = {
        {"name-only", 0, OPT_BOOL, &name_only, NULL, "Only the names of the plugins, not their paths."},
        {0},
    };
    const struct cli_command command = {
        .words = "plugin list",
        .usage = "[options]",
        .about = "List all available plugin files on a user's PATH: executable files whose names begin with \"kubectl-\" "
                 "or \"fks-\".",
        .examples = "  # List all available plugins\n  kubectl plugin list\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_list(cli, name_only);
    return code;
}
