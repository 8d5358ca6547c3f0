/*
 * runtime.c: sandboxes and containers: the calls of the CRI's RuntimeService but for commands and streams (streams.c).
 * Each call is a method row, a function that builds the request, and one that hands the answer over in plain structs.
 */
#include "cri/runtime_internal.h"

#include "base/mem.h"

/* The entries of an answer's map, in pairs that point into it. */
#define READ_MAP(scratch, n_entries, entries, pairs)                                               \
    do {                                                                                           \
        (pairs)->items = cri_scratch_alloc((scratch), (n_entries), sizeof(struct cri_pair));       \
        (pairs)->n = (n_entries);                                                                  \
        for (size_t _i = 0; _i < (n_entries); _i++)                                                \
            (pairs)->items[_i] = (struct cri_pair){(entries)[_i]->key, (entries)[_i]->value};      \
    } while (0)

/* --- runtime status: Version, then Status */

struct cri_status_query {
    struct cri *cri;
    cri_status_done *done;
    void *data;
    char *name, *version;
};

static struct cri_status_query *status_query_free(struct cri_status_query *query)
{
    free(query->name);
    free(query->version);
    free(query);
    return NULL;
}
DEFINE_CLEANUP_POINTER(struct cri_status_query *, status_query_free)

static void status_abandon(union cri_done done)
{
    status_query_free(done.status);
}

static void read_conditions(const Runtime__V1__StatusResponse *answer, struct cri_status *status)
{
    if (answer->status == NULL)
        return;
    for (size_t i = 0; i < answer->status->n_conditions; i++) {
        const Runtime__V1__RuntimeCondition *condition = answer->status->conditions[i];

        if (streq(condition->type, "RuntimeReady"))
            status->runtime_ready = condition->status;
        else if (streq(condition->type, "NetworkReady"))
            status->network_ready = condition->status;
        if (!condition->status && status->reason[0] == '\0')
            status->reason = condition->message[0] != '\0' ? condition->message : condition->reason;
    }
}

static void deliver_status(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data UNUSED)
{
    CLEANUP(status_query_free) struct cri_status_query *query = done.status;
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__StatusResponse *answer = (const Runtime__V1__StatusResponse *)message;
    struct cri_status status = {.reason = "", .name = query->name, .version = query->version};
    struct cri_handler *handlers;

    if (answer == NULL) {
        query->done(NULL, err, query->data);
        return;
    }
    read_conditions(answer, &status);
    handlers = cri_scratch_alloc(&scratch, answer->n_runtime_handlers, sizeof(*handlers));
    for (size_t i = 0; i < answer->n_runtime_handlers; i++) {
        const Runtime__V1__RuntimeHandler *handler = answer->runtime_handlers[i];

        handlers[i] = (struct cri_handler){
            .name = handler->name,
            .user_namespaces = handler->features != NULL && handler->features->user_namespaces,
            .readonly_below = handler->features != NULL && handler->features->recursive_read_only_mounts,
        };
    }
    status.handlers = handlers;
    status.n_handlers = answer->n_runtime_handlers;
    status.strict_groups = answer->features != NULL && answer->features->supplemental_groups_policy;
    for (size_t i = 0; i < answer->n_info; i++)
        if (streq(answer->info[i]->key, "config"))
            status.config = answer->info[i]->value;
    query->done(&status, err, query->data);
}

static const struct cri_method method_status = {
    "RuntimeService", "Status", &runtime__v1__status_response__descriptor, deliver_status, status_abandon};

static void deliver_version(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data UNUSED)
{
    CLEANUP(status_query_free) struct cri_status_query *query = done.status;
    const Runtime__V1__VersionResponse *answer = (const Runtime__V1__VersionResponse *)message;
    Runtime__V1__StatusRequest request = RUNTIME__V1__STATUS_REQUEST__INIT;

    request.verbose = true; /* the configuration comes only so */
    if (answer == NULL) {
        query->done(NULL, err, query->data);
        return;
    }
    query->name = xstrdup(answer->runtime_name);
    query->version = xstrdup(answer->runtime_version);
    cri_start(query->cri, &method_status, &request.base, CRI_LIST_TIMEOUT_MS,
              (union cri_done){.status = query}, NULL);
    (void)take(&query);
}

