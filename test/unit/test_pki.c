/* test_pki.c: certificates as OpenSSL's own verifier sees them, and every refusal. */
#include "net/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "temporary.h"

static X509 *parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static EVP_PKEY *parse_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(key);
    return key;
}

/* X509_V_OK or why the certificate is not good for the purpose. */
static int verify(X509 *ca, X509 *cert, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, ca);
    X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_init(context, store, cert, NULL);
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_verify_cert(context);
    int result = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return result;
}

static struct pki_pair make_ca(void)
{
    struct pki_pair ca = {0};
    struct err err = {0};
    assert_int_equal(pki_make_ca("test-ca", 3650, &ca, &err), 0);
    return ca;
}

static const char *const groups[] = {"system:masters", "other", NULL};
static const char *const names[] = {"web.default.svc", "localhost", NULL};
static const char *const addresses[] = {"10.1.2.3", "::1", NULL};
static const struct pki_request full = {
    .common_name = "kube-admin",
    .organizations = groups,
    .dns_names = names,
    .ip_addresses = addresses,
    .server = true,
    .days = 365,
};

static void test_pki__ca(void **state)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = make_ca();
    (void)state;
    X509 *cert = parse(ca.cert_pem);
    EVP_PKEY *key = parse_key(ca.key_pem);
    assert_true(starts_with(ca.key_pem, "-----BEGIN PRIVATE KEY-----")); /* PKCS#8 */
    assert_int_equal(X509_check_private_key(cert, key), 1);
    assert_int_equal(X509_check_ca(cert), 1);
    assert_int_equal(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE | KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_non_null(X509_get0_subject_key_id(cert));
    assert_int_equal(EVP_PKEY_get_id(key), EVP_PKEY_EC);
    assert_int_equal(verify(cert, cert, X509_PURPOSE_ANY), X509_V_OK);
    EVP_PKEY_free(key);
    X509_free(cert);
}

static void test_pki__leaf(void **state)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = make_ca();
    CLEANUP(pki_pair_done) struct pki_pair leaf = {0};
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    assert_int_equal(pki_issue(&ca, &full, &leaf, &err), 0);
    X509 *ca_cert = parse(ca.cert_pem), *cert = parse(leaf.cert_pem);
    assert_int_equal(verify(ca_cert, cert, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify(ca_cert, cert, X509_PURPOSE_SSL_CLIENT), X509_V_ERR_INVALID_PURPOSE);
    assert_int_equal(X509_check_ca(cert), 0);
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "other", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "10.1.2.3", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "10.1.2.4", 0), 0);
    assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(cert), X509_get0_subject_key_id(ca_cert)), 0);
    char subject[200];
    X509_NAME_oneline(X509_get_subject_name(cert), subject, sizeof(subject));
    assert_string_equal(subject, "/O=system:masters/O=other/CN=kube-admin");
    X509_free(cert);
    X509_free(ca_cert);
}

