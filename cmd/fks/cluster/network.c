/*
 * network.c: see network.h. The host's own addresses, rules and namespaces are left alone: what is ours is named fksI-...
 * or carries the comment fksI.
 */
#include "cluster/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"

#define COMMAND_TIMEOUT_MS 20000

/* Runs a program with words from a NULL-ended list. */
static int run(struct buf *output, struct err *err, const char *program, ...)
{
    struct strv argv = {0};
    va_list args;
    va_start(args, program);
    for (const char *word = program; word != NULL; word = va_arg(args, const char *))
        strv_add(&argv, word);
    va_end(args);
    int r = proc_run((const char *const *)argv.items, NULL, 0, COMMAND_TIMEOUT_MS, output, err);
    strv_done(&argv);
    return r;
}

static bool works(const char *const *argv)
{
    struct err err = {0};
    bool ok = proc_run(argv, NULL, 0, COMMAND_TIMEOUT_MS, NULL, &err) >= 0;
    err_clear(&err);
    return ok;
}

/* Many ip(8) commands in one process. */
static int ip_batch(const char *netns, const struct buf *commands, struct err *err)
{
    const char *const here[] = {"ip", "-batch", "-", NULL};
    const char *const inside[] = {"ip", "-n", netns, "-batch", "-", NULL};
    return proc_run(netns != NULL ? inside : here, commands->data, commands->len, COMMAND_TIMEOUT_MS, NULL, err);
}

/* --- choosing */

struct range {
    uint32_t first, last;
};

static bool range_parse(const char *cidr, struct range *ret)
{
    CLEANUP(xfree) char *address = xstrdup(cidr);
    char *slash = strchr(address, '/');
    int64_t bits = 32;
    struct err ignored = {0};
    if (slash != NULL) {
        *slash = '\0';
        if (parse_int(slash + 1, 0, 32, &bits, &ignored) < 0) {
            err_clear(&ignored);
            return false;
        }
    }
    struct in_addr number;
    if (inet_pton(AF_INET, address, &number) != 1)
        return false;
    uint32_t mask = bits == 0 ? 0 : ~0u << (32 - bits);
    ret->first = ntohl(number.s_addr) & mask;
    ret->last = ret->first | ~mask;
    return true;
}

/* Every destination that this machine routes, its default route left out. */
static int routes_taken(struct strv *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf output = {0};
    CLEANUP(json_free) struct json *routes = NULL;
    int r = run(&output, err, "ip", "-j", "-4", "route", "show", "table", "all", NULL);
    if (r < 0)
        return err_wrap(err, "listing the machine's routes");
    if ((r = json_parse(buf_text(&output), output.len, &routes, err)) < 0)
        return err_wrap(err, "reading the output of 'ip -j route'");
    const struct json *route;
    json_each(route, routes)
    {
        const char *destination = json_str(route, "dst", NULL);
        if (destination != NULL && !streq(destination, "default"))
            strv_add(ret, destination);
    }
    return 0;
}

static bool overlaps(const struct strv *taken, const char *cidr)
{
    struct range wanted, other;
    if (!range_parse(cidr, &wanted))
        return true;
    for (size_t i = 0; i < taken->n; i++)
        if (range_parse(taken->items[i], &other) && wanted.first <= other.last && other.first <= wanted.last)
            return true;
    return false;
}

int network_find_number(const bool known[CLUSTER_MAX], int *ret, struct err *err)
{
    CLEANUP(strv_done) struct strv taken = {0};
    int r = routes_taken(&taken, err);
    if (r < 0)
        return r;
    for (int number = 0; number < CLUSTER_MAX; number++) {
        CLEANUP(xfree) char *bridge = cluster_bridge_cidr(number);
        CLEANUP(xfree) char *pods = cluster_pod_cidr(number);
        CLEANUP(xfree) char *services = cluster_service_cidr(number);
        CLEANUP(xfree) char *claim = xasprintf("/run/fks/%d", number);
        if (known[number] || file_exists(claim) || overlaps(&taken, bridge) || overlaps(&taken, pods) || overlaps(&taken, services))
            continue;
        *ret = number;
        return 0;
    }
    return err_set(err, ERR_EXISTS,
                   "all %d address ranges for clusters (10.201.x, 10.202-217.x) overlap routes of this machine: delete a "
                   "cluster or free one of these ranges",
                   CLUSTER_MAX);
}

int network_check_port(const char *address, int port, struct err *err)
{
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (fd < 0 || inet_pton(AF_INET, address, &where.sin_addr) != 1)
        return err_errno(err, errno, "checking port %d on %s", port, address);
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&where, sizeof(where)) == 0)
        return 0;
    if (errno == EADDRINUSE)
        return err_set(err, ERR_EXISTS, "port %d is in use on %s: stop what listens there ('ss -ltnp' tells), or choose another",
                       port, address);
    return err_errno(err, errno, "checking port %d on %s", port, address);
}

