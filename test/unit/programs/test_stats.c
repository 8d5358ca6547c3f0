/*
 * test_stats.c: what a pod uses: read from cgroup files, shown in the kubelet's and cAdvisor's words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cmd/fks-node/api/stats.h"
#include "cmd/fks-node/pod/pod.h"
#include "test/unit/temporary.h"

static void test_stats__network(void **state)
{
    static const char text[] =
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier\n"
        "    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0   0\n"
        "  eth0:     446       5    2    3    0     0          0         0      586       7    4    6    0     0       0   0\n";
    struct stats_network network = {0};

    (void)state;
    stats_network_parse(text, &network);
    assert_true(network.known);
    assert_int_equal(network.received_b, 446);
    assert_int_equal(network.receive_errors, 2);
    assert_int_equal(network.receive_dropped, 3);
    assert_int_equal(network.sent_b, 586);
    assert_int_equal(network.sent_packets, 7);
    network = (struct stats_network){0};
    stats_network_parse("lo: 1 2", &network);
    assert_false(network.known);
    stats_network_parse("eth0:", &network);
    assert_int_equal(network.sent_b, 0);
}

static void test_stats__resource_page(void **state)
{
    struct cri_container record = {.id = "x1", .state = CRI_RUNNING, .started_ns = 2500000000};
    struct cri_container ended = {.id = "x0", .state = CRI_EXITED, .started_ns = 1500000000};
    struct cri_container late = {.id = "x2", .state = CRI_RUNNING, .started_ns = 2500000000};
    struct pod_container container = {.name = (char *)(uintptr_t) "c", .current = &record};
    struct pod_container init = {.name = (char *)(uintptr_t) "init", .current = &ended};
    struct pod_container ending = {.name = (char *)(uintptr_t) "ending", .current = &late};
    struct pod_container *containers[] = {&init, &container, &ending};
    const struct pod pod = {.namespace = (char *)(uintptr_t) "n", .name = (char *)(uintptr_t) "p",
                            .containers = containers, .n_containers = 3};
    const struct cri_stats figures[] = {
        {.id = "x1", .cpu_time_ns = 5000000000, .cpu_usage_ns = 1500000000, .memory_time_ns = 6000000000,
         .memory_working_b = 4096},
        {.id = "of another pod", .cpu_time_ns = 1, .memory_time_ns = 1},
        {.id = "x0", .layer_time_ns = 1},
        {.id = "x2", .layer_time_ns = 1}, /* ended a moment ago */
    };
    const struct stats_view view = {.pod = &pod, .containers = figures, .n_containers = 4, .has_use = true,
                                    .use = {.cpu_ns = 2000000000, .working_set_b = 8192}, .now_ns = 7000000000};
    CLEANUP(buf_done) struct buf text = {0};

    (void)state;
    stats_resource(&view, &text);
    assert_non_null(strstr(buf_text(&text), "\ncontainer_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 1.5 5000\n"));
    assert_non_null(strstr(buf_text(&text), "\ncontainer_memory_working_set_bytes{container=\"c\",namespace=\"n\",pod=\"p\"} 4096 6000\n"));
    assert_non_null(strstr(buf_text(&text), "\ncontainer_start_time_seconds{container=\"c\",namespace=\"n\",pod=\"p\"} 2.5\n"));
    assert_non_null(strstr(buf_text(&text), "\nnode_cpu_usage_seconds_total 2 7000\n"));
    assert_non_null(strstr(buf_text(&text), "\npod_memory_working_set_bytes{namespace=\"n\",pod=\"p\"} 8192 7000\n"));
    assert_non_null(strstr(buf_text(&text), "\nresource_scrape_error 0\n"));
    assert_null(strstr(buf_text(&text), "another"));
    /* metrics-server would leave out the whole pod */
    assert_null(strstr(buf_text(&text), "init"));
    assert_null(strstr(buf_text(&text), "ending"));
}

/* --- cAdvisor's page */

static void expect(const struct buf *text, const char *line)
{
    if (strstr(buf_text(text), line) == NULL)
        fail_msg("no %s in\n%s", line, buf_text(text));
}

