/*
 * status.h: what an API server's refusal means. Used by client.c; kube_status_error is public in client.h.
 */
#pragma once

#include "data/json.h"

/*
 * Sets err from an answer with http_status >= 400: from the Status in body, which is also left in *ret_status, or, when
 * the body is none, with the words client-go has for the code; path (may be NULL) names the resource in them.
 * Always returns negative.
 */
int kube_answer_error(int http_status, const char *body, size_t len, const char *method, const char *path,
                      struct json **ret_status, struct err *err);
