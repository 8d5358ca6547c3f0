/*
 * fuzz_cri.c: answers of the container runtime, from bytes to the plain structs of runtime.h. The first byte
 * chooses the call, the rest is the message. The callback runs exactly once and can read everything it is given.
 */
#include "base/mem.h"
#include "cri/grpc.h"
#include "cri/runtime_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    int calls;
    size_t sum; /* so that reading is not optimised away */
};

static void read_text(struct seen *seen, const char *text)
{
    seen->sum += text != NULL ? strlen(text) : 0;
}

static void read_pairs(struct seen *seen, const struct cri_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        read_text(seen, pairs->items[i].key);
        read_text(seen, pairs->items[i].value);
    }
}

static void on_id(const char *id, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if ((id == NULL) != (err->code != 0))
        abort();
    read_text(seen, id);
}

static void on_ok(struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    seen->sum += (size_t)(err->code != 0);
}

static void on_sandboxes(const struct cri_sandbox *items, size_t n, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if (err->code != 0 && n > 0)
        abort();
    for (size_t i = 0; i < n; i++) {
        read_text(seen, items[i].id);
        read_text(seen, items[i].name);
        read_text(seen, items[i].uid);
        read_text(seen, items[i].namespace);
        read_text(seen, items[i].ip);
        read_pairs(seen, &items[i].labels);
        read_pairs(seen, &items[i].annotations);
    }
}

static void on_containers(const struct cri_container *items, size_t n, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if (err->code != 0 && n > 0)
        abort();
    for (size_t i = 0; i < n; i++) {
        const struct cri_container *item = &items[i];
        const char *texts[] = {item->id,     item->sandbox_id, item->name,    item->image,
                               item->image_ref, item->reason,  item->message, item->log_path};

        for (size_t j = 0; j < countof(texts); j++) {
            if (texts[j] == NULL)
                abort();
            read_text(seen, texts[j]);
        }
        if ((int)item->state < 0 || item->state > CRI_UNKNOWN)
            abort();
        read_pairs(seen, &item->labels);
        read_pairs(seen, &item->annotations);
    }
}

static void read_image(struct seen *seen, const struct cri_image *image)
{
    read_text(seen, image->id);
    read_text(seen, image->username);
    for (size_t i = 0; image->repo_tags[i] != NULL; i++)
        read_text(seen, image->repo_tags[i]);
    for (size_t i = 0; image->repo_digests[i] != NULL; i++)
        read_text(seen, image->repo_digests[i]);
}

static void on_image(const struct cri_image *image, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if (image != NULL && err->code != 0)
        abort();
    if (image != NULL)
        read_image(seen, image);
}

static void on_images(const struct cri_image *items, size_t n, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if (err->code != 0 && n > 0)
        abort();
    for (size_t i = 0; i < n; i++)
        read_image(seen, &items[i]);
}

static void on_stats(const struct cri_stats *items, size_t n, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if (err->code != 0 && n > 0)
        abort();
    for (size_t i = 0; i < n; i++)
        read_text(seen, items[i].id);
}

static void on_exec(const char *out, size_t out_len, const char *errout, size_t errout_len, int32_t exit_code,
                    struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if (err->code != 0 && (out_len > 0 || errout_len > 0))
        abort();
    for (size_t i = 0; i < out_len; i++)
        seen->sum += (unsigned char)out[i];
    for (size_t i = 0; i < errout_len; i++)
        seen->sum += (unsigned char)errout[i];
    seen->sum += (size_t)exit_code;
}

/* Which callback a method takes: told by what it answers with. */
static union cri_done done_of(const struct cri_method *method)
{
    static const struct {
        const char *name;
        union cri_done done;
    } rows[] = {
        {"StopPodSandbox", {.ok = on_ok}},
        {"RemoveImage", {.ok = on_ok}},
        {"PodSandboxStatus", {.sandboxes = on_sandboxes}},
        {"ListPodSandbox", {.sandboxes = on_sandboxes}},
        {"ListContainers", {.containers = on_containers}},
        {"ContainerStatus", {.containers = on_containers}},
        {"ListContainerStats", {.stats = on_stats}},
        {"ImageStatus", {.image = on_image}},
        {"ListImages", {.images = on_images}},
        {"ExecSync", {.exec = on_exec}},
    };

    for (size_t i = 0; i < countof(rows); i++)
        if (streq(rows[i].name, method->name))
            return rows[i].done;
    return (union cri_done){.id = on_id};
}

static const struct cri_method *method_at(size_t index)
{
    const struct cri_method *const *lists[] = {cri_runtime_methods, cri_image_methods, cri_stream_methods};
    const struct cri_method *all[64];
    size_t n = 0;

    for (size_t i = 0; i < countof(lists); i++)
        for (size_t j = 0; lists[i][j] != NULL; j++)
            all[n++] = lists[i][j];
    return all[index % n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf frame = {0};
    const struct cri_method *method;
    struct seen seen = {0};

    if (size == 0)
        return 0;
    method = method_at(data[0]);
    grpc_frame(data + 1, size - 1, &frame);
    cri_answer(method, frame.data, frame.len, "0", NULL, done_of(method), &seen);
    if (seen.calls != 1)
        abort();
    return 0;
}