static void test_stats__cadvisor_page(void **state)
{
    struct cri_container record = {.id = "x1", .state = CRI_RUNNING, .image = "i:1", .started_ns = 2500000000};
    struct pod_container container = {.name = (char *)(uintptr_t) "c", .current = &record};
    struct pod_container *containers[] = {&container};
    struct cri_sandbox sandbox = {.id = "s1"};
    const struct pod pod = {.namespace = (char *)(uintptr_t) "n", .name = (char *)(uintptr_t) "p",
                            .cgroup = (char *)(uintptr_t) "/fks/podu", .sandbox = &sandbox,
                            .containers = containers, .n_containers = 1, .size = {.cpu_m = 250, .mem_b = 1024}};
    const struct cri_stats stats[] = {
        {.id = "x1", .cpu_time_ns = 5000000000, .cpu_usage_ns = 1500000000, .memory_time_ns = 6000000000,
         .memory_working_b = 4096},
    };
    struct cgroups_disk disk = {.device = (char *)(uintptr_t) "/dev/vda", .reads = 3, .written_b = 512};
    struct stats_figures figures[] = {
        {true, {.quota_us = 25000, .period_us = 100000, .periods = 10, .throttled_periods = 4, .throttled_ns = 500000000,
                .processes = 2, .threads = 5, .oom_kills = 1, .disks = &disk, .n_disks = 1,
                .cpu_pressure = {1, {.total_us = 1500000, .avg10 = 2.5}, {0}}}},
    };
    const struct stats_view view = {.pod = &pod, .containers = stats, .n_containers = 1, .figures = figures,
                                    .has_use = true, .use = {.cpu_ns = 2000000000, .working_set_b = 8192},
                                    .network = {.known = true, .received_b = 77}, .sandbox_image = "pause:1",
                                    .machine = "machine_id=\"m\"", .now_ns = 7000000000};
    CLEANUP(buf_done) struct buf text = {0};

    (void)state;
    stats_cadvisor(&view, &text);
    expect(&text, "\ncontainer_cpu_usage_seconds_total{container=\"c\",cpu=\"total\",id=\"/fks/podu/x1\",image=\"i:1\","
                  "name=\"x1\",namespace=\"n\",pod=\"p\"} 1.5 5000\n");
    expect(&text, "\ncontainer_memory_working_set_bytes{container=\"\",id=\"/fks/podu\",image=\"\",name=\"\","
                  "namespace=\"n\",pod=\"p\"} 8192 7000\n");
    expect(&text, "\ncontainer_cpu_usage_seconds_total{container=\"\",cpu=\"total\",id=\"/\",image=\"\",name=\"\","
                  "namespace=\"\",pod=\"\"} 2 7000\n");
    expect(&text, "\ncontainer_cpu_cfs_throttled_periods_total{container=\"c\",id=\"/fks/podu/x1\",image=\"i:1\",name=\"x1\","
                  "namespace=\"n\",pod=\"p\"} 4 7000\n");
    expect(&text, "\ncontainer_cpu_cfs_throttled_seconds_total{container=\"c\",id=\"/fks/podu/x1\",image=\"i:1\",name=\"x1\","
                  "namespace=\"n\",pod=\"p\"} 0.5 7000\n");
    expect(&text, "\ncontainer_fs_reads_total{container=\"c\",device=\"/dev/vda\",id=");
    expect(&text, "\ncontainer_network_receive_bytes_total{container=\"\",id=\"/fks/podu/s1\",image=\"pause:1\",interface=\"eth0\","
                  "name=\"s1\",namespace=\"n\",pod=\"p\"} 77 7000\n");
    expect(&text, "\ncontainer_scrape_error 0\n");
    expect(&text, "\nmachine_cpu_cores{machine_id=\"m\"} 0.25\n");
    /* a figure that is not known is not shown as nothing */
    assert_null(strstr(buf_text(&text), "\ncontainer_memory_max_usage_bytes{"));
    assert_null(strstr(buf_text(&text), "\ncontainer_cpu_cfs_periods_total{container=\"\""));
    expect(&text, "\ncontainer_pressure_cpu_waiting_seconds_total{container=\"c\",id=\"/fks/podu/x1\",image=\"i:1\","
                  "name=\"x1\",namespace=\"n\",pod=\"p\"} 1.5 7000\n");
    expect(&text, "\ncontainer_pressure_cpu_stalled_seconds_total{container=\"c\",");
    assert_null(strstr(buf_text(&text), "\ncontainer_pressure_io_waiting_seconds_total{"));
    buf_clear(&text);
    stats_summary(&view, &text);
    expect(&text, "\"psi\":{\"full\":{\"total\":0,\"avg10\":0");
    expect(&text, "\"some\":{\"total\":1500000,\"avg10\":2.5,");
    assert_null(strstr(buf_text(&text), "\"io\""));
}

