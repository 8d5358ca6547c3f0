/*
 * client.h: requests to an API server. A request names a path; the answer is a JSON tree, or the server's Status as err
 * (reason, code and message kept). Asynchronous on a loop for daemons, blocking for the command line.
 */
#pragma once

#include "data/json.h"
#include "kube/kubeconfig.h"
#include "net/http.h"

struct kube_client;
struct kube_call;

/* loop NULL: only the blocking kube_do. config is copied. user_agent: "fks-node/v0.1.0". */
int kube_client_new(struct loop *loop, const struct kube_config *config, const char *user_agent,
                    struct kube_client **ret, struct err *err) MUST_CHECK;
/*
 * The same for a daemon with few calls, which keeps its memory small: HTTP/1.1 without libcurl (4 MB), a connection for each
 * call under way; looks names up in a blocking way. Behind a proxy it loads libcurl all the same.
 */
int kube_client_new_light(struct loop *loop, const struct kube_config *config, const char *user_agent,
                          struct kube_client **ret, struct err *err) MUST_CHECK;
/* A folder in kubectl's cache, "fks" is ours: of dir, or NULL for $KUBECACHEDIR or ~/.kube/cache. Heap string. */
char *kube_cache_dir(const char *dir, const char *name) MUST_CHECK;
struct kube_client *kube_client_free(struct kube_client *client);
const struct kube_config *kube_client_config(const struct kube_client *client);
struct loop *kube_client_loop(const struct kube_client *client);

#define KUBE_JSON "application/json"
#define KUBE_JSON_PATCH "application/json-patch+json"
#define KUBE_MERGE_PATCH "application/merge-patch+json"
#define KUBE_STRATEGIC_PATCH "application/strategic-merge-patch+json"
#define KUBE_APPLY_PATCH "application/apply-patch+yaml"

struct kube_request {
    const char *method; /* NULL: GET */
    const char *path;   /* "/api/v1/namespaces/default/pods?limit=500": already encoded (kube_path builds it) */
    const struct json *body; /* borrowed; or NULL */
    const char *body_text;   /* instead of body: sent as it is */
    const char *content_type; /* of the body; NULL: KUBE_JSON */
    const char *accept;       /* NULL: application/json */
    bool to_read;             /* nobody changes or keeps the answer: a cheaper tree (json_parse_in_place) */
    bool together;            /* as in http.h: small answers that are wanted at once */
    const char *as;           /* user that this request alone impersonates; NULL: whom the configuration says */
    const struct json_omit *omit; /* what of the answer makes no tree; borrowed until done; or NULL */
    int64_t timeout_ms;       /* 0: 30 s, or the configuration's request timeout; kube_stream: none */
    int64_t idle_timeout_ms;  /* kube_stream, kube_do_raw: nothing received for so long is ERR_TIMEOUT; 0: none */
};

/*
 * Called once. err unset: *answer is the tree (NULL for an empty body; take() it to keep it). err set: the server's
 * Status (err->reason, http_status; *answer holds the Status) or a transport failure (http_status 0).
 */
typedef void kube_done(struct json **answer, struct err *err, void *data);

struct kube_call *kube_start(struct kube_client *client, const struct kube_request *request, kube_done *done, void *data);
/* Raw bytes, as kube_do_raw, whose other half this is. */
struct kube_call *kube_start_raw(struct kube_client *client, const struct kube_request *request, http_chunk *chunk,
                                 void *chunk_data, struct buf *ret, kube_done *done, void *data);
bool kube_call_is_connected(const struct kube_call *call); /* the server has the word (http.h) */
void kube_cancel(struct kube_call *call); /* done is not called; NULL is fine */
/* Blocking. *ret gets the answer, on a refusal the Status (free it in both cases); ret may be NULL. */
int kube_do(struct kube_client *client, const struct kube_request *request, struct json **ret, struct err *err) MUST_CHECK;
/* As kube_do, for what need not be there: if it is not, that is no failure and *ret stays as it is. */
int kube_find(struct kube_client *client, const struct kube_request *request, struct json **ret, struct err *err) MUST_CHECK;
/*
 * Blocking: several small GETs at once, on one connection where that is possible. ret[i] answers requests[i]; all are NULL
 * when one fails, which err tells of. meanwhile, which may be NULL, does a short piece of other work; it is called again and
 * again while a connected server is waited for, until it returns false.
 */
int kube_do_all(struct kube_client *client, const struct kube_request *requests, size_t n,
                bool (*meanwhile)(void *data), void *data, struct json **ret, struct err *err) MUST_CHECK;
/* Blocking, raw bytes, any content type (logs, --raw); chunk as in http.h, or NULL to collect in *ret. */
int kube_do_raw(struct kube_client *client, const struct kube_request *request, http_chunk *chunk, void *data,
                struct buf *ret, struct err *err) MUST_CHECK;
/* Streaming on the loop: the response body is handed to chunk; status ≥ 400 comes to done as a Status error. */
struct kube_call *kube_stream(struct kube_client *client, const struct kube_request *request, http_chunk *chunk,
                              kube_done *done, void *data);
/* Warning: response headers (RFC 7234 299) of every answer are handed here, text only; NULL: ignored. */
void kube_client_on_warning(struct kube_client *client, void (*callback)(const char *text, void *data), void *data);

/* Hands a warning of our own to the same callback. */
void kube_client_warn(struct kube_client *client, const char *text);

/*
 * One exchange as it goes over the wire, for -v. Called before a request is sent (response NULL) and once its answer, or
 * the head of a stream, is there. All borrowed for the call. Authorization is among the headers: mask it.
 */
struct kube_trace {
    const char *method, *url;
    const struct http_header *headers; /* of the request, NULL with a response */
    size_t n_headers;
    const char *body; /* of the request, or of the response; NULL: none, or a stream */
    const struct http_response *response;
    int64_t elapsed_ms;
};
void kube_client_on_trace(struct kube_client *client, void (*callback)(const struct kube_trace *trace, void *data),
                          void *data);

/*
 * Builds a path: group "" is the core API; namespace, name, subresource may be NULL; each segment is encoded.
 * kube_path("apps", "v1", "default", "deployments", "web", "scale") →
 * "/apis/apps/v1/namespaces/default/deployments/web/scale". Heap string.
 */
char *kube_path(const char *group, const char *version, const char *namespace, const char *plural, const char *name,
                const char *subresource) MUST_CHECK;
/* Appends ?key=value or &key=value, encoded. */
void kube_path_query(struct buf *path, const char *key, const char *value);

/* A Status tree as err (code from reason and code), prefixed by nothing: Status.message. Used for watch ERROR events too. */
int kube_status_error(const struct json *status, int http_status, struct err *err);

DEFINE_CLEANUP_POINTER(struct kube_client *, kube_client_free)
