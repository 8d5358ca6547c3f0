/*
 * cgroups.h: the cgroup of a pod: the machine it paid for. CRI puts the pod's containers below it. cgroup v2, and v1
 * where the machine has nothing else. Files in /sys/fs/cgroup are written at once; nothing here waits.
 */
#pragma once

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

struct cgroups;

/*
 * mount: "/sys/fs/cgroup" (tests give a folder of their own). root: name of the cgroup that holds all pods, made if
 * absent ("fks"; may have slashes). ERR_NOT_FOUND where mount is no cgroup file system, ERR_FORBIDDEN, ERR_IO.
 */
int cgroups_new(const char *mount, const char *root, struct cgroups **ret, struct err *err) MUST_CHECK;
struct cgroups *cgroups_free(struct cgroups *cgroups);

/* Whether cgroups have this file of the memory controller: which there are depends on version and kernel. */
bool cgroups_has_file(const struct cgroups *cgroups, const char *file);
/* What goes into CRI's cgroup_parent: "/fks/pod<UID>". Heap string. */
char *cgroups_path(const struct cgroups *cgroups, const char *uid) MUST_CHECK;
/* Makes the pod's cgroup and sets its memory limit. Repeatable. */
int cgroups_make(const struct cgroups *cgroups, const char *uid, int64_t mem_b, struct err *err) MUST_CHECK;
/*
 * Sets the pod's CPU quota. Apart from cgroups_make because setting up sandbox and containers is our work, not the
 * pod's: throttled to a quarter of a CPU it would take several times as long.
 */
int cgroups_limit_cpu(const struct cgroups *cgroups, const char *uid, int64_t cpu_m, struct err *err) MUST_CHECK;
struct cgroups_usage {
    int64_t cpu_ns; /* since the cgroup was made */
    int64_t memory_b, working_set_b, rss_b, page_faults, major_page_faults;
    int64_t processes;
    pid_t pid; /* one of them; 0: none */
};
/* What all of the pod uses; false if it has no cgroup. */
bool cgroups_usage(const struct cgroups *cgroups, const char *uid, struct cgroups_usage *ret);
struct cgroups_disk {
    char *device; /* "/dev/vda"; owned */
    int64_t reads, writes, read_b, written_b;
};
struct cgroups_pressure { /* how long processes waited for it: some of them, all of them; the kernel's PSI */
    int64_t known; /* 1: v2, and the kernel keeps count */
    struct cgroups_waiting {
        int64_t total_us;
        double avg10, avg60, avg300; /* percent of the last seconds */
    } some, full;
};
struct cgroups_figures { /* of a pod or a container, beyond what the runtime tells; counters since it began */
    int64_t user_ns, system_ns;
    int64_t quota_us, period_us; /* of the CPU; quota 0: none */
    int64_t periods, throttled_periods, throttled_ns;
    int64_t cache_b, mapped_b, swap_b;
    int64_t memory_peak_b, memory_limit_b; /* limit 0: none */
    int64_t memory_failures, oom_kills;    /* times the limit was hit; processes that the kernel killed for it */
    int64_t processes, threads;
    struct cgroups_pressure cpu_pressure, memory_pressure, io_pressure;
    struct cgroups_disk *disks;
    size_t n_disks;
};
/* container_id NULL: of the whole pod. False if there is no such cgroup, as with containers in a virtual machine. */
bool cgroups_figures(const struct cgroups *cgroups, const char *uid, const char *container_id,
                     struct cgroups_figures *ret);
void cgroups_figures_done(struct cgroups_figures *figures);
/* A process is left of this container, whose cgroup the runtime made below the pod's; false where it makes others. */
bool cgroups_container_lives(const struct cgroups *cgroups, const char *uid, const char *container_id);
/* Kills all that are left of it. */
void cgroups_container_kill(const struct cgroups *cgroups, const char *uid, const char *container_id);
/* Removes the pod's cgroup and those below. Absent is success; ERR_BUSY while a process is left in one. */
int cgroups_remove(const struct cgroups *cgroups, const char *uid, struct err *err) MUST_CHECK;

/* Of the cgroup at path in every hierarchy, without a struct cgroups: */
/* moves this process into it, made if absent; */
int cgroups_enter(const char *mount, const char *path, struct err *err) MUST_CHECK;
/* kills all processes in it and below, and removes it; ERR_BUSY while they are still ending: call it again; */
int cgroups_end(const char *mount, const char *path, struct err *err) MUST_CHECK;
/* whether pods have cgroups below root. */
bool cgroups_has_pods(const char *mount, const char *root);

DEFINE_CLEANUP_POINTER(struct cgroups *, cgroups_free)
DEFINE_CLEANUP_IN_PLACE(struct cgroups_figures, cgroups_figures_done)
