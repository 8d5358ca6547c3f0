/*
 * template_expr.c: pipelines of a parsed template: freed, and as Go writes them in errors.
 */
#include "base/mem.h"
#include "template/template_internal.h"

static void expr_free(struct expr *expr)
{
    if (expr == NULL)
        return;
    for (size_t i = 0; i < expr->n; i++)
        expr_free(expr->items[i]);
    free(expr->items);
    free(expr->text);
    value_done(&expr->value);
    strv_done(&expr->fields);
    strv_done(&expr->variables);
    free(expr);
}

static void nodes_done(struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        free(nodes->list[i].name);
        expr_free(nodes->list[i].pipe);
        nodes_done(&nodes->list[i].body);
        nodes_done(&nodes->list[i].otherwise);
    }
    free(nodes->list);
    *nodes = (struct nodes){0};
}

void templates_done(struct templates *templates)
{
    for (size_t i = 0; i < templates->n; i++) {
        free(templates->list[i].name);
        nodes_done(&templates->list[i].nodes);
    }
    free(templates->list);
    *templates = (struct templates){0};
}

const struct named_template *templates_find(const struct templates *templates, const char *name)
{
    for (size_t i = 0; i < templates->n; i++) {
        if (streq(templates->list[i].name, name))
            return &templates->list[i];
    }
    return NULL;
}

static void print_in_parens(const struct expr *expr, struct buf *out)
{
    bool pipe = expr->kind == EXPR_PIPE;
    buf_add_str(out, pipe ? "(" : "");
    expr_print(expr, out);
    buf_add_str(out, pipe ? ")" : "");
}

void expr_print(const struct expr *expr, struct buf *out)
{
    for (size_t i = 0; i < expr->variables.n; i++)
        buf_printf(out, "%s%s", i > 0 ? ", " : "", expr->variables.items[i]);
    if (expr->variables.n > 0)
        buf_add_str(out, expr->assigns ? " = " : " := ");
    buf_add_str(out, strempty(expr->text));
    for (size_t i = 0; i < expr->n; i++) {
        buf_add_str(out, i == 0 ? "" : expr->kind == EXPR_PIPE ? " | " : " ");
        print_in_parens(expr->items[i], out);
    }
    for (size_t i = 0; i < expr->fields.n; i++)
        buf_printf(out, ".%s", expr->fields.items[i]);
}
