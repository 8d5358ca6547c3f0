/*
 * watch.c: one watch request, its stream cut into lines, each line an event.
 */
#include "objects/watch.h"

#include "base/limits.h"
#include "base/mem.h"

struct stream {
    struct buf line;
    watch_event *event;
    void *data;
    bool ended; /* by the callback */
    struct err failure;
};

static bool handle_line(struct stream *stream, const char *line, size_t len)
{
    CLEANUP(json_free) struct json *event = NULL;
    if (json_parse(line, len, &event, &stream->failure) < 0) {
        err_wrap(&stream->failure, "unable to decode an event from the watch stream");
        return false;
    }
    const char *type = json_str_or("", event, "type", NULL);
    const struct json *object = json_get(event, "object", NULL);
    if (streq(type, "ERROR")) {
        kube_status_error(object, (int)json_int_or(500, object, "code", NULL), &stream->failure);
        return false;
    }
    if (stream->event(type, object, stream->data))
        return true;
    stream->ended = true;
    return false;
}

static bool on_bytes(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    (void)response;
    struct stream *stream = data;
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t n = end != NULL ? (size_t)(end - bytes) : len;
        if (!buf_add(&stream->line, bytes, n)) {
            err_set(&stream->failure, ERR_TOO_BIG, "a watch event is over %zu bytes", LIMIT_WATCH_LINE);
            return false;
        }
        bytes += n;
        len -= n;
        if (end == NULL)
            break;
        bytes++;
        len--;
        bool go_on = stream->line.len == 0 || handle_line(stream, stream->line.data, stream->line.len);
        buf_clear(&stream->line);
        if (!go_on)
            return false;
    }
    return true;
}

int watch_run(struct cli *cli, const struct watch_request *request, watch_event *event, void *data,
              bool *ret_ended_by_server, struct err *err)
{
    if (cli_connect(cli, err) < 0)
        return err->code;
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, request->path);
    if (request->name != NULL || request->field_selector != NULL) {
        CLEANUP(xfree)
        char *fields =
            request->name != NULL ? xasprintf("metadata.name=%s", request->name) : xstrdup(request->field_selector);
        kube_path_query(&path, "fieldSelector", fields);
    }
    if (request->label_selector != NULL)
        kube_path_query(&path, "labelSelector", request->label_selector);
    if (request->resource_version != NULL)
        kube_path_query(&path, "resourceVersion", request->resource_version);
    kube_path_query(&path, "watch", "true");

    kube_discovery_save(cli->discovery); /* a watch is ended by a signal */
    struct stream stream = {.event = event, .data = data};
    buf_init(&stream.line, LIMIT_WATCH_LINE);
    int64_t limit = request->timeout_ms > 0 ? request->timeout_ms : cli->config.request_timeout_ms;
    const struct kube_request get = {
        .path = buf_text(&path), .accept = request->accept, .timeout_ms = limit > 0 ? limit : INT32_MAX};
    int code = kube_do_raw(cli->client, &get, on_bytes, &stream, NULL, err);
    buf_done(&stream.line);
    *ret_ended_by_server = code == 0;
    if (stream.failure.code != 0) {
        err_clear(err);
        err_move(err, &stream.failure);
        return err->code;
    }
    if (stream.ended) {
        err_clear(err);
        *ret_ended_by_server = false;
        return 0;
    }
    return code;
}
