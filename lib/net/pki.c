/*
 * pki.c: the certificate authority of `create cluster`, of the webhook and of fks-node's serving certificates: makes
 * keys, signs certificates, hashes downloads. It keeps nothing and writes no files: text in, text out. Subject
 * alternative names are built as objects, never as OpenSSL configuration text, so a name cannot smuggle in another one.
 */
#include "net/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/openssl_util.h"

#define PKI_DAYS_MAX 36500 /* a hundred years; keeps year 9999 out of reach */
#define PKI_CLOCK_SKEW_S 3600
#define PKI_SERIAL_BITS 128

DEFINE_CLEANUP_POINTER(GENERAL_NAMES *, GENERAL_NAMES_free)
DEFINE_CLEANUP_POINTER(GENERAL_NAME *, GENERAL_NAME_free)
DEFINE_CLEANUP_POINTER(BIGNUM *, BN_free)
DEFINE_CLEANUP_POINTER(EVP_MD_CTX *, EVP_MD_CTX_free)

static void secret_free(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}
DEFINE_CLEANUP_POINTER(char *, secret_free)

void pki_pair_done(struct pki_pair *pair)
{
    free(pair->cert_pem);
    secret_free(pair->key_pem);
    *pair = (struct pki_pair){0};
}

/* --- objects to PEM */

/* A memory BIO's own copy is wiped by BIO_free. */
static char *bio_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    return xstrndup(data, (size_t)len);
}

static int key_to_pem(const EVP_PKEY *key, char **ret, struct err *err)
{
    CLEANUP(BIO_free) BIO *bio = BIO_new(BIO_s_mem());

    if (bio == NULL || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        return openssl_error(err, ERR_INTERNAL, "writing a private key as PEM");
    *ret = bio_text(bio);
    return 0;
}

static int public_key_to_pem(const EVP_PKEY *key, char **ret, struct err *err)
{
    CLEANUP(BIO_free) BIO *bio = BIO_new(BIO_s_mem());

    if (bio == NULL || !PEM_write_bio_PUBKEY(bio, key))
        return openssl_error(err, ERR_INTERNAL, "writing a public key as PEM");
    *ret = bio_text(bio);
    return 0;
}

static int cert_to_pem(X509 *cert, char **ret, struct err *err)
{
    CLEANUP(BIO_free) BIO *bio = BIO_new(BIO_s_mem());

    if (bio == NULL || !PEM_write_bio_X509(bio, cert))
        return openssl_error(err, ERR_INTERNAL, "writing a certificate as PEM");
    *ret = bio_text(bio);
    return 0;
}

/* --- parts of a certificate */

static int set_serial(X509 *cert, struct err *err)
{
    CLEANUP(BN_free) BIGNUM *serial = BN_new();

    if (serial == NULL || !BN_rand(serial, PKI_SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) ||
        BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) == NULL)
        return openssl_error(err, ERR_INTERNAL, "making a serial number");
    return 0;
}

static int set_validity(X509 *cert, int days, struct err *err)
{
    if (days < 1 || days > PKI_DAYS_MAX)
        return err_set(err, ERR_INVALID, "a certificate must be valid for 1 to %d days, not %d", PKI_DAYS_MAX, days);
    if (X509_gmtime_adj(X509_getm_notBefore(cert), -PKI_CLOCK_SKEW_S) == NULL ||
        X509_time_adj_ex(X509_getm_notAfter(cert), days, -PKI_CLOCK_SKEW_S, NULL) == NULL)
        return openssl_error(err, ERR_INTERNAL, "setting the validity of a certificate");
    return 0;
}

static int add_name_entry(X509_NAME *name, int nid, const char *text, struct err *err)
{
    const unsigned char *bytes = (const unsigned char *)text;

    if (!X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, bytes, -1, -1, 0))
        return openssl_error(err, ERR_INVALID, "'%s' cannot be the %s of a certificate", text, OBJ_nid2ln(nid));
    return 0;
}

static int set_subject(X509 *cert, const char *common_name, const char *const *organizations, struct err *err)
{
    X509_NAME *name = X509_get_subject_name(cert);

    for (size_t i = 0; organizations != NULL && organizations[i] != NULL; i++) {
        int r = add_name_entry(name, NID_organizationName, organizations[i], err);
        if (r < 0)
            return r;
    }
    return common_name != NULL ? add_name_entry(name, NID_commonName, common_name, err) : 0;
}

/* value: a constant in OpenSSL's configuration syntax, never text from outside. */
static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct err *err)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int added = extension != NULL && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    if (!added)
        return openssl_error(err, ERR_INTERNAL, "adding %s to a certificate", OBJ_nid2ln(nid));
    return 0;
}

