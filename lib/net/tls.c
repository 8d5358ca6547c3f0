/*
 * tls.c: TLS for server.c, proxy.c and ws.c: turns OpenSSL's SSL_get_error protocol into five results and an err. Knows
 * no loop and no HTTP; the caller waits for what WANT_READ or WANT_WRITE asks.
 *
 * OpenSSL reports through a queue per thread: it is cleared before each call, because SSL_get_error looks at whatever
 * another connection may have left there.
 *
 * A context may be freed while its connections live: each SSL holds its SSL_CTX. That is what makes a reload of the
 * certificate harmless. Session tickets are on and their keys live in the context, so a reload also ends resumption of
 * sessions whose client certificate an old authority vouched for.
 *
 * A client that keeps sessions (session_dir) decodes its certificates only when a handshake asks for them: with a session
 * the server knows, none does.
 */
#include "net/tls.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/openssl_util.h"
#include "net/tls_algorithms.h"
#include "net/tls_refusal.h"
#include "net/tls_session.h"

/* Forward secret and authenticated only; TLS 1.3 suites all are. The order between them is the client's choice. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

struct tls_context {
    SSL_CTX *ctx;
    bool is_server;
    bool insecure;
    char *session_dir;                 /* NULL: no sessions are kept, and the rest is not used */
    char *ca_pem, *cert_pem, *key_pem; /* what is decoded late */
    bool ca_decoded;
};

struct tls {
    SSL *ssl;
    bool failed; /* OpenSSL forbids any further call, SSL_shutdown included */
    bool renew_session;   /* the one that was taken up is old */
    SSL_SESSION *new_session; /* the first that the server gave; the others are of no use */
    unsigned char session_key[TLS_SESSION_KEY_LEN];
    struct err late;   /* what was wrong with what was decoded late */
};

static const unsigned char alpn_http11[] = "\x08http/1.1";
#define ALPN_HTTP11_LEN (sizeof(alpn_http11) - 1)

/* --- contexts */

struct tls_context *tls_context_free(struct tls_context *context)
{
    if (context == NULL)
        return NULL;
    SSL_CTX_free(context->ctx);
    if (context->key_pem != NULL)
        explicit_bzero(context->key_pem, strlen(context->key_pem));
    free(context->session_dir);
    free(context->ca_pem);
    free(context->cert_pem);
    free(context->key_pem);
    free(context);
    return NULL;
}

/* OpenSSL writes with write(2), which would end the program when the peer is gone. */
static void ignore_sigpipe(void)
{
    struct sigaction action;

    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action = (struct sigaction){.sa_handler = SIG_IGN};
        (void)sigaction(SIGPIPE, &action, NULL);
    }
}

/*
 * A third of what OpenSSL does before the first byte: reading openssl.cnf (kubectl, too, knows nothing of it), registering
 * ciphers for encrypted PEM files, which we refuse, a table of all its error texts (openssl_error has the common ones), and
 * cleaning up at exit what the kernel takes back anyway.
 */
void tls_init_short_lived(void)
{
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS |
                               OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_LOAD_SSL_STRINGS |
                               OPENSSL_INIT_NO_ATEXIT,
                           NULL);
    tls_algorithms_limit();
}

static int context_begin(const SSL_METHOD *method, struct tls_context **ret, struct err *err)
{
    CLEANUP(tls_context_free) struct tls_context *context = NEW(struct tls_context);

    ignore_sigpipe();
    ERR_clear_error();
    context->ctx = SSL_CTX_new(method);
    if (context->ctx == NULL || !SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(context->ctx, TLS12_CIPHERS))
        return openssl_error(err, ERR_INTERNAL, "making a TLS context");
    SSL_CTX_set_options(context->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* an idle connection gives its two 16 KiB record buffers back: there may be thousands; see tls_keep_buffers */
    SSL_CTX_set_mode(context->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    /* the chain is what the PEM text says; else OpenSSL looks for one in the trust store with every handshake */
    SSL_CTX_set_mode(context->ctx, SSL_MODE_NO_AUTO_CHAIN);
    /* one read(2) for a record instead of one for its header and one for the rest; see tls_has_pending */
    SSL_CTX_set_read_ahead(context->ctx, 1);
    /* as Go does: what is listed is trusted, be it an intermediate authority */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context->ctx), X509_V_FLAG_PARTIAL_CHAIN);
    *ret = take(&context);
    return 0;
}

