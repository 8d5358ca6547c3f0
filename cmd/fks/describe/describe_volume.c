/*
 * describe_volume.c: the volumes of a pod. A kind of volume is one row: its title, and the fields shown.
 */
#include "base/mem.h"
#include "describe/describe.h"
#include "text/gotext.h"

/* Secret references print as Go's structs do; where kubectl shows a part, path names it. */
enum shown {
    SHOW_TEXT,
    SHOW_BOOL,
    SHOW_NUMBER,
    SHOW_TEXT_OR_NONE,
    SHOW_TEXT_OR_UNSET,
    SHOW_LIST,
    SHOW_JOINED,
    SHOW_REFERENCE,
    SHOW_MAP
};

struct volume_field {
    const char *title, *path;
    enum shown shown;
};

/* persistent: a PersistentVolume's source differs from a pod's of the same name; 'b': for both. */
struct volume_kind {
    const char *source, *title;
    char who; /* 'p': pods, 'v': persistent volumes, 'b': both */
    struct volume_field fields[12];
};

#define ISCSI_FIELDS                                                                                                  \
    {                                                                                                                 \
        {"TargetPortal", "targetPortal", SHOW_TEXT}, {"IQN", "iqn", SHOW_TEXT}, {"Lun", "lun", SHOW_NUMBER},          \
            {"ISCSIInterface", "iscsiInterface", SHOW_TEXT}, {"FSType", "fsType", SHOW_TEXT},                         \
            {"ReadOnly", "readOnly", SHOW_BOOL}, {"Portals", "portals", SHOW_LIST},                                   \
            {"DiscoveryCHAPAuth", "chapAuthDiscovery", SHOW_BOOL}, {"SessionCHAPAuth", "chapAuthSession", SHOW_BOOL}, \
            {"SecretRef", "secretRef", SHOW_REFERENCE}, {"InitiatorName", "initiatorName", SHOW_TEXT_OR_NONE},        \
    }

