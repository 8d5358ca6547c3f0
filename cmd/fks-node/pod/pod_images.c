/*
 * pod_images.c: gets one container's image ready before each of its starts, by the kubelet's rules:
 * imagePullPolicy, pull secrets one after the other, back-off with its reasons and events. Not all pull at once
 * (image_turns.c); the runtime merges equal pulls of several pods.
 */
#include "base/log.h"
#include "base/mem.h"

#include "images/image_credentials.h"
#include "images/image_turns.h"
#include "pod/pod.h"
#include "images/pull_secrets.h"
#include "pod/records.h"

static const char *image_text(const struct pod_container *container)
{
    return json_str_or("", container->spec, "image", NULL);
}

static const char *policy(const struct pod_container *container)
{
    return json_str_or("IfNotPresent", container->spec, "imagePullPolicy", NULL);
}

/* The container cannot start; tried again after the back-off. */
static void image_failed(struct pod_container *container, const char *reason, const char *message)
{
    container->image_state = POD_IMAGE_FAILED;
    backoff_fail(&container->image_backoff, pod_now(container->pod), BACKOFF_RESTART_FIRST_MS,
                 BACKOFF_RESTART_MAX_MS);
    pod_container_wait(container, reason, message);
    pod_container_event(container, "Warning", "Failed", "Error: %s", reason);
}

/* Reasons of this file, which are over when the image is there; others are not ours to take back. */
static bool waits_for_image(const struct pod_container *container)
{
    static const char *const reasons[] = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName",
                                          "ImageInspectError"};

    for (size_t i = 0; i < countof(reasons); i++)
        if (streq(container->waiting_reason, reasons[i]))
            return true;
    return false;
}

static void image_ready(struct pod_container *container, const struct cri_image *image)
{
    record_image_free(container->image);
    container->image = record_image(image);
    container->image_state = POD_IMAGE_READY;
    backoff_reset(&container->image_backoff);
    container->pull_secret = 0;
    if (waits_for_image(container))
        pod_container_wait(container, NULL, NULL);
}

static bool is_away(const struct err *err)
{
    return err->code == ERR_REFUSED || err->code == ERR_IO;
}

/* The runtime is away: no fault of the image. */
static bool runtime_away(struct pod_container *container, const char *what, const struct err *err)
{
    if (!is_away(err))
        return false;
    container->image_state = POD_IMAGE_UNKNOWN;
    pod_retry_later(container->pod, what, err);
    return true;
}

/* --- pull */

static void collect_credentials(const struct pod_container *container, struct pull_credentials *ret)
{
    const struct pod *pod = container->pod;
    const struct json *reference;

    json_each(reference, json_get(pod->object, "spec", "imagePullSecrets", NULL)) {
        CLEANUP(xfree) char *key = xasprintf("Secret/%s", json_str_or("", reference, "name", NULL));
        pull_secrets_match(map_get(&pod->objects, key), image_text(container), ret);
    }
}

static void on_pulled_status(const struct cri_image *image, struct err *err, void *data)
{
    struct pod_container *container = data;

    if (err->code == 0 && image != NULL) {
        CLEANUP(pull_credentials_done) struct pull_credentials credentials = {0};
        collect_credentials(container, &credentials);
        image_credentials_record(container->pod->agent->image_credentials, image->id,
                                 container->pull_secret < credentials.n ? &credentials.items[container->pull_secret]
                                                                        : NULL);
        int64_t now_ms = pod_now(container->pod);
        int64_t waited_ms = now_ms - container->pull_ms, took_ms = now_ms - container->pull_begun_ms;
        pod_container_event(container, "Normal", "Pulled",
                  "Successfully pulled image \"%s\" in %lld.%03llds (%lld.%03llds including waiting). Image size: "
                  "%llu bytes.",
                  image_text(container), (long long)took_ms / 1000, (long long)took_ms % 1000,
                  (long long)waited_ms / 1000, (long long)waited_ms % 1000, (unsigned long long)image->size_b);
        image_ready(container, image);
    } else if (!runtime_away(container, "looking at a pulled image", err)) {
        image_failed(container, "ErrImagePull", err->code != 0 ? cri_error_text(err) : "the image is gone after its pull");
    }
    pod_call_done(container->pod);
}

static void pull(struct pod_container *container);

static void on_pulled(const char *id, struct err *err, void *data)
{
    struct pod_container *container = data;
    CLEANUP(pull_credentials_done) struct pull_credentials credentials = {0};

    if (err->code == 0) {
        image_turns_give(container->pod->agent->image_turns);
        cri_image_status(container->pod->agent->cri, id, on_pulled_status, container);
        return;
    }
    collect_credentials(container, &credentials);
    bool again = !is_away(err) && container->pull_secret + 1 < credentials.n && container->spec != NULL;
    if (!again)
        image_turns_give(container->pod->agent->image_turns);
    if (runtime_away(container, "pulling an image", err)) {
        ;
    } else if (again) {
        container->pull_secret++;
        pull(container);
    } else {
        container->pull_secret = 0;
        pod_container_event(container, "Warning", "Failed", "Failed to pull image \"%s\": %s", image_text(container),
                  cri_error_text(err));
        image_failed(container, "ErrImagePull", cri_error_text(err));
    }
    pod_call_done(container->pod);
}

