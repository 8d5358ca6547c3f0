/*
 * tls.h: TLS 1.2 and 1.3 over a non-blocking socket, one small state machine over OpenSSL. Server contexts reload their
 * certificate without dropping connections. Only lib/net includes OpenSSL.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

struct tls_context; /* certificate, key, trusted client CA; shared by connections, reference counted inside */
struct tls;         /* one connection */

struct tls_server_options {
    const char *cert_pem, *key_pem; /* chain and key as PEM text */
    const char *client_ca_pem;      /* verify client certificates against these; NULL: do not ask for one */
    bool client_cert_optional;      /* a client without certificate is let in (tls_peer tells) */
};
int tls_server_context_new(const struct tls_server_options *options, struct tls_context **ret, struct err *err) MUST_CHECK;

/* Programs that live for one request call this before anything else here: OpenSSL leaves out what only others need. */
void tls_init_short_lived(void);

struct tls_client_options {
    const char *ca_pem;             /* NULL: the system's */
    const char *cert_pem, *key_pem; /* or NULL */
    bool insecure;
    const char *session_dir; /* sessions are kept in this folder for tls_resume, and PEM texts only decoded when a handshake
                                needs them; the context must then outlive its connections. NULL: neither */
};
/* ALPN http/1.1 only, for upgraded streams (exec); everything else goes through http.h. */
int tls_client_context_new(const struct tls_client_options *options, struct tls_context **ret, struct err *err) MUST_CHECK;
struct tls_context *tls_context_free(struct tls_context *context);

/* fd stays the caller's. server_name: for client contexts, SNI and verified name or address. */
int tls_new(struct tls_context *context, int fd, const char *server_name, struct tls **ret, struct err *err) MUST_CHECK;
/* TLS inside TLS, behind a proxy that is spoken to over TLS: `outer` carries it, and must outlive it. For clients. */
int tls_new_inside(struct tls_context *context, struct tls *outer, const char *server_name, struct tls **ret,
                   struct err *err) MUST_CHECK;
struct tls *tls_free(struct tls *tls);
/* Keeps the two 16 KiB record buffers while the connection is idle: quicker, where the connections are few. */
void tls_keep_buffers(struct tls *tls);
/*
 * Before the handshake of a client with a session_dir: takes up the session that an earlier program had with this server,
 * if it can, and keeps the one that the server gives now. server: "host:port name", all that tells servers apart.
 */
void tls_resume(struct tls *tls, const char *server);
bool tls_is_resumed(const struct tls *tls); /* after the handshake */

/* ret_n of tls_read and tls_write is written only on TLS_DONE. */
enum tls_result {
    TLS_DONE = 0,       /* handshake complete */
    TLS_WANT_READ = 1,  /* call again when readable */
    TLS_WANT_WRITE = 2, /* call again when writable */
    TLS_CLOSED = 3,     /* orderly end from the peer */
};
/* Negative: failed, the connection is dead. */
int tls_handshake(struct tls *tls, struct err *err) MUST_CHECK;
/* On TLS_DONE *ret_n > 0 bytes were moved. Read until TLS_WANT_READ: OpenSSL may hold bytes epoll cannot see. */
int tls_read(struct tls *tls, void *data, size_t len, size_t *ret_n, struct err *err) MUST_CHECK;
int tls_write(struct tls *tls, const void *data, size_t len, size_t *ret_n, struct err *err) MUST_CHECK;
/* Bytes have come that tls_read has not handed out and epoll will not report: call tls_read again. */
bool tls_has_pending(const struct tls *tls);
/* Sends close_notify, best effort. */
void tls_shutdown(struct tls *tls);

/* The verified client certificate's subject: CN and all O. common_name stays NULL without one. */
struct tls_peer {
    char *common_name;
    struct strv organizations;
};
void tls_peer_get(struct tls *tls, struct tls_peer *ret);
void tls_peer_done(struct tls_peer *peer);

DEFINE_CLEANUP_POINTER(struct tls_context *, tls_context_free)
DEFINE_CLEANUP_POINTER(struct tls *, tls_free)
DEFINE_CLEANUP_IN_PLACE(struct tls_peer, tls_peer_done)
