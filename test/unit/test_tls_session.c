/* Sessions on disk: a second client resumes, and everything that must not be resumed is not. */
#include "net/tls.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/pki.h"
#include "temporary.h"

struct fixture {
    struct pki_pair ca, server, client;
    struct tls_context *context; /* the server's: its ticket keys live there */
    char *dir;
};

static struct tls_context *server_context(const struct fixture *f)
{
    struct tls_context *context = NULL;
    struct err err = {0};
    struct tls_server_options options = {
        .cert_pem = f->server.cert_pem, .key_pem = f->server.key_pem, .client_ca_pem = f->ca.cert_pem};
    assert_int_equal(tls_server_context_new(&options, &context, &err), 0);
    return context;
}

static int setup(void **state)
{
    struct fixture *f = NEW(struct fixture);
    struct err err = {0};
    CLEANUP(xfree) char *dir = temporary_folder();
    static const char *const addresses[] = {"127.0.0.1", NULL};
    struct pki_request server = {.common_name = "s", .ip_addresses = addresses, .server = true, .days = 1};
    struct pki_request client = {.common_name = "alice", .client = true, .days = 1};
    assert_int_equal(pki_make_ca("ca", 1, &f->ca, &err), 0);
    assert_int_equal(pki_issue(&f->ca, &server, &f->server, &err), 0);
    assert_int_equal(pki_issue(&f->ca, &client, &f->client, &err), 0);
    f->dir = path_join(dir, "cache", NULL);
    f->context = server_context(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    *strrchr(f->dir, '/') = '\0';
    assert_int_equal(dir_remove(f->dir, &err), 0);
    tls_context_free(f->context);
    pki_pair_done(&f->ca);
    pki_pair_done(&f->server);
    pki_pair_done(&f->client);
    free(f->dir);
    free(f);
    return 0;
}

/* 1: resumed; 0: a full handshake; negative: the client's failure. The server must see alice in both. */
static int connect_once(const struct fixture *f, const char *ca_pem, const char *key_pem, const char *server,
                        struct err *err)
{
    CLEANUP(tls_context_free) struct tls_context *context = NULL;
    CLEANUP(tls_free) struct tls *ours = NULL;
    CLEANUP(tls_free) struct tls *theirs = NULL;
    CLEANUP(err_clear) struct err ignored = {0};
    struct tls_client_options options = {
        .ca_pem = ca_pem, .cert_pem = f->client.cert_pem, .key_pem = key_pem, .session_dir = f->dir};
    int fds[2], client = TLS_WANT_READ, peer = TLS_WANT_READ;
    char byte;
    size_t n = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(tls_client_context_new(&options, &context, err), 0);
    assert_int_equal(tls_new(context, fds[0], "127.0.0.1", &ours, err), 0);
    assert_int_equal(tls_new(f->context, fds[1], NULL, &theirs, err), 0);
    tls_resume(ours, server);
    for (int i = 0; i < 20; i++) {
        client = client > 0 ? tls_handshake(ours, err) : client;
        peer = peer > 0 ? tls_handshake(theirs, &ignored) : peer;
    }
    if (client == TLS_DONE) {
        assert_int_equal(peer, TLS_DONE);
        assert_int_equal(tls_write(theirs, "x", 1, &n, err), TLS_DONE); /* the session comes before it */
        assert_int_equal(tls_read(ours, &byte, 1, &n, err), TLS_DONE);
        struct tls_peer who;
        tls_peer_get(theirs, &who);
        assert_string_equal(who.common_name, "alice");
        tls_peer_done(&who);
        client = tls_is_resumed(ours) ? 1 : 0;
    }
    close(fds[0]);
    close(fds[1]);
    return client;
}

static int again(const struct fixture *f, const char *server)
{
    CLEANUP(err_clear) struct err err = {0};
    int result = connect_once(f, f->ca.cert_pem, f->client.key_pem, server, &err);
    if (result < 0)
        fail_msg("%s", err_text(&err));
    return result;
}

/* The one file that is there; heap string. */
static char *session_file(const struct fixture *f)
{
    char *path = NULL;
    DIR *folder = opendir(f->dir);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        assert_null(path);
        path = path_join(f->dir, entry->d_name, NULL);
    }
    closedir(folder);
    assert_non_null(path);
    return path;
}

static void test_session__resumed_by_the_next_client(void **state)
{
    struct fixture *f = *state;
    struct stat status;
    assert_int_equal(again(f, "a:1"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(again(f, "a:1"), 1);
    CLEANUP(xfree) char *path = session_file(f);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(f->dir, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void test_session__not_for_another_server(void **state)
{
    assert_int_equal(again(*state, "a:1"), 0);
    assert_int_equal(again(*state, "a:2"), 0);
    assert_int_equal(again(*state, "a:2"), 1);
}

static void test_session__refused_by_the_server(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(again(f, "a:1"), 0);
    tls_context_free(f->context); /* started again: it has other keys */
    f->context = server_context(f);
    assert_int_equal(again(f, "a:1"), 0);
    assert_int_equal(again(f, "a:1"), 1); /* the new one was kept in place of the old one */
}

static void test_session__broken_files(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(again(f, "a:1"), 0);
    CLEANUP(xfree) char *path = session_file(f);
    CLEANUP(buf_done) struct buf whole = {0};
    assert_int_equal(file_read(path, KIB(64), &whole, &err), 0);
    for (size_t at = 0; at < whole.len; at += whole.len / 10) {
        whole.data[at] ^= 1;
        assert_int_equal(file_write_atomic(path, whole.data, whole.len, 0600, &err), 0);
        assert_int_equal(again(f, "a:1"), 0);
        whole.data[at] ^= 1;
        assert_int_equal(file_write_atomic(path, whole.data, at, 0600, &err), 0);
        assert_int_equal(again(f, "a:1"), 0);
    }
    assert_int_equal(again(f, "a:1"), 1);
}

static void test_session__folder_that_cannot_be(void **state)
{
    struct fixture nowhere = *(struct fixture *)*state;
    char dir[] = "/proc/nowhere/x";
    nowhere.dir = dir;
    assert_int_equal(again(&nowhere, "a:1"), 0);
    assert_int_equal(again(&nowhere, "a:1"), 0);
}

/* What is decoded late is still looked at, and said in the words of the ordinary way. */
static void test_session__late_failures(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pki_pair_done) struct pki_pair other = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(pki_make_ca("other", 1, &other, &err), 0);
    assert_int_equal(connect_once(f, other.cert_pem, f->client.key_pem, "a:1", &err), ERR_IO);
    err_clear(&err);
    assert_int_equal(connect_once(f, f->ca.cert_pem, other.key_pem, "a:1", &err), ERR_INVALID);
    assert_non_null(strstr(err_text(&err), "certificate and private key do not belong together"));
    err_clear(&err);
    assert_int_equal(connect_once(f, "-----BEGIN CERTIFICATE-----\nx", f->client.key_pem, "a:1", &err), ERR_PARSE);
    assert_non_null(strstr(err_text(&err), "certificate authorities"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_session__resumed_by_the_next_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__not_for_another_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__refused_by_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__broken_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__folder_that_cannot_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__late_failures, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
