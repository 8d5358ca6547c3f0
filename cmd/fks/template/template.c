/*
 * template.c: runs a parsed Go template on an object. What a pipeline makes of it is a value of template_value.c; errors
 * name the place as Go does.
 */
#include "template/template.h"

#include "base/mem.h"
#include "template/template_internal.h"
#include "text/gotext.h"

#define CALLS_MAX 2000 /* of templates in each other; Go's 100,000 would need a stack that C does not have */

struct variable {
    const char *name; /* borrowed from the template */
    struct value value;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct run {
    const char *text; /* of the template */
    const struct templates *templates;
    const char *name; /* of the template that runs */
    bool hide_missing;
    struct variable *variables;
    size_t n, cap;
    size_t first; /* of the variables: those of callers are not seen */
    int calls;
    const struct expr *at; /* what is evaluated, for errors */
    struct buf *out;
    struct err *err;
};

/* --- errors */

/* Adds where in the template it happened. */
static int locate(struct run *run, size_t offset, const char *context)
{
    size_t line = 1, column = 0;
    for (size_t i = 0; i < offset; i++) {
        column++;
        if (run->text[i] == '\n') {
            line++;
            column = 0;
        }
    }
    CLEANUP(buf_done) struct buf name = {0};
    gotext_quote(run->name, &name);
    return err_wrap(run->err, "template: output:%zu:%zu: executing %s at <%s>", line, column, buf_text(&name), context);
}

PRINTF(3, 4) static int fail(struct run *run, enum err_code code, const char *format, ...)
{
    CLEANUP(buf_done) struct buf context = {0};
    va_list args;
    va_start(args, format);
    err_setv(run->err, code, format, args);
    va_end(args);
    expr_print(run->at, &context);
    return locate(run, run->at->at, buf_text(&context));
}

/* --- variables */

static void declare(struct run *run, const char *name, const struct value *value)
{
    GROW(run->variables, run->n, run->cap);
    run->variables[run->n++] = (struct variable){name, value_copy(value)};
}

static void forget(struct run *run, size_t n)
{
    while (run->n > n)
        value_done(&run->variables[--run->n].value);
}

static void put(struct variable *variable, const struct value *value)
{
    struct value copy = value_copy(value);
    value_done(&variable->value);
    variable->value = copy;
}

static int find_variable(struct run *run, const char *name, struct variable **ret)
{
    for (size_t i = run->n; i-- > run->first;) {
        if (streq(run->variables[i].name, name)) {
            *ret = &run->variables[i];
            return 0;
        }
    }
    return fail(run, ERR_INVALID, "undefined variable: %s", name);
}

static int assign(struct run *run, const char *name, const struct value *value)
{
    struct variable *variable = NULL;
    if (find_variable(run, name, &variable) < 0)
        return run->err->code;
    put(variable, value);
    return 0;
}

/* --- pipelines */

static int eval_pipe(struct run *run, const struct expr *pipe, const struct value *dot, struct value *ret);
static int eval_word(struct run *run, const struct expr *word, const struct value *dot, struct value *ret);

/* last: what the command before made; NULL: this is the first. */
static int not_a_function(struct run *run, const struct expr *command, const struct value *last)
{
    if (command->n <= 1 && last == NULL)
        return 0;
    CLEANUP(buf_done) struct buf text = {0};
    expr_print(command->items[0], &text);
    return fail(run, ERR_INVALID, "can't give argument to non-function %s", buf_text(&text));
}

/* has_args: the last field is given arguments. */
static int walk_fields(struct run *run, const struct strv *fields, bool has_args, struct value *value)
{
    for (size_t i = 0; i < fields->n; i++) {
        const char *field = fields->items[i];
        if (value->kind == VALUE_NONE) {
            if (!run->hide_missing)
                return fail(run, ERR_NOT_FOUND, "nil data; no entry for key \"%s\"", field);
            continue;
        }
        if (value->kind == VALUE_NIL)
            return fail(run, ERR_INVALID, "nil pointer evaluating interface {}.%s", field);
        if (value->kind != VALUE_MAP)
            return fail(run, ERR_INVALID, "can't evaluate field %s in type %s", field, value_static_type(value));
        if (has_args && i + 1 == fields->n)
            return fail(run, ERR_INVALID, "%s is not a method but has arguments", field);
        struct value member = value_member(value, field, strlen(field));
        if (member.kind == VALUE_NONE && !run->hide_missing)
            return fail(run, ERR_NOT_FOUND, "map has no entry for key \"%s\"", field);
        *value = member; /* a map owns nothing */
    }
    return 0;
}

static int eval_call(struct run *run, const struct expr *command, const struct expr *name, const struct value *dot,
                     const struct value *last, struct value *ret);

/* What a field, a variable or a chain starts from. */
static int eval_start(struct run *run, const struct expr *word, const struct value *dot, struct value *ret)
{
    struct variable *variable = NULL;
    if (word->kind == EXPR_FIELD) {
        *ret = value_copy(dot);
        return 0;
    }
    if (word->kind == EXPR_CHAIN)
        return eval_word(run, word->items[0], dot, ret);
    if (find_variable(run, word->text, &variable) < 0)
        return run->err->code;
    *ret = value_copy(&variable->value);
    return 0;
}

static int eval_fields(struct run *run, const struct expr *word, bool has_args, const struct value *dot, struct value *ret)
{
    run->at = word;
    CLEANUP(value_done) struct value value = {0};
    if (eval_start(run, word, dot, &value) < 0 || walk_fields(run, &word->fields, has_args, &value) < 0)
        return run->err->code;
    *ret = value;
    value = (struct value){0};
    return 0;
}

/* A word of a command, alone. */
static int eval_word(struct run *run, const struct expr *word, const struct value *dot, struct value *ret)
{
    run->at = word;
    switch (word->kind) {
    case EXPR_DOT:
        *ret = value_copy(dot);
        return 0;
    case EXPR_NIL:
        *ret = (struct value){0};
        return 0;
    case EXPR_NUMBER:
        if (word->value.kind == VALUE_NONE)
            return fail(run, ERR_INVALID, "%s overflows int", word->text);
        *ret = word->value;
        return 0;
    case EXPR_BOOL:
    case EXPR_STRING:
        *ret = value_copy(&word->value);
        return 0;
    case EXPR_FIELD:
    case EXPR_VARIABLE:
    case EXPR_CHAIN:
        return eval_fields(run, word, false, dot, ret);
    case EXPR_FUNCTION:
        return eval_call(run, NULL, word, dot, NULL, ret);
    case EXPR_PIPE:
    case EXPR_COMMAND:
        break;
    }
    return eval_pipe(run, word, dot, ret);
}

/* The string that a function wants first. */
static int check_text(struct run *run, struct value *value)
{
    if (value->kind == VALUE_TEXT)
        return 0;
    if (value->kind == VALUE_NONE)
        return fail(run, ERR_INVALID, "invalid value; expected string");
    return fail(run, ERR_INVALID, "wrong type for value; expected string; got %s", value_type(value));
}

static int eval_text_argument(struct run *run, const struct expr *word, const struct value *dot, struct value *ret)
{
    CLEANUP(buf_done) struct buf text = {0};
    run->at = word;
    if (word->kind == EXPR_NIL)
        return fail(run, ERR_INVALID, "cannot assign nil to string");
    if (word->kind == EXPR_BOOL || word->kind == EXPR_NUMBER) {
        expr_print(word, &text);
        return fail(run, ERR_INVALID, "expected string; found %s", buf_text(&text));
    }
    if (eval_word(run, word, dot, ret) < 0)
        return run->err->code;
    return check_text(run, ret);
}

/* "and" and "or" stop at the first argument that decides. */
static int eval_logic(struct run *run, const struct expr *command, const char *name, const struct value *dot,
                      const struct value *last, struct value *ret)
{
    bool until = streq(name, "or");
    for (size_t i = 1; command != NULL && i < command->n; i++) {
        value_done(ret);
        if (eval_word(run, command->items[i], dot, ret) < 0)
            return run->err->code;
        if (value_is_true(ret) == until)
            return 0;
    }
    if (last != NULL) {
        value_done(ret);
        *ret = value_copy(last);
    }
    return 0;
}

static int check_count(struct run *run, const struct function *function, size_t n_words, size_t n)
{
    if (function->more && n < function->n_fixed)
        return fail(run, ERR_INVALID, "wrong number of args for %s: want at least %zu got %zu", function->name,
                    function->n_fixed, n_words);
    if (!function->more && n != function->n_fixed)
        return fail(run, ERR_INVALID, "wrong number of args for %s: want %zu got %zu", function->name, function->n_fixed, n);
    return 0;
}

static int eval_arguments(struct run *run, const struct function *function, const struct expr *command,
                          const struct value *dot, const struct value *last, struct value *args)
{
    size_t n = 0;
    for (size_t i = 1; command != NULL && i < command->n; i++, n++) {
        bool text = function->text_first && n == 0;
        if ((text ? eval_text_argument(run, command->items[i], dot, &args[n])
                  : eval_word(run, command->items[i], dot, &args[n])) < 0)
            return run->err->code;
    }
    if (last != NULL) {
        args[n] = value_copy(last);
        if (function->text_first && n == 0)
            return check_text(run, &args[n]);
    }
    return 0;
}

/* What "call" was to call, when it came through the pipeline: Go's reflect.Value in words. */
static void print_callee(const struct value *value, struct buf *out)
{
    if (value->kind == VALUE_TEXT)
        buf_add(out, value->text, value->len);
    else
        buf_printf(out, "<%s Value>", value_type(value));
}

/* command NULL: the function's name stands as an argument, and gets none itself. */
static int eval_call(struct run *run, const struct expr *command, const struct expr *name, const struct value *dot,
                     const struct value *last, struct value *ret)
{
    const struct function *function = function_find(name->text, strlen(name->text));
    size_t n_words = command != NULL ? command->n - 1 : 0, n = n_words + (last != NULL ? 1 : 0);
    run->at = name;
    if (check_count(run, function, n_words, n) < 0)
        return run->err->code;
    if (streq(name->text, "and") || streq(name->text, "or"))
        return eval_logic(run, command, name->text, dot, last, ret);
    struct value *args = xcalloc(n + 1, sizeof(*args));
    CLEANUP(buf_done) struct buf callee = {0};
    int code = eval_arguments(run, function, command, dot, last, args);
    if (code == 0) {
        if (n_words > 0)
            expr_print(command->items[1], &callee);
        else if (last != NULL)
            print_callee(last, &callee);
        CLEANUP(err_clear) struct err err = {0};
        if (function_call(function, buf_text(&callee), args, n, ret, &err) < 0) {
            run->at = command != NULL ? command : name;
            code = fail(run, err.code, "error calling %s: %s", name->text, err_text(&err));
        }
    }
    for (size_t i = 0; i < n; i++)
        value_done(&args[i]);
    free(args);
    return code;
}

static int eval_command(struct run *run, const struct expr *command, const struct value *dot, const struct value *last,
                        struct value *ret)
{
    const struct expr *first = command->items[0];
    bool has_args = command->n > 1 || last != NULL;
    if (first->kind == EXPR_FUNCTION)
        return eval_call(run, command, first, dot, last, ret);
    if (first->fields.n > 0)
        return eval_fields(run, first, has_args, dot, ret);
    if (first->kind != EXPR_PIPE)
        run->at = first;
    if (not_a_function(run, command, last) < 0)
        return run->err->code;
    if (first->kind == EXPR_NIL)
        return fail(run, ERR_INVALID, "nil is not a command");
    return eval_word(run, first, dot, ret);
}

static int bind(struct run *run, const struct expr *pipe, const struct value *value)
{
    for (size_t i = 0; i < pipe->variables.n; i++) {
        const char *name = pipe->variables.items[i];
        if (!pipe->assigns)
            declare(run, name, value);
        else if (assign(run, name, value) < 0)
            return run->err->code;
    }
    return 0;
}

/* Its variables stay until whoever opened their scope forgets them. */
static int eval_pipe(struct run *run, const struct expr *pipe, const struct value *dot, struct value *ret)
{
    CLEANUP(value_done) struct value value = {0};
    run->at = pipe;
    for (size_t i = 0; i < pipe->n; i++) {
        CLEANUP(value_done) struct value next = {0};
        if (eval_command(run, pipe->items[i], dot, i > 0 ? &value : NULL, &next) < 0)
            return run->err->code;
        value_done(&value);
        value = next;
        next = (struct value){0};
        value_unbox(&value);
    }
    if (bind(run, pipe, &value) < 0)
        return run->err->code;
    *ret = value;
    value = (struct value){0};
    return 0;
}

/* --- nodes */

static int run_nodes(struct run *run, const struct nodes *nodes, const struct value *dot, enum flow *flow);

static int run_element(struct run *run, const struct node *node, const struct value *key, const struct value *element,
                       enum flow *flow)
{
    const struct expr *pipe = node->pipe;
    size_t scope = run->n, n = pipe->variables.n;
    *flow = FLOW_ON;
    if (n > 0 && pipe->assigns) {
        if (assign(run, pipe->variables.items[0], n > 1 ? key : element) < 0 ||
            (n > 1 && assign(run, pipe->variables.items[1], element) < 0))
            return run->err->code;
    } else if (n > 0) {
        put(&run->variables[run->n - 1], element);
        if (n > 1)
            put(&run->variables[run->n - 2], key);
    }
    int code = run_nodes(run, &node->body, element, flow);
    forget(run, scope);
    return code;
}

static int run_numbers(struct run *run, const struct node *node, const struct value *value, enum flow *flow)
{
    for (int64_t i = 0; i < value->whole && *flow != FLOW_BREAK; i++) {
        struct value number = {.kind = value->kind, .whole = i};
        if (run_element(run, node, &number, &number, flow) < 0)
            return run->err->code;
    }
    return 0;
}

static int run_elements(struct run *run, const struct node *node, const struct value *value, enum flow *flow)
{
    CLEANUP(strv_done) struct strv keys = {0};
    bool is_map = value->kind == VALUE_MAP;
    if (is_map)
        gotext_keys(value->tree, &keys);
    for (size_t i = 0; i < value->n && *flow != FLOW_BREAK; i++) {
        CLEANUP(value_done) struct value key = {0};
        CLEANUP(buf_done) struct buf text = {0};
        buf_add_str(&text, is_map ? keys.items[i] : "");
        key = is_map ? value_take_text(&text) : value_of_int((int64_t)i); /* owned: a variable may outlive the list of keys */
        struct value element = is_map ? value_member(value, key.text, key.len) : value_item(value, i);
        if (run_element(run, node, &key, &element, flow) < 0)
            return run->err->code;
    }
    return 0;
}

static int fail_range(struct run *run, const struct value *value)
{
    CLEANUP(buf_done) struct buf text = {0};
    value_print(value, &text);
    return fail(run, ERR_INVALID, value_is_whole(value) ? "can't use %s to iterate over more than one variable"
                                                        : "range can't iterate over %s", buf_text(&text));
}

static int run_range(struct run *run, const struct node *node, const struct value *dot)
{
    CLEANUP(value_done) struct value value = {0};
    enum flow flow = FLOW_ON;
    if (eval_pipe(run, node->pipe, dot, &value) < 0)
        return run->err->code;
    switch (value.kind) {
    case VALUE_INT:
    case VALUE_INT64:
    case VALUE_BYTE:
        if (node->pipe->variables.n > 1)
            return fail_range(run, &value);
        if (value.whole > 0)
            return run_numbers(run, node, &value, &flow);
        break;
    case VALUE_LIST:
    case VALUE_MAP:
        if (value.n > 0)
            return run_elements(run, node, &value, &flow);
        break;
    case VALUE_BOOL:
    case VALUE_REAL:
    case VALUE_TEXT:
        return fail_range(run, &value);
    case VALUE_NONE:
    case VALUE_NIL:
        break;
    }
    return run_nodes(run, &node->otherwise, dot, &flow);
}

static int run_branch(struct run *run, const struct node *node, const struct value *dot, enum flow *flow)
{
    CLEANUP(value_done) struct value value = {0};
    if (eval_pipe(run, node->pipe, dot, &value) < 0)
        return run->err->code;
    bool taken = value_is_true(&value);
    return run_nodes(run, taken ? &node->body : &node->otherwise, node->kind == NODE_WITH && taken ? &value : dot, flow);
}

static int run_action(struct run *run, const struct node *node, const struct value *dot)
{
    CLEANUP(value_done) struct value value = {0};
    if (eval_pipe(run, node->pipe, dot, &value) < 0)
        return run->err->code;
    if (node->pipe->variables.n > 0)
        return 0;
    if (value.kind == VALUE_NONE)
        buf_add_str(run->out, "<no value>");
    else
        value_print(&value, run->out);
    return 0;
}

PRINTF(3, 4) static int fail_call(struct run *run, const struct node *node, const char *format, ...)
{
    CLEANUP(buf_done) struct buf context = {0};
    va_list args;
    va_start(args, format);
    err_setv(run->err, ERR_INVALID, format, args);
    va_end(args);
    buf_add_str(&context, "{{template ");
    gotext_quote(node->name, &context);
    if (node->pipe != NULL) {
        buf_add_char(&context, ' ');
        expr_print(node->pipe, &context);
    }
    buf_add_str(&context, "}}");
    return locate(run, node->at, buf_text(&context));
}

/* {{template "name" pipeline}}: sees nothing of its caller but the value. */
static int run_call(struct run *run, const struct node *node, const struct value *dot)
{
    const struct named_template *called = templates_find(run->templates, node->name);
    CLEANUP(value_done) struct value value = {0};
    CLEANUP(buf_done) struct buf quoted = {0};
    gotext_quote(node->name, &quoted);
    if (called == NULL)
        return fail_call(run, node, "template %s not defined", buf_text(&quoted));
    if (run->calls == CALLS_MAX)
        return fail_call(run, node, "exceeded maximum template depth (%d)", CALLS_MAX);
    if (node->pipe != NULL && eval_pipe(run, node->pipe, dot, &value) < 0)
        return run->err->code;
    const char *name = run->name;
    size_t first = run->first, n = run->n;
    enum flow flow = FLOW_ON;
    run->name = called->name;
    run->first = n;
    run->calls++;
    declare(run, "$", &value);
    int code = run_nodes(run, &called->nodes, &value, &flow);
    forget(run, n);
    run->calls--;
    run->first = first;
    run->name = name;
    return code;
}

static int run_node(struct run *run, const struct node *node, const struct value *dot, enum flow *flow)
{
    size_t scope = run->n;
    int code = 0;
    switch (node->kind) {
    case NODE_TEXT:
        buf_add(run->out, node->text, node->len);
        return 0;
    case NODE_ACTION:
        return run_action(run, node, dot);
    case NODE_TEMPLATE:
        return run_call(run, node, dot);
    case NODE_IF:
    case NODE_WITH:
        code = run_branch(run, node, dot, flow);
        break;
    case NODE_RANGE:
        code = run_range(run, node, dot);
        break;
    case NODE_BREAK:
        *flow = FLOW_BREAK;
        return 0;
    case NODE_CONTINUE:
        *flow = FLOW_CONTINUE;
        return 0;
    }
    forget(run, scope);
    return code;
}

static int run_nodes(struct run *run, const struct nodes *nodes, const struct value *dot, enum flow *flow)
{
    for (size_t i = 0; i < nodes->n && *flow == FLOW_ON; i++) {
        if (run_node(run, &nodes->list[i], dot, flow) < 0 || buf_check(run->out, "what the template prints", run->err) < 0)
            return run->err->code;
    }
    return 0;
}

/* kubectl prints this beside what the template had printed so far, and on stdout, before the error itself. */
static void explain_failure(const char *text, const struct json *object, struct buf *out, struct err *err)
{
    CLEANUP(xfree) char *why = xstrdup(err_text(err));
    CLEANUP(buf_done) struct buf quoted = {0};
    enum err_code code = err->code;
    buf_printf(out, "Error executing template: %s. Printing more information for debugging the template:\n", why);
    buf_printf(out, "\ttemplate was:\n\t\t%s\n\traw data was:\n\t\t", text);
    gotext_json(object, out);
    buf_add_str(out, "\n\tobject given to template engine was:\n\t\t");
    gotext_print(object, out);
    buf_add_str(out, "\n\n");
    gotext_quote(text, &quoted);
    err_clear(err);
    err_set(err, code, "error executing template %s: %s", buf_text(&quoted), why);
}

int template_print(const char *text, const struct json *object, bool hide_missing, struct buf *out, struct err *err)
{
    CLEANUP(templates_done) struct templates templates = {0};
    if (template_parse(text, &templates, err) < 0)
        return err->code;
    struct run run = {.text = text, .templates = &templates, .name = "output", .hide_missing = hide_missing, .out = out, .err = err};
    enum flow flow = FLOW_ON;
    struct value root = value_of_json(object);
    value_unbox(&root);
    declare(&run, "$", &root);
    int code = run_nodes(&run, &templates_find(&templates, "output")->nodes, &root, &flow);
    forget(&run, 0);
    free(run.variables);
    if (code < 0)
        explain_failure(text, object, out, err);
    return code;
}
