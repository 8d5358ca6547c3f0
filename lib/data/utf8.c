/*
 * utf8.c: UTF-8 checked character by character (Unicode 15, table 3-7), with a quick way over ASCII.
 */
#include "data/utf8.h"

size_t utf8_decode(const char *text, size_t len, uint32_t *ret_code_point)
{
    const unsigned char *p = (const unsigned char *)text;
    uint32_t code_point;
    size_t n;

    if (len == 0)
        return 0;
    if (p[0] < 0x80) {
        code_point = p[0];
        n = 1;
    } else if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        code_point = p[0] & 0x1F;
        n = 2;
    } else if ((p[0] & 0xF0) == 0xE0) {
        code_point = p[0] & 0x0F;
        n = 3;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        code_point = p[0] & 0x07;
        n = 4;
    } else {
        return 0;
    }
    if (n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        code_point = code_point << 6 | (p[i] & 0x3F);
    }
    if ((n == 3 && (code_point < 0x800 || (code_point >= 0xD800 && code_point <= 0xDFFF))) ||
        (n == 4 && (code_point < 0x10000 || code_point > 0x10FFFF)))
        return 0;
    if (ret_code_point != NULL)
        *ret_code_point = code_point;
    return n;
}

bool utf8_valid(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (text[i] > 0) {
            i++;
            continue;
        }
        size_t n = text[i] != '\0' ? utf8_decode(text + i, len - i, NULL) : 0;
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

void utf8_repair(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len;) {
        size_t n = text[i] != '\0' ? utf8_decode(text + i, len - i, NULL) : 0;
        if (n > 0)
            buf_add(out, text + i, n);
        else
            buf_add_str(out, "\xEF\xBF\xBD");
        i += n > 0 ? n : 1;
    }
}
