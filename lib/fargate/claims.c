/*
 * claims.c: see claims.h. https://docs.aws.amazon.com/eks/latest/userguide/fargate.html: static EFS volumes only. Other
 * drivers are a matter of hosts: place.h.
 */
#include "fargate/claims.h"

#include "base/str.h"

/* Known to attach disks to nodes; of others the hosts know (FargateHost, spec.csiDrivers). */
static const char *const attaching[] = {
    "ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com", "pd.csi.storage.gke.io", "disk.csi.azure.com", "cinder.csi.openstack.org",
    "csi.vsphere.vmware.com",
};

const char *claim_of_volume(const struct json *volume)
{
    return json_str(volume, "persistentVolumeClaim", "claimName", NULL);
}

static bool is_attaching(const char *driver)
{
    for (size_t i = 0; i < countof(attaching); i++)
        if (streq(driver, attaching[i]))
            return true;
    return false;
}

void claim_drivers(const struct json *volume, const struct json *bound, struct strv *drivers)
{
    const char *driver = json_str_or(NULL, volume, "csi", "driver", NULL);

    if (driver == NULL)
        driver = json_str(bound, "spec", "csi", "driver", NULL);
    if (driver != NULL && !strv_has(drivers, driver))
        strv_add(drivers, driver);
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
    if (json_get(bound, "spec", "nfs", NULL) != NULL || (driver != NULL && !is_attaching(driver)))
        return CLAIM_USABLE;
    (void)buf_printf(why, "PVC %.253s bound to invalid PV %.253s with ", claim_name, volume_name);
    if (driver != NULL)
        (void)buf_printf(why, "CSI Driver: %.253s", driver);
    else
        (void)buf_add_str(why, "an unsupported volume Type");
    return CLAIM_REFUSED;
}
