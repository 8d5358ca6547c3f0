/*
 * discovery_table.c: the resources that every API server of Kubernetes 1.36 has, in the server's own order (which decides
 * between equal names), so that naming a pod costs no request. Preferred version first. Taken from the aggregated
 * discovery documents of a real server: /api and /apis with as=APIGroupDiscoveryList.
 */
#include "kube/discovery_internal.h"

#define CLUSTER false
#define NAMESPACED true
#define ADMISSION "admissionregistration.k8s.io"
#define AUTHENTICATION "authentication.k8s.io"
#define AUTHORIZATION "authorization.k8s.io"
#define FLOWCONTROL "flowcontrol.apiserver.k8s.io"
#define EXTENSIONS "api-extensions"
#define RBAC "rbac.authorization.k8s.io"

#define CREATE "create"
#define READ "get,list"
#define SINGLE "create,delete,get,list,patch,update,watch"
#define EVERY "create,delete,deletecollection,get,list,patch,update,watch"

/* group, version, plural, kind (its lower case is the singular), scope, short names, categories, verbs */
const struct discovery_row discovery_table[] = {
    {"", "v1", "bindings", "Binding", NAMESPACED, "", "", CREATE},
    {"", "v1", "componentstatuses", "ComponentStatus", CLUSTER, "cs", "", READ},
    {"", "v1", "configmaps", "ConfigMap", NAMESPACED, "cm", "", EVERY},
    {"", "v1", "endpoints", "Endpoints", NAMESPACED, "ep", "", EVERY},
    {"", "v1", "events", "Event", NAMESPACED, "ev", "", EVERY},
    {"", "v1", "limitranges", "LimitRange", NAMESPACED, "limits", "", EVERY},
    {"", "v1", "namespaces", "Namespace", CLUSTER, "ns", "", SINGLE},
    {"", "v1", "nodes", "Node", CLUSTER, "no", "", EVERY},
    {"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", NAMESPACED, "pvc", "", EVERY},
    {"", "v1", "persistentvolumes", "PersistentVolume", CLUSTER, "pv", "", EVERY},
    {"", "v1", "pods", "Pod", NAMESPACED, "po", "all", EVERY},
    {"", "v1", "podtemplates", "PodTemplate", NAMESPACED, "", "", EVERY},
    {"", "v1", "replicationcontrollers", "ReplicationController", NAMESPACED, "rc", "all", EVERY},
    {"", "v1", "resourcequotas", "ResourceQuota", NAMESPACED, "quota", "", EVERY},
    {"", "v1", "secrets", "Secret", NAMESPACED, "", "", EVERY},
    {"", "v1", "serviceaccounts", "ServiceAccount", NAMESPACED, "sa", "", EVERY},
    {"", "v1", "services", "Service", NAMESPACED, "svc", "all", EVERY},
    {"apiregistration.k8s.io", "v1", "apiservices", "APIService", CLUSTER, "", EXTENSIONS, EVERY},
    {"apps", "v1", "controllerrevisions", "ControllerRevision", NAMESPACED, "", "", EVERY},
    {"apps", "v1", "daemonsets", "DaemonSet", NAMESPACED, "ds", "all", EVERY},
    {"apps", "v1", "deployments", "Deployment", NAMESPACED, "deploy", "all", EVERY},
    {"apps", "v1", "replicasets", "ReplicaSet", NAMESPACED, "rs", "all", EVERY},
    {"apps", "v1", "statefulsets", "StatefulSet", NAMESPACED, "sts", "all", EVERY},
    {"events.k8s.io", "v1", "events", "Event", NAMESPACED, "ev", "", EVERY},
    {AUTHENTICATION, "v1", "selfsubjectreviews", "SelfSubjectReview", CLUSTER, "", "", CREATE},
    {AUTHENTICATION, "v1", "tokenreviews", "TokenReview", CLUSTER, "", "", CREATE},
    {AUTHORIZATION, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", NAMESPACED, "", "", CREATE},
    {AUTHORIZATION, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", CLUSTER, "", "", CREATE},
    {AUTHORIZATION, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", CLUSTER, "", "", CREATE},
    {AUTHORIZATION, "v1", "subjectaccessreviews", "SubjectAccessReview", CLUSTER, "", "", CREATE},
    {"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", NAMESPACED, "hpa", "all", EVERY},
    {"autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", NAMESPACED, "hpa", "all", EVERY},
    {"batch", "v1", "cronjobs", "CronJob", NAMESPACED, "cj", "all", EVERY},
    {"batch", "v1", "jobs", "Job", NAMESPACED, "", "all", EVERY},
    {"certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", CLUSTER, "csr", "", EVERY},
    {"networking.k8s.io", "v1", "ingressclasses", "IngressClass", CLUSTER, "", "", EVERY},
    {"networking.k8s.io", "v1", "ingresses", "Ingress", NAMESPACED, "ing", "", EVERY},
    {"networking.k8s.io", "v1", "ipaddresses", "IPAddress", CLUSTER, "ip", "", EVERY},
    {"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", NAMESPACED, "netpol", "", EVERY},
    {"networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", CLUSTER, "", "", EVERY},
    {"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", NAMESPACED, "pdb", "", EVERY},
    {RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", CLUSTER, "", "", EVERY},
    {RBAC, "v1", "clusterroles", "ClusterRole", CLUSTER, "", "", EVERY},
    {RBAC, "v1", "rolebindings", "RoleBinding", NAMESPACED, "", "", EVERY},
    {RBAC, "v1", "roles", "Role", NAMESPACED, "", "", EVERY},
    {"storage.k8s.io", "v1", "csidrivers", "CSIDriver", CLUSTER, "", "", EVERY},
    {"storage.k8s.io", "v1", "csinodes", "CSINode", CLUSTER, "", "", EVERY},
    {"storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", NAMESPACED, "", "", EVERY},
    {"storage.k8s.io", "v1", "storageclasses", "StorageClass", CLUSTER, "sc", "", EVERY},
    {"storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", CLUSTER, "", "", EVERY},
    {"storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", CLUSTER, "vac", "", EVERY},
    {ADMISSION, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", CLUSTER, "", EXTENSIONS, EVERY},
    {ADMISSION, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", CLUSTER, "", EXTENSIONS, EVERY},
    {ADMISSION, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", CLUSTER, "", EXTENSIONS, EVERY},
    {ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", CLUSTER, "", EXTENSIONS, EVERY},
    {ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", CLUSTER, "", EXTENSIONS, EVERY},
    {ADMISSION, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", CLUSTER, "", EXTENSIONS, EVERY},
    {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", CLUSTER, "crd,crds", EXTENSIONS, EVERY},
    {"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", CLUSTER, "pc", "", EVERY},
    {"coordination.k8s.io", "v1", "leases", "Lease", NAMESPACED, "", "", EVERY},
    {"node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", CLUSTER, "", "", EVERY},
    {"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", NAMESPACED, "", "", EVERY},
    {"resource.k8s.io", "v1", "deviceclasses", "DeviceClass", CLUSTER, "", "", EVERY},
    {"resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", NAMESPACED, "", "", EVERY},
    {"resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate", NAMESPACED, "", "", EVERY},
    {"resource.k8s.io", "v1", "resourceslices", "ResourceSlice", CLUSTER, "", "", EVERY},
    {FLOWCONTROL, "v1", "flowschemas", "FlowSchema", CLUSTER, "", "", EVERY},
    {FLOWCONTROL, "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", CLUSTER, "", "", EVERY},
};
const size_t discovery_table_len = countof(discovery_table);
