/*
 * tls_refusal.h: why a server's certificate is not accepted, in Go's words (crypto/x509: HostnameError,
 * CertificateInvalidError), which name what it is good for.
 */
#pragma once

#include <openssl/x509.h>
#include <stdint.h>

#include "base/compiler.h"

/* Words for an X509_V_ERR_* number; NULL for the rarer ones. */
const char *tls_refusal_words(long result);
/*
 * Better ones, with the names or times of the certificate. host: the name or address that was to be verified. As in Go the
 * time is looked at first, then the name; NULL: neither is the reason. Heap string.
 */
char *tls_refusal_text(const X509 *certificate, const char *host, int64_t now_s) MUST_CHECK;
