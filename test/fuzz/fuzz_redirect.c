/*
 * fuzz_redirect.c: any bytes as the Location of a redirect. A probe never goes to another host: what is followed begins with
 * the host that was asked, behind http or https.
 */
#include "cmd/fks-node/pod/redirect.h"

#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const urls[] = {"http://10.0.0.1:80/a/b?c", "https://10.0.0.1:443"};
    CLEANUP(xfree) char *location = xstrndup((const char *)data, size);

    for (size_t i = 0; i < countof(urls); i++) {
        CLEANUP(xfree) char *target = redirect_target(urls[i], location);
        if (target == NULL)
            continue;
        const char *authority = strstr(target, "://");
        if (authority == NULL || strchr(target, '#') != NULL)
            abort();
        authority += strlen("://");
        size_t len = strcspn(authority, "/?");
        for (size_t j = len; j > 0; j--)
            if (authority[j - 1] == '@') {
                authority += j;
                len -= j;
                break;
            }
        if (!starts_with(authority, "10.0.0.1") || (len > strlen("10.0.0.1") && authority[strlen("10.0.0.1")] != ':'))
            abort();
    }
    return 0;
}