int network_free_port(const char *address, int wanted, int *ret, struct err *err)
{
    for (int port = wanted; port < wanted + 2000 && port < 65536; port++) {
        struct err taken = {0};
        int r = network_check_port(address, port, &taken);
        if (r == 0) {
            *ret = port;
            return 0;
        }
        if (r != ERR_EXISTS) {
            err_move(err, &taken);
            return r;
        }
        err_clear(&taken);
    }
    return err_set(err, ERR_EXISTS, "no free port on %s from %d on", address, wanted);
}

/* --- translation: pods and hosts reach the outside with the machine's address */

struct rule {
    const char *table, *chain;
    const char *match[8]; /* NULL-ended */
};

static void rule_argv(const struct rule *rule, const char *action, const char *comment, struct strv *argv)
{
    const char *const head[] = {"iptables", "-w", "-t", rule->table, action, rule->chain};
    for (size_t i = 0; i < countof(head); i++)
        strv_add(argv, head[i]);
    const char *target = rule->match[0];
    for (size_t i = 1; rule->match[i] != NULL; i++)
        strv_add(argv, rule->match[i]);
    const char *const tail[] = {"-m", "comment", "--comment", comment, "-j", target};
    for (size_t i = 0; i < countof(tail); i++)
        strv_add(argv, tail[i]);
}

static int rules_apply(const struct cluster *cluster, bool wanted, struct err *err)
{
    CLEANUP(xfree) char *bridge = cluster_bridge(cluster);
    CLEANUP(xfree) char *hosts = cluster_bridge_cidr(cluster->number);
    CLEANUP(xfree) char *pods = cluster_pod_cidr(cluster->number);
    CLEANUP(xfree) char *comment = cluster_cgroup(cluster);
    const struct rule rules[] = {
        {"nat", "POSTROUTING", {"MASQUERADE", "-s", hosts, "!", "-o", bridge, NULL}},
        {"nat", "POSTROUTING", {"MASQUERADE", "-s", pods, "!", "-o", bridge, NULL}},
        {"filter", "FORWARD", {"ACCEPT", "-i", bridge, NULL}},
        {"filter", "FORWARD", {"ACCEPT", "-o", bridge, NULL}},
    };
    for (size_t i = 0; i < countof(rules); i++) {
        CLEANUP(strv_done) struct strv check = {0};
        rule_argv(&rules[i], "-C", comment, &check);
        bool present = works((const char *const *)check.items);
        if (present == wanted)
            continue;
        CLEANUP(strv_done) struct strv change = {0};
        rule_argv(&rules[i], wanted ? "-I" : "-D", comment, &change);
        if (proc_run((const char *const *)change.items, NULL, 0, COMMAND_TIMEOUT_MS, NULL, err) < 0)
            return err_wrap(err, "%s the translation rules of bridge '%s'", wanted ? "adding" : "removing", bridge);
    }
    return 0;
}

/* --- links */

static bool link_exists(const char *name)
{
    CLEANUP(xfree) char *path = path_join("/sys/class/net", name, NULL);
    return file_exists(path);
}

static int write_text(const char *path, const char *text, struct err *err)
{
    FILE *file = fopen(path, "we");
    bool written = file != NULL && fputs(text, file) >= 0;
    int failed = errno;
    if (file != NULL && fclose(file) != 0) {
        written = false;
        failed = errno;
    }
    return written ? 0 : err_errno(err, failed, "writing '%s' to '%s'", text, path);
}

int network_up(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *bridge = cluster_bridge(cluster);
    CLEANUP(xfree) char *address = cluster_address(cluster);
    CLEANUP(xfree) char *services = cluster_service_cidr(cluster->number);
    CLEANUP(buf_done) struct buf commands = {0};
    if (!link_exists(bridge))
        buf_printf(&commands, "link add %s type bridge\n", bridge);
    buf_printf(&commands, "addr replace %s/24 dev %s\nlink set %s up\n", address, bridge, bridge);
    /* a service address that kube-proxy does not know (yet) fails at once instead of being looked for outside */
    buf_printf(&commands, "route replace unreachable %s\n", services);
    if (ip_batch(NULL, &commands, err) < 0)
        return err_wrap(err, "making the bridge '%s'", bridge);
    if (write_text("/proc/sys/net/ipv4/ip_forward", "1", err) < 0)
        return err_wrap(err, "turning on forwarding for the cluster's network");
    return rules_apply(cluster, true, err);
}

