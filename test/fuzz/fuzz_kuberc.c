/*
 * fuzz_kuberc.c: a user's file of defaults and aliases, in either version. What was read once reads the same again.
 */
#include <stdlib.h>

#include "cmd/fks/config/kuberc.h"
#include "data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_free) struct json *document = NULL, *first = NULL, *second = NULL;
    CLEANUP(err_clear) struct err err = {0};
    if (yaml_parse((const char *)data, size, &document, &err) < 0 || kuberc_normalize(document, &first, &err) < 0)
        return 0;
    json_set_str(first, "apiVersion", "kubectl.config.k8s.io/v1beta1");
    if (kuberc_normalize(first, &second, &err) < 0 || !json_same(first, second))
        abort();
    return 0;
}
