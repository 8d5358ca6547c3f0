/*
 * create_token.c: `create token`: asks the server for a token of a service account.
 */
#include "objects/generate.h"

#include <unistd.h>

#include "base/mem.h"

struct token {
    struct strv audiences;
    const char *bound_kind, *bound_name, *bound_uid;
    int64_t duration_ms;
};

static int check_token(const struct token *token, struct err *err)
{
    const char *kind = strempty(token->bound_kind);
    if (token->duration_ms < 0)
        return err_set(err, ERR_USAGE, "--duration must be greater than or equal to 0");
    if (token->duration_ms % 1000 != 0)
        return err_set(err, ERR_USAGE, "--duration cannot be expressed in units less than seconds");
    if (strv_has(&token->audiences, ""))
        return err_set(err, ERR_USAGE, "--audience must not be an empty string");
    if (kind[0] == '\0' && strempty(token->bound_name)[0] != '\0')
        return err_set(err, ERR_USAGE, "--bound-object-name can only be set if --bound-object-kind is provided");
    if (kind[0] == '\0' && strempty(token->bound_uid)[0] != '\0')
        return err_set(err, ERR_USAGE, "--bound-object-uid can only be set if --bound-object-kind is provided");
    if (kind[0] == '\0')
        return 0;
    if (!streq(kind, "Pod") && !streq(kind, "Secret") && !streq(kind, "Node"))
        return err_set(err, ERR_USAGE, "supported --bound-object-kind values are Node, Pod, Secret");
    if (strempty(token->bound_name)[0] == '\0')
        return err_set(err, ERR_USAGE, "--bound-object-name is required if --bound-object-kind is provided");
    return 0;
}

static struct json *build_request(const struct token *token)
{
    struct json *audiences = token->audiences.n > 0 ? json_new_array() : NULL, *bound = NULL;
    for (size_t i = 0; i < token->audiences.n; i++)
        json_push(audiences, json_new_string(token->audiences.items[i]));
    if (strempty(token->bound_kind)[0] != '\0')
        bound = json_build("{s:s, s:s, s:s, s:s*}", "kind", token->bound_kind, "apiVersion", "v1", "name",
                           token->bound_name, "uid", token->bound_uid);
    struct json *spec = json_build("{s:o, s:o}", "audiences", audiences, "boundObjectRef", bound);
    if (token->duration_ms > 0)
        json_set_int(spec, "expirationSeconds", token->duration_ms / 1000);
    return json_build("{s:s, s:s, s:{}, s:o}", "kind", "TokenRequest", "apiVersion", "authentication.k8s.io/v1",
                      "metadata", "spec", spec);
}

static int request_token(struct generate *generate, const struct token *token, struct err *err)
{
    CLEANUP(output_done) struct output output = {0};
    CLEANUP(json_free) struct json *body = build_request(token), *answer = NULL;
    if (output_parse(&generate->output_options, &output, err) < 0 || cli_connect(generate->cli, err) < 0)
        return err->code;
    CLEANUP(xfree)
    char *path = kube_path("", "v1", cli_namespace(generate->cli), "serviceaccounts", generate->name, "token");
    const struct kube_request request = {.method = "POST", .path = path, .body = body};
    if (cli_do(generate->cli, &request, &answer, err) < 0) {
        if (err->http_status == 0)
            return err->code;
        struct err plain = {0};
        err_move(&plain, err);
        (void)err_set(err, plain.code, "failed to create token: %s", err_text(&plain));
        err_clear(&plain);
        return err->code;
    }
    const char *text = json_str_or("", answer, "status", "token", NULL);
    if (text[0] == '\0')
        return err_set(err, ERR_INTERNAL, "failed to create token: no token in server response");
    if (generate->output_options.format != NULL)
        return output_result(&output, answer, "created", "none", err);
    printf("%s%s", text, isatty(STDOUT_FILENO) ? "\n" : "");
    return 0;
}

int command_create_token(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(err_clear) struct err err = {0};
    struct token token = {0};
    const struct opt options[] = {
        OUTPUT_OPTIONS(&generate.output_options),
        {"audience", 0, OPT_ARRAY, &token.audiences, "[]", "Who the token is for; the API server unless said."},
        {"bound-object-kind", 0, OPT_STRING, &token.bound_kind, "",
         "Kind of an object with which the token ends: Node, Pod or Secret."},
        {"bound-object-name", 0, OPT_STRING, &token.bound_name, "", "Name of that object."},
        {"bound-object-uid", 0, OPT_STRING, &token.bound_uid, "", "UID of that object."},
        {"duration", 0, OPT_DURATION, &token.duration_ms, "0s", "How long the token is to be valid."},
        {0},
    };
    const struct cli_command command = {.words = "create token",
                                        .usage = "SERVICE_ACCOUNT_NAME [options]",
                                        .about = "Request a service account token.",
                                        .options = options};
    int code = generate.code;
    if (!generate_begin(&generate, &command, argc, argv))
        code = generate.code;
    else if (check_token(&token, &err) < 0 || request_token(&generate, &token, &err) < 0)
        code = cli_fail(cli, &err);
    strv_done(&token.audiences);
    return code;
}
