/*
 * describe_volume.c: the volumes of a pod. A kind of volume is one row: its title, and the fields shown.
 */
#include "base/mem.h"
#include "print/describe.h"

enum shown { SHOW_TEXT, SHOW_BOOL, SHOW_TEXT_OR_NONE, SHOW_TEXT_OR_UNSET };

struct volume_field {
    const char *title, *field;
    enum shown shown;
};

struct volume_kind {
    const char *source, *title;
    struct volume_field fields[5];
};

static const struct volume_kind kinds[] = {
    {"hostPath",
     "HostPath (bare host directory volume)",
     {{"Path", "path", SHOW_TEXT}, {"HostPathType", "type", SHOW_TEXT_OR_NONE}}},
    {"emptyDir",
     "EmptyDir (a temporary directory that shares a pod's lifetime)",
     {{"Medium", "medium", SHOW_TEXT}, {"SizeLimit", "sizeLimit", SHOW_TEXT_OR_UNSET}}},
    {"secret",
     "Secret (a volume populated by a Secret)",
     {{"SecretName", "secretName", SHOW_TEXT}, {"Optional", "optional", SHOW_BOOL}}},
    {"configMap",
     "ConfigMap (a volume populated by a ConfigMap)",
     {{"Name", "name", SHOW_TEXT}, {"Optional", "optional", SHOW_BOOL}}},
    {"nfs",
     "NFS (an NFS mount that lasts the lifetime of a pod)",
     {{"Server", "server", SHOW_TEXT}, {"Path", "path", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"persistentVolumeClaim",
     "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
     {{"ClaimName", "claimName", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
    {"image",
     "Image (a container image or OCI artifact)",
     {{"Reference", "reference", SHOW_TEXT}, {"PullPolicy", "pullPolicy", SHOW_TEXT}}},
    {"csi",
     "CSI (a Container Storage Interface (CSI) volume source)",
     {{"Driver", "driver", SHOW_TEXT}, {"FSType", "fsType", SHOW_TEXT}, {"ReadOnly", "readOnly", SHOW_BOOL}}},
};

static void describe_field(struct describe *describe, const struct volume_field *field, const struct json *source)
{
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *value = json_member(source, field->field);
    if (field->shown == SHOW_BOOL)
        buf_add_str(&text, json_is_true(source, field->field, NULL) ? "true" : "false");
    else if (value != NULL)
        describe_scalar(value, &text);
    else
        buf_add_str(&text, field->shown == SHOW_TEXT_OR_NONE    ? "<none>"
                           : field->shown == SHOW_TEXT_OR_UNSET ? "<unset>"
                                                                : "");
    describe_write(describe, 2, "%s:\t%s\n", field->title, buf_text(&text));
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

static void describe_volume(struct describe *describe, const struct json *volume)
{
    for (size_t i = 0; i < countof(kinds); i++) {
        const struct json *source = json_member(volume, kinds[i].source);
        if (source == NULL)
            continue;
        describe_write(describe, 2, "Type:\t%s\n", kinds[i].title);
        for (size_t j = 0; j < countof(kinds[i].fields) && kinds[i].fields[j].title != NULL; j++)
            describe_field(describe, &kinds[i].fields[j], source);
        if (streq(kinds[i].source, "csi"))
            describe_map(describe, "    VolumeAttributes", json_get(source, "volumeAttributes", NULL));
        return;
    }
    if (json_member(volume, "projected") != NULL)
        describe_projected(describe, json_member(volume, "projected"));
    else if (json_member(volume, "downwardAPI") != NULL)
        describe_downward(describe, json_member(volume, "downwardAPI"));
    else
        describe_write(describe, 1, "<unknown>\n");
}

void describe_volumes(struct describe *describe, const struct json *volumes, const char *indent)
{
    const struct json *volume;
    describe_write(describe, 0, "%sVolumes:%s\n", indent, json_len(volumes) == 0 ? "\t<none>" : "");
    json_each(volume, volumes) {
        describe_write(describe, 1, "%s%s:\n", indent[0] != '\0' ? " " : "", json_str_or("", volume, "name", NULL));
        describe_volume(describe, volume);
    }
}
