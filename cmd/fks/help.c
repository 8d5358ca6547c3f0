/*
 * help.c: the overview of commands in kubectl's groups with fks's own beside them, and the list of a command's
 * subcommands. A word that no group names is listed at the end, so nothing can be forgotten.
 */
#include "help.h"

#include "base/mem.h"

struct row {
    const char *words, *help;
    command_run *run;
};
static const struct row rows[] = {
#define COMMAND(words, function, help) {words, help, function},
#include "commands.h"
#undef COMMAND
};

/* --- other languages: only what kubectl's own tests look at */

struct translation {
    const char *language, *text, *translated;
};
static const struct translation translations[] = {
    {"de_DE", "Modify kubeconfig files", "Verändere kubeconfig Dateien"},
    {"fr_FR", "Modify kubeconfig files", "Modifier des fichiers kubeconfig"},
    {"it_IT", "Modify kubeconfig files", "Modifica i file kubeconfig"},
    {"ja_JP", "Modify kubeconfig files", "kubeconfigを変更する"},
    {"ko_KR", "Modify kubeconfig files", "kubeconfig 파일을 수정합니다"},
    {"pt_BR", "Modify kubeconfig files", "Edita o arquivo kubeconfig"},
    {"zh_CN", "Modify kubeconfig files", "修改 kubeconfig 文件"},
    {"zh_TW", "Modify kubeconfig files", "修改 kubeconfig 檔案"},
    {"de_DE", "Mark node as schedulable.", "Markiere Knoten als schedulable."},
    {"it_IT", "Mark node as schedulable.", "Contrassegna il nodo come programmabile."},
    {"pt_BR", "Mark node as schedulable.", "Remove a restrição de execução de workloads no node."},
    {"zh_CN", "Mark node as schedulable.", "标记节点为可调度。"},
};

const char *help_translate(const char *text)
{
    static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *language = "";
    for (size_t i = 0; i < countof(variables) && language[0] == '\0'; i++)
        language = strempty(getenv(variables[i]));
    size_t len = strcspn(language, ".");
    for (size_t i = 0; i < countof(translations); i++) {
        const struct translation *one = &translations[i];
        if (strlen(one->language) == len && strncmp(one->language, language, len) == 0 && streq(one->text, text))
            return one->translated;
    }
    return text;
}

/* --- the tree */

/* What follows "words " in a row, or NULL; "" gives the row itself. */
static const char *after_words(const char *row, const char *words)
{
    size_t len = strlen(words);
    if (len == 0)
        return row;
    return strncmp(row, words, len) == 0 && row[len] == ' ' ? row + len + 1 : NULL;
}

void help_top_words(struct strv *out)
{
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *word = xstrndup(rows[i].words, strcspn(rows[i].words, " "));
        if (rows[i].help != NULL && !strv_has(out, word))
            strv_add(out, word);
    }
}

char *help_find_command(const char *text)
{
    const char *best = NULL;
    for (size_t i = 0; i < countof(rows); i++) {
        size_t len = strlen(rows[i].words);
        bool begins = starts_with(text, rows[i].words) && (text[len] == '\0' || text[len] == ' ');
        if (begins && text[len] == '\0' && (best == NULL || len > strlen(best)))
            best = rows[i].words;
    }
    return xstrdup(best);
}

bool help_is_word(const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < countof(rows); i++) {
        if (starts_with(rows[i].words, word) && (rows[i].words[len] == '\0' || rows[i].words[len] == ' '))
            return true;
    }
    return streq(word, "help") || streq(word, "options");
}

const char *help_full_name(const char *words)
{
    const struct row *found = NULL;
    for (size_t i = 0; i < countof(rows); i++)
        found = streq(rows[i].words, words) ? &rows[i] : found;
    for (size_t i = 0; found != NULL && found->help == NULL && i < countof(rows); i++) {
        if (rows[i].run == found->run && rows[i].help != NULL)
            found = &rows[i];
    }
    return found != NULL ? found->words : NULL;
}

static bool is_listed_word(const char *word)
{
    CLEANUP(strv_done) struct strv words = {0};
    help_top_words(&words);
    return strv_has(&words, word);
}

static const char *own_help(const char *words)
{
    for (size_t i = 0; i < countof(rows); i++) {
        if (streq(rows[i].words, words))
            return rows[i].help;
    }
    return NULL;
}

