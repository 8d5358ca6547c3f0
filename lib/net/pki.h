/*
 * pki.h: keys and certificates, made with OpenSSL in this process: EC P-256 keys, SHA-256 signatures. RSA 2048 for the
 * service account key, which kube-apiserver signs RS256 tokens with. Everything is PEM text in heap strings.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

struct pki_pair {
    char *cert_pem; /* NULL for a bare key */
    char *key_pem;  /* PKCS#8; a secret: pki_pair_done wipes it */
};
void pki_pair_done(struct pki_pair *pair);
DEFINE_CLEANUP_IN_PLACE(struct pki_pair, pki_pair_done)

struct pki_request {
    const char *common_name;           /* the user name, for Kubernetes clients */
    const char *const *organizations;  /* the groups; NULL-ended, or NULL */
    const char *const *dns_names;      /* subject alternative names; NULL-ended, or NULL */
    const char *const *ip_addresses;   /* "10.0.0.1", "::1"; NULL-ended, or NULL */
    bool server, client;               /* extended key usages */
    int days;                          /* validity, from an hour ago */
};

int pki_make_ca(const char *common_name, int days, struct pki_pair *ret, struct err *err) MUST_CHECK;
int pki_issue(const struct pki_pair *ca, const struct pki_request *request, struct pki_pair *ret,
              struct err *err) MUST_CHECK;
/* RSA private key (PKCS#8) and its public key ("PUBLIC KEY") for service account tokens. */
int pki_make_service_account_key(char **ret_private_pem, char **ret_public_pem, struct err *err) MUST_CHECK;
/* Seconds until the certificate expires (negative: expired). */
int pki_cert_expiry(const char *cert_pem, int64_t *ret_seconds, struct err *err) MUST_CHECK;
/* SHA-256 of bytes as 64 lower-case hex digits plus NUL. */
void pki_sha256_hex(const void *data, size_t len, char text[65]);
int pki_sha256_file(const char *path, char text[65], struct err *err) MUST_CHECK;

/* Whether both are PEM and belong together; ERR_INVALID in the words of Go's crypto/tls. */
int pki_check_pair(const char *cert_pem, const char *key_pem, struct err *err) MUST_CHECK;

/* The parts of a subject, and the alternative names, of a certificate signing request. */
enum pki_name {
    PKI_COMMON_NAME,
    PKI_SERIAL,
    PKI_ORGANIZATION,
    PKI_UNIT,
    PKI_COUNTRY,
    PKI_LOCALITY,
    PKI_PROVINCE,
    PKI_STREET,
    PKI_POSTAL_CODE,
    PKI_DNS,
    PKI_EMAIL,
    PKI_URI,
    PKI_IP,
    PKI_NAMES, /* how many there are */
};
struct pki_subject {
    struct strv names[PKI_NAMES]; /* each in the request's order */
};
void pki_subject_done(struct pki_subject *subject);
DEFINE_CLEANUP_IN_PLACE(struct pki_subject, pki_subject_done)
/* Reads a PEM "CERTIFICATE REQUEST". ERR_PARSE. */
int pki_read_request(const char *pem, struct pki_subject *ret, struct err *err) MUST_CHECK;