static void pull(struct pod_container *container)
{
    CLEANUP(pull_credentials_done) struct pull_credentials credentials = {0};
    CLEANUP(xfree) char *name = podspec_image_name(image_text(container));
    struct pod *pod = container->pod;
    struct cri_auth auth = {0};

    collect_credentials(container, &credentials);
    if (container->pull_secret < credentials.n) {
        const struct pull_credential *credential = &credentials.items[container->pull_secret];
        auth = (struct cri_auth){
            .username = credential->username,
            .password = credential->password,
            .identity_token = credential->identity_token,
        };
    }
    pod_call_begin(pod);
    cri_pull_image(pod->agent->cri, name, credentials.n > 0 ? &auth : NULL,
                   pod->sandbox_spec != NULL ? &pod->sandbox_spec->config : NULL, on_pulled, container);
}

/* The pod may have been deleted meanwhile; then somebody else's turn comes sooner. */
static void on_turn(void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;

    if (container->spec == NULL || pod->gone || pod_is_deleted(pod)) {
        container->image_state = POD_IMAGE_UNKNOWN;
        image_turns_give(pod->agent->image_turns);
    } else {
        container->pull_begun_ms = pod_now(pod);
        pull(container);
    }
    pod_call_done(pod);
}

static void start_pull(struct pod_container *container)
{
    pod_container_event(container, "Normal", "Pulling", "Pulling image \"%s\"", image_text(container));
    container->pull_ms = pod_now(container->pod);
    container->pull_secret = 0;
    pod_call_begin(container->pod);
    image_turns_take(container->pod->agent->image_turns, on_turn, container);
}

/* --- look */

static void on_looked(const struct cri_image *image, struct err *err, void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;
    CLEANUP(pull_credentials_done) struct pull_credentials credentials = {0};
    bool foreign = false; /* somebody else's private image */

    collect_credentials(container, &credentials);
    if (image != NULL)
        foreign = !image_credentials_allow(pod->agent->image_credentials, image->id, &credentials);
    if (err->code != 0) {
        if (!runtime_away(container, "looking for an image", err))
            image_failed(container, "ImageInspectError", cri_error_text(err));
    } else if (container->spec == NULL) {
        container->image_state = POD_IMAGE_UNKNOWN;
    } else if (image != NULL && !foreign && !streq(policy(container), "Always")) {
        pod_container_event(container, "Normal", "Pulled",
                  "Container image \"%s\" already present on machine and can be accessed by the pod",
                  image_text(container));
        image_ready(container, image);
    } else if (streq(policy(container), "Never")) {
        CLEANUP(xfree) char *message =
            xasprintf(foreign ? "Container image \"%s\" is present, but was pulled with credentials that the pod does not "
                                "have, and its pull policy is Never"
                              : "Container image \"%s\" is not present with pull policy of Never",
                      image_text(container));
        pod_container_event(container, "Warning", "ErrImageNeverPull", "%s", message);
        image_failed(container, "ErrImageNeverPull", message);
    } else {
        start_pull(container);
    }
    pod_call_done(pod);
}

static void look(struct pod_container *container)
{
    CLEANUP(xfree) char *name = podspec_image_name(image_text(container));

    container->image_state = POD_IMAGE_BUSY;
    pod_call_begin(container->pod);
    cri_image_status(container->pod->agent->cri, name, on_looked, container);
}

/* In the back-off: the reason changes from what went wrong to waiting, once. */
static void tell_backoff(struct pod_container *container)
{
    if (!streq(container->waiting_reason, "ErrImagePull"))
        return;
    CLEANUP(xfree) char *message =
        xasprintf("Back-off pulling image \"%s\": ErrImagePull: %s", image_text(container),
                  strempty(container->waiting_message));
    pod_container_event(container, "Normal", "BackOff", "Back-off pulling image \"%s\"", image_text(container));
    pod_container_event(container, "Warning", "Failed", "Error: ImagePullBackOff");
    pod_container_wait(container, "ImagePullBackOff", message);
}

bool pod_image_sync(struct pod_container *container)
{
    struct pod *pod = container->pod;
    int64_t wait_ms = backoff_left_ms(&container->image_backoff, pod_now(pod));

    if (container->image_state == POD_IMAGE_READY)
        return true;
    if (container->image_state == POD_IMAGE_BUSY)
        return false;
    if (container->image_state == POD_IMAGE_FAILED && wait_ms > 0) {
        /* what went wrong is shown for a second, as the kubelet's next look at the pod would */
        int64_t shown_ms = container->image_backoff.wait_ms - wait_ms;
        if (shown_ms >= 1000)
            tell_backoff(container);
        pod_wake_in(pod, shown_ms >= 1000 ? wait_ms : 1000 - shown_ms);
        return false;
    }
    if (!pod_may_try(pod) || !pod_objects_known(pod))
        return false;
    if (!pull_secrets_is_image(image_text(container))) {
        CLEANUP(xfree) char *message =
            xasprintf("Failed to apply default image tag \"%s\": couldn't parse image name \"%s\": "
                      "invalid reference format",
                      image_text(container), image_text(container));
        pod_container_event(container, "Warning", "InspectFailed", "%s", message);
        image_failed(container, "InvalidImageName", message);
        pod_wake(pod);
        return false;
    }
    look(container);
    return false;
}
