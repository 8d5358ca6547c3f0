/*
 * client_blocking.c: requests for whoever has nothing else to do: client.c's calls, with the loop turned until they are done.
 */
#include "base/mem.h"
#include "kube/client.h"

struct blocking {
    struct json *answer;
    struct err *err;
    bool done;
};

static void on_blocking_done(struct json **answer, struct err *err, void *data)
{
    struct blocking *blocking = data;
    blocking->done = true;
    blocking->answer = take(answer);
    if (err->code != 0)
        err_move(blocking->err, err);
}

static int wait_for(struct kube_client *client, struct kube_call *call, struct blocking *blocking)
{
    while (!blocking->done) {
        if (loop_turn(kube_client_loop(client), -1, blocking->err) < 0) {
            kube_cancel(call);
            return (int)blocking->err->code;
        }
    }
    return blocking->err->code != 0 ? (int)blocking->err->code : 0;
}

int kube_do(struct kube_client *client, const struct kube_request *request, struct json **ret, struct err *err)
{
    struct blocking blocking = {.err = err};
    struct kube_call *call = kube_start(client, request, on_blocking_done, &blocking);
    int result = wait_for(client, call, &blocking);
    if (ret != NULL)
        *ret = blocking.answer;
    else
        json_free(blocking.answer);
    return result;
}

int kube_find(struct kube_client *client, const struct kube_request *request, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *answer = NULL;
    int r = kube_do(client, request, &answer, err);
    if (r == ERR_NOT_FOUND)
        err_clear(err);
    else if (r < 0)
        return r;
    else
        *ret = take(&answer);
    return 0;
}

/* Until a call is done. False: the loop failed, err tells how. */
static bool wait_busily(struct kube_client *client, const struct kube_call *call, const struct blocking *wait,
                        bool (**meanwhile)(void *data), void *data, struct err *err)
{
    while (!wait->done) {
        bool may_work = *meanwhile != NULL && kube_call_is_connected(call);
        bool worked = may_work && (*meanwhile)(data);
        if (may_work && !worked)
            *meanwhile = NULL;
        if (loop_turn(kube_client_loop(client), worked ? 0 : -1, err) < 0)
            return false;
    }
    return true;
}

int kube_do_all(struct kube_client *client, const struct kube_request *requests, size_t n,
                bool (*meanwhile)(void *data), void *data, struct json **ret, struct err *err)
{
    CLEANUP(xfree) struct blocking *waits = xcalloc(n + 1, sizeof(*waits));
    CLEANUP(xfree) struct err *errs = xcalloc(n + 1, sizeof(*errs));
    CLEANUP(xfree) struct kube_call **calls = xcalloc(n + 1, sizeof(*calls));
    for (size_t i = 0; i < n; i++) {
        waits[i].err = &errs[i];
        struct kube_request request = requests[i];
        request.together = true;
        calls[i] = kube_start(client, &request, on_blocking_done, &waits[i]);
    }
    for (size_t i = 0; i < n && err->code == 0; i++) {
        if (wait_busily(client, calls[i], &waits[i], &meanwhile, data, err) && errs[i].code != 0)
            err_move(err, &errs[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (!waits[i].done)
            kube_cancel(calls[i]);
        ret[i] = err->code != 0 ? json_free(waits[i].answer) : waits[i].answer;
        err_clear(&errs[i]);
    }
    return err->code != 0 ? (int)err->code : 0;
}

int kube_do_raw(struct kube_client *client, const struct kube_request *request, http_chunk *chunk, void *data,
                struct buf *ret, struct err *err)
{
    struct blocking blocking = {.err = err};
    struct kube_call *call = kube_start_raw(client, request, chunk, data, ret, on_blocking_done, &blocking);
    int result = wait_for(client, call, &blocking);
    json_free(blocking.answer);
    return result;
}