/* --- cgroup files */

/* The same container as either version of cgroups tells of it; 999:7 is no device of any machine. */
static void expect_figures(const struct cgroups *cgroups)
{
    CLEANUP(cgroups_figures_done) struct cgroups_figures figures = {0};
    struct cgroups_figures none;

    assert_true(cgroups_figures(cgroups, "u", "c1", &figures));
    assert_int_equal(figures.user_ns, 20000000);
    assert_int_equal(figures.system_ns, 10000000);
    assert_int_equal(figures.quota_us, 25000);
    assert_int_equal(figures.period_us, 100000);
    assert_int_equal(figures.periods, 7);
    assert_int_equal(figures.throttled_periods, 3);
    assert_int_equal(figures.throttled_ns, 42000);
    assert_int_equal(figures.cache_b, 8192);
    assert_int_equal(figures.mapped_b, 4096);
    assert_int_equal(figures.memory_peak_b, 65536);
    assert_int_equal(figures.memory_limit_b, 0);
    assert_int_equal(figures.memory_failures, 9);
    assert_int_equal(figures.oom_kills, 1);
    assert_int_equal(figures.processes, 2);
    assert_int_equal(figures.threads, 6);
    assert_int_equal(figures.n_disks, 1);
    assert_string_equal(figures.disks[0].device, "999:7");
    assert_int_equal(figures.disks[0].read_b, 100);
    assert_int_equal(figures.disks[0].written_b, 200);
    assert_int_equal(figures.disks[0].reads, 1);
    assert_int_equal(figures.disks[0].writes, 2);
    assert_false(cgroups_figures(cgroups, "u", "absent", &none));
    assert_true(cgroups_figures(cgroups, "u", NULL, &none));
    assert_int_equal(none.quota_us, 0);
    cgroups_figures_done(&none);
}

static void test_cgroups_figures__v2(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(cgroups_free) struct cgroups *cgroups = NULL;

    (void)state;
    temporary_file(mount, "cgroup.controllers", "cpu memory\n");
    assert_int_equal(cgroups_new(mount, "fks", &cgroups, &err), 0);
    temporary_file(mount, "fks/podu/c1/cpu.stat", "usage_usec 30000\nuser_usec 20000\nsystem_usec 10000\nnr_periods 7\n"
                                             "nr_throttled 3\nthrottled_usec 42\n");
    temporary_file(mount, "fks/podu/c1/cpu.max", "25000 100000\n");
    temporary_file(mount, "fks/podu/c1/memory.stat", "anon 1\nfile 8192\nfile_mapped 4096\n");
    temporary_file(mount, "fks/podu/c1/memory.peak", "65536\n");
    temporary_file(mount, "fks/podu/c1/memory.max", "max\n");
    temporary_file(mount, "fks/podu/c1/memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n");
    temporary_file(mount, "fks/podu/c1/pids.current", "6\n");
    temporary_file(mount, "fks/podu/c1/cgroup.procs", "10\n11\n");
    temporary_file(mount, "fks/podu/c1/io.stat", "999:7 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n");
    temporary_file(mount, "fks/podu/cpu.max", "max 100000\n");
    expect_figures(cgroups);
}

static void test_cgroups_figures__pressure(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(cgroups_free) struct cgroups *cgroups = NULL;
    CLEANUP(cgroups_figures_done) struct cgroups_figures figures = {0};

    (void)state;
    temporary_file(mount, "cgroup.controllers", "cpu memory\n");
    assert_int_equal(cgroups_new(mount, "fks", &cgroups, &err), 0);
    temporary_file(mount, "fks/podu/cpu.pressure", "some avg10=33.24 avg60=39.37 avg300=37.18 total=242337277\n"
                   "full avg10=0.50 avg60=0.00 avg300=0.00 total=17\n");
    temporary_file(mount, "fks/podu/memory.pressure", "some total\navg10=1\nmany avg10=1.00 total=5\n");
    assert_true(cgroups_figures(cgroups, "u", NULL, &figures));
    assert_true(figures.cpu_pressure.known);
    assert_int_equal(figures.cpu_pressure.some.total_us, 242337277);
    assert_true(figures.cpu_pressure.some.avg300 > 37 && figures.cpu_pressure.some.avg300 < 38);
    assert_int_equal(figures.cpu_pressure.full.total_us, 17);
    assert_true(figures.cpu_pressure.full.avg10 > 0.4 && figures.cpu_pressure.full.avg10 < 0.6);
    assert_int_equal(figures.memory_pressure.some.total_us, 0);
    assert_int_equal(figures.memory_pressure.full.total_us, 0);
    assert_false(figures.io_pressure.known);
}

