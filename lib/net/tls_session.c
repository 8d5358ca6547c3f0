/*
 * tls_session.c: TLS 1.3 sessions on disk. A full handshake costs a command line more time than its request: both sides
 * sign and verify, and OpenSSL takes as long again to decode the certificates and the key for it. A resumed one needs
 * none of them.
 *
 * Whoever has a session can take the client's place, so it is no less of a secret than the client's key. Each file is
 * sealed (AES-256-GCM) with a key made from everything that the kubeconfig says about server and client: without the
 * kubeconfig the file tells nothing, and a changed server, authority, certificate or key never meets an old session.
 *
 * Nothing here fails: a file that is absent, old, of somebody else or broken means a full handshake.
 */
#include "net/tls_session.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/openssl_util.h"

#define PREFIX "tls-"
#define MAGIC "fks tls session 1\n"
#define MAGIC_LEN (sizeof(MAGIC) - 1)
#define NONCE_LEN 12
#define TAG_LEN 16
#define HEAD_LEN (MAGIC_LEN + NONCE_LEN + TAG_LEN)
#define FILE_MAX KIB(64)
/* Servers may allow a week. An account that was taken away should not live on so long. */
#define KEPT_MAX_S (12 * 3600)
#define RENEW_S 3600

DEFINE_CLEANUP_POINTER(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)
DEFINE_CLEANUP_POINTER(EVP_MD_CTX *, EVP_MD_CTX_free)

bool tls_session_key(const struct tls_session_parties *parties, unsigned char key[TLS_SESSION_KEY_LEN])
{
    const char *const texts[] = {MAGIC,
                                 parties->server,
                                 parties->ca_pem,
                                 parties->cert_pem,
                                 parties->key_pem,
                                 parties->insecure ? "insecure" : "verified"};
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest == NULL || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
        return false;
    for (size_t i = 0; i < countof(texts); i++) {
        const char *text = strempty(texts[i]);
        if (!EVP_DigestUpdate(digest, text, strlen(text) + 1)) /* with its NUL: where one ends must count */
            return false;
    }
    return EVP_DigestFinal_ex(digest, key, NULL) == 1;
}

/* The name tells nothing about the key: it is made from it by another hash. */
static char *session_path(const char *dir, const unsigned char key[TLS_SESSION_KEY_LEN])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char name[2 * 16 + 1];
    if (EVP_Digest(key, TLS_SESSION_KEY_LEN, digest, NULL, EVP_sha256(), NULL) != 1)
        return NULL;
    hex_encode(digest, 16, name);
    return xasprintf("%s/" PREFIX "%s", dir, name);
}

/* --- what is sealed: when it is of no more use (seconds since 1970, 8 bytes), when it was made, the session as DER */

struct times {
    int64_t made, expires;
};

static int64_t now_s(void)
{
    return clock_wall_ns() / 1000000000;
}

static SSL_SESSION *open_sealed(const struct buf *file, const unsigned char key[TLS_SESSION_KEY_LEN],
                                struct times *ret_times)
{
    const unsigned char *bytes = (const unsigned char *)file->data;
    CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    unsigned char tag[TAG_LEN];
    int plain_len = 0, rest = 0;
    if (cipher == NULL || file->len <= HEAD_LEN + sizeof(*ret_times) || memcmp(bytes, MAGIC, MAGIC_LEN) != 0)
        return NULL;
    memcpy(tag, bytes + MAGIC_LEN + NONCE_LEN, TAG_LEN);
    CLEANUP(xfree) unsigned char *plain = xmalloc(file->len);
    SSL_SESSION *session = NULL;
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, bytes + MAGIC_LEN) &&
        EVP_DecryptUpdate(cipher, plain, &plain_len, bytes + HEAD_LEN, (int)(file->len - HEAD_LEN)) &&
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) &&
        EVP_DecryptFinal_ex(cipher, plain + plain_len, &rest) == 1) {
        const unsigned char *der = plain + sizeof(*ret_times);
        memcpy(ret_times, plain, sizeof(*ret_times));
        session = d2i_SSL_SESSION(NULL, &der, plain_len - (int)sizeof(*ret_times));
    }
    explicit_bzero(plain, file->len);
    return session;
}

SSL_SESSION *tls_session_load(const char *dir, const unsigned char key[TLS_SESSION_KEY_LEN], bool *ret_renew)
{
    CLEANUP(xfree) char *path = session_path(dir, key);
    CLEANUP(buf_done) struct buf file = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    struct times times;
    if (path == NULL || file_read(path, FILE_MAX, &file, &ignored) < 0)
        return NULL;
    SSL_SESSION *session = open_sealed(&file, key, &times);
    int64_t now = now_s();
    if (session != NULL && (times.made > now || times.expires <= now)) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    *ret_renew = session != NULL && now - times.made >= RENEW_S;
    return session;
}

