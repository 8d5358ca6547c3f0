/*
 * test_tls_algorithms.c: the few algorithms that are left suffice: handshakes with servers of every kind of key, which
 * openssl(1) plays with all of its algorithms. Linked with libcrypto.a where there is one: the limit needs it.
 */
#include "net/tls_algorithms.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http.h"

static pid_t start(const char *const *words)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int nothing = open("/dev/null", O_RDWR);
        for (int fd = 0; fd <= 2; fd++)
            (void)dup2(nothing, fd);
        (void)execvp(words[0], (char *const *)(uintptr_t)words); /* exec changes nothing */
        _exit(127);
    }
    return child;
}

static void run(const char *const *words)
{
    int status = -1;
    assert_int_equal(waitpid(start(words), &status, 0) > 0, 1);
    assert_int_equal(status, 0);
}

/* A server's certificate that is its own authority; the client shows it too. */
static void make_certificate(const char *kind, const char *option, const char *digest)
{
    const char *const words[] = {"openssl", "req", "-x509", "-newkey", kind, "-pkeyopt", option, digest, "-nodes", "-keyout",
                                 "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=x", "-addext",
                                 "subjectAltName=IP:127.0.0.1", NULL};
    const char *const plain[] = {"openssl", "req", "-x509", "-newkey", kind, "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
                                 "-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", NULL};
    run(option != NULL ? words : plain);
}

static int ask(int port, const char *cert, const char *key, struct err *err)
{
    struct http_client_options options = {.tls = {.ca_pem = cert, .cert_pem = cert, .key_pem = key}, .proxy = "", .light = true};
    CLEANUP(http_client_free) struct http_client *client = NULL;
    CLEANUP(http_response_done) struct http_response response = {0};
    CLEANUP(xfree) char *url = xasprintf("https://127.0.0.1:%d/", port);
    const struct http_request request = {.method = "GET", .url = url, .timeout_ms = 20000};
    if (http_client_new(NULL, &options, &client, err) < 0 || http_perform(client, &request, NULL, NULL, &response, err) < 0)
        return (int)err->code;
    return response.status;
}

static void assert_served(int port, const char *version)
{
    CLEANUP(xfree) char *accept = xasprintf("127.0.0.1:%d", port);
    const char *const words[] = {"openssl", "s_server", "-accept", accept, "-cert", "cert.pem", "-key", "key.pem", "-CAfile",
                                 "cert.pem", "-Verify", "1", "-verify_return_error", "-www", version, NULL};
    CLEANUP(buf_done) struct buf cert = {0}, key = {0};
    struct err err = {0};
    assert_int_equal(file_read("cert.pem", KIB(64), &cert, &err), 0);
    assert_int_equal(file_read("key.pem", KIB(64), &key, &err), 0);
    pid_t server = start(words);
    int status = 0;
    for (int tries = 0; tries < 400; tries++) {
        err_clear(&err);
        status = ask(port, buf_text(&cert), buf_text(&key), &err);
        if (status != ERR_REFUSED)
            break;
        usleep(50000);
    }
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    if (status != 200)
        fail_msg("%s: %s", version, err_text(&err));
    err_clear(&err);
}

static void test_limit__every_kind_of_key(UNUSED void **state)
{
    static const struct {
        const char *kind, *option, *digest;
    } kinds[] = {{"rsa:2048", NULL, NULL},
                 {"rsa-pss", "rsa_keygen_bits:2048", "-sha384"},
                 {"ec", "ec_paramgen_curve:P-256", "-sha256"},
                 {"ec", "ec_paramgen_curve:P-384", "-sha512"},
                 {"ed25519", NULL, NULL}};
    char folder[] = "/tmp/fks-algorithms-XXXXXX", before[4096];
    CLEANUP(err_clear) struct err err = {0};
    assert_non_null(getcwd(before, sizeof(before)));
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    for (size_t i = 0; i < countof(kinds); i++) {
        make_certificate(kinds[i].kind, kinds[i].option, kinds[i].digest);
        int port = 20000 + (int)(getpid() % 10000) + (int)i * 2;
        assert_served(port, "-tls1_3");
        assert_served(port + 1, "-tls1_2");
    }
    assert_int_equal(chdir(before), 0);
    assert_int_equal(dir_remove(folder, &err), 0);
}

/* That the limit is there at all, where it can be. */
static void test_limit__what_is_left(UNUSED void **state)
{
    tls_algorithms_limit();
    EVP_CIPHER *used = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL), *unused = EVP_CIPHER_fetch(NULL, "ARIA-256-GCM", NULL);
    assert_non_null(used);
    assert_non_null(EVP_get_digestbyname("SHA256"));
    assert_true((unused == NULL) == (OSSL_PROVIDER_available(NULL, "fks") == 1));
    EVP_CIPHER_free(used);
    EVP_CIPHER_free(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit__every_kind_of_key),
        cmocka_unit_test(test_limit__what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
