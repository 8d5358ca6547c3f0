/*
 * fuzz_kubeconfig.c: any bytes as a kubeconfig file, up to the merged tree. Not further: resolving reads files and runs
 * programs that the file names.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *raw = NULL;
    CLEANUP(fd_close) int fd = memfd_create("kubeconfig", MFD_CLOEXEC);

    if (size > 65536 || fd < 0 || fd_write_all(fd, data, size, &err) < 0)
        return 0;
    CLEANUP(xfree) char *path = xasprintf("/proc/self/fd/%d", fd);
    if (kube_config_raw_resolved(&(struct kube_overrides){.kubeconfig = path}, &raw, &err) == 0 &&
        !json_is_array(json_get(raw, "clusters", NULL)))
        abort();
    return 0;
}
