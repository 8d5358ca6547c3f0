/*
 * applyset.h: `apply --prune --applyset` (KEP-3659, alpha): the set of what is applied is written down on a parent object, a
 * Secret unless another is named, and its members carry a label. What carries the label and was not applied is pruned.
 */
#pragma once

#include "objects/items.h"
#include "objects/write.h"

struct applyset {
    struct cli *cli;
    struct item parent;
    char *id;                                        /* the value of the members' label */
    struct strv kinds, namespaces;                   /* as the parent had them: "Deployment.apps" */
    struct strv applied_kinds, applied_namespaces;   /* as they are after this apply */
};
void applyset_done(struct applyset *set);

/* Whether the user asks for what is alpha: KUBECTL_APPLYSET=true. */
bool applyset_is_enabled(void);
/* reference: "NAME" of a Secret or "TYPE[.GROUP]/NAME". Connects. ERR_USAGE in kubectl's words. */
int applyset_open(struct applyset *set, struct cli *cli, const char *reference, struct err *err) MUST_CHECK;
/* The parent may be one. */
int applyset_check(const struct applyset *set, struct err *err) MUST_CHECK;
/* Labels the items as members. ERR_INVALID: one has the label already. */
int applyset_label(const struct applyset *set, struct items *items, struct err *err) MUST_CHECK;
/* Before the first item is applied: the parent names all kinds that the set has or will have, so that no failure loses any. */
int applyset_begin(struct applyset *set, const struct items *items, const struct write_options *write,
                   struct err *err) MUST_CHECK;
/* The members whose uid is not in `applied`, each given to `found`; then the parent names what is left. */
typedef int applyset_found(const struct item *item, void *data, struct err *err);
int applyset_prune(struct applyset *set, const struct strv *applied, const struct write_options *write,
                   applyset_found *found, void *data, struct err *err) MUST_CHECK;
