/*
 * test_webhook_secret.c: the certificate that fks-scheduler makes for the webhook: from nothing, through a renewal in two
 * steps, and after damage. What is served must be trusted by the authorities named beside it at every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/mem.h"
#include "base/str.h"
#include "cmd/fks-scheduler/webhook_secret.h"
#include "net/pki.h"

#define NAME "fks-webhook.fks-system.svc"
#define BEGIN "-----BEGIN CERTIFICATE-----"

static struct json *next_of(const struct json *data, bool trusted)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *secret = data != NULL ? json_build("{s:O}", "data", data) : NULL;
    struct json *next = NULL;

    if (webhook_secret_next(secret, NAME, trusted, &next, &err) < 0)
        fail_msg("%s", err_text(&err));
    return next;
}

static char *text_of(const struct json *data, const char *key)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    const char *encoded = json_str(data, key, NULL);

    assert_non_null(encoded);
    assert_int_equal(base64_decode(encoded, strlen(encoded), &text, &err), 0);
    return buf_take(&text);
}

static void set_text(struct json *data, const char *key, const char *text)
{
    CLEANUP(buf_done) struct buf encoded = {0};

    base64_encode(text, strlen(text), &encoded);
    json_set_str(data, key, buf_text(&encoded));
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void check_pair(const struct json *data, const char *cert_key, const char *key_key)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *cert = text_of(data, cert_key);
    CLEANUP(xfree) char *key = text_of(data, key_key);

    assert_int_equal(pki_check_pair(cert, key, &err), 0);
}

/* A pair of so many days with its authority, as an older scheduler left it. */
static struct json *made_before(int days)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(pki_pair_done) struct pki_pair authority = {0};
    CLEANUP(pki_pair_done) struct pki_pair pair = {0};
    const char *const names[] = {NAME, NULL};
    const struct pki_request request = {.common_name = NAME, .dns_names = names, .server = true, .days = days};
    struct json *data = json_new_object();

    assert_int_equal(pki_make_ca("old", 90, &authority, &err), 0);
    assert_int_equal(pki_issue(&authority, &request, &pair, &err), 0);
    set_text(data, "ca.crt", authority.cert_pem);
    set_text(data, "tls.crt", pair.cert_pem);
    set_text(data, "tls.key", pair.key_pem);
    return data;
}

static void test_next__makes_a_first_one_and_keeps_it(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *first = next_of(NULL, false);
    int64_t seconds;

    assert_non_null(first);
    assert_int_equal(json_len(first), 3);
    check_pair(first, "tls.crt", "tls.key");
    CLEANUP(json_free) struct json *secret = json_build("{s:O}", "data", first);
    assert_int_equal(webhook_secret_expiry(secret, &seconds, &err), 0);
    assert_in_range(seconds, (WEBHOOK_SECRET_DAYS - 1) * 86400, WEBHOOK_SECRET_DAYS * 86400);
    assert_null(next_of(first, false));
    assert_null(next_of(first, true));
}

static void test_next__renews_in_two_steps(void **state UNUSED)
{
    CLEANUP(json_free) struct json *old = made_before(WEBHOOK_SECRET_RENEW_DAYS - 1);
    CLEANUP(json_free) struct json *both = next_of(old, true);
    CLEANUP(xfree) char *old_authority = text_of(old, "ca.crt");

    assert_non_null(both);
    assert_string_equal(json_str(both, "tls.crt", NULL), json_str(old, "tls.crt", NULL));
    assert_string_equal(json_str(both, "tls.key", NULL), json_str(old, "tls.key", NULL));
    check_pair(both, "next.crt", "next.key");
    CLEANUP(xfree) char *bundle = text_of(both, "ca.crt");
    assert_int_equal(count_of(bundle, BEGIN), 2);
    old_authority[strcspn(old_authority, "=")] = '\0'; /* up to its padding: the end may differ by a newline */
    assert_non_null(strstr(bundle, old_authority));

    assert_null(next_of(both, false)); /* the API servers do not know it yet */
    CLEANUP(json_free) struct json *last = next_of(both, true);
    assert_non_null(last);
    assert_int_equal(json_len(last), 3);
    assert_string_equal(json_str(last, "tls.crt", NULL), json_str(both, "next.crt", NULL));
    assert_string_equal(json_str(last, "ca.crt", NULL), json_str(both, "ca.crt", NULL));
    check_pair(last, "tls.crt", "tls.key");
    assert_null(next_of(last, true));
}

static void test_next__a_third_authority_takes_the_place_of_the_first(void **state UNUSED)
{
    CLEANUP(json_free) struct json *old = made_before(1);
    CLEANUP(json_free) struct json *both = next_of(old, false);
    CLEANUP(xfree) char *bundle = text_of(both, "ca.crt");
    CLEANUP(json_free) struct json *due = made_before(1);

    json_set_str(due, "ca.crt", json_str(both, "ca.crt", NULL));
    CLEANUP(json_free) struct json *again = next_of(due, true);
    CLEANUP(xfree) char *newest = text_of(again, "ca.crt");
    assert_int_equal(count_of(newest, BEGIN), 2);
    char *end = strstr(bundle, "-----END");
    assert_non_null(end);
    *end = '\0'; /* the first of two, which stays */
    assert_non_null(strstr(newest, bundle));
}

