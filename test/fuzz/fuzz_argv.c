/*
 * fuzz_argv.c: opt_parse on any command line. Words of the input end at NUL bytes; the first byte chooses whether
 * options end at the first argument. No input may crash it, leak, or give more arguments than words.
 */
#include "base/opt.h"

#include <string.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The words between NULs, at most 64. */
static int split_words(char *text, size_t size, char **words)
{
    int n = 0;

    for (size_t at = 0; at < size && n < 64; at += strlen(text + at) + 1)
        words[n++] = text + at;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool all = false, recursive = false;
    const char *output = "", *cascade = "";
    int64_t replicas = 0, timeout_ms = 0;
    struct strv files = {0}, sets = {0}, args = {0};
    const struct opt table[] = {
        {"all-namespaces", 'A', OPT_BOOL, &all, NULL, "", NULL, NULL},
        {"recursive", 'R', OPT_BOOL, &recursive, NULL, "", NULL, NULL},
        {"output", 'o', OPT_STRING, &output, "FORMAT", "", NULL, NULL},
        {"cascade", 0, OPT_STRING, &cascade, "HOW", "", "background", NULL},
        {"replicas", 'r', OPT_INT, &replicas, "N", "", NULL, NULL},
        {"timeout", 't', OPT_DURATION, &timeout_ms, "DURATION", "", NULL, NULL},
        {"filename", 'f', OPT_LIST, &files, "FILE", "", NULL, NULL},
        {"set", 's', OPT_ARRAY, &sets, "VALUE", "", NULL, NULL},
        {0},
    };
    struct opt_tables tables = {{table}};
    struct err err = {0};
    struct buf help = {0};
    char *words[64];
    char *text;
    int n, code;
    int dash = -1;

    if (size == 0)
        return 0;
    text = xstrndup((const char *)data + 1, size - 1);
    n = split_words(text, size - 1, words);
    code = opt_parse(&tables, n, words, data[0] & 1, &args, &dash, &err);
    if (code < 0 && (code != ERR_USAGE || args.n != 0 || *err_text(&err) == '\0'))
        abort();
    if (code == 0 && (args.n > (size_t)n || dash > (int)args.n))
        abort();
    opt_help(table, &help);
    buf_done(&help);
    err_clear(&err);
    strv_done(&files);
    strv_done(&sets);
    strv_done(&args);
    free(text);
    return 0;
}
