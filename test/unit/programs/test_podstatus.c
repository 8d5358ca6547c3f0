/*
 * test_podstatus.c: phases, conditions and container states. A container is told in a short notation: name, then what the
 * runtime says ("-" nothing, "r" running, "e0" exited with 0, "c" created, "?" unknown), then "+" when it is not ready.
 */
#include "cmd/fks-node/status/podstatus.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

#define NOW_NS 1767323045000000000ll /* 2026-01-02T03:04:05Z */

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *json = NULL;

    if (json_parse(text, strlen(text), &json, &err) < 0)
        fail_msg("%s in %s", err_text(&err), text);
    return json;
}

struct scene {
    struct json *pod;
    struct cri_container runtime[8];
    struct podstatus_container containers[8];
    struct cri_sandbox sandbox;
    struct podstatus_facts facts;
    struct strv words;
};

static void scene_done(struct scene *scene)
{
    json_free(scene->pod);
    strv_done(&scene->words);
}
DEFINE_CLEANUP_IN_PLACE(struct scene, scene_done)

/* told: "a:r b:e1+" */
static void scene_set(struct scene *scene, const char *told)
{
    strv_done(&scene->words);
    scene->words = (struct strv){0};
    strv_split(&scene->words, told, ' ');
    for (size_t i = 0; i < scene->words.n; i++) {
        struct cri_container *runtime = &scene->runtime[i];
        struct podstatus_container *container = &scene->containers[i];
        char *what = strchr(scene->words.items[i], ':');

        *what++ = '\0';
        *runtime = (struct cri_container){.id = scene->words.items[i], .name = scene->words.items[i], .image = "i:1",
                                          .image_ref = "ref", .started_ns = NOW_NS, .reason = "", .message = ""};
        *container = (struct podstatus_container){.name = scene->words.items[i], .current = runtime,
                                                  .startup_done = true, .ready = strchr(what, '+') == NULL};
        if (*what == '-')
            container->current = NULL;
        else if (*what == 'r')
            runtime->state = CRI_RUNNING;
        else if (*what == 'c')
            runtime->state = CRI_CREATED;
        else if (*what == '?')
            runtime->state = CRI_UNKNOWN;
        else {
            runtime->state = CRI_EXITED;
            runtime->exit_code = what[1] - '0';
            runtime->finished_ns = NOW_NS;
        }
    }
    scene->sandbox = (struct cri_sandbox){.id = "s", .ready = true, .ip = "10.1.0.2"};
    scene->facts = (struct podstatus_facts){.sandbox = &scene->sandbox, .host_ip = "9.9.9.9",
                                            .containers = scene->containers, .n_containers = scene->words.n,
                                            .now_ns = NOW_NS};
}

static void scene_make(struct scene *scene, const char *spec, const char *status, const char *told)
{
    CLEANUP(xfree) char *text = xasprintf(
        "{\"metadata\":{\"uid\":\"u\",\"generation\":3},\"spec\":{\"nodeName\":\"n\",%s},\"status\":%s}", spec, status);

    scene->pod = parse(text);
    scene_set(scene, told);
}

/* The pod as it is after the API server took the patch. */
static void scene_apply(struct scene *scene)
{
    json_set(scene->pod, "status", podstatus_full(scene->pod, &scene->facts));
}

static const struct json *condition(const struct json *status, const char *type)
{
    const struct json *item;

    json_each(item, json_get(status, "conditions", NULL))
        if (streq(json_str(item, "type", NULL), type))
            return item;
    return NULL;
}

#define ONE "\"containers\":[{\"name\":\"a\",\"image\":\"i\"}]"
#define TWO "\"containers\":[{\"name\":\"a\",\"image\":\"i\"},{\"name\":\"b\",\"image\":\"i\"}]"
#define INIT "\"initContainers\":[{\"name\":\"i\",\"image\":\"i\"}],"
#define SIDECAR "\"initContainers\":[{\"name\":\"s\",\"image\":\"i\",\"restartPolicy\":\"Always\"}],"
#define NEVER "\"restartPolicy\":\"Never\","
#define ON_FAILURE "\"restartPolicy\":\"OnFailure\","

