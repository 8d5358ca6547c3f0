/*
 * gotime.c: reads a time as Go's time.Parse does with the layout of RFC 3339, piece by piece, to say of a wrong one what
 * kubectl says: which piece of the layout did not match which rest of the text. The value itself is base/clock.h's.
 */
#include "text/gotime.h"

#include <string.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/mem.h"

#define LAYOUT "2006-01-02T15:04:05Z07:00"

enum result { FITS, MISFIT, OUT_OF_RANGE };

struct reader {
    const char *rest;
    int year, month, day;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* As Go quotes here: bytes, not characters. */
static void quote(const char *text, struct buf *out)
{
    buf_add_char(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < ' ') /* and bytes from 0x80 on, which are negative */
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        else if (*c == '"' || *c == '\\')
            buf_printf(out, "\\%c", *c);
        else
            buf_add_char(out, *c);
    }
    buf_add_char(out, '"');
}

static int misfit(const char *text, const char *piece, const char *rest, struct err *err)
{
    CLEANUP(buf_done) struct buf out = {0};
    buf_add_str(&out, "parsing time ");
    quote(text, &out);
    buf_add_str(&out, " as \"" LAYOUT "\": cannot parse ");
    quote(rest, &out);
    buf_add_str(&out, " as ");
    quote(piece, &out);
    return err_set(err, ERR_PARSE, "%s", buf_text(&out));
}

static int trouble(const char *text, const char *what, const char *quoted, struct err *err)
{
    CLEANUP(buf_done) struct buf out = {0};
    buf_add_str(&out, "parsing time ");
    quote(text, &out);
    buf_printf(&out, ": %s", what);
    if (quoted != NULL)
        quote(quoted, &out);
    return err_set(err, ERR_PARSE, "%s", buf_text(&out));
}

/* Two digits, or one where that may be. */
static bool take_number(const char **rest, bool two, int *ret)
{
    const char *text = *rest;
    if (!is_digit(text[0]) || (two && !is_digit(text[1])))
        return false;
    bool has_two = is_digit(text[1]);
    *ret = has_two ? (text[0] - '0') * 10 + text[1] - '0' : text[0] - '0';
    *rest += has_two ? 2 : 1;
    return true;
}

static enum result take_limited(const char **rest, bool two, int from, int to, int *ret)
{
    if (!take_number(rest, two, ret))
        return MISFIT;
    return *ret < from || *ret > to ? OUT_OF_RANGE : FITS;
}

static enum result take_year(struct reader *reader)
{
    for (int i = 0; i < 4; i++) {
        if (!is_digit(reader->rest[i]))
            return MISFIT;
        reader->year = reader->year * 10 + reader->rest[i] - '0';
    }
    reader->rest += 4;
    return FITS;
}

static enum result take_seconds(struct reader *reader)
{
    int seconds = 0;
    enum result result = take_limited(&reader->rest, true, 0, 59, &seconds);
    const char *rest = reader->rest;
    if (result == FITS && (rest[0] == '.' || rest[0] == ',') && is_digit(rest[1]))
        reader->rest += 1 + strspn(rest + 1, "0123456789");
    return result;
}

static enum result take_zone(struct reader *reader, const char **ret_what)
{
    const char *rest = reader->rest, *hour_text = rest + 1, *minute_text = rest + 4;
    int hours = 0, minutes = 0;
    if (rest[0] == 'Z') {
        reader->rest++;
        return FITS;
    }
    if (strnlen(rest, 6) < 6 || rest[3] != ':')
        return MISFIT;
    bool numbers = take_number(&hour_text, true, &hours) && take_number(&minute_text, true, &minutes);
    *ret_what = hours > 24 ? "time zone offset hour" : "time zone offset minute";
    if (hours > 24 || minutes > 60)
        return OUT_OF_RANGE;
    if (!numbers || (rest[0] != '+' && rest[0] != '-'))
        return MISFIT;
    reader->rest += 6;
    return FITS;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

enum piece { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, ZONE };

/* *ret_what: what of the time is out of range. */
static enum result take_piece(struct reader *reader, enum piece piece, const char **ret_what)
{
    static const char *const names[] = {"year", "month", "day", "hour", "minute", "second", "zone"};
    int value = 0;
    *ret_what = names[piece];
    switch (piece) {
    case YEAR:
        return take_year(reader);
    case MONTH:
        return take_limited(&reader->rest, true, 1, 12, &reader->month);
    case DAY: /* how many there are is seen at the end */
        return take_limited(&reader->rest, true, 0, 99, &reader->day);
    case HOUR:
        return take_limited(&reader->rest, false, 0, 23, &value);
    case MINUTE:
        return take_limited(&reader->rest, true, 0, 59, &value);
    case SECOND:
        return take_seconds(reader);
    case ZONE:
    default:
        return take_zone(reader, ret_what);
    }
}

int gotime_check(const char *text, struct err *err)
{
    static const struct {
        const char *before, *layout;
    } pieces[] = {{"", "2006"}, {"-", "01"}, {"-", "02"}, {"T", "15"}, {":", "04"}, {":", "05"}, {"", "Z07:00"}};
    struct reader reader = {.rest = text};
    for (size_t i = 0; i < countof(pieces); i++) {
        const char *what = NULL, *before = pieces[i].before;
        if (before[0] != '\0' && reader.rest[0] != before[0])
            return misfit(text, before, reader.rest, err);
        reader.rest += strlen(before);
        const char *rest = reader.rest;
        enum result result = take_piece(&reader, (enum piece)i, &what);
        if (result == MISFIT)
            return misfit(text, pieces[i].layout, rest, err);
        if (result == OUT_OF_RANGE) {
            CLEANUP(xfree) char *words = xasprintf("%s out of range", what);
            return trouble(text, words, NULL, err);
        }
    }
    if (reader.rest[0] != '\0')
        return trouble(text, "extra text: ", reader.rest, err);
    if (reader.day < 1 || reader.day > days_in(reader.year, reader.month))
        return trouble(text, "day out of range", NULL, err);
    return 0;
}