static void test_pki__client_and_both(void **state)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = make_ca();
    CLEANUP(pki_pair_done) struct pki_pair client = {0};
    CLEANUP(pki_pair_done) struct pki_pair both = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct pki_request request = {.common_name = "c", .client = true, .days = 1};
    (void)state;
    assert_int_equal(pki_issue(&ca, &request, &client, &err), 0);
    request.server = true;
    assert_int_equal(pki_issue(&ca, &request, &both, &err), 0);
    X509 *ca_cert = parse(ca.cert_pem), *client_cert = parse(client.cert_pem), *both_cert = parse(both.cert_pem);
    assert_int_equal(verify(ca_cert, client_cert, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify(ca_cert, client_cert, X509_PURPOSE_SSL_SERVER), X509_V_ERR_INVALID_PURPOSE);
    assert_int_equal(verify(ca_cert, both_cert, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify(ca_cert, both_cert, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    /* serial numbers: positive, of 128 random bits, so never equal and hardly ever short */
    BIGNUM *a = ASN1_INTEGER_to_BN(X509_get0_serialNumber(client_cert), NULL);
    BIGNUM *b = ASN1_INTEGER_to_BN(X509_get0_serialNumber(both_cert), NULL);
    assert_int_not_equal(BN_cmp(a, b), 0);
    assert_false(BN_is_negative(a));
    assert_in_range(BN_num_bits(a), 80, 128);
    BN_free(a);
    BN_free(b);
    X509_free(both_cert);
    X509_free(client_cert);
    X509_free(ca_cert);
}

static void test_pki__expiry(void **state)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = make_ca();
    CLEANUP(pki_pair_done) struct pki_pair leaf = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct pki_request request = {.common_name = "c", .client = true, .days = 2};
    int64_t seconds = 0;
    (void)state;
    assert_int_equal(pki_issue(&ca, &request, &leaf, &err), 0);
    assert_int_equal(pki_cert_expiry(leaf.cert_pem, &seconds, &err), 0);
    assert_in_range(seconds, 2 * 86400 - 3600 - 60, 2 * 86400 - 3600);
    assert_int_equal(pki_cert_expiry("no certificate", &seconds, &err), ERR_PARSE);
}

static void check_refused(const struct pki_pair *ca, const struct pki_request *request, int code, const char *part)
{
    struct pki_pair pair = {0};
    struct err err = {0};
    assert_int_equal(pki_issue(ca, request, &pair, &err), code);
    assert_null(pair.cert_pem);
    if (strstr(err_text(&err), part) == NULL)
        fail_msg("'%s' not in '%s'", part, err_text(&err));
    err_clear(&err);
}

static void test_pki__refusals(void **state)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = make_ca();
    CLEANUP(pki_pair_done) struct pki_pair other = make_ca();
    CLEANUP(pki_pair_done) struct pki_pair leaf = {0};
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    static const char *const bad_ip[] = {"300.1.1.1", NULL};
    static const char *const bad_dns[] = {"a b", NULL};
    static const char *const empty_dns[] = {"", NULL};
    char long_name[100];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';

    struct pki_request request = full;
    request.days = 0;
    check_refused(&ca, &request, ERR_INVALID, "days");
    request = full;
    request.ip_addresses = bad_ip;
    check_refused(&ca, &request, ERR_INVALID, "'300.1.1.1'");
    request = full;
    request.dns_names = bad_dns;
    check_refused(&ca, &request, ERR_INVALID, "'a b'");
    request.dns_names = empty_dns;
    check_refused(&ca, &request, ERR_INVALID, "''");
    request = full;
    request.common_name = long_name;
    check_refused(&ca, &request, ERR_INVALID, "commonName");

    struct pki_pair mixed = {.cert_pem = ca.cert_pem, .key_pem = other.key_pem};
    check_refused(&mixed, &full, ERR_INVALID, "do not belong together");
    struct pki_pair garbage = {.cert_pem = ca.cert_pem, .key_pem = ca.cert_pem};
    check_refused(&garbage, &full, ERR_PARSE, "private key");
    assert_int_equal(pki_issue(&ca, &full, &leaf, &err), 0);
    check_refused(&leaf, &full, ERR_INVALID, "may not sign");
    assert_int_equal(pki_make_ca("x", 40000, &other, &err), ERR_INVALID);
}

/* A name may not bring a second one along, as it could in OpenSSL's configuration syntax. */
static void test_pki__no_name_injection(void **state)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = make_ca();
    CLEANUP(pki_pair_done) struct pki_pair leaf = {0};
    CLEANUP(err_clear) struct err err = {0};
    static const char *const sly[] = {"a,IP:1.2.3.4,DNS:evil", NULL};
    struct pki_request request = {.common_name = "x", .dns_names = sly, .server = true, .days = 1};
    (void)state;
    assert_int_equal(pki_issue(&ca, &request, &leaf, &err), 0);
    X509 *cert = parse(leaf.cert_pem);
    assert_int_equal(X509_check_ip_asc(cert, "1.2.3.4", 0), 0);
    assert_int_equal(X509_check_host(cert, "evil", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL), 0);
    X509_free(cert);
}

