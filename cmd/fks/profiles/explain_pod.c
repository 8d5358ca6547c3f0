/*
 * explain_pod.c: `explain pod NAME`: why a pod is where it is, or why it waits: which profile took it or why none did, how
 * its size came about, what is in its way, what each host says, and what happens next. Nothing is asked of fks-scheduler:
 * the same rules are applied to what the API server says now. `explain pod` without a name stays kubectl's.
 */
#include "profiles/explain_pod.h"

#include "base/mem.h"
#include "fargate/claims.h"
#include "fargate/early.h"
#include "fargate/names.h"
#include "fargate/support.h"
#include "profiles/fargate_profiles.h"

struct story {
    struct cli *cli;
    const struct json *pod;
    const char *namespace, *host, *node, *phase; /* "" for none */
    const char *label;                           /* that says which profile took a pod */
    const struct fargate_profile *profile;       /* that has the pod, or would take it; NULL: none */
    bool ours;                                   /* fks-scheduler's */
    bool blocked;                                /* something but the lack of room is in its way */
};

int explain_find(struct cli *cli, const char *path, struct json **ret, struct err *err)
{
    const struct kube_request request = {.path = path};
    int r = cli_do(cli, &request, ret, err);

    if (r != ERR_NOT_FOUND)
        return r;
    err_clear(err);
    *ret = json_free(*ret);
    return 0;
}

/* --- profile */

static void print_misses(const struct story *story, const struct fargate_profile *profile)
{
    const struct json *labels = json_get(story->pod, "metadata", "labels", NULL);

    for (size_t i = 0; i < profile->n_selectors; i++) {
        CLEANUP(buf_done) struct buf why = {0};

        if (fargate_selector_explain(&profile->selectors[i], story->namespace, labels, &why))
            printf("  %s: selector %zu matches\n", profile->name, i + 1);
        else
            printf("  %s: selector %zu: %s\n", profile->name, i + 1, buf_text(&why));
    }
}

/* The pod as it would be at its creation, so that being bound is no obstacle. */
static struct fargate_match match_again(const struct story *story, const struct fargate_profiles *profiles)
{
    CLEANUP(json_free) struct json *pod = json_clone(story->pod);

    json_del(json_edit(pod, "spec", NULL), "nodeName");
    return fargate_match_pod(profiles, story->namespace, pod);
}

static void explain_profile(struct story *story, const struct fargate_profiles *profiles, const struct strv *skipped)
{
    const struct json *labels = json_get(story->pod, "metadata", "labels", NULL);
    const char *name = json_string_value(json_member(labels, story->label));
    struct fargate_match match = match_again(story, profiles);

    printf("Profile:\n");
    if (story->ours) {
        story->profile = name != NULL ? fargate_profiles_find(profiles, name) : NULL;
        story->blocked = story->profile == NULL;
        if (story->profile == NULL)
            printf("  the pod names profile '%s', which %s%s\n", strempty(name),
                   name == NULL ? "is none: it lacks the label " : "does not exist or cannot be used",
                   name == NULL ? story->label : "");
        else if (match.profile == story->profile)
            printf("  %s took the pod: selector %zu matches\n", name, match.selector + 1);
        else
            printf("  %s took the pod, but would not now: %s\n", name,
                   match.profile != NULL ? match.profile->name : fargate_verdict_text(match.verdict));
    } else {
        story->profile = match.profile;
        printf("  none took the pod");
        printf(match.profile != NULL ? ", but %s would now: selector %zu matches\n" : ": %s\n",
               match.profile != NULL ? match.profile->name : fargate_verdict_text(match.verdict), match.selector + 1);
    }
    if (match.profile == NULL)
        for (size_t i = 0; i < profiles->n; i++)
            print_misses(story, &profiles->items[i]);
    for (size_t i = 0; i < skipped->n; i++)
        printf("  %s\n", skipped->items[i]);
}

/* --- the pod itself */

static void explain_size(struct story *story)
{
    CLEANUP(strv_done) struct strv lines = {0};

    fargate_size_explain(story->pod, story->profile->exact_sizing, story->profile->clamp_limits, &lines);
    printf("Size:\n");
    for (size_t i = 0; i < lines.n; i++)
        printf("  %s\n", lines.items[i]);
}

