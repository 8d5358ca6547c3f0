/*
 * fuzz_describe.c: describers on objects that no server would send. The first byte chooses the describer, the rest is JSON:
 * the object, which is also its own related objects and events.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "describe/describe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static describe_kind *const describers[] = {describe_pod,
                                            describe_node,
                                            describe_deployment,
                                            describe_replica_set,
                                            describe_daemon_set,
                                            describe_stateful_set,
                                            describe_job,
                                            describe_service,
                                            describe_namespace,
                                            describe_secret,
                                            describe_config_map,
                                            describe_service_account,
                                            describe_generic,
                                            describe_replication_controller,
                                            describe_cron_job,
                                            describe_limit_range,
                                            describe_resource_quota,
                                            describe_persistent_volume,
                                            describe_persistent_volume_claim,
                                            describe_storage_class,
                                            describe_csi_node,
                                            describe_volume_attributes_class,
                                            describe_endpoints_object,
                                            describe_endpoint_slice,
                                            describe_ingress,
                                            describe_ingress_class,
                                            describe_service_cidr,
                                            describe_ip_address,
                                            describe_network_policy,
                                            describe_autoscaler,
                                            describe_disruption_budget,
                                            describe_priority_class,
                                            describe_role,
                                            describe_role_binding,
                                            describe_signing_request};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_free) struct json *object = NULL;
    CLEANUP(err_clear) struct err err = {0};
    if (size == 0 || json_parse((const char *)data + 1, size - 1, &object, &err) < 0)
        return 0;
    CLEANUP(json_free)
    struct json *related = json_build("{s:O, s:O, s:O, s:O, s:O, s:O}", "pods", object, "replicaSets", object,
                                      "endpointSlices", object, "quotas", object, "limitRanges", object, "resourceSlices",
                                      object);
    struct describe describe = {.writer = {.padding = 2}, .object = object, .events = object, .related = related};
    describers[(data[0] - 'A') % countof(describers)](&describe);
    tabwriter_flush(&describe.writer, &describe.out);
    tabwriter_done(&describe.writer);
    buf_done(&describe.out);
    free(describe.failure);
    return 0;
}