/* In the order in which kubectl looks for them. */
static const struct volume_kind kinds[] = {
    {"hostPath",
     "HostPath (bare host directory volume)",
     'b',
     {{"Path", "path", SHOW_TEXT}, {"HostPathType", "type", SHOW_TEXT_OR_NONE}}},
    {"emptyDir",
     "EmptyDir (a temporary directory that shares a pod's lifetime)",
     'p',
     {{"Medium", "medium", SHOW_TEXT}, {"SizeLimit", "sizeLimit", SHOW_TEXT_OR_UNSET}}},
    {"gcePersistentDisk",
     "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
     'b',
     {{"PDName", "pdName", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"Partition", "partition", SHOW_NUMBER},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"awsElasticBlockStore",
     "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
     'b',
     {{"VolumeID", "volumeID", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"Partition", "partition", SHOW_NUMBER},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"gitRepo",
     "GitRepo (a volume that is pulled from git when the pod is created)",
     'p',
     {{"Repository", "repository", SHOW_TEXT}, {"Revision", "revision", SHOW_TEXT}}},
    {"secret",
     "Secret (a volume populated by a Secret)",
     'p',
     {{"SecretName", "secretName", SHOW_TEXT}, {"Optional", "optional", SHOW_BOOL}}},
    {"configMap",
     "ConfigMap (a volume populated by a ConfigMap)",
     'p',
     {{"Name", "name", SHOW_TEXT}, {"Optional", "optional", SHOW_BOOL}}},
    {"nfs",
     "NFS (an NFS mount that lasts the lifetime of a pod)",
     'b',
     {{"Server", "server", SHOW_TEXT}, {"Path", "path", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"iscsi", "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)",
     'b', ISCSI_FIELDS},
    {"glusterfs",
     "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
     'p',
     {{"EndpointsName", "endpoints", SHOW_TEXT}, {"Path", "path", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"glusterfs",
     "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
     'v',
     {{"EndpointsName", "endpoints", SHOW_TEXT},
      {"EndpointsNamespace", "endpointsNamespace", SHOW_TEXT_OR_UNSET},
      {"Path", "path", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"persistentVolumeClaim",
     "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
     'p',
     {{"ClaimName", "claimName", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"ephemeral",
     "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
     'p',
     {{0}}},
    {"rbd",
     "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
     'b',
     {{"CephMonitors", "monitors", SHOW_LIST},
      {"RBDImage", "image", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"RBDPool", "pool", SHOW_TEXT},
      {"RadosUser", "user", SHOW_TEXT},
      {"Keyring", "keyring", SHOW_TEXT},
      {"SecretRef", "secretRef", SHOW_REFERENCE},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"quobyte",
     "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
     'b',
     {{"Registry", "registry", SHOW_TEXT}, {"Volume", "volume", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"downwardAPI", NULL, 'p', {{0}}},
    {"azureDisk",
     "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
     'b',
     {{"DiskName", "diskName", SHOW_TEXT},
      {"DiskURI", "diskURI", SHOW_TEXT},
      {"Kind", "kind", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"CachingMode", "cachingMode", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"vsphereVolume",
     "vSphereVolume (a Persistent Disk resource in vSphere)",
     'b',
     {{"VolumePath", "volumePath", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"StoragePolicyName", "storagePolicyName", SHOW_TEXT}}},
    {"cinder",
     "Cinder (a Persistent Disk resource in OpenStack)",
     'b',
     {{"VolumeID", "volumeID", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL},
      {"SecretRef", "secretRef", SHOW_REFERENCE}}},
    {"photonPersistentDisk",
     "PhotonPersistentDisk (a Persistent Disk resource in photon platform)",
     'b',
     {{"PdID", "pdID", SHOW_TEXT}, {"FSType", "fsType", SHOW_TEXT}}},
    {"portworxVolume", "PortworxVolume (a Portworx Volume resource)", 'b', {{"VolumeID", "volumeID", SHOW_TEXT}}},
    {"scaleIO",
     "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
     'p',
     {{"Gateway", "gateway", SHOW_TEXT},
      {"System", "system", SHOW_TEXT},
      {"Protection Domain", "protectionDomain", SHOW_TEXT},
      {"Storage Pool", "storagePool", SHOW_TEXT},
      {"Storage Mode", "storageMode", SHOW_TEXT},
      {"VolumeName", "volumeName", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"scaleIO",
     "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
     'v',
     {{"Gateway", "gateway", SHOW_TEXT},
      {"System", "system", SHOW_TEXT},
      {"Protection Domain", "protectionDomain", SHOW_TEXT},
      {"Storage Pool", "storagePool", SHOW_TEXT},
      {"Storage Mode", "storageMode", SHOW_TEXT},
      {"VolumeName", "volumeName", SHOW_TEXT},
      {"SecretName", "secretRef.name", SHOW_TEXT},
      {"SecretNamespace", "secretRef.namespace", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"local",
     "LocalVolume (a persistent volume backed by local storage on a node)",
     'v',
     {{"Path", "path", SHOW_TEXT}}},
    {"cephfs",
     "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
     'b',
     {{"Monitors", "monitors", SHOW_LIST},
      {"Path", "path", SHOW_TEXT},
      {"User", "user", SHOW_TEXT},
      {"SecretFile", "secretFile", SHOW_TEXT},
      {"SecretRef", "secretRef", SHOW_REFERENCE},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"storageos",
     "StorageOS (a StorageOS Persistent Disk resource)",
     'b',
     {{"VolumeName", "volumeName", SHOW_TEXT},
      {"VolumeNamespace", "volumeNamespace", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"fc",
     "FC (a Fibre Channel disk)",
     'b',
     {{"TargetWWNs", "targetWWNs", SHOW_JOINED},
      {"LUN", "lun", SHOW_TEXT_OR_NONE},
      {"FSType", "fsType", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"azureFile",
     "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
     'p',
     {{"SecretName", "secretName", SHOW_TEXT},
      {"ShareName", "shareName", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"azureFile",
     "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
     'v',
     {{"SecretName", "secretName", SHOW_TEXT},
      {"SecretNamespace", "secretNamespace", SHOW_TEXT},
      {"ShareName", "shareName", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"flexVolume",
     "FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)",
     'b',
     {{"Driver", "driver", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"SecretRef", "secretRef", SHOW_REFERENCE},
      {"ReadOnly", "readOnly", SHOW_BOOL},
      {"Options", "options", SHOW_MAP}}},
    {"flocker",
     "Flocker (a Flocker volume mounted by the Flocker agent)",
     'b',
     {{"DatasetName", "datasetName", SHOW_TEXT}, {"DatasetUUID", "datasetUUID", SHOW_TEXT}}},
    {"projected", NULL, 'p', {{0}}},
    {"csi",
     "CSI (a Container Storage Interface (CSI) volume source)",
     'p',
     {{"Driver", "driver", SHOW_TEXT}, {"FSType", "fsType", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"csi",
     "CSI (a Container Storage Interface (CSI) volume source)",
     'v',
     {{"Driver", "driver", SHOW_TEXT},
      {"FSType", "fsType", SHOW_TEXT},
      {"VolumeHandle", "volumeHandle", SHOW_TEXT},
      {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"image",
     "Image (a container image or OCI artifact)",
     'p',
     {{"Reference", "reference", SHOW_TEXT}, {"PullPolicy", "pullPolicy", SHOW_TEXT}}},
};

static const char *nothing(enum shown shown)
{
    switch (shown) {
    case SHOW_BOOL:
        return "false";
    case SHOW_NUMBER:
        return "0";
    case SHOW_TEXT_OR_NONE:
        return "<none>";
    case SHOW_TEXT_OR_UNSET:
        return "<unset>";
    case SHOW_LIST:
        return "[]";
    case SHOW_REFERENCE:
        return "nil";
    case SHOW_MAP:
        return "map[]";
    case SHOW_TEXT:
    case SHOW_JOINED:
        break;
    }
    return "";
}

/* "&LocalObjectReference{Name:x,}": a reference to a secret of the pod's namespace, or with one of its own. */
static void print_reference(const struct json *reference, bool persistent, struct buf *out)
{
    const char *name = json_str_or("", reference, "name", NULL),
               *namespace = json_str_or("", reference, "namespace", NULL);
    if (persistent)
        buf_printf(out, "&SecretReference{Name:%s,Namespace:%s,}", name, namespace);
    else
        buf_printf(out, "&LocalObjectReference{Name:%s,}", name);
}

static void describe_field(struct describe *describe, const struct volume_field *field, const struct json *source,
                           bool persistent)
{
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *value = describe_path(source, field->path), *item;
    if (value == NULL || json_type(value) == JSON_NULL) {
        buf_add_str(&text, nothing(field->shown));
    } else if (field->shown == SHOW_REFERENCE) {
        print_reference(value, persistent, &text);
    } else if (field->shown == SHOW_JOINED) {
        json_each(item, value)
            buf_printf(&text, "%s%s", item_index > 0 ? ", " : "", strempty(json_string_value(item)));
    } else {
        describe_scalar(value, &text);
    }
    /* two titles of kubectl's have a slip of the pen */
    const char *colon = streq(field->title, "ISCSIInterface") ? "" : streq(field->title, "Kind") ? ": " : ":";
    describe_write(describe, 2, "%s%s\t%s\n", field->title, colon, buf_text(&text));
}

static void describe_projected(struct describe *describe, const struct json *projected)
{
    const struct json *source;
    describe_write(describe, 2, "Type:\tProjected (a volume that contains injected data from multiple sources)\n");
    json_each(source, json_get(projected, "sources", NULL)) {
        const struct json *secret = json_get(source, "secret", NULL), *config_map = json_get(source, "configMap", NULL);
        const struct json *token = json_get(source, "serviceAccountToken", NULL),
                          *named = secret != NULL ? secret : config_map;
        if (secret != NULL || (config_map != NULL && json_get(source, "downwardAPI", NULL) == NULL)) {
            describe_write(describe, 2, "%s:\t%s\n", secret != NULL ? "SecretName" : "ConfigMapName",
                           json_str_or("", named, "name", NULL));
            describe_write(describe, 2, "Optional:\t%s\n", json_is_true(named, "optional", NULL) ? "true" : "false");
        } else if (json_get(source, "downwardAPI", NULL) != NULL) {
            describe_write(describe, 2, "DownwardAPI:\ttrue\n");
        } else if (token != NULL) {
            describe_write(describe, 2, "TokenExpirationSeconds:\t%lld\n",
                           (long long)json_int_or(0, token, "expirationSeconds", NULL));
        }
    }
}

static void describe_downward(struct describe *describe, const struct json *downward)
{
    const struct json *item;
    describe_write(describe, 2, "Type:\tDownwardAPI (a volume populated by information about the pod)\n    Items:\n");
    json_each(item, json_get(downward, "items", NULL)) {
        const char *field = json_str(item, "fieldRef", "fieldPath", NULL);
        const char *resource = json_str(item, "resourceFieldRef", "resource", NULL),
                   *path = json_str_or("", item, "path", NULL);
        if (field != NULL)
            describe_write(describe, 3, "%s -> %s\n", field, path);
        if (resource != NULL)
            describe_write(describe, 3, "%s -> %s\n", resource, path);
    }
}

static void describe_attributes(struct describe *describe, const struct json *attributes)
{
    enum { LINE_MAX_LEN = 140 };
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(attributes, &keys);
    describe_write(describe, 2, "VolumeAttributes:\t%s", keys.n == 0 ? "<none>\n" : "");
    for (size_t i = 0; i < keys.n; i++) {
        CLEANUP(xfree)
        char *line =
            xasprintf("%s=%s", keys.items[i], strempty(json_string_value(json_member(attributes, keys.items[i]))));
        bool cut = strlen(line) > LINE_MAX_LEN;
        if (i > 0) /* kubectl indents each piece of the line */
            describe_write(describe, 4, "\t");
        describe_write(describe, 2, "%.*s%s\n", cut ? LINE_MAX_LEN : (int)strlen(line), line, cut ? "..." : "");
    }
}

void describe_volume_source(struct describe *describe, const struct json *volume, bool persistent)
{
    for (size_t i = 0; i < countof(kinds); i++) {
        const struct volume_kind *kind = &kinds[i];
        const struct json *source = json_member(volume, kind->source);
        if (source == NULL || kind->who == (persistent ? 'p' : 'v'))
            continue;
        if (streq(kind->source, "projected")) {
            describe_projected(describe, source);
            return;
        }
        if (streq(kind->source, "downwardAPI")) {
            describe_downward(describe, source);
            return;
        }
        describe_write(describe, 2, "Type:\t%s\n", kind->title);
        for (size_t j = 0; j < countof(kind->fields) && kind->fields[j].title != NULL; j++)
            describe_field(describe, &kind->fields[j], source, persistent);
        if (streq(kind->source, "csi"))
            describe_attributes(describe, json_get(source, "volumeAttributes", NULL));
        if (streq(kind->source, "ephemeral") && json_get(source, "volumeClaimTemplate", NULL) != NULL)
            describe_claim_template(describe, json_get(source, "volumeClaimTemplate", NULL));
        return;
    }
    describe_write(describe, 1, "<unknown>\n");
}

void describe_volumes(struct describe *describe, const struct json *volumes, const char *indent)
{
    const struct json *volume;
    describe_write(describe, 0, "%sVolumes:%s\n", indent, json_len(volumes) == 0 ? "\t<none>" : "");
    json_each(volume, volumes) {
        describe_write(describe, 1, "%s%s:\n", indent[0] != '\0' ? " " : "", json_str_or("", volume, "name", NULL));
        describe_volume_source(describe, volume, false);
    }
}
