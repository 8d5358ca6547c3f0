/*
 * template.c: runs a parsed Go template. Values are reference-counted trees; NULL is "no value" (a key that is not
 * there).
 */
#include "print/template.h"

#include "base/mem.h"
#include "print/gotext.h"
#include "print/template_internal.h"

struct variable {
    const char *name; /* borrowed from the template */
    struct json *value;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct run {
    const char *text; /* of the template */
    bool hide_missing;
    struct variable *variables;
    size_t n, cap;
    struct buf *out;
    struct err *err;
};

static void declare(struct run *run, const char *name, const struct json *value)
{
    GROW(run->variables, run->n, run->cap);
    run->variables[run->n++] = (struct variable){name, value != NULL ? json_keep(value) : NULL};
}

static void forget(struct run *run, size_t n)
{
    while (run->n > n)
        json_free(run->variables[--run->n].value);
}

static struct variable *find_variable(struct run *run, const char *name)
{
    for (size_t i = run->n; i-- > 0;) {
        if (streq(run->variables[i].name, name))
            return &run->variables[i];
    }
    return NULL;
}

/* Adds where in the template it happened, as Go does. */
static int locate(struct run *run, const struct operand *operand)
{
    size_t line = 1, column = 0;
    for (size_t i = 0; i < operand->offset; i++) {
        column++;
        if (run->text[i] == '\n') {
            line++;
            column = 0;
        }
    }
    return err_wrap(run->err, "template: output:%zu:%zu: executing \"output\" at <%s>", line, column, operand->text);
}

static int walk_fields(struct run *run, const struct operand *operand, const struct json *value,
                       const struct json **ret)
{
    for (size_t i = 0; i < operand->fields.n; i++) {
        const char *field = operand->fields.items[i];
        if (json_type(value) != JSON_NULL && !json_is_object(value)) {
            err_set(run->err, ERR_INVALID, "can't evaluate field %s in type interface {}", field);
            return locate(run, operand);
        }
        const struct json *member = json_member(value, field);
        if (member == NULL && !run->hide_missing) {
            err_set(run->err, ERR_NOT_FOUND,
                    value == NULL ? "nil data; no entry for key \"%s\"" : "map has no entry for key \"%s\"", field);
            return locate(run, operand);
        }
        value = member;
    }
    *ret = value;
    return 0;
}

static int eval_pipe(struct run *run, const struct pipe *pipe, const struct json *dot, struct json **ret);
static int eval_call(struct run *run, const struct operand *operands, size_t n_operands, const struct json *dot,
                     const struct json *last, bool has_last, struct json **ret);

static int eval_operand(struct run *run, const struct operand *operand, const struct json *dot, struct json **ret)
{
    CLEANUP(json_free) struct json *made = NULL;
    const struct json *value = NULL;
    switch (operand->kind) {
    case OPERAND_DOT:
        value = dot;
        break;
    case OPERAND_VARIABLE: {
        const struct variable *variable = find_variable(run, operand->name);
        if (variable == NULL)
            return err_set(run->err, ERR_INVALID, "undefined variable \"%s\"", operand->name);
        value = variable->value;
        break;
    }
    case OPERAND_LITERAL:
        value = operand->literal;
        break;
    case OPERAND_PIPE:
        if (eval_pipe(run, operand->pipe, dot, &made) < 0)
            return run->err->code;
        value = made;
        break;
    case OPERAND_FUNCTION: {
        if (eval_call(run, operand, 1, dot, NULL, false, &made) < 0)
            return run->err->code;
        value = made;
        break;
    }
    }
    if (walk_fields(run, operand, value, &value) < 0)
        return run->err->code;
    *ret = value != NULL ? json_keep(value) : NULL;
    return 0;
}

/* "and" and "or" stop at the first argument that decides. */
static int eval_logic(struct run *run, const struct operand *operands, size_t n_operands, const struct json *dot,
                      const struct json *last, bool has_last, struct json **ret)
{
    bool until = streq(operands[0].name, "or");
    CLEANUP(json_free) struct json *value = NULL;
    for (size_t i = 1; i < n_operands; i++) {
        json_free(value);
        value = NULL;
        if (eval_operand(run, &operands[i], dot, &value) < 0)
            return run->err->code;
        if (template_is_true(value) == until) {
            *ret = take(&value);
            return 0;
        }
    }
    if (has_last) {
        *ret = last != NULL ? json_keep(last) : NULL;
        return 0;
    }
    *ret = take(&value);
    return 0;
}

static int eval_call(struct run *run, const struct operand *operands, size_t n_operands, const struct json *dot,
                     const struct json *last, bool has_last, struct json **ret)
{
    const struct operand *first = &operands[0];
    if (first->kind != OPERAND_FUNCTION) {
        if (n_operands > 1 || has_last)
            return err_set(run->err, ERR_INVALID, "can't give argument to non-function %s", first->text);
        return eval_operand(run, first, dot, ret);
    }
    if (streq(first->name, "and") || streq(first->name, "or"))
        return eval_logic(run, operands, n_operands, dot, last, has_last, ret);
    size_t n = n_operands - 1 + (has_last ? 1 : 0);
    struct json **args = xcalloc(n + 1, sizeof(*args));
    int code = 0;
    for (size_t i = 1; i < n_operands && code == 0; i++)
        code = eval_operand(run, &operands[i], dot, &args[i - 1]);
    if (has_last && last != NULL)
        args[n - 1] = json_keep(last);
    if (code == 0) {
        code = template_call(first->name, (const struct json *const *)args, n, ret, run->err);
        if (code < 0)
            code = locate(run, first);
    }
    for (size_t i = 0; i < n; i++)
        json_free(args[i]);
    free(args);
    return code;
}

static int eval_pipe(struct run *run, const struct pipe *pipe, const struct json *dot, struct json **ret)
{
    CLEANUP(json_free) struct json *value = NULL;
    for (size_t i = 0; i < pipe->n; i++) {
        struct json *next = NULL;
        if (eval_call(run, pipe->commands[i].operands, pipe->commands[i].n, dot, value, i > 0, &next) < 0)
            return run->err->code;
        json_free(value);
        value = next;
    }
    *ret = take(&value);
    return 0;
}

/* $x := value, $x = value. */
static int bind(struct run *run, const struct pipe *pipe, const struct json *value)
{
    if (pipe->variables[0] == NULL)
        return 0;
    if (!pipe->assigns) {
        declare(run, pipe->variables[0], value);
        return 0;
    }
    struct variable *variable = find_variable(run, pipe->variables[0]);
    if (variable == NULL)
        return err_set(run->err, ERR_INVALID, "undefined variable \"%s\"", pipe->variables[0]);
    json_free(variable->value);
    variable->value = value != NULL ? json_keep(value) : NULL;
    return 0;
}

static int run_nodes(struct run *run, const struct nodes *nodes, const struct json *dot, enum flow *flow);

static int run_element(struct run *run, const struct node *node, struct json *key, const struct json *value,
                       enum flow *flow)
{
    CLEANUP(json_free) struct json *owned_key = key;
    size_t scope = run->n;
    const struct pipe *pipe = node->pipe;
    if (pipe->variables[1] != NULL) {
        declare(run, pipe->variables[0], key);
        declare(run, pipe->variables[1], value);
    } else if (pipe->variables[0] != NULL) {
        declare(run, pipe->variables[0], value);
    }
    int code = run_nodes(run, &node->body, value, flow);
    forget(run, scope);
    return code;
}

static int run_range(struct run *run, const struct node *node, const struct json *dot)
{
    CLEANUP(json_free) struct json *value = NULL;
    if (eval_pipe(run, node->pipe, dot, &value) < 0)
        return run->err->code;
    enum flow flow = FLOW_ON;
    if (json_type(value) == JSON_STRING || json_type(value) == JSON_BOOL || json_type(value) == JSON_REAL)
        return err_set(run->err, ERR_INVALID, "range can't iterate over %s", strempty(json_string_value(value)));
    if (!template_is_true(value))
        return run_nodes(run, &node->otherwise, dot, &flow);
    int64_t count = json_type(value) == JSON_INT ? json_int_value(value) : 0;
    for (int64_t i = 0; i < count && flow != FLOW_BREAK; i++) {
        CLEANUP(json_free) struct json *number = json_new_int(i);
        flow = FLOW_ON;
        if (run_element(run, node, json_new_int(i), number, &flow) < 0)
            return run->err->code;
    }
    CLEANUP(strv_done) struct strv keys = {0};
    if (json_is_object(value))
        gotext_keys(value, &keys);
    size_t n = json_is_array(value) ? json_len(value) : keys.n;
    for (size_t i = 0; i < n && flow != FLOW_BREAK; i++) {
        bool is_array = json_is_array(value);
        flow = FLOW_ON;
        if (run_element(run, node, is_array ? json_new_int((int64_t)i) : json_new_string(keys.items[i]),
                        is_array ? json_at(value, i) : json_member(value, keys.items[i]), &flow) < 0)
            return run->err->code;
    }
    return 0;
}

static int run_branch(struct run *run, const struct node *node, const struct json *dot, enum flow *flow)
{
    CLEANUP(json_free) struct json *value = NULL;
    size_t scope = run->n;
    if (eval_pipe(run, node->pipe, dot, &value) < 0 || bind(run, node->pipe, value) < 0)
        return run->err->code;
    bool taken = template_is_true(value);
    const struct json *inner = node->kind == NODE_WITH && taken ? value : dot;
    int code = run_nodes(run, taken ? &node->body : &node->otherwise, inner, flow);
    forget(run, scope);
    return code;
}

static int run_action(struct run *run, const struct node *node, const struct json *dot)
{
    CLEANUP(json_free) struct json *value = NULL;
    if (eval_pipe(run, node->pipe, dot, &value) < 0)
        return run->err->code;
    if (node->pipe->variables[0] != NULL)
        return bind(run, node->pipe, value);
    if (json_type(value) == JSON_NULL)
        buf_add_str(run->out, "<no value>");
    else
        gotext_print(value, run->out);
    return 0;
}

static int run_nodes(struct run *run, const struct nodes *nodes, const struct json *dot, enum flow *flow)
{
    size_t scope = run->n;
    int code = 0;
    for (size_t i = 0; i < nodes->n && code == 0 && *flow == FLOW_ON; i++) {
        const struct node *node = &nodes->list[i];
        switch (node->kind) {
        case NODE_TEXT:
            buf_add(run->out, node->text, node->text_len);
            break;
        case NODE_ACTION:
            code = run_action(run, node, dot);
            break;
        case NODE_IF:
        case NODE_WITH:
            code = run_branch(run, node, dot, flow);
            break;
        case NODE_RANGE:
            code = run_range(run, node, dot);
            break;
        case NODE_BREAK:
            *flow = FLOW_BREAK;
            break;
        case NODE_CONTINUE:
            *flow = FLOW_CONTINUE;
            break;
        }
    }
    forget(run, scope);
    return code;
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
    CLEANUP(template_nodes_done) struct nodes nodes = {0};
    if (template_parse(text, &nodes, err) < 0)
        return err->code;
    struct run run = {.text = text, .hide_missing = hide_missing, .out = out, .err = err};
    enum flow flow = FLOW_ON;
    declare(&run, "$", object);
    int code = run_nodes(&run, &nodes, object, &flow);
    forget(&run, 0);
    free(run.variables);
    if (code < 0)
        explain_failure(text, object, out, err);
    return code;
}