static int add_dns_name(GENERAL_NAMES *names, const char *text, struct err *err)
{
    CLEANUP(GENERAL_NAME_free) GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();

    for (const char *p = text; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~') {
            ASN1_IA5STRING_free(value);
            return err_set(err, ERR_INVALID, "'%s' is not a DNS name", text);
        }
    if (name == NULL || value == NULL || *text == '\0' || !ASN1_STRING_set(value, text, -1)) {
        ASN1_IA5STRING_free(value);
        return openssl_error(err, ERR_INVALID, "'%s' cannot be a DNS name of a certificate", text);
    }
    GENERAL_NAME_set0_value(name, GEN_DNS, value);
    if (!sk_GENERAL_NAME_push(names, name))
        return openssl_error(err, ERR_INTERNAL, "adding a DNS name to a certificate");
    (void)take(&name);
    return 0;
}

static int add_ip_address(GENERAL_NAMES *names, const char *text, struct err *err)
{
    CLEANUP(GENERAL_NAME_free) GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *value = a2i_IPADDRESS(text);

    if (name == NULL || value == NULL) {
        ASN1_OCTET_STRING_free(value);
        return openssl_error(err, ERR_INVALID, "'%s' is not an IP address", text);
    }
    GENERAL_NAME_set0_value(name, GEN_IPADD, value);
    if (!sk_GENERAL_NAME_push(names, name))
        return openssl_error(err, ERR_INTERNAL, "adding an IP address to a certificate");
    (void)take(&name);
    return 0;
}

static int add_alternative_names(X509 *cert, const struct pki_request *request, struct err *err)
{
    CLEANUP(GENERAL_NAMES_free) GENERAL_NAMES *names = GENERAL_NAMES_new();
    int r = 0;

    if (names == NULL)
        return openssl_error(err, ERR_INTERNAL, "making a certificate");
    for (size_t i = 0; r == 0 && request->dns_names != NULL && request->dns_names[i] != NULL; i++)
        r = add_dns_name(names, request->dns_names[i], err);
    for (size_t i = 0; r == 0 && request->ip_addresses != NULL && request->ip_addresses[i] != NULL; i++)
        r = add_ip_address(names, request->ip_addresses[i], err);
    if (r < 0)
        return r;
    if (sk_GENERAL_NAME_num(names) == 0)
        return 0;
    /* RFC 5280 4.2.1.6: critical when the subject is empty */
    int critical = X509_NAME_entry_count(X509_get_subject_name(cert)) == 0;
    if (X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical, 0) != 1)
        return openssl_error(err, ERR_INTERNAL, "adding alternative names to a certificate");
    return 0;
}

/* --- whole certificates */

/* Version, serial, validity and key: what every certificate has. */
static int cert_begin(int days, EVP_PKEY *key, X509 **ret, struct err *err)
{
    CLEANUP(X509_free) X509 *cert = X509_new();

    if (cert == NULL || !X509_set_version(cert, X509_VERSION_3) || !X509_set_pubkey(cert, key))
        return openssl_error(err, ERR_INTERNAL, "making a certificate");
    int r = set_serial(cert, err);
    if (r == 0)
        r = set_validity(cert, days, err);
    if (r == 0)
        *ret = take(&cert);
    return r;
}

/* Signs with the issuer's key and hands out certificate and key as text. */
static int cert_finish(X509 *cert, X509 *issuer, EVP_PKEY *issuer_key, const EVP_PKEY *key, struct pki_pair *ret,
                       struct err *err)
{
    CLEANUP(pki_pair_done) struct pki_pair pair = {0};

    if (!X509_set_issuer_name(cert, X509_get_subject_name(issuer)) || X509_sign(cert, issuer_key, EVP_sha256()) == 0)
        return openssl_error(err, ERR_INTERNAL, "signing a certificate");
    int r = cert_to_pem(cert, &pair.cert_pem, err);
    if (r == 0)
        r = key_to_pem(key, &pair.key_pem, err);
    if (r < 0)
        return r;
    *ret = pair;
    pair = (struct pki_pair){0};
    return 0;
}

int pki_make_ca(const char *common_name, int days, struct pki_pair *ret, struct err *err)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
    CLEANUP(X509_free) X509 *cert = NULL;

    if (key == NULL)
        return openssl_error(err, ERR_INTERNAL, "making a key");
    int r = cert_begin(days, key, &cert, err);
    if (r == 0)
        r = set_subject(cert, common_name, NULL, err);
    if (r == 0)
        r = add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE", err);
    if (r == 0)
        r = add_extension(cert, cert, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign", err);
    if (r == 0)
        r = add_extension(cert, cert, NID_subject_key_identifier, "hash", err);
    if (r == 0)
        r = cert_finish(cert, cert, key, key, ret, err);
    return r;
}

