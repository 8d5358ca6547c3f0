/*
 * fuzz_kustomize.c: whole kustomizations. The input is a list of files with lines "%%" between them: the
 * kustomization, that of base/, and what every other name means.
 */
#include "base/mem.h"
#include "base/str.h"
#include "cmd/fks/kustomize/kustomize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILES_MAX 4

struct files {
    struct str list[FILES_MAX];
    size_t n;
};

static int read_memory(void *data, const char *path, struct buf *ret, struct err *err)
{
    const struct files *files = data;
    size_t place = streq(path, "kustomization.yaml")       ? 0
                   : ends_with(path, "kustomization.yaml") ? 1
                                                           : 2 + (unsigned char)path[0] % 2;
    bool other_name = ends_with(path, "kustomization.yml") || ends_with(path, "Kustomization");
    if (place >= files->n || other_name)
        return err_set(err, ERR_NOT_FOUND, "no file '%s'", path);
    buf_add(ret, files->list[place].p, files->list[place].len);
    return 0;
}

static bool is_folder(void *data, const char *path)
{
    (void)data;
    return ends_with(path, "base");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(buf_done) struct buf warnings = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *text = xstrndup((const char *)data, size < 16384 ? size : 0);
    struct files files = {0};
    char *rest = text, *end;
    while (files.n < FILES_MAX && rest != NULL) {
        end = strstr(rest, "\n%%\n");
        files.list[files.n++] = (struct str){rest, end != NULL ? (size_t)(end - rest) : strlen(rest)};
        rest = end != NULL ? end + 4 : NULL;
    }
    const struct kustomize_reader reader = {read_memory, is_folder, &files};
    int code = kustomize_build(&reader, ".", &objects, &warnings, &err);
    if ((code == 0) != (objects != NULL) || (code < 0) != (err.code < 0))
        abort();
    return 0;
}
