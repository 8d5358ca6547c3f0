/*
 * openssl_util.c: the border between OpenSSL's conventions and ours. OpenSSL reports through a queue per thread that
 * keeps old entries until somebody takes them; every failure here empties it, so that a later SSL_get_error is not
 * misled by an earlier, unrelated one.
 */
#include "net/openssl_util.h"

#include <arpa/inet.h>
#include <limits.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/mem.h"

/*
 * What the peer of a TLS connection complained about, in the words of Go's TLS; else OpenSSL's reason, or its number where
 * the texts are not loaded (tls_init_short_lived): `openssl errstr` knows them.
 */
static char *reason_text(unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
        return xasprintf("remote error: tls: %s", SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST))
        return xstrdup("tls: the peer does not speak TLS");
    return text != NULL ? xstrdup(text) : xasprintf("OpenSSL error %08lX", error);
}

int openssl_error(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)err_setv(err, code, format, args);
    va_end(args);

    unsigned long first = ERR_get_error();
    if (first != 0) {
        CLEANUP(xfree) char *reason = reason_text(first);
        char *msg = xasprintf("%s: %s", err->msg, reason);
        free(err->msg);
        err->msg = msg;
    }
    ERR_clear_error();
    return code;
}

/* Without a callback OpenSSL would ask for a password on the terminal. */
static int refuse_password(char *text, int size, int writing, void *data)
{
    (void)text, (void)size, (void)writing;
    *(bool *)data = true;
    return -1;
}

static BIO *pem_bio(const char *pem)
{
    size_t len = strlen(pem);
    return len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
}

int openssl_parse_key(const char *pem, EVP_PKEY **ret, struct err *err)
{
    CLEANUP(BIO_free) BIO *bio = pem_bio(pem);
    bool encrypted = false;

    ERR_clear_error();
    if (bio == NULL)
        return openssl_error(err, ERR_INTERNAL, "reading a private key");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &encrypted);
    if (key == NULL && encrypted)
        return openssl_error(err, ERR_UNSUPPORTED, "the private key is protected by a password; give it without one");
    if (key == NULL)
        return openssl_error(err, ERR_PARSE, "no usable private key in PEM text");
    ERR_clear_error();
    *ret = key;
    return 0;
}

int openssl_parse_certs(const char *pem, STACK_OF(X509) **ret, struct err *err)
{
    CLEANUP(BIO_free) BIO *bio = pem_bio(pem);
    CLEANUP(openssl_certs_free) STACK_OF(X509) *certs = sk_X509_new_null();
    bool encrypted = false;

    ERR_clear_error();
    if (bio == NULL || certs == NULL)
        return openssl_error(err, ERR_INTERNAL, "reading certificates");
    for (;;) {
        CLEANUP(X509_free) X509 *cert = PEM_read_bio_X509(bio, NULL, refuse_password, &encrypted);
        if (cert == NULL)
            break;
        if (!sk_X509_push(certs, cert))
            return openssl_error(err, ERR_INTERNAL, "reading certificates");
        (void)take(&cert);
    }
    /* "no start line" is how the end of the text is reported; anything else is a broken certificate */
    unsigned long last = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (sk_X509_num(certs) == 0 || !at_end)
        return openssl_error(err, ERR_PARSE, "%s in PEM text",
                             sk_X509_num(certs) == 0 ? "no usable certificate" : "a broken certificate");
    ERR_clear_error();
    *ret = take(&certs);
    return 0;
}

void openssl_certs_free(STACK_OF(X509) *certs)
{
    sk_X509_pop_free(certs, X509_free);
}

bool openssl_is_address(const char *name)
{
    struct in6_addr address;

    return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
}
