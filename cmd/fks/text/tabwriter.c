/*
 * tabwriter.c: the column rule of Go's text/tabwriter (spaces as padding, left aligned). Text in, aligned text out.
 */
#include "text/tabwriter.h"

#include "base/mem.h"

struct cell {
    const char *text;
    size_t len;
    size_t width; /* characters */
};

struct line {
    struct cell *cells; /* into the shared array */
    size_t n;
};

struct layout {
    struct tabwriter *writer;
    struct line *lines;
    size_t *widths; /* of the columns to the left of the one being measured */
    size_t n_widths, cap_widths;
    struct buf *out;
};

static size_t characters(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

static void write_lines(struct layout *layout, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct line *line = &layout->lines[i];
        for (size_t j = 0; j < line->n; j++) {
            buf_add(layout->out, line->cells[j].text, line->cells[j].len);
            if (j >= layout->n_widths)
                continue;
            for (size_t w = line->cells[j].width; w < layout->widths[j]; w++)
                buf_add_char(layout->out, ' ');
        }
        buf_add_char(layout->out, '\n');
    }
}

/* The width of the column that starts at a line; *ret_end is the first line without it. */
static size_t column_width(const struct layout *layout, size_t column, size_t from, size_t to, size_t *ret_end)
{
    const struct tabwriter *writer = layout->writer;
    size_t width = writer->min_width, i = from;
    for (; i < to && column + 1 < layout->lines[i].n; i++) {
        size_t needed = layout->lines[i].cells[column].width + writer->padding;
        if (needed > width)
            width = needed;
    }
    if (writer->remember && column < writer->n_remembered && writer->remembered[column] > width)
        width = writer->remembered[column];
    *ret_end = i;
    return width;
}

static void remember_width(struct tabwriter *writer, size_t column, size_t width)
{
    if (!writer->remember)
        return;
    if (column >= writer->n_remembered) {
        writer->remembered = xrealloc(writer->remembered, column + 1, sizeof(size_t));
        for (size_t i = writer->n_remembered; i <= column; i++)
            writer->remembered[i] = 0;
        writer->n_remembered = column + 1;
    }
    if (width > writer->remembered[column])
        writer->remembered[column] = width;
}

/*
 * Lines [from, to) have the same columns to the left; measure the next one, run by run. Depth is the number of
 * columns.
 */
static void align(struct layout *layout, size_t from, size_t to)
{
    size_t column = layout->n_widths;
    for (size_t i = from; i < to; i++) {
        if (column + 1 >= layout->lines[i].n)
            continue;
        write_lines(layout, from, i);
        size_t end = i;
        size_t width = column_width(layout, column, i, to, &end);
        remember_width(layout->writer, column, width);
        GROW(layout->widths, layout->n_widths, layout->cap_widths);
        layout->widths[layout->n_widths++] = width;
        align(layout, i, end);
        layout->n_widths--;
        from = end;
        i = end; /* the line at end has no such column */
    }
    write_lines(layout, from, to);
}

void tabwriter_flush(struct tabwriter *writer, struct buf *out)
{
    const char *text = buf_text(&writer->text);
    size_t n_lines = 0, n_cells = 0;
    for (size_t i = 0; i < writer->text.len; i++) {
        n_lines += text[i] == '\n';
        n_cells += text[i] == '\n' || text[i] == '\t';
    }
    if (n_lines == 0)
        return;
    struct cell *cells = xcalloc(n_cells + 1, sizeof(*cells));
    struct layout layout = {.writer = writer, .out = out, .lines = xcalloc(n_lines, sizeof(struct line))};
    size_t line = 0, cell = 0, start = 0, first_cell = 0, end = 0;
    for (size_t i = 0; i < writer->text.len && line < n_lines; i++) {
        if (text[i] != '\t' && text[i] != '\n')
            continue;
        cells[cell++] = (struct cell){text + start, i - start, characters(text + start, i - start)};
        start = i + 1;
        if (text[i] == '\n') {
            layout.lines[line++] = (struct line){cells + first_cell, cell - first_cell};
            first_cell = cell;
            end = i + 1;
        }
    }
    align(&layout, 0, n_lines);
    free(layout.widths);
    free(layout.lines);
    free(cells);
    buf_consume(&writer->text, end);
}

void tabwriter_forget_widths(struct tabwriter *writer)
{
    free(writer->remembered);
    writer->remembered = NULL;
    writer->n_remembered = 0;
}

void tabwriter_done(struct tabwriter *writer)
{
    tabwriter_forget_widths(writer);
    buf_done(&writer->text);
}
