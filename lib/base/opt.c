/*
 * opt.c: command line options by pflag's rules and in pflag's words, because scripts that call kubectl depend on both.
 * Options are rows of tables that a command owns; parsing and help read the same rows. It does not know commands, nor
 * which arguments are too many.
 */
#include "base/opt.h"

#include <string.h>

#include "base/mem.h"

/* One run of opt_parse. */
struct parser {
    const struct opt_tables *tables;
    bool *changed;       /* per row, counted through all tables: given before on this command line */
    bool *had_default;   /* per row: the text was not NULL before it was given */
    char *const *rest;   /* words not looked at yet */
    int n_rest;
    struct strv args;
    int dash;
};

/* The row for which name (long) or letter fits, and its number through all tables. NULL: none. */
static const struct opt *find_row(const struct opt_tables *tables, struct str name, char letter, size_t *ret_number)
{
    *ret_number = 0;
    for (size_t i = 0; i < countof(tables->tables) && tables->tables[i] != NULL; i++) {
        for (const struct opt *opt = tables->tables[i]; opt->name != NULL; opt++, (*ret_number)++) {
            if (letter != 0 ? opt->letter == letter : str_is(name, opt->name))
                return opt;
        }
    }
    return NULL;
}

static size_t count_rows(const struct opt_tables *tables)
{
    size_t n;

    (void)find_row(tables, STR(""), 0, &n);
    return n;
}

