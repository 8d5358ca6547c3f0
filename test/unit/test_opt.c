/* test_opt.c: command lines as in test/cases/opt.txt, and the help of a table. */
#include "base/opt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

enum { N_OPTIONS = 11 };

/* The options of the cases, fresh for each command line. */
struct values {
    bool all_namespaces, recursive;
    const char *output, *selector, *name, *namespace, *cascade;
    int64_t replicas, timeout_ms;
    struct strv filename, set;
    bool seen[N_OPTIONS];
};

static void values_init(struct values *values)
{
    *values = (struct values){.output = "", .replicas = 1, .cascade = "background"};
    strv_add(&values->filename, "default");
    strv_add(&values->set, "default");
}

static void values_done(struct values *values)
{
    strv_done(&values->filename);
    strv_done(&values->set);
}

struct rows {
    struct opt first[6];
    struct opt second[8];
};

static void make_rows(struct rows *rows, struct values *v)
{
    const struct opt first[] = {
        {"all-namespaces", 'A', OPT_BOOL, &v->all_namespaces, NULL, "All of them.", NULL, &v->seen[0]},
        {"recursive", 'R', OPT_BOOL, &v->recursive, NULL, "Folders too.", NULL, &v->seen[1]},
        {"output", 'o', OPT_STRING, &v->output, "FORMAT", "Output format.", NULL, &v->seen[2]},
        {"selector", 'l', OPT_STRING, &v->selector, "SELECTOR", "Labels.", NULL, &v->seen[3]},
        {"name", 0, OPT_STRING, &v->name, "NAME", NULL, NULL, &v->seen[4]},
        {0},
    };
    const struct opt second[] = {
        {"namespace", 'n', OPT_STRING, &v->namespace, "NAMESPACE", "Where.", NULL, &v->seen[5]},
        {"replicas", 'r', OPT_INT, &v->replicas, "N", "How many.", NULL, &v->seen[6]},
        {"timeout", 0, OPT_DURATION, &v->timeout_ms, "DURATION", "How long.", NULL, &v->seen[7]},
        {"filename", 'f', OPT_LIST, &v->filename, "FILE", "Files.", NULL, &v->seen[8]},
        {"set", 0, OPT_ARRAY, &v->set, "KEY=VALUE", "Values.", NULL, &v->seen[9]},
        {"cascade", 0, OPT_STRING, &v->cascade, "HOW", "Dependents.", "background", &v->seen[10]},
        {0},
    };

    memcpy(rows->first, first, sizeof(first));
    memcpy(rows->second, second, sizeof(second));
}

static void add_value(struct buf *text, const struct opt *opt)
{
    CLEANUP(xfree) char *list = NULL;

    buf_printf(text, "%s=", opt->name);
    if (opt->type == OPT_BOOL)
        buf_add_str(text, *(bool *)opt->value ? "true" : "false");
    else if (opt->type == OPT_STRING)
        buf_add_str(text, *(const char **)opt->value);
    else if (opt->type == OPT_INT || opt->type == OPT_DURATION)
        buf_printf(text, "%lld", (long long)*(int64_t *)opt->value);
    else
        buf_add_str(text, list = strv_join(opt->value, "|"));
    buf_add_char(text, ' ');
}

/* What comes of the words, as the cases write it. */
static char *outcome(const struct strv *words, bool stop_at_first_argument)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(xfree) char *joined = NULL;
    struct buf text = {0};
    struct values values;
    struct rows rows;
    struct opt_tables tables = {{rows.first, rows.second}};
    int dash;

    values_init(&values);
    make_rows(&rows, &values);
    if (opt_parse(&tables, (int)words->n, words->items, stop_at_first_argument, &args, &dash, &err) < 0) {
        assert_int_equal(err.code, ERR_USAGE);
        buf_printf(&text, "error: %s", err_text(&err));
    } else {
        for (size_t i = 0; i < countof(tables.tables) && tables.tables[i] != NULL; i++) {
            for (const struct opt *opt = tables.tables[i]; opt->name != NULL; opt++) {
                if (*opt->seen)
                    add_value(&text, opt);
            }
        }
        joined = strv_join(&args, "|");
        buf_printf(&text, "[%s]", joined);
        if (dash >= 0)
            buf_printf(&text, " dash=%d", dash);
    }
    values_done(&values);
    return buf_take(&text);
}

static char *unescape(const char *word)
{
    const char *newline = strstr(word, "\\n");

    if (streq(word, "''"))
        return xstrdup("");
    return newline != NULL ? xasprintf("%.*s\n%s", (int)(newline - word), word, newline + 2) : xstrdup(word);
}

