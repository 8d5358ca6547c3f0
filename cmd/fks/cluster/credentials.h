/*
 * credentials.h: the keys and certificates of a local cluster and the connection files of its components.
 * One CA signs everything; every file is 0600 inside folders of 0700.
 */
#pragma once

#include "cluster/cluster.h"

/* Everything that is not there yet. pki/NAME.crt, .key and kubeconfig/NAME. */
int credentials_make(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* Those of one host: its kubelet API's certificate, and the connection file kubeconfig/HOST. */
int credentials_make_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
/* pki/ca.crt as text. */
int credentials_ca(const struct cluster *cluster, char **ret_pem, struct err *err) MUST_CHECK;
/* Adds the administrator's context to the user's kubeconfig. */
int credentials_write_user_entry(const struct cluster *cluster, const char *path, bool set_current, struct err *err) MUST_CHECK;
