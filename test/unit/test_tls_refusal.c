/* test_tls_refusal.c: what a person is told about a certificate that is not accepted; the texts are those of Go's crypto/x509. */
#include "net/tls_refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/openssl_util.h"
#include "net/pki.h"

#define PREFIX "tls: failed to verify certificate: x509: "

struct names {
    const char *const *dns, *const *addresses;
};

static STACK_OF(X509) *issue(const struct names *names)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = {0}, pair = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct pki_request request = {
        .common_name = "fks.example.com", .dns_names = names->dns, .ip_addresses = names->addresses, .server = true, .days = 2};
    STACK_OF(X509) *certificates = NULL;

    assert_int_equal(pki_make_ca("ca", 1, &ca, &err), 0);
    assert_int_equal(pki_issue(&ca, &request, &pair, &err), 0);
    assert_int_equal(openssl_parse_certs(pair.cert_pem, &certificates, &err), 0);
    return certificates;
}

static void test_refusal__names(void **state UNUSED)
{
    static const char *const dns[] = {"a.example.com", "*.b.example.com", NULL};
    static const char *const addresses[] = {"10.0.0.1", "fd00::1", NULL};
    static const struct names both = {dns, addresses}, only_dns = {dns, NULL}, only_addresses = {NULL, addresses};
    static const struct {
        const struct names *names;
        const char *host, *text;
    } rows[] = {
        {&both, "a.example.com", NULL},
        {&both, "x.b.example.com", NULL},
        {&both, "10.0.0.1", NULL},
        {&both, "fd00::1", NULL},
        {&both, "c.example.com", PREFIX "certificate is valid for a.example.com, *.b.example.com, not c.example.com"},
        {&both, "10.0.0.2", PREFIX "certificate is valid for 10.0.0.1, fd00::1, not 10.0.0.2"},
        {&only_dns, "10.0.0.2",
         PREFIX "cannot validate certificate for 10.0.0.2 because it doesn't contain any IP SANs"},
        {&only_addresses, "a.example.com",
         PREFIX "certificate is not valid for any names, but wanted to match a.example.com"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(openssl_certs_free) STACK_OF(X509) *certificates = issue(rows[i].names);
        CLEANUP(xfree) char *text = tls_refusal_text(sk_X509_value(certificates, 0), rows[i].host, time(NULL));
        if (!streq(text, rows[i].text))
            fail_msg("%s: '%s'", rows[i].host, text != NULL ? text : "(nothing)");
    }
}

static void test_refusal__many_names_are_counted(void **state UNUSED)
{
    CLEANUP(strv_done) struct strv dns = {0};

    for (int i = 0; i < 120; i++)
        strv_take(&dns, xasprintf("n%d.example.com", i));
    const struct names names = {(const char *const *)dns.items, NULL};
    CLEANUP(openssl_certs_free) STACK_OF(X509) *certificates = issue(&names);
    CLEANUP(xfree) char *text = tls_refusal_text(sk_X509_value(certificates, 0), "a.example.com", time(NULL));
    assert_string_equal(text, PREFIX "certificate is valid for 120 names, but none matched a.example.com");
}

static void test_refusal__times_come_first(void **state UNUSED)
{
    static const char *const dns[] = {"a.example.com", NULL};
    static const struct names names = {dns, NULL};
    CLEANUP(openssl_certs_free) STACK_OF(X509) *certificates = issue(&names);
    CLEANUP(xfree) char *late = tls_refusal_text(sk_X509_value(certificates, 0), "other", 4102444800);
    CLEANUP(xfree) char *early = tls_refusal_text(sk_X509_value(certificates, 0), "a.example.com", 86400);

    assert_true(starts_with(late, PREFIX "certificate has expired or is not yet valid: current time 2100-01-01T00:00:00Z is after 20"));
    assert_true(starts_with(early, PREFIX "certificate has expired or is not yet valid: current time 1970-01-02T00:00:00Z is before 20"));
}

static void test_refusal__words(void **state UNUSED)
{
    assert_string_equal(tls_refusal_words(19), PREFIX "certificate signed by unknown authority");
    assert_string_equal(tls_refusal_words(10), PREFIX "certificate has expired or is not yet valid");
    assert_string_equal(tls_refusal_words(62), PREFIX "certificate is not valid for the name of the server");
    assert_null(tls_refusal_words(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusal__names),
        cmocka_unit_test(test_refusal__many_names_are_counted),
        cmocka_unit_test(test_refusal__times_come_first),
        cmocka_unit_test(test_refusal__words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
