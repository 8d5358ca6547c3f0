/*
 * yaml_print.c: trees as YAML, byte for byte as sigs.k8s.io/yaml prints them, so that our output and kubectl's can be
 * compared. libyaml lays the text out; here are the order of keys and the choice of quotes.
 */
#include "data/yaml.h"

#include <ctype.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/str.h"
#include "data/real.h"
#include "data/utf8.h"
#include "data/yaml_scalar.h"

static void emit(yaml_emitter_t *emitter, yaml_event_t *event, int initialized)
{
    /* the only failure left is memory: the text is valid UTF-8 and the events are in order */
    if (!initialized || !yaml_emitter_emit(emitter, event))
        abort();
}

static void emit_scalar(yaml_emitter_t *emitter, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t event;

    emit(emitter, &event,
         yaml_scalar_event_initialize(&event, NULL, NULL, (const unsigned char *)text, (int)strlen(text), 1, 1,
                                      style));
}

static void emit_string(yaml_emitter_t *emitter, const char *text)
{
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;

    /* U+2028 and U+2029 are line ends to YAML 1.1: only escapes keep them apart; a bare << would merge */
    if (streq(text, "<<") || strstr(text, "\xE2\x80\xA8") != NULL || strstr(text, "\xE2\x80\xA9") != NULL)
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    else if (strchr(text, '\n') != NULL)
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (yaml_scalar_resolve(text).kind != YAML_STRING)
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    emit_scalar(emitter, text, style);
}

static void emit_real(yaml_emitter_t *emitter, double value)
{
    char text[REAL_TEXT_MAX];

    /* Go takes the detour over JSON text, where a whole real that 64 bits can hold looks like an integer */
    real_print_json(value, text);
    if (strpbrk(text, ".e") != NULL || value >= 0x1p64 || value < -0x1p63)
        real_print_g(value, text);
    emit_scalar(emitter, text, YAML_PLAIN_SCALAR_STYLE);
}

/* --- keys in yaml.v2's order: runs of digits compare as numbers, letters come after everything else */

/* Roughly Go's unicode.IsLetter: everything above Latin-1's signs but punctuation, symbols and emoji. */
static bool is_letter(uint32_t c)
{
    if (c < 0x80)
        return isalpha((int)c);
    return c >= 0xC0 && !(c >= 0x2000 && c <= 0x2BFF) && !(c >= 0xFE00 && c <= 0xFE0F) &&
           !(c >= 0xFFF0 && c <= 0xFFFF) && !(c >= 0x1F000 && c <= 0x1FBFF);
}

struct number {
    uint64_t value;
    const char *end;
};

static struct number number_at(const char *p, uint64_t start)
{
    struct number number = {start, p};

    for (; isdigit((unsigned char)*number.end); number.end++)
        number.value = number.value * 10 + (uint64_t)(*number.end - '0');
    return number;
}

/* A digit other than 0 stands in the run of digits before p: zeros at p then count. */
static bool zeros_count(const char *text, const char *p)
{
    while (p > text && isdigit((unsigned char)p[-1]))
        if (*--p != '0')
            return true;
    return false;
}

static int compare_at(const char *text, const char *a, const char *b, uint32_t a_char, uint32_t b_char)
{
    bool a_letter = is_letter(a_char), b_letter = is_letter(b_char);

    if (a_letter && b_letter)
        return a_char < b_char ? -1 : 1;
    if (a_letter || b_letter)
        return b_letter ? -1 : 1;
    uint64_t start = (a_char == '0' || b_char == '0') && zeros_count(text, a) ? 1 : 0;
    struct number a_number = number_at(a, start), b_number = number_at(b, start);
    if (a_number.value != b_number.value)
        return (int64_t)a_number.value < (int64_t)b_number.value ? -1 : 1;
    if (a_number.end - a != b_number.end - b)
        return a_number.end - a < b_number.end - b ? -1 : 1;
    return a_char < b_char ? -1 : 1;
}

static int compare_keys(const char *a_text, const char *b_text)
{
    const char *a = a_text, *b = b_text;

    while (*a != '\0' && *b != '\0') {
        uint32_t a_char = (unsigned char)*a, b_char = (unsigned char)*b;
        size_t a_len = utf8_decode(a, strlen(a), &a_char), b_len = utf8_decode(b, strlen(b), &b_char);
        if (a_char != b_char)
            return compare_at(a_text, a, b, a_char, b_char);
        a += a_len;
        b += b_len;
    }
    return (*a != '\0') - (*b != '\0');
}

struct member {
    const char *key;
    const struct json *value;
};

static int compare_members(const void *a, const void *b)
{
    return compare_keys(((const struct member *)a)->key, ((const struct member *)b)->key);
}

/* --- values */

static void emit_value(yaml_emitter_t *emitter, const struct json *json);

static void emit_object(yaml_emitter_t *emitter, const struct json *json)
{
    size_t n = 0, len = json_len(json);
    CLEANUP(xfree) struct member *members = xcalloc(len, sizeof(*members));
    void *position = NULL;
    yaml_event_t event;

    while (n < len && json_next(json, &position, &members[n].key, &members[n].value))
        n++;
    qsort(members, n, sizeof(*members), compare_members);
    emit(emitter, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    for (size_t i = 0; i < n; i++) {
        emit_string(emitter, members[i].key);
        emit_value(emitter, members[i].value);
    }
    emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static void emit_array(yaml_emitter_t *emitter, const struct json *json)
{
    const struct json *item;
    yaml_event_t event;

    emit(emitter, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
    json_each(item, json)
        emit_value(emitter, item);
    emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static void emit_value(yaml_emitter_t *emitter, const struct json *json)
{
    char text[REAL_TEXT_MAX];

    switch (json_type(json)) {
    case JSON_NULL:
        emit_scalar(emitter, "null", YAML_PLAIN_SCALAR_STYLE);
        break;
    case JSON_BOOL:
        emit_scalar(emitter, json_is_true(json, NULL) ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
        break;
    case JSON_INT:
        snprintf(text, sizeof(text), "%lld", (long long)json_int_value(json));
        emit_scalar(emitter, text, YAML_PLAIN_SCALAR_STYLE);
        break;
    case JSON_REAL:
        emit_real(emitter, json_real_value(json));
        break;
    case JSON_STRING:
        emit_string(emitter, json_string_value(json));
        break;
    case JSON_ARRAY:
        emit_array(emitter, json);
        break;
    case JSON_OBJECT:
        emit_object(emitter, json);
        break;
    }
}

static int write_to_buf(void *data, unsigned char *text, size_t len)
{
    (void)buf_add(data, text, len); /* a refused append stays visible in the buffer */
    return 1;
}

void yaml_print(const struct json *json, struct buf *out)
{
    yaml_emitter_t emitter;
    yaml_event_t event;

    if (!yaml_emitter_initialize(&emitter))
        abort();
    yaml_emitter_set_output(&emitter, write_to_buf, out);
    yaml_emitter_set_unicode(&emitter, 1);
    emit(&emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(&emitter, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    emit_value(&emitter, json);
    emit(&emitter, &event, yaml_document_end_event_initialize(&event, 1));
    /* no stream end event: libyaml would write "..." after a block scalar that keeps its line ends */
    if (!yaml_emitter_flush(&emitter))
        abort();
    yaml_emitter_delete(&emitter);
}
