/*
 * tabwriter.h: columns as Go's text/tabwriter aligns them: cells end with a tab, a column is as wide as its widest
 * cell plus padding over every run of consecutive lines that have it, the last cell of a line is in no column.
 * kubectl's tables and descriptions are made with it, so this is what makes ours equal to the byte.
 */
#pragma once

#include "base/buf.h"

struct tabwriter {
    size_t min_width, padding;
    bool remember;      /* widths of earlier flushes are kept as minimum (watch) */
    struct buf text;    /* written and not yet flushed: \t ends a cell, \n a line */
    size_t *remembered; /* per column */
    size_t n_remembered;
};

void tabwriter_done(struct tabwriter *writer);
/* Appends what was written to text, aligned, to out. */
void tabwriter_flush(struct tabwriter *writer, struct buf *out);
void tabwriter_forget_widths(struct tabwriter *writer);
DEFINE_CLEANUP_IN_PLACE(struct tabwriter, tabwriter_done)
