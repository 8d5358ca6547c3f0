/*
 * path.c: paths of the API: /api/v1/... for the core group, /apis/GROUP/VERSION/... for the others.
 */
#include "base/buf.h"
#include "base/codec.h"
#include "kube/client.h"

static void add_segment(struct buf *path, const char *segment)
{
    buf_add_char(path, '/');
    url_encode(segment, path);
}

char *kube_path(const char *group, const char *version, const char *namespace, const char *plural, const char *name,
                const char *subresource)
{
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, strempty(group)[0] == '\0' ? "/api" : "/apis");
    if (strempty(group)[0] != '\0')
        add_segment(&path, group);
    add_segment(&path, version);
    if (strempty(namespace)[0] != '\0') {
        buf_add_str(&path, "/namespaces");
        add_segment(&path, namespace);
    }
    add_segment(&path, plural);
    if (strempty(name)[0] != '\0')
        add_segment(&path, name);
    if (strempty(subresource)[0] != '\0') {
        /* "proxy/a/b" is several segments */
        CLEANUP(strv_done) struct strv parts = {0};
        strv_split(&parts, subresource, '/');
        for (size_t i = 0; i < parts.n; i++)
            add_segment(&path, parts.items[i]);
    }
    return buf_take(&path);
}

void kube_path_query(struct buf *path, const char *key, const char *value)
{
    const char *text = buf_text(path);
    buf_add_char(path, strchr(text, '?') != NULL ? '&' : '?');
    url_encode(key, path);
    buf_add_char(path, '=');
    url_encode(value, path);
}
