/*
 * podspec_internal.h: what the files of podspec share: the memory behind a configuration, and its parts.
 */
#pragma once

#include "spec/podspec.h"

struct podspec_memory {
    void **items;
    size_t n, cap;
};
struct podspec_memory *podspec_memory_free(struct podspec_memory *memory);
DEFINE_CLEANUP_POINTER(struct podspec_memory *, podspec_memory_free)

/* Takes text over; it lives as long as the memory. */
char *podspec_keep(struct podspec_memory *memory, void *pointer);
const char *podspec_copy(struct podspec_memory *memory, const char *text); /* NULL gives NULL */
/* NULL-ended copy; NULL for an empty list. */
const char *const *podspec_copy_list(struct podspec_memory *memory, const struct strv *list);

/* a cri_pairs that grows; its strings and, after podspec_pairs_end, its array are the memory's */
struct podspec_pairs {
    struct cri_pair *items;
    size_t n, cap;
};
void podspec_pairs_add(struct podspec_memory *memory, struct podspec_pairs *pairs, const char *key, const char *value);
/* All members of a JSON object of strings. */
void podspec_pairs_add_all(struct podspec_memory *memory, struct podspec_pairs *pairs, const struct json *object);
struct cri_pairs podspec_pairs_end(struct podspec_memory *memory, struct podspec_pairs *pairs);

/* podspec_dns.c */
void podspec_dns(struct podspec_memory *memory, const struct json *pod, const struct podspec_context *context,
                 struct cri_sandbox_config *config);
/* The pod's host name and, NULL without a subdomain, its domain; heap strings. */
void podspec_host_name(const struct json *pod, const char *cluster_domain, char **ret_name, char **ret_domain);

/* podspec_security.c */
void podspec_sandbox_security(struct podspec_memory *memory, const struct json *pod,
                              const struct podspec_context *context, struct cri_security *security);
void podspec_container_security(struct podspec_memory *memory, const struct podspec_container_input *input,
                                const struct podspec_context *context, struct cri_security *security);

/* podspec_resources.c */
int podspec_sandbox_resources(const struct json *pod, const struct podspec_context *context,
                              struct cri_sandbox_config *config, struct err *err) MUST_CHECK;
