/*
 * real.h: the shortest decimal text that reads back as the same double. JSON, and Go's
 * own notation, lay the digits out differently.
 */
#pragma once

#include "base/compiler.h"

#define REAL_TEXT_MAX 32

/* Go's encoding/json: "1", "0.25", "1e-7", "1e+21". value is finite. */
void real_print_json(double value, char text[REAL_TEXT_MAX]);
/* Go's %g, as its templates and YAML printers use it: "1", "0.25", "1e-07", "1e+06". value is finite. */
void real_print_g(double value, char text[REAL_TEXT_MAX]);
