/*
 * yaml.h: YAML as sigs.k8s.io/yaml reads and writes it: to and from JSON trees, scalars by YAML 1.1 (yes/no/on/off are
 * booleans, 0x and octal integers), anchors and merge keys (<<) resolved. libyaml does the lexing; only yaml.c knows it.
 */
#pragma once

#include "data/json.h"

/*
 * All documents of a stream ("---"); empty documents are left out. JSON is YAML, so this reads both.
 * ERR_PARSE "yaml: line N: ..."; ERR_TOO_BIG past LIMIT_YAML_EVENTS or LIMIT_JSON_DEPTH. *ret is an array tree.
 */
int yaml_parse_all(const char *text, size_t len, struct json **ret, struct err *err) MUST_CHECK;
/* Exactly one document (an empty stream gives JSON null). */
int yaml_parse(const char *text, size_t len, struct json **ret, struct err *err) MUST_CHECK;
/* Appends one document with keys sorted, sigs.k8s.io/yaml's quoting and block scalars, newline at the end, no "---". */
void yaml_print(const struct json *json, struct buf *out);
