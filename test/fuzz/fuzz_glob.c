/* fuzz_glob.c: pattern and text, cut at the first newline, against a plain recursive matcher. */
#include "base/mem.h"
#include "data/utf8.h"
#include "fargate/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exponential, so only for short input. */
static bool slow_glob(const char *pattern, const char *text)
{
    const char *next = text;

    if (*pattern == '\0')
        return *text == '\0';
    if (*text != '\0')
        do
            next++;
        while (((unsigned char)*next & 0xC0) == 0x80);
    if (*pattern == '*')
        return slow_glob(pattern + 1, text) || (*text != '\0' && slow_glob(pattern, next));
    if (*text == '\0')
        return false;
    if (*pattern == '?')
        return slow_glob(pattern + 1, next);
    return *pattern == *text && slow_glob(pattern + 1, text + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *pattern = xstrndup((const char *)data, size);
    char *text = strchr(pattern, '\n');

    if (text == NULL)
        return 0;
    *text++ = '\0';
    /* names and labels come out of JSON, which is UTF-8; elsewhere it must not crash, but "one character" means nothing */
    bool is_text = utf8_valid(pattern, strlen(pattern)) && utf8_valid(text, strlen(text));
    bool matches = fargate_glob(pattern, text);
    if (is_text && strlen(pattern) <= 12 && strlen(text) <= 12 && matches != slow_glob(pattern, text))
        abort();
    return 0;
}
