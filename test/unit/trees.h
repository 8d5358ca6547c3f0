/*
 * trees.h: for tests about JSON trees: literals, texts to compare with, and case files of one case a line.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/json.h"
#include "data/yaml.h"

/* JSON or YAML text; owned by the caller. */
static inline struct json *tree_of(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree = NULL;

    if (yaml_parse(text, strlen(text), &tree, &err) < 0)
        fail_msg("%s: %s", text, err_text(&err));
    return tree;
}

static inline void assert_tree_is(const struct json *tree, const char *expected_text)
{
    CLEANUP(json_free) struct json *expected = tree_of(expected_text);
    CLEANUP(buf_done) struct buf a = {0};
    CLEANUP(buf_done) struct buf b = {0};

    json_print_pretty(tree, &a);
    json_print_pretty(expected, &b);
    assert_string_equal(buf_text(&a), buf_text(&b));
}

/* Calls check with each line that is neither empty nor a comment, and expects at least one. */
static inline void for_each_case(const char *path, void (*check)(char *line))
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    char *rest, *line;
    size_t n = 0;

    if (file_read(path, LIMIT_FILE, &text, &err) < 0)
        fail_msg("%s", err_text(&err));
    rest = text.data;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (*line == '\0' || *line == '#')
            continue;
        check(line);
        n++;
    }
    assert_true(n > 0);
}

/* Cuts the next word off; "" at the end. */
static inline char *next_word(char **rest)
{
    char *word;

    while (*rest != NULL && (word = strsep(rest, " ")) != NULL)
        if (*word != '\0')
            return word;
    static char nothing[] = "";
    return nothing;
}
