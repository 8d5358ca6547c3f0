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

#define ROW(group, version, plural, kind, ...) {group, version, plural, kind, kind, __VA_ARGS__}

/* group, version, plural, kind (its lower case is the singular), scope, short names, categories, verbs */
const struct kube_resource discovery_table[] = {
    ROW("", "v1", "bindings", "Binding", NAMESPACED, "", "", CREATE),
    ROW("", "v1", "componentstatuses", "ComponentStatus", CLUSTER, "cs", "", READ),
    ROW("", "v1", "configmaps", "ConfigMap", NAMESPACED, "cm", "", EVERY),
    ROW("", "v1", "endpoints", "Endpoints", NAMESPACED, "ep", "", EVERY),
    ROW("", "v1", "events", "Event", NAMESPACED, "ev", "", EVERY),
    ROW("", "v1", "limitranges", "LimitRange", NAMESPACED, "limits", "", EVERY),
    ROW("", "v1", "namespaces", "Namespace", CLUSTER, "ns", "", SINGLE),
    ROW("", "v1", "nodes", "Node", CLUSTER, "no", "", EVERY),
    ROW("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", NAMESPACED, "pvc", "", EVERY),
    ROW("", "v1", "persistentvolumes", "PersistentVolume", CLUSTER, "pv", "", EVERY),
    ROW("", "v1", "pods", "Pod", NAMESPACED, "po", "all", EVERY),
    ROW("", "v1", "podtemplates", "PodTemplate", NAMESPACED, "", "", EVERY),
    ROW("", "v1", "replicationcontrollers", "ReplicationController", NAMESPACED, "rc", "all", EVERY),
    ROW("", "v1", "resourcequotas", "ResourceQuota", NAMESPACED, "quota", "", EVERY),
    ROW("", "v1", "secrets", "Secret", NAMESPACED, "", "", EVERY),
    ROW("", "v1", "serviceaccounts", "ServiceAccount", NAMESPACED, "sa", "", EVERY),
    ROW("", "v1", "services", "Service", NAMESPACED, "svc", "all", EVERY),
    ROW("apiregistration.k8s.io", "v1", "apiservices", "APIService", CLUSTER, "", EXTENSIONS, EVERY),
    ROW("apps", "v1", "controllerrevisions", "ControllerRevision", NAMESPACED, "", "", EVERY),
    ROW("apps", "v1", "daemonsets", "DaemonSet", NAMESPACED, "ds", "all", EVERY),
    ROW("apps", "v1", "deployments", "Deployment", NAMESPACED, "deploy", "all", EVERY),
    ROW("apps", "v1", "replicasets", "ReplicaSet", NAMESPACED, "rs", "all", EVERY),
    ROW("apps", "v1", "statefulsets", "StatefulSet", NAMESPACED, "sts", "all", EVERY),
    ROW("events.k8s.io", "v1", "events", "Event", NAMESPACED, "ev", "", EVERY),
    ROW(AUTHENTICATION, "v1", "selfsubjectreviews", "SelfSubjectReview", CLUSTER, "", "", CREATE),
    ROW(AUTHENTICATION, "v1", "tokenreviews", "TokenReview", CLUSTER, "", "", CREATE),
    ROW(AUTHORIZATION, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", NAMESPACED, "", "", CREATE),
    ROW(AUTHORIZATION, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", CLUSTER, "", "", CREATE),
    ROW(AUTHORIZATION, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", CLUSTER, "", "", CREATE),
    ROW(AUTHORIZATION, "v1", "subjectaccessreviews", "SubjectAccessReview", CLUSTER, "", "", CREATE),
    ROW("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", NAMESPACED, "hpa", "all", EVERY),
    ROW("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", NAMESPACED, "hpa", "all", EVERY),
    ROW("batch", "v1", "cronjobs", "CronJob", NAMESPACED, "cj", "all", EVERY),
    ROW("batch", "v1", "jobs", "Job", NAMESPACED, "", "all", EVERY),
    ROW("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", CLUSTER, "csr", "", EVERY),
    ROW("networking.k8s.io", "v1", "ingressclasses", "IngressClass", CLUSTER, "", "", EVERY),
    ROW("networking.k8s.io", "v1", "ingresses", "Ingress", NAMESPACED, "ing", "", EVERY),
    ROW("networking.k8s.io", "v1", "ipaddresses", "IPAddress", CLUSTER, "ip", "", EVERY),
    ROW("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", NAMESPACED, "netpol", "", EVERY),
    ROW("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", CLUSTER, "", "", EVERY),
    ROW("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", NAMESPACED, "pdb", "", EVERY),
    ROW(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", CLUSTER, "", "", EVERY),
    ROW(RBAC, "v1", "clusterroles", "ClusterRole", CLUSTER, "", "", EVERY),
    ROW(RBAC, "v1", "rolebindings", "RoleBinding", NAMESPACED, "", "", EVERY),
    ROW(RBAC, "v1", "roles", "Role", NAMESPACED, "", "", EVERY),
    ROW("storage.k8s.io", "v1", "csidrivers", "CSIDriver", CLUSTER, "", "", EVERY),
    ROW("storage.k8s.io", "v1", "csinodes", "CSINode", CLUSTER, "", "", EVERY),
    ROW("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", NAMESPACED, "", "", EVERY),
    ROW("storage.k8s.io", "v1", "storageclasses", "StorageClass", CLUSTER, "sc", "", EVERY),
    ROW("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", CLUSTER, "", "", EVERY),
    ROW("storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", CLUSTER, "vac", "", EVERY),
    ROW(ADMISSION, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", CLUSTER, "", EXTENSIONS, EVERY),
    ROW(ADMISSION, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", CLUSTER, "", EXTENSIONS, EVERY),
    ROW(ADMISSION, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", CLUSTER, "", EXTENSIONS, EVERY),
    ROW(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", CLUSTER, "", EXTENSIONS, EVERY),
    ROW(ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", CLUSTER, "", EXTENSIONS, EVERY),
    ROW(ADMISSION, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", CLUSTER, "", EXTENSIONS, EVERY),
    ROW("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", CLUSTER, "crd,crds", EXTENSIONS, EVERY),
    ROW("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", CLUSTER, "pc", "", EVERY),
    ROW("coordination.k8s.io", "v1", "leases", "Lease", NAMESPACED, "", "", EVERY),
    ROW("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", CLUSTER, "", "", EVERY),
    ROW("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", NAMESPACED, "", "", EVERY),
    ROW("resource.k8s.io", "v1", "deviceclasses", "DeviceClass", CLUSTER, "", "", EVERY),
    ROW("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", NAMESPACED, "", "", EVERY),
    ROW("resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate", NAMESPACED, "", "", EVERY),
    ROW("resource.k8s.io", "v1", "resourceslices", "ResourceSlice", CLUSTER, "", "", EVERY),
    ROW(FLOWCONTROL, "v1", "flowschemas", "FlowSchema", CLUSTER, "", "", EVERY),
    ROW(FLOWCONTROL, "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", CLUSTER, "", "", EVERY),
};
const size_t discovery_table_len = countof(discovery_table);