/* ssl: for this connection only; NULL: for all of the context. */
static int use_certificate(SSL_CTX *ctx, SSL *ssl, const char *cert_pem, const char *key_pem, struct err *err)
{
    CLEANUP(openssl_certs_free) STACK_OF(X509) *certs = NULL;
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;

    tls_algorithms_name_digests();
    int r = openssl_parse_certs(cert_pem, &certs, err);
    if (r == 0)
        r = openssl_parse_key(key_pem, &key, err);
    if (r < 0)
        return r;
    CLEANUP(X509_free) X509 *cert = sk_X509_shift(certs); /* what is left is its chain */
    if (!X509_check_private_key(cert, key)) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "certificate and private key do not belong together");
    }
    if ((ssl != NULL ? SSL_use_cert_and_key(ssl, cert, key, certs, 1)
                     : SSL_CTX_use_cert_and_key(ctx, cert, key, certs, 1)) != 1)
        return openssl_error(err, ERR_INVALID, "the certificate cannot be used");
    return 0;
}

/* announce: also name them to clients, which choose their certificate by it. */
static int trust(SSL_CTX *ctx, const char *ca_pem, bool announce, struct err *err)
{
    CLEANUP(openssl_certs_free) STACK_OF(X509) *certs = NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);

    int r = openssl_parse_certs(ca_pem, &certs, err);
    if (r < 0)
        return err_wrap(err, "certificate authorities");
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (!X509_STORE_add_cert(store, cert) || (announce && !SSL_CTX_add_client_CA(ctx, cert)))
            return openssl_error(err, ERR_INVALID, "certificate authority %d cannot be used", i + 1);
    }
    return 0;
}

/* ca_pem NULL: the system's, unless nothing is verified. */
static int trust_authorities(struct tls_context *context, const char *ca_pem, struct err *err)
{
    tls_algorithms_name_digests();
    if (ca_pem != NULL)
        return trust(context->ctx, ca_pem, false, err);
    if (!context->insecure && !SSL_CTX_set_default_verify_paths(context->ctx))
        return openssl_error(err, ERR_IO, "loading the system's certificate authorities");
    return 0;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned int in_len, void *data)
{
    unsigned char *chosen;

    (void)ssl, (void)data;
    if (SSL_select_next_proto(&chosen, out_len, alpn_http11, ALPN_HTTP11_LEN, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

int tls_server_context_new(const struct tls_server_options *options, struct tls_context **ret, struct err *err)
{
    CLEANUP(tls_context_free) struct tls_context *context = NULL;
    static const unsigned char session_context[] = "fks";

    int r = context_begin(TLS_server_method(), &context, err);
    if (r == 0)
        r = use_certificate(context->ctx, NULL, options->cert_pem, options->key_pem, err);
    if (r == 0 && options->client_ca_pem != NULL)
        r = trust(context->ctx, options->client_ca_pem, true, err);
    if (r < 0)
        return r;
    context->is_server = true;
    if (options->client_ca_pem != NULL)
        SSL_CTX_set_verify(context->ctx,
                           SSL_VERIFY_PEER | (options->client_cert_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT),
                           NULL);
    /* sessions live in tickets at the clients: nothing to store here, and nothing that grows */
    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
    if (!SSL_CTX_set_session_id_context(context->ctx, session_context, sizeof(session_context) - 1) ||
        !SSL_CTX_set_num_tickets(context->ctx, 1))
        return openssl_error(err, ERR_INTERNAL, "making a TLS context");
    SSL_CTX_set_alpn_select_cb(context->ctx, select_alpn, NULL);
    *ret = take(&context);
    return 0;
}

/* --- clients that keep sessions: OpenSSL's callbacks */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_get_app_data(ssl);

    bool wanted = tls->new_session == NULL && (tls->renew_session || !SSL_session_reused(ssl));
    if (!wanted || SSL_SESSION_get_protocol_version(session) != TLS1_3_VERSION)
        return 0; /* OpenSSL keeps its reference */
    tls->new_session = session;
    return 1;
}

/* When the connection ends: it comes with the first answer, for which somebody waits. */
static void save_session(struct tls *tls)
{
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls->ssl));

    if (tls->new_session != NULL)
        tls_session_save(context->session_dir, tls->session_key, tls->new_session);
    SSL_SESSION_free(tls->new_session);
    tls->new_session = NULL;
}

/* The server asks for a client certificate. */
static int on_certificate_wanted(SSL *ssl, void *data)
{
    struct tls *tls = SSL_get_app_data(ssl);
    const struct tls_context *context = data;

    return context->cert_pem == NULL ||
           use_certificate(NULL, ssl, context->cert_pem, context->key_pem, &tls->late) == 0;
}

/* The server shows its certificate. */
static int on_verify(X509_STORE_CTX *store, void *data)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    struct tls_context *context = data;

    if (!context->insecure && !context->ca_decoded && trust_authorities(context, context->ca_pem, &tls->late) < 0) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    context->ca_decoded = true;
    return X509_verify_cert(store);
}

