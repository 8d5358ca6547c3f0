/* test_podspec.c: CRI configurations made from pods. */
#include "cmd/fks-node/spec/podspec.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

static const char *const cluster_dns[] = {"10.96.0.10", NULL};
static const struct podspec_context context = {
    .log_root = "/var/log/pods",
    .cgroup_parent = "/fks/pod1",
    .cluster_dns = cluster_dns,
    .cluster_domain = "cluster.local",
    .host_resolv_conf = "# host\nnameserver 1.1.1.1\nnameserver 8.8.8.8\nsearch old.example\nsearch  corp.example. b.example\n"
                        "options timeout:3\n",
    .provisioned_cpu_m = 500,
    .provisioned_mem_b = 1024 << 20,
};

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *json = NULL;

    if (json_parse(text, strlen(text), &json, &err) < 0)
        fail_msg("%s in %s", err_text(&err), text);
    return json;
}

/* members of spec, and of its only container */
static struct json *make_pod(const char *spec, const char *container)
{
    CLEANUP(xfree) char *text =
        xasprintf("{\"metadata\":{\"name\":\"web\",\"namespace\":\"ns\",\"uid\":\"u1\",\"labels\":{\"app\":\"x\"},"
                  "\"annotations\":{\"note\":\"y\"}},\"spec\":{%s\"containers\":[{\"name\":\"c\",\"image\":\"img:1\"%s}]}}",
                  spec, container);

    return parse(text);
}

static char *join(const char *const *list)
{
    CLEANUP(strv_done) struct strv texts = {0};

    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        strv_add(&texts, list[i]);
    return strv_join(&texts, " ");
}

static struct podspec_sandbox *make_sandbox(const struct json *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    struct podspec_sandbox *sandbox = NULL;

    if (podspec_sandbox(pod, &context, 1, &sandbox, &err) < 0)
        fail_msg("%s", err_text(&err));
    return sandbox;
}

static struct podspec_container *make_container(const struct json *pod, const struct cri_image *image)
{
    static const struct cri_image root = {.id = "sha256:1"};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(environment_done) struct environment environment = {0};
    const struct environment_context env = {0};
    struct cri_mount mount = {.container_path = "/data", .host_path = "/state/v", .readonly = true};
    const struct volumes_mounts mounts = {&mount, 1, 1};
    const struct json *container = podspec_find_container(pod, "c");
    struct podspec_container *made = NULL;

    assert_int_equal(environment_make(pod, container, &env, &environment, &err), 0);
    {
        const struct podspec_container_input input = {
            .pod = pod,
            .container = container,
            .attempt = 2,
            .image = image != NULL ? image : &root,
            .environment = &environment,
            .mounts = &mounts,
        };

        if (podspec_container(&input, &context, &made, &err) < 0)
            fail_msg("%s", err_text(&err));
    }
    return made;
}

static void test_podspec__sandbox_basics(void **state)
{
    CLEANUP(json_free) struct json *pod = make_pod("", "");
    CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = make_sandbox(pod);
    const struct cri_sandbox_config *config = &sandbox->config;

    (void)state;
    json_free(take(&pod)); /* nothing of it is borrowed */
    assert_string_equal(config->name, "web");
    assert_int_equal(config->attempt, 1);
    assert_string_equal(config->hostname, "web");
    assert_string_equal(config->log_directory, "/var/log/pods/ns_web_u1");
    assert_string_equal(cri_pairs_get(&config->labels, "app"), "x");
    assert_string_equal(cri_pairs_get(&config->labels, PODSPEC_LABEL_POD_UID), "u1");
    assert_string_equal(cri_pairs_get(&config->annotations, "note"), "y");
    assert_string_equal(config->cgroup_parent, "/fks/pod1");
    assert_int_equal(config->security.network, CRI_NS_POD);
    assert_int_equal(config->security.pid, CRI_NS_CONTAINER);
    assert_false(config->security.run_as_user.set);
    assert_int_equal(config->resources.cpu_quota, 50000);
    assert_int_equal(config->resources.memory_limit_b, 1024 << 20);
}

