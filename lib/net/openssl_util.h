/*
 * openssl_util.h: what pki.c and tls.c share: OpenSSL's error queue as struct err, and PEM text as OpenSSL objects.
 * Private to lib/net.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/compiler.h"
#include "base/err.h"

/* As err_set, with the reason OpenSSL gave (the oldest entry of its queue) behind it. Empties the queue. */
int openssl_error(struct err *err, enum err_code code, const char *format, ...) PRINTF(3, 4);

/* The first private key of a PEM text, whatever its type; the caller frees. Encrypted keys are ERR_UNSUPPORTED. */
int openssl_parse_key(const char *pem, EVP_PKEY **ret, struct err *err) MUST_CHECK;
/* All certificates of a PEM text, in order, at least one; the caller frees (openssl_certs_free). */
int openssl_parse_certs(const char *pem, STACK_OF(X509) **ret, struct err *err) MUST_CHECK;
void openssl_certs_free(STACK_OF(X509) *certs);

/* Whether a server's name is an address, which certificates list apart from names. */
bool openssl_is_address(const char *name);

DEFINE_CLEANUP_POINTER(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP_POINTER(X509 *, X509_free)
DEFINE_CLEANUP_POINTER(BIO *, BIO_free)
DEFINE_CLEANUP_POINTER(STACK_OF(X509) *, openssl_certs_free)
