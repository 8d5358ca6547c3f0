/* kubeconfig_target.c: see kubeconfig_target.h. */
#include "cluster/kubeconfig_target.h"

#include <libgen.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "install/progress.h"

static char *automatic_path(const char *name)
{
    const char *home = getenv("HOME");
    return path_join(home != NULL && *home != '\0' ? home : "/root", ".kube", "fks", "clusters", name, NULL);
}

char *kubeconfig_target_path(const char *flag, bool automatic, const char *name)
{
    CLEANUP(xfree) char *path = automatic ? automatic_path(name) : kube_config_default_path(flag);
    if (path[0] == '/')
        return take(&path);
    CLEANUP(xfree) char *here = get_current_dir_name();
    return path_join(strempty(here), path, NULL);
}

void kubeconfig_target_remove(const struct cluster *cluster)
{
    if (cluster->kubeconfig == NULL)
        return;
    CLEANUP(xfree) char *automatic = automatic_path(cluster->name);
    if (streq(automatic, cluster->kubeconfig)) {
        (void)unlink(automatic);
        return;
    }
    CLEANUP(xfree) char *name = cluster_kubeconfig_name(cluster);
    CLEANUP(xfree) char *context = cluster_kubeconfig_context(cluster);
    CLEANUP(err_clear) struct err err = {0};
    if (kube_config_remove_entry(cluster->kubeconfig, name, context, context, &err) < 0)
        progress(PROGRESS_WARNING, "could not take the cluster out of '%s': %s", cluster->kubeconfig, err_text(&err));
}
