/*
 * host_files.h: the configuration of one host's programs: containerd, CNI, and the kubelet of an ordinary node.
 */
#pragma once

#include "cluster/cluster.h"

#define HOST_SANDBOX_IMAGE "fks.dev/pause:1" /* made by `make images` */

/* Writes what is missing under hosts/NAME/ and makes the folders under /run/fks/I/. */
int host_files_write(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
/* resolv.conf for pods: the machine's real name servers (127.0.0.53 and other loopback ones do not work inside a pod). */
int host_files_resolv_conf(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* The folder of the standard CNI plugins; ERR_NOT_FOUND says which package has them. Heap string. */
int host_files_cni_dir(char **ret, struct err *err) MUST_CHECK;
