/*
 * call.c: one call of the container runtime: from the plain structs' side to grpc_call.h's. Which calls there are is
 * told by runtime.c, images.c and streams.c.
 */
#include "cri/runtime_internal.h"

#include "base/mem.h"
#include "cri/grpc_call.h"

#define PACKAGE "runtime.v1"

struct cri_call {
    const struct cri_method *method;
    union cri_done done;
    void *data;
};

int cri_new(struct loop *loop, const char *socket_path, struct keeper *keeper, struct cri **ret, struct err *err)
{
    CLEANUP(cri_free) struct cri *cri = NEW(struct cri);
    int r = grpc_client_new(loop, socket_path, keeper, &cri->client, err);

    if (r < 0)
        return r;
    *ret = take(&cri);
    return 0;
}

struct cri *cri_free(struct cri *cri)
{
    if (cri == NULL)
        return NULL;
    grpc_client_free(cri->client);
    free(cri);
    return NULL;
}

static struct grpc_method grpc_method_of(const struct cri_method *method)
{
    return (struct grpc_method){PACKAGE, method->service, method->name, method->answer, method->kept};
}

static void deliver(const ProtobufCMessage *answer, struct err *err, void *data)
{
    const struct cri_call *call = data;

    call->method->deliver(answer, err, call->done, call->data);
}

static void on_answer(const ProtobufCMessage *answer, struct err *err, void *data)
{
    CLEANUP(xfree) struct cri_call *call = data;

    deliver(answer, err, call);
}

static void on_abandoned(void *data)
{
    CLEANUP(xfree) struct cri_call *call = data;

    if (call->method->abandon != NULL)
        call->method->abandon(call->done);
}

void cri_answer(const struct cri_method *method, const char *body, size_t len, const char *grpc_code,
                const char *grpc_message, union cri_done done, void *data)
{
    const struct grpc_method grpc = grpc_method_of(method);
    struct cri_call call = {.method = method, .done = done, .data = data};

    grpc_answer(&grpc, body, len, grpc_code, grpc_message, deliver, &call);
}

void cri_start(struct cri *cri, const struct cri_method *method, const ProtobufCMessage *request, int64_t timeout_ms,
               union cri_done done, void *data)
{
    const struct grpc_method grpc = grpc_method_of(method);
    struct cri_call *call = NEW(struct cri_call);

    *call = (struct cri_call){.method = method, .done = done, .data = data};
    grpc_start(cri->client, &grpc, request, timeout_ms, on_answer, on_abandoned, call);
}

const char *cri_error_text(const struct err *err)
{
    const char *text = err_text(err);
    size_t len = 0;

    while ((text[len] >= 'A' && text[len] <= 'Z') || (text[len] >= 'a' && text[len] <= 'z'))
        len++;
    return *text >= 'A' && *text <= 'Z' && starts_with(text + len, ": ") ? text + len + 2 : text;
}

void cri_deliver_ok(const ProtobufCMessage *answer UNUSED, struct err *err, union cri_done done, void *data)
{
    done.ok(err, data);
}

const char *cri_pairs_get(const struct cri_pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->n; i++)
        if (streq(pairs->items[i].key, key))
            return pairs->items[i].value;
    return NULL;
}
