/*
 * webhook_secret.h: what should be in the Secret of the webhook's certificate where FKS makes that itself. Pure but for the
 * clock and the random numbers of new keys.
 *
 * Each certificate has an authority of its own, whose key is forgotten once it has signed: there is nothing to steal that
 * could sign another. So a renewal takes two steps. First the new pair waits under next.crt and next.key, and ca.crt names
 * both authorities; once the registrations say so too, the new pair becomes tls.crt and tls.key. Webhook pods may read it
 * when they like: what they serve is trusted at any moment.
 *
 * A Secret that somebody deleted or damaged is replaced the other way round, since webhook pods go on with the pair that they
 * have read, and its key is lost: first the registrations name the new authority beside the old, then the Secret is written.
 */
#pragma once

#include "data/json.h"

#define WEBHOOK_SECRET_DAYS 90
#define WEBHOOK_SECRET_RENEW_DAYS 30 /* left when it is renewed: time enough to notice that it is not */

/*
 * secret: as it is, or NULL. trusted: the API servers know its ca.crt. *ret_data: the Secret's data as it should be, or NULL
 * when nothing is due.
 */
int webhook_secret_next(const struct json *secret, const char *dns_name, bool trusted, struct json **ret_data,
                        struct err *err) MUST_CHECK;
/* Whether it has a certificate that can be served, with its key and authority. secret: or NULL. */
bool webhook_secret_is_usable(const struct json *secret);
/* The data of a Secret in the place of a lost one. served: the authorities that the registrations name, base64. */
int webhook_secret_replace(const char *served, const char *dns_name, struct json **ret_data, struct err *err) MUST_CHECK;
/*
 * For a Secret that somebody else writes: its authority with those of before that are not in it, all base64. Heap; NULL: before
 * has no others.
 */
char *webhook_secret_beside(const char *authority, const char *before);
/* Seconds until its tls.crt expires. ERR_INVALID, ERR_PARSE: it has none. */
int webhook_secret_expiry(const struct json *secret, int64_t *ret_seconds, struct err *err) MUST_CHECK;