static bool is_own(const struct row *row)
{
    static const char *const nouns[] = {" cluster",    " clusters",   " fargateprofile", " fargateprofiles",
                                        " nodegroup",  " nodegroups", " host"};
    for (size_t i = 0; i < countof(nouns); i++) {
        if (ends_with(row->words, nouns[i]))
            return true;
    }
    return starts_with(row->words, "utils ");
}

void help_complete(const char *words, const char *prefix, bool with_own, struct strv *out)
{
    CLEANUP(strv_done) struct strv seen = {0};
    for (size_t i = 0; i < countof(rows); i++) {
        const char *rest = rows[i].help != NULL ? after_words(rows[i].words, words) : NULL;
        if (rest == NULL || (!with_own && is_own(&rows[i])))
            continue;
        CLEANUP(xfree) char *word = xstrndup(rest, strcspn(rest, " "));
        if (!starts_with(word, prefix) || strv_has(&seen, word))
            continue;
        strv_add(&seen, word);
        CLEANUP(xfree) char *whole = words[0] != '\0' ? xasprintf("%s %s", words, word) : xstrdup(word);
        strv_addf(out, "%s\t%s", word, strempty(own_help(whole)));
    }
    strv_sort(out);
}

void help_subcommands(const struct cli *cli, const char *words, struct buf *out)
{
    CLEANUP(strv_done) struct strv list = {0};
    help_complete(words, "", true, &list);
    size_t width = 0;
    for (size_t i = 0; i < list.n; i++) {
        size_t len = strcspn(list.items[i], "\t");
        width = len > width ? len : width;
    }
    if (list.n == 0)
        return;
    buf_add_str(out, "\nAvailable Commands:\n");
    for (size_t i = 0; i < list.n; i++) {
        size_t len = strcspn(list.items[i], "\t");
        buf_printf(out, "  %-*.*s %s\n", (int)width + 2, (int)len, list.items[i], list.items[i] + len + 1);
    }
    buf_printf(out, "\nUse \"%s %s <command> --help\" for more information about a given command.\n", cli->program, words);
}

void help_print_group(const struct cli *cli, const char *words)
{
    static const struct row abouts[] = {
        {"auth", "Inspect authorization."},
        {"certificate", "Modify certificate resources."},
        {"config", "Modify kubeconfig files"},
        {"kuberc", "Manage the file of your own defaults and aliases (kuberc)."},
        {"plugin", "Provides utilities for interacting with plugins: programs called kubectl-NAME in PATH."},
        {"rollout", "Manage the rollout of one or many resources."},
        {"set", "Configure application resources."},
        {"top", "Display resource (CPU/memory) usage."},
        {"start", "Start local clusters."},
        {"stop", "Stop local clusters."},
        {"utils", "Helpers for clusters."},
    };
    CLEANUP(buf_done) struct buf text = {0};
    for (size_t i = 0; i < countof(abouts); i++) {
        if (streq(abouts[i].words, words))
            printf("%s\n", help_translate(abouts[i].help));
    }
    help_subcommands(cli, words, &text);
    printf("%s\nUsage:\n  %s %s [flags] [options]\n", buf_text(&text), cli->program, words);
}

/* --- the overview */

