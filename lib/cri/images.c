/*
 * images.c: the calls of the CRI's ImageService.
 */
#include "cri/runtime_internal.h"

#include "base/mem.h"

static void read_image(struct cri_scratch *scratch, const Runtime__V1__Image *message, struct cri_image *image)
{
    *image = (struct cri_image){
        .id = message->id,
        .repo_tags = cri_list(scratch, message->repo_tags, message->n_repo_tags),
        .repo_digests = cri_list(scratch, message->repo_digests, message->n_repo_digests),
        .size_b = message->size,
        .username = message->username,
        .pinned = message->pinned,
    };
    if (message->uid != NULL)
        image->uid = (struct cri_int){true, message->uid->value};
}

static void deliver_image_status(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__ImageStatusResponse *answer = (const Runtime__V1__ImageStatusResponse *)message;
    struct cri_image image;

    if (answer == NULL || answer->image == NULL) {
        done.image(NULL, err, data);
        return;
    }
    read_image(&scratch, answer->image, &image);
    done.image(&image, err, data);
}

static const struct cri_method method_image_status = {
    "ImageService", "ImageStatus", &runtime__v1__image_status_response__descriptor, deliver_image_status, NULL};
static const struct cri_method method_remove_image = {
    "ImageService", "RemoveImage", &runtime__v1__empty_response__descriptor, cri_deliver_ok, NULL};

static void image_by_name(struct cri *cri, const struct cri_method *method, const char *name, int64_t timeout_ms,
                          union cri_done done, void *data)
{
    Runtime__V1__ImageSpec image = RUNTIME__V1__IMAGE_SPEC__INIT;
    Runtime__V1__ImageRequest request = RUNTIME__V1__IMAGE_REQUEST__INIT;

    image.image = cri_text(name);
    request.image = &image;
    cri_start(cri, method, &request.base, timeout_ms, done, data);
}

void cri_image_status(struct cri *cri, const char *image, cri_image_done *done, void *data)
{
    image_by_name(cri, &method_image_status, image, CRI_LIST_TIMEOUT_MS, (union cri_done){.image = done}, data);
}

void cri_remove_image(struct cri *cri, const char *image, cri_ok_done *done, void *data)
{
    image_by_name(cri, &method_remove_image, image, CRI_TIMEOUT_MS, (union cri_done){.ok = done}, data);
}

static void deliver_images(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    const Runtime__V1__ListImagesResponse *answer = (const Runtime__V1__ListImagesResponse *)message;
    struct cri_image *items;

    if (answer == NULL) {
        done.images(NULL, 0, err, data);
        return;
    }
    items = cri_scratch_alloc(&scratch, answer->n_images, sizeof(*items));
    for (size_t i = 0; i < answer->n_images; i++)
        read_image(&scratch, answer->images[i], &items[i]);
    done.images(items, answer->n_images, err, data);
}

static const struct cri_method method_list_images = {
    "ImageService", "ListImages", &runtime__v1__list_images_response__descriptor, deliver_images, NULL};

void cri_list_images(struct cri *cri, cri_images_done *done, void *data)
{
    Runtime__V1__ListImagesRequest request = RUNTIME__V1__LIST_IMAGES_REQUEST__INIT;

    cri_start(cri, &method_list_images, &request.base, CRI_LIST_TIMEOUT_MS,
              (union cri_done){.images = done}, data);
}

static void deliver_pulled(const ProtobufCMessage *message, struct err *err, union cri_done done, void *data)
{
    const Runtime__V1__PullImageResponse *answer = (const Runtime__V1__PullImageResponse *)message;

    done.id(answer != NULL ? answer->image_ref : NULL, err, data);
}

static const struct cri_method method_pull_image = {
    "ImageService", "PullImage", &runtime__v1__pull_image_response__descriptor, deliver_pulled, NULL};

void cri_pull_image(struct cri *cri, const char *image, const struct cri_auth *auth,
                    const struct cri_sandbox_config *sandbox, cri_id_done *done, void *data)
{
    CLEANUP(cri_scratch_done) struct cri_scratch scratch = {0};
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
    Runtime__V1__AuthConfig login = RUNTIME__V1__AUTH_CONFIG__INIT;
    Runtime__V1__PullImageRequest request = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;

    spec.image = cri_text(image);
    spec.user_specified_image = cri_text(image);
    request.image = &spec;
    if (auth != NULL) {
        login.username = cri_text(auth->username);
        login.password = cri_text(auth->password);
        login.auth = cri_text(auth->auth);
        login.identity_token = cri_text(auth->identity_token);
        login.registry_token = cri_text(auth->registry_token);
        request.auth = &login;
    }
    if (sandbox != NULL)
        request.sandbox_config = cri_encode_sandbox(&scratch, sandbox);
    cri_start(cri, &method_pull_image, &request.base, CRI_PULL_TIMEOUT_MS, (union cri_done){.id = done},
              data);
}

const struct cri_method *const cri_image_methods[] = {
    &method_image_status, &method_remove_image, &method_list_images, &method_pull_image, NULL,
};
