/*
 * cp.c: `cp`: files to and from containers, with the container's tar at the other end of an exec. The stream is carried
 * by a child process, whose standard input or output is our pipe. What comes from a container is not trusted: nothing is
 * written outside of the destination, and symbolic links are not made.
 */
#include "objects/pods.h"
#include "streams/stream.h"
#include "streams/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define CHUNK 65536
#define DEPTH_MAX 256

struct place {
    char *namespace, *pod; /* pod NULL: this machine */
    char *path;
};

struct copy {
    struct cli *cli;
    const char *container;
    bool no_preserve;
    int64_t retries;
    struct place source, target;
    struct json *pod;
    const char *chosen; /* container */
};

static void place_done(struct place *place)
{
    free(place->namespace);
    free(place->pod);
    free(place->path);
}

/* [[NAMESPACE/]POD:]PATH */
static int parse_place(const char *text, struct place *ret, struct err *err)
{
    static const char format[] = "filespec must match the canonical format: [[namespace/]pod:]file/path";
    struct str pod, path;
    if (!str_cut(str_of(text), ':', &pod, &path)) {
        ret->path = xstrdup(text);
        return 0;
    }
    CLEANUP(xfree) char *name = xstrndup(pod.p, pod.len);
    char *slash = strchr(name, '/');
    if (pod.len == 0 || (slash != NULL && strchr(slash + 1, '/') != NULL))
        return err_set(err, ERR_USAGE, format);
    if (slash != NULL) {
        ret->namespace = xstrndup(name, (size_t)(slash - name));
        ret->pod = xstrdup(slash + 1);
    } else {
        ret->pod = xstrdup(name);
    }
    ret->path = xstrndup(path.p, path.len);
    return 0;
}

/* --- the container's side */

/* Starts the command in the container; *ret_pipe is our end of its standard input or output. */
static pid_t start_remote(const struct copy *copy, const struct strv *command, bool use_stdin, bool quiet, int *ret_pipe,
                          struct err *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "pipe");
    pid_t pid = fork();
    if (pid < 0) {
        (void)fd_close(pipe_fds[0]);
        (void)fd_close(pipe_fds[1]);
        return err_errno(err, errno, "fork");
    }
    int ours = pipe_fds[use_stdin ? 1 : 0], theirs = pipe_fds[use_stdin ? 0 : 1];
    if (pid > 0) {
        (void)fd_close(theirs);
        *ret_pipe = ours;
        return pid;
    }
    CLEANUP(err_clear) struct err failure = {0};
    (void)fd_close(ours);
    (void)dup2(theirs, use_stdin ? STDIN_FILENO : STDOUT_FILENO);
    if (quiet) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
    }
    CLEANUP(xfree) char *path = stream_path(copy->pod, "exec", copy->chosen, command, use_stdin, false);
    const struct stream_options options = {.path = path, .use_stdin = use_stdin};
    int exit_code = 0;
    if (stream_run(copy->cli, &options, &exit_code, &failure) < 0) {
        (void)cli_fail(copy->cli, &failure);
        exit_code = 1;
    } else if (exit_code != 0) {
        fprintf(stderr, "command terminated with exit code %d\n", exit_code);
    }
    _exit(exit_code);
}