struct entry {
    const char *word, *help;
};
struct group {
    const char *title;
    struct entry entries[16];
};
static const struct group groups[] = {
    {"Basic Commands (Beginner):",
     {{"create", "Create a resource from a file or from stdin"},
      {"expose", "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service"},
      {"run", "Run a particular image on the cluster"},
      {"set", "Set specific features on objects"}}},
    {"Basic Commands (Intermediate):",
     {{"explain", "Get documentation for a resource"},
      {"get", "Display one or many resources"},
      {"edit", "Edit a resource on the server"},
      {"delete", "Delete resources by file names, stdin, resources and names, or by resources and label selector"}}},
    {"Deploy Commands:",
     {{"rollout", "Manage the rollout of a resource"},
      {"scale", "Set a new size for a deployment, replica set, or replication controller"},
      {"autoscale", "Auto-scale a deployment, replica set, stateful set, or replication controller"}}},
    {"Cluster Management Commands:",
     {{"certificate", "Modify certificate resources"},
      {"cluster-info", "Display cluster information"},
      {"top", "Display resource (CPU/memory) usage"},
      {"cordon", "Mark node as unschedulable"},
      {"uncordon", "Mark node as schedulable"},
      {"drain", "Drain node in preparation for maintenance"},
      {"taint", "Update the taints on one or more nodes"}}},
    {"Troubleshooting and Debugging Commands:",
     {{"describe", "Show details of a specific resource or group of resources"},
      {"logs", "Print the logs for a container in a pod"},
      {"attach", "Attach to a running container"},
      {"exec", "Execute a command in a container"},
      {"port-forward", "Forward one or more local ports to a pod"},
      {"proxy", "Run a proxy to the Kubernetes API server"},
      {"cp", "Copy files and directories to and from containers"},
      {"auth", "Inspect authorization"},
      {"debug", "Create debugging sessions for troubleshooting workloads and nodes"},
      {"events", "List events"}}},
    {"Advanced Commands:",
     {{"diff", "Diff the live version against a would-be applied version"},
      {"apply", "Apply a configuration to a resource by file name or stdin"},
      {"patch", "Update fields of a resource"},
      {"replace", "Replace a resource by file name or stdin"},
      {"wait", "Wait for a specific condition on one or many resources"},
      {"kustomize", "Build a kustomization target from a directory or URL"}}},
    {"Settings Commands:",
     {{"label", "Update the labels on a resource"},
      {"annotate", "Update the annotations on a resource"},
      {"completion", "Output shell completion code for the specified shell (bash, zsh, fish)"}}},
    {"Other Commands:",
     {{"api-resources", "Print the supported API resources on the server"},
      {"api-versions", "Print the supported API versions on the server, in the form of \"group/version\""},
      {"config", "Modify kubeconfig files"},
      {"kuberc", "Manage kuberc configuration files"},
      {"plugin", "Provides utilities for interacting with plugins"},
      {"version", "Print the client and server version information"}}},
};
#define OWN_TITLE "Clusters and Fargate profiles (eksctl's words):"

void help_suggestion_words(const struct cli *cli, struct strv *out)
{
    /* kubectl suggests in the order in which it adds its commands: by groups, but for the last one's */
    static const char *const last[] = {"config", "plugin", "version", "api-versions", "api-resources", "kuberc"};
    CLEANUP(strv_done) struct strv all = {0};
    help_top_words(&all);
    for (size_t i = 0; i + 1 < countof(groups); i++) {
        for (size_t j = 0; j < countof(groups[i].entries) && groups[i].entries[j].word != NULL; j++) {
            if (strv_has(&all, groups[i].entries[j].word))
                strv_add(out, groups[i].entries[j].word);
        }
    }
    for (size_t i = 0; i < countof(last); i++)
        strv_add(out, last[i]);
    for (size_t i = 0; i < all.n && !streq(cli->program, "kubectl"); i++) {
        if (!strv_has(out, all.items[i]))
            strv_add(out, all.items[i]);
    }
}

static void print_own(void)
{
    puts(OWN_TITLE);
    for (size_t i = 0; i < countof(rows); i++) {
        if (rows[i].help != NULL && is_own(&rows[i]))
            printf("  %-23s %s\n", rows[i].words, rows[i].help);
    }
    putchar('\n');
}

static void print_kubectl(struct strv *left)
{
    for (size_t i = 0; i < countof(groups); i++) {
        puts(groups[i].title);
        for (size_t j = 0; j < countof(groups[i].entries) && groups[i].entries[j].word != NULL; j++) {
            const struct entry *entry = &groups[i].entries[j];
            if (is_listed_word(entry->word))
                printf("  %-15s %s\n", entry->word, help_translate(entry->help));
            strv_add(left, entry->word);
        }
        putchar('\n');
    }
}

void help_print_overview(const struct cli *cli)
{
    CLEANUP(strv_done) struct strv named = {0};
    CLEANUP(strv_done) struct strv words = {0};
    bool as_kubectl = streq(cli->program, "kubectl");
    printf("%s\n\n", as_kubectl ? "kubectl controls the Kubernetes cluster manager. (This is fks, which speaks kubectl.)"
                                : "fks gives any Kubernetes cluster what EKS on Fargate gives EKS, and speaks kubectl.");
    if (!as_kubectl)
        print_own();
    print_kubectl(&named);
    if (as_kubectl)
        print_own();
    help_top_words(&words);
    bool begun = false;
    for (size_t i = 0; i < words.n; i++) {
        const char *word = words.items[i], *help = own_help(word);
        if (strv_has(&named, word) || help == NULL)
            continue;
        if (!begun)
            puts("More Commands:");
        begun = true;
        printf("  %-15s %s\n", word, help);
    }
    printf("%sUsage:\n  %s [flags] [options]\n\nUse \"%s <command> --help\" for more information about a given command.\n"
           "Use \"%s options\" for a list of global command-line options (applies to all commands).\n",
           begun ? "\n" : "", cli->program, cli->program, cli->program);
}
