/*
 * assets.c: see assets.h. The program that fetches is a script of its own (scripts/assets/fks-assets), because it drives
 * curl, tar and the Go toolchain; here is what must hold before a cluster is started.
 */
#include "cluster/assets.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "cluster/supervisor.h"
#include "home.h"
#include "net/pki.h"

static const char *const programs[] = {"etcd",           "kube-apiserver", "kube-controller-manager",
                                       "kube-scheduler", "kube-proxy",     "kubelet"};
static const char *const images[] = {"pause.tar", "coredns.tar"};

/* The first file that a cluster needs and the folder lacks, as a heap string, or NULL. */
static char *missing(const char *folder, bool with_kubelet)
{
    for (size_t i = 0; i < countof(programs); i++) {
        CLEANUP(xfree) char *path = path_join(folder, programs[i], NULL);
        if ((with_kubelet || !streq(programs[i], "kubelet")) && access(path, X_OK) != 0)
            return take(&path);
    }
    for (size_t i = 0; i < countof(images); i++) {
        CLEANUP(xfree) char *path = path_join(folder, "images", images[i], NULL);
        if (access(path, R_OK) != 0)
            return take(&path);
    }
    return NULL;
}

/* --- checksums, remembered by size and time so that half a gigabyte is read once and not at every create */

static char *fingerprint(const char *path)
{
    struct stat state;
    if (stat(path, &state) != 0)
        return xstrdup("");
    return xasprintf("%lld %lld.%09ld", (long long)state.st_size, (long long)state.st_mtim.tv_sec, state.st_mtim.tv_nsec);
}

static int check_line(const char *folder, const char *line, struct json *verified, bool *changed, struct err *err)
{
    const char *space = strstr(line, "  ");
    if (space == NULL || space - line != 64)
        return err_set(err, ERR_PARSE, "'%s/SHA256SUMS' has a line that is not a checksum: '%s'", folder, line);
    const char *name = space + 2;
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    if (!file_exists(path)) /* what a cluster needs was checked; the rest may be absent */
        return 0;
    CLEANUP(xfree) char *now = fingerprint(path);
    CLEANUP(xfree) char *wanted = xstrndup(line, 64);
    CLEANUP(xfree) char *mark = xasprintf("%s %s", wanted, now);
    if (streq(json_str(verified, name, NULL), mark))
        return 0;
    char sum[65];
    int r = pki_sha256_file(path, sum, err);
    if (r < 0)
        return r;
    if (!streq(sum, wanted))
        return err_set(err, ERR_INVALID,
                       "'%s' is corrupt: its SHA-256 is not the one in SHA256SUMS; delete the file and run 'make assets' (or "
                       "create the cluster again) to get it anew",
                       path);
    json_set_str(verified, name, mark);
    *changed = true;
    return 0;
}

static int check_sums(const char *folder, struct err *err)
{
    CLEANUP(xfree) char *sums_path = path_join(folder, "SHA256SUMS", NULL);
    CLEANUP(xfree) char *mark_path = path_join(folder, ".verified.json", NULL);
    CLEANUP(buf_done) struct buf sums = {0};
    CLEANUP(buf_done) struct buf marks = {0};
    CLEANUP(json_free) struct json *verified = NULL;
    struct err ignored = {0};
    bool changed = false;
    int r = file_read(sums_path, LIMIT_FILE, &sums, err);
    if (r == ERR_NOT_FOUND) {
        err_clear(err); /* a folder put together by hand: its owner answers for it */
        return 0;
    }
    if (r < 0)
        return r;
    if (file_read(mark_path, LIMIT_FILE, &marks, &ignored) < 0 ||
        json_parse(buf_text(&marks), marks.len, &verified, &ignored) < 0 || !json_is_object(verified)) {
        err_clear(&ignored);
        json_free(verified);
        verified = json_new_object();
    }
    CLEANUP(strv_done) struct strv lines = {0};
    strv_split(&lines, buf_text(&sums), '\n');
    for (size_t i = 0; i < lines.n; i++)
        if (lines.items[i][0] != '\0' && (r = check_line(folder, lines.items[i], verified, &changed, err)) < 0)
            return r;
    if (!changed)
        return 0;
    CLEANUP(buf_done) struct buf text = {0};
    json_print(verified, &text);
    if (file_write_atomic(mark_path, text.data, text.len, 0600, &ignored) < 0)
        err_clear(&ignored); /* a read-only folder is checked at every create */
    return 0;
}

/* --- fetching */

static int fetch(const char *folder, struct err *err)
{
    CLEANUP(xfree) char *beside = supervisor_programs_dir();
    CLEANUP(xfree) char *script = path_join(beside, "fks-assets", NULL);
    if (access(script, X_OK) != 0)
        return err_set(err, ERR_NOT_FOUND, "there is no '%s' to get them with: set --assets-dir or FKS_ASSETS to a folder that has them",
                       script);
    const char *const argv[] = {script, folder, NULL};
    const struct proc_options options = {.argv = argv, .stdin_fd = -1, .stdout_fd = STDERR_FILENO, .stderr_fd = -1};
    pid_t pid;
    int status;
    int r = proc_spawn(&options, &pid, err);
    if (r < 0)
        return r;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "waiting for '%s'", script);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, ERR_IO, "'%s %s' failed; its last lines above say why", script, folder);
    return 0;
}

int assets_find(const char *flag, bool with_kubelet, char **ret, struct err *err)
{
    const char *given = flag != NULL ? flag : getenv("FKS_ASSETS");
    CLEANUP(xfree) char *home = home_path();
    CLEANUP(xfree) char *cache = path_join(home, "assets", ASSETS_VERSION, NULL);
    bool explicit = given != NULL && *given != '\0';
    CLEANUP(xfree) char *folder = explicit ? realpath(given, NULL) : xstrdup(cache);
    if (folder == NULL)
        return err_errno(err, errno, "opening the assets folder '%s'", given);
    CLEANUP(xfree) char *lacking = missing(folder, with_kubelet);
    if (lacking != NULL && explicit)
        return err_set(err, ERR_NOT_FOUND,
                       "'%s' is missing: '%s' must hold the control plane programs and images/ ('make assets images' makes such a folder)",
                       lacking, folder);
    int r = lacking != NULL ? fetch(folder, err) : 0;
    if (r < 0)
        return err_wrap(err, "getting the control plane programs into '%s'", folder);
    if (lacking != NULL) {
        CLEANUP(xfree) char *still = missing(folder, with_kubelet);
        if (still != NULL)
            return err_set(err, ERR_NOT_FOUND, "'%s' is still missing after getting the control plane programs", still);
    }
    if ((r = check_sums(folder, err)) < 0)
        return r;
    *ret = take(&folder);
    return 0;
}

int assets_images(const char *assets, struct strv *ret, struct err *err)
{
    CLEANUP(xfree) char *path = path_join(assets, "images", NULL);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return err_errno(err, errno, "listing the images in '%s'", path);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (ends_with(entry->d_name, ".tar"))
            strv_take(ret, path_join(path, entry->d_name, NULL));
    closedir(folder);
    strv_sort(ret);
    return 0;
}
