/*
 * agent.c: small things that several modules need, facts about this machine among them.
 */
#include "agent.h"

#include <sys/utsname.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

static const struct json_omit in_metadata[] = {{.name = "managedFields"}, {0}};
const struct json_omit agent_omit[] = {{.name = "metadata", .inside = in_metadata}, {0}};

struct json *agent_delete_options(int64_t grace_s, const char *uid)
{
    struct json *options =
        json_build("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions", "preconditions", "uid", uid);

    if (grace_s >= 0)
        json_set_int(options, "gracePeriodSeconds", grace_s);
    return options;
}

struct json *agent_time(int64_t wall_ns)
{
    char text[CLOCK_TEXT_MAX];

    clock_rfc3339(wall_ns, text);
    return json_new_string(text);
}

struct json *agent_time_micro(int64_t wall_ns)
{
    char text[CLOCK_TEXT_MAX];

    clock_rfc3339_micro(wall_ns, text);
    return json_new_string(text);
}

int64_t agent_renew_ns(struct agent *agent, int64_t seen_ns)
{
    int64_t now_ns = clock_wall_ns(), last_ns = agent->renewed_ns > seen_ns ? agent->renewed_ns : seen_ns;

    agent->renewed_ns = now_ns > last_ns ? now_ns : last_ns + 1000; /* MicroTime's step */
    return agent->renewed_ns;
}

/* First line of a file, "" if it cannot be read. */
static char *first_line(const char *path)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct err ignored = {0};

    if (file_read(path, KIB(64), &text, &ignored) < 0) {
        err_clear(&ignored);
        return xstrdup("");
    }
    return xstrndup(buf_text(&text), strcspn(buf_text(&text), "\n"));
}

static char *os_pretty_name(void)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv lines = {0};
    struct err ignored = {0};

    if (file_read("/etc/os-release", KIB(64), &text, &ignored) < 0) {
        err_clear(&ignored);
        return xstrdup("Linux");
    }
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *value = lines.items[i];
        if (!starts_with(value, "PRETTY_NAME="))
            continue;
        value += strlen("PRETTY_NAME=");
        if (*value == '"')
            value++;
        return xstrndup(value, strcspn(value, "\""));
    }
    return xstrdup("Linux");
}

bool agent_handler_can(const struct agent *agent, const char *handler, const char *feature)
{
    const struct json *item;

    json_each(item, agent->runtime.handlers)
        if (streq(json_str(item, "name", NULL), handler))
            return json_is_true(item, "features", feature, NULL);
    return false;
}

void agent_system_read(struct agent_system *system)
{
    CLEANUP(xfree) char *apparmor = first_line("/sys/module/apparmor/parameters/enabled");
    struct utsname names;
    const char *machine = "unknown", *kernel = "unknown";

    if (uname(&names) == 0) {
        machine = names.machine;
        kernel = names.release;
    }
    system->machine_id = first_line("/etc/machine-id");
    system->system_uuid = first_line("/sys/class/dmi/id/product_uuid");
    if (*system->system_uuid == '\0') {
        free(system->system_uuid);
        system->system_uuid = xstrdup(system->machine_id);
    }
    system->boot_id = first_line("/proc/sys/kernel/random/boot_id");
    system->kernel = xstrdup(kernel);
    system->os_image = os_pretty_name();
    /* Go's names, which Kubernetes uses */
    if (streq(machine, "x86_64"))
        machine = "amd64";
    else if (streq(machine, "aarch64"))
        machine = "arm64";
    system->architecture = xstrdup(machine);
    system->apparmor = streq(apparmor, "Y");
    system->runtime_version = xstrdup("");
}

void agent_system_done(struct agent_system *system)
{
    free(system->machine_id);
    free(system->system_uuid);
    free(system->boot_id);
    free(system->kernel);
    free(system->os_image);
    free(system->architecture);
    free(system->runtime_version);
    *system = (struct agent_system){0};
}

void agent_metrics_make(struct agent *agent)
{
    struct metrics *metrics = metrics_new();

    agent->metrics = metrics;
    agent->m_pods =
        metrics_get(metrics, METRIC_GAUGE, "fks_node_pods", "Pods on this host, those being removed included.", NULL);
    agent->m_starts =
        metrics_get(metrics, METRIC_COUNTER, "fks_node_container_starts_total", "Containers started.", NULL);
    agent->m_start_failures = metrics_get(metrics, METRIC_COUNTER, "fks_node_container_start_failures_total",
                                          "Containers that the runtime could not make or start.", NULL);
    agent->m_pod_start = metrics_get(metrics, METRIC_HISTOGRAM, "fks_node_pod_start_seconds",
                                     "From the first sight of a pod to its first container running.", NULL);
}

void agent_warn(const char *what, const char *object, const struct err *err)
{
    log_warn(what, "object", object, "error", err_text(err));
}