static const struct cri_method method_version = {
    "RuntimeService", "Version", &runtime__v1__version_response__descriptor, deliver_version, status_abandon};

void cri_status(struct cri *cri, cri_status_done *done, void *data)
{
    Runtime__V1__VersionRequest request = RUNTIME__V1__VERSION_REQUEST__INIT;
    struct cri_status_query *query = NEW(struct cri_status_query);

    *query = (struct cri_status_query){.cri = cri, .done = done, .data = data};
    cri_start(cri, &method_version, &request.base, CRI_LIST_TIMEOUT_MS,
              (union cri_done){.status = query}, NULL);
}

/* --- sandboxes */

static void deliver_sandbox_id(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    const Runtime__V1__RunPodSandboxResponse *answer = (const Runtime__V1__RunPodSandboxResponse *)message;

    done.id(answer != NULL ? answer->pod_sandbox_id : NULL, err, data);
}

static const struct cri_method method_run_sandbox = {
    "RuntimeService", "RunPodSandbox", &runtime__v1__run_pod_sandbox_response__descriptor, deliver_sandbox_id, NULL};

void cri_run_sandbox(struct cri *cri, const struct cri_sandbox_config *config, const char *runtime_handler,
                     cri_id_done *done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    Runtime__V1__RunPodSandboxRequest request = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;

    request.config = cri_encode_sandbox(&scratch, config);
    request.runtime_handler = cri_text(runtime_handler);
    cri_start(cri, &method_run_sandbox, &request.base, CRI_TIMEOUT_MS, (union cri_done){.id = done}, data);
}

static const struct cri_method method_stop_sandbox = {
    "RuntimeService", "StopPodSandbox", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL};
static const struct cri_method method_remove_sandbox = {
    "RuntimeService", "RemovePodSandbox", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL};

static void sandbox_by_id(struct cri *cri, const struct cri_method *method, const char *id, cri_ok_done *done,
                          void *data)
{
    Runtime__V1__PodSandboxIdRequest request = RUNTIME__V1__POD_SANDBOX_ID_REQUEST__INIT;

    request.pod_sandbox_id = cri_text(id);
    cri_start(cri, method, &request.base, CRI_TIMEOUT_MS, (union cri_done){.ok = done}, data);
}

void cri_stop_sandbox(struct cri *cri, const char *id, cri_ok_done *done, void *data)
{
    sandbox_by_id(cri, &method_stop_sandbox, id, done, data);
}

void cri_remove_sandbox(struct cri *cri, const char *id, cri_ok_done *done, void *data)
{
    sandbox_by_id(cri, &method_remove_sandbox, id, done, data);
}

static void read_sandbox_metadata(const Runtime__V1__PodSandboxMetadata *metadata, struct cri_sandbox *sandbox)
{
    sandbox->name = metadata != NULL ? metadata->name : "";
    sandbox->uid = metadata != NULL ? metadata->uid : "";
    sandbox->namespace = metadata != NULL ? metadata->namespace_ : "";
    sandbox->attempt = metadata != NULL ? metadata->attempt : 0;
}

static void deliver_sandbox_status(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__PodSandboxStatusResponse *answer = (const Runtime__V1__PodSandboxStatusResponse *)message;
    const Runtime__V1__PodSandboxStatus *status;
    struct cri_sandbox sandbox = {0};

    if (answer != NULL && answer->status == NULL)
        err_set(err, ERR_PARSE, "PodSandboxStatus: the answer has no status");
    if (answer == NULL || answer->status == NULL) {
        done.sandboxes(NULL, 0, err, data);
        return;
    }
    status = answer->status;
    sandbox.id = status->id;
    read_sandbox_metadata(status->metadata, &sandbox);
    sandbox.ready = status->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY;
    sandbox.created_ns = status->created_at;
    sandbox.ip = status->network != NULL && status->network->ip[0] != '\0' ? status->network->ip : NULL;
    READ_MAP(&scratch, status->n_labels, status->labels, &sandbox.labels);
    READ_MAP(&scratch, status->n_annotations, status->annotations, &sandbox.annotations);
    done.sandboxes(&sandbox, 1, err, data);
}

