/*
 * schema_text.h: the text of `explain`: a kind, or a field of it, from an OpenAPI document.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

struct schema_question {
    const struct json *document; /* one group version's OpenAPI v3, or the server's whole OpenAPI v2 */
    const char *group, *version, *kind;
    const struct strv *fields; /* the way to the field; empty: the kind itself */
    bool recursive;            /* all fields below, names and types only */
};

/*
 * ERR_NOT_FOUND with kubectl's words when the document has no such kind or the kind no such field; then the head of the
 * text is there, as kubectl prints it. Appends.
 */
int schema_text(const struct schema_question *question, struct buf *out, struct err *err) MUST_CHECK;
/* The same from OpenAPI v2, in the form of that time; nothing is appended on failure. */
int schema_text_v2(const struct schema_question *question, struct buf *out, struct err *err) MUST_CHECK;

/* Of an OpenAPI document's schemas by name, the one that describes the question's kind. NULL: none does. Borrowed. */
const struct json *schema_of_kind(const struct json *schemas, const struct schema_question *question);
