/*
 * real.c: shortest round-trip text of a double, by trying precisions until strtod gives the same value back. Reals
 * are rare in Kubernetes objects, so the simple search is fast enough.
 */
#include "data/real.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct digits { /* 0.DDDD * 10^point, as Go's decimalSlice */
    char text[20];
    int n;
    int point;
    bool negative;
};

static struct digits shortest(double value)
{
    char text[40];
    int precision = 0;

    do {
        snprintf(text, sizeof(text), "%.*e", precision, value);
    } while (precision++ < 17 && strtod(text, NULL) != value);

    struct digits digits = {.negative = value < 0}; /* no sign on zero: "-0" would be read back as an integer */
    const char *p = text + (text[0] == '-');
    for (; *p != 'e'; p++)
        if (*p != '.')
            digits.text[digits.n++] = *p;
    int exponent = 0;
    for (const char *q = p + 2; *q != '\0'; q++)
        exponent = exponent * 10 + (*q - '0');
    digits.point = (p[1] == '-' ? -exponent : exponent) + 1;
    while (digits.n > 1 && digits.text[digits.n - 1] == '0')
        digits.n--;
    return digits;
}

static char *put_fixed(char *p, const struct digits *digits)
{
    if (digits->point <= 0)
        *p++ = '0';
    for (int i = 0; i < digits->point; i++)
        *p++ = i < digits->n ? digits->text[i] : '0';
    if (digits->n > digits->point && digits->text[0] != '0') {
        *p++ = '.';
        for (int i = digits->point; i < digits->n; i++)
            *p++ = i < 0 ? '0' : digits->text[i];
    }
    return p;
}

static char *put_exponent(char *p, const struct digits *digits, int exponent, bool two_digits)
{
    *p++ = digits->text[0];
    if (digits->n > 1) {
        *p++ = '.';
        memcpy(p, digits->text + 1, (size_t)digits->n - 1);
        p += digits->n - 1;
    }
    p += snprintf(p, 8, two_digits ? "e%c%02d" : "e%c%d", exponent < 0 ? '-' : '+', abs(exponent));
    return p;
}

static void print(const struct digits *digits, bool use_exponent, bool two_digits, char text[REAL_TEXT_MAX])
{
    char *p = text;

    if (digits->negative)
        *p++ = '-';
    if (use_exponent)
        p = put_exponent(p, digits, digits->point - 1, two_digits);
    else
        p = put_fixed(p, digits);
    *p = '\0';
}

void real_print_json(double value, char text[REAL_TEXT_MAX])
{
    struct digits digits = shortest(value);
    int exponent = digits.point - 1;

    /* the smallest and largest exponents that JavaScript, and Go after it, write without one */
    print(&digits, value != 0 && (exponent < -6 || exponent >= 21), false, text);
}

void real_print_g(double value, char text[REAL_TEXT_MAX])
{
    struct digits digits = shortest(value);
    int exponent = digits.point - 1;

    /* C's %g with its precision of 6 for this decision, all digits nevertheless */
    print(&digits, value != 0 && (exponent < -4 || exponent >= 6), true, text);
}