static void explain_support(struct story *story)
{
    CLEANUP(strv_done) struct strv reasons = {0};

    fargate_unsupported(story->pod, &reasons);
    if (reasons.n == 0)
        return;
    story->blocked = true;
    printf("Not supported on Fargate:\n");
    for (size_t i = 0; i < reasons.n; i++)
        printf("  %s\n", reasons.items[i]);
}

static int explain_claim(struct story *story, const struct json *volume, struct strv *drivers, struct err *err)
{
    const char *name = claim_of_volume(volume);
    CLEANUP(xfree) char *claim_path = kube_path("", "v1", story->namespace, "persistentvolumeclaims", name, NULL);
    CLEANUP(json_free) struct json *claim = NULL;
    CLEANUP(json_free) struct json *bound = NULL;
    CLEANUP(buf_done) struct buf why = {0};
    int r = explain_find(story->cli, claim_path, &claim, err);

    if (r < 0)
        return r;
    const char *volume_name = json_str_or("", claim, "spec", "volumeName", NULL);
    CLEANUP(xfree) char *volume_path = kube_path("", "v1", NULL, "persistentvolumes", volume_name, NULL);
    if (*volume_name != '\0' && (r = explain_find(story->cli, volume_path, &bound, err)) < 0)
        return r;
    if (claim_check(json_str_or("", volume, "name", NULL), name, claim, bound, &why) != CLAIM_USABLE) {
        story->blocked = true;
        printf("Volumes:\n  %s\n", buf_text(&why));
    } else {
        claim_drivers(volume, bound, drivers);
    }
    return 0;
}

/* drivers: the CSI drivers that they need on their host */
static int explain_volumes(struct story *story, struct strv *drivers, struct err *err)
{
    const struct json *volume;
    int r = 0;

    json_each(volume, json_get(story->pod, "spec", "volumes", NULL)) {
        if (claim_of_volume(volume) == NULL)
            claim_drivers(volume, NULL, drivers);
        else if ((r = explain_claim(story, volume, drivers, err)) < 0)
            return r;
    }
    return 0;
}

/* Heap copy of the handler behind the pod's RuntimeClass; NULL: the default one. */
static int find_handler(struct story *story, char **ret, struct err *err)
{
    const char *name = json_str_or("", story->pod, "spec", "runtimeClassName", NULL);
    CLEANUP(xfree) char *path = kube_path("node.k8s.io", "v1", NULL, "runtimeclasses", name, NULL);
    CLEANUP(json_free) struct json *class = NULL;
    int r = *name != '\0' ? explain_find(story->cli, path, &class, err) : 0;

    if (r < 0 || *name == '\0')
        return r;
    if (class == NULL) {
        story->blocked = true;
        printf("Runtime:\n  RuntimeClass %s does not exist\n", name);
        return 0;
    }
    *ret = xstrdup(json_str_or("", class, "handler", NULL));
    return 0;
}

/* --- what happens next */

static const char *last_message(const struct story *story)
{
    const struct json *item;

    json_each(item, json_get(story->pod, "status", "conditions", NULL))
        if (streq(json_str(item, "type", NULL), "PodScheduled") && streq(json_str(item, "status", NULL), "False"))
            return json_str(item, "message", NULL);
    return NULL;
}

static void explain_next_of_ours(const struct story *story, size_t fits)
{
    const struct json *annotations = json_get(story->pod, "metadata", "annotations", NULL);
    const char *size = strempty(json_string_value(json_member(annotations, FARGATE_CAPACITY_ANNOTATION)));

    CLEANUP(err_clear) struct err resize = {0};
    const struct fargate_size provisioned = fargate_size_provisioned(story->pod);
    bool clamp = story->profile != NULL && story->profile->clamp_limits;

    if (*story->node != '\0' && fargate_resize_check(story->pod, &provisioned, clamp, &resize) < 0)
        printf("  a resize is not possible: %s\n", err_text(&resize));
    if (*story->node != '\0')
        printf("  it is bound to Node %s, which is %s of host %s; fks-node runs it there\n", story->node, size,
               story->host);
    else if (*story->host != '\0')
        printf("  host %s has %s reserved for it; fks-node makes its Node there, and once that is Ready the pod is "
               "bound\n", story->host, size);
    else if (json_len(json_get(story->pod, "spec", "schedulingGates", NULL)) > 0)
        printf("  nothing before its schedulingGates are removed\n");
    else if (story->blocked)
        printf("  it waits; once the above is mended it is placed, or when it is created again if the pod must change\n");
    else if (fits > 0)
        printf("  fks-scheduler reserves the best of the %zu host%s with room, any moment\n", fits, fits == 1 ? "" : "s");
    else
        printf("  it waits, and is tried again when a pod ends or a host or profile changes, and at least every minute\n");
    if (*story->node == '\0' && last_message(story) != NULL)
        printf("  last said: %s\n", last_message(story));
}

