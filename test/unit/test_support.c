/* test_support.c: what is refused, in Fargate's words. */
#include "fargate/support.h"

#include "trees.h"

static const struct {
    const char *spec, *reasons;
} cases[] = {
    {"{}", ""},
    {"{containers: [{ports: [{containerPort: 80}], resources: {requests: {cpu: 1, memory: 1Gi, ephemeral-storage: "
     "1Gi}}}]}",
     ""},
    {"{hostNetwork: true}", "fields not supported: HostNetwork"},
    {"{hostNetwork: false, hostPID: true, hostIPC: true}", "fields not supported: HostPID, HostIPC"},
    {"{os: {name: windows}}", "fields not supported: OS windows"},
    {"{containers: [{securityContext: {privileged: true}}]}", "invalid SecurityContext fields: Privileged"},
    {"{initContainers: [{securityContext: {privileged: true}}], containers: [{securityContext: {privileged: "
     "true}}]}",
     "invalid SecurityContext fields: Privileged"},
    {"{containers: [{securityContext: {privileged: false, allowPrivilegeEscalation: true}}]}", ""},
    {"{containers: [{securityContext: {capabilities: {add: [NET_ADMIN, SYS_PTRACE]}}}]}",
     "invalid SecurityContext fields: Capabilities added: NET_ADMIN, Capabilities added: SYS_PTRACE"},
    {"{containers: [{securityContext: {capabilities: {add: [NET_BIND_SERVICE, CAP_CHOWN], drop: [ALL]}}}]}", ""},
    {"{containers: [{ports: [{containerPort: 80, hostPort: 80}]}]}", "port contains HostIP or HostPort"},
    {"{containers: [{ports: [{containerPort: 80, hostIP: 127.0.0.1}]}]}", "port contains HostIP or HostPort"},
    {"{volumes: [{name: a, emptyDir: {}}, {name: b, configMap: {}}, {name: c, secret: {}}, {name: d, projected: "
     "{}}, "
     "{name: e, downwardAPI: {}}, {name: f, persistentVolumeClaim: {}}, {name: g, nfs: {}}, {name: h, csi: {}}]}",
     ""},
    {"{volumes: [{name: a, hostPath: {path: /}}]}", "volumes not supported: a is of an unsupported volume Type"},
    {"{volumes: [{name: a, hostPath: {path: /}}, {name: b, iscsi: {}}]}",
     "volumes not supported: a is of an unsupported volume Type, b is of an unsupported volume Type"},
    {"{containers: [{resources: {limits: {nvidia.com/gpu: 1}}}]}", "resources not supported: nvidia.com/gpu"},
    {"{hostNetwork: true, containers: [{securityContext: {privileged: true}, ports: [{hostPort: 1}]}], "
     "volumes: [{name: v, hostPath: {}}]}",
     "fields not supported: HostNetwork, invalid SecurityContext fields: Privileged, port contains HostIP or "
     "HostPort, "
     "volumes not supported: v is of an unsupported volume Type"},
};

static void test_unsupported__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(json_free) struct json *pod = json_build("{s:o}", "spec", tree_of(cases[i].spec));
        CLEANUP(strv_done) struct strv reasons = {0};
        fargate_unsupported(pod, &reasons);
        CLEANUP(xfree) char *text = strv_join(&reasons, ", ");
        assert_string_equal(text, cases[i].reasons);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsupported__cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