static void test_next__damage_is_replaced_at_once(void **state UNUSED)
{
    static const char *const keys[] = {"tls.crt", "tls.key", "ca.crt"};

    for (size_t i = 0; i < countof(keys); i++) {
        CLEANUP(json_free) struct json *data = made_before(80);
        if (i == 0)
            json_set_str(data, keys[i], "!");
        else if (i == 1)
            set_text(data, keys[i], "no key");
        else
            json_del(data, keys[i]);
        CLEANUP(json_free) struct json *next = next_of(data, false);
        assert_non_null(next);
        assert_null(json_str(next, "next.crt", NULL));
        check_pair(next, "tls.crt", "tls.key");
    }
}

static void test_replace__keeps_what_is_served(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *lost = made_before(80);
    CLEANUP(xfree) char *old_authority = text_of(lost, "ca.crt");
    CLEANUP(xfree) char *served = xstrdup(json_str(lost, "ca.crt", NULL));
    struct json *data = NULL;

    old_authority[strcspn(old_authority, "=")] = '\0';
    for (size_t n = 2; n <= 6; n++) { /* also when each is lost again before it was served */
        data = json_free(data);
        assert_int_equal(webhook_secret_replace(served, NAME, &data, &err), 0);
        CLEANUP(json_free) struct json *secret = json_build("{s:O}", "data", data);
        CLEANUP(xfree) char *bundle = text_of(data, "ca.crt");
        assert_true(webhook_secret_is_usable(secret));
        assert_int_equal(count_of(bundle, BEGIN), n < 4 ? n : 4);
        assert_int_equal(strstr(bundle, old_authority) != NULL, n <= 4);
        assert_null(next_of(data, true));
        free(served);
        served = xstrdup(json_str(data, "ca.crt", NULL));
    }
    json_free(data);
    data = NULL;
    assert_int_equal(webhook_secret_replace("!", NAME, &data, &err), ERR_PARSE);
}

/* For another program's Secret: the authority, and what it took the place of, each once and no more than fits. */
static void test_beside__names_those_of_before(void **state UNUSED)
{
    CLEANUP(json_free) struct json *now = made_before(80);
    CLEANUP(json_free) struct json *before = made_before(80);
    const char *authority = json_str(now, "ca.crt", NULL), *old = json_str(before, "ca.crt", NULL);
    CLEANUP(xfree) char *first = webhook_secret_beside(authority, old);
    CLEANUP(json_free) struct json *both = json_build("{s:s}", "ca.crt", first);
    CLEANUP(xfree) char *text = text_of(both, "ca.crt");
    CLEANUP(xfree) char *newest = text_of(now, "ca.crt");
    CLEANUP(buf_done) struct buf many = {0};

    assert_int_equal(count_of(text, BEGIN), 2);
    assert_int_equal(strncmp(text, newest, strlen(newest)), 0);
    assert_null(webhook_secret_beside(first, old));
    assert_null(webhook_secret_beside(authority, authority));
    assert_null(webhook_secret_beside(authority, ""));
    assert_null(webhook_secret_beside(authority, "!"));
    assert_null(webhook_secret_beside("!", old));
    CLEANUP(json_free) struct json *third = made_before(80);
    CLEANUP(xfree) char *all = webhook_secret_beside(json_str(third, "ca.crt", NULL), first);
    CLEANUP(json_free) struct json *three = json_build("{s:s}", "ca.crt", all);
    CLEANUP(xfree) char *text_of_all = text_of(three, "ca.crt");
    assert_int_equal(count_of(text_of_all, BEGIN), 3);

    for (int i = 0; i < 10000; i++)
        (void)buf_printf(&many, BEGIN "\n%064d\n-----END CERTIFICATE-----\n", i);
    set_text(before, "ca.crt", buf_text(&many));
    CLEANUP(xfree) char *most = webhook_secret_beside(authority, json_str(before, "ca.crt", NULL));
    assert_in_range(strlen(most), 100 * 1024, 180 * 1024); /* as base64 */
}

static void test_usable__needs_all_three(void **state UNUSED)
{
    static const char *const keys[] = {"tls.crt", "tls.key", "ca.crt"};

    assert_false(webhook_secret_is_usable(NULL));
    for (size_t i = 0; i < countof(keys); i++) {
        CLEANUP(json_free) struct json *data = made_before(80);
        CLEANUP(json_free) struct json *secret = json_build("{s:O}", "data", data);
        assert_true(webhook_secret_is_usable(secret));
        json_del(json_edit(secret, "data", NULL), keys[i]);
        assert_false(webhook_secret_is_usable(secret));
    }
}

static void test_expiry__without_a_certificate(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    int64_t seconds;

    assert_int_equal(webhook_secret_expiry(NULL, &seconds, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next__makes_a_first_one_and_keeps_it),
        cmocka_unit_test(test_next__renews_in_two_steps),
        cmocka_unit_test(test_next__a_third_authority_takes_the_place_of_the_first),
        cmocka_unit_test(test_next__damage_is_replaced_at_once),
        cmocka_unit_test(test_replace__keeps_what_is_served),
        cmocka_unit_test(test_beside__names_those_of_before),
        cmocka_unit_test(test_usable__needs_all_three),
        cmocka_unit_test(test_expiry__without_a_certificate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