static void test_podstatus__phases(void **state)
{
    static const struct {
        const char *spec, *status, *told;
        bool terminal;
        const char *phase, *ready, *initialized;
    } rows[] = {
        {ONE, "{}", "a:-", false, "Pending", "False", "True"},
        {ONE, "{}", "a:c", false, "Pending", "False", "True"},
        {ONE, "{}", "a:r", false, "Running", "True", "True"},
        {ONE, "{}", "a:r+", false, "Running", "False", "True"},
        {TWO, "{}", "a:r b:-", false, "Pending", "False", "True"},
        {TWO, "{}", "a:r b:e1", false, "Running", "False", "True"},
        {ONE, "{}", "a:e0", false, "Running", "False", "True"}, /* Always: about to be started again */
        {NEVER ONE, "{}", "a:e0", false, "Succeeded", "False", "True"},
        {NEVER ONE, "{}", "a:e1", false, "Failed", "False", "True"},
        {NEVER TWO, "{}", "a:e0 b:e1", false, "Failed", "False", "True"},
        {NEVER TWO, "{}", "a:e0 b:r", false, "Running", "False", "True"},
        {ON_FAILURE ONE, "{}", "a:e0", false, "Succeeded", "False", "True"},
        {ON_FAILURE ONE, "{}", "a:e1", false, "Running", "False", "True"},
        {ONE, "{}", "a:e0", true, "Succeeded", "False", "True"},
        {ONE, "{}", "a:e1", true, "Failed", "False", "True"},
        {ONE, "{}", "a:-", true, "Failed", "False", "True"},
        {INIT ONE, "{}", "i:- a:-", false, "Pending", "False", "False"},
        {INIT ONE, "{}", "i:r a:-", false, "Pending", "False", "False"},
        {INIT ONE, "{}", "i:e0 a:-", false, "Pending", "False", "True"},
        {INIT ONE, "{}", "i:e0 a:r", false, "Running", "True", "True"},
        {INIT ONE, "{}", "i:- a:r", false, "Running", "True", "True"}, /* removed meanwhile */
        {INIT ONE, "{}", "i:e1 a:-", false, "Pending", "False", "False"},
        {NEVER INIT ONE, "{}", "i:e1 a:-", false, "Failed", "False", "False"},
        {SIDECAR ONE, "{}", "s:r a:-", false, "Pending", "False", "True"},
        {SIDECAR ONE, "{}", "s:r a:r", false, "Running", "True", "True"},
        {SIDECAR ONE, "{}", "s:r+ a:r", false, "Running", "False", "True"},
        {SIDECAR ONE, "{}", "s:- a:r", false, "Pending", "False", "True"},
        {NEVER SIDECAR ONE, "{}", "s:e1 a:e0", false, "Succeeded", "False", "True"},
        {NEVER SIDECAR ONE, "{\"phase\":\"Running\"}", "s:r a:e0", false, "Running", "False", "True"},
        {ONE, "{\"phase\":\"Failed\"}", "a:r", false, "Failed", "False", "True"}, /* never back */
        {ONE, "{\"phase\":\"Succeeded\"}", "a:e1", true, "Succeeded", "False", "True"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(scene_done) struct scene scene = {0};
        CLEANUP(json_free) struct json *status = NULL;

        scene_make(&scene, rows[i].spec, rows[i].status, rows[i].told);
        scene.facts.terminal = rows[i].terminal;
        status = podstatus_full(scene.pod, &scene.facts);
        if (!streq(json_str(status, "phase", NULL), rows[i].phase) ||
            !streq(json_str(condition(status, "Ready"), "status", NULL), rows[i].ready) ||
            !streq(json_str(condition(status, "Initialized"), "status", NULL), rows[i].initialized)) {
            CLEANUP(buf_done) struct buf text = {0};

            json_print_pretty(status, &text);
            fail_msg("row %zu (%s): %s", i, rows[i].told, buf_text(&text));
        }
    }
}

static void test_podstatus__patch_then_nothing(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *patch = NULL;
    CLEANUP(json_free) struct json *second = NULL;
    const struct json *status;

    (void)state;
    scene_make(&scene, ONE, "{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"True\",\"lastProbeTime\":null,"
                            "\"lastTransitionTime\":\"2025-01-01T00:00:00Z\",\"observedGeneration\":3}]}",
               "a:r");
    patch = podstatus_patch(scene.pod, &scene.facts);
    status = json_get(patch, "status", NULL);
    assert_string_equal(json_str(patch, "metadata", "uid", NULL), "u");
    assert_string_equal(json_str(status, "phase", NULL), "Running");
    assert_string_equal(json_str(status, "podIP", NULL), "10.1.0.2");
    assert_string_equal(json_str(status, "hostIP", NULL), "9.9.9.9");
    assert_string_equal(json_str(status, "startTime", NULL), "2026-01-02T03:04:05Z");
    assert_string_equal(json_str(status, "qosClass", NULL), "BestEffort");
    assert_int_equal(json_int_or(0, status, "observedGeneration", NULL), 3);
    assert_null(condition(status, "PodScheduled")); /* unchanged, so not in the patch */
    assert_int_equal(json_len(json_get(status, "conditions", NULL)), 4);
    scene_apply(&scene);
    scene.facts.now_ns += 1000000000;
    second = podstatus_patch(scene.pod, &scene.facts);
    assert_null(second);
}

/* Time passes between the steps; only a change of status moves lastTransitionTime. */
static void test_podstatus__transition_times(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *patch = NULL;
    const struct json *ready;

    (void)state;
    scene_make(&scene, TWO, "{}", "a:r+ b:r+");
    scene_apply(&scene);
    scene_set(&scene, "a:r b:r+");
    scene.facts.now_ns += 60000000000;
    patch = podstatus_patch(scene.pod, &scene.facts);
    ready = condition(json_get(patch, "status", NULL), "Ready");
    assert_string_equal(json_str(ready, "message", NULL), "containers with unready status: [b]");
    assert_string_equal(json_str(ready, "lastTransitionTime", NULL), "2026-01-02T03:04:05Z");
    json_free(take(&patch));
    scene_apply(&scene);
    scene_set(&scene, "a:r b:r");
    scene.facts.now_ns += 120000000000;
    patch = podstatus_patch(scene.pod, &scene.facts);
    ready = condition(json_get(patch, "status", NULL), "Ready");
    assert_string_equal(json_str(ready, "status", NULL), "True");
    assert_string_equal(json_str(ready, "lastTransitionTime", NULL), "2026-01-02T03:06:05Z");
    assert_int_equal(json_type(json_get(ready, "reason", NULL)), JSON_NULL);
    assert_non_null(json_member(ready, "reason")); /* an explicit null removes it on the server */
}

static void test_podstatus__foreign_conditions_and_gates(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *status = NULL;
    CLEANUP(json_free) struct json *patch = NULL;

    (void)state;
    scene_make(&scene, ONE ",\"readinessGates\":[{\"conditionType\":\"x/ok\"},{\"conditionType\":\"x/none\"}]",
               "{\"conditions\":[{\"type\":\"x/ok\",\"status\":\"False\"}]}", "a:r");
    status = podstatus_full(scene.pod, &scene.facts);
    patch = podstatus_patch(scene.pod, &scene.facts);
    assert_string_equal(json_str(condition(status, "ContainersReady"), "status", NULL), "True");
    assert_string_equal(json_str(condition(status, "Ready"), "reason", NULL), "ReadinessGatesNotReady");
    assert_string_equal(json_str(condition(status, "Ready"), "message", NULL),
                        "the status of pod readiness gate \"x/ok\" is not \"True\", but False, corresponding condition of "
                        "pod readiness gate \"x/none\" does not exist.");
    assert_string_equal(json_str(condition(status, "x/ok"), "status", NULL), "False");
    assert_null(condition(json_get(patch, "status", NULL), "x/ok"));
}

static const struct json *only_status(const struct json *status)
{
    return json_at(json_get(status, "containerStatuses", NULL), 0);
}

static void test_podstatus__crash_loop(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *status = NULL;
    const struct json *of;

    (void)state;
    scene_make(&scene, ONE, "{}", "a:e1");
    scene.runtime[0].attempt = 4;
    scene.containers[0].waiting_reason = "CrashLoopBackOff";
    scene.containers[0].waiting_message = "back-off 10s";
    scene.containers[0].current_message = "it broke";
    status = podstatus_full(scene.pod, &scene.facts);
    of = only_status(status);
    assert_string_equal(json_str(status, "phase", NULL), "Running");
    assert_string_equal(json_str(of, "state", "waiting", "reason", NULL), "CrashLoopBackOff");
    assert_int_equal(json_int_or(0, of, "lastState", "terminated", "exitCode", NULL), 1);
    assert_string_equal(json_str(of, "lastState", "terminated", "reason", NULL), "Error");
    assert_string_equal(json_str(of, "lastState", "terminated", "message", NULL), "it broke");
    assert_string_equal(json_str(of, "lastState", "terminated", "containerID", NULL), "containerd://a");
    assert_int_equal(json_int_or(0, of, "restartCount", NULL), 4);
    assert_false(json_bool_or(true, of, "started", NULL));

    /* deleted: it is not going to wait any more */
    json_free(take(&status));
    json_set_str(json_edit(scene.pod, "metadata", NULL), "deletionTimestamp", "2026-01-02T03:04:05Z");
    status = podstatus_full(scene.pod, &scene.facts);
    assert_non_null(json_get(only_status(status), "state", "terminated", NULL));
}

static void test_podstatus__restarted(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *status = NULL;
    struct cri_container last = {.id = "old", .state = CRI_EXITED, .exit_code = 137, .reason = "OOMKilled"};
    const struct json *of;

    (void)state;
    scene_make(&scene, ONE, "{}", "a:r");
    scene.runtime[0].attempt = 1;
    scene.containers[0].last = &last;
    status = podstatus_full(scene.pod, &scene.facts);
    of = only_status(status);
    assert_non_null(json_get(of, "state", "running", NULL));
    assert_string_equal(json_str(of, "lastState", "terminated", "reason", NULL), "OOMKilled");
    assert_int_equal(json_int_or(0, of, "restartCount", NULL), 1);
    assert_string_equal(json_str(of, "containerID", NULL), "containerd://a");
    assert_string_equal(json_str(of, "imageID", NULL), "ref");
}

/* "a" was stopped for another image: its end is told to nobody as one for good, or no API server would let it start again. */
static void test_podstatus__starts_again(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    const struct json *status, *of;

    (void)state;
    scene_make(&scene, NEVER "\"containers\":[{\"name\":\"a\",\"image\":\"i\"}]", "{}", "a:r");
    scene_apply(&scene);
    scene_set(&scene, "a:e9");
    scene.containers[0].starts_again = true;
    scene_apply(&scene);
    status = json_get(scene.pod, "status", NULL);
    assert_string_equal(json_str(status, "phase", NULL), "Running");
    of = json_at(json_get(status, "containerStatuses", NULL), 0);
    assert_string_equal(json_str(of, "state", "waiting", "reason", NULL), "ContainerCreating");
    assert_int_equal(json_int_or(0, of, "lastState", "terminated", "exitCode", NULL), 9);
    scene.containers[0].starts_again = false;
    scene_apply(&scene);
    assert_string_equal(json_str(scene.pod, "status", "phase", NULL), "Failed");
}

/* "a" exited with 4, for which all are to start anew; "b" and the init container are stopped for it. */
static void test_podstatus__restart_of_all(void **state)
{
    static const char spec[] =
        NEVER INIT "\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"restartPolicy\":\"Never\",\"restartPolicyRules\":["
                   "{\"action\":\"RestartAllContainers\",\"exitCodes\":{\"operator\":\"In\",\"values\":[4]}}]},"
                   "{\"name\":\"b\",\"image\":\"i\"}]";
    CLEANUP(scene_done) struct scene scene = {0};
    const struct json *status, *of;

    (void)state;
    scene_make(&scene, spec, "{}", "a:r b:r i:e0");
    scene_apply(&scene);
    status = json_get(scene.pod, "status", NULL);
    assert_string_equal(json_str(condition(status, "AllContainersRestarting"), "status", NULL), "False");

    scene_set(&scene, "a:e4 b:e9 i:e0");
    scene.facts.restarting = scene.containers[1].restarting = scene.containers[2].restarting = true;
    scene_apply(&scene);
    status = json_get(scene.pod, "status", NULL);
    assert_string_equal(json_str(condition(status, "AllContainersRestarting"), "status", NULL), "True");
    assert_string_equal(json_str(condition(status, "AllContainersRestarting"), "reason", NULL), "RestartAllContainersStarted");
    assert_string_equal(json_str(status, "phase", NULL), "Running"); /* whatever the policy makes of the exit codes */
    of = json_at(json_get(status, "containerStatuses", NULL), 1);
    assert_string_equal(json_str(of, "state", "waiting", "reason", NULL), POD_RESTARTING);
    assert_string_equal(json_str(of, "lastState", "terminated", "reason", NULL), POD_RESTARTING);
    assert_int_equal(json_int_or(0, of, "lastState", "terminated", "exitCode", NULL), 9);

    /* removed: what it was is last, and the count goes up */
    struct cri_container removed = scene.runtime[1];
    scene_set(&scene, "a:e4 b:- i:-");
    removed.id = removed.name = "b"; /* the words of before are gone */
    removed.reason = POD_RESTARTING;
    scene.facts.restarting = scene.containers[1].restarting = scene.containers[2].restarting = true;
    scene.containers[1].last = scene.containers[2].last = &removed;
    scene.containers[1].restarts = scene.containers[2].restarts = 1;
    scene_apply(&scene);
    status = json_get(scene.pod, "status", NULL);
    of = json_at(json_get(status, "containerStatuses", NULL), 1);
    assert_string_equal(json_str(of, "state", "waiting", "reason", NULL), POD_RESTARTING);
    assert_int_equal(json_int_or(0, of, "restartCount", NULL), 1);
    of = json_at(json_get(status, "initContainerStatuses", NULL), 0);
    assert_string_equal(json_str(of, "state", "waiting", "reason", NULL), POD_RESTARTING);
    assert_false(json_bool_or(true, of, "ready", NULL));
    assert_string_equal(json_str(condition(status, "Initialized"), "status", NULL), "True"); /* once and for all */

    /* another agent, which knows none of them, lets it stand */
    scene_set(&scene, "a:- b:- i:-");
    scene_apply(&scene);
    status = json_get(scene.pod, "status", NULL);
    of = json_at(json_get(status, "containerStatuses", NULL), 1);
    assert_string_equal(json_str(of, "state", "waiting", "reason", NULL), POD_RESTARTING);
    assert_int_equal(json_int_or(0, of, "restartCount", NULL), 1);
    assert_string_equal(json_str(status, "phase", NULL), "Running");
    assert_string_equal(json_str(condition(status, "AllContainersRestarting"), "status", NULL), "False");
    assert_null(json_str(condition(status, "AllContainersRestarting"), "reason", NULL));
}

static void test_podstatus__waiting_reasons(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(scene_done) struct scene with_init = {0};
    CLEANUP(json_free) struct json *status = NULL;

    (void)state;
    scene_make(&scene, ONE, "{}", "a:-");
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(only_status(status), "state", "waiting", "reason", NULL), "ContainerCreating");
    assert_string_equal(json_str(only_status(status), "imageID", NULL), "");
    scene.containers[0].waiting_reason = "ImagePullBackOff";
    json_free(take(&status));
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(only_status(status), "state", "waiting", "reason", NULL), "ImagePullBackOff");
    json_free(take(&status));
    scene_make(&with_init, INIT ONE, "{}", "i:r a:-");
    status = podstatus_full(with_init.pod, &with_init.facts);
    assert_string_equal(json_str(only_status(status), "state", "waiting", "reason", NULL), "PodInitializing");
    assert_false(podstatus_initialized(with_init.pod, &with_init.facts));
    scene_set(&with_init, "i:e0 a:-");
    assert_true(podstatus_initialized(with_init.pod, &with_init.facts));
}

