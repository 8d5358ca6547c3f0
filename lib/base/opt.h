/*
 * opt.h: command line options by the rules of pflag (spf13/pflag), which kubectl and eksctl users know: --name=value,
 * --name value, -n value, -nvalue, -n=value, -abc, --bool, --bool=false, "--" ends options, options and arguments mix,
 * no abbreviations of long names. Options are rows of a table; parsing and help come from the same rows.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

enum opt_type {
    OPT_BOOL,     /* bool *            --x, --x=true|false|1|0|t|f */
    OPT_STRING,   /* const char **     borrowed from argv */
    OPT_INT,      /* int64_t * */
    OPT_DURATION, /* int64_t *         milliseconds, Go syntax */
    OPT_LIST,     /* struct strv *     repeatable, comma separated (pflag StringSlice) */
    OPT_ARRAY,    /* struct strv *     repeatable, taken whole (pflag StringArray) */
};

struct opt {
    const char *name;       /* long name without dashes */
    char letter;            /* or 0 */
    enum opt_type type;
    void *value;            /* written only when the option is given; the default is what the variable holds before */
    const char *argument;   /* word for help: "NAMESPACE"; NULL for OPT_BOOL */
    const char *help;       /* one sentence; NULL hides the option from help */
    const char *bare_value; /* value of "--name" without "=", e.g. "background" for --cascade (pflag NoOptDefVal); or NULL */
    bool *seen;             /* set when given, or NULL */
};

/* Tables to search, in order; each ends with a row whose name is NULL. At most 4, rest NULL. */
struct opt_tables {
    const struct opt *tables[4];
    struct strv *given; /* gets "--name=value" of each option in the order of the line; or NULL */
    bool empty_is_none; /* "--name=" leaves an OPT_STRING whose default is NULL at that: Go has no other word for absent */
};

/*
 * Parses argv[0..argc). Arguments that are no options are added to *ret_args (copies, in order).
 * ret_dash: index in ret_args of the first argument after "--", or -1.
 * stop_at_first_argument: for commands such as exec whose rest is somebody else's (pflag SetInterspersed(false)).
 * ERR_USAGE with kubectl's words: "unknown flag: --x", "unknown shorthand flag: 'x' in -xyz",
 * "flag needs an argument: --x", "invalid argument \"a\" for \"--x\" flag: ...". --help and -h are found like other options:
 * put them in a table.
 */
int opt_parse(const struct opt_tables *tables, int argc, char *const *argv, bool stop_at_first_argument,
              struct strv *ret_args, int *ret_dash, struct err *err) MUST_CHECK;

/*
 * Help lines of one table by name, kubectl's layout: "    -o, --output='':\n\tOutput format...\n\n". The defaults shown are
 * what the variables hold now.
 */
void opt_help(const struct opt *table, struct buf *out);
