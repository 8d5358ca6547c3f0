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

/* What is in the file now: tokens of pods are replaced every hour. NULL when there is nothing in it that can be read. */
static char *read_token(const char *path, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (file_read(path, KIB(64), &text, err) < 0)
        return NULL;
    struct str token = str_trim((struct str){buf_text(&text), strcspn(buf_text(&text), "\r\n")});
    return token.len > 0 ? xstrndup(token.p, token.len) : NULL;
}

static int add_authorization(const struct kube_config *config, struct identity *ret, struct err *err)
{
    CLEANUP(err_clear) struct err why = {0};
    CLEANUP(xfree) char *token = config->token_file != NULL ? read_token(config->token_file, &why) : NULL;
    if (token == NULL && config->token == NULL && why.code != 0) {
        err_move(err, &why);
        return err->code;
    }
    if (token != NULL || config->token != NULL) { /* a file that is just being replaced leaves the one before in use */
        add_header(ret, "Authorization", xasprintf("Bearer %s", token != NULL ? token : config->token));
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
