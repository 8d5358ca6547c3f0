/*
 * identity.c: a configuration's credentials as HTTP headers.
 */
#include "objects/identity.h"

#include <string.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

void identity_done(struct identity *identity)
{
    strv_done(&identity->texts);
    *identity = (struct identity){0};
}

static void add_header(struct identity *identity, const char *name, char *value)
{
    strv_take(&identity->texts, value);
    if (identity->n < countof(identity->list))
        identity->list[identity->n++] = (struct http_header){name, value};
}

static int add_authorization(const struct kube_config *config, struct identity *ret, struct err *err)
{
    if (config->token != NULL) {
        add_header(ret, "Authorization", xasprintf("Bearer %s", config->token));
    } else if (config->token_file != NULL) {
        CLEANUP(buf_done) struct buf token = {0};
        if (file_read(config->token_file, KIB(64), &token, err) < 0)
            return err->code;
        int len = (int)strcspn(buf_text(&token), "\r\n");
        add_header(ret, "Authorization", xasprintf("Bearer %.*s", len, buf_text(&token)));
    } else if (config->username != NULL) {
        CLEANUP(buf_done) struct buf encoded = {0};
        CLEANUP(xfree) char *pair = xasprintf("%s:%s", config->username, strempty(config->password));
        base64_encode(pair, strlen(pair), &encoded);
        add_header(ret, "Authorization", xasprintf("Basic %s", buf_text(&encoded)));
    }
    return 0;
}

int identity_of(const struct kube_config *config, struct identity *ret, struct err *err)
{
    if (add_authorization(config, ret, err) < 0)
        return err->code;
    if (config->as != NULL)
        add_header(ret, "Impersonate-User", xstrdup(config->as));
    if (config->as_uid != NULL)
        add_header(ret, "Impersonate-Uid", xstrdup(config->as_uid));
    for (size_t i = 0; i < config->as_groups.n; i++)
        add_header(ret, "Impersonate-Group", xstrdup(config->as_groups.items[i]));
    for (size_t i = 0; i < config->as_extra_headers.n; i++)
        add_header(ret, config->as_extra_headers.items[i], xstrdup(config->as_extra_values.items[i]));
    return 0;
}
