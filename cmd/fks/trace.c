/*
 * trace.c: the lines of -v. The client library hands over each request and answer; nothing is asked or changed here.
 */
#include "trace.h"

#include <ctype.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "text/gotext.h"

/* How much of a body is shown at 8 and 9; all of it from 10 on. */
#define BODY_SHORT 1024
#define BODY_LONG 10240

static void print_klog(char severity, const char *place, const char *text)
{
    int64_t wall_ns = clock_wall_ns();
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm now;
    if (localtime_r(&seconds, &now) == NULL)
        return;
    fprintf(stderr, "%c%02d%02d %02d:%02d:%02d.%06lld %7d %s] %s\n", severity, now.tm_mon + 1, now.tm_mday, now.tm_hour,
            now.tm_min, now.tm_sec, (long long)(wall_ns / 1000 % 1000000), (int)getpid(), place, text);
}

void trace_line(const struct cli *cli, int64_t verbosity, const char *text)
{
    if (cli->verbosity >= verbosity)
        print_klog('I', cli->program, text);
}

void trace_warning(const char *place, const char *text)
{
    print_klog('W', place, text);
}

int trace_fatal(const char *place, const char *text)
{
    (void)fflush(stdout);
    print_klog('F', place, text);
    return 1;
}

/* klog's value of a key: quoted on one line; a text of several lines stands between < and > and is indented. */
static void add_value(const char *key, const char *text, struct buf *out)
{
    buf_printf(out, " %s=", key);
    if (strchr(text, '\n') == NULL) {
        gotext_quote(text, out);
        return;
    }
    buf_add_str(out, "<\n\t");
    for (; *text != '\0'; text++) {
        if (text[0] == '\n' && text[1] != '\0')
            buf_add_str(out, "\n\t");
        else if (text[0] != '\n')
            buf_add_char(out, *text);
    }
    buf_add_str(out, "\n >");
}

static void trace_body(const struct cli *cli, const char *title, const char *body)
{
    CLEANUP(buf_done) struct buf text = {0}, line = {0};
    size_t len = strlen(body), limit = cli->verbosity >= 10 ? len : cli->verbosity == 9 ? BODY_LONG : BODY_SHORT;
    buf_add(&text, body, len < limit ? len : limit);
    if (len > limit)
        buf_printf(&text, " [truncated %zu chars]", len - limit);
    buf_printf(&line, "\"%s\"", title);
    add_value("body", buf_text(&text), &line);
    trace_line(cli, 8, buf_text(&line));
}

/* "x-kubernetes-uid" as Go spells it: "X-Kubernetes-Uid". */
static void add_canonical(const char *name, struct buf *out)
{
    bool upper = true;
    for (; *name != '\0'; name++) {
        buf_add_char(out, (char)(upper ? toupper((unsigned char)*name) : tolower((unsigned char)*name)));
        upper = *name == '-';
    }
}

static void add_headers(struct strv *headers, struct buf *out)
{
    strv_sort(headers);
    buf_add_str(out, " headers=<\n");
    for (size_t i = 0; i < headers->n; i++)
        buf_printf(out, "\t%s\n", headers->items[i]);
    buf_add_str(out, " >");
}

static void trace_request(const struct cli *cli, const struct kube_trace *trace)
{
    CLEANUP(buf_done) struct buf line = {0};
    CLEANUP(strv_done) struct strv headers = {0};
    if (cli->verbosity >= 8)
        trace_body(cli, "Request Body", strempty(trace->body));
    for (size_t i = 0; i < trace->n_headers; i++) {
        const char *name = trace->headers[i].name;
        bool secret = strcasecmp(name, "Authorization") == 0;
        CLEANUP(xfree) char *scheme = xstrndup(trace->headers[i].value, strcspn(trace->headers[i].value, " "));
        if (secret)
            strv_addf(&headers, "%s: %s <masked>", name, scheme);
        else
            strv_addf(&headers, "%s: %s", name, trace->headers[i].value);
    }
    buf_printf(&line, "\"Request\" verb=\"%s\" url=\"%s\"", trace->method, trace->url);
    add_headers(&headers, &line);
    trace_line(cli, 7, buf_text(&line));
}

static void trace_response(const struct cli *cli, const struct kube_trace *trace)
{
    static const struct {
        int status;
        const char *text;
    } names[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"},
                 {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
                 {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {409, "Conflict"}, {410, "Gone"},
                 {415, "Unsupported Media Type"}, {422, "Unprocessable Entity"}, {429, "Too Many Requests"},
                 {500, "Internal Server Error"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    const char *name = "";
    CLEANUP(buf_done) struct buf line = {0};
    for (size_t i = 0; i < countof(names); i++)
        name = names[i].status == trace->response->status ? names[i].text : name;
    buf_add_str(&line, "\"Response\"");
    if (cli->verbosity != 7 && cli->verbosity != 8) /* there the request's own line has told it */
        buf_printf(&line, " verb=\"%s\" url=\"%s\"", trace->method, trace->url);
    buf_printf(&line, " status=\"%d %s\"", trace->response->status, name);
    if (cli->verbosity >= 8) {
        CLEANUP(strv_done) struct strv headers = {0};
        size_t position = 0;
        const char *key;
        void *value;
        while (map_next(&trace->response->headers, &position, &key, &value)) {
            CLEANUP(buf_done) struct buf header = {0};
            add_canonical(key, &header);
            buf_printf(&header, ": %s", (const char *)value);
            strv_add(&headers, buf_text(&header));
        }
        add_headers(&headers, &line);
    }
    buf_printf(&line, " milliseconds=%lld", (long long)trace->elapsed_ms);
    trace_line(cli, 6, buf_text(&line));
    if (cli->verbosity >= 8 && trace->body != NULL)
        trace_body(cli, "Response Body", trace->body);
}

void trace_print(const struct kube_trace *trace, void *data)
{
    const struct cli *cli = data;
    if (trace->response == NULL)
        trace_request(cli, trace);
    else
        trace_response(cli, trace);
}