static void test_podspec__user_namespace(void **state)
{
    static const struct cri_image root = {.id = "sha256:1"};
    struct podspec_context ranged = context;
    CLEANUP(json_free) struct json *pod = make_pod("\"hostUsers\":false,", "");
    CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = NULL;
    CLEANUP(podspec_container_free) struct podspec_container *made = NULL;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(environment_done) struct environment environment = {0};
    struct cri_mount mount = {.container_path = "/data", .host_path = "/state/v", .readonly = true, .readonly_below = true};
    const struct volumes_mounts mounts = {&mount, 1, 1};
    const struct podspec_container_input input = {
        .pod = pod,
        .container = podspec_find_container(pod, "c"),
        .image = &root,
        .environment = &environment,
        .mounts = &mounts,
    };

    (void)state;
    ranged.user_ids = (struct cri_id_range){131072, 65536};
    assert_int_equal(podspec_sandbox(pod, &ranged, 0, &sandbox, &err), 0);
    assert_int_equal(sandbox->config.security.user_ids.host_id, 131072);
    assert_int_equal(podspec_container(&input, &ranged, &made, &err), 0);
    assert_int_equal(made->config.security.user_ids.length, 65536);
    assert_int_equal(made->config.mounts[0].user_ids.host_id, 131072);
    assert_true(made->config.mounts[0].readonly_below);
}

static void test_podspec__profiles(void **state)
{
    CLEANUP(json_free) struct json *pod = make_pod(
        "\"securityContext\":{\"supplementalGroupsPolicy\":\"Strict\",\"seLinuxOptions\":{\"level\":\"s0:c1\"},"
        "\"appArmorProfile\":{\"type\":\"Localhost\",\"localhostProfile\":\"mine\"}},",
        ",\"securityContext\":{\"seLinuxOptions\":{\"type\":\"t\"}}");
    CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = make_sandbox(pod);
    CLEANUP(podspec_container_free) struct podspec_container *made = make_container(pod, NULL);
    CLEANUP(json_free) struct json *plain = make_pod("", "");
    CLEANUP(podspec_container_free) struct podspec_container *bare = make_container(plain, NULL);

    (void)state;
    assert_true(sandbox->config.security.strict_groups && made->config.security.strict_groups);
    assert_string_equal(sandbox->config.security.selinux->level, "s0:c1");
    assert_string_equal(made->config.security.selinux->type, "t"); /* the container's own, whole */
    assert_null(made->config.security.selinux->level);
    assert_true(made->config.security.apparmor_set);
    assert_int_equal(made->config.security.apparmor_profile, CRI_LOCALHOST);
    assert_string_equal(made->config.security.apparmor_localhost, "mine");
    assert_false(bare->config.security.apparmor_set || bare->config.security.strict_groups);
    assert_null(bare->config.security.selinux);
}

