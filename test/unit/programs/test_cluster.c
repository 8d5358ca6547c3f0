/* The pure parts of local clusters: names, addresses, the description file, process lists, eksctl's tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cluster/cluster.h"
#include "cluster/eksctl_output.h"
#include "cluster/processes.h"
#include "data/yaml.h"
#include "home.h"
#include "install/manifests.h"
#include "test/unit/temporary.h"

static void test_name__letters_digits_hyphens(void **state UNUSED)
{
    static const char *const good[] = {"a", "demo", "Demo-1", "x23456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {"", "1a", "-a", "a_b", "a.b", "a/b", "..", "a b",
                                      "x234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < countof(good); i++) {
        struct err err = {0};
        assert_int_equal(home_check_name(good[i], &err), 0);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        CLEANUP(err_clear) struct err err = {0};
        assert_int_equal(home_check_name(bad[i], &err), ERR_USAGE);
    }
}

static void test_addresses__ranges_do_not_overlap(void **state UNUSED)
{
    /* every cluster's /20 of pods and of services starts 4096 addresses after the one before */
    for (int number = 0; number < CLUSTER_MAX; number++) {
        CLEANUP(xfree) char *pods = cluster_pod_cidr(number);
        CLEANUP(xfree) char *services = cluster_service_cidr(number);
        int a, b, c, d;
        assert_int_equal(sscanf(pods, "10.%d.%d.0/20", &a, &b), 2);
        assert_int_equal(sscanf(services, "10.%d.%d.0/20", &c, &d), 2);
        assert_int_equal((a - 202) * 256 + b, number * 16);
        assert_int_equal((c - 210) * 256 + d, number * 16);
        assert_true(a < 210 && c < 218);
    }
    struct cluster cluster = {.number = 17};
    CLEANUP(xfree) char *last_host = cluster_host_pod_cidr(&cluster, CLUSTER_HOSTS_MAX);
    assert_string_equal(last_host, "10.203.31.0/24");
    CLEANUP(xfree) char *dns = cluster_service_address(&cluster, 10);
    assert_string_equal(dns, "10.211.16.10");
}

static struct cluster example(void)
{
    struct cluster cluster = {.name = xstrdup("demo"), .region = xstrdup("local"), .version = xstrdup("v1.36.3"),
                              .assets = xstrdup("/assets"), .number = 3, .api_port = 6443, .etcd_port = 2379};
    (void)cluster_add_host(&cluster, CLUSTER_HOST_FARGATE, "local-a", NULL);
    (void)cluster_add_host(&cluster, CLUSTER_HOST_KUBELET, "local-b", "ng");
    return cluster;
}

static void test_description__survives_a_round_trip(void **state UNUSED)
{
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(cluster_done) struct cluster cluster = example();
    CLEANUP(cluster_done) struct cluster read = {0};
    CLEANUP(err_clear) struct err err = {0};
    cluster.home = xstrdup(folder);
    cluster.host_cpu = xstrdup("64");
    assert_int_equal(cluster_save(&cluster, &err), 0);
    assert_int_equal(cluster_load_from(folder, &read, &err), 0);
    assert_string_equal(read.host_cpu, "64");
    assert_null(read.host_memory);
    assert_string_equal(read.name, "demo");
    assert_int_equal(read.number, 3);
    assert_int_equal(read.api_port, 6443);
    assert_int_equal(read.n_hosts, 2);
    assert_string_equal(read.hosts[0].name, "host-1");
    assert_string_equal(read.hosts[1].name, "ng-2");
    assert_int_equal(read.hosts[1].kind, CLUSTER_HOST_KUBELET);
    cluster_remove_nodegroup(&read, "ng");
    assert_int_equal(read.n_hosts, 1);
}

static void test_description__damaged_is_refused(void **state UNUSED)
{
    static const char *const texts[] = {"", "{", "[]", "{\"name\":\"x\"}", "{\"name\":\"x\",\"number\":5000}"};
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(xfree) char *path = path_join(folder, "cluster.json", NULL);
    for (size_t i = 0; i < countof(texts); i++) {
        CLEANUP(err_clear) struct err err = {0};
        struct cluster cluster = {0};
        assert_int_equal(file_write_atomic(path, texts[i], strlen(texts[i]), 0600, &err), 0);
        assert_int_equal(cluster_load_from(folder, &cluster, &err), ERR_PARSE);
        assert_non_null(strstr(err_text(&err), path));
    }
}

static const struct process *find(const struct process_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (streq(list->items[i].name, name))
            return &list->items[i];
    return NULL;
}

static void test_processes__every_host_has_its_programs(void **state UNUSED)
{
    CLEANUP(cluster_done) struct cluster cluster = example();
    CLEANUP(process_list_done) struct process_list list = {0};
    cluster.home = xstrdup("/home/demo");
    processes_of(&cluster, "/bin", &list);
    static const char *const wanted[] = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "fks-webhook",
                                         "fks-scheduler", "host-1-containerd", "host-1-kube-proxy", "host-1-fks-node",
                                         "ng-2-containerd", "ng-2-kube-proxy", "ng-2-kubelet"};
    assert_int_equal(list.n, countof(wanted));
    for (size_t i = 0; i < countof(wanted); i++)
        assert_non_null(find(&list, wanted[i]));
    const struct process *node = find(&list, "host-1-fks-node");
    assert_string_equal(node->netns_path, "/run/netns/fks3-h1");
    assert_string_equal(node->argv.items[0], "/bin/fks-node");
    assert_true(strv_has(&node->argv, "--address=10.201.3.11"));
    assert_true(strv_has(&node->argv, "--cgroup-root=fks3/pods"));
    /* no key or token may stand on a command line, which everybody can read */
    for (size_t i = 0; i < list.n; i++)
        for (size_t j = 0; j < list.items[i].argv.n; j++)
            assert_null(strstr(list.items[i].argv.items[j], "BEGIN"));
}

static void test_manifests__are_whole_documents(void **state UNUSED)
{
    static const enum manifest_set sets[] = {MANIFESTS_BASE, MANIFESTS_WEBHOOK, MANIFESTS_COREDNS};
    for (size_t i = 0; i < countof(sets); i++)
        for (const struct manifest *manifest = manifests_of(sets[i]); manifest->name != NULL; manifest++) {
            CLEANUP(json_free) struct json *documents = NULL;
            CLEANUP(err_clear) struct err err = {0};
            assert_int_equal(yaml_parse_all(manifest->text.p, manifest->text.len, &documents, &err), 0);
            assert_true(json_len(documents) > 0);
            const struct json *document;
            json_each(document, documents)
                assert_non_null(json_str(document, "metadata", "name", NULL));
        }
}

static void test_format__three_words(void **state UNUSED)
{
    enum eksctl_format format;
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(eksctl_format_parse("yaml", &format, &err), 0);
    assert_int_equal(format, EKSCTL_YAML);
    assert_int_equal(eksctl_format_parse("wide", &format, &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name__letters_digits_hyphens),
        cmocka_unit_test(test_addresses__ranges_do_not_overlap),
        cmocka_unit_test(test_description__survives_a_round_trip),
        cmocka_unit_test(test_description__damaged_is_refused),
        cmocka_unit_test(test_processes__every_host_has_its_programs),
        cmocka_unit_test(test_manifests__are_whole_documents),
        cmocka_unit_test(test_format__three_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