static void check_case(const char *line)
{
    const char *arrow = strstr(line, " => ");
    CLEANUP(strv_done) struct strv parts = {0};
    CLEANUP(strv_done) struct strv words = {0};
    CLEANUP(xfree) char *left = NULL;
    CLEANUP(xfree) char *text = NULL;
    bool stop;

    assert_non_null(arrow);
    left = xstrndup(line, (size_t)(arrow - line));
    strv_split(&parts, left, ' ');
    stop = parts.n > 0 && streq(parts.items[0], "stop");
    for (size_t i = stop; i < parts.n; i++)
        strv_take(&words, unescape(parts.items[i]));
    text = outcome(&words, stop);
    if (!streq(text, arrow + 4))
        fail_msg("'%s' gives\n    %s", line, text);
}

static void test_opt__cases(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv lines = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(file_read("test/cases/opt.txt", 0, &text, &err), 0);
    strv_split(&lines, buf_text(&text), '\n');
    assert_true(lines.n > 50);
    for (size_t i = 0; i < lines.n; i++) {
        if (*lines.items[i] != '#' && *lines.items[i] != '\0')
            check_case(lines.items[i]);
    }
}

static void test_opt__default_stays_unless_given(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv args = {0};
    char word[] = "pods";
    char *words[] = {word};
    struct values values;
    struct rows rows;
    struct opt_tables tables = {{rows.first, rows.second}};

    (void)state;
    values_init(&values);
    make_rows(&rows, &values);
    assert_int_equal(opt_parse(&tables, 1, words, false, &args, NULL, &err), 0);
    assert_int_equal(values.replicas, 1);
    assert_string_equal(values.filename.items[0], "default");
    values_done(&values);
}

static void test_opt__help(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct values values;
    struct rows rows;

    (void)state;
    values_init(&values);
    values.timeout_ms = 3661500;
    make_rows(&rows, &values);
    opt_help(rows.first, &text);
    assert_string_equal(buf_text(&text), "    -A, --all-namespaces=false:\n\tAll of them.\n\n"
                                         "    -o, --output='':\n\tOutput format.\n\n"
                                         "    -R, --recursive=false:\n\tFolders too.\n\n"
                                         "    -l, --selector='':\n\tLabels.\n\n");
    buf_clear(&text);
    opt_help(rows.second, &text);
    assert_string_equal(buf_text(&text), "    --cascade='background':\n\tDependents.\n\n"
                                         "    -f, --filename=[default]:\n\tFiles.\n\n"
                                         "    -n, --namespace='':\n\tWhere.\n\n"
                                         "    -r, --replicas=1:\n\tHow many.\n\n"
                                         "    --set=[default]:\n\tValues.\n\n"
                                         "    --timeout=1h1m1.5s:\n\tHow long.\n\n");
    values_done(&values);
}

static void test_opt__given_options_come_in_their_order(void **state)
{
    (void)state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv args = {0}, given = {0};
    struct values values;
    struct rows rows;
    struct opt_tables tables = {.tables = {rows.first, rows.second}, .given = &given};
    CLEANUP(strv_done) struct strv words = {0};
    strv_split(&words, "x -r 3 --cascade --namespace=a y", ' ');
    values_init(&values);
    make_rows(&rows, &values);
    assert_int_equal(opt_parse(&tables, (int)words.n, words.items, false, &args, NULL, &err), 0);
    CLEANUP(xfree) char *joined = strv_join(&given, " ");
    assert_string_equal(joined, "--replicas=3 --cascade=background --namespace=a");
    values_done(&values);
}

/* Only where the text has no default: there the empty text is a value like any other. */
static void test_opt__an_empty_text_may_be_none(void **state)
{
    char words[][12] = {"--name=x", "--name=", "-l", "", "-o", "json", "--output=", "--cascade="};
    char *argv[countof(words)];
    struct values values;
    struct rows rows;
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    for (size_t i = 0; i < countof(words); i++)
        argv[i] = words[i];
    values_init(&values);
    make_rows(&rows, &values);
    const struct opt_tables tables = {.tables = {rows.first, rows.second}, .empty_is_none = true};
    assert_int_equal(opt_parse(&tables, (int)countof(argv), argv, false, &args, NULL, &err), 0);
    assert_null(values.name);
    assert_null(values.selector);
    assert_true(values.seen[3]);
    assert_string_equal(values.output, "");
    assert_string_equal(values.cascade, "");
    values_done(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opt__an_empty_text_may_be_none),
        cmocka_unit_test(test_opt__cases),
        cmocka_unit_test(test_opt__default_stays_unless_given),
        cmocka_unit_test(test_opt__given_options_come_in_their_order),
        cmocka_unit_test(test_opt__help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
