/*
 * cluster.c: the folder and the address plan of a local cluster (see cluster.h). Pure but for reading and writing
 * cluster.json; making networks, keys and processes is done elsewhere in this folder.
 */
#include "cluster/cluster.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "home.h"

struct cluster_host *cluster_add_host(struct cluster *cluster, enum cluster_host_kind kind, const char *zone,
                                      const char *nodegroup)
{
    int number = 1;
    for (size_t i = 0; i < cluster->n_hosts; i++)
        if (cluster->hosts[i].number >= number)
            number = cluster->hosts[i].number + 1;
    GROW(cluster->hosts, cluster->n_hosts, cluster->cap_hosts);
    struct cluster_host *host = &cluster->hosts[cluster->n_hosts++];
    *host = (struct cluster_host){
        .name = kind == CLUSTER_HOST_FARGATE ? xasprintf("host-%d", number)
                                             : xasprintf("%s-%d", strempty(nodegroup), number),
        .number = number,
        .kind = kind,
        .zone = xstrdup(zone),
        .nodegroup = xstrdup(nodegroup),
    };
    return host;
}

static void cluster_host_done(struct cluster_host *host)
{
    free(host->name);
    free(host->zone);
    free(host->nodegroup);
}

void cluster_remove_nodegroup(struct cluster *cluster, const char *nodegroup)
{
    size_t kept = 0;
    for (size_t i = 0; i < cluster->n_hosts; i++) {
        if (streq(cluster->hosts[i].nodegroup, nodegroup))
            cluster_host_done(&cluster->hosts[i]);
        else
            cluster->hosts[kept++] = cluster->hosts[i];
    }
    cluster->n_hosts = kept;
}

void cluster_done(struct cluster *cluster)
{
    char **strings[] = {&cluster->name,   &cluster->region,     &cluster->version, &cluster->home,
                        &cluster->assets, &cluster->kubeconfig, &cluster->created, &cluster->host_cpu,
                        &cluster->host_memory, &cluster->runtime_handlers, &cluster->pod_validation,
                        &cluster->webhook_failure_policy};
    for (size_t i = 0; i < countof(strings); i++)
        *strings[i] = xfree(*strings[i]);
    for (size_t i = 0; i < cluster->n_hosts; i++)
        cluster_host_done(&cluster->hosts[i]);
    cluster->hosts = xfree(cluster->hosts);
    cluster->n_hosts = cluster->cap_hosts = 0;
}

/* --- cluster.json */

/* The integer members by name: reading and writing go through the same rows. */
#define CLUSTER_NUMBERS(X)                                                                         \
    X(number)                                                                                      \
    X(api_port)                                                                                    \
    X(etcd_port)                                                                                   \
    X(etcd_peer_port)                                                                              \
    X(manager_port)                                                                                \
    X(scheduler_port)                                                                              \
    X(webhook_port)                                                                                \
    X(metrics_port)
#define CLUSTER_STRINGS(X)                                                                         \
    X(name)                                                                                        \
    X(region)                                                                                      \
    X(version)                                                                                     \
    X(assets)                                                                                      \
    X(kubeconfig)                                                                                  \
    X(created)                                                                                     \
    X(host_cpu)                                                                                    \
    X(host_memory)                                                                                 \
    X(runtime_handlers)                                                                            \
    X(pod_validation)                                                                              \
    X(webhook_failure_policy)

