/*
 * manifests.c: see manifests.h. The assembler copies each file in as it is (.incbin); the paths are relative to the
 * repository's root, where make runs.
 */
#include "install/manifests.h"

#define EMBED(symbol, path)                                                                        \
    extern const char symbol##_begin[], symbol##_end[];                                            \
    __asm__(".pushsection .rodata\n" #symbol "_begin:\n.incbin \"" path "\"\n" #symbol "_end:\n.byte 0\n.popsection\n")

EMBED(manifest_namespace, "manifests/namespace.yaml");
EMBED(manifest_profiles, "manifests/crd/fargateprofiles.yaml");
EMBED(manifest_hosts, "manifests/crd/fargatehosts.yaml");
EMBED(manifest_rbac_people, "manifests/rbac/people.yaml");
EMBED(manifest_rbac_node, "manifests/rbac/node.yaml");
EMBED(manifest_rbac_scheduler, "manifests/rbac/scheduler.yaml");
EMBED(manifest_rbac_webhook, "manifests/rbac/webhook.yaml");
EMBED(manifest_webhook, "manifests/webhook/webhook.yaml");
EMBED(manifest_coredns_rbac, "manifests/coredns/rbac.yaml");
EMBED(manifest_coredns, "manifests/coredns/coredns.yaml");
EMBED(manifest_install, "manifests/install.yaml");
EMBED(manifest_install_hosts, "manifests/install-hosts.yaml");
EMBED(manifest_install_eks, "manifests/install-eks.yaml");

#define ROW(symbol, path) rows[n++] = (struct manifest){path, {symbol##_begin, (size_t)(symbol##_end - symbol##_begin)}}

const struct manifest *manifests_of(enum manifest_set set)
{
    static struct manifest base[8], webhook[2], coredns[3], install[2], install_eks[2], hosts[2];
    struct manifest *const sets[] = {[MANIFESTS_BASE] = base,
                                     [MANIFESTS_WEBHOOK] = webhook,
                                     [MANIFESTS_COREDNS] = coredns,
                                     [MANIFESTS_INSTALL] = install,
                                     [MANIFESTS_INSTALL_EKS] = install_eks,
                                     [MANIFESTS_INSTALL_HOSTS] = hosts};
    struct manifest *rows = sets[set];
    size_t n = 0;
    switch (set) {
    case MANIFESTS_BASE:
        ROW(manifest_namespace, "namespace.yaml");
        ROW(manifest_rbac_people, "rbac/people.yaml");
        ROW(manifest_rbac_node, "rbac/node.yaml");
        ROW(manifest_rbac_scheduler, "rbac/scheduler.yaml");
        ROW(manifest_rbac_webhook, "rbac/webhook.yaml");
        /* last: the supervisor starts FKS's programs when these are served */
        ROW(manifest_profiles, "crd/fargateprofiles.yaml");
        ROW(manifest_hosts, "crd/fargatehosts.yaml");
        break;
    case MANIFESTS_WEBHOOK:
        ROW(manifest_webhook, "webhook/webhook.yaml");
        break;
    case MANIFESTS_COREDNS:
        ROW(manifest_coredns_rbac, "coredns/rbac.yaml");
        ROW(manifest_coredns, "coredns/coredns.yaml");
        break;
    case MANIFESTS_INSTALL_EKS:
        ROW(manifest_install_eks, "install-eks.yaml");
        break;
    case MANIFESTS_INSTALL:
        ROW(manifest_install, "install.yaml");
        break;
    case MANIFESTS_INSTALL_HOSTS:
        ROW(manifest_install_hosts, "install-hosts.yaml");
        break;
    }
    return rows;
}
