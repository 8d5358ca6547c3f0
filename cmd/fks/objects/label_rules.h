/*
 * label_rules.h: what may be a label key or value, in apimachinery's words. Keys of taints follow the same rules.
 */
#pragma once

#include "base/buf.h"

/* Appends what is wrong, joined by "; "; nothing for a valid key ("example.com/name" or "name"). */
void label_rules_key(const char *key, struct buf *problems);
void label_rules_value(const char *value, struct buf *problems);
