/* fuzz_selector.c: label selectors: matched against labels, and made into LabelSelectors; both agree on what is one. */
#include <stdlib.h>

#include "base/mem.h"
#include "cmd/fks/objects/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *text = xstrndup((const char *)data, size);
    CLEANUP(json_free) struct json *labels = json_build("{s:s, s:s}", "a", "b", "c", ""), *selector = NULL;
    CLEANUP(err_clear) struct err no_match = {0}, no_selector = {0};
    int matches = selector_matches(text, labels, &no_match);
    if (selector_parse(text, &selector, &no_selector) == 0 && !json_is_object(selector))
        abort();
    return matches < 0 && no_match.code == 0 ? -1 : 0;
}
