/*
 * pull_secrets.h: which credentials of a pod's imagePullSecrets go with an image. Pure.
 */
#pragma once

#include "base/compiler.h"
#include "data/json.h"

struct pull_credential {
    char *username, *password; /* owned; secrets: wiped when freed */
    char *identity_token;      /* or NULL */
};
struct pull_credentials {
    struct pull_credential *items;
    size_t n, cap;
};
/*
 * Adds what a Secret (types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg) has for this image, the
 * longest match first. A Secret that cannot be read adds nothing.
 */
void pull_secrets_match(const struct json *secret, const char *image, struct pull_credentials *ret);
void pull_credentials_done(struct pull_credentials *credentials);
/*
 * Whether a registry entry ("https://index.docker.io/v1/", "*.example.org/team", "registry:5000") covers the image.
 */
bool pull_secrets_covers(const char *entry, const char *image);
/* Whether text is a well-formed image reference: [host[:port]/]path[:tag][@digest]. */
bool pull_secrets_is_image(const char *text);

DEFINE_CLEANUP_IN_PLACE(struct pull_credentials, pull_credentials_done)
