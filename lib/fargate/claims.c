/*
 * claims.c: see claims.h. https://docs.aws.amazon.com/eks/latest/userguide/fargate.html: static EFS volumes only.
 */
#include "fargate/claims.h"

#include "base/str.h"

static const char *const drivers[] = {"efs.csi.aws.com", "nfs.csi.k8s.io"};

const char *claim_of_volume(const struct json *volume)
{
    return json_str(volume, "persistentVolumeClaim", "claimName", NULL);
}

static bool is_usable_driver(const char *driver)
{
    for (size_t i = 0; i < countof(drivers); i++)
        if (streq(driver, drivers[i]))
            return true;
    return false;
}

enum claim_verdict claim_check(const char *volume, const char *claim_name, const struct json *claim,
                               const struct json *bound, struct buf *why)
{
    const char *volume_name = json_str_or("", claim, "spec", "volumeName", NULL);
    const char *driver = json_str(bound, "spec", "csi", "driver", NULL);

    (void)buf_printf(why, "%.253s not supported because: ", volume);
    if (claim == NULL) {
        (void)buf_printf(why, "persistentvolumeclaim \"%.253s\" not found", claim_name);
        return CLAIM_WAITS;
    }
    if (!streq(json_str(claim, "status", "phase", NULL), "Bound") || *volume_name == '\0') {
        (void)buf_printf(why, "PVC %.253s not bound", claim_name);
        return CLAIM_WAITS;
    }
    if (bound == NULL) {
        (void)buf_printf(why, "PVC %.253s bound to PV %.253s, which is not found", claim_name, volume_name);
        return CLAIM_WAITS;
    }
    if (json_get(bound, "spec", "nfs", NULL) != NULL || is_usable_driver(driver))
        return CLAIM_USABLE;
    (void)buf_printf(why, "PVC %.253s bound to invalid PV %.253s with ", claim_name, volume_name);
    if (driver != NULL)
        (void)buf_printf(why, "CSI Driver: %.253s", driver);
    else
        (void)buf_add_str(why, "an unsupported volume Type");
    return CLAIM_REFUSED;
}
