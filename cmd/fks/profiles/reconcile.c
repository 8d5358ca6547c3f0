/*
 * reconcile.c: `reconcile fargateprofile NAME`: pods that were created before the profile and wait for an ordinary node
 * are evicted, so that their controllers create them again, now through admission. The profile's option
 * reconcilePendingPods has fks-scheduler do the same all the time.
 */
#include "base/mem.h"
#include "fargate/early.h"
#include "fargate/names.h"
#include "objects/departure.h"
#include "profiles/fargate_profiles.h"

static int find_pods(struct cli *cli, const struct fargate_profiles *profiles, const char *name, struct json *going,
                     struct err *err)
{
    static const struct kube_request request = {
        .path = "/api/v1/pods?fieldSelector=spec.schedulerName%3Ddefault-scheduler%2Cspec.nodeName%3D%2C"
                "status.phase%3DPending"};
    CLEANUP(json_free) struct json *list = NULL;
    const struct json *pod;
    int r = cli_do(cli, &request, &list, err);

    json_each(pod, json_get(list, "items", NULL)) {
        const struct fargate_profile *profile;
        enum early_verdict verdict = early_check(profiles, pod, &profile);

        if (verdict == EARLY_NOT || !streq(profile->name, name))
            continue;
        if (verdict == EARLY_REPLACE)
            json_push(going, json_keep(pod));
        else
            fprintf(stderr, "pod %s/%s matches too, but no controller would replace it: delete it and create it again\n",
                    json_str_or("", pod, "metadata", "namespace", NULL), json_str_or("", pod, "metadata", "name", NULL));
    }
    return r;
}

static int reconcile(struct cli *cli, const struct departure_options *options, const char *name, struct err *err)
{
    CLEANUP(cluster_names_done) struct cluster_names names = {0};
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = NULL;
    CLEANUP(strv_done) struct strv skipped = {0};
    CLEANUP(json_free) struct json *going = json_new_array();
    int r = fargate_profiles_load(cli, &profiles, &names, &skipped, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < skipped.n; i++)
        if (starts_with(skipped.items[i], name) && skipped.items[i][strlen(name)] == ':')
            return err_set(err, ERR_INVALID, "Fargate profile %s takes no pods", skipped.items[i]);
    if (fargate_profiles_find(profiles, name) == NULL)
        return err_set(err, ERR_NOT_FOUND, "No Fargate Profile found with name: %s.", name);
    r = find_pods(cli, profiles, name, going, err);
    if (r == 0 && json_len(going) == 0)
        printf("no pod waits that profile %s would take\n", name);
    return r < 0 ? r : departure_run(cli, options, going, err);
}

int command_reconcile_fargateprofile(struct cli *cli, int argc, char **argv)
{
    struct departure_options departure = {.grace_period_s = -1};
    const struct opt options[] = {
        DEPARTURE_OPTIONS(&departure),
        {.name = "dry-run", .type = OPT_BOOL, .value = &departure.dry_run, .help = "Only tell which pods would go."},
        {0},
    };
    const struct cli_command command = {
        .words = "reconcile fargateprofile",
        .usage = "NAME [options]",
        .about = "Replace pods that were created before a Fargate profile and would run serverless now.\n\nPending pods of "
                 "the default scheduler that the profile matches and a controller owns are evicted, so that they are "
                 "created again. PodDisruptionBudgets are respected.",
        .examples = "  # Pods that hang because they came before their profile\n  fks reconcile fargateprofile fp-default",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0;

    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (args.n != 1)
        return cli_error("the name of one Fargate profile is needed\nSee '%s reconcile fargateprofile -h' for help and "
                         "examples", cli->program);
    return reconcile(cli, &departure, args.items[0], &err) < 0 ? cli_fail(cli, &err) : 0;
}