static void test_pki__service_account_key(void **state)
{
    CLEANUP(xfree) char *private_pem = NULL;
    CLEANUP(xfree) char *public_pem = NULL;
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    assert_int_equal(pki_make_service_account_key(&private_pem, &public_pem, &err), 0);
    EVP_PKEY *key = parse_key(private_pem);
    assert_int_equal(EVP_PKEY_get_bits(key), 2048);
    BIO *bio = BIO_new_mem_buf(public_pem, -1);
    EVP_PKEY *public_key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    assert_int_equal(EVP_PKEY_eq(key, public_key), 1);
    EVP_PKEY_free(public_key);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static void test_pki__digests(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(xfree) char *path = path_join(folder, "abc", NULL), *none = path_join(folder, "none", NULL);
    char text[65];
    (void)state;
    pki_sha256_hex("abc", 3, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    temporary_file(folder, "abc", "abc");
    memset(text, 0, sizeof(text));
    assert_int_equal(pki_sha256_file(path, text, &err), 0);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(pki_sha256_file(none, text, &err), ERR_NOT_FOUND);
}

/* openssl req -new -subj "/O=org1/O=org2/OU=u/C=DE/L=Berlin/ST=B/CN=some:user/serialNumber=77" -addext subjectAltName=... */
static const char signing_request[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIIBgzCCASoCAQAwdTENMAsGA1UECgwEb3JnMTENMAsGA1UECgwEb3JnMjEKMAgG\n"
    "A1UECwwBdTELMAkGA1UEBhMCREUxDzANBgNVBAcMBkJlcmxpbjEKMAgGA1UECAwB\n"
    "QjESMBAGA1UEAwwJc29tZTp1c2VyMQswCQYDVQQFEwI3NzBZMBMGByqGSM49AgEG\n"
    "CCqGSM49AwEHA0IABHvcN4OoEE4xMvsIbXmLghgMZzHXR7zdEK8c9W/e66ruPXUz\n"
    "tfFAwUeIq6B+DPWk2rEEFRgZ+qBf57eiCMiHgiygUzBRBgkqhkiG9w0BCQ4xRDBC\n"
    "MEAGA1UdEQQ5MDeCA2EuYoIDYy5khwQBAgMEhxAAAAAAAAAAAAAAAAAAAAABgQV4\n"
    "QHkueoYMc3BpZmZlOi8veC95MAoGCCqGSM49BAMCA0cAMEQCIEyyKUViBCUvqJNB\n"
    "3qe02WagsulMdY+uN76SwrfZVSzkAiB43DkA0ujTJwqEYw6x2N87sQzKyMfHb9B0\n"
    "tFvNJOraYw==\n"
    "-----END CERTIFICATE REQUEST-----\n";

static void assert_names(const struct pki_subject *subject, enum pki_name name, const char *expected)
{
    CLEANUP(xfree) char *joined = strv_join(&subject->names[name], " ");
    assert_string_equal(joined, expected);
}

static void test_pki__request_names(void **state)
{
    CLEANUP(pki_subject_done) struct pki_subject subject = {0};
    CLEANUP(pki_subject_done) struct pki_subject none = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(pki_read_request(signing_request, &subject, &err), 0);
    assert_names(&subject, PKI_COMMON_NAME, "some:user");
    assert_names(&subject, PKI_SERIAL, "77");
    assert_names(&subject, PKI_ORGANIZATION, "org1 org2");
    assert_names(&subject, PKI_UNIT, "u");
    assert_names(&subject, PKI_COUNTRY, "DE");
    assert_names(&subject, PKI_LOCALITY, "Berlin");
    assert_names(&subject, PKI_PROVINCE, "B");
    assert_names(&subject, PKI_STREET, "");
    assert_names(&subject, PKI_DNS, "a.b c.d");
    assert_names(&subject, PKI_EMAIL, "x@y.z");
    assert_names(&subject, PKI_URI, "spiffe://x/y");
    assert_names(&subject, PKI_IP, "1.2.3.4 ::1");
    assert_int_equal(pki_read_request("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", &none, &err), ERR_PARSE);
}

static void test_pki__pairs(void **state)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = make_ca();
    CLEANUP(pki_pair_done) struct pki_pair other = make_ca();
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(pki_check_pair(ca.cert_pem, ca.key_pem, &err), 0);
    assert_int_equal(pki_check_pair(ca.cert_pem, other.key_pem, &err), ERR_INVALID);
    assert_string_equal(err_text(&err), "tls: private key does not match public key");
    err_clear(&err);
    assert_int_equal(pki_check_pair("a: b", ca.key_pem, &err), ERR_INVALID);
    assert_string_equal(err_text(&err), "tls: failed to find any PEM data in certificate input");
    err_clear(&err);
    assert_int_equal(pki_check_pair(ca.cert_pem, "", &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(pki_check_pair(ca.key_pem, ca.key_pem, &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(pki_check_pair(ca.cert_pem, ca.cert_pem, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pki__ca),
        cmocka_unit_test(test_pki__request_names),
        cmocka_unit_test(test_pki__pairs),
        cmocka_unit_test(test_pki__leaf),
        cmocka_unit_test(test_pki__client_and_both),
        cmocka_unit_test(test_pki__expiry),
        cmocka_unit_test(test_pki__refusals),
        cmocka_unit_test(test_pki__no_name_injection),
        cmocka_unit_test(test_pki__service_account_key),
        cmocka_unit_test(test_pki__digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
