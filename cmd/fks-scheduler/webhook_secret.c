/*
 * webhook_secret.c: see webhook_secret.h. Reads the Secret's base64, judges the pair in it, and makes new ones. registration.c
 * asks it, writes what it says, and tells the API servers.
 */
#include "webhook_secret.h"

#include "base/codec.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/pki.h"

#define DAY_S (24 * 60 * 60)
#define BEGIN_LINE "-----BEGIN CERTIFICATE-----"
#define END_LINE "-----END CERTIFICATE-----"
#define SERVED_MAX 3 /* authorities that a replacement keeps: of the pair lost, and of replacements before it */
#define BESIDE_MAX (128 * 1024) /* bytes of authorities that are named together */

/* A member of the Secret's data as text; NULL: missing, or no base64. Heap. */
static char *text_of(const struct json *secret, const char *key)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    const char *encoded = json_str(secret, "data", key, NULL);

    if (encoded == NULL || base64_decode(encoded, strlen(encoded), &text, &ignored) < 0)
        return NULL;
    return buf_take(&text);
}

/* Seconds that a pair may still be served; negative: it is none, or expired. */
static int64_t life_of(const char *cert_pem, const char *key_pem)
{
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t seconds;

    if (cert_pem == NULL || key_pem == NULL || pki_check_pair(cert_pem, key_pem, &ignored) < 0 ||
        pki_cert_expiry(cert_pem, &seconds, &ignored) < 0)
        return -1;
    return seconds;
}

static int make_pair(const char *dns_name, struct pki_pair *ret_authority, struct pki_pair *ret, struct err *err)
{
    char random[9];
    const char *const names[] = {dns_name, NULL};
    const struct pki_request request = {
        .common_name = dns_name, .dns_names = names, .server = true, .days = WEBHOOK_SECRET_DAYS};

    random_hex(random, 8);
    CLEANUP(xfree) char *name = xasprintf("fks-webhook-ca-%s", random); /* several are trusted at a time */
    int r = pki_make_ca(name, WEBHOOK_SECRET_DAYS, ret_authority, err);
    return r < 0 ? r : pki_issue(ret_authority, &request, ret, err);
}

static void set(struct json *data, const char *key, const char *text)
{
    CLEANUP(buf_done) struct buf encoded = {0};

    base64_encode(text, strlen(text), &encoded);
    json_set_str(data, key, buf_text(&encoded));
}

/* The newest n authorities: the first is that of the certificate in use. Heap. */
static char *first_of(const char *bundle, size_t n)
{
    const char *end = bundle;

    for (const char *next; n-- > 0 && (next = strstr(end, END_LINE)) != NULL;)
        end = next + strlen(END_LINE);
    return xstrndup(bundle, (size_t)(end - bundle));
}

/* A new pair in the place of the old one; or, keep: beside it, with both authorities. */
static int renew(const struct json *secret, const char *dns_name, bool keep, struct json **ret_data, struct err *err)
{
    CLEANUP(pki_pair_done) struct pki_pair authority = {0};
    CLEANUP(pki_pair_done) struct pki_pair pair = {0};
    int r = make_pair(dns_name, &authority, &pair, err);

    if (r < 0)
        return err_wrap(err, "making a certificate for '%s'", dns_name);
    struct json *data = json_new_object();
    if (keep) {
        CLEANUP(xfree) char *bundle = text_of(secret, "ca.crt");
        CLEANUP(xfree) char *old = first_of(bundle, 1);
        CLEANUP(xfree) char *both = xasprintf("%s%s\n", authority.cert_pem, old);
        set(data, "ca.crt", both);
        json_set_str(data, "tls.crt", json_str(secret, "data", "tls.crt", NULL));
        json_set_str(data, "tls.key", json_str(secret, "data", "tls.key", NULL));
    } else {
        set(data, "ca.crt", authority.cert_pem);
    }
    set(data, keep ? "next.crt" : "tls.crt", pair.cert_pem);
    set(data, keep ? "next.key" : "tls.key", pair.key_pem);
    *ret_data = data;
    return 0;
}

