/*
 * image_gc.c: see image_gc.h. Looks every few minutes; which images were in use when is remembered from look to look.
 */
#include "images/image_gc.h"

#include <sys/statvfs.h>

#include "base/log.h"
#include "base/mem.h"

#include "pod/pod.h"
#include "pods.h"

#define EVERY_MS 300000
#define FIRST_MS 60000
#define AGE_MIN_MS 120000 /* one that was pulled just now is about to be used */

struct image_memory { /* of one image, from look to look */
    int64_t first_seen_ms, last_used_ms;
    bool seen;
};

struct image_gc {
    struct agent *agent;
    struct loop_timer *timer;
    struct map images; /* id → struct image_memory * */
    uint64_t free_b;   /* what this look is to free; 0: only remember */
    bool stuck; /* told already */
};

static int compare(const void *left, const void *right)
{
    const struct image_gc_image *a = left, *b = right;

    if (a->last_used_ms != b->last_used_ms)
        return a->last_used_ms < b->last_used_ms ? -1 : 1;
    if (a->first_seen_ms != b->first_seen_ms)
        return a->first_seen_ms < b->first_seen_ms ? -1 : 1;
    return strcmp(a->id, b->id);
}

size_t image_gc_choose(struct image_gc_image *images, size_t n, uint64_t free_b, int64_t now_ms)
{
    size_t n_unused = 0, chosen = 0;
    uint64_t freed_b = 0;

    for (size_t i = 0; i < n; i++) {
        if (images[i].in_use || images[i].pinned || now_ms - images[i].first_seen_ms < AGE_MIN_MS)
            continue;
        const struct image_gc_image unused = images[i];
        images[i] = images[n_unused];
        images[n_unused++] = unused;
    }
    if (n_unused > 0)
        qsort(images, n_unused, sizeof(images[0]), compare);
    while (chosen < n_unused && freed_b < free_b)
        freed_b += images[chosen++].size_b;
    return chosen;
}

/* --- a look */

static bool has_name(const struct cri_image *image, const char *name)
{
    for (size_t i = 0; image->repo_tags[i] != NULL; i++)
        if (streq(image->repo_tags[i], name))
            return true;
    for (size_t i = 0; image->repo_digests[i] != NULL; i++)
        if (streq(image->repo_digests[i], name))
            return true;
    return streq(image->id, name);
}

/* A container was made from it, or waits for its start with it. */
static bool is_used(const struct image_gc *gc, const struct cri_image *image)
{
    struct pod *pod;

    for (size_t position = 0; pods_next(gc->agent->pods, &position, &pod);)
        for (size_t i = 0; i < pod->n_containers; i++) {
            const struct pod_container *container = pod->containers[i];
            const struct cri_container *records[] = {container->current, container->last};
            for (size_t j = 0; j < countof(records); j++)
                if (records[j] != NULL && (has_name(image, strempty(records[j]->image_ref)) ||
                                           has_name(image, strempty(records[j]->image))))
                    return true;
            CLEANUP(xfree) char *wanted = podspec_image_name(json_str_or("", container->spec, "image", NULL));
            if ((container->image != NULL && streq(container->image->id, image->id)) || has_name(image, wanted))
                return true;
        }
    for (size_t position = 0; pods_next(gc->agent->pods, &position, &pod);)
        for (size_t i = 0; i < pod->n_volume_images; i++)
            if (pod->volume_images[i]->image != NULL && streq(pod->volume_images[i]->image->id, image->id))
                return true;
    return false;
}

static struct image_memory *memory_of(struct image_gc *gc, const char *id)
{
    struct image_memory *memory = map_get(&gc->images, id);

    if (memory == NULL) {
        memory = NEW(struct image_memory);
        memory->first_seen_ms = loop_now_ms(gc->agent->loop);
        (void)map_set(&gc->images, id, memory);
    }
    memory->seen = true;
    return memory;
}