static const struct cri_method method_sandbox_status = {
    "RuntimeService", "PodSandboxStatus", &runtime__v1__pod_sandbox_status_response__descriptor,
    deliver_sandbox_status, NULL};

void cri_sandbox_status(struct cri *cri, const char *id, cri_sandboxes_done *done, void *data)
{
    Runtime__V1__PodSandboxStatusRequest request = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;

    request.pod_sandbox_id = cri_text(id);
    cri_start(cri, &method_sandbox_status, &request.base, CRI_LIST_TIMEOUT_MS,
              (union cri_done){.sandboxes = done}, data);
}

static void deliver_sandboxes(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__ListPodSandboxResponse *answer = (const Runtime__V1__ListPodSandboxResponse *)message;
    struct cri_sandbox *items;

    if (answer == NULL) {
        done.sandboxes(NULL, 0, err, data);
        return;
    }
    items = cri_scratch_alloc(&scratch, answer->n_items, sizeof(*items));
    for (size_t i = 0; i < answer->n_items; i++) {
        const Runtime__V1__PodSandbox *item = answer->items[i];

        items[i].id = item->id;
        read_sandbox_metadata(item->metadata, &items[i]);
        items[i].ready = item->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY;
        items[i].created_ns = item->created_at;
        READ_MAP(&scratch, item->n_labels, item->labels, &items[i].labels);
        READ_MAP(&scratch, item->n_annotations, item->annotations, &items[i].annotations);
    }
    done.sandboxes(items, answer->n_items, err, data);
}

static const struct cri_method method_list_sandboxes = {
    "RuntimeService", "ListPodSandbox", &runtime__v1__list_pod_sandbox_response__descriptor, deliver_sandboxes, NULL};

void cri_list_sandboxes(struct cri *cri, cri_sandboxes_done *done, void *data)
{
    Runtime__V1__ListPodSandboxRequest request = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;

    cri_start(cri, &method_list_sandboxes, &request.base, CRI_LIST_TIMEOUT_MS,
              (union cri_done){.sandboxes = done}, data);
}

/* --- containers */

static void deliver_container_id(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    const Runtime__V1__CreateContainerResponse *answer = (const Runtime__V1__CreateContainerResponse *)message;

    done.id(answer != NULL ? answer->container_id : NULL, err, data);
}

static const struct cri_method method_create_container = {
    "RuntimeService", "CreateContainer", &runtime__v1__create_container_response__descriptor, deliver_container_id,
    NULL};

void cri_create_container(struct cri *cri, const char *sandbox_id, const struct cri_container_config *config,
                          const struct cri_sandbox_config *sandbox, cri_id_done *done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    Runtime__V1__CreateContainerRequest request = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;

    request.pod_sandbox_id = cri_text(sandbox_id);
    request.config = cri_encode_container(&scratch, config);
    request.sandbox_config = cri_encode_sandbox(&scratch, sandbox);
    cri_start(cri, &method_create_container, &request.base, CRI_TIMEOUT_MS, (union cri_done){.id = done},
              data);
}

/* given up halfway, containerd kills what it has started */
static const struct cri_method method_start_container = {
    "RuntimeService", "StartContainer", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL, .kept = true};
static const struct cri_method method_stop_container = {
    "RuntimeService", "StopContainer", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL};
static const struct cri_method method_remove_container = {
    "RuntimeService", "RemoveContainer", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL};
static const struct cri_method method_update_resources = {
    "RuntimeService", "UpdateContainerResources", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL};
static const struct cri_method method_reopen_log = {
    "RuntimeService", "ReopenContainerLog", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL};

static void container_by_id(struct cri *cri, const struct cri_method *method, const char *id, int64_t timeout_ms,
                            union cri_done done, void *data)
{
    Runtime__V1__ContainerIdRequest request = RUNTIME__V1__CONTAINER_ID_REQUEST__INIT;

    request.container_id = cri_text(id);
    cri_start(cri, method, &request.base, timeout_ms, done, data);
}

