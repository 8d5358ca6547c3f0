/*
 * tls_session.h: TLS sessions of command lines, kept in files from one program to the next. Private to lib/net.
 */
#pragma once

#include <openssl/ssl.h>

#include "base/compiler.h"

#define TLS_SESSION_KEY_LEN 32

/* Who talks to whom: everything that a change of must end resumption. Any of them may be NULL. */
struct tls_session_parties {
    const char *server; /* address and expected name */
    const char *ca_pem, *cert_pem, *key_pem;
    bool insecure;
};
/* The key that seals the session of these parties. False when OpenSSL cannot hash. */
bool tls_session_key(const struct tls_session_parties *parties, unsigned char key[TLS_SESSION_KEY_LEN]);
/*
 * The session kept for a key, NULL when there is none that can be used; SSL_SESSION_free is the caller's. *ret_renew: it
 * is old enough to be replaced by the next one the server gives.
 */
SSL_SESSION *tls_session_load(const char *dir, const unsigned char key[TLS_SESSION_KEY_LEN], bool *ret_renew);
/* Best effort: without it the next program does a full handshake. */
void tls_session_save(const char *dir, const unsigned char key[TLS_SESSION_KEY_LEN], SSL_SESSION *session);
