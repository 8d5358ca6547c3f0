/*
 * certificates.h: the server's certificate, key and client CA from files, read again when they change or on demand,
 * without dropping a connection.
 */
#pragma once

#include "base/loop.h"
#include "base/metrics.h"
#include "net/server.h"

struct certificates;

struct certificates_files {
    const char *cert, *key;
    const char *client_ca; /* or NULL: clients show no certificate */
    int64_t delay_ms;      /* from a change of the files until it is taken: so long others need to trust it */
};

/* Reads the files at once; fails when they are unusable. The strings must outlive the result. */
int certificates_new(struct loop *loop, const struct certificates_files *files, struct metrics *metrics,
                     struct certificates **ret, struct err *err) MUST_CHECK;
struct certificates *certificates_free(struct certificates *certificates);
/* For server_options. Borrowed until certificates_serve. */
struct tls_context *certificates_context(const struct certificates *certificates);
/* From now on this server gets every new certificate. */
void certificates_serve(struct certificates *certificates, struct server *server);
/* Reads the files again now. Unusable files are logged and the certificate in use stays. */
void certificates_reload(struct certificates *certificates);
DEFINE_CLEANUP_POINTER(struct certificates *, certificates_free)