/* As Go's %q of one byte: between the quotes, with escapes. */
static void add_escaped(struct buf *out, unsigned char c, char quote)
{
    static const char escaped[] = "\a\b\f\n\r\t\v";
    static const char letters[] = "abfnrtv";
    const char *at = c != '\0' ? strchr(escaped, c) : NULL;

    if (c == quote || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (at != NULL)
        buf_printf(out, "\\%c", letters[at - escaped]);
    else if (c < ' ' || c == 0x7f)
        buf_printf(out, "\\x%02x", c);
    else
        buf_add_char(out, (char)c);
}

/* As Go's %q of a text: heap string. */
static char *quote(const char *text)
{
    struct buf out = {0};

    buf_add_char(&out, '"');
    for (; *text != '\0'; text++)
        add_escaped(&out, (unsigned char)*text, '"');
    buf_add_char(&out, '"');
    return buf_take(&out);
}

static char *quote_letter(char letter)
{
    struct buf out = {0};
    unsigned char c = (unsigned char)letter;

    buf_add_char(&out, '\'');
    /* pflag takes the byte for a code point */
    if (c >= 0xa0)
        buf_printf(&out, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
    else if (c >= 0x80)
        buf_printf(&out, "\\u%04x", c);
    else
        add_escaped(&out, c, '\'');
    buf_add_char(&out, '\'');
    return buf_take(&out);
}

/* --- values: each parser sets err to Go's words for the cause --- */

static int parse_bool(const char *text, bool *ret, struct err *err)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    CLEANUP(xfree) char *quoted = NULL;

    for (size_t i = 0; i < countof(yes); i++) {
        if (streq(text, yes[i]) || streq(text, no[i])) {
            *ret = streq(text, yes[i]);
            return 0;
        }
    }
    quoted = quote(text);
    return err_set(err, ERR_USAGE, "strconv.ParseBool: parsing %s: invalid syntax", quoted);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

/* Skips "0x", "0o", "0b" or "0" at *c; gives the base. */
static int scan_base(const char **c)
{
    int base = 8;

    if ((*c)[0] != '0')
        return 10;
    if ((*c)[1] == '\0' || (*c)[2] == '\0') {
        (*c)++;
        return base;
    }
    switch ((*c)[1] | 0x20) {
    case 'x':
        base = 16;
        break;
    case 'b':
        base = 2;
        break;
    case 'o':
        break;
    default:
        (*c)++;
        return base;
    }
    *c += 2;
    return base;
}

/* Go's strconv.ParseInt(text, 0, 64): also 0x1f, 0b1, 0o7, 017 and 1_000. Returns what is wrong, or NULL. */
static const char *scan_int(const char *text, int64_t *ret)
{
    static const char syntax[] = "invalid syntax";
    const char *c = text + (*text == '-' || *text == '+');
    const char *start = c;
    bool after_digit;
    int64_t value = 0;
    int base;

    if (*c == '\0')
        return syntax;
    base = scan_base(&c);
    /* an underscore may follow a digit or the prefix, and a digit must follow it */
    after_digit = c > start;
    for (; *c != '\0'; c++) {
        int digit = digit_of(*c);

        if (*c == '_') {
            if (!after_digit || digit_of(c[1]) >= base)
                return syntax;
            after_digit = false;
            continue;
        }
        if (digit >= base)
            return syntax;
        after_digit = true;
        if (__builtin_mul_overflow(value, base, &value) || __builtin_sub_overflow(value, digit, &value))
            return "value out of range";
    }
    if (*text != '-' && __builtin_sub_overflow((int64_t)0, value, &value))
        return "value out of range";
    *ret = value;
    return NULL;
}

static int parse_integer(const char *text, int64_t *ret, struct err *err)
{
    CLEANUP(xfree) char *quoted = NULL;
    const char *wrong = scan_int(text, ret);

    if (wrong == NULL)
        return 0;
    quoted = quote(text);
    return err_set(err, ERR_USAGE, "strconv.ParseInt: parsing %s: %s", quoted, wrong);
}

/*
 * One field in quotes at *c, after the opening quote; "" inside stands for one quote. *c moves behind the closing one.
 */
static int parse_quoted_field(const char *text, const char **c, struct buf *field, struct err *err)
{
    for (;; (*c)++) {
        if (**c == '"' && (*c)[1] == '"') {
            (*c)++;
        } else if (**c == '\0' || (**c == '"' && strchr(",\n", (*c)[1]) == NULL)) {
            return err_set(err, ERR_USAGE,
                           "parse error on line 1, column %zu: extraneous or missing \" in quoted-field",
                           (size_t)(*c - text) + 1);
        } else if (**c == '"') {
            (*c)++;
            return 0;
        }
        buf_add_char(field, **c);
    }
}

/* The first line of comma separated values (RFC 4180), as pflag reads a StringSlice. */
static int parse_csv(const char *text, struct strv *fields, struct err *err)
{
    const char *c = text;

    if (*text == '\0')
        return 0;
    while (*c == '\n')
        c++;
    if (*c == '\0')
        return err_set(err, ERR_USAGE, "EOF");
    for (;; c++) {
        CLEANUP(buf_done) struct buf field = {0};

        if (*c == '"') {
            c++;
            if (parse_quoted_field(text, &c, &field, err) < 0)
                return err->code;
        } else {
            size_t len = strcspn(c, ",\n");
            const char *bare = memchr(c, '"', len);

            if (bare != NULL)
                return err_set(err, ERR_USAGE, "parse error on line 1, column %zu: bare \" in non-quoted-field",
                               (size_t)(bare - text) + 1);
            buf_add(&field, c, len);
            c += len;
        }
        strv_take(fields, buf_take(&field));
        if (*c != ',')
            return 0;
    }
}

/* The first time on a command line a list replaces its default, later it grows. */
static int set_list(const struct opt *opt, const char *text, bool changed, struct err *err)
{
    CLEANUP(strv_done) struct strv values = {0};
    struct strv *list = opt->value;
    int code = 0;

    if (opt->type == OPT_ARRAY)
        strv_add(&values, text);
    else
        code = parse_csv(text, &values, err);
    if (code < 0)
        return code;
    if (!changed)
        strv_done(list);
    for (size_t i = 0; i < values.n; i++)
        strv_take(list, take(&values.items[i]));
    return 0;
}

static int set_value(const struct opt *opt, const char *text, bool changed, struct err *err)
{
    switch (opt->type) {
    case OPT_BOOL:
        return parse_bool(text, opt->value, err);
    case OPT_STRING:
        *(const char **)opt->value = text;
        return 0;
    case OPT_INT:
        return parse_integer(text, opt->value, err);
    case OPT_DURATION:
        return parse_duration(text, opt->value, err);
    case OPT_LIST:
    case OPT_ARRAY:
        return set_list(opt, text, changed, err);
    }
    return 0;
}

/* --- the command line --- */

static int give(struct parser *parser, const struct opt *opt, size_t number, const char *text, struct err *err)
{
    CLEANUP(err_clear) struct err cause = {0};
    CLEANUP(xfree) char *quoted = NULL;

    if (opt->type == OPT_STRING && !parser->changed[number])
        parser->had_default[number] = *(const char **)opt->value != NULL;
    if (set_value(opt, text, parser->changed[number], &cause) == 0) {
        if (opt->type == OPT_STRING && text[0] == '\0' && parser->tables->empty_is_none && opt->bare_value == NULL &&
            !parser->had_default[number])
            *(const char **)opt->value = NULL;
        parser->changed[number] = true;
        if (opt->seen != NULL)
            *opt->seen = true;
        if (parser->tables->given != NULL)
            strv_addf(parser->tables->given, "--%s=%s", opt->name, text);
        return 0;
    }
    quoted = quote(text);
    if (opt->letter != 0)
        return err_set(err, ERR_USAGE, "invalid argument %s for \"-%c, --%s\" flag: %s", quoted, opt->letter,
                       opt->name, err_text(&cause));
    return err_set(err, ERR_USAGE, "invalid argument %s for \"--%s\" flag: %s", quoted, opt->name, err_text(&cause));
}

/* What "--name" without "=" means, or NULL when it takes the next word. */
static const char *bare_value(const struct opt *opt)
{
    if (opt->bare_value != NULL)
        return opt->bare_value;
    return opt->type == OPT_BOOL ? "true" : NULL;
}

static const char *next_word(struct parser *parser)
{
    if (parser->n_rest == 0)
        return NULL;
    parser->n_rest--;
    return *parser->rest++;
}

static int parse_long(struct parser *parser, const char *word, struct err *err)
{
    struct str name, after;
    const struct opt *opt;
    const char *value;
    size_t number;

    if (word[2] == '-' || word[2] == '=')
        return err_set(err, ERR_USAGE, "bad flag syntax: %s", word);
    if (str_cut(str_of(word + 2), '=', &name, &after))
        value = after.p;
    else
        value = NULL;
    opt = find_row(parser->tables, name, 0, &number);
    if (opt == NULL)
        return err_set(err, ERR_USAGE, "unknown flag: --%.*s", (int)name.len, name.p);
    if (value == NULL)
        value = bare_value(opt);
    if (value == NULL)
        value = next_word(parser);
    if (value == NULL)
        return err_set(err, ERR_USAGE, "flag needs an argument: --%s", opt->name);
    return give(parser, opt, number, value, err);
}

/* The first of the letters; *letters moves behind what was used. */
static int parse_letter(struct parser *parser, const char **letters, struct err *err)
{
    const char *word = *letters;
    const struct opt *opt;
    const char *value;
    size_t number;

    opt = find_row(parser->tables, STR(""), word[0], &number);
    if (opt == NULL) {
        CLEANUP(xfree) char *quoted = quote_letter(word[0]);

        return err_set(err, ERR_USAGE, "unknown shorthand flag: %s in -%s", quoted, word);
    }
    *letters = word + strlen(word);
    if (word[1] == '=' && word[2] != '\0') {
        value = word + 2;
    } else if (bare_value(opt) != NULL) {
        value = bare_value(opt);
        *letters = word + 1;
    } else {
        value = word[1] != '\0' ? word + 1 : next_word(parser);
    }
    if (value == NULL) {
        CLEANUP(xfree) char *quoted = quote_letter(word[0]);

        return err_set(err, ERR_USAGE, "flag needs an argument: %s in -%s", quoted, word);
    }
    return give(parser, opt, number, value, err);
}

static void keep_rest(struct parser *parser)
{
    const char *word;

    while ((word = next_word(parser)) != NULL)
        strv_add(&parser->args, word);
}

static int parse_words(struct parser *parser, bool stop_at_first_argument, struct err *err)
{
    const char *word;
    int code = 0;

    while (code == 0 && (word = next_word(parser)) != NULL) {
        if (word[0] != '-' || word[1] == '\0') {
            strv_add(&parser->args, word);
            if (stop_at_first_argument)
                keep_rest(parser);
        } else if (streq(word, "--")) {
            parser->dash = (int)parser->args.n;
            keep_rest(parser);
        } else if (word[1] == '-') {
            code = parse_long(parser, word, err);
        } else {
            for (const char *letters = word + 1; code == 0 && *letters != '\0';)
                code = parse_letter(parser, &letters, err);
        }
    }
    return code;
}

int opt_parse(const struct opt_tables *tables, int argc, char *const *argv, bool stop_at_first_argument,
              struct strv *ret_args, int *ret_dash, struct err *err)
{
    CLEANUP(xfree) bool *changed = xcalloc(count_rows(tables), sizeof(bool));
    CLEANUP(xfree) bool *had_default = xcalloc(count_rows(tables), sizeof(bool));
    struct parser parser = {.tables = tables,
                            .changed = changed,
                            .had_default = had_default,
                            .rest = argv,
                            .n_rest = argc,
                            .dash = -1};
    int code = parse_words(&parser, stop_at_first_argument, err);

    if (code == 0) {
        if (ret_dash != NULL)
            *ret_dash = parser.dash >= 0 ? parser.dash + (int)ret_args->n : -1;
        for (size_t i = 0; i < parser.args.n; i++)
            strv_take(ret_args, take(&parser.args.items[i]));
    }
    strv_done(&parser.args);
    return code;
}

/* --- help --- */

static void add_default(struct buf *out, const struct opt *opt)
{
    CLEANUP(xfree) char *list = NULL;
    CLEANUP(xfree) char *duration = NULL;

    switch (opt->type) {
    case OPT_BOOL:
        buf_add_str(out, *(const bool *)opt->value ? "true" : "false");
        break;
    case OPT_STRING:
        buf_printf(out, "'%s'", strempty(*(const char *const *)opt->value));
        break;
    case OPT_INT:
        buf_printf(out, "%lld", (long long)*(const int64_t *)opt->value);
        break;
    case OPT_DURATION:
        duration = duration_text(*(const int64_t *)opt->value);
        buf_add_str(out, duration);
        break;
    case OPT_LIST:
    case OPT_ARRAY:
        list = strv_join(opt->value, ",");
        buf_printf(out, "[%s]", list);
        break;
    }
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

void opt_help(const struct opt *table, struct buf *out)
{
    CLEANUP(xfree) const struct opt **rows = NULL;
    size_t n = 0, cap = 0;

    for (const struct opt *opt = table; opt->name != NULL; opt++) {
        if (opt->help == NULL)
            continue;
        GROW(rows, n, cap);
        rows[n++] = opt;
    }
    if (n > 1)
        qsort(rows, n, sizeof(rows[0]), compare_rows);
    for (size_t i = 0; i < n; i++) {
        if (rows[i]->letter != 0)
            buf_printf(out, "    -%c, --%s=", rows[i]->letter, rows[i]->name);
        else
            buf_printf(out, "    --%s=", rows[i]->name);
        add_default(out, rows[i]);
        buf_printf(out, ":\n\t%s\n\n", rows[i]->help);
    }
}
