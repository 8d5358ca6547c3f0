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
#include <stdio.h>
#include <sys/prctl.h>
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
#include "temporary.h"

/* ret_output: where to read what it says; NULL: nobody does. It ends with the test, however that ends. */
static pid_t start(const char *const *words, FILE **ret_output)
{
    int nothing = open("/dev/null", O_RDWR), ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(nothing, 0);
        (void)dup2(ret_output != NULL ? ends[1] : nothing, 1);
        (void)dup2(nothing, 2);
        (void)execvp(words[0], (char *const *)(uintptr_t)words); /* exec changes nothing */
        _exit(127);
    }
    close(nothing);
    close(ends[1]);
    if (ret_output != NULL)
        *ret_output = fdopen(ends[0], "r");
    else
        close(ends[0]);
    return child;
}

static void run(const char *const *words)
{
    int status = -1;
    assert_int_equal(waitpid(start(words, NULL), &status, 0) > 0, 1);
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

static int port_of(FILE *output)
{
    char line[256];
    int port = 0;
    while (port == 0 && fgets(line, sizeof(line), output) != NULL)
        (void)sscanf(line, "ACCEPT 127.0.0.1:%d", &port);
    return port;
}

static void assert_served(const char *version)
{
    const char *const words[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem",
                                 "-CAfile", "cert.pem", "-Verify", "1", "-verify_return_error", "-www", version, NULL};
    CLEANUP(buf_done) struct buf cert = {0}, key = {0};
    CLEANUP(err_clear) struct err err = {0};
    FILE *output;
    assert_int_equal(file_read("cert.pem", KIB(64), &cert, &err), 0);
    assert_int_equal(file_read("key.pem", KIB(64), &key, &err), 0);
    pid_t server = start(words, &output);
    int status = ask(port_of(output), buf_text(&cert), buf_text(&key), &err);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    (void)fclose(output);
    if (status != 200)
        fail_msg("%s: %s", version, err_text(&err));
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
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    char before[4096];
    CLEANUP(err_clear) struct err err = {0};
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(folder), 0);
    for (size_t i = 0; i < countof(kinds); i++) {
        make_certificate(kinds[i].kind, kinds[i].option, kinds[i].digest);
        assert_served("-tls1_3");
        assert_served("-tls1_2");
    }
    assert_int_equal(chdir(before), 0);
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
