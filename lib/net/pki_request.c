/*
 * pki_request.c: reads the names out of certificate signing requests, for people to look at. It does not check
 * signatures.
 */
#include "net/pki.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

void pki_subject_done(struct pki_subject *subject)
{
    for (size_t i = 0; i < PKI_NAMES; i++)
        strv_done(&subject->names[i]);
}

/* The text with what could end it early or confuse a terminal left to the caller: it is UTF-8 without NULs. */
static void add_text(struct strv *list, const ASN1_STRING *string)
{
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, string);
    if (len >= 0)
        strv_take(list, xstrndup((const char *)text, strnlen((const char *)text, (size_t)len)));
    OPENSSL_free(text);
}

static void read_name(const X509_NAME *name, struct pki_subject *subject)
{
    static const int nids[] = {
        [PKI_COMMON_NAME] = NID_commonName,        [PKI_SERIAL] = NID_serialNumber,
        [PKI_ORGANIZATION] = NID_organizationName, [PKI_UNIT] = NID_organizationalUnitName,
        [PKI_COUNTRY] = NID_countryName,           [PKI_LOCALITY] = NID_localityName,
        [PKI_PROVINCE] = NID_stateOrProvinceName,  [PKI_STREET] = NID_streetAddress,
        [PKI_POSTAL_CODE] = NID_postalCode,
    };
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        for (size_t j = 0; j < countof(nids); j++) {
            if (nids[j] == nid)
                add_text(&subject->names[j], X509_NAME_ENTRY_get_data(entry));
        }
    }
}

static void read_address(const ASN1_OCTET_STRING *bytes, struct strv *list)
{
    char text[INET6_ADDRSTRLEN];
    int len = ASN1_STRING_length(bytes), family = len == 4 ? AF_INET : AF_INET6;
    if ((len == 4 || len == 16) && inet_ntop(family, ASN1_STRING_get0_data(bytes), text, sizeof(text)) != NULL)
        strv_add(list, text);
}

static void read_alternatives(X509_REQ *request, struct pki_subject *subject)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
    GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            add_text(&subject->names[PKI_DNS], name->d.dNSName);
        else if (name->type == GEN_EMAIL)
            add_text(&subject->names[PKI_EMAIL], name->d.rfc822Name);
        else if (name->type == GEN_URI)
            add_text(&subject->names[PKI_URI], name->d.uniformResourceIdentifier);
        else if (name->type == GEN_IPADD)
            read_address(name->d.iPAddress, &subject->names[PKI_IP]);
    }
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

int pki_read_request(const char *pem, struct pki_subject *ret, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_REQ *request = bio != NULL ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (request == NULL)
        return err_set(err, ERR_PARSE, "PEM block type must be CERTIFICATE REQUEST");
    read_name(X509_REQ_get_subject_name(request), ret);
    read_alternatives(request, ret);
    X509_REQ_free(request);
    return 0;
}

int pki_check_pair(const char *cert_pem, const char *key_pem, struct err *err)
{
    const char *missing = strstr(cert_pem, "-----BEGIN ") == NULL  ? "certificate"
                          : strstr(key_pem, "-----BEGIN ") == NULL ? "key"
                                                                   : NULL;
    if (missing != NULL)
        return err_set(err, ERR_INVALID, "tls: failed to find any PEM data in %s input", missing);
    BIO *cert_bio = BIO_new_mem_buf(cert_pem, -1), *key_bio = BIO_new_mem_buf(key_pem, -1);
    X509 *cert = cert_bio != NULL ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_bio != NULL ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;
    int code = 0;
    if (cert == NULL)
        code = err_set(err, ERR_INVALID, "tls: failed to parse the certificate");
    else if (key == NULL)
        code = err_set(err, ERR_INVALID, "tls: failed to parse private key");
    else if (X509_check_private_key(cert, key) != 1)
        code = err_set(err, ERR_INVALID, "tls: private key does not match public key");
    BIO_free(cert_bio);
    BIO_free(key_bio);
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return code;
}