/* The runtime lost it (its data was wiped): it ran, so it counts as ended, not as never started. */
static void test_podstatus__vanished_container(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *status = NULL;

    (void)state;
    scene_make(&scene, ONE, "{}", "a:r");
    scene_apply(&scene);
    scene_set(&scene, "a:-");
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(status, "phase", NULL), "Running");
    assert_string_equal(json_str(only_status(status), "lastState", "terminated", "reason", NULL), "ContainerStatusUnknown");
    json_free(take(&status));
    scene.facts.terminal = true;
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(status, "phase", NULL), "Failed");
    assert_int_equal(json_int_or(0, only_status(status), "state", "terminated", "exitCode", NULL), 137);
}

/* Deleted before they were made: the first init container had its turn, and without any the others had theirs. */
static void test_podstatus__never_made(void **state)
{
    CLEANUP(scene_done) struct scene alone = {0};
    CLEANUP(scene_done) struct scene after_init = {0};
    const struct json *status;

    (void)state;
    scene_make(&alone, ONE, "{}", "a:-");
    alone.facts.terminal = true;
    scene_apply(&alone);
    status = json_get(alone.pod, "status", NULL);
    assert_string_equal(json_str(status, "phase", NULL), "Failed");
    assert_string_equal(json_str(only_status(status), "state", "terminated", "reason", NULL), "ContainerStatusUnknown");
    assert_int_equal(json_int_or(0, only_status(status), "state", "terminated", "exitCode", NULL), 137);

    scene_make(&after_init, INIT ONE, "{}", "a:- i:-");
    after_init.facts.terminal = true;
    scene_apply(&after_init);
    status = json_get(after_init.pod, "status", NULL);
    assert_string_equal(json_str(status, "phase", NULL), "Failed");
    assert_non_null(json_get(only_status(status), "state", "waiting", NULL));
    assert_int_equal(json_int_or(0, json_at(json_get(status, "initContainerStatuses", NULL), 0), "state", "terminated", "exitCode", NULL),
                     137);
}

