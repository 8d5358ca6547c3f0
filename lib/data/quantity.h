/*
 * quantity.h: resource quantities ("250m", "1.5", "1Gi", "2e3"), k8s.io/apimachinery/pkg/api/resource. Values are kept in
 * thousandths ("milli") as int64, fractions below that round up, as the API server does.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

/* Suffixes n u m "" k M G T P E Ki Mi Gi Ti Pi Ei and exponents e/E. ERR_PARSE; ERR_TOO_BIG when milli does not fit. */
int quantity_parse_milli(const char *text, int64_t *ret_milli, struct err *err) MUST_CHECK;
/* Whole units, rounded up: bytes of memory, counts. Takes up to INT64_MAX units (milli would not fit): ERR_TOO_BIG. */
int quantity_parse_units(const char *text, int64_t *ret_units, struct err *err) MUST_CHECK;
/* "250m", "2": CPU. */
void quantity_print_milli(int64_t milli, struct buf *out);
/* Canonical binary form: "512Mi", "1Gi", "1536Mi", "1000" (largest suffix that divides exactly). */
void quantity_print_bytes(int64_t bytes, struct buf *out);
/* The text as the API server writes it back: "1000m" is "1", "1024Mi" is "1Gi"; with an exponent it stays as it is. */
int quantity_canonical(const char *text, struct buf *out, struct err *err) MUST_CHECK;
