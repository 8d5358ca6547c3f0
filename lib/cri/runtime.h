/*
 * runtime.h: the Container Runtime Interface (runtime.v1) in plain structs, asynchronous on a loop. gRPC runs over
 * h2c connections to the runtime's unix socket, one per call. protobuf types stay inside lib/cri.
 *
 * Every call takes a callback that runs exactly once, unless the client is freed first. err is set on failure:
 * codes from the gRPC status (5 ERR_NOT_FOUND, 6 ERR_EXISTS, 12 ERR_UNSUPPORTED, 4 ERR_TIMEOUT, 14 ERR_REFUSED,
 * else ERR_INTERNAL). Results are borrowed during the callback. Strings in configs are borrowed for the call.
 */
#pragma once

#include "base/loop.h"
#include "base/str.h"

struct cri;
struct keeper;

/*
 * keeper: sees to it that a start under way is not given up when this process is killed or the client freed, by which the runtime
 * would kill a program that has begun (net/keeper.h). Borrowed; NULL: it is given up.
 */
int cri_new(struct loop *loop, const char *socket_path, struct keeper *keeper, struct cri **ret, struct err *err) MUST_CHECK;
struct cri *cri_free(struct cri *cri);
/* What the runtime said, for users: the text of a call's error without the name of the call in front. Borrowed. */
const char *cri_error_text(const struct err *err);

struct cri_pair {
    const char *key, *value;
};
struct cri_pairs {
    struct cri_pair *items;
    size_t n;
};
/* The value of a key, or NULL. */
const char *cri_pairs_get(const struct cri_pairs *pairs, const char *key);

enum cri_namespace_mode { CRI_NS_POD, CRI_NS_CONTAINER, CRI_NS_NODE, CRI_NS_TARGET }; /* protocol numbers 0..3 */

struct cri_int { bool set; int64_t value; };

/* A user namespace: IDs from 0 on inside are those from host_id on outside. length 0: none, IDs are the host's. */
struct cri_id_range { uint32_t host_id, length; };

enum cri_profile_type { CRI_RUNTIME_DEFAULT, CRI_UNCONFINED, CRI_LOCALHOST }; /* protocol numbers */

struct cri_selinux { const char *user, *role, *type, *level; };

struct cri_security { /* sandbox and container */
    enum cri_namespace_mode network, pid, ipc;
    const char *target_id;
    bool privileged, readonly_rootfs, no_new_privileges;
    struct cri_int run_as_user, run_as_group;
    const char *run_as_username;
    const int64_t *supplemental_groups;
    size_t n_supplemental_groups;
    bool strict_groups; /* only these, whatever /etc/group of the image says */
    struct cri_id_range user_ids;
    const char *const *add_capabilities, *const *drop_capabilities; /* NULL-ended, or NULL */
    enum cri_profile_type seccomp_profile;
    const char *seccomp_localhost;
    bool apparmor_set; /* false: as the runtime likes */
    enum cri_profile_type apparmor_profile;
    const char *apparmor_localhost;
    const struct cri_selinux *selinux; /* or NULL */
    const char *const *masked_paths, *const *readonly_paths;
};

struct cri_resources { /* 0: not set */
    int64_t cpu_period, cpu_quota, cpu_shares, memory_limit_b, oom_score_adj;
    /* with cgroup v2 only: */
    bool oom_group; /* out of memory, all of its processes are killed together */
    bool no_swap;
};

struct cri_sandbox_config {
    const char *name, *uid, *namespace;
    uint32_t attempt;
    const char *hostname, *log_directory;
    const char *const *dns_servers, *const *dns_searches, *const *dns_options; /* NULL-ended, or NULL */
    struct cri_pairs labels, annotations, sysctls;
    const char *cgroup_parent;
    struct cri_security security;
    struct cri_resources overhead, resources;
};

struct cri_mount {
    const char *container_path, *host_path;
    bool readonly;
    bool readonly_below;        /* with readonly: what is mounted below, too */
    struct cri_id_range user_ids; /* of files: owners on disk are IDs inside; length 0: owners are the host's */
    bool from_host;             /* what the host mounts below later is seen too */
    const char *image;          /* instead of host_path: id of an image whose files are mounted; or NULL */
    const char *image_sub_path; /* of these only what is there; or NULL */
};

struct cri_container_config {
    const char *name;
    uint32_t attempt;
    const char *image;       /* id or name as known to the runtime */
    const char *image_spec;  /* as the user wrote it */
    const char *const *command, *const *args; /* NULL-ended, or NULL */
    const char *working_dir;
    struct cri_pairs envs, labels, annotations;
    const struct cri_mount *mounts;
    size_t n_mounts;
    const char *log_path; /* relative to the sandbox's log_directory */
    bool stdin_open, stdin_once, tty;
    struct cri_security security;
    struct cri_resources resources;
};

enum cri_container_state { CRI_CREATED, CRI_RUNNING, CRI_EXITED, CRI_UNKNOWN }; /* protocol numbers */