static void test_podspec__names(void **state)
{
    static const struct {
        const char *spec, *hostname;
    } rows[] = {
        {"\"hostname\":\"h\",", "h"},
        {"\"hostname\":\"h\",\"subdomain\":\"s\",", "h"},
        {"\"hostname\":\"h\",\"subdomain\":\"s\",\"setHostnameAsFQDN\":true,", "h.s.ns.svc.cluster.local"},
        {"\"setHostnameAsFQDN\":true,", "web"},
        {"\"hostNetwork\":true,", ""},
        {"\"hostnameOverride\":\"whole.name\",\"hostname\":\"h\",", "whole.name"},
        {"\"hostname\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbb\",",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, /* cut at 63, then the '-' */
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *pod = make_pod(rows[i].spec, "");
        CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = make_sandbox(pod);

        assert_string_equal(sandbox->config.hostname, rows[i].hostname);
    }
    {
        CLEANUP(json_free) struct json *pod = make_pod(
            "\"hostname\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"subdomain\":\"s\","
            "\"setHostnameAsFQDN\":true,",
            "");
        CLEANUP(err_clear) struct err err = {0};
        struct podspec_sandbox *sandbox = NULL;

        assert_int_equal(podspec_sandbox(pod, &context, 0, &sandbox, &err), ERR_INVALID);
    }
}

static void test_podspec__dns(void **state)
{
    static const struct {
        const char *spec, *servers, *searches, *options;
    } rows[] = {
        {"", "10.96.0.10", "ns.svc.cluster.local svc.cluster.local cluster.local corp.example b.example", "ndots:5"},
        {"\"dnsPolicy\":\"Default\",", "1.1.1.1 8.8.8.8", "corp.example b.example", "timeout:3"},
        {"\"hostNetwork\":true,", "1.1.1.1 8.8.8.8", "corp.example b.example", "timeout:3"},
        {"\"hostNetwork\":true,\"dnsPolicy\":\"ClusterFirstWithHostNet\",", "10.96.0.10",
         "ns.svc.cluster.local svc.cluster.local cluster.local corp.example b.example", "ndots:5"},
        {"\"dnsPolicy\":\"None\",\"dnsConfig\":{\"nameservers\":[\"9.9.9.9\"],\"searches\":[\"z\"],\"options\":[{\"name\":"
         "\"edns0\"},{\"name\":\"ndots\",\"value\":\"2\"}]},",
         "9.9.9.9", "z", "edns0 ndots:2"},
        {"\"dnsConfig\":{\"nameservers\":[\"9.9.9.9\",\"10.96.0.10\"],\"options\":[{\"name\":\"ndots\",\"value\":\"1\"}]},",
         "10.96.0.10 9.9.9.9", "ns.svc.cluster.local svc.cluster.local cluster.local corp.example b.example", "ndots:1"},
        {"\"dnsPolicy\":\"Default\",\"dnsConfig\":{\"nameservers\":[\"9.9.9.9\",\"9.9.9.10\"]},",
         "1.1.1.1 8.8.8.8 9.9.9.9", "corp.example b.example", "timeout:3"}, /* three at most */
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *pod = make_pod(rows[i].spec, "");
        CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = make_sandbox(pod);
        CLEANUP(xfree) char *servers = join(sandbox->config.dns_servers);
        CLEANUP(xfree) char *searches = join(sandbox->config.dns_searches);
        CLEANUP(xfree) char *options = join(sandbox->config.dns_options);

        assert_string_equal(servers, rows[i].servers);
        assert_string_equal(searches, rows[i].searches);
        assert_string_equal(options, rows[i].options);
    }
}

static void test_podspec__sysctls(void **state)
{
    CLEANUP(json_free) struct json *pod =
        make_pod("\"securityContext\":{\"sysctls\":[{\"name\":\"kernel.shm_rmid_forced\",\"value\":\"1\"},"
                 "{\"name\":\"net/ipv4/conf/eth0.1/rp_filter\",\"value\":\"0\"}]},",
                 "");
    CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = make_sandbox(pod);

    (void)state;
    assert_string_equal(cri_pairs_get(&sandbox->config.sysctls, "kernel.shm_rmid_forced"), "1");
    assert_string_equal(cri_pairs_get(&sandbox->config.sysctls, "net.ipv4.conf.eth0/1.rp_filter"), "0");
}

static void test_podspec__container_basics(void **state)
{
    CLEANUP(json_free) struct json *pod =
        make_pod("\"terminationGracePeriodSeconds\":7,",
                 ",\"command\":[\"sh\",\"-c\",\"echo $(A) $$(A) $(B)\"],\"args\":[],\"workingDir\":\"/w\",\"stdin\":true,"
                 "\"tty\":true,\"env\":[{\"name\":\"A\",\"value\":\"1\"}],\"ports\":[{\"containerPort\":80}],"
                 "\"lifecycle\":{\"preStop\":{\"exec\":{\"command\":[\"x\"]}}}");
    CLEANUP(podspec_container_free) struct podspec_container *made = make_container(pod, NULL);
    const struct cri_container_config *config = &made->config;

    (void)state;
    json_free(take(&pod));
    assert_string_equal(config->name, "c");
    assert_string_equal(config->image, "sha256:1");
    assert_string_equal(config->image_spec, "img:1");
    assert_string_equal(config->command[2], "echo 1 $(A) $(B)");
    assert_null(config->command[3]);
    assert_null(config->args);
    assert_string_equal(config->working_dir, "/w");
    assert_string_equal(config->log_path, "c/2.log");
    assert_true(config->stdin_open && config->tty && !config->stdin_once);
    assert_string_equal(cri_pairs_get(&config->envs, "A"), "1");
    assert_string_equal(cri_pairs_get(&config->labels, PODSPEC_LABEL_CONTAINER_NAME), "c");
    assert_string_equal(cri_pairs_get(&config->annotations, PODSPEC_ANNOTATION_RESTART_COUNT), "2");
    assert_string_equal(cri_pairs_get(&config->annotations, PODSPEC_ANNOTATION_GRACE), "7");
    assert_string_equal(cri_pairs_get(&config->annotations, PODSPEC_ANNOTATION_PORTS), "[{\"containerPort\":80}]");
    assert_string_equal(cri_pairs_get(&config->annotations, PODSPEC_ANNOTATION_PRESTOP), "{\"exec\":{\"command\":[\"x\"]}}");
    assert_int_equal(config->n_mounts, 1);
    assert_string_equal(config->mounts[0].container_path, "/data");
    assert_true(config->mounts[0].readonly);
}

static void test_podspec__resources(void **state)
{
    static const struct {
        const char *resources;
        int64_t shares, quota, memory, oom;
    } rows[] = {
        {"{}", 2, 0, 0, 1000},
        {"{\"limits\":{\"cpu\":\"250m\",\"memory\":\"64Mi\"}}", 256, 25000, 64 << 20, -997},
        {"{\"requests\":{\"cpu\":\"100m\"},\"limits\":{\"cpu\":\"250m\"}}", 102, 25000, 0, 999},
        {"{\"requests\":{\"memory\":\"512Mi\"}}", 2, 0, 0, 501},
        {"{\"requests\":{\"memory\":\"8Gi\"}}", 2, 0, 0, 3}, /* more than the machine has */
        {"{\"limits\":{\"cpu\":\"1m\"}}", 2, 1000, 0, 999},
        {"{\"limits\":{\"cpu\":\"4\",\"memory\":\"8Gi\"}}", 4096, 50000, 1024 << 20, -997}, /* cut to what was provisioned */
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *member = xasprintf(",\"resources\":%s", rows[i].resources);
        CLEANUP(json_free) struct json *pod = make_pod("", member);
        CLEANUP(podspec_container_free) struct podspec_container *made = make_container(pod, NULL);
        const struct cri_resources *resources = &made->config.resources;

        assert_int_equal(resources->cpu_shares, rows[i].shares);
        assert_int_equal(resources->cpu_quota, rows[i].quota);
        assert_int_equal(resources->memory_limit_b, rows[i].memory);
        assert_int_equal(resources->oom_score_adj, rows[i].oom);
        assert_false(resources->oom_group);
        assert_false(resources->no_swap);
    }
}

static void test_podspec__resources_of_cgroup_v2(void **state)
{
    CLEANUP(json_free) struct json *container = parse("{\"name\":\"c\"}");
    struct podspec_context host = context;
    struct cri_resources resources = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    host.oom_group = true; /* a kernel without swap has no file for it */
    assert_int_equal(podspec_container_resources(container, container, &host, &resources, &err), 0);
    assert_true(resources.oom_group);
    assert_false(resources.no_swap);
    host.swap_limits = true;
    assert_int_equal(podspec_container_resources(container, container, &host, &resources, &err), 0);
    assert_true(resources.no_swap);
}

static void test_podspec__security(void **state)
{
    CLEANUP(json_free) struct json *pod =
        make_pod("\"shareProcessNamespace\":true,\"securityContext\":{\"runAsUser\":1000,\"runAsGroup\":2000,\"fsGroup\":3000,"
                 "\"supplementalGroups\":[4000],\"seccompProfile\":{\"type\":\"Unconfined\"}},",
                 ",\"securityContext\":{\"runAsUser\":1001,\"readOnlyRootFilesystem\":true,\"allowPrivilegeEscalation\":false,"
                 "\"capabilities\":{\"add\":[\"NET_ADMIN\"],\"drop\":[\"ALL\"]},"
                 "\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":\"p.json\"}}");
    CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = make_sandbox(pod);
    CLEANUP(podspec_container_free) struct podspec_container *made = make_container(pod, NULL);
    const struct cri_security *security = &made->config.security;

    (void)state;
    assert_int_equal(sandbox->config.security.run_as_user.value, 1000);
    assert_int_equal(sandbox->config.security.run_as_group.value, 2000);
    assert_int_equal(sandbox->config.security.pid, CRI_NS_POD);
    assert_int_equal(sandbox->config.security.seccomp_profile, 0);
    assert_int_equal(security->run_as_user.value, 1001);
    assert_int_equal(security->run_as_group.value, 2000);
    assert_int_equal(security->n_supplemental_groups, 2);
    assert_int_equal(security->supplemental_groups[0], 3000);
    assert_int_equal(security->supplemental_groups[1], 4000);
    assert_true(security->readonly_rootfs && security->no_new_privileges);
    assert_string_equal(security->add_capabilities[0], "NET_ADMIN");
    assert_string_equal(security->drop_capabilities[0], "ALL");
    assert_int_equal(security->seccomp_profile, 2);
    assert_true(ends_with(security->seccomp_localhost, "/p.json"));
    assert_non_null(security->masked_paths);
}

static void test_podspec__security_defaults(void **state)
{
    const struct cri_image numeric = {.id = "i", .uid = {true, 1234}};
    const struct cri_image named = {.id = "i", .username = "app"};
    CLEANUP(json_free) struct json *pod = make_pod("", ",\"securityContext\":{\"procMount\":\"Unmasked\"}");
    CLEANUP(podspec_container_free) struct podspec_container *root = make_container(pod, NULL);
    CLEANUP(podspec_container_free) struct podspec_container *number = make_container(pod, &numeric);
    CLEANUP(podspec_container_free) struct podspec_container *name = make_container(pod, &named);

    (void)state;
    assert_true(root->config.security.run_as_user.set);
    assert_int_equal(root->config.security.run_as_user.value, 0);
    assert_int_equal(number->config.security.run_as_user.value, 1234);
    assert_false(name->config.security.run_as_user.set);
    assert_string_equal(name->config.security.run_as_username, "app");
    assert_false(root->config.security.no_new_privileges);
    assert_int_equal(root->config.security.seccomp_profile, 0); /* RuntimeDefault on a shared kernel */
    assert_null(root->config.security.masked_paths);
}

static void test_podspec__non_root(void **state)
{
    static const struct {
        const char *spec, *container;
        struct cri_image image;
        const char *text; /* NULL: allowed */
    } rows[] = {
        {"", "", {.id = "i"}, NULL},
        {"\"securityContext\":{\"runAsNonRoot\":true},", "", {.id = "i", .uid = {true, 5}}, NULL},
        {"\"securityContext\":{\"runAsNonRoot\":true,\"runAsUser\":5},", "", {.id = "i", .username = "app"}, NULL},
        {"\"securityContext\":{\"runAsNonRoot\":true},", ",\"securityContext\":{\"runAsNonRoot\":false}", {.id = "i"}, NULL},
        {"\"securityContext\":{\"runAsNonRoot\":true},",
         "",
         {.id = "i"},
         "container has runAsNonRoot and image will run as root (pod: \"web_ns(u1)\", container: c)"},
        {"\"securityContext\":{\"runAsNonRoot\":true},",
         "",
         {.id = "i", .uid = {true, 0}},
         "container has runAsNonRoot and image will run as root (pod: \"web_ns(u1)\", container: c)"},
        {"\"securityContext\":{\"runAsNonRoot\":true},",
         "",
         {.id = "i", .username = "app"},
         "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root (pod: "
         "\"web_ns(u1)\", container: c)"},
        {"\"securityContext\":{\"runAsNonRoot\":true},",
         ",\"securityContext\":{\"runAsUser\":0}",
         {.id = "i", .uid = {true, 5}},
         "container's runAsUser breaks non-root policy (pod: \"web_ns(u1)\", container: c)"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *pod = make_pod(rows[i].spec, rows[i].container);
        CLEANUP(err_clear) struct err err = {0};
        int r = podspec_check_user(pod, podspec_find_container(pod, "c"), &rows[i].image, &err);

        assert_int_equal(r, rows[i].text != NULL ? ERR_FORBIDDEN : 0);
        assert_string_equal(err_text(&err), rows[i].text != NULL ? rows[i].text : "no error");
    }
}

static void test_podspec__bad_quantity(void **state)
{
    CLEANUP(json_free) struct json *pod = make_pod("", ",\"resources\":{\"limits\":{\"cpu\":\"much\"}}");
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(environment_done) struct environment environment = {0};
    const struct cri_image image = {.id = "i"};
    const struct volumes_mounts mounts = {0};
    const struct podspec_container_input input = {.pod = pod,
                                                  .container = podspec_find_container(pod, "c"),
                                                  .image = &image,
                                                  .environment = &environment,
                                                  .mounts = &mounts};
    struct podspec_container *made = NULL;

    (void)state;
    assert_true(podspec_container(&input, &context, &made, &err) < 0);
    assert_non_null(strstr(err_text(&err), "container 'c'"));
    assert_null(made);
}

static void test_podspec__hosts_file(void **state)
{
    CLEANUP(json_free) struct json *pod =
        make_pod("\"hostname\":\"h\",\"subdomain\":\"s\",\"hostAliases\":[{\"ip\":\"1.2.3.4\",\"hostnames\":[\"a\",\"b\"]}],", "");
    CLEANUP(buf_done) struct buf text = {0};

    (void)state;
    podspec_hosts_file(pod, "10.1.0.2", "cluster.local", &text);
    assert_true(starts_with(buf_text(&text), "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
    assert_non_null(strstr(buf_text(&text), "\n10.1.0.2\th.s.ns.svc.cluster.local\th\n"));
    assert_true(ends_with(buf_text(&text), "\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"));
}

static void test_podspec__image_name(void **state)
{
    static const char *const rows[][2] = {
        {"nginx", "nginx:latest"},
        {"nginx:1", "nginx:1"},
        {"host:5000/nginx", "host:5000/nginx:latest"},
        {"host:5000/nginx:2", "host:5000/nginx:2"},
        {"nginx@sha256:00", "nginx@sha256:00"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *name = podspec_image_name(rows[i][0]);

        assert_string_equal(name, rows[i][1]);
    }
}

static void test_podspec__restarts(void **state)
{
    static const struct {
        const char *policy, *container;
        bool init;
        int32_t code;
        bool restarts;
    } rows[] = {
        {"Always", "{}", false, 0, true},
        {"Always", "{}", true, 0, false},
        {"Always", "{}", true, 1, true},
        {"OnFailure", "{}", false, 0, false},
        {"OnFailure", "{}", false, 1, true},
        {"Never", "{}", false, 1, false},
        {"Never", "{}", true, 1, false},
        {"Never", "{\"restartPolicy\":\"Always\"}", true, 0, true}, /* sidecar */
        {"Never", "{\"restartPolicy\":\"OnFailure\"}", false, 1, true},
        {"Always", "{\"restartPolicy\":\"Never\"}", false, 1, false},
        {"Never",
         "{\"restartPolicy\":\"Never\",\"restartPolicyRules\":[{\"action\":\"Restart\",\"exitCodes\":{\"operator\":\"In\","
         "\"values\":[42]}}]}",
         false, 42, true},
        {"Never",
         "{\"restartPolicy\":\"Never\",\"restartPolicyRules\":[{\"action\":\"Restart\",\"exitCodes\":{\"operator\":\"In\","
         "\"values\":[42]}}]}",
         false, 43, false},
        {"Never",
         "{\"restartPolicy\":\"Never\",\"restartPolicyRules\":[{\"action\":\"Restart\",\"exitCodes\":{\"operator\":\"NotIn\","
         "\"values\":[42]}}]}",
         false, 43, true},
        {"Never",
         "{\"restartPolicy\":\"Never\",\"restartPolicyRules\":[{\"action\":\"RestartAllContainers\",\"exitCodes\":{"
         "\"operator\":\"In\",\"values\":[0]}}]}",
         true, 0, true},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *pod = json_build("{s:{s:s}}", "spec", "restartPolicy", rows[i].policy);
        CLEANUP(json_free) struct json *container = parse(rows[i].container);

        if (podspec_restarts(pod, container, rows[i].init, rows[i].code) != rows[i].restarts)
            fail_msg("row %zu", i);
    }
}

static void test_podspec__restarts_all(void **state)
{
    CLEANUP(json_free) struct json *pod = parse(
        "{\"spec\":{\"initContainers\":[{\"name\":\"i\"}],\"containers\":[{\"name\":\"a\",\"restartPolicy\":\"Never\","
        "\"restartPolicyRules\":["
        "{\"action\":\"Restart\",\"exitCodes\":{\"operator\":\"In\",\"values\":[1,2]}},"
        "{\"action\":\"RestartAllContainers\",\"exitCodes\":{\"operator\":\"NotIn\",\"values\":[0,3]}}]}]}}");
    CLEANUP(json_free) struct json *plain = parse("{\"spec\":{\"containers\":[{\"name\":\"a\",\"restartPolicyRules\":["
                                                  "{\"action\":\"Restart\"}]}]}}");
    const struct json *container = json_at(json_get(pod, "spec", "containers", NULL), 0);
    static const struct {
        int32_t code;
        bool all;
    } rows[] = {{0, false}, {1, false}, {2, false}, {3, false}, {4, true}, {137, true}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        if (podspec_restarts_all(container, rows[i].code) != rows[i].all)
            fail_msg("exit code %d", rows[i].code);
    assert_true(podspec_may_restart_all(pod));
    assert_false(podspec_may_restart_all(plain));
}

static void test_podspec__qos(void **state)
{
    static const char *const rows[][2] = {
        {"", "BestEffort"},
        {",\"resources\":{\"requests\":{\"cpu\":\"1\"}}", "Burstable"},
        {",\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}", "Guaranteed"},
        {",\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"500m\"}}", "Burstable"},
        {",\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"1000m\",\"memory\":\"1024Mi\"}}",
         "Guaranteed"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *pod = make_pod("", rows[i][0]);

        assert_string_equal(podspec_qos_class(pod), rows[i][1]);
    }
}

static void test_podspec__hash_is_of_name_and_image(void **state)
{
    CLEANUP(json_free) struct json *a = parse("{\"name\":\"c\",\"image\":\"i:1\",\"args\":[\"1\"]}");
    CLEANUP(json_free) struct json *b = parse("{\"name\":\"c\",\"image\":\"i:1\",\"args\":[\"2\"]}");
    CLEANUP(json_free) struct json *c = parse("{\"name\":\"c\",\"image\":\"i:2\"}");
    char x[PODSPEC_HASH_MAX], y[PODSPEC_HASH_MAX], z[PODSPEC_HASH_MAX];

    (void)state;
    podspec_container_hash(a, x);
    podspec_container_hash(b, y);
    podspec_container_hash(c, z);
    assert_int_equal(strlen(x), 8);
    assert_string_equal(x, y);
    assert_string_not_equal(x, z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_podspec__sandbox_basics),
        cmocka_unit_test(test_podspec__user_namespace),
        cmocka_unit_test(test_podspec__profiles),
        cmocka_unit_test(test_podspec__names),
        cmocka_unit_test(test_podspec__dns),
        cmocka_unit_test(test_podspec__sysctls),
        cmocka_unit_test(test_podspec__container_basics),
        cmocka_unit_test(test_podspec__resources),
        cmocka_unit_test(test_podspec__resources_of_cgroup_v2),
        cmocka_unit_test(test_podspec__security),
        cmocka_unit_test(test_podspec__security_defaults),
        cmocka_unit_test(test_podspec__non_root),
        cmocka_unit_test(test_podspec__bad_quantity),
        cmocka_unit_test(test_podspec__hosts_file),
        cmocka_unit_test(test_podspec__image_name),
        cmocka_unit_test(test_podspec__restarts),
        cmocka_unit_test(test_podspec__restarts_all),
        cmocka_unit_test(test_podspec__qos),
        cmocka_unit_test(test_podspec__hash_is_of_name_and_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
