/*
 * certificates.c: serving certificates are short-lived and replaced under a running server (cert-manager, our own
 * cluster setup). The files are looked at once a second by stat, which also sees through the symbolic links of a
 * mounted Secret.
 */
#include "certificates.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

enum { CHECK_MS = 1000, N_FILES = 3 };

struct certificates {
    const char *paths[N_FILES]; /* certificate, key, client CA or NULL */
    struct stat seen[N_FILES];
    int64_t delay_ms, due_ms; /* when a change is taken; 0: there is none */
    struct loop *loop;
    struct tls_context *context;
    struct server *server;
    struct loop_timer *timer;
    struct metric *reloads, *failures;
};

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* By the time of change, too: a copy that keeps the time of its original (cp -p, tar) must not go unseen. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           is_same_time(a->st_mtim, b->st_mtim) && is_same_time(a->st_ctim, b->st_ctim);
}

/* Notes what the files are now; true when one of them is another than before. */
static bool note_files(struct certificates *certificates)
{
    bool changed = false;

    for (size_t i = 0; i < N_FILES; i++) {
        struct stat now = {0};
        if (certificates->paths[i] == NULL || stat(certificates->paths[i], &now) < 0)
            continue;
        changed |= !is_same_file(&certificates->seen[i], &now);
        certificates->seen[i] = now;
    }
    return changed;
}

static int load(struct certificates *certificates, struct tls_context **ret, struct err *err)
{
    struct buf texts[N_FILES] = {0};
    int r = 0;

    for (size_t i = 0; i < N_FILES && r == 0; i++)
        if (certificates->paths[i] != NULL)
            r = file_read(certificates->paths[i], LIMIT_FILE, &texts[i], err);
    if (r == 0) {
        struct tls_server_options options = {
            .cert_pem = buf_text(&texts[0]),
            .key_pem = buf_text(&texts[1]),
            .client_ca_pem = certificates->paths[2] != NULL ? buf_text(&texts[2]) : NULL,
            /* probes and Prometheus come without one; the routes ask where it matters */
            .client_cert_optional = true,
        };
        r = tls_server_context_new(&options, ret, err);
    }
    if (texts[1].data != NULL)
        explicit_bzero(texts[1].data, texts[1].len);
    for (size_t i = 0; i < N_FILES; i++)
        buf_done(&texts[i]);
    return r;
}

void certificates_reload(struct certificates *certificates)
{
    CLEANUP(err_clear) struct err err = {0};
    struct tls_context *context;

    (void)note_files(certificates);
    certificates->due_ms = 0;
    if (load(certificates, &context, &err) < 0) {
        metric_add(certificates->failures, 1);
        log_error("keeping the certificate in use", "error", err_text(&err));
        return;
    }
    if (certificates->server != NULL)
        server_set_tls(certificates->server, context);
    tls_context_free(certificates->context); /* its connections hold references of their own */
    certificates->context = context;
    metric_add(certificates->reloads, 1);
    log_info("certificate read again", "file", certificates->paths[0]);
}

static void check(void *data)
{
    struct certificates *certificates = data;

    loop_timer_set(certificates->timer, CHECK_MS);
    if (note_files(certificates))
        certificates->due_ms = loop_now_ms(certificates->loop) + certificates->delay_ms;
    if (certificates->due_ms != 0 && loop_now_ms(certificates->loop) >= certificates->due_ms)
        certificates_reload(certificates);
}

int certificates_new(struct loop *loop, const struct certificates_files *files, struct metrics *metrics,
                     struct certificates **ret, struct err *err)
{
    CLEANUP(certificates_free) struct certificates *certificates = NEW(struct certificates);

    certificates->loop = loop;
    certificates->delay_ms = files->delay_ms;
    certificates->paths[0] = files->cert;
    certificates->paths[1] = files->key;
    certificates->paths[2] = files->client_ca;
    certificates->reloads = metrics_get(metrics, METRIC_COUNTER, "fks_webhook_certificate_reloads_total",
                                        "Certificates taken into use after the first", NULL);
    certificates->failures = metrics_get(metrics, METRIC_COUNTER, "fks_webhook_certificate_failures_total",
                                         "Changed certificate files that could not be used", NULL);
    (void)note_files(certificates);
    int r = load(certificates, &certificates->context, err);
    if (r < 0)
        return r;
    certificates->timer = loop_timer_new(loop, check, certificates);
    loop_timer_set(certificates->timer, CHECK_MS);
    *ret = take(&certificates);
    return 0;
}

struct certificates *certificates_free(struct certificates *certificates)
{
    if (certificates == NULL)
        return NULL;
    loop_timer_free(certificates->timer);
    tls_context_free(certificates->context);
    free(certificates);
    return NULL;
}

struct tls_context *certificates_context(const struct certificates *certificates)
{
    return certificates->context;
}

void certificates_serve(struct certificates *certificates, struct server *server)
{
    certificates->server = server;
}
