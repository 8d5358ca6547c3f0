/*
 * limits.h: every maximum in one place. What comes from outside is measured against one of these before it is stored;
 * over it is ERR_TOO_BIG.
 */
#pragma once

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)

#define LIMIT_BUF MIB(256)               /* any buffer without a maximum of its own */
#define LIMIT_FILE MIB(16)               /* a configuration file, manifest, kubeconfig, ConfigMap key from a file */
#define LIMIT_JSON_DEPTH 200             /* nesting; Kubernetes' own decoder stops at 10000 */
#define LIMIT_REVIEW_TREE MIB(16)        /* memory of what is kept of an AdmissionReview; a usual one takes a few KiB */
#define LIMIT_YAML_EVENTS 2000000        /* events of one YAML stream, alias expansions included */
#define LIMIT_HTTP_HEAD KIB(64)          /* request line and headers */
#define LIMIT_HTTP_HEADERS 100           /* header lines of one request */
#define LIMIT_HTTP_BODY MIB(8)           /* request body: an AdmissionReview is at most two 1.5 MiB objects */
#define LIMIT_HTTP_RESPONSE MIB(256)     /* response kept whole: a list of all pods of a large cluster */
#define LIMIT_WATCH_LINE MIB(16)         /* one watch event */
#define LIMIT_GRPC_MESSAGE MIB(16)       /* as the kubelet's CRI client */
#define LIMIT_CONNECTIONS 4096           /* of one server */
#define LIMIT_WS_MESSAGE MIB(1)          /* one WebSocket message */
#define LIMIT_SELECTORS 5                /* of a profile: https://docs.aws.amazon.com/eks/latest/userguide/fargate-profile.html */
#define LIMIT_SELECTOR_LABELS 5          /* of a selector: same page */
#define LIMIT_TERMINATION_MESSAGE 4096   /* bytes of a container's termination message, as the kubelet */
