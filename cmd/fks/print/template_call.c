/*
 * template_call.c: the functions of templates, on JSON values. NULL is Go's "no value".
 */
#include "base/codec.h"
#include "base/mem.h"
#include "print/gotext.h"
#include "print/template_internal.h"

#define DIRECTIVE_MAX 1000 /* width and precision; more counts as none */

static const char *const functions[] = {"and",    "or",   "not",      "len",    "index",       "slice", "eq",
                                        "ne",     "lt",   "le",       "gt",     "ge",          "print", "println",
                                        "printf", "html", "urlquery", "exists", "base64decode"};

bool template_is_function(const char *name)
{
    for (size_t i = 0; i < countof(functions); i++) {
        if (streq(functions[i], name))
            return true;
    }
    return false;
}

bool template_is_true(const struct json *value)
{
    switch (json_type(value)) {
    case JSON_NULL:
        return false;
    case JSON_BOOL:
        return json_is_true(value, NULL);
    case JSON_INT:
    case JSON_REAL:
        return json_real_value(value) < 0 || json_real_value(value) > 0;
    case JSON_STRING:
        return json_string_value(value)[0] != '\0';
    case JSON_ARRAY:
    case JSON_OBJECT:
        return json_len(value) > 0;
    }
    return false;
}

static void print_value(const struct json *value, struct buf *out)
{
    if (value == NULL)
        buf_add_str(out, "<no value>");
    else
        gotext_print(value, out);
}

static struct json *take_text(struct buf *text)
{
    struct json *string = json_new_string_n(buf_text(text), text->len);
    buf_done(text);
    return string;
}

static int call_len(const struct json *value, struct json **ret, struct err *err)
{
    if (json_type(value) == JSON_STRING)
        *ret = json_new_int((int64_t)strlen(json_string_value(value)));
    else if (json_is_array(value) || json_is_object(value))
        *ret = json_new_int((int64_t)json_len(value));
    else
        return err_set(err, ERR_INVALID, "error calling len: len of %s",
                       value == NULL ? "nil pointer" : "type float64");
    return 0;
}

static int call_index(const struct json *const *args, size_t n, struct json **ret, struct err *err)
{
    const struct json *value = args[0];
    for (size_t i = 1; i < n; i++) {
        const struct json *key = args[i];
        if (json_type(value) == JSON_NULL)
            return err_set(err, ERR_INVALID, "error calling index: index of %s",
                           value == NULL ? "untyped nil" : "nil pointer");
        if (json_is_array(value)) {
            int64_t at = json_int_value(key);
            if (json_type(key) != JSON_INT)
                return err_set(err, ERR_INVALID, "error calling index: cannot index slice/array with type string");
            if (at < 0 || at >= (int64_t)json_len(value))
                return err_set(err, ERR_INVALID, "error calling index: reflect: slice index out of range");
            value = json_at(value, (size_t)at);
        } else if (json_is_object(value)) {
            if (json_type(key) != JSON_STRING)
                return err_set(err, ERR_INVALID, "error calling index: value has type int; should be string");
            value = json_member(value, json_string_value(key));
        } else {
            return err_set(err, ERR_INVALID, "error calling index: can't index item of type %s",
                           json_type(value) == JSON_STRING ? "string" : "float64");
        }
    }
    *ret = value != NULL ? json_keep(value) : NULL;
    return 0;
}

/* slice x i j, on strings and arrays. */
static int call_slice(const struct json *const *args, size_t n, struct json **ret, struct err *err)
{
    const struct json *value = args[0];
    const char *text = json_string_value(value);
    int64_t len = text != NULL ? (int64_t)strlen(text) : (int64_t)json_len(value);
    int64_t from = n > 1 ? json_int_value(args[1]) : 0, to = n > 2 ? json_int_value(args[2]) : len;
    if (from < 0 || to > len || from > to || n > 3)
        return err_set(err, ERR_INVALID, "error calling slice: index out of range: %lld",
                       (long long)(from < 0 ? from : to));
    if (text != NULL) {
        *ret = json_new_string_n(text + from, (size_t)(to - from));
        return 0;
    }
    *ret = json_new_array();
    for (int64_t i = from; i < to; i++)
        json_push(*ret, json_keep(json_at(value, (size_t)i)));
    return 0;
}