static void forget_gone(struct image_gc *gc)
{
    const char *id;
    void *memory;

    for (size_t i = 0; map_next(&gc->images, &i, &id, &memory);) {
        if (!((struct image_memory *)memory)->seen)
            free(map_del(&gc->images, id));
        else
            ((struct image_memory *)memory)->seen = false;
    }
}

static void on_removed(struct err *err, void *data)
{
    struct image_gc *gc = data;

    if (err->code != 0 && err->code != ERR_NOT_FOUND)
        agent_warn("removing an unused image", gc->agent->options.host_name, err);
}

static void on_images(const struct cri_image *items, size_t n, struct err *err, void *data)
{
    struct image_gc *gc = data;
    CLEANUP(xfree) struct image_gc_image *images = xcalloc(n + 1, sizeof(images[0]));
    int64_t now_ms = loop_now_ms(gc->agent->loop);

    loop_timer_set(gc->timer, EVERY_MS);
    if (err->code != 0) {
        agent_warn("listing images", gc->agent->options.host_name, err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct image_memory *memory = memory_of(gc, items[i].id);
        bool used = is_used(gc, &items[i]);
        if (used)
            memory->last_used_ms = now_ms;
        images[i] = (struct image_gc_image){
            .id = items[i].id,
            .size_b = items[i].size_b,
            .first_seen_ms = memory->first_seen_ms,
            .last_used_ms = memory->last_used_ms,
            .in_use = used,
            .pinned = items[i].pinned || (gc->agent->sandbox_image != NULL && has_name(&items[i], gc->agent->sandbox_image)),
        };
    }
    forget_gone(gc);
    size_t chosen = gc->free_b > 0 ? image_gc_choose(images, n, gc->free_b, now_ms) : 0;
    bool stuck = gc->free_b > 0 && chosen == 0;
    if (stuck && !gc->stuck)
        log_warn("the disk is fuller than --image-gc-high-threshold allows, and no image is unused long enough to be removed: "
                 "something else fills it", "folder", gc->agent->options.state_dir);
    gc->stuck = stuck;
    for (size_t i = 0; i < chosen; i++) {
        log_info("removing an image that nothing uses: the disk is full", "image", images[i].id);
        cri_remove_image(gc->agent->cri, images[i].id, on_removed, gc);
    }
}

/* What has to go to come from above the high threshold to the low one. */
static uint64_t bytes_to_free(const struct agent *agent)
{
    const struct agent_options *options = &agent->options;
    struct statvfs disk;

    if (options->image_gc_high >= 100 || statvfs(options->state_dir, &disk) < 0 || disk.f_blocks == 0)
        return 0;
    uint64_t used = 100 - (uint64_t)disk.f_bavail * 100 / disk.f_blocks;
    if (used < (uint64_t)options->image_gc_high)
        return 0;
    uint64_t target = (uint64_t)disk.f_blocks * (100 - (uint64_t)options->image_gc_low) / 100;
    return target > disk.f_bavail ? (target - disk.f_bavail) * disk.f_frsize : 0;
}

static void look(void *data)
{
    struct image_gc *gc = data;

    gc->free_b = pods_settled(gc->agent->pods) ? bytes_to_free(gc->agent) : 0;
    cri_list_images(gc->agent->cri, on_images, gc);
}

struct image_gc *image_gc_new(struct agent *agent)
{
    struct image_gc *gc = NEW(struct image_gc);

    gc->agent = agent;
    gc->timer = loop_timer_new(agent->loop, look, gc);
    if (agent->options.image_gc_high < 100)
        loop_timer_set(gc->timer, FIRST_MS);
    return gc;
}

struct image_gc *image_gc_free(struct image_gc *gc)
{
    const char *id;
    void *memory;

    if (gc != NULL) {
        loop_timer_free(gc->timer);
        for (size_t i = 0; map_next(&gc->images, &i, &id, &memory);)
            free(memory);
        map_done(&gc->images);
        free(gc);
    }
    return NULL;
}