void cri_start_container(struct cri *cri, const char *id, cri_ok_done *done, void *data)
{
    container_by_id(cri, &method_start_container, id, CRI_TIMEOUT_MS, (union cri_done){.ok = done}, data);
}

void cri_remove_container(struct cri *cri, const char *id, cri_ok_done *done, void *data)
{
    container_by_id(cri, &method_remove_container, id, CRI_TIMEOUT_MS, (union cri_done){.ok = done}, data);
}

void cri_reopen_log(struct cri *cri, const char *id, cri_ok_done *done, void *data)
{
    container_by_id(cri, &method_reopen_log, id, CRI_TIMEOUT_MS, (union cri_done){.ok = done}, data);
}

void cri_stop_container(struct cri *cri, const char *id, int64_t timeout_s, cri_ok_done *done, void *data)
{
    Runtime__V1__StopContainerRequest request = RUNTIME__V1__STOP_CONTAINER_REQUEST__INIT;

    request.container_id = cri_text(id);
    request.timeout = timeout_s;
    cri_start(cri, &method_stop_container, &request.base, timeout_s * 1000 + CRI_TIMEOUT_MS,
              (union cri_done){.ok = done}, data);
}

void cri_update_resources(struct cri *cri, const char *id, const struct cri_resources *resources, cri_ok_done *done,
                          void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    Runtime__V1__UpdateContainerResourcesRequest request = RUNTIME__V1__UPDATE_CONTAINER_RESOURCES_REQUEST__INIT;

    request.container_id = cri_text(id);
    request.linux = cri_encode_resources(&scratch, resources);
    cri_start(cri, &method_update_resources, &request.base, CRI_TIMEOUT_MS, (union cri_done){.ok = done},
              data);
}

/* A state that this version does not know is as good as CRI_UNKNOWN. */
static enum cri_container_state container_state(Runtime__V1__ContainerState state)
{
    return (unsigned)state < CRI_UNKNOWN ? (enum cri_container_state)state : CRI_UNKNOWN;
}

static void deliver_containers(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__ListContainersResponse *answer = (const Runtime__V1__ListContainersResponse *)message;
    struct cri_container *items;

    if (answer == NULL) {
        done.containers(NULL, 0, err, data);
        return;
    }
    items = cri_scratch_alloc(&scratch, answer->n_containers, sizeof(*items));
    for (size_t i = 0; i < answer->n_containers; i++) {
        const Runtime__V1__Container *item = answer->containers[i];

        items[i] = (struct cri_container){
            .id = item->id,
            .sandbox_id = item->pod_sandbox_id,
            .name = item->metadata != NULL ? item->metadata->name : "",
            .attempt = item->metadata != NULL ? item->metadata->attempt : 0,
            .image = item->image != NULL ? item->image->image : "",
            .image_ref = item->image_ref,
            .state = container_state(item->state),
            .created_ns = item->created_at,
            .reason = "",
            .message = "",
            .log_path = "",
        };
        READ_MAP(&scratch, item->n_labels, item->labels, &items[i].labels);
        READ_MAP(&scratch, item->n_annotations, item->annotations, &items[i].annotations);
    }
    done.containers(items, answer->n_containers, err, data);
}

static const struct cri_method method_list_containers = {
    "RuntimeService", "ListContainers", &runtime__v1__list_containers_response__descriptor, deliver_containers, NULL};

void cri_list_containers(struct cri *cri, cri_containers_done *done, void *data)
{
    Runtime__V1__ListContainersRequest request = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;

    cri_start(cri, &method_list_containers, &request.base, CRI_LIST_TIMEOUT_MS,
              (union cri_done){.containers = done}, data);
}