static void test_podstatus__failed_by_the_agent(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *status = NULL;

    (void)state;
    scene_make(&scene, ONE, "{\"phase\":\"Running\"}", "a:r");
    scene.facts.failed_reason = "DeadlineExceeded";
    scene.facts.failed_message = "Pod was active on the node longer than the specified deadline";
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(status, "phase", NULL), "Running"); /* while it runs */
    json_free(take(&status));
    scene_set(&scene, "a:e0");
    scene.facts.failed_reason = "DeadlineExceeded";
    scene.facts.terminal = true;
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(status, "phase", NULL), "Failed");
    assert_string_equal(json_str(status, "reason", NULL), "DeadlineExceeded");
    assert_string_equal(json_str(condition(status, "Ready"), "reason", NULL), "PodFailed");
    json_set(scene.pod, "status", take(&status));
    scene.facts.failed_reason = NULL; /* a restarted agent does not know any more */
    status = podstatus_full(scene.pod, &scene.facts);
    assert_true(podstatus_is_terminal(scene.pod));
    assert_string_equal(json_str(status, "reason", NULL), "DeadlineExceeded");
}

static void test_podstatus__new_address_replaces_the_old(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *patch = NULL;
    const struct json *all;

    (void)state;
    scene_make(&scene, ONE, "{}", "a:r");
    scene_apply(&scene);
    scene.sandbox.ip = "10.1.0.3";
    patch = podstatus_patch(scene.pod, &scene.facts);
    all = json_get(patch, "status", "podIPs", NULL);
    assert_string_equal(json_str(patch, "status", "podIP", NULL), "10.1.0.3");
    assert_int_equal(json_len(all), 2);
    assert_string_equal(json_str(json_at(all, 1), "$patch", NULL), "replace");
    assert_null(json_get(patch, "status", "hostIPs", NULL));
}

