/*
 * kubeconfig.h: kubeconfig files as client-go reads and writes them, and the resolved way to one API server.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

/* What the command line may override; every member may be NULL. */
struct kube_overrides {
    const char *kubeconfig; /* --kubeconfig: this file only */
    const char *context, *cluster, *user, *namespace, *server, *token;
    const char *certificate_authority, *client_certificate, *client_key; /* file names */
    const char *tls_server_name;
    const char *username, *password;
    const char *as, *as_uid;
    struct strv as_groups;
    struct strv as_user_extra; /* "key=value" each */
    bool insecure_skip_tls_verify;
    int64_t request_timeout_ms; /* 0: none */
    const char *stdin_user;     /* who reads standard input, so that a credential plugin cannot; for the message */
    struct kube_plugin_policy {
        const char *type;               /* "", "AllowAll", "DenyAll", "Allowlist" */
        const struct json *allowlist;   /* array of names and paths; NULL: not given */
    } plugin_policy;                    /* which credential plugins may be run */
};

/* ERR_INVALID in client-go's words when type and list do not go together. */
int kube_plugin_policy_check(const struct kube_plugin_policy *policy, struct err *err) MUST_CHECK;

/* The way to one API server, resolved; all strings owned. */
struct kube_config {
    char *server;                       /* "https://10.0.0.1:6443", no slash at the end */
    char *ca_pem, *cert_pem, *key_pem;  /* or NULL */
    char *tls_server_name;
    bool insecure;
    char *token;      /* bearer token, or NULL */
    char *token_file; /* read again when it changes (in-cluster), or NULL */
    char *username, *password;
    char *proxy_url;
    char *as, *as_uid;
    struct strv as_groups;
    struct strv as_extra_headers, as_extra_values; /* "Impersonate-Extra-KEY" and its value, in pairs */
    char *namespace; /* of the context; "default" if it names none */
    char *context, *cluster_name, *user_name;
    int64_t request_timeout_ms;
};
void kube_config_done(struct kube_config *config);

/*
 * Files in client-go's order (--kubeconfig, else $KUBECONFIG as a list merged first-wins, else ~/.kube/config, else
 * in-cluster), overrides applied, relative paths resolved, exec credential plugins run. Error texts are client-go's:
 * "context \"x\" does not exist", "error loading config file \"F\": ...". Without any
 * configuration the server is http://localhost:8080 (or $KUBERNETES_MASTER), as kubectl.
 * err->reason is "InvalidConfiguration" for entries that break rules: one problem, or several, each a line that
 * begins with "* "; and
 * "ExecCredential" for a failed plugin ("Unable to connect to the server: getting credentials: ...").
 */
int kube_config_load(const struct kube_overrides *overrides, struct kube_config *ret, struct err *err) MUST_CHECK;
/* Pod service account: KUBERNETES_SERVICE_HOST and /var/run/secrets/kubernetes.io/serviceaccount. */
int kube_config_in_cluster(struct kube_config *ret, struct err *err) MUST_CHECK;
/* The merged raw configuration as kubectl config view shows it (a Config tree, secrets included). */
int kube_config_raw(const struct kube_overrides *overrides, struct json **ret, struct err *err) MUST_CHECK;
/* The same with relative file names made absolute, each from the folder of its own file (config view --flatten). */
int kube_config_raw_resolved(const struct kube_overrides *overrides, struct json **ret, struct err *err) MUST_CHECK;

/* The file that new entries go to: --kubeconfig, the first existing or last name of $KUBECONFIG, ~/.kube/config. */
char *kube_config_default_path(const char *kubeconfig_flag) MUST_CHECK;
/*
 * One cluster, user and context merged into a file under an exclusive lock; everything else in it is kept; mode 0600;
 * atomic. Creates the file and its folder.
 */
struct kube_config_entry {
    const char *cluster_name, *user_name, *context_name, *namespace; /* namespace may be NULL */
    const char *server, *ca_pem, *cert_pem, *key_pem;
    bool set_current;
};
int kube_config_write_entry(const char *path, const struct kube_config_entry *entry, struct err *err) MUST_CHECK;
/* Removes them again, and a current-context that names them; absent entries and an absent file are fine. */
int kube_config_remove_entry(const char *path, const char *cluster_name, const char *user_name,
                             const char *context_name, struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct kube_config, kube_config_done)