/* Not longer than the server's certificate is valid: a resumed handshake does not show it again. */
static struct times times_of(SSL_SESSION *session)
{
    struct times times = {.made = now_s()};
    int64_t left = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);
    X509 *server = SSL_SESSION_get0_peer(session);
    int days, seconds;
    left = left < KEPT_MAX_S ? left : KEPT_MAX_S;
    if (server != NULL && ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(server))) {
        int64_t valid = (int64_t)days * 86400 + seconds;
        left = left < valid ? left : valid;
    }
    times.expires = times.made + left;
    return times;
}

/*
 * Takes the server's certificate ([3] of OpenSSL's SEQUENCE for a session) out of der, in place: nobody looks at it again, and
 * to decode it takes as long as all the rest of the resumption. The new length, or the old one if der is something else.
 */
static size_t drop_certificate(unsigned char *der, size_t len)
{
    const unsigned char *at = der, *end = der + len;
    long content_len;
    int tag, class;
    if (ASN1_get_object(&at, &content_len, &tag, &class, (long)len) != V_ASN1_CONSTRUCTED || at + content_len != end)
        return len;
    const unsigned char *first = at;
    while (at < end) {
        const unsigned char *element = at;
        if (ASN1_get_object(&at, &content_len, &tag, &class, end - at) & 0x80)
            return len;
        at += content_len;
        if (class != V_ASN1_CONTEXT_SPECIFIC || tag != 3)
            continue;
        size_t before = (size_t)(element - first), after = (size_t)(end - at);
        unsigned char *to = der, *start = der + (first - der);
        memmove(start + before, at, after);
        /* the header may have become shorter */
        ASN1_put_object(&to, 1, (int)(before + after), V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
        memmove(to, start, before + after);
        return (size_t)(to - der) + before + after;
    }
    return len;
}

static bool seal(SSL_SESSION *session, const unsigned char key[TLS_SESSION_KEY_LEN], struct buf *out)
{
    struct times times = times_of(session);
    CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int der_len = i2d_SSL_SESSION(session, NULL), len = 0, rest = 0;
    if (cipher == NULL || der_len <= 0 || (size_t)der_len > FILE_MAX / 2)
        return false;
    CLEANUP(xfree) unsigned char *plain = xmalloc(sizeof(times) + (size_t)der_len);
    unsigned char *der = plain + sizeof(times), head[HEAD_LEN] = MAGIC;
    memcpy(plain, &times, sizeof(times));
    (void)i2d_SSL_SESSION(session, &der);
    size_t plain_len = sizeof(times) + drop_certificate(plain + sizeof(times), (size_t)der_len);
    random_bytes(head + MAGIC_LEN, NONCE_LEN);
    unsigned char *sealed = (unsigned char *)buf_reserve(out, HEAD_LEN + plain_len);
    bool done = sealed != NULL && EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, head + MAGIC_LEN) &&
                EVP_EncryptUpdate(cipher, sealed + HEAD_LEN, &len, plain, (int)plain_len) &&
                EVP_EncryptFinal_ex(cipher, sealed + HEAD_LEN + len, &rest) &&
                EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_LEN, head + MAGIC_LEN + NONCE_LEN);
    explicit_bzero(plain, plain_len);
    if (done) {
        memcpy(sealed, head, HEAD_LEN);
        buf_advance(out, HEAD_LEN + plain_len);
    }
    return done;
}

/* Not file_write_atomic: its fsync takes longer than the handshake that this saves, and a torn file is no harm. */
static void write_file(const char *path, const struct buf *bytes)
{
    CLEANUP(xfree) char *temporary = xasprintf("%s.XXXXXX", path);
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(fd_close) int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return;
    if (fd_write_all(fd, bytes->data, bytes->len, &ignored) < 0 || rename(temporary, path) < 0)
        (void)unlink(temporary);
}

/* Sessions of clusters and certificates that are no more would otherwise pile up. */
static void remove_old(const char *dir)
{
    DIR *folder = opendir(dir);
    struct stat status;
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (starts_with(entry->d_name, PREFIX) &&
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime < now_s() - KEPT_MAX_S)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    (void)closedir(folder);
}

void tls_session_save(const char *dir, const unsigned char key[TLS_SESSION_KEY_LEN], SSL_SESSION *session)
{
    CLEANUP(xfree) char *path = session_path(dir, key);
    CLEANUP(buf_done) struct buf file = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    if (path == NULL || dir_make(dir, 0700, &ignored) < 0 || !seal(session, key, &file))
        return;
    remove_old(dir);
    write_file(path, &file);
}