static void deliver_container_status(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__ContainerStatusResponse *answer = (const Runtime__V1__ContainerStatusResponse *)message;
    const Runtime__V1__ContainerStatus *status;
    struct cri_container container;

    if (answer != NULL && answer->status == NULL)
        err_set(err, ERR_PARSE, "ContainerStatus: the answer has no status");
    if (answer == NULL || answer->status == NULL) {
        done.containers(NULL, 0, err, data);
        return;
    }
    status = answer->status;
    container = (struct cri_container){
        .id = status->id,
        .sandbox_id = "", /* not told by this call */
        .name = status->metadata != NULL ? status->metadata->name : "",
        .attempt = status->metadata != NULL ? status->metadata->attempt : 0,
        .image = status->image != NULL ? status->image->image : "",
        .image_ref = status->image_ref,
        .state = container_state(status->state),
        .created_ns = status->created_at,
        .started_ns = status->started_at,
        .finished_ns = status->finished_at,
        .exit_code = status->exit_code,
        .reason = status->reason,
        .message = status->message,
        .log_path = status->log_path,
    };
    READ_MAP(&scratch, status->n_labels, status->labels, &container.labels);
    READ_MAP(&scratch, status->n_annotations, status->annotations, &container.annotations);
    done.containers(&container, 1, err, data);
}

static const struct cri_method method_container_status = {
    "RuntimeService", "ContainerStatus", &runtime__v1__container_status_response__descriptor, deliver_container_status,
    NULL};

void cri_container_status(struct cri *cri, const char *id, cri_containers_done *done, void *data)
{
    container_by_id(cri, &method_container_status, id, CRI_LIST_TIMEOUT_MS, (union cri_done){.containers = done}, data);
}

/* --- statistics */

static uint64_t value_of(const Runtime__V1__UInt64Value *number)
{
    return number != NULL ? number->value : 0;
}

static void deliver_stats(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__ListContainerStatsResponse *answer = (const Runtime__V1__ListContainerStatsResponse *)message;
    struct cri_stats *items;

    if (answer == NULL) {
        done.stats(NULL, 0, err, data);
        return;
    }
    items = cri_scratch_alloc(&scratch, answer->n_stats, sizeof(*items));
    for (size_t i = 0; i < answer->n_stats; i++) {
        const Runtime__V1__ContainerStats *item = answer->stats[i];

        items[i].id = item->attributes != NULL ? item->attributes->id : "";
        if (item->cpu != NULL && item->cpu->usage_core_nano_seconds != NULL) {
            items[i].cpu_time_ns = item->cpu->timestamp;
            items[i].cpu_usage_ns = item->cpu->usage_core_nano_seconds->value;
        }
        if (item->memory != NULL && item->memory->working_set_bytes != NULL) {
            items[i].memory_time_ns = item->memory->timestamp;
            items[i].memory_working_b = item->memory->working_set_bytes->value;
            items[i].memory_usage_b = value_of(item->memory->usage_bytes);
            items[i].memory_rss_b = value_of(item->memory->rss_bytes);
            items[i].page_faults = value_of(item->memory->page_faults);
            items[i].major_page_faults = value_of(item->memory->major_page_faults);
        }
        if (item->writable_layer != NULL && item->writable_layer->used_bytes != NULL) {
            items[i].layer_time_ns = item->writable_layer->timestamp;
            items[i].layer_used_b = item->writable_layer->used_bytes->value;
            items[i].layer_inodes = value_of(item->writable_layer->inodes_used);
        }
    }
    done.stats(items, answer->n_stats, err, data);
}

static const struct cri_method method_list_stats = {
    "RuntimeService", "ListContainerStats", &runtime__v1__list_container_stats_response__descriptor, deliver_stats,
    NULL};

void cri_list_stats(struct cri *cri, const char *sandbox_id, cri_stats_done *done, void *data)
{
    Runtime__V1__ListContainerStatsRequest request = RUNTIME__V1__LIST_CONTAINER_STATS_REQUEST__INIT;
    Runtime__V1__ContainerStatsFilter filter = RUNTIME__V1__CONTAINER_STATS_FILTER__INIT;

    filter.pod_sandbox_id = cri_text(sandbox_id);
    if (sandbox_id != NULL)
        request.filter = &filter;
    cri_start(cri, &method_list_stats, &request.base, CRI_LIST_TIMEOUT_MS,
              (union cri_done){.stats = done}, data);
}

const struct cri_method *const cri_runtime_methods[] = {
    &method_run_sandbox,      &method_stop_sandbox,     &method_sandbox_status, &method_list_sandboxes,
    &method_create_container, &method_list_containers, &method_container_status, &method_list_stats,
    NULL,
};
