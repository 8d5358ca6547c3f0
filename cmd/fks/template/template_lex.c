/*
 * template_lex.c: the text of a Go template as tokens: text, "{{", what is inside an action, "}}". Trimming ("{{-", "-}}")
 * and comments happen here; nothing later knows of them. Any character beyond ASCII counts as a letter.
 */
#include <ctype.h>

#include "base/mem.h"
#include "template/template_internal.h"
#include "text/gotext.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_char(char c)
{
    return c == '_' || isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static char here(const struct lexer *lexer)
{
    return lexer->input[lexer->pos];
}

/* Forgets what was passed since the last token. */
static void skip(struct lexer *lexer)
{
    for (; lexer->start < lexer->pos; lexer->start++)
        lexer->line += lexer->input[lexer->start] == '\n';
}

static struct token emit(struct lexer *lexer, enum token_kind kind)
{
    struct token token = {kind, lexer->input + lexer->start, lexer->pos - lexer->start, lexer->start, lexer->line};
    skip(lexer);
    return token;
}

PRINTF(2, 3) static struct token fail(struct lexer *lexer, const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    free(lexer->error);
    lexer->error = buf_take(&text);
    return (struct token){TOKEN_ERROR, lexer->error, strlen(lexer->error), lexer->start, lexer->line};
}

/* "U+002D '-'" */
static struct token fail_character(struct lexer *lexer, const char *what)
{
    size_t size = 0;
    uint32_t c = gotext_rune(lexer->input + lexer->pos, strlen(lexer->input + lexer->pos), &size);
    if (!gotext_is_printable(c))
        return fail(lexer, "%s U+%04X", what, c);
    return fail(lexer, "%s U+%04X '%.*s'", what, c, (int)size, lexer->input + lexer->pos);
}

static bool at_trimming_close(const char *text)
{
    return is_space(text[0]) && text[1] == '-' && starts_with(text + 2, "}}");
}

static bool at_close(const char *text)
{
    return starts_with(text, "}}") || at_trimming_close(text);
}

static bool at_trimming_open(const char *text) /* after "{{" */
{
    return text[0] == '-' && is_space(text[1]);
}

static void skip_close(struct lexer *lexer)
{
    bool trims = !starts_with(lexer->input + lexer->pos, "}}");
    lexer->pos += trims ? 4 : 2;
    while (trims && is_space(here(lexer)))
        lexer->pos++;
}

/* --- outside actions */

/* From where a comment begins; false after an error. */
static bool skip_comment(struct lexer *lexer, struct token *ret)
{
    const char *end = strstr(lexer->input + lexer->pos + 2, "*/");
    if (end == NULL) {
        *ret = fail(lexer, "unclosed comment");
        return false;
    }
    lexer->pos = (size_t)(end + 2 - lexer->input);
    if (!at_close(end + 2)) {
        *ret = fail(lexer, "comment ends before closing delimiter");
        return false;
    }
    skip_close(lexer);
    skip(lexer);
    return true;
}

static struct token next_outside(struct lexer *lexer)
{
    for (;;) {
        const char *open = strstr(lexer->input + lexer->pos, "{{");
        if (open == NULL) {
            lexer->pos += strlen(lexer->input + lexer->pos);
            return emit(lexer, lexer->pos > lexer->start ? TOKEN_TEXT : TOKEN_EOF);
        }
        size_t at = (size_t)(open - lexer->input);
        bool trims = at_trimming_open(open + 2);
        lexer->pos = at;
        while (trims && lexer->pos > lexer->start && is_space(lexer->input[lexer->pos - 1]))
            lexer->pos--;
        if (lexer->pos > lexer->start) {
            struct token text = emit(lexer, TOKEN_TEXT);
            lexer->pos = at;
            skip(lexer);
            return text;
        }
        lexer->pos = at;
        skip(lexer);
        if (starts_with(open + (trims ? 4 : 2), "/*")) {
            struct token failure;
            lexer->pos += trims ? 4 : 2;
            skip(lexer);
            if (!skip_comment(lexer, &failure))
                return failure;
            continue;
        }
        lexer->pos += 2;
        struct token token = emit(lexer, TOKEN_LEFT);
        lexer->pos += trims ? 2 : 0;
        skip(lexer);
        lexer->inside = true;
        lexer->open_parens = 0;
        return token;
    }
}

/* --- inside */

static struct token next_space(struct lexer *lexer)
{
    while (is_space(here(lexer)) && !at_trimming_close(lexer->input + lexer->pos))
        lexer->pos++;
    return emit(lexer, TOKEN_SPACE);
}

/* What may follow a word. */
static bool at_terminator(const struct lexer *lexer)
{
    char c = here(lexer);
    return c == '\0' || is_space(c) || strchr(".,|:)(", c) != NULL || starts_with(lexer->input + lexer->pos, "}}");
}

static struct token next_word(struct lexer *lexer, enum token_kind kind)
{
    while (is_name_char(here(lexer)))
        lexer->pos++;
    if (!at_terminator(lexer))
        return fail_character(lexer, "bad character");
    return emit(lexer, kind);
}

static struct token next_identifier(struct lexer *lexer)
{
    static const struct {
        const char *word;
        enum token_kind kind;
    } words[] = {{"block", TOKEN_BLOCK},   {"break", TOKEN_BREAK}, {"continue", TOKEN_CONTINUE}, {"define", TOKEN_DEFINE},
                 {"else", TOKEN_ELSE},     {"end", TOKEN_END},     {"if", TOKEN_IF},             {"nil", TOKEN_NIL},
                 {"range", TOKEN_RANGE},   {"with", TOKEN_WITH},   {"template", TOKEN_TEMPLATE}, {"true", TOKEN_BOOL},
                 {"false", TOKEN_BOOL}};
    struct token token = next_word(lexer, TOKEN_IDENTIFIER);
    for (size_t i = 0; i < countof(words) && token.kind == TOKEN_IDENTIFIER; i++) {
        if (str_is((struct str){token.text, token.len}, words[i].word))
            token.kind = words[i].kind;
    }
    return token;
}

static struct token next_quoted(struct lexer *lexer, char quote, enum token_kind kind, const char *what)
{
    for (lexer->pos++; here(lexer) != quote; lexer->pos++) {
        if (here(lexer) == '\\' && quote != '`')
            lexer->pos++;
        if (here(lexer) == '\0' || (here(lexer) == '\n' && quote != '`'))
            return fail(lexer, "unterminated %s", what);
    }
    lexer->pos++;
    return emit(lexer, kind);
}

static bool accept(struct lexer *lexer, const char *valid)
{
    if (here(lexer) == '\0' || strchr(valid, here(lexer)) == NULL)
        return false;
    lexer->pos++;
    return true;
}

/* More lenient than a number is: whoever reads its value sees what is wrong. */
static bool scan_number(struct lexer *lexer)
{
    static const char decimal[] = "0123456789_", hexadecimal[] = "0123456789abcdefABCDEF_";
    const char *digits = decimal;
    (void)accept(lexer, "+-");
    if (accept(lexer, "0"))
        digits = accept(lexer, "xX") ? hexadecimal : accept(lexer, "oO") ? "01234567_" : accept(lexer, "bB") ? "01_" : decimal;
    while (accept(lexer, digits))
        continue;
    if (accept(lexer, ".")) {
        while (accept(lexer, digits))
            continue;
    }
    if ((digits == decimal && accept(lexer, "eE")) || (digits == hexadecimal && accept(lexer, "pP"))) {
        (void)accept(lexer, "+-");
        while (accept(lexer, decimal))
            continue;
    }
    (void)accept(lexer, "i");
    if (!is_name_char(here(lexer)))
        return true;
    lexer->pos++;
    return false;
}

static struct token next_number(struct lexer *lexer)
{
    bool complex = false;
    bool good = scan_number(lexer);
    if (good && (here(lexer) == '+' || here(lexer) == '-')) {
        complex = true;
        good = scan_number(lexer) && lexer->input[lexer->pos - 1] == 'i';
    }
    if (good)
        return emit(lexer, complex ? TOKEN_COMPLEX : TOKEN_NUMBER);
    CLEANUP(buf_done) struct buf quoted = {0};
    gotext_quote_n(lexer->input + lexer->start, lexer->pos - lexer->start, '"', false, &quoted);
    return fail(lexer, "bad number syntax: %s", buf_text(&quoted));
}

static struct token one(struct lexer *lexer, enum token_kind kind)
{
    lexer->pos++;
    return emit(lexer, kind);
}

static struct token next_inside(struct lexer *lexer)
{
    if (at_close(lexer->input + lexer->pos)) {
        if (lexer->open_parens > 0)
            return fail(lexer, "unclosed left paren");
        if (is_space(here(lexer))) {
            lexer->pos += 2;
            skip(lexer);
            lexer->pos -= 2; /* the token is the "}}" alone */
        }
        struct token token = {TOKEN_RIGHT, "}}", 2, lexer->start, lexer->line};
        skip_close(lexer);
        skip(lexer);
        lexer->inside = false;
        return token;
    }
    char c = here(lexer), next = c != '\0' ? lexer->input[lexer->pos + 1] : '\0';
    switch (c) {
    case '\0':
        return fail(lexer, "unclosed action");
    case '=':
        return one(lexer, TOKEN_ASSIGN);
    case ':':
        if (next != '=')
            return fail(lexer, "expected :=");
        lexer->pos++;
        return one(lexer, TOKEN_DECLARE);
    case '|':
        return one(lexer, TOKEN_PIPE);
    case '"':
        return next_quoted(lexer, '"', TOKEN_STRING, "quoted string");
    case '`':
        return next_quoted(lexer, '`', TOKEN_RAW_STRING, "raw quoted string");
    case '\'':
        return next_quoted(lexer, '\'', TOKEN_CHARACTER, "character constant");
    case '$':
        lexer->pos++;
        return next_word(lexer, TOKEN_VARIABLE);
    case '(':
        lexer->open_parens++;
        return one(lexer, TOKEN_LEFT_PAREN);
    case ')':
        if (--lexer->open_parens < 0)
            return fail(lexer, "unexpected right paren");
        return one(lexer, TOKEN_RIGHT_PAREN);
    default:
        break;
    }
    if (is_space(c))
        return next_space(lexer);
    if (c == '.' && !isdigit((unsigned char)next)) {
        lexer->pos++;
        return at_terminator(lexer) ? emit(lexer, TOKEN_DOT) : next_word(lexer, TOKEN_FIELD);
    }
    if (c == '.' || c == '+' || c == '-' || isdigit((unsigned char)c))
        return next_number(lexer);
    if (is_name_char(c))
        return next_identifier(lexer);
    if (isprint((unsigned char)c))
        return one(lexer, TOKEN_CHAR);
    return fail_character(lexer, "unrecognized character in action:");
}

struct token lexer_next(struct lexer *lexer)
{
    return lexer->inside ? next_inside(lexer) : next_outside(lexer);
}
