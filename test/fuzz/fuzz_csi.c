/*
 * fuzz_csi.c: answers of CSI drivers and their registrars, from bytes to the plain structs of csi.h. The first byte chooses the
 * call, the rest is the message. The callback runs exactly once and can read everything it is given.
 */
#include "base/mem.h"
#include "base/str.h"
#include "cri/grpc.h"
#include "csi/csi_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    int calls;
    size_t sum; /* so that reading is not optimised away */
};

static void read_text(struct seen *seen, const char *text)
{
    if (text == NULL)
        abort();
    seen->sum += strlen(text);
}

static void on_ok(struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    seen->sum += (size_t)(err->code != 0);
}

static void on_info(const char *node_id, int64_t max_volumes, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if ((node_id == NULL) != (err->code != 0))
        abort();
    if (node_id != NULL)
        read_text(seen, node_id);
    seen->sum += (size_t)max_volumes;
}

static void on_capabilities(const struct csi_capabilities *capabilities, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if ((capabilities == NULL) != (err->code != 0))
        abort();
    if (capabilities != NULL)
        seen->sum += (size_t)capabilities->stage + capabilities->mount_group + capabilities->single_writer;
}

static void on_plugin(const struct csi_plugin *plugin, struct err *err, void *data)
{
    struct seen *seen = data;

    seen->calls++;
    if ((plugin == NULL) != (err->code != 0))
        abort();
    if (plugin == NULL)
        return;
    read_text(seen, plugin->type);
    read_text(seen, plugin->name);
    read_text(seen, plugin->endpoint);
    for (size_t i = 0; i < plugin->n_versions; i++)
        read_text(seen, plugin->versions[i]);
}

/* Which callback a method takes: told by its name. */
static union csi_done done_of(const struct csi_method *method)
{
    if (streq(method->grpc.name, "NodeGetInfo"))
        return (union csi_done){.info = on_info};
    if (streq(method->grpc.name, "NodeGetCapabilities"))
        return (union csi_done){.capabilities = on_capabilities};
    if (streq(method->grpc.name, "GetInfo"))
        return (union csi_done){.plugin = on_plugin};
    return (union csi_done){.ok = on_ok};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf frame = {0};
    struct seen seen = {0};
    size_t n = 0;

    if (size == 0)
        return 0;
    while (csi_methods[n] != NULL)
        n++;
    const struct csi_method *method = csi_methods[data[0] % n];
    grpc_frame(data + 1, size - 1, &frame);
    csi_answer(method, frame.data, frame.len, "0", NULL, done_of(method), &seen);
    if (seen.calls != 1)
        abort();
    return 0;
}