/* -1, 0, 1; ERR_INVALID for values of different kinds. */
static int compare(const struct json *a, const struct json *b, int *ret, struct err *err)
{
    enum json_type ta = json_type(a), tb = json_type(b);
    bool numbers = (ta == JSON_INT || ta == JSON_REAL) && (tb == JSON_INT || tb == JSON_REAL);
    if (numbers) {
        double x = json_real_value(a), y = json_real_value(b);
        *ret = x < y ? -1 : x > y ? 1 : 0;
        return 0;
    }
    if (ta == JSON_STRING && tb == JSON_STRING) {
        *ret = strcmp(json_string_value(a), json_string_value(b));
        return 0;
    }
    if (ta != tb && ta != JSON_NULL && tb != JSON_NULL)
        return err_set(err, ERR_INVALID, "incompatible types for comparison");
    *ret = json_same(a, b) || (ta == JSON_NULL && tb == JSON_NULL) ? 0 : 1;
    return 0;
}

static int call_compare(const char *name, const struct json *const *args, size_t n, struct json **ret, struct err *err)
{
    if (n < 2)
        return err_set(err, ERR_INVALID, "error calling %s: missing argument for comparison", name);
    bool result = false;
    size_t last = streq(name, "eq") ? n : 2; /* eq a b c: a is any of the others */
    for (size_t i = 1; i < last && !result; i++) {
        int order = 0;
        if (compare(args[0], args[i], &order, err) < 0)
            return err_wrap(err, "error calling %s", name);
        result = streq(name, "eq")   ? order == 0
                 : streq(name, "ne") ? order != 0
                 : streq(name, "lt") ? order < 0
                 : streq(name, "le") ? order <= 0
                 : streq(name, "gt") ? order > 0
                                     : order >= 0;
    }
    *ret = json_new_bool(result);
    return 0;
}

/* "-08.2" of "%-08.2f" */
struct directive {
    bool left, zeros, plus;
    int64_t width, precision; /* precision -1: none */
    char verb;
};

static int64_t take_count(const char **at)
{
    int64_t count = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++)
        count = count > DIRECTIVE_MAX ? count : count * 10 + **at - '0';
    return count > DIRECTIVE_MAX ? 0 : count;
}

/* After the "%"; the verb is '\0' at the end of the format. */
static struct directive take_directive(const char **at)
{
    struct directive directive = {.precision = -1};
    for (; **at != '\0' && strchr("+-# 0", **at) != NULL; (*at)++) {
        directive.left = directive.left || **at == '-';
        directive.zeros = directive.zeros || **at == '0';
        directive.plus = directive.plus || **at == '+';
    }
    directive.width = take_count(at);
    if (**at == '.') {
        (*at)++;
        directive.precision = take_count(at);
    }
    directive.verb = **at;
    return directive;
}

/* The verbs for a type, and its name in Go; lists and objects take any, one by one. */
static const char *verbs_of(const struct json *arg, const char **ret_type)
{
    *ret_type = json_type(arg) == JSON_BOOL     ? "bool"
                : json_type(arg) == JSON_INT    ? "int64"
                : json_type(arg) == JSON_REAL   ? "float64"
                : json_type(arg) == JSON_STRING ? "string"
                                                : NULL;
    return json_type(arg) == JSON_BOOL     ? "vt"
           : json_type(arg) == JSON_INT    ? "vdoxXc"
           : json_type(arg) == JSON_REAL   ? "vefg"
                                           : "vsq";
}

static void print_argument(const struct directive *directive, const struct json *arg, struct buf *out)
{
    const char *type = NULL, *verbs = verbs_of(arg, &type);
    long long number = json_int_value(arg);
    if (type != NULL && strchr(verbs, directive->verb) == NULL) {
        buf_printf(out, "%%!%c(%s=", directive->verb, type);
        print_value(arg, out);
        buf_add_char(out, ')');
        return;
    }
    switch (type != NULL ? directive->verb : 'v') {
    case 'q':
        gotext_quote(json_string_value(arg), out);
        break;
    case 'e':
    case 'f':
    case 'g':
        buf_printf(out, "%.*f", directive->precision >= 0 ? (int)directive->precision : 6, json_real_value(arg));
        break;
    case 'x':
        buf_printf(out, "%llx", (unsigned long long)number);
        break;
    case 'X':
        buf_printf(out, "%llX", (unsigned long long)number);
        break;
    case 'o':
        buf_printf(out, "%llo", (unsigned long long)number);
        break;
    case 'c':
        buf_add_char(out, (char)(number >= ' ' && number < 0x7f ? number : '?'));
        break;
    default:
        print_value(arg, out);
        break;
    }
}

