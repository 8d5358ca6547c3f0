/*
 * tls_algorithms.c: OpenSSL makes an object of each of its 130 ciphers when the first one is asked for, and likewise of
 * digests, key types and decoders, which takes longer than a request to an API server, and 300 KB. Here the default
 * provider is taken in under another name, with only what TLS 1.2 and 1.3 with the servers and certificates that Go's TLS
 * knows have a use for.
 */
#include "net/tls_algorithms.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "base/compiler.h"
#include "base/str.h"

#define NAME "fks"
#define KEPT_MAX 40
#define DISPATCH_MAX 16

/* Of libcrypto.a; a shared library keeps it to itself, and it is NULL. */
extern OSSL_provider_init_fn ossl_default_provider_init __attribute__((weak));

/* By their first names. CTR and ECB are the random generator's; MD5 and SHA-1 are in old certificates and in WebSocket. */
static const char *const ciphers[] = {"AES-256-GCM", "AES-128-GCM", "AES-256-CTR",       "AES-256-ECB", "AES-128-ECB",
                                      "ChaCha20",    "ChaCha20-Poly1305", NULL};
static const char *const digests[] = {"SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512", "MD5", "MD5-SHA1", NULL};
static const char *const macs[] = {"HMAC", NULL};
static const char *const derivations[] = {"HKDF", "TLS13-KDF", "TLS1-PRF", NULL};
static const char *const generators[] = {"CTR-DRBG", "SEED-SRC", NULL};
static const char *const keys[] = {"RSA", "RSA-PSS", "EC", "X25519", "ED25519", "HMAC", NULL};
static const char *const exchanges[] = {"ECDH", "X25519", NULL};
static const char *const signatures[] = {"RSA", "ECDSA", "ED25519", "HMAC", NULL};
static const char *const decoders[] = {"RSA", "RSA-PSS", "EC", "ED25519", "DER", NULL};

static const char *const groups[] = {"secp256r1", "secp384r1", "secp521r1", "x25519", NULL};

static const struct operation {
    int id;
    const char *const *list;
} operations[] = {
    {OSSL_OP_CIPHER, ciphers},      {OSSL_OP_DIGEST, digests},   {OSSL_OP_MAC, macs},
    {OSSL_OP_KDF, derivations},     {OSSL_OP_RAND, generators},  {OSSL_OP_KEYMGMT, keys},
    {OSSL_OP_KEYEXCH, exchanges},   {OSSL_OP_SIGNATURE, signatures}, {OSSL_OP_DECODER, decoders},
};

/* Filled once, before the first answer: OpenSSL hands a provider's functions no place of our own. */
static struct {
    OSSL_FUNC_provider_query_operation_fn *query;
    OSSL_FUNC_provider_get_capabilities_fn *capabilities;
    OSSL_DISPATCH dispatch[DISPATCH_MAX];
    OSSL_ALGORITHM algorithms[countof(operations)][KEPT_MAX];
} kept;

static bool is_listed(const OSSL_ALGORITHM *algorithm, const char *const *list)
{
    const char *names = algorithm->algorithm_names, *properties = algorithm->property_definition;

    for (; *list != NULL; list++) {
        size_t len = strlen(*list);
        if (strncmp(names, *list, len) == 0 && (names[len] == ':' || names[len] == '\0'))
            return strstr(properties, "input=msblob") == NULL && strstr(properties, "input=pvk") == NULL; /* Microsoft's */
    }
    return false;
}

/* The table ends with an entry of zeros. */
static const OSSL_ALGORITHM *only(const OSSL_ALGORITHM *all, const char *const *list, OSSL_ALGORITHM to[KEPT_MAX])
{
    size_t n = 0;

    if (to[0].algorithm_names != NULL)
        return to;
    for (; all != NULL && all->algorithm_names != NULL && n < KEPT_MAX - 1; all++) {
        if (is_listed(all, list))
            to[n++] = *all;
    }
    return to;
}

static const OSSL_ALGORITHM *query_operation(void *context, int operation, int *no_store)
{
    const OSSL_ALGORITHM *all = kept.query(context, operation, no_store);

    for (size_t i = 0; i < countof(operations); i++) {
        if (operations[i].id == operation)
            return only(all, operations[i].list, kept.algorithms[i]);
    }
    return all;
}

struct receiver {
    OSSL_CALLBACK *callback;
    void *data;
};

static int offer_if_listed(const OSSL_PARAM description[], void *data)
{
    const struct receiver *receiver = data;
    const OSSL_PARAM *group = OSSL_PARAM_locate_const(description, OSSL_CAPABILITY_TLS_GROUP_NAME);
    const char *const *listed = groups;

    while (group != NULL && *listed != NULL && !streq(*listed, group->data))
        listed++;
    return *listed == NULL || receiver->callback(description, receiver->data);
}

/* A context asks for the groups that there are, fifty by all their names, and looks for the kind of key of each. */
static int get_capabilities(void *context, const char *capability, OSSL_CALLBACK *callback, void *data)
{
    struct receiver receiver = {callback, data};

    return kept.capabilities(context, capability, offer_if_listed, &receiver);
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
    const OSSL_DISPATCH *functions = NULL;
    size_t n = 0;

    if (!ossl_default_provider_init(handle, in, &functions, context))
        return 0;
    for (; functions->function_id != 0 && n < DISPATCH_MAX - 1; functions++) {
        kept.dispatch[n] = *functions;
        if (functions->function_id == OSSL_FUNC_PROVIDER_QUERY_OPERATION) {
            kept.query = OSSL_FUNC_provider_query_operation(functions);
            kept.dispatch[n].function = (void (*)(void))query_operation;
        } else if (functions->function_id == OSSL_FUNC_PROVIDER_GET_CAPABILITIES) {
            kept.capabilities = OSSL_FUNC_provider_get_capabilities(functions);
            kept.dispatch[n].function = (void (*)(void))get_capabilities;
        }
        n++;
    }
    *out = kept.dispatch;
    return kept.query != NULL;
}

void tls_algorithms_name_digests(void)
{
    const EVP_MD *const named[] = {EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512(), EVP_md5()};

    for (size_t i = 0; i < countof(named); i++)
        (void)EVP_add_digest(named[i]);
}

void tls_algorithms_limit(void)
{
    /* what fails here leaves OpenSSL with its default provider */
    if (ossl_default_provider_init != NULL && kept.query == NULL && OSSL_PROVIDER_add_builtin(NULL, NAME, provider_init))
        (void)OSSL_PROVIDER_load(NULL, NAME);
}
