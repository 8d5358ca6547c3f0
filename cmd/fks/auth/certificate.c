/*
 * certificate.c: `certificate approve` and `certificate deny`: a condition added to a CertificateSigningRequest
 * through its approval subresource.
 */
#include "objects/write.h"
#include "print/output.h"

#include "base/clock.h"
#include "base/mem.h"

#define ATTEMPTS 10 /* somebody else changed the request meanwhile */

struct certificate {
    struct cli *cli;
    bool approve, force;
    struct selection selection;
    struct output_options output_options;
    struct output output;
};

/* Adds the condition to the request; true if it has to be sent. */
static int decide(const struct certificate *certificate, struct json *request, bool *ret_send, struct err *err)
{
    const char *wanted = certificate->approve ? "Approved" : "Denied";
    const char *opposite = certificate->approve ? "Denied" : "Approved";
    const struct json *condition;
    bool present = false;
    json_each(condition, json_get(request, "status", "conditions", NULL)) {
        const char *type = json_str(condition, "type", NULL);
        if (streq(type, opposite))
            return err_set(err, ERR_CONFLICT, "certificate signing request \"%s\" is already %s",
                           json_str_or("", request, "metadata", "name", NULL), opposite);
        present = present || streq(type, wanted);
    }
    *ret_send = !present || certificate->force;
    if (present)
        return 0;
    char now[CLOCK_TEXT_MAX];
    clock_rfc3339(clock_wall_ns(), now);
    CLEANUP(xfree)
    char *message = xasprintf("This CSR was %s by kubectl certificate %s.",
                              certificate->approve ? "approved" : "denied", certificate->approve ? "approve" : "deny");
    struct json *status = json_edit(request, "status", NULL);
    if (!json_is_array(json_member(status, "conditions")))
        json_set(status, "conditions", json_new_array());
    json_push(json_edit_member(status, "conditions"),
              json_build("{s:s, s:s, s:s, s:s, s:s}", "type", wanted, "status", "True", "reason",
                         certificate->approve ? "KubectlApprove" : "KubectlDeny", "message", message, "lastUpdateTime",
                         now));
    return 0;
}

static int change(const struct certificate *certificate, const struct item *item, struct err *err)
{
    CLEANUP(xfree) char *path = item_path(item, NULL);
    CLEANUP(xfree) char *approval = item_path(item, "approval");
    for (int attempt = 0;; attempt++) {
        CLEANUP(json_free) struct json *request = NULL;
        const struct kube_request get = {.path = path};
        if (cli_do(certificate->cli, &get, &request, err) < 0)
            return err->code == ERR_NOT_FOUND ? err_wrap(err, "could not find v1 version of %s", item->name)
                                              : (int)err->code;
        bool send = false;
        if (decide(certificate, request, &send, err) < 0)
            return err->code;
        const struct kube_request put = {.method = "PUT", .path = approval, .body = request};
        if (!send || cli_do(certificate->cli, &put, NULL, err) == 0)
            return 0;
        if (err->code != ERR_CONFLICT || attempt >= ATTEMPTS)
            return err->code;
        err_clear(err);
    }
}

static int change_item(struct certificate *certificate, const struct item *item, struct err *err)
{
    if (!streq(item->resource->kind, "CertificateSigningRequest"))
        return err_set(err, ERR_USAGE, "can only handle CertificateSigningRequest.certificates.k8s.io objects, got %s%s%s",
                       item->resource->kind, item->resource->group[0] != '\0' ? "." : "", item->resource->group);
    if (change(certificate, item, err) < 0)
        return err->code;
    return output_result(&certificate->output, item->object, certificate->approve ? "approved" : "denied", "none", err);
}

static int run_certificate(struct certificate *certificate, const struct strv *names)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(strv_done) struct strv args = {0};
    struct selection *selection = &certificate->selection;
    if (output_parse(&certificate->output_options, &certificate->output, &err) < 0)
        return cli_fail(certificate->cli, &err);
    if (names->n == 0 && !selection_has_files(selection))
        return cli_error("one or more CSRs must be specified as <name> or -f <filename>");
    if (selection_has_files(selection)) {
        CLEANUP(strv_done) struct strv none = {0};
        if (items_resolve(certificate->cli, selection, &none, true, &items, &failures, &err) < 0)
            return cli_fail(certificate->cli, &err);
    }
    if (names->n > 0) {
        const struct selection by_name = {0};
        strv_add(&args, "certificatesigningrequests");
        for (size_t i = 0; i < names->n; i++)
            strv_add(&args, names->items[i]);
        if (items_resolve(certificate->cli, &by_name, &args, true, &items, &failures, &err) < 0)
            return cli_fail(certificate->cli, &err);
    }
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (change_item(certificate, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    if (items.n == 0 && failures.n == 0)
        puts("No resources found");
    return cli_fail_all(certificate->cli, &failures);
}

static int certificate_command(struct cli *cli, bool approve, int argc, char **argv)
{
    struct certificate certificate = {.cli = cli, .approve = approve, .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        {"force", 0, OPT_BOOL, &certificate.force, NULL, "Send the request even if it is decided already."},
        SELECTION_FILE_OPTIONS(&certificate.selection),
        OUTPUT_OPTIONS(&certificate.output_options),
        {0},
    };
    const struct cli_command command = {
        .words = approve ? "certificate approve" : "certificate deny",
        .usage = "(-f FILENAME | NAME) [options]",
        .about = approve ? "Approve a certificate signing request.\n\n The cluster then issues a certificate with what "
                           "the request asks for. SECURITY NOTICE: that may\ngive its holder rights in the cluster or "
                           "somebody's identity; look at the request first."
                         : "Deny a certificate signing request.\n\n No certificate will be issued for it.",
        .examples = approve ? "  # Approve CSR 'csr-sqgzp'\n  kubectl certificate approve csr-sqgzp\n"
                            : "  # Deny CSR 'csr-sqgzp'\n  kubectl certificate deny csr-sqgzp\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_certificate(&certificate, &args);
    selection_done(&certificate.selection);
    output_done(&certificate.output);
    return code;
}

int command_certificate_approve(struct cli *cli, int argc, char **argv)
{
    return certificate_command(cli, true, argc, argv);
}

int command_certificate_deny(struct cli *cli, int argc, char **argv)
{
    return certificate_command(cli, false, argc, argv);
}