/* An API server that does not know the newest members drops them; that must not cost a patch a second. */
static void test_podstatus__dropped_members(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *patch = NULL;
    struct json *of;

    (void)state;
    scene_make(&scene, "\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]}]", "{}",
               "a:r");
    scene_apply(&scene);
    of = json_edit_at(json_edit_member(json_edit(scene.pod, "status", NULL), "containerStatuses"), 0);
    json_del(of, "resources");
    json_del(of, "volumeMounts");
    json_del(json_edit(scene.pod, "status", NULL), "hostIPs");
    patch = podstatus_patch(scene.pod, &scene.facts);
    assert_null(patch);
}

static const char resizable[] =
    "\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"200m\"}}}]";

/* What the container has is told, not what it is to have; and the condition goes when the resize is over. */
static void test_podstatus__resize(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *before = parse("{\"requests\":{\"cpu\":\"100m\"}}");
    CLEANUP(json_free) struct json *after = parse("{\"requests\":{\"cpu\":\"200m\"}}");
    CLEANUP(json_free) struct json *status = NULL;
    CLEANUP(json_free) struct json *patch = NULL;

    (void)state;
    scene_make(&scene, resizable, "{}", "a:r");
    scene.containers[0].resources = before;
    scene.facts.resize_going = true;
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(only_status(status), "resources", "requests", "cpu", NULL), "100m");
    assert_string_equal(json_str(only_status(status), "allocatedResources", "cpu", NULL), "100m");
    assert_string_equal(json_str(condition(status, "PodResizeInProgress"), "status", NULL), "True");
    assert_null(condition(status, "PodResizePending"));
    scene_apply(&scene);
    scene.containers[0].resources = NULL; /* an agent that has just started keeps what it finds */
    json_free(status);
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(only_status(status), "resources", "requests", "cpu", NULL), "100m");
    scene.containers[0].resources = after;
    scene.facts.resize_going = false;
    patch = podstatus_patch(scene.pod, &scene.facts);
    status = (json_free(status), NULL);
    assert_string_equal(json_str(condition(json_get(patch, "status", NULL), "PodResizeInProgress"), "$patch", NULL),
                        "delete");
    assert_string_equal(
        json_str(json_at(json_get(patch, "status", "containerStatuses", NULL), 0), "allocatedResources", "cpu", NULL),
        "200m");
}