static void print_directive(const struct directive *directive, const struct json *arg, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = {0};
    bool is_number = json_type(arg) == JSON_INT || json_type(arg) == JSON_REAL;
    if (directive->plus && is_number && json_real_value(arg) >= 0)
        buf_add_char(&text, '+');
    print_argument(directive, arg, &text);
    if (directive->verb == 's' && directive->precision >= 0 && (size_t)directive->precision < text.len)
        buf_truncate(&text, (size_t)directive->precision);
    int pad = directive->width > (int64_t)text.len ? (int)(directive->width - (int64_t)text.len) : 0;
    if (directive->zeros && !directive->left && is_number) {
        size_t sign = text.len > 0 && strchr("+-", text.data[0]) != NULL ? 1 : 0;
        buf_add(out, buf_text(&text), sign);
        for (; pad > 0; pad--)
            buf_add_char(out, '0');
        buf_add_str(out, buf_text(&text) + sign);
        return;
    }
    buf_printf(out, "%*s%s%*s", directive->left ? 0 : pad, "", buf_text(&text), directive->left ? pad : 0, "");
}

/* fmt.Sprintf: the verbs of verbs_of() with flags, width and precision. */
static int call_printf(const struct json *const *args, size_t n, struct json **ret, struct err *err)
{
    const char *format = n > 0 ? json_string_value(args[0]) : NULL;
    if (format == NULL)
        return err_set(err, ERR_INVALID, "error calling printf: the format is no string");
    struct buf out = {0};
    for (size_t next = 1; *format != '\0'; format++) {
        if (*format != '%') {
            buf_add_char(&out, *format);
            continue;
        }
        if (*++format == '%') {
            buf_add_char(&out, '%');
            continue;
        }
        struct directive directive = take_directive(&format);
        if (directive.verb == '\0') {
            buf_add_str(&out, "%!(NOVERB)");
            break;
        }
        if (next < n)
            print_directive(&directive, args[next], &out);
        else
            buf_printf(&out, "%%!%c(MISSING)", directive.verb);
        next++;
    }
    *ret = take_text(&out);
    return 0;
}

/* Sprint puts a blank between operands that are both no strings, Sprintln between all. */
static struct json *call_print(const struct json *const *args, size_t n, bool line)
{
    struct buf out = {0};
    for (size_t i = 0; i < n; i++) {
        bool strings = i > 0 && (json_type(args[i]) == JSON_STRING || json_type(args[i - 1]) == JSON_STRING);
        if (i > 0 && (line || !strings))
            buf_add_char(&out, ' ');
        print_value(args[i], &out);
    }
    buf_add_str(&out, line ? "\n" : "");
    return take_text(&out);
}

static struct json *call_html(const struct json *const *args, size_t n)
{
    CLEANUP(json_free) struct json *plain = call_print(args, n, false);
    struct buf out = {0};
    for (const char *c = json_string_value(plain); *c != '\0'; c++) {
        const char *entity = *c == '<'    ? "&lt;"
                             : *c == '>'  ? "&gt;"
                             : *c == '&'  ? "&amp;"
                             : *c == '"'  ? "&#34;"
                             : *c == '\'' ? "&#39;"
                                          : NULL;
        if (entity != NULL)
            buf_add_str(&out, entity);
        else
            buf_add_char(&out, *c);
    }
    return take_text(&out);
}

int template_call(const char *name, const struct json *const *args, size_t n, struct json **ret, struct err *err)
{
    if (streq(name, "print") || streq(name, "println")) {
        *ret = call_print(args, n, streq(name, "println"));
        return 0;
    }
    if (n == 0)
        return err_set(err, ERR_INVALID, "wrong number of args for %s: want at least 1 got 0", name);
    if (streq(name, "len"))
        return call_len(args[0], ret, err);
    if (streq(name, "index"))
        return call_index(args, n, ret, err);
    if (streq(name, "slice"))
        return call_slice(args, n, ret, err);
    if (streq(name, "printf"))
        return call_printf(args, n, ret, err);
    if (streq(name, "not")) {
        *ret = json_new_bool(!template_is_true(args[0]));
        return 0;
    }
    if (streq(name, "html")) {
        *ret = call_html(args, n);
        return 0;
    }
    if (streq(name, "urlquery")) {
        struct buf out = {0};
        CLEANUP(json_free) struct json *plain = call_print(args, n, false);
        url_encode(json_string_value(plain), &out);
        *ret = take_text(&out);
        return 0;
    }
    if (streq(name, "exists")) {
        struct err missing = {0};
        CLEANUP(json_free) struct json *found = NULL;
        bool exists = call_index(args, n, &found, &missing) == 0 && json_type(found) != JSON_NULL;
        err_clear(&missing);
        *ret = json_new_bool(exists);
        return 0;
    }
    if (streq(name, "base64decode")) {
        CLEANUP(buf_done) struct buf decoded = {0};
        const char *text = strempty(json_string_value(args[0]));
        if (base64_decode(text, strlen(text), &decoded, err) < 0)
            return err_wrap(err, "error calling base64decode: base64 decode failed");
        *ret = json_new_string_n(buf_text(&decoded), decoded.len);
        return 0;
    }
    return call_compare(name, args, n, ret, err);
}