static void test_cgroups_figures__v1(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(cgroups_free) struct cgroups *cgroups = NULL;
    int64_t tick_ms = 1000 / sysconf(_SC_CLK_TCK);
    CLEANUP(xfree) char *ticks = xasprintf("user %lld\nsystem %lld\n", 20ll / tick_ms, 10ll / tick_ms);

    (void)state;
    temporary_file(mount, "cpu/x", "");
    temporary_file(mount, "memory/x", "");
    assert_int_equal(cgroups_new(mount, "fks", &cgroups, &err), 0);
    temporary_file(mount, "cpuacct/fks/podu/c1/cpuacct.stat", ticks);
    temporary_file(mount, "cpu/fks/podu/c1/cpu.stat", "nr_periods 7\nnr_throttled 3\nthrottled_time 42000\n");
    temporary_file(mount, "cpu/fks/podu/c1/cpu.cfs_quota_us", "25000\n");
    temporary_file(mount, "cpu/fks/podu/c1/cpu.cfs_period_us", "100000\n");
    temporary_file(mount, "memory/fks/podu/c1/memory.stat", "cache 1\ntotal_cache 8192\ntotal_mapped_file 4096\n");
    temporary_file(mount, "memory/fks/podu/c1/memory.max_usage_in_bytes", "65536\n");
    temporary_file(mount, "memory/fks/podu/c1/memory.limit_in_bytes", "9223372036854771712\n");
    temporary_file(mount, "memory/fks/podu/c1/memory.failcnt", "9\n");
    temporary_file(mount, "memory/fks/podu/c1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    temporary_file(mount, "memory/fks/podu/c1/cgroup.procs", "10\n11\n");
    temporary_file(mount, "pids/fks/podu/c1/pids.current", "6\n");
    temporary_file(mount, "blkio/fks/podu/c1/blkio.throttle.io_service_bytes_recursive",
              "999:7 Read 100\n999:7 Write 200\n999:7 Total 300\nTotal 300\n");
    temporary_file(mount, "blkio/fks/podu/c1/blkio.throttle.io_serviced_recursive", "999:7 Read 1\n999:7 Write 2\nTotal 3\n");
    temporary_file(mount, "cpu/fks/podu/cpu.cfs_quota_us", "-1\n");
    expect_figures(cgroups);
}

static void test_cgroups_container__lives_in_cgroups_of_its_own(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(cgroups_free) struct cgroups *cgroups = NULL;

    (void)state;
    temporary_file(mount, "cgroup.controllers", "cpu memory\n");
    assert_int_equal(cgroups_new(mount, "fks", &cgroups, &err), 0);
    temporary_file(mount, "fks/podu/c1/cgroup.procs", "");
    assert_false(cgroups_container_lives(cgroups, "u", "c1"));
    temporary_file(mount, "fks/podu/c1/init/cgroup.procs", "10\n");
    assert_true(cgroups_container_lives(cgroups, "u", "c1"));
    assert_false(cgroups_container_lives(cgroups, "u", "c2"));
    assert_false(cgroups_container_lives(cgroups, "u", "../podu/c1"));
    assert_false(cgroups_container_lives(cgroups, "u", ".."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats__network),
        cmocka_unit_test(test_stats__resource_page),
        cmocka_unit_test(test_stats__cadvisor_page),
        cmocka_unit_test(test_cgroups_figures__v2),
        cmocka_unit_test(test_cgroups_figures__v1),
        cmocka_unit_test(test_cgroups_figures__pressure),
        cmocka_unit_test(test_cgroups_container__lives_in_cgroups_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
