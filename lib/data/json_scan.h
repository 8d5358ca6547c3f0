/*
 * json_scan.h: the inner loops of json_parse.c and json_print.c: runs of plain text inside a string, which is most of any
 * JSON text, looked through 16 bytes at a time (8 where there is no SSE2), and digits.
 */
#pragma once

#include <endian.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/compiler.h"

/* look_at_piece: which bytes of the piece at p end a run of plain text, and which are not ASCII; the lowest bit of each byte's
 * stands for the first of them. find_odd_ones: which are either. */
#ifdef __SSE2__
enum { PIECE = 16, BITS_PER_BYTE = 1 };
typedef uint32_t piece_bits;

static inline void look_at_piece(const char *p, piece_bits *ret_stop, piece_bits *ret_not_ascii)
{
    __m128i piece = _mm_loadu_si128((const void *)p);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(piece, _mm_set1_epi8(0x1f)), piece);
    __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(piece, _mm_set1_epi8('"')), _mm_cmpeq_epi8(piece, _mm_set1_epi8('\\')));

    *ret_stop = (piece_bits)_mm_movemask_epi8(_mm_or_si128(control, mark));
    *ret_not_ascii = (piece_bits)_mm_movemask_epi8(piece);
}

static inline piece_bits find_odd_ones(const char *p)
{
    __m128i piece = _mm_loadu_si128((const void *)p);
    __m128i control = _mm_cmplt_epi8(piece, _mm_set1_epi8(0x20)); /* bytes that are not ASCII count as negative */
    __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(piece, _mm_set1_epi8('"')), _mm_cmpeq_epi8(piece, _mm_set1_epi8('\\')));

    return (piece_bits)_mm_movemask_epi8(_mm_or_si128(control, mark));
}
#else
enum { PIECE = 8, BITS_PER_BYTE = 8 };
typedef uint64_t piece_bits;
#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The highest bit of each zero byte; above the lowest of them, bytes of 1 may be marked, too. */
static inline uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

static inline void look_at_piece(const char *p, piece_bits *ret_stop, piece_bits *ret_not_ascii)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    word = le64toh(word); /* the first byte is the lowest */
    *ret_stop = zero_bytes(word ^ EACH_BYTE('"')) | zero_bytes(word ^ EACH_BYTE('\\')) |
                ((word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80));
    *ret_not_ascii = word & EACH_BYTE(0x80);
}

static inline piece_bits find_odd_ones(const char *p)
{
    piece_bits stop, not_ascii;

    look_at_piece(p, &stop, &not_ascii);
    return stop | not_ascii;
}
#endif

/*
 * The quick way for most strings: the first quote, backslash, control character or byte that is not ASCII, or some byte before
 * it near the end of the text.
 */
static inline const char *skip_ascii(const char *p, const char *end)
{
    for (; end - p >= PIECE; p += PIECE) {
        piece_bits odd_ones = find_odd_ones(p);
        if (odd_ones != 0)
            return p + __builtin_ctzll(odd_ones) / BITS_PER_BYTE;
    }
    return p;
}

/* The first quote, backslash or control character. Sets *not_ascii when a byte before it is not ASCII. */
static inline const char *skip_plain(const char *p, const char *end, bool *not_ascii)
{
    piece_bits stop, odd;

    for (; end - p >= PIECE; p += PIECE) {
        look_at_piece(p, &stop, &odd);
        if (stop != 0) {
            *not_ascii |= (odd & ((stop & -stop) - 1)) != 0;
            return p + __builtin_ctzll(stop) / BITS_PER_BYTE;
        }
        *not_ascii |= odd != 0;
    }
    for (; p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20; p++)
        *not_ascii |= (unsigned char)*p >= 0x80;
    return p;
}

/* The digits of a whole number, with their sign; false when it does not fit. */
static inline bool to_integer(const char *p, const char *end, int64_t *ret)
{
    bool negative = *p == '-';
    int64_t value = 0;

    for (p += negative; p < end; p++) {
        int digit = *p - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *ret = value;
    return true;
}