int cluster_save(const struct cluster *cluster, struct err *err)
{
    CLEANUP(json_free) struct json *object = json_new_object();
#define SET_STRING(member)                                                                         \
    if (cluster->member != NULL)                                                                   \
        json_set_str(object, #member, cluster->member);
#define SET_NUMBER(member) json_set_int(object, #member, cluster->member);
    CLUSTER_STRINGS(SET_STRING)
    CLUSTER_NUMBERS(SET_NUMBER)
    struct json *hosts = json_new_array();
    for (size_t i = 0; i < cluster->n_hosts; i++) {
        const struct cluster_host *host = &cluster->hosts[i];
        json_push(hosts, json_build("{s:s, s:i, s:s, s:s, s:s*}", "name", host->name, "number", host->number, "kind",
                                    host->kind == CLUSTER_HOST_FARGATE ? "fargate" : "kubelet", "zone", host->zone,
                                    "nodegroup", host->nodegroup));
    }
    json_set(object, "hosts", hosts);
    CLEANUP(buf_done) struct buf text = {0};
    json_print_pretty(object, &text);
    buf_add_char(&text, '\n');
    CLEANUP(xfree) char *path = cluster_path(cluster, "cluster.json");
    return file_write_atomic(path, text.data, text.len, 0600, err);
}

static int cluster_read(const struct json *object, const char *path, struct cluster *ret, struct err *err)
{
#define GET_STRING(member) ret->member = xstrdup(json_str(object, #member, NULL));
#define GET_NUMBER(member) ret->member = (int)json_int_or(-1, object, #member, NULL);
    CLUSTER_STRINGS(GET_STRING)
    CLUSTER_NUMBERS(GET_NUMBER)
    const struct json *item;
    json_each(item, json_get(object, "hosts", NULL))
    {
        GROW(ret->hosts, ret->n_hosts, ret->cap_hosts);
        ret->hosts[ret->n_hosts++] = (struct cluster_host){
            .name = xstrdup(json_str_or("", item, "name", NULL)),
            .number = (int)json_int_or(0, item, "number", NULL),
            .kind = streq(json_str(item, "kind", NULL), "kubelet") ? CLUSTER_HOST_KUBELET : CLUSTER_HOST_FARGATE,
            .zone = xstrdup(json_str_or("", item, "zone", NULL)),
            .nodegroup = xstrdup(json_str(item, "nodegroup", NULL)),
        };
    }
    if (ret->name == NULL || ret->region == NULL || ret->version == NULL || ret->assets == NULL || ret->number < 0 ||
        ret->number >= CLUSTER_MAX)
        return err_set(err, ERR_PARSE, "'%s' is incomplete: delete the cluster and create it again", path);
    return 0;
}

int cluster_load_from(const char *home, struct cluster *ret, struct err *err)
{
    CLEANUP(xfree) char *path = path_join(home, "cluster.json", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *object = NULL;
    int r = file_read(path, LIMIT_FILE, &text, err);
    if (r < 0)
        return r;
    if ((r = json_parse(buf_text(&text), text.len, &object, err)) < 0)
        return err_wrap(err, "reading '%s'", path);
    struct cluster cluster = {.home = xstrdup(home)};
    if ((r = cluster_read(object, path, &cluster, err)) < 0) {
        cluster_done(&cluster);
        return r;
    }
    *ret = cluster;
    return 0;
}

int cluster_load(const char *name, struct cluster *ret, struct err *err)
{
    int r = home_check_name(name, err);
    if (r < 0)
        return r;
    CLEANUP(xfree) char *home = home_of_cluster(name);
    r = cluster_load_from(home, ret, err);
    if (r != ERR_NOT_FOUND)
        return r;
    err_clear(err);
    return err_set(err, ERR_NOT_FOUND, "cluster '%s' not found under '%s': 'fks get clusters' lists what there is", name,
                   home);
}

int cluster_list(struct strv *ret, struct err *err)
{
    CLEANUP(xfree) char *home = home_path();
    CLEANUP(xfree) char *path = path_join(home, "clusters", NULL);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT ? 0 : err_errno(err, errno, "listing clusters in '%s'", path);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            strv_add(ret, entry->d_name);
    closedir(folder);
    strv_sort(ret);
    return 0;
}

void cluster_tidy_home(void)
{
    CLEANUP(xfree) char *home = home_path();
    CLEANUP(xfree) char *path = path_join(home, "clusters", NULL);
    (void)rmdir(path);
}

/* --- the lock of the machine */

#define RUN_FOLDER "/run/fks"
#define LOCK_FILE RUN_FOLDER "/lock"

int cluster_lock(int *ret_fd, struct err *err)
{
    for (;;) {
        struct stat locked, named;
        int r = dir_make(RUN_FOLDER, CLUSTER_RUN_MODE, err);
        if (r < 0)
            return r;
        CLEANUP(fd_close) int fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 && errno == ENOENT)
            continue; /* the folder went away in between */
        if (fd < 0 || flock(fd, LOCK_EX) != 0)
            return err_errno(err, errno, "locking '" LOCK_FILE "'");
        if (fstat(fd, &locked) != 0 || stat(LOCK_FILE, &named) != 0 || locked.st_ino != named.st_ino)
            continue;
        *ret_fd = fd;
        fd = -1;
        return 0;
    }
}

void cluster_lock_tidy(void)
{
    CLEANUP(fd_close) int lock = -1;
    struct err ignored = {0};
    bool used = false;
    if (cluster_lock(&lock, &ignored) < 0) {
        err_clear(&ignored);
        return;
    }
    DIR *folder = opendir(RUN_FOLDER);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        used = used || (entry->d_name[0] != '.' && !streq(entry->d_name, "lock"));
    if (folder != NULL)
        closedir(folder);
    if (used)
        return;
    (void)unlink(LOCK_FILE);
    (void)rmdir(RUN_FOLDER);
}

/* --- paths and addresses */

static char *path_under(char *root, const char *format, va_list args)
{
    CLEANUP(buf_done) struct buf rest = {0};
    buf_vprintf(&rest, format, args);
    char *path = path_join(root, buf_text(&rest), NULL);
    free(root);
    return path;
}

char *cluster_path(const struct cluster *cluster, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *path = path_under(xstrdup(cluster->home), format, args);
    va_end(args);
    return path;
}

char *cluster_run_path(const struct cluster *cluster, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *path = path_under(xasprintf("/run/fks/%d", cluster->number), format, args);
    va_end(args);
    return path;
}

char *cluster_address(const struct cluster *cluster)
{
    return xasprintf("10.201.%d.1", cluster->number);
}
char *cluster_bridge_cidr(int number)
{
    return xasprintf("10.201.%d.0/24", number);
}
char *cluster_host_address(const struct cluster *cluster, int host)
{
    return xasprintf("10.201.%d.%d", cluster->number, 10 + host);
}
char *cluster_pod_cidr(int number)
{
    return xasprintf("10.%d.%d.0/20", 202 + number / 16, number % 16 * 16);
}
char *cluster_host_pod_cidr(const struct cluster *cluster, int host)
{
    return xasprintf("10.%d.%d.0/24", 202 + cluster->number / 16, cluster->number % 16 * 16 + host - 1);
}
char *cluster_service_cidr(int number)
{
    return xasprintf("10.%d.%d.0/20", 210 + number / 16, number % 16 * 16);
}
char *cluster_service_address(const struct cluster *cluster, int last)
{
    return xasprintf("10.%d.%d.%d", 210 + cluster->number / 16, cluster->number % 16 * 16, last);
}
char *cluster_server(const struct cluster *cluster)
{
    return xasprintf("https://10.201.%d.1:%d", cluster->number, cluster->api_port);
}
char *cluster_bridge(const struct cluster *cluster)
{
    return xasprintf("fks%d-br", cluster->number);
}
char *cluster_netns(const struct cluster *cluster, int host)
{
    return xasprintf("fks%d-h%d", cluster->number, host);
}
char *cluster_cgroup(const struct cluster *cluster)
{
    return xasprintf("fks%d", cluster->number);
}
char *cluster_kubeconfig_name(const struct cluster *cluster)
{
    return xasprintf("%s.%s.fks.dev", cluster->name, cluster->region);
}
char *cluster_kubeconfig_context(const struct cluster *cluster)
{
    return xasprintf("admin@%s.%s.fks.dev", cluster->name, cluster->region);
}

int cluster_connect(const struct cluster *cluster, struct kube_client **ret, struct err *err)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "kubeconfig/admin");
    struct kube_overrides overrides = {.kubeconfig = path};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    int r = kube_config_load(&overrides, &config, err);
    if (r < 0)
        return r;
    return kube_client_new(NULL, &config, "fks/" FKS_PROGRAM_VERSION, ret, err);
}