struct cri_sandbox {
    const char *id, *name, *uid, *namespace;
    uint32_t attempt;
    bool ready;
    int64_t created_ns;
    const char *ip;                /* from status only */
    struct cri_pairs labels, annotations;
};
struct cri_container {
    const char *id, *sandbox_id, *name, *image, *image_ref;
    uint32_t attempt;
    enum cri_container_state state;
    /* started, finished, exit code, reason, message, log path: status only */
    int64_t created_ns, started_ns, finished_ns;
    int32_t exit_code;
    const char *reason, *message, *log_path;
    struct cri_pairs labels, annotations;
};
struct cri_stats { /* of one container */
    const char *id;
    int64_t cpu_time_ns;        /* when the CPU was read; 0: no figures */
    uint64_t cpu_usage_ns;      /* since the container started */
    int64_t memory_time_ns;     /* when the memory was read; 0: no figures */
    uint64_t memory_working_b, memory_usage_b, memory_rss_b, page_faults, major_page_faults;
    int64_t layer_time_ns; /* when the writable layer was measured; 0: no figures */
    uint64_t layer_used_b, layer_inodes;
};
struct cri_image {
    const char *id;
    const char *const *repo_tags, *const *repo_digests; /* NULL-ended */
    uint64_t size_b;
    struct cri_int uid;
    const char *username;
    bool pinned; /* not to be removed */
};

typedef void cri_id_done(const char *id, struct err *err, void *data); /* id NULL on failure */
typedef void cri_ok_done(struct err *err, void *data);
typedef void cri_sandboxes_done(const struct cri_sandbox *items, size_t n, struct err *err, void *data);
typedef void cri_containers_done(const struct cri_container *items, size_t n, struct err *err, void *data);
/* image NULL without err: not there */
typedef void cri_image_done(const struct cri_image *image, struct err *err, void *data);
typedef void cri_images_done(const struct cri_image *items, size_t n, struct err *err, void *data);
typedef void cri_stats_done(const struct cri_stats *items, size_t n, struct err *err, void *data);
struct cri_handler {
    const char *name; /* "": the default one */
    bool user_namespaces, readonly_below; /* what it can */
};
struct cri_status {
    bool runtime_ready, network_ready;
    const char *reason;                  /* of the first condition that is not true, or "" */
    const char *name, *version;          /* runtime: "containerd", "1.6.20" */
    const struct cri_handler *handlers;  /* none on runtimes that do not tell */
    size_t n_handlers;
    bool strict_groups;                  /* knows the policy of supplemental groups */
    const char *config;                  /* containerd: its CRI settings as JSON; NULL: not told */
};
typedef void cri_status_done(const struct cri_status *status, struct err *err, void *data);
typedef void cri_exec_done(const char *out, size_t out_len, const char *errout, size_t errout_len, int32_t exit_code,
                           struct err *err, void *data);

void cri_status(struct cri *cri, cri_status_done *done, void *data);
void cri_run_sandbox(struct cri *cri, const struct cri_sandbox_config *config, const char *runtime_handler,
                     cri_id_done *done, void *data);
void cri_stop_sandbox(struct cri *cri, const char *id, cri_ok_done *done, void *data);
void cri_remove_sandbox(struct cri *cri, const char *id, cri_ok_done *done, void *data);
/* One sandbox with its address. */
void cri_sandbox_status(struct cri *cri, const char *id, cri_sandboxes_done *done, void *data);
void cri_list_sandboxes(struct cri *cri, cri_sandboxes_done *done, void *data);
void cri_create_container(struct cri *cri, const char *sandbox_id, const struct cri_container_config *config,
                          const struct cri_sandbox_config *sandbox, cri_id_done *done, void *data);
void cri_start_container(struct cri *cri, const char *id, cri_ok_done *done, void *data);
/* timeout_s: grace before SIGKILL. */
void cri_stop_container(struct cri *cri, const char *id, int64_t timeout_s, cri_ok_done *done, void *data);
void cri_remove_container(struct cri *cri, const char *id, cri_ok_done *done, void *data);
/* resources: members that are 0 stay as they are. */
void cri_update_resources(struct cri *cri, const char *id, const struct cri_resources *resources, cri_ok_done *done,
                          void *data);
/* After the log file was renamed (rotation): makes a new one. */
void cri_reopen_log(struct cri *cri, const char *id, cri_ok_done *done, void *data);
void cri_list_containers(struct cri *cri, cri_containers_done *done, void *data);
void cri_container_status(struct cri *cri, const char *id, cri_containers_done *done, void *data);
/* Use of the running containers of a sandbox, or of all (NULL), in one call. */
void cri_list_stats(struct cri *cri, const char *sandbox_id, cri_stats_done *done, void *data);
/* timeout_s 0: none, but for the call's own of 2 min. A command that ran too long is ERR_TIMEOUT. */
void cri_exec_sync(struct cri *cri, const char *id, const char *const *argv, int64_t timeout_s, cri_exec_done *done,
                   void *data);
/* The URL of the runtime's stream server; argv for exec only. */
void cri_exec_url(struct cri *cri, const char *id, const char *const *argv, bool tty, bool in, bool out, bool errout,
                  cri_id_done *done, void *data);
void cri_attach_url(struct cri *cri, const char *id, bool tty, bool in, bool out, bool errout, cri_id_done *done,
                    void *data);
void cri_port_forward_url(struct cri *cri, const char *sandbox_id, const int32_t *ports, size_t n,
                          cri_id_done *done, void *data);

void cri_image_status(struct cri *cri, const char *image, cri_image_done *done, void *data);
struct cri_auth { const char *username, *password, *auth, *identity_token, *registry_token; };
/* id: the image's reference to use in configs. auth may be NULL. */
void cri_pull_image(struct cri *cri, const char *image, const struct cri_auth *auth,
                    const struct cri_sandbox_config *sandbox, cri_id_done *done, void *data);
void cri_list_images(struct cri *cri, cri_images_done *done, void *data);
void cri_remove_image(struct cri *cri, const char *image, cri_ok_done *done, void *data);

DEFINE_CLEANUP_POINTER(struct cri *, cri_free)
