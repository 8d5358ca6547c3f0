/*
 * command.c: `kustomize`: prints what a kustomization folder comes to. The engine is in the files beside.
 */
#include "kustomize/kustomize.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/yaml.h"

#include "cli.h"

static int run_kustomize(struct cli *cli, const char *folder, bool anywhere, const char *output)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(buf_done) struct buf text = {0}, warnings = {0};
    const struct json *object;
    int code = kustomize_build_files(folder, anywhere, &objects, &warnings, &err);
    fputs(buf_text(&warnings), stderr);
    if (code < 0)
        return cli_fail(cli, &err);
    json_each(object, objects) {
        if (text.len > 0)
            buf_add_str(&text, "---\n");
        yaml_print(object, &text);
    }
    if (output == NULL)
        fwrite(buf_text(&text), 1, text.len, stdout);
    else if (file_write_atomic(output, buf_text(&text), text.len, 0644, &err) < 0)
        return cli_fail(cli, &err);
    return 0;
}

int command_kustomize(struct cli *cli, int argc, char **argv)
{
    static const char only_root[] = "LoadRestrictionsRootOnly", none[] = "LoadRestrictionsNone";
    const char *output = NULL, *restrictor = only_root, *network_name = NULL;
    const char *helm = "helm", *helm_kube_version = NULL;
    bool as_user = false, plugins = false, network = false, helm_enabled = false, helm_debug = false;
    CLEANUP(strv_done) struct strv args = {0}, env = {0}, mounts = {0}, helm_api_versions = {0};
    /* what is about functions in containers and about charts has nothing to act on: a kustomization that names one is refused */
    const struct opt options[] = {
        {"as-current-user", 0, OPT_BOOL, &as_user, NULL, "For functions: run them as this user."},
        {"enable-alpha-plugins", 0, OPT_BOOL, &plugins, NULL, "For functions: let them run."},
        {"enable-helm", 0, OPT_BOOL, &helm_enabled, NULL, "For charts: let them be rendered."},
        {"env", 'e', OPT_LIST, &env, "[]", "For functions: a variable of their environment."},
        {"helm-api-versions", 0, OPT_ARRAY, &helm_api_versions, "[]", "For charts: versions that the cluster has."},
        {"helm-command", 0, OPT_STRING, &helm, "helm", "For charts: the program that renders them."},
        {"helm-debug", 0, OPT_BOOL, &helm_debug, NULL, "For charts: what helm says about its work."},
        {"helm-kube-version", 0, OPT_STRING, &helm_kube_version, "", "For charts: the cluster's version."},
        {"load-restrictor", 0, OPT_STRING, &restrictor, only_root,
         "LoadRestrictionsNone: a kustomization may name files outside its folder."},
        {"mount", 0, OPT_LIST, &mounts, "[]", "For functions: a folder that they see."},
        {"network", 0, OPT_BOOL, &network, NULL, "For functions: let them use the network."},
        {"network-name", 0, OPT_STRING, &network_name, "bridge", "For functions: the network that they use."},
        {"output", 'o', OPT_STRING, &output, "", "Write to this file instead of standard output."},
        {0},
    };
    const struct cli_command command = {
        .words = "kustomize",
        .usage = "DIR [options]",
        .about = "Print the objects that the kustomization of a folder describes. Fields that are not available are "
                 "named.",
        .examples = "  # Build the current folder\n  fks kustomize\n",
        .options = options,
    };
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (args.n > 1)
        return cli_error("specify one path to kustomization.yaml");
    if (!streq(restrictor, only_root) && !streq(restrictor, none))
        return cli_error("illegal flag value --load-restrictor %s; legal values: [%s %s]", restrictor, only_root, none);
    return run_kustomize(cli, args.n == 1 ? args.items[0] : ".", streq(restrictor, none), output);
}