/* Settings inside a host's namespace; /proc/sys/net shows the namespace of the process that opens it. */
static int host_settings(const char *netns, struct err *err)
{
    CLEANUP(xfree) char *file = xasprintf("/run/netns/%s", netns);
    CLEANUP(xfree) char *net = xasprintf("--net=%s", file);
    return run(NULL, err, "nsenter", net, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
               "net.ipv4.conf.default.rp_filter=0", NULL);
}

/* Each host knows the way to the pods of every other. */
static void pod_routes(const struct cluster *cluster, int except, struct buf *commands)
{
    for (size_t i = 0; i < cluster->n_hosts; i++) {
        int number = cluster->hosts[i].number;
        CLEANUP(xfree) char *pods = cluster_host_pod_cidr(cluster, number);
        CLEANUP(xfree) char *address = cluster_host_address(cluster, number);
        if (number != except)
            buf_printf(commands, "route replace %s via %s\n", pods, address);
    }
}

int network_host_up(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *bridge = cluster_bridge(cluster);
    CLEANUP(xfree) char *gateway = cluster_address(cluster);
    CLEANUP(xfree) char *address = cluster_host_address(cluster, host->number);
    CLEANUP(xfree) char *netns = cluster_netns(cluster, host->number);
    CLEANUP(xfree) char *netns_file = xasprintf("/run/netns/%s", netns);
    CLEANUP(xfree) char *pods = cluster_host_pod_cidr(cluster, host->number);
    if (!file_exists(netns_file) && run(NULL, err, "ip", "netns", "add", netns, NULL) < 0)
        return err_wrap(err, "making the network namespace of host '%s'", host->name);
    CLEANUP(buf_done) struct buf outside = {0};
    if (!link_exists(netns))
        buf_printf(&outside, "link add %s type veth peer name eth0 netns %s\n", netns, netns);
    buf_printf(&outside, "link set %s master %s up\n", netns, bridge);
    CLEANUP(buf_done) struct buf inside = {0};
    buf_printf(&inside,
               "link set lo up\naddr replace %s/24 dev eth0\nlink set eth0 up\nroute replace default via %s\n", address,
               gateway);
    pod_routes(cluster, host->number, &inside);
    if (ip_batch(NULL, &outside, err) < 0 || ip_batch(netns, &inside, err) < 0)
        return err_wrap(err, "cabling the network namespace of host '%s'", host->name);
    CLEANUP(buf_done) struct buf routes = {0};
    buf_printf(&routes, "route replace %s via %s\n", pods, address);
    if (ip_batch(NULL, &routes, err) < 0)
        return err_wrap(err, "routing the pods of host '%s'", host->name);
    /* hosts that were there before learn the way to this one */
    for (size_t i = 0; i < cluster->n_hosts; i++) {
        CLEANUP(xfree) char *other = cluster_netns(cluster, cluster->hosts[i].number);
        CLEANUP(xfree) char *other_file = xasprintf("/run/netns/%s", other);
        if (cluster->hosts[i].number != host->number && file_exists(other_file) && ip_batch(other, &routes, err) < 0)
            return err_wrap(err, "routing the pods of host '%s' on host '%s'", host->name, cluster->hosts[i].name);
    }
    return host_settings(netns, err);
}

int network_host_down(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *netns = cluster_netns(cluster, host->number);
    CLEANUP(xfree) char *netns_file = xasprintf("/run/netns/%s", netns);
    if (link_exists(netns) && run(NULL, err, "ip", "link", "del", netns, NULL) < 0)
        return err_wrap(err, "removing the cable of host '%s'", host->name);
    if (file_exists(netns_file) && run(NULL, err, "ip", "netns", "del", netns, NULL) < 0)
        return err_wrap(err, "removing the network namespace of host '%s'", host->name);
    return 0;
}

int network_down(const struct cluster *cluster, struct err *err)
{
    int r;
    for (size_t i = 0; i < cluster->n_hosts; i++)
        if ((r = network_host_down(cluster, &cluster->hosts[i], err)) < 0)
            return r;
    if ((r = rules_apply(cluster, false, err)) < 0)
        return r;
    CLEANUP(xfree) char *bridge = cluster_bridge(cluster);
    CLEANUP(xfree) char *services = cluster_service_cidr(cluster->number);
    const char *const drop_route[] = {"ip", "route", "del", "unreachable", services, NULL};
    (void)works(drop_route); /* fails when it is not there, which is as good */
    if (link_exists(bridge) && run(NULL, err, "ip", "link", "del", bridge, NULL) < 0)
        return err_wrap(err, "removing the bridge '%s'", bridge);
    return 0;
}