static void test_podstatus__resize_that_waits(void **state)
{
    CLEANUP(scene_done) struct scene scene = {0};
    CLEANUP(json_free) struct json *status = NULL;

    (void)state;
    scene_make(&scene, resizable, "{}", "a:r");
    scene.facts.resize_pending = "Deferred";
    scene.facts.resize_message = "no room";
    status = podstatus_full(scene.pod, &scene.facts);
    assert_string_equal(json_str(condition(status, "PodResizePending"), "reason", NULL), "Deferred");
    assert_string_equal(json_str(condition(status, "PodResizePending"), "message", NULL), "no room");
    assert_null(condition(status, "PodResizeInProgress"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_podstatus__phases),
        cmocka_unit_test(test_podstatus__patch_then_nothing),
        cmocka_unit_test(test_podstatus__transition_times),
        cmocka_unit_test(test_podstatus__foreign_conditions_and_gates),
        cmocka_unit_test(test_podstatus__crash_loop),
        cmocka_unit_test(test_podstatus__restarted),
        cmocka_unit_test(test_podstatus__starts_again),
        cmocka_unit_test(test_podstatus__restart_of_all),
        cmocka_unit_test(test_podstatus__waiting_reasons),
        cmocka_unit_test(test_podstatus__vanished_container),
        cmocka_unit_test(test_podstatus__never_made),
        cmocka_unit_test(test_podstatus__failed_by_the_agent),
        cmocka_unit_test(test_podstatus__new_address_replaces_the_old),
        cmocka_unit_test(test_podstatus__dropped_members),
        cmocka_unit_test(test_podstatus__resize),
        cmocka_unit_test(test_podstatus__resize_that_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