static void keep_sessions(struct tls_context *context, const struct tls_client_options *options)
{
    context->session_dir = xstrdup(options->session_dir);
    context->ca_pem = xstrdup(options->ca_pem);
    context->cert_pem = xstrdup(options->cert_pem);
    context->key_pem = xstrdup(options->key_pem);
    SSL_CTX_set_app_data(context->ctx, context);
    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ctx, on_session);
    SSL_CTX_set_cert_cb(context->ctx, on_certificate_wanted, context);
    SSL_CTX_set_cert_verify_callback(context->ctx, on_verify, context);
}

int tls_client_context_new(const struct tls_client_options *options, struct tls_context **ret, struct err *err)
{
    CLEANUP(tls_context_free) struct tls_context *context = NULL;

    int r = context_begin(TLS_client_method(), &context, err);
    if (r < 0)
        return r;
    context->insecure = options->insecure;
    if (options->session_dir != NULL) {
        keep_sessions(context, options);
    } else {
        if (options->cert_pem != NULL)
            r = use_certificate(context->ctx, NULL, options->cert_pem, options->key_pem, err);
        if (r == 0)
            r = trust_authorities(context, options->ca_pem, err);
        if (r < 0)
            return r;
    }
    SSL_CTX_set_verify(context->ctx, options->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_alpn_protos(context->ctx, alpn_http11, ALPN_HTTP11_LEN) != 0)
        return openssl_error(err, ERR_INTERNAL, "making a TLS context");
    *ret = take(&context);
    return 0;
}

/* --- connections */

/* SNI knows names only; an address is verified against the certificate's address list. */
static bool set_server_name(SSL *ssl, const char *name, bool verify)
{
    if (openssl_is_address(name))
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set_tlsext_host_name(ssl, name) == 1 && (!verify || SSL_set1_host(ssl, name) == 1);
}

static bool carry_inside(SSL *ssl, SSL *outer)
{
    BIO *bio = BIO_new(BIO_f_ssl());
    if (bio == NULL)
        return false;
    (void)BIO_set_ssl(bio, outer, BIO_NOCLOSE);
    SSL_set_bio(ssl, bio, bio);
    return true;
}

static int new_connection(struct tls_context *context, int fd, struct tls *outer, const char *server_name,
                          struct tls **ret, struct err *err)
{
    CLEANUP(tls_free) struct tls *tls = NEW(struct tls);

    ERR_clear_error();
    tls->ssl = SSL_new(context->ctx);
    if (tls->ssl == NULL || !(outer != NULL ? carry_inside(tls->ssl, outer->ssl) : SSL_set_fd(tls->ssl, fd) == 1))
        return openssl_error(err, ERR_INTERNAL, "making a TLS connection");
    SSL_set_app_data(tls->ssl, tls);
    if (context->is_server) {
        SSL_set_accept_state(tls->ssl);
    } else {
        if (server_name == NULL && !context->insecure)
            return err_set(err, ERR_INVALID, "a TLS client needs the name of its server to verify it");
        if (server_name != NULL && !set_server_name(tls->ssl, server_name, !context->insecure))
            return openssl_error(err, ERR_INVALID, "'%s' is no name of a TLS server", server_name);
        SSL_set_connect_state(tls->ssl);
    }
    *ret = take(&tls);
    return 0;
}

int tls_new(struct tls_context *context, int fd, const char *server_name, struct tls **ret, struct err *err)
{
    return new_connection(context, fd, NULL, server_name, ret, err);
}

int tls_new_inside(struct tls_context *context, struct tls *outer, const char *server_name, struct tls **ret,
                   struct err *err)
{
    return new_connection(context, -1, outer, server_name, ret, err);
}

void tls_resume(struct tls *tls, const char *server)
{
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls->ssl));
    if (context == NULL)
        return;
    struct tls_session_parties parties = {
        .server = server,
        .ca_pem = context->ca_pem,
        .cert_pem = context->cert_pem,
        .key_pem = context->key_pem,
        .insecure = context->insecure,
    };
    if (!tls_session_key(&parties, tls->session_key))
        return;
    SSL_SESSION *session = tls_session_load(context->session_dir, tls->session_key, &tls->renew_session);
    if (session != NULL)
        (void)SSL_set_session(tls->ssl, session);
    SSL_SESSION_free(session);
    ERR_clear_error();
}

void tls_keep_buffers(struct tls *tls)
{
    (void)SSL_clear_mode(tls->ssl, SSL_MODE_RELEASE_BUFFERS);
}

bool tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->ssl) == 1;
}