/* The remote command's exit code. */
static int finish_remote(pid_t pid, int pipe_fd)
{
    int status = 0;
    (void)fd_close(pipe_fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool is_remote_folder(const struct copy *copy, const char *path)
{
    CLEANUP(strv_done) struct strv command = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    int pipe_fd = -1;
    strv_add(&command, "test");
    strv_add(&command, "-d");
    strv_add(&command, path);
    pid_t pid = start_remote(copy, &command, false, true, &pipe_fd, &ignored);
    return pid > 0 && finish_remote(pid, pipe_fd) == 0;
}

/* --- paths: the container's are cleaned as text */

/* As Go's path.Clean: "a//b/./c/../" → "a/b", "/../x" → "/x"; but "" for none. */
static char *clean(const char *path)
{
    CLEANUP(strv_done) struct strv parts = {0};
    CLEANUP(buf_done) struct buf kept = {0};
    bool absolute = path[0] == '/';
    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++) {
        const char *part = parts.items[i], *last = strrchr(buf_text(&kept), '/');
        last = last != NULL ? last + 1 : buf_text(&kept);
        if (part[0] == '\0' || streq(part, "."))
            continue;
        if (streq(part, "..") && kept.len > 0 && !streq(last, "..")) {
            buf_truncate(&kept, last > buf_text(&kept) ? (size_t)(last - buf_text(&kept)) - 1 : 0);
            continue;
        }
        if (streq(part, "..") && absolute)
            continue;
        buf_printf(&kept, "%s%s", kept.len > 0 ? "/" : "", part);
    }
    return xasprintf("%s%s", absolute ? "/" : "", buf_text(&kept));
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return xstrdup("");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* --- to the container */

static int flush(int fd, struct buf *bytes, struct err *err)
{
    int code = fd_write_all(fd, buf_text(bytes), bytes->len, err);
    buf_clear(bytes);
    return code;
}

/* A file that shrinks meanwhile is filled up with zeros, as the header has promised its size. */
static int send_content(int out, const char *path, int64_t size, struct err *err)
{
    CLEANUP(fd_close) int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return err_errno(err, errno, "open %s", path);
    char *bytes = xcalloc(1, CHUNK);
    int code = 0;
    while (size > 0 && code == 0) {
        size_t piece = size < CHUNK ? (size_t)size : CHUNK;
        ssize_t n = read(file, bytes, piece);
        if (n <= 0) {
            memset(bytes, 0, piece);
            n = (ssize_t)piece;
        }
        code = fd_write_all(out, bytes, (size_t)n, err);
        size -= n;
    }
    free(bytes);
    return code;
}

static int send_path(int out, const char *path, const char *name, int depth, struct err *err);

static int send_folder(int out, const char *path, const char *name, int depth, bool *ret_empty, struct err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort), code = 0;
    if (n < 0)
        return err_errno(err, errno, "open %s", path);
    *ret_empty = n <= 2;
    for (int i = 0; i < n; i++) {
        const char *entry = entries[i]->d_name;
        if (code == 0 && !streq(entry, ".") && !streq(entry, "..")) {
            CLEANUP(xfree) char *below = path_join(path, entry, NULL);
            CLEANUP(xfree) char *below_name = path_join(name, entry, NULL);
            code = send_path(out, below, below_name, depth + 1, err);
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}

static int send_path(int out, const char *path, const char *name, int depth, struct err *err)
{
    struct stat info;
    CLEANUP(buf_done) struct buf bytes = {0};
    CLEANUP(tar_entry_done) struct tar_entry entry = {.path = xstrdup(name)};
    if (depth > DEPTH_MAX)
        return err_set(err, ERR_TOO_BIG, "%s: more than %d folders deep", path, DEPTH_MAX);
    if (lstat(path, &info) < 0)
        return err_errno(err, errno, "lstat %s", path);
    entry.mode = info.st_mode & 07777;
    entry.mtime_s = info.st_mtime;
    if (S_ISDIR(info.st_mode)) {
        bool empty = false;
        entry.type = TAR_FOLDER;
        if (send_folder(out, path, name, depth, &empty, err) < 0 || !empty)
            return err->code;
    } else if (S_ISLNK(info.st_mode)) {
        char target[4096];
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
            return err_errno(err, errno, "readlink %s", path);
        entry.type = TAR_SYMLINK;
        entry.link = xstrndup(target, (size_t)n);
    } else if (S_ISREG(info.st_mode)) {
        entry.size = info.st_size;
    } else {
        return err_set(err, ERR_UNSUPPORTED, "%s is neither a file, a folder nor a symbolic link", path);
    }
    tar_add_header(&entry, &bytes);
    if (flush(out, &bytes, err) < 0 || (entry.size > 0 && send_content(out, path, entry.size, err) < 0))
        return err->code;
    tar_add_padding(entry.size, &bytes);
    return flush(out, &bytes, err);
}

static int copy_to(struct copy *copy, struct err *err)
{
    CLEANUP(strv_done) struct strv command = {0};
    CLEANUP(buf_done) struct buf end = {0};
    CLEANUP(xfree) char *source = clean(copy->source.path);
    CLEANUP(xfree) char *target = clean(copy->target.path);
    if (is_remote_folder(copy, copy->target.path)) {
        char *inside = path_join(target, base_of(source), NULL);
        free(target);
        target = inside;
    }
    CLEANUP(xfree) char *folder = folder_of(target);
    strv_add(&command, "tar");
    if (copy->no_preserve) {
        strv_add(&command, "--no-same-permissions");
        strv_add(&command, "--no-same-owner");
    }
    strv_add(&command, "-xmf");
    strv_add(&command, "-");
    if (folder[0] != '\0') {
        strv_add(&command, "-C");
        strv_add(&command, folder);
    }
    int out = -1;
    pid_t pid = start_remote(copy, &command, true, false, &out, err);
    if (pid < 0)
        return (int)pid;
    int code = send_path(out, source[0] != '\0' ? source : ".", base_of(target), 0, err);
    tar_add_end(&end);
    if (code == 0)
        code = flush(out, &end, err);
    int exit_code = finish_remote(pid, out);
    if (exit_code != 0) { /* told by the child; a broken pipe of ours is only its echo */
        err_clear(err);
        return exit_code;
    }
    return code;
}

/* --- from the container */

/* The archive as it comes, over several execs where the first ones break off. */
struct incoming {
    const struct copy *copy;
    pid_t pid;
    int pipe;
    int exit_code; /* of the last exec that ended */
    int64_t n_read, n_retries;
};

/* An exec that gives the archive from a byte on. With retries a shell is needed to leave out what has come already. */
static int start_incoming(struct incoming *incoming, struct err *err)
{
    const struct copy *copy = incoming->copy;
    CLEANUP(strv_done) struct strv command = {0};
    CLEANUP(xfree) char *path = xstrdup(copy->source.path);
    size_t len = strlen(path);
    if (len > 1 && path[len - 1] == '/')
        path[len - 1] = '\0';
    if (copy->retries == 0) {
        strv_add(&command, "tar");
        strv_add(&command, "cf");
        strv_add(&command, "-");
        strv_add(&command, path);
    } else {
        CLEANUP(strv_done) struct strv pieces = {0};
        strv_split(&pieces, path, '\'');
        CLEANUP(xfree) char *quoted = strv_join(&pieces, "'\\''");
        strv_add(&command, "sh");
        strv_add(&command, "-c");
        strv_addf(&command, "tar cf - '%s' | tail -c+%lld", quoted, (long long)incoming->n_read + 1);
    }
    incoming->pid = start_remote(copy, &command, false, false, &incoming->pipe, err);
    return incoming->pid < 0 ? (int)incoming->pid : 0;
}

static void finish_incoming(struct incoming *incoming)
{
    if (incoming->pid > 0)
        incoming->exit_code = finish_remote(incoming->pid, incoming->pipe);
    incoming->pid = 0;
}

/* The exec has ended before the archive did. */
static bool may_retry(struct incoming *incoming)
{
    int64_t most = incoming->copy->retries;
    if (most == 0)
        return false;
    if (most < 0 || incoming->n_retries < most)
        return true;
    printf("Dropping out copy after %lld retries\n", (long long)incoming->n_retries);
    return false;
}

static ssize_t read_incoming(void *data, void *bytes, size_t len, struct err *err)
{
    struct incoming *incoming = data;
    for (;;) {
        ssize_t n = incoming->pid > 0 ? read(incoming->pipe, bytes, len) : 0;
        if (n > 0)
            incoming->n_read += n;
        if (n > 0 || (n < 0 && errno != EINTR))
            return n > 0 ? n : err_errno(err, errno, "reading the archive");
        if (n < 0)
            continue;
        finish_incoming(incoming);
        if (!may_retry(incoming))
            return 0;
        incoming->n_retries++;
        printf("Resuming copy at %lld bytes, retry %lld/%lld\n", (long long)incoming->n_read,
               (long long)incoming->n_retries, (long long)incoming->copy->retries);
        (void)fflush(stdout);
        if (start_incoming(incoming, err) < 0)
            return err->code;
    }
}

/* The mode is the umask's, as with kubectl, whatever the archive says. */
static int write_file(struct tar_reader *reader, const char *path, struct err *err)
{
    char *bytes = xmalloc(CHUNK);
    CLEANUP(fd_close) int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int code = file < 0 ? err_errno(err, errno, "open %s", path) : 0;
    while (code == 0) {
        ssize_t n = tar_read(reader, bytes, CHUNK, err);
        if (n <= 0) {
            code = (int)n;
            break;
        }
        code = fd_write_all(file, bytes, (size_t)n, err);
    }
    free(bytes);
    return code;
}

/* A second name of a file that came before: its content again, from the copy that was made then. */
static int copy_again(const struct copy *copy, const char *link, const char *prefix, const char *path, struct err *err)
{
    CLEANUP(xfree) char *below = tar_safe_path(link, prefix);
    CLEANUP(xfree) char *first = below != NULL ? path_join(copy->target.path, below, NULL) : NULL;
    CLEANUP(fd_close) int from = first != NULL ? open(first, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (from < 0) {
        fprintf(stderr, "warning: skipping hard link: \"%s\" -> \"%s\"\n", path, link);
        return 0;
    }
    CLEANUP(fd_close) int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    char *bytes = xmalloc(CHUNK);
    int code = to < 0 ? err_errno(err, errno, "open %s", path) : 0;
    for (ssize_t n; code == 0 && (n = read(from, bytes, CHUNK)) > 0;)
        code = fd_write_all(to, bytes, (size_t)n, err);
    free(bytes);
    return code;
}

static void warn_of_symlink(const struct copy *copy, const struct tar_entry *entry, const char *path, bool *warned)
{
    fprintf(stderr, "warning: skipping symlink: \"%s\" -> \"%s\"", path, strempty(entry->link));
    if (!*warned)
        fprintf(stderr, " (consider using \"%s exec -n \"%s\" \"%s\" -- tar cf - \"%s\" | tar xf -\")",
                copy->cli->program, strempty(copy->source.namespace), copy->source.pod, copy->source.path);
    fputc('\n', stderr);
    *warned = true;
}

static int extract(const struct copy *copy, struct tar_reader *reader, const struct tar_entry *entry, const char *prefix,
                   bool *warned, struct err *err)
{
    CLEANUP(xfree) char *below = tar_safe_path(entry->path, prefix);
    if (strncmp(entry->path, prefix, strlen(prefix)) != 0)
        return err_set(err, ERR_PARSE, "tar contents corrupted");
    if (below == NULL) {
        fprintf(stderr, "warning: file \"%s\" is outside target destination, skipping\n", entry->path);
        return 0;
    }
    CLEANUP(xfree)
    char *path = below[0] != '\0' ? path_join(copy->target.path, below, NULL) : xstrdup(copy->target.path);
    CLEANUP(xfree) char *folder = folder_of(path);
    if (folder[0] != '\0' && dir_make(folder, 0755, err) < 0)
        return err->code;
    switch (entry->type) {
    case TAR_FOLDER:
        return dir_make(path, 0755, err);
    case TAR_SYMLINK:
        warn_of_symlink(copy, entry, path, warned);
        return 0;
    case TAR_HARD_LINK:
        return copy_again(copy, entry->link, prefix, path, err);
    case TAR_FILE:
    case TAR_OTHER: /* a pipe or a device becomes an empty file, as with kubectl */
        break;
    }
    return write_file(reader, path, err);
}

static int copy_from(struct copy *copy, struct err *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {0};
    CLEANUP(xfree) char *cleaned = clean(copy->source.path);
    const char *prefix = cleaned + strspn(cleaned, "/"); /* tar takes the slash off */
    while (starts_with(prefix, "../"))
        prefix += 3;
    if (streq(prefix, ".."))
        prefix += 2;
    struct incoming incoming = {.copy = copy};
    if (start_incoming(&incoming, err) < 0)
        return err->code;
    struct tar_reader reader = {.source = read_incoming, .data = &incoming};
    bool warned = false;
    int got = 0;
    while ((got = tar_next(&reader, &entry, err)) == 1) {
        if (extract(copy, &reader, &entry, prefix, &warned, err) < 0)
            break;
    }
    if (err->code != 0 && incoming.pid > 0) /* nobody reads on: it need not say so */
        (void)kill(incoming.pid, SIGTERM);
    char rest[BUFSIZ]; /* blocks after the end: tar would be killed while writing them */
    while (got == 0 && incoming.pid > 0 && read(incoming.pipe, rest, sizeof(rest)) > 0)
        continue;
    finish_incoming(&incoming);
    if (err->code != 0 && incoming.exit_code != 0 && err->code == ERR_PARSE) /* told by the child */
        err_clear(err);
    return err->code != 0 ? (int)err->code : incoming.exit_code;
}

/* --- the command */

static int check_places(const struct copy *copy, struct err *err)
{
    if (copy->source.pod != NULL && copy->target.pod != NULL)
        return err_set(err, ERR_USAGE, "one of src or dest must be a local file specification");
    if (copy->source.path[0] == '\0' || copy->target.path[0] == '\0')
        return err_set(err, ERR_USAGE, "filepath can not be empty");
    if (copy->source.pod == NULL && copy->target.pod == NULL)
        return err_set(err, ERR_USAGE, "one of src or dest must be a remote file specification");
    return 0;
}

/* The pod and its container that the other place is in. */
static int find_remote(struct copy *copy, struct err *err)
{
    const struct place *remote = copy->source.pod != NULL ? &copy->source : &copy->target;
    if (cli_connect(copy->cli, err) < 0)
        return err->code;
    const char *namespace = remote->namespace != NULL ? remote->namespace : cli_namespace(copy->cli);
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, "pods", remote->pod, NULL);
    const struct kube_request request = {.path = path};
    if (cli_do(copy->cli, &request, &copy->pod, err) < 0)
        return err->code;
    const char *phase = json_str_or("", copy->pod, "status", "phase", NULL);
    if (streq(phase, "Succeeded") || streq(phase, "Failed"))
        return err_set(err, ERR_INVALID, "cannot exec into a container in a completed pod; current phase is %s", phase);
    return pods_choose_container(copy->pod, copy->container, false, &copy->chosen, err);
}

static int run_copy(struct copy *copy, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    if (args->n != 2)
        return cli_error("source and destination are required");
    if (parse_place(args->items[0], &copy->source, &err) < 0 || parse_place(args->items[1], &copy->target, &err) < 0 ||
        check_places(copy, &err) < 0)
        return cli_fail(copy->cli, &err);
    if (copy->target.pod != NULL && access(copy->source.path, F_OK) < 0)
        return cli_error("%s doesn't exist in local filesystem", copy->source.path);
    if (find_remote(copy, &err) < 0)
        return cli_fail(copy->cli, &err);
    int code = copy->source.pod != NULL ? copy_from(copy, &err) : copy_to(copy, &err);
    return code < 0 ? cli_fail(copy->cli, &err) : code;
}

int command_cp(struct cli *cli, int argc, char **argv)
{
    struct copy copy = {.cli = cli};
    const struct opt options[] = {
        {"container", 'c', OPT_STRING, &copy.container, "", "Container; the default one or the first if omitted."},
        {"no-preserve", 0, OPT_BOOL, &copy.no_preserve, NULL, "Owner and permissions are not kept in the container."},
        {"retries", 0, OPT_INT, &copy.retries, "0",
         "How often a copy from a container that breaks off is taken up again; negative: without end."},
        {0},
    };
    const struct cli_command command = {
        .words = "cp",
        .usage = "<file-spec-src> <file-spec-dest> [options]",
        .about = "Copy files and directories to and from containers. The container needs a tar program.",
        .examples = "  # To a pod, and back\n  kubectl cp /tmp/foo web-0:/tmp/bar\n  kubectl cp some-namespace/web-0:/tmp/bar "
                    "/tmp/foo\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_copy(&copy, &args);
    place_done(&copy.source);
    place_done(&copy.target);
    json_free(copy.pod);
    return code;
}
