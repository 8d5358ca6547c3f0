/*
 * fuzz_http_answer.c: any bytes as a server's answer to the light HTTP client, cut in two at a place the input chooses.
 * The call must end at most once, and with an error or a status.
 */
#include "base/mem.h"
#include "net/http_light.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_done(struct http_response *response, struct err *err, void *data)
{
    int *n_done = data;
    if (++*n_done > 1 || (err->code == 0) != (response->status >= 200))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err err = {0};
    struct http_client *client = NULL;
    struct http_client_options options = {.light = true, .proxy = ""};
    int n_done = 0;

    if (size < 2 || size > 60000 || http_client_new(NULL, &options, &client, &err) < 0)
        return 0;
    struct http_request request = {.method = data[0] & 1 ? "GET" : "HEAD", .url = "http://127.0.0.1:1/"};
    struct http_call *call = http_start(client, &request, NULL, on_done, &n_done);
    struct light_connection *connection = call->connection;
    connection->state = HEAD;
    size_t cut = 2 + (size_t)data[1] * (size - 2) / 255;
    buf_add(&connection->in, data + 2, cut - 2);
    if (light_take_input(connection)) {
        buf_add(&connection->in, data + cut, size - cut);
        (void)light_take_input(connection);
    }
    http_client_free(client);
    return 0;
}