static int load_ca(const struct pki_pair *ca, X509 **ret_cert, EVP_PKEY **ret_key, struct err *err)
{
    CLEANUP(openssl_certs_free) STACK_OF(X509) *certs = NULL;
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;

    int r = openssl_parse_certs(ca->cert_pem, &certs, err);
    if (r == 0)
        r = openssl_parse_key(ca->key_pem, &key, err);
    if (r < 0)
        return err_wrap(err, "certificate authority");
    X509 *cert = sk_X509_value(certs, 0);
    if (!X509_check_private_key(cert, key))
        return openssl_error(err, ERR_INVALID, "certificate authority: certificate and key do not belong together");
    if (X509_check_ca(cert) != 1)
        return openssl_error(err, ERR_INVALID, "certificate authority: its certificate may not sign others");
    *ret_cert = sk_X509_shift(certs);
    *ret_key = take(&key);
    return 0;
}

static int add_leaf_extensions(X509 *cert, X509 *issuer, const struct pki_request *request, struct err *err)
{
    const char *usage = request->server && request->client ? "serverAuth,clientAuth"
                        : request->server                  ? "serverAuth"
                        : request->client                  ? "clientAuth"
                                                           : NULL;
    int r = add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE", err);
    if (r == 0)
        r = add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature,keyEncipherment", err);
    if (r == 0 && usage != NULL)
        r = add_extension(cert, issuer, NID_ext_key_usage, usage, err);
    if (r == 0)
        r = add_extension(cert, issuer, NID_subject_key_identifier, "hash", err);
    /* a CA made elsewhere may have no key identifier; then there is nothing to point to */
    if (r == 0 && X509_get0_subject_key_id(issuer) != NULL)
        r = add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always", err);
    if (r == 0)
        r = add_alternative_names(cert, request, err);
    return r;
}

int pki_issue(const struct pki_pair *ca, const struct pki_request *request, struct pki_pair *ret, struct err *err)
{
    CLEANUP(X509_free) X509 *ca_cert = NULL;
    CLEANUP(EVP_PKEY_free) EVP_PKEY *ca_key = NULL;
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
    CLEANUP(X509_free) X509 *cert = NULL;

    int r = load_ca(ca, &ca_cert, &ca_key, err);
    if (r < 0)
        return r;
    key = EVP_EC_gen("P-256");
    if (key == NULL)
        return openssl_error(err, ERR_INTERNAL, "making a key");
    r = cert_begin(request->days, key, &cert, err);
    if (r == 0)
        r = set_subject(cert, request->common_name, request->organizations, err);
    if (r == 0)
        r = add_leaf_extensions(cert, ca_cert, request, err);
    if (r == 0)
        r = cert_finish(cert, ca_cert, ca_key, key, ret, err);
    return r;
}

int pki_make_service_account_key(char **ret_private_pem, char **ret_public_pem, struct err *err)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(secret_free) char *private_pem = NULL;

    if (key == NULL)
        return openssl_error(err, ERR_INTERNAL, "making a key");
    int r = key_to_pem(key, &private_pem, err);
    if (r == 0)
        r = public_key_to_pem(key, ret_public_pem, err);
    if (r == 0)
        *ret_private_pem = take(&private_pem);
    return r;
}

int pki_cert_expiry(const char *cert_pem, int64_t *ret_seconds, struct err *err)
{
    CLEANUP(openssl_certs_free) STACK_OF(X509) *certs = NULL;
    int days, seconds;

    int r = openssl_parse_certs(cert_pem, &certs, err);
    if (r < 0)
        return r;
    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(sk_X509_value(certs, 0))))
        return openssl_error(err, ERR_PARSE, "reading a certificate's end of validity");
    *ret_seconds = (int64_t)days * 86400 + seconds;
    return 0;
}

/* --- digests */

void pki_sha256_hex(const void *data, size_t len, char text[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_len = 0;

    if (!EVP_Digest(data, len, digest, &digest_len, EVP_sha256(), NULL))
        abort(); /* only when memory is out */
    hex_encode(digest, 32, text);
}

int pki_sha256_file(const char *path, char text[65], struct err *err)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char block[16384];

    if (fd < 0)
        return err_errno(err, errno, "opening '%s'", path);
    if (context == NULL || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        return openssl_error(err, ERR_INTERNAL, "hashing '%s'", path);
    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "reading '%s'", path);
        if (n == 0)
            break;
        if (!EVP_DigestUpdate(context, block, (size_t)n))
            return openssl_error(err, ERR_INTERNAL, "hashing '%s'", path);
    }
    if (!EVP_DigestFinal_ex(context, digest, NULL))
        return openssl_error(err, ERR_INTERNAL, "hashing '%s'", path);
    hex_encode(digest, 32, text);
    return 0;
}
