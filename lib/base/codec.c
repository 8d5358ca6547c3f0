/*
 * codec.c: bytes to text and back (base64, hexadecimal, percent-encoding), and random bytes from the kernel. The
 * decoders are strict: what an encoder would never write is ERR_PARSE, so that two texts never mean the same secret.
 */
#include "base/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

void base64_encode(const void *data, size_t len, struct buf *out)
{
    const uint8_t *bytes = data;
    size_t text_len = (len + 2) / 3 * 4;
    char *to = buf_reserve(out, text_len);

    if (to == NULL)
        return;
    for (size_t i = 0; i < len; i += 3, to += 4) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;

        if (n > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (n > 2)
            group |= bytes[i + 2];
        to[0] = base64_alphabet[group >> 18];
        to[1] = base64_alphabet[group >> 12 & 63];
        to[2] = n > 1 ? base64_alphabet[group >> 6 & 63] : '=';
        to[3] = n > 2 ? base64_alphabet[group & 63] : '=';
    }
    buf_advance(out, text_len);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* One group of four characters, of which the last `padding` are '='. False when unused bits are not zero. */
static bool decode_group(const int quad[4], size_t padding, struct buf *out)
{
    uint32_t group = (uint32_t)quad[0] << 18 | (uint32_t)quad[1] << 12 | (uint32_t)quad[2] << 6 | (uint32_t)quad[3];
    uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};

    if ((padding >= 1 && bytes[2] != 0) || (padding == 2 && bytes[1] != 0))
        return false;
    buf_add(out, bytes, sizeof(bytes) - padding);
    return true;
}

int base64_decode(const char *text, size_t len, struct buf *out, struct err *err)
{
    int quad[4];
    size_t n = 0;
    size_t padding = 0;
    bool ended = false;

    for (size_t i = 0; i < len; i++) {
        int digit;

        if (text[i] == '\n' || text[i] == '\r')
            continue;
        digit = base64_digit(text[i]);
        if (text[i] == '=' && n >= 2 && !ended) {
            padding++;
            digit = 0;
        } else if (digit < 0 || padding > 0 || ended) {
            return err_set(err, ERR_PARSE, "illegal base64 data at input byte %zu", i);
        }
        quad[n++] = digit;
        if (n == 4) {
            if (!decode_group(quad, padding, out))
                return err_set(err, ERR_PARSE, "illegal base64 data at input byte %zu", i);
            ended = padding > 0;
            padding = 0;
            n = 0;
        }
    }
    if (n != 0)
        return err_set(err, ERR_PARSE, "illegal base64 data at input byte %zu: the end is missing", len);
    return buf_check(out, "decoded base64 data", err);
}

void hex_encode(const void *data, size_t len, char *text)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++) {
        *text++ = hex_lower[bytes[i] >> 4];
        *text++ = hex_lower[bytes[i] & 15];
    }
    *text = '\0';
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void url_encode(const char *text, struct buf *out)
{
    for (; *text != '\0'; text++) {
        uint8_t byte = (uint8_t)*text;
        char escape[3] = {'%', hex_upper[byte >> 4], hex_upper[byte & 15]};

        if (is_unreserved(*text))
            buf_add_char(out, *text);
        else
            buf_add(out, escape, sizeof(escape));
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int url_decode(const char *text, size_t len, bool plus_is_space, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 1 < len ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;

            /* a NUL would cut every C string made of the result */
            if (high < 0 || low < 0 || high + low == 0)
                return err_set(err, ERR_PARSE, "invalid URL escape at byte %zu", i);
            c = (char)(high << 4 | low);
            i += 2;
        }
        buf_add_char(out, c);
    }
    return buf_check(out, "decoded URL text", err);
}

void random_bytes(void *data, size_t len)
{
    char *to = data;

    while (len > 0) {
        ssize_t n = getrandom(to, len, 0);

        if (n < 0 && errno != EINTR) {
            fprintf(stderr, "getrandom failed: %m\n");
            abort();
        }
        if (n > 0) {
            to += n;
            len -= (size_t)n;
        }
    }
}

uint64_t random_below(uint64_t below)
{
    uint64_t value;
    uint64_t skip;

    if (below == 0)
        return 0;
    /* values under 2^64 mod below would make the small results likelier */
    skip = -below % below;
    do {
        random_bytes(&value, sizeof(value));
    } while (value < skip);
    return value % below;
}

void random_hex(char *text, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        uint8_t byte;

        random_bytes(&byte, sizeof(byte));
        text[i] = hex_lower[byte >> 4];
        if (i + 1 < n)
            text[i + 1] = hex_lower[byte & 15];
    }
    text[n] = '\0';
}
