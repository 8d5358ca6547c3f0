/*
 * yaml_scalar.h: what an unquoted YAML 1.1 scalar means. Private to yaml.c and yaml_print.c: the reader needs the
 * value, the printer needs to know which strings must be quoted to stay strings.
 */
#pragma once

#include "base/compiler.h"

enum yaml_kind { YAML_STRING, YAML_NULL, YAML_BOOL, YAML_INT, YAML_REAL, YAML_TIMESTAMP, YAML_BASE60 };

struct yaml_scalar {
    enum yaml_kind kind;
    bool boolean;
    int64_t integer;
    double real; /* also of integers that int64 cannot hold, and infinities and NaN */
};

/* YAML_TIMESTAMP and YAML_BASE60 are read as strings but must be printed quoted. */
struct yaml_scalar yaml_scalar_resolve(const char *text);
