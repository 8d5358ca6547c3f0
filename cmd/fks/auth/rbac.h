/*
 * rbac.h: RBAC rules as sets: what one list of rules allows and another does not. Rules are PolicyRule trees of
 * rbac.authorization.k8s.io/v1; for `auth can-i --list` and `auth reconcile`.
 */
#pragma once

#include "data/json.h"

/* Appends the rule's parts to the array: each with one verb and one resource (or URL) and at most one resource name. */
void rbac_break_down(const struct json *rule, struct json *parts);
/* The parts of `rules` that no rule of `owner_rules` allows, a new array. Either may be NULL. */
struct json *rbac_uncovered(const struct json *owner_rules, const struct json *rules) MUST_CHECK;
/* Parts that differ only by their verb become one rule; sorted as kubectl sorts them. A new array. */
struct json *rbac_compact(const struct json *parts) MUST_CHECK;
/* "deployments.apps/scale" of a rule with one resource; "" without. */
void rbac_resource_text(const struct json *rule, struct buf *out);
/* An array of strings as Go prints a slice: "[get list]". */
void rbac_list_text(const struct json *list, struct buf *out);
