/*
 * wordwrap.h: text broken at blanks into lines of a width, as kubectl's explain does.
 */
#pragma once

#include "base/buf.h"

/* Words longer than the width stay whole; existing line ends stay. Width in characters, text in UTF-8. Appends. */
void wordwrap(const char *text, size_t width, struct buf *out);
