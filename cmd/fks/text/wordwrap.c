/*
 * wordwrap.c: breaks lines between words. Blanks at a break vanish, all others stay as they are.
 */
#include "text/wordwrap.h"

#include <ctype.h>

#include "base/str.h"

struct wrapping {
    struct buf *out;
    struct buf word, blanks; /* read and not yet written */
    size_t word_len;         /* in characters */
    size_t column;
};

static void write_pending(struct wrapping *wrapping)
{
    wrapping->column += wrapping->blanks.len + wrapping->word_len;
    buf_add(wrapping->out, buf_text(&wrapping->blanks), wrapping->blanks.len);
    buf_add(wrapping->out, buf_text(&wrapping->word), wrapping->word.len);
    buf_clear(&wrapping->blanks);
    buf_clear(&wrapping->word);
    wrapping->word_len = 0;
}

static void end_line(struct wrapping *wrapping, size_t width)
{
    if (wrapping->word.len > 0 || wrapping->column + wrapping->blanks.len <= width)
        write_pending(wrapping);
    buf_clear(&wrapping->blanks);
}

void wordwrap(const char *text, size_t width, struct buf *out)
{
    struct wrapping wrapping = {.out = out};
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '\n') {
            end_line(&wrapping, width);
            buf_add_char(out, '\n');
            wrapping.column = 0;
        } else if (isspace(*c)) {
            if (wrapping.blanks.len == 0 || wrapping.word.len > 0)
                write_pending(&wrapping);
            buf_add_char(&wrapping.blanks, (char)*c);
        } else {
            bool starts_character = (*c & 0xc0) != 0x80;
            buf_add_char(&wrapping.word, (char)*c);
            wrapping.word_len += starts_character;
            if (wrapping.column + wrapping.blanks.len + wrapping.word_len > width && wrapping.word_len < width &&
                starts_character) {
                buf_add_char(out, '\n');
                wrapping.column = 0;
                buf_clear(&wrapping.blanks);
            }
        }
    }
    end_line(&wrapping, width);
    buf_done(&wrapping.word);
    buf_done(&wrapping.blanks);
}
