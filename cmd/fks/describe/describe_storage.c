/*
 * describe_storage.c: persistent volumes, claims, storage classes, CSI nodes, volume attributes classes.
 */
#include <ctype.h>

#include "base/mem.h"
#include "describe/describe.h"

#define BETA_CLASS_ANNOTATION "volume.beta.kubernetes.io/storage-class"

void describe_access_modes(const struct json *modes, struct buf *out)
{
    static const char *const names[][2] = {
        {"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};
    const struct json *mode;
    for (size_t i = 0; i < countof(names); i++) {
        bool found = false;
        json_each(mode, modes)
            found = found || streq(json_string_value(mode), names[i][0]);
        if (found)
            buf_printf(out, "%s%s", out->len > 0 ? "," : "", names[i][1]);
    }
}

const char *describe_storage_class_of(const struct json *object)
{
    const char *beta = json_str(object, "metadata", "annotations", BETA_CLASS_ANNOTATION, NULL);
    return beta != NULL ? beta : json_str_or("", object, "spec", "storageClassName", NULL);
}

/* "Status:\tBound", or how long it has been going. */
static void describe_phase(struct describe *describe)
{
    const char *deleted = json_str(describe->object, "metadata", "deletionTimestamp", NULL);
    CLEANUP(buf_done) struct buf age = {0};
    if (deleted == NULL) {
        describe_write(describe, 0, "Status:\t%s\n", json_str_or("", describe->object, "status", "phase", NULL));
        return;
    }
    describe_age(deleted, &age);
    describe_write(describe, 0, "Status:\tTerminating (lasts %s)\n", buf_text(&age));
}

/* "Term 0:  key in [a, b]" lines. */
static void describe_term(struct describe *describe, int level, size_t number, const struct json *expressions)
{
    const struct json *expression, *value;
    describe_write(describe, level, "Term %zu:\t%s", number, json_len(expressions) == 0 ? "<none>\n" : "");
    json_each(expression, expressions) {
        CLEANUP(xfree) char *relation = xstrdup(json_str_or("in", expression, "operator", NULL));
        for (char *c = relation; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
        if (expression_index > 0)
            describe_write(describe, level, "\t");
        describe_write(describe, 0, "%s %s", json_str_or("", expression, "key", NULL), relation);
        json_each(value, json_get(expression, "values", NULL))
            describe_write(describe, 0, "%s%s", value_index == 0 ? " [" : ", ", strempty(json_string_value(value)));
        describe_write(describe, 0, "%s\n", json_len(json_get(expression, "values", NULL)) > 0 ? "]" : "");
    }
}

static void describe_node_affinity(struct describe *describe, const struct json *affinity)
{
    const struct json *required = json_get(affinity, "required", NULL), *term;
    const struct json *terms = json_get(required, "nodeSelectorTerms", NULL);
    describe_write(describe, 0, "Node Affinity:\t%s\n", required == NULL ? "<none>" : "");
    if (required == NULL)
        return;
    describe_write(describe, 1, "Required Terms:\t%s\n", json_len(terms) == 0 ? "<none>" : "");
    json_each(term, terms)
        describe_term(describe, 2, term_index, json_get(term, "matchExpressions", NULL));
}

void describe_persistent_volume(struct describe *describe)
{
    const struct json *pv = describe->object, *spec = json_get(pv, "spec", NULL);
    const struct json *claim = json_get(spec, "claimRef", NULL);
    CLEANUP(buf_done) struct buf modes = {0};
    describe_access_modes(json_get(spec, "accessModes", NULL), &modes);
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", pv, "metadata", "name", NULL));
    describe_labels(describe);
    describe_fields(describe,
                    (const struct describe_field[]){{0, "Finalizers", "metadata.finalizers", SHOW_EMPTY, AS_GO}, {0}},
                    pv);
    describe_write(describe, 0, "StorageClass:\t%s\n", describe_storage_class_of(pv));
    describe_phase(describe);
    describe_write(describe, 0, "Claim:\t%s%s%s\n", json_str_or("", claim, "namespace", NULL), claim != NULL ? "/" : "",
                   json_str_or("", claim, "name", NULL));
    describe_write(describe, 0, "Reclaim Policy:\t%s\n", json_str_or("", spec, "persistentVolumeReclaimPolicy", NULL));
    describe_write(describe, 0, "Access Modes:\t%s\n", buf_text(&modes));
    static const struct describe_field sizes[] = {{0, "VolumeMode", "volumeMode", SKIP_LINE, AS_TEXT},
                                                  {0, "Capacity", "capacity.storage", SHOW_ZERO, AS_TEXT},
                                                  {0}};
    describe_fields(describe, sizes, spec);
    describe_node_affinity(describe, json_get(spec, "nodeAffinity", NULL));
    describe_write(describe, 0, "Message:\t%s\n", json_str_or("", pv, "status", "message", NULL));
    describe_write(describe, 0, "Source:\n");
    describe_volume_source(describe, spec, true);
    describe_events(describe);
}

/* What a claim and the claim template of an ephemeral volume have in common comes in one order, with a gap for the
 * rest. */
static void describe_claim_size(struct describe *describe, const struct json *claim)
{
    const struct json *spec = json_get(claim, "spec", NULL);
    bool bound = json_str_or("", spec, "volumeName", NULL)[0] != '\0';
    CLEANUP(buf_done) struct buf modes = {0}, capacity = {0};
    if (bound) {
        const struct json *storage = json_get(claim, "status", "capacity", "storage", NULL);
        describe_access_modes(json_get(claim, "status", "accessModes", NULL), &modes);
        if (storage != NULL)
            describe_scalar(storage, &capacity);
        else
            buf_add_char(&capacity, '0');
    }
    describe_write(describe, 0, "Capacity:\t%s\n", buf_text(&capacity));
    describe_write(describe, 0, "Access Modes:\t%s\n", buf_text(&modes));
    static const struct describe_field source[] = {{0, "VolumeMode", "volumeMode", SKIP_LINE, AS_TEXT}, {0}};
    describe_fields(describe, source, spec);
    if (json_get(spec, "dataSource", NULL) == NULL)
        return;
    static const struct describe_field data[] = {{1, "APIGroup", "dataSource.apiGroup", SKIP_LINE, AS_TEXT},
                                                 {1, "Kind", "dataSource.kind", SHOW_EMPTY, AS_TEXT},
                                                 {1, "Name", "dataSource.name", SHOW_EMPTY, AS_TEXT},
                                                 {0}};
    describe_write(describe, 0, "DataSource:\n");
    describe_fields(describe, data, spec);
}

void describe_claim_template(struct describe *describe, const struct json *template)
{
    enum { VOLUME_LEVEL = 2 };
    describe->nested = VOLUME_LEVEL;
    describe_write(describe, 0, "StorageClass:\t%s\n", describe_storage_class_of(template));
    describe_write(describe, 0, "Volume:\t%s\n", json_str_or("", template, "spec", "volumeName", NULL));
    describe_map(describe, "Labels", json_get(template, "metadata", "labels", NULL));
    describe_annotations(describe, "Annotations", json_get(template, "metadata", "annotations", NULL));
    describe_claim_size(describe, template);
    describe->nested = 0;
}

static bool uses_claim(const struct json *pod, const struct json *claim)
{
    const struct json *volume, *owner;
    json_each(volume, json_get(pod, "spec", "volumes", NULL)) {
        if (streq(json_str(volume, "persistentVolumeClaim", "claimName", NULL),
                  json_str(claim, "metadata", "name", NULL)))
            return true;
    }
    json_each(owner, json_get(claim, "metadata", "ownerReferences", NULL)) {
        if (streq(json_str(owner, "kind", NULL), "Pod") &&
            streq(json_str(owner, "uid", NULL), json_str(pod, "metadata", "uid", NULL)))
            return true;
    }
    return false;
}

static void describe_users(struct describe *describe)
{
    CLEANUP(strv_done) struct strv names = {0};
    const struct json *pod;
    json_each(pod, json_get(describe->related, "pods", NULL)) {
        if (uses_claim(pod, describe->object))
            strv_add(&names, json_str_or("", pod, "metadata", "name", NULL));
    }
    strv_sort(&names);
    describe_write(describe, 0, "Used By:\t%s", names.n == 0 ? "<none>\n" : "");
    for (size_t i = 0; i < names.n; i++)
        describe_write(describe, 0, "%s%s\n", i > 0 ? "\t" : "", names.items[i]);
}

void describe_persistent_volume_claim(struct describe *describe)
{
    const struct json *conditions = json_get(describe->object, "status", "conditions", NULL);
    static const struct describe_field finalizers[] = {{0, "Finalizers", "metadata.finalizers", SHOW_EMPTY, AS_GO},
                                                       {0}};
    describe_head(describe);
    describe_write(describe, 0, "StorageClass:\t%s\n", describe_storage_class_of(describe->object));
    describe_phase(describe);
    describe_write(describe, 0, "Volume:\t%s\n", json_str_or("", describe->object, "spec", "volumeName", NULL));
    describe_labels(describe);
    describe_fields(describe, finalizers, describe->object);
    describe_claim_size(describe, describe->object);
    describe_users(describe);
    if (json_len(conditions) > 0) {
        static const struct describe_column columns[] = {{"Type", "type", NULL, AS_TEXT},
                                                         {"Status", "status", NULL, AS_TEXT},
                                                         {"LastProbeTime", "lastProbeTime", NULL, AS_TIME, 17},
                                                         {"LastTransitionTime", "lastTransitionTime", NULL, AS_TIME},
                                                         {"Reason", "reason", NULL, AS_TEXT},
                                                         {"Message", "message", NULL, AS_TEXT},
                                                         {0}};
        describe_write(describe, 0, "Conditions:\n");
        describe_table(describe, 1, columns, " ", conditions);
    }
    describe_events(describe);
}

void describe_storage_class(struct describe *describe)
{
    const struct json *class = describe->object, *option, *term,
                      *topologies = json_get(class, "allowedTopologies", NULL);
    const struct json *options = json_get(class, "mountOptions", NULL),
                      *annotations = json_get(class, "metadata", "annotations", NULL);
    bool is_default = streq(json_str(annotations, "storageclass.kubernetes.io/is-default-class", NULL), "true") ||
                      streq(json_str(annotations, "storageclass.beta.kubernetes.io/is-default-class", NULL), "true");
    static const struct describe_field fields[] = {
        {0, "Annotations", "metadata.annotations", SHOW_NONE, AS_LABELS},
        {0, "Provisioner", "provisioner", SHOW_EMPTY, AS_TEXT},
        {0, "Parameters", "parameters", SHOW_NONE, AS_LABELS},
        {0, "AllowVolumeExpansion", "allowVolumeExpansion", SHOW_UNSET, AS_TITLE},
        {0}};
    static const struct describe_field policies[] = {{0, "ReclaimPolicy", "reclaimPolicy", SKIP_LINE, AS_TEXT},
                                                     {0, "VolumeBindingMode", "volumeBindingMode", SKIP_LINE, AS_TEXT},
                                                     {0}};
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", class, "metadata", "name", NULL));
    describe_write(describe, 0, "IsDefaultClass:\t%s\n", is_default ? "Yes" : "No");
    describe_fields(describe, fields, class);
    describe_write(describe, 0, "MountOptions:%s\n", json_len(options) == 0 ? "\t<none>" : "");
    json_each(option, options)
        describe_write(describe, 1, "%s\n", strempty(json_string_value(option)));
    describe_fields(describe, policies, class);
    if (topologies != NULL)
        describe_write(describe, 0, "AllowedTopologies:\t%s\n", json_len(topologies) == 0 ? "<none>" : "");
    json_each(term, topologies)
        describe_term(describe, 1, term_index, json_get(term, "matchLabelExpressions", NULL));
    describe_events(describe);
}

void describe_volume_attributes_class(struct describe *describe)
{
    static const struct describe_field fields[] = {{0, "Name", "metadata.name", SHOW_EMPTY, AS_TEXT},
                                                   {0, "Annotations", "metadata.annotations", SHOW_NONE, AS_LABELS},
                                                   {0, "DriverName", "driverName", SHOW_EMPTY, AS_TEXT},
                                                   {0, "Parameters", "parameters", SHOW_NONE, AS_LABELS},
                                                   {0}};
    describe_fields(describe, fields, describe->object);
    describe_events(describe);
}

void describe_csi_node(struct describe *describe)
{
    const struct json *driver, *drivers = json_get(describe->object, "spec", "drivers", NULL);
    describe_write(describe, 0, "Name:\t%s\n", json_str_or("", describe->object, "metadata", "name", NULL));
    describe_labels(describe);
    describe_time_field(describe, 0, "CreationTimestamp",
                        json_str(describe->object, "metadata", "creationTimestamp", NULL));
    describe_write(describe, 0, "Spec:\n");
    if (drivers != NULL && json_type(drivers) != JSON_NULL)
        describe_write(describe, 1, "Drivers:\n");
    json_each(driver, drivers) {
        static const struct describe_field id[] = {{3, "Node ID", "nodeID", SHOW_EMPTY, AS_TEXT}, {0}};
        static const struct describe_field keys[] = {{3, "Topology Keys", "topologyKeys", SKIP_LINE, AS_GO}, {0}};
        const struct json *count = json_get(driver, "allocatable", "count", NULL);
        describe_write(describe, 2, "%s:\n", json_str_or("", driver, "name", NULL));
        describe_fields(describe, id, driver);
        if (count != NULL) {
            describe_write(describe, 3, "Allocatables:\n");
            describe_write(describe, 4, "Count:\t%lld\n", (long long)json_int_value(count));
        }
        describe_fields(describe, keys, driver);
    }
    describe_events(describe);
}
