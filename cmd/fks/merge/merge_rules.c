/*
 * merge_rules.c: which lists of the built-in kinds merge, and by what key: the x-kubernetes-patch-* marks of the API
 * server's OpenAPI document as a table, so that no apply has to fetch it. test/integration/cli/test_merge_rules.py
 * holds the table against a real server's document.
 */
#include "merge/merge_internal.h"

#include "base/str.h"

static const struct merge_rule rules[] = {
    {"addresses", "type", "status"},
    {"allocatedResourcesStatus", "name"},
    {"conditions", "type", "status",
     .except = "ValidatingAdmissionPolicy,CertificateSigningRequest,CustomResourceDefinition"},
    {"conditions", "type", "", .only = "ComponentStatus"},
    {"containers", "name", "spec"},
    {"drivers", "name", "spec"},
    {"env", "name"},
    {"ephemeralContainers", "name", "spec"},
    {"finalizers", NULL, "metadata"},
    {"hostAliases", "ip", "spec"},
    {"hostIPs", "ip", "status"},
    {"imagePullSecrets", "name", "spec"},
    {"initContainers", "name", "spec"},
    {"matchConditions", "name"},
    {"ownerReferences", "uid", "metadata"},
    {"podCIDRs", NULL, "spec"},
    {"podIPs", "ip", "status"},
    {"ports", "containerPort", "containers"},
    {"ports", "containerPort", "initContainers"},
    {"ports", "containerPort", "ephemeralContainers"},
    {"ports", "port", "spec"},
    {"reservedFor", "uid", "status"},
    {"resourceClaimStatuses", "name", "status", .retain_keys = true},
    {"resourceClaims", "name", "spec", .retain_keys = true},
    {"schedulingGates", "name", "spec"},
    {"secrets", "name", ""},
    {"topologySpreadConstraints", "topologyKey", "spec"},
    {"variables", "name", "spec", .except = "MutatingAdmissionPolicy"},
    {"volumeDevices", "devicePath"},
    {"volumeMounts", "mountPath"},
    {"volumes", "name", "spec", .retain_keys = true},
    {"webhooks", "name", ""},
};

static bool is_listed(const char *kinds, const char *kind)
{
    CLEANUP(strv_done) struct strv list = {0};
    strv_split(&list, kinds, ',');
    return strv_has(&list, strempty(kind));
}

const struct merge_rule *merge_rule_find(const char *kind, const char *field, const char *parent)
{
    for (size_t i = 0; i < countof(rules); i++) {
        const struct merge_rule *rule = &rules[i];
        if (streq(rule->field, field) && (rule->parent == NULL || streq(rule->parent, parent)) &&
            (rule->only == NULL || is_listed(rule->only, kind)) &&
            (rule->except == NULL || !is_listed(rule->except, kind)))
            return rule;
    }
    return NULL;
}

bool merge_rule_replaces(const char *kind, const char *field, const char *parent)
{
    return streq(field, "selector") && streq(parent, "spec") && streq(kind, "PodDisruptionBudget");
}

bool merge_rule_retains(const char *field, const char *parent)
{
    return streq(field, "strategy") && streq(parent, "spec");
}

enum merge_style merge_style_of(const char *group)
{
    /* The groups of k8s.io/api; others that end the same way (metrics.k8s.io, CRDs under x-k8s.io) are not. */
    static const char *const built_in[] = {"",
                                           "apps",
                                           "batch",
                                           "autoscaling",
                                           "policy",
                                           "extensions",
                                           "admissionregistration.k8s.io",
                                           "authentication.k8s.io",
                                           "authorization.k8s.io",
                                           "certificates.k8s.io",
                                           "coordination.k8s.io",
                                           "discovery.k8s.io",
                                           "events.k8s.io",
                                           "flowcontrol.apiserver.k8s.io",
                                           "internal.apiserver.k8s.io",
                                           "networking.k8s.io",
                                           "node.k8s.io",
                                           "rbac.authorization.k8s.io",
                                           "resource.k8s.io",
                                           "scheduling.k8s.io",
                                           "storage.k8s.io",
                                           "storagemigration.k8s.io"};
    for (size_t i = 0; i < countof(built_in); i++) {
        if (streq(built_in[i], group))
            return MERGE_STRATEGIC;
    }
    return MERGE_JSON;
}
