/*
 * streams.c: commands in containers. ExecSync runs one to its end (probes, hooks); the others only ask for the URL
 * of the runtime's stream server, to which the kubelet API hands the user's connection over.
 */
#include "cri/runtime_internal.h"

#include "base/mem.h"

static void deliver_exec(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    const Runtime__V1__ExecSyncResponse *answer = (const Runtime__V1__ExecSyncResponse *)message;

    if (answer == NULL) {
        done.exec(NULL, 0, NULL, 0, -1, err, data);
        return;
    }
    done.exec((const char *)answer->stdout.data, answer->stdout.len, (const char *)answer->stderr.data,
              answer->stderr.len, answer->exit_code, err, data);
}

static const struct cri_method method_exec_sync = {
    "RuntimeService", "ExecSync", &runtime__v1__exec_sync_response__descriptor, deliver_exec, NULL};

void cri_exec_sync(struct cri *cri, const char *id, const char *const *argv, int64_t timeout_s, cri_exec_done *done,
                   void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    Runtime__V1__ExecSyncRequest request = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;

    request.container_id = cri_text(id);
    request.cmd = cri_texts(&scratch, argv, &request.n_cmd);
    request.timeout = timeout_s;
    cri_start(cri, &method_exec_sync, &request.base, timeout_s * 1000 + CRI_TIMEOUT_MS,
              (union cri_done){.exec = done}, data);
}

static void deliver_url(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    const Runtime__V1__StreamResponse *answer = (const Runtime__V1__StreamResponse *)message;

    done.id(answer != NULL ? answer->url : NULL, err, data);
}

static const struct cri_method method_exec = {
    "RuntimeService", "Exec", &runtime__v1__stream_response__descriptor, deliver_url, NULL};
static const struct cri_method method_attach = {
    "RuntimeService", "Attach", &runtime__v1__stream_response__descriptor, deliver_url, NULL};
static const struct cri_method method_port_forward = {
    "RuntimeService", "PortForward", &runtime__v1__stream_response__descriptor, deliver_url, NULL};

/* A terminal has one output; the runtime refuses a request for both. */
void cri_exec_url(struct cri *cri, const char *id, const char *const *argv, bool tty, bool in, bool out, bool errout,
                  cri_id_done *done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    Runtime__V1__ExecRequest request = RUNTIME__V1__EXEC_REQUEST__INIT;

    request.container_id = cri_text(id);
    request.cmd = cri_texts(&scratch, argv, &request.n_cmd);
    request.tty = tty;
    request.stdin = in;
    request.stdout = out;
    request.stderr = errout && !tty;
    cri_start(cri, &method_exec, &request.base, CRI_TIMEOUT_MS, (union cri_done){.id = done}, data);
}

void cri_attach_url(struct cri *cri, const char *id, bool tty, bool in, bool out, bool errout, cri_id_done *done,
                    void *data)
{
    Runtime__V1__AttachRequest request = RUNTIME__V1__ATTACH_REQUEST__INIT;

    request.container_id = cri_text(id);
    request.tty = tty;
    request.stdin = in;
    request.stdout = out;
    request.stderr = errout && !tty;
    cri_start(cri, &method_attach, &request.base, CRI_TIMEOUT_MS, (union cri_done){.id = done}, data);
}

void cri_port_forward_url(struct cri *cri, const char *sandbox_id, const int32_t *ports, size_t n, cri_id_done *done,
                          void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    Runtime__V1__PortForwardRequest request = RUNTIME__V1__PORT_FORWARD_REQUEST__INIT;

    request.pod_sandbox_id = cri_text(sandbox_id);
    request.port = cri_scratch_alloc(&scratch, n, sizeof(*request.port));
    request.n_port = n;
    for (size_t i = 0; i < n; i++)
        request.port[i] = ports[i];
    cri_start(cri, &method_port_forward, &request.base, CRI_TIMEOUT_MS, (union cri_done){.id = done},
              data);
}

const struct cri_method *const cri_stream_methods[] = {
    &method_exec_sync, &method_exec, &method_attach, &method_port_forward, NULL,
};