static void explain_next(const struct story *story, size_t fits)
{
    printf("Next:\n");
    if (streq(story->phase, "Succeeded") || streq(story->phase, "Failed"))
        printf("  nothing: it has ended (%s) and holds no capacity\n", story->phase);
    else if (json_get(story->pod, "metadata", "deletionTimestamp", NULL) != NULL)
        printf("  it is being deleted\n");
    else if (story->ours)
        explain_next_of_ours(story, fits);
    else if (story->profile == NULL || *story->node != '\0')
        printf("  nothing: the pod is %s's%s%s\n",
               json_str_or("default-scheduler", story->pod, "spec", "schedulerName", NULL),
               *story->node != '\0' ? ", on node " : "", story->node);
    else if (early_owner(story->pod) != NULL)
        printf("  it came before the profile; 'fks reconcile fargateprofile %s' has it replaced\n", story->profile->name);
    else
        printf("  it came before the profile: delete it and create it again\n");
}

/* --- all of it */

static int explain_placement(struct story *story, size_t *ret_fits, struct err *err)
{
    CLEANUP(xfree) char *handler = NULL;
    CLEANUP(strv_done) struct strv drivers = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    struct fargate_request request;
    struct fargate_size size;
    int r;

    explain_support(story);
    explain_size(story);
    if ((r = explain_volumes(story, &drivers, err)) < 0 || (r = find_handler(story, &handler, err)) < 0)
        return r;
    if (fargate_request_of(story->pod, &request, &ignored) < 0 ||
        fargate_size_for(&request, story->profile->exact_sizing, &size, &ignored) < 0) {
        story->blocked = true; /* the size's own lines end with the reason */
        return 0;
    }
    story->blocked = story->blocked ||
                     (!story->profile->clamp_limits && fargate_limits_check(story->pod, &size, &ignored) < 0);
    if (*story->host != '\0')
        size = fargate_size_provisioned(story->pod);
    return explain_hosts(story->cli, story->pod, story->profile, story->label, &size, handler, &drivers,
                         ret_fits, err);
}

static int explain(struct cli *cli, const char *name, struct err *err)
{
    CLEANUP(cluster_names_done) struct cluster_names names = {0};
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = NULL;
    CLEANUP(strv_done) struct strv skipped = {0};
    CLEANUP(json_free) struct json *pod = NULL;
    struct story story = {.cli = cli};
    size_t fits = 0;
    int r = cli_connect(cli, err);

    if (r < 0)
        return r;
    CLEANUP(xfree) char *path = kube_path("", "v1", cli_namespace(cli), "pods", name, NULL);
    const struct kube_request request = {.path = path};
    if ((r = cli_do(cli, &request, &pod, err)) < 0 || (r = fargate_profiles_load(cli, &profiles, &names, &skipped, err)) < 0)
        return r;
    story.pod = pod;
    story.namespace = json_str_or("", pod, "metadata", "namespace", NULL);
    story.host = strempty(json_string_value(json_member(json_get(pod, "metadata", "labels", NULL), FKS_HOST_LABEL)));
    story.node = json_str_or("", pod, "spec", "nodeName", NULL);
    story.phase = json_str_or("Pending", pod, "status", "phase", NULL);
    story.ours = streq(json_str(pod, "spec", "schedulerName", NULL), names.names.scheduler);
    story.label = names.names.profile_label;
    printf("Pod %s/%s: %s\n", story.namespace, name, story.phase);
    explain_profile(&story, profiles, &skipped);
    if (story.profile != NULL && (r = explain_placement(&story, &fits, err)) < 0)
        return r;
    explain_next(&story, fits);
    return 0;
}

int explain_pod(struct cli *cli, const char *name)
{
    CLEANUP(err_clear) struct err err = {0};
    return explain(cli, name, &err) < 0 ? cli_fail(cli, &err) : 0;
}