struct tls *tls_free(struct tls *tls)
{
    if (tls == NULL)
        return NULL;
    if (tls->ssl != NULL)
        save_session(tls);
    SSL_free(tls->ssl);
    OPENSSL_cleanse(tls->session_key, sizeof(tls->session_key));
    err_clear(&tls->late);
    free(tls);
    return NULL;
}

/* The peer's certificate is not accepted: of a server in Go's words. */
static int refusal(SSL *ssl, const char *doing, struct err *err)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    char *address = X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(ssl));
    const char *host = address != NULL ? address : X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), 0);
    long result = SSL_get_verify_result(ssl);
    CLEANUP(xfree) char *text = host != NULL && sk_X509_num(chain) > 0
                                    ? tls_refusal_text(sk_X509_value(chain, 0), host, clock_wall_ns() / 1000000000)
                                    : NULL;
    const char *words = text != NULL ? text : tls_refusal_words(result);

    OPENSSL_free(address);
    if (words == NULL || SSL_is_server(ssl))
        return err_set(err, ERR_IO, "%s: the peer's certificate is not accepted: %s", doing,
                       X509_verify_cert_error_string(result));
    return err_set(err, ERR_IO, "%s", words);
}

static int failure(struct tls *tls, int ssl_error, const char *doing, struct err *err)
{
    int errnum = errno;

    tls->failed = true;
    if (tls->late.code != 0) {
        ERR_clear_error();
        err_move(err, &tls->late);
        return (int)err->code;
    }
    if (ssl_error == SSL_ERROR_SYSCALL && errnum != 0) {
        ERR_clear_error();
        return err_errno(err, errnum, "%s", doing);
    }
    if (ssl_error == SSL_ERROR_SYSCALL || ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return err_set(err, ERR_IO, "%s: the peer closed the connection", doing);
    }
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        ERR_clear_error();
        return refusal(tls->ssl, doing, err);
    }
    return openssl_error(err, ERR_IO, "%s", doing);
}

/* r: what an SSL_* call returned that did not succeed. */
static int outcome(struct tls *tls, int r, const char *doing, struct err *err)
{
    int ssl_error = SSL_get_error(tls->ssl, r);

    switch (ssl_error) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        return failure(tls, ssl_error, doing, err);
    }
}

int tls_handshake(struct tls *tls, struct err *err)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_do_handshake(tls->ssl);
    return r == 1 ? TLS_DONE : outcome(tls, r, "TLS handshake", err);
}

int tls_read(struct tls *tls, void *data, size_t len, size_t *ret_n, struct err *err)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_read_ex(tls->ssl, data, len, ret_n);
    return r == 1 ? TLS_DONE : outcome(tls, r, "reading over TLS", err);
}

int tls_write(struct tls *tls, const void *data, size_t len, size_t *ret_n, struct err *err)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_write_ex(tls->ssl, data, len, ret_n);
    return r == 1 ? TLS_DONE : outcome(tls, r, "writing over TLS", err);
}

bool tls_has_pending(const struct tls *tls)
{
    return SSL_has_pending(tls->ssl) == 1;
}

void tls_shutdown(struct tls *tls)
{
    if (tls->failed || !SSL_is_init_finished(tls->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

/* --- who the peer is */

/* Heap string; NULL for text with a NUL inside, which would be read differently by different programs. */
static char *entry_text(const X509_NAME_ENTRY *entry)
{
    unsigned char *bytes = NULL;
    int len = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(entry));
    char *text = NULL;

    if (len >= 0 && memchr(bytes, '\0', (size_t)len) == NULL)
        text = xstrndup((const char *)bytes, (size_t)len);
    OPENSSL_free(bytes);
    return text;
}

void tls_peer_get(struct tls *tls, struct tls_peer *ret)
{
    CLEANUP(X509_free) X509 *cert = SSL_get1_peer_certificate(tls->ssl);
    struct tls_peer peer = {0};

    if (cert != NULL && SSL_get_verify_result(tls->ssl) == X509_V_OK) {
        const X509_NAME *subject = X509_get_subject_name(cert);
        for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
            const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
            int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
            if (nid != NID_commonName && nid != NID_organizationName)
                continue;
            char *text = entry_text(entry);
            if (text == NULL) {
                tls_peer_done(&peer); /* half an identity is none */
                break;
            }
            if (nid == NID_organizationName) {
                strv_take(&peer.organizations, text);
            } else {
                free(peer.common_name); /* the last one counts, as in Go */
                peer.common_name = text;
            }
        }
    }
    ERR_clear_error();
    *ret = peer;
}

void tls_peer_done(struct tls_peer *peer)
{
    free(peer->common_name);
    strv_done(&peer->organizations);
    *peer = (struct tls_peer){0};
}