int webhook_secret_next(const struct json *secret, const char *dns_name, bool trusted, struct json **ret_data,
                        struct err *err)
{
    CLEANUP(xfree) char *cert = text_of(secret, "tls.crt");
    CLEANUP(xfree) char *key = text_of(secret, "tls.key");
    CLEANUP(xfree) char *next_cert = text_of(secret, "next.crt");
    CLEANUP(xfree) char *next_key = text_of(secret, "next.key");
    CLEANUP(xfree) char *bundle = text_of(secret, "ca.crt");
    int64_t life = bundle != NULL ? life_of(cert, key) : -1;

    *ret_data = NULL;
    if (life >= 0 && life_of(next_cert, next_key) > WEBHOOK_SECRET_RENEW_DAYS * DAY_S) {
        if (trusted)
            *ret_data = json_build("{s:s, s:s, s:s}", "ca.crt", json_str(secret, "data", "ca.crt", NULL), "tls.crt",
                                   json_str(secret, "data", "next.crt", NULL), "tls.key",
                                   json_str(secret, "data", "next.key", NULL));
        return 0;
    }
    if (life > WEBHOOK_SECRET_RENEW_DAYS * DAY_S)
        return 0;
    /* an expired certificate is trusted by nobody: there is nothing to keep */
    return renew(secret, dns_name, life >= 0, ret_data, err);
}

bool webhook_secret_is_usable(const struct json *secret)
{
    CLEANUP(xfree) char *cert = text_of(secret, "tls.crt");
    CLEANUP(xfree) char *key = text_of(secret, "tls.key");

    return json_str(secret, "data", "ca.crt", NULL) != NULL && life_of(cert, key) >= 0;
}

int webhook_secret_replace(const char *served, const char *dns_name, struct json **ret_data, struct err *err)
{
    CLEANUP(buf_done) struct buf bundle = {0};
    CLEANUP(pki_pair_done) struct pki_pair authority = {0};
    CLEANUP(pki_pair_done) struct pki_pair pair = {0};
    int r = base64_decode(served, strlen(served), &bundle, err);

    if (r < 0 || (r = make_pair(dns_name, &authority, &pair, err)) < 0)
        return err_wrap(err, "making a certificate for '%s'", dns_name);
    CLEANUP(xfree) char *old = first_of(buf_text(&bundle), SERVED_MAX);
    CLEANUP(xfree) char *all = xasprintf("%s%s\n", authority.cert_pem, old);
    struct json *data = json_new_object();
    set(data, "ca.crt", all);
    set(data, "tls.crt", pair.cert_pem);
    set(data, "tls.key", pair.key_pem);
    *ret_data = data;
    return 0;
}

char *webhook_secret_beside(const char *authority, const char *before)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(buf_done) struct buf old = {0};
    CLEANUP(buf_done) struct buf encoded = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    const char *end, *next;
    bool added = false;

    if (base64_decode(authority, strlen(authority), &text, &ignored) < 0 ||
        base64_decode(before, strlen(before), &old, &ignored) < 0)
        return NULL;
    for (const char *at = buf_text(&old); (at = strstr(at, BEGIN_LINE)) != NULL && (end = strstr(at, END_LINE)) != NULL; at = next) {
        next = end + strlen(END_LINE);
        CLEANUP(xfree) char *one = xstrndup(at, (size_t)(next - at));
        if (strstr(buf_text(&text), one) != NULL || text.len + strlen(one) > BESIDE_MAX)
            continue;
        buf_add_str(&text, "\n");
        buf_add_str(&text, one);
        added = true;
    }
    if (!added)
        return NULL;
    buf_add_str(&text, "\n");
    base64_encode(text.data, text.len, &encoded);
    return buf_take(&encoded);
}

int webhook_secret_expiry(const struct json *secret, int64_t *ret_seconds, struct err *err)
{
    CLEANUP(xfree) char *cert = text_of(secret, "tls.crt");

    if (cert == NULL)
        return err_set(err, ERR_INVALID, "the Secret has no tls.crt");
    return pki_cert_expiry(cert, ret_seconds, err);
}
