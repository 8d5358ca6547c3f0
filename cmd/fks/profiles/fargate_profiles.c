/*
 * fargate_profiles.c: see fargate_profiles.h.
 */
#include "profiles/fargate_profiles.h"

#include "base/mem.h"
#include "fargate/names.h"

int fargate_profiles_load(struct cli *cli, struct fargate_profiles **ret, struct cluster_names *ret_names,
                          struct strv *ret_skipped, struct err *err)
{
    static const struct kube_request request = {.path = FKS_PROFILES_PATH};
    CLEANUP(json_free) struct json *list = NULL;
    const struct json *object;
    struct fargate_profile *items;
    size_t n = 0;
    int r = cli_do(cli, &request, &list, err);

    if (r == ERR_NOT_FOUND) {
        err_clear(err);
        return err_set(err, ERR_NOT_FOUND, "this cluster knows no FargateProfiles: it was not made by FKS");
    }
    if (r < 0 || (r = cluster_names_read(cli->client, ret_names, err)) < 0)
        return r;
    items = xcalloc(json_len(json_get(list, "items", NULL)) + 1, sizeof(*items));
    json_each(object, json_get(list, "items", NULL)) {
        CLEANUP(err_clear) struct err problem = {0};
        const char *name = json_str_or("", object, "metadata", "name", NULL);

        if (json_get(object, "metadata", "deletionTimestamp", NULL) != NULL)
            (void)err_set(&problem, ERR_GONE, "it is being deleted");
        else if (fargate_profile_read(object, &items[n], &problem) == 0)
            n++;
        if (problem.code != 0 && ret_skipped != NULL)
            strv_addf(ret_skipped, "%s: %s", name, err_text(&problem));
    }
    *ret = fargate_profiles_new(items, n);
    (*ret)->names = &ret_names->names;
    return 0;
}

const struct fargate_profile *fargate_profiles_find(const struct fargate_profiles *profiles, const char *name)
{
    for (size_t i = 0; i < profiles->n; i++)
        if (streq(profiles->items[i].name, name))
            return &profiles->items[i];
    return NULL;
}
