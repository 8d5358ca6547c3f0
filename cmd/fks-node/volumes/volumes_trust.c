/*
 * volumes_trust.c: the file of a projected clusterTrustBundle source: the certificates of the ClusterTrustBundles that it
 * names or selects, each once. The API server has checked that they are certificates; here they are bytes.
 */
#include "volumes/volumes_internal.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"
#include "fargate/labels.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define LINE 64 /* characters of base64, as PEM files have it (RFC 7468) */

char *volumes_trust_selector(const struct json *source)
{
    const char *name = json_str(source, "name", NULL);

    return name != NULL ? xasprintf("metadata.name=%s", name)
                        : xasprintf("spec.signerName=%s", json_str_or("", source, "signerName", NULL));
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The base64 of each certificate, without line breaks: equal texts are equal certificates. */
static int add_certificates(const char *bundle, struct strv *found, struct err *err)
{
    for (const char *begin = strstr(bundle, BEGIN), *end; begin != NULL; begin = strstr(end, BEGIN)) {
        CLEANUP(buf_done) struct buf bytes = {.max = LIMIT_FILE};
        CLEANUP(buf_done) struct buf text = {0};

        begin += strlen(BEGIN);
        end = strstr(begin, END);
        if (end == NULL)
            return err_set(err, ERR_PARSE, "a certificate of a ClusterTrustBundle has no end");
        int r = base64_decode(begin, (size_t)(end - begin), &bytes, err);
        if (r < 0)
            return err_wrap(err, "a certificate of a ClusterTrustBundle");
        base64_encode(bytes.data, bytes.len, &text);
        strv_take(found, buf_take(&text));
    }
    return 0;
}

static void print_all(const struct strv *sorted, struct buf *out)
{
    for (size_t i = 0; i < sorted->n; i++) {
        const char *text = sorted->items[i];
        if (i > 0 && streq(text, sorted->items[i - 1]))
            continue;
        buf_add_str(out, BEGIN "\n");
        for (size_t left = strlen(text); left > 0; text += LINE < left ? LINE : left, left -= LINE < left ? LINE : left)
            buf_printf(out, "%.*s\n", (int)(LINE < left ? LINE : left), text);
        buf_add_str(out, END "\n");
    }
}

int volumes_trust_anchors(const struct json *source, const struct map *objects, struct buf *out, struct err *err)
{
    CLEANUP(xfree) char *selector = volumes_trust_selector(source);
    CLEANUP(xfree) char *key = xasprintf("%s/%s", VOLUMES_TRUST, selector);
    CLEANUP(strv_done) struct strv found = {0};
    const struct json *list = objects != NULL ? map_get(objects, key) : NULL;
    const char *name = json_str(source, "name", NULL);
    const struct json *item;
    size_t n = 0;

    if (list == NULL)
        return err_set(err, ERR_UNSUPPORTED, "clusterTrustBundle projection needs an API server that serves "
                                             "ClusterTrustBundles (certificates.k8s.io), and this one does not");
    json_each(item, json_get(list, "items", NULL)) {
        if (name == NULL &&
            !labels_selected(json_get(source, "labelSelector", NULL), json_get(item, "metadata", "labels", NULL)))
            continue;
        n++;
        int r = add_certificates(json_str_or("", item, "spec", "trustBundle", NULL), &found, err);
        if (r < 0)
            return r;
    }
    if (n == 0 && !json_is_true(source, "optional", NULL))
        return name != NULL
                   ? err_set(err, ERR_NOT_FOUND, "clustertrustbundle.certificates.k8s.io \"%s\" not found", name)
                   : err_set(err, ERR_NOT_FOUND,
                             "combination of signerName and labelSelector matched zero ClusterTrustBundles");
    if (found.n > 0)
        qsort(found.items, found.n, sizeof(found.items[0]), compare);
    print_all(&found, out);
    return 0;
}
