/*
 * tls_refusal.c: see tls_refusal.h. OpenSSL has decided already that the certificate is not accepted; this only finds the
 * words, and nothing is accepted because of it.
 */
#include "net/tls_refusal.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/openssl_util.h"

#define PREFIX "tls: failed to verify certificate: x509: "
#define NAMES_MAX 100 /* more are counted, not told */
#define NS_PER_S 1000000000LL

const char *tls_refusal_words(long result)
{
    switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return PREFIX "certificate signed by unknown authority";
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return PREFIX "certificate has expired or is not yet valid";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return PREFIX "certificate is not valid for the name of the server";
    default:
        return NULL;
    }
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts;

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static char *time_text(const X509 *certificate, int64_t now_s)
{
    int64_t from_s = seconds_of(X509_get0_notBefore(certificate)), until_s = seconds_of(X509_get0_notAfter(certificate));
    char now[CLOCK_TEXT_MAX], limit[CLOCK_TEXT_MAX];

    if (now_s >= from_s && now_s <= until_s)
        return NULL;
    clock_rfc3339(now_s * NS_PER_S, now);
    clock_rfc3339((now_s < from_s ? from_s : until_s) * NS_PER_S, limit);
    return xasprintf(PREFIX "certificate has expired or is not yet valid: current time %s is %s %s", now,
                     now_s < from_s ? "before" : "after", limit);
}

/* What the certificate is good for: its addresses, or its DNS names. */
static size_t list_names(const X509 *certificate, bool addresses, struct strv *ret)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t n = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char text[INET6_ADDRSTRLEN];
        if (name->type != (addresses ? GEN_IPADD : GEN_DNS) || ++n > NAMES_MAX)
            continue;
        const ASN1_OCTET_STRING *value = addresses ? name->d.iPAddress : name->d.dNSName;
        const unsigned char *bytes = ASN1_STRING_get0_data(value);
        int len = ASN1_STRING_length(value);
        if (!addresses)
            strv_take(ret, xstrndup((const char *)bytes, (size_t)len));
        else if ((len == 4 || len == 16) && inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text)) != NULL)
            strv_add(ret, text);
    }
    GENERAL_NAMES_free(names);
    return n;
}

static char *name_text(const X509 *certificate, const char *host)
{
    CLEANUP(strv_done) struct strv names = {0};
    bool is_address = openssl_is_address(host);
    X509 *looked_at = (X509 *)(uintptr_t)certificate; /* which these two do not change */

    if ((is_address ? X509_check_ip_asc(looked_at, host, 0) : X509_check_host(looked_at, host, 0, 0, NULL)) == 1)
        return NULL;
    size_t n = list_names(certificate, is_address, &names);
    if (is_address && n == 0)
        return xasprintf(PREFIX "cannot validate certificate for %s because it doesn't contain any IP SANs", host);
    if (n == 0)
        return xasprintf(PREFIX "certificate is not valid for any names, but wanted to match %s", host);
    if (n >= NAMES_MAX)
        return xasprintf(PREFIX "certificate is valid for %zu %s, but none matched %s", n, is_address ? "IP SANs" : "names",
                         host);
    CLEANUP(xfree) char *list = strv_join(&names, ", ");
    return xasprintf(PREFIX "certificate is valid for %s, not %s", list, host);
}

char *tls_refusal_text(const X509 *certificate, const char *host, int64_t now_s)
{
    char *text = time_text(certificate, now_s);

    return text != NULL ? text : name_text(certificate, host);
}
