/*
 * match_explain.c: what a selector misses on a pod, for `fks explain pod`.
 */
#include "base/str.h"
#include "fargate/match.h"

bool fargate_selector_explain(const struct fargate_selector *selector, const char *namespace, const struct json *labels,
                              struct buf *why)
{
    const char *separator = "";

    if (!fargate_glob(selector->namespace, namespace)) {
        (void)buf_printf(why, "namespace '%.64s' is not '%.64s'", namespace, selector->namespace);
        separator = ", ";
    }
    for (size_t i = 0; i < selector->n_labels; i++) {
        const struct fargate_label *wanted = &selector->labels[i];
        const char *value = json_string_value(json_member(labels, wanted->key));

        if (fargate_label_matches(wanted, labels))
            continue;
        (void)buf_printf(why, "%sno label %.128s=%.64s", separator, wanted->key, wanted->value);
        if (value != NULL)
            (void)buf_printf(why, " (the pod has %.128s=%.64s)", wanted->key, value);
        separator = ", ";
    }
    return *separator == '\0';
}
