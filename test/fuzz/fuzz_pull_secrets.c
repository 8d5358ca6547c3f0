/*
 * fuzz_pull_secrets.c: any text as registry entry, image name and Docker configuration. The input is cut at its
 * first newline: image before it, configuration behind it.
 */
#include "cmd/fks-node/images/pull_secrets.h"

#include "base/codec.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *text = xstrndup((const char *)data, size);
    size_t cut = strcspn(text, "\n");
    CLEANUP(xfree) char *image = xstrndup(text, cut);
    const char *rest = text[cut] == '\n' ? text + cut + 1 : "";
    CLEANUP(buf_done) struct buf encoded = {0};
    CLEANUP(pull_credentials_done) struct pull_credentials found = {0};

    (void)pull_secrets_is_image(image);
    (void)pull_secrets_covers(rest, image);
    base64_encode(rest, strlen(rest), &encoded);
    CLEANUP(json_free) struct json *secret =
        json_build("{s:s, s:{s:s}}", "type", "kubernetes.io/dockerconfigjson", "data",
                   ".dockerconfigjson", buf_text(&encoded));
    pull_secrets_match(secret, image, &found);
    for (size_t i = 0; i < found.n; i++)
        if (found.items[i].username == NULL || found.items[i].password == NULL)
            abort();
    return 0;
}
