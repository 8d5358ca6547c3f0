/*
 * records.c: deep copies of CRI structs. No judgement about what they say.
 */
#include "pod/records.h"

#include "base/mem.h"

/* The structs have const members because lenders fill them; copies own theirs. */
static void drop(const char *text)
{
    free((void *)(uintptr_t)text);
}

static struct cri_pairs copy_pairs(const struct cri_pairs *from)
{
    struct cri_pairs to = {.items = xcalloc(from->n + 1, sizeof(to.items[0])), .n = from->n};

    for (size_t i = 0; i < from->n; i++)
        to.items[i] = (struct cri_pair){xstrdup(from->items[i].key), xstrdup(from->items[i].value)};
    return to;
}

static void drop_pairs(struct cri_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        drop(pairs->items[i].key);
        drop(pairs->items[i].value);
    }
    free(pairs->items);
}

static const char *const *copy_list(const char *const *from)
{
    size_t n = 0;

    while (from != NULL && from[n] != NULL)
        n++;
    char **to = xcalloc(n + 1, sizeof(to[0]));
    for (size_t i = 0; i < n; i++)
        to[i] = xstrdup(from[i]);
    return (const char *const *)to;
}

static void drop_list(const char *const *list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        drop(list[i]);
    free((void *)(uintptr_t)list);
}

struct cri_container *record_container(const struct cri_container *from)
{
    struct cri_container *to = NEW(struct cri_container);

    *to = *from;
    to->id = xstrdup(from->id);
    to->sandbox_id = xstrdup(from->sandbox_id);
    to->name = xstrdup(from->name);
    to->image = xstrdup(from->image);
    to->image_ref = xstrdup(from->image_ref);
    to->reason = xstrdup(from->reason);
    to->message = xstrdup(from->message);
    to->log_path = xstrdup(from->log_path);
    to->labels = copy_pairs(&from->labels);
    to->annotations = copy_pairs(&from->annotations);
    return to;
}

struct cri_container *record_container_free(struct cri_container *container)
{
    if (container != NULL) {
        drop(container->id);
        drop(container->sandbox_id);
        drop(container->name);
        drop(container->image);
        drop(container->image_ref);
        drop(container->reason);
        drop(container->message);
        drop(container->log_path);
        drop_pairs(&container->labels);
        drop_pairs(&container->annotations);
        free(container);
    }
    return NULL;
}

void record_container_update(struct cri_container **record, const struct cri_container *from)
{
    struct cri_container *to = record_container(from);

    if (*record != NULL && (to->sandbox_id == NULL || *to->sandbox_id == '\0')) {
        drop(to->sandbox_id);
        to->sandbox_id = xstrdup((*record)->sandbox_id);
    }
    record_container_free(*record);
    *record = to;
}

struct cri_sandbox *record_sandbox(const struct cri_sandbox *from)
{
    struct cri_sandbox *to = NEW(struct cri_sandbox);

    *to = *from;
    to->id = xstrdup(from->id);
    to->name = xstrdup(from->name);
    to->uid = xstrdup(from->uid);
    to->namespace = xstrdup(from->namespace);
    to->ip = xstrdup(from->ip);
    to->labels = copy_pairs(&from->labels);
    to->annotations = copy_pairs(&from->annotations);
    return to;
}

struct cri_sandbox *record_sandbox_free(struct cri_sandbox *sandbox)
{
    if (sandbox != NULL) {
        drop(sandbox->id);
        drop(sandbox->name);
        drop(sandbox->uid);
        drop(sandbox->namespace);
        drop(sandbox->ip);
        drop_pairs(&sandbox->labels);
        drop_pairs(&sandbox->annotations);
        free(sandbox);
    }
    return NULL;
}

struct cri_image *record_image(const struct cri_image *from)
{
    struct cri_image *to = NEW(struct cri_image);

    *to = *from;
    to->id = xstrdup(from->id);
    to->repo_tags = copy_list(from->repo_tags);
    to->repo_digests = copy_list(from->repo_digests);
    to->username = xstrdup(from->username);
    return to;
}

struct cri_image *record_image_free(struct cri_image *image)
{
    if (image != NULL) {
        drop(image->id);
        drop_list(image->repo_tags);
        drop_list(image->repo_digests);
        drop(image->username);
        free(image);
    }
    return NULL;
}
