/*
 * assets.h: the control plane programs and images of a Kubernetes version, in one folder:
 *     etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl   images/NAME.tar   SHA256SUMS
 */
#pragma once

#include "base/str.h"
#include "cluster/cluster.h"

#define ASSETS_VERSION "v1.36.3" /* the version in scripts/assets/kubernetes/go.mod */

/*
 * The folder, in order: flag (--assets-dir), $FKS_ASSETS, $FKS_HOME/assets/VERSION; when the cache lacks something, the
 * program `fks-assets` beside fks downloads or builds it, with its progress on stderr. Every program is checked against
 * SHA256SUMS (once; again when size or time change). ERR_NOT_FOUND, ERR_INVALID (corrupt) name the file and the way out.
 */
int assets_find(const char *flag, bool with_kubelet, char **ret, struct err *err) MUST_CHECK;
/* The image archives to load into a new host: full paths. */
int assets_images(const char *assets, struct strv *ret, struct err *err) MUST_CHECK;
