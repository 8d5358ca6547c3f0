/*
 * ledger.c: see ledger.h. Keeps a copy of every host's book, judges its entries by what is known of their pods, and counts
 * as taken what no pod here holds: room that another replica promised. ledger_write.c changes the books.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "fargate/names.h"
#include "ledger_internal.h"
#include "room.h"

#define ASK_AFTER_MS 5000 /* a pod that only a book knows: the watch usually brings it sooner */
#define ASK_AGAIN_MS 60000
#define ASKS_PER_TICK 16

/* Lines begin with a uid, and no two with the same. */
static int compare_lines(const void *a, const void *b)
{
    const struct str *one = &((const struct ledger_entry *)a)->line, *other = &((const struct ledger_entry *)b)->line;
    size_t len = one->len < other->len ? one->len : other->len;
    int order = memcmp(one->p, other->p, len);

    return order != 0 ? order : (one->len > other->len) - (one->len < other->len);
}

static int compare_uid(const void *uid, const void *entry)
{
    const struct str *line = &((const struct ledger_entry *)entry)->line;
    size_t len = strlen(uid);
    int order = memcmp(uid, line->p, len < line->len ? len : line->len);

    return order != 0 || (len < line->len && line->p[len] == ' ') ? order : -1;
}

struct ledger_entry *ledger_find(const struct ledger_book *book, const char *uid)
{
    return book->n_entries > 0 ? bsearch(uid, book->entries, book->n_entries, sizeof(*book->entries), compare_uid) : NULL;
}

/* Zero-filled for a line that cannot be read. */
static struct book_line read_line(const struct ledger_entry *entry)
{
    CLEANUP(err_clear) struct err ignored = {0};
    struct book_line line = {0};

    return book_line_parse(entry->line, &line, &ignored) < 0 ? (struct book_line){0} : line;
}

static struct pod *pod_of(const struct ledger_book *book, const struct ledger_entry *entry)
{
    char uid[BOOK_UID_MAX + 1] = "";
    struct str head, tail;

    if (str_cut(entry->line, ' ', &head, &tail) && head.len < sizeof(uid))
        memcpy(uid, head.p, head.len);
    return map_get(&book->ledger->scheduler->pods_by_uid, uid);
}

static bool holds(const struct pod *pod, const struct ledger_book *book)
{
    return pod->held.host != NULL && streq(pod->held.host->name, book->host);
}

bool ledger_is_void(const struct ledger_book *book, const struct ledger_entry *entry)
{
    const struct pod *pod = pod_of(book, entry);

    if (entry->gone || pod == NULL)
        return entry->gone;
    return pod->stage == POD_ENDED || (!holds(pod, book) && pod->version > entry->version);
}

/* --- room that another replica promised */

static void promise_free(struct ledger_entry *entry)
{
    struct ledger_promise *promise = take(&entry->promise);

    if (promise == NULL)
        return;
    hosts_release(&promise->book->ledger->scheduler->hosts, &promise->held);
    kube_cancel(promise->call);
    promise->book->ledger->n_promises--;
    free(promise->pod);
    free(promise);
}

static void promise_count(struct ledger_entry *entry)
{
    struct ledger_promise *promise = entry->promise;
    const struct fargate_size size = read_line(entry).size;

    if (promise->held.host != NULL)
        return;
    hosts_reserve(&promise->book->ledger->scheduler->hosts, &promise->held, promise->book->host, &size);
    promise->held.promised = true;
}

static void promise_new(struct ledger_book *book, struct ledger_entry *entry)
{
    struct ledger_promise *promise = NEW(struct ledger_promise);
    const struct book_line line = read_line(entry);

    memcpy(promise->uid, line.uid, sizeof(line.uid));
    promise->pod = xstrndup(line.pod.p, line.pod.len);
    promise->book = book;
    promise->ask_ms = loop_now_ms(book->ledger->scheduler->loop) + ASK_AFTER_MS;
    entry->promise = promise;
    book->ledger->n_promises++;
}

void ledger_judge(struct ledger_book *book, struct ledger_entry *entry)
{
    const struct pod *pod = pod_of(book, entry);
    bool is_void = ledger_is_void(book, entry);

    if (is_void)
        book->untidy = true;
    if (is_void || (pod != NULL && holds(pod, book))) {
        if (is_void && entry->promise != NULL)
            scheduler_wake(book->ledger->scheduler);
        promise_free(entry);
        return;
    }
    if (entry->promise == NULL)
        promise_new(book, entry);
    promise_count(entry);
}

/* --- reading a book */

/* A line that cannot be read counts for nothing, and is taken out. */
static void read_entries(struct ledger_book *book)
{
    struct str rest = str_of(book->text), line;
    size_t cap = 0;

    book->entries = NULL;
    book->n_entries = 0;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        if (line.len == 0)
            continue;
        GROW(book->entries, book->n_entries, cap);
        struct ledger_entry *entry = &book->entries[book->n_entries++];
        *entry = (struct ledger_entry){.line = line};
        const struct book_line read = read_line(entry);
        entry->gone = read.uid[0] == '\0';
        entry->version = read.version;
    }
    if (book->n_entries > 0)
        qsort(book->entries, book->n_entries, sizeof(*book->entries), compare_lines);
}

/* What was known of the entries before: that a pod is gone, and since when a promise has been one. */
static void inherit(struct ledger_book *book, struct ledger_entry *before, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct book_line line = read_line(&before[i]);
        struct ledger_entry *entry = ledger_find(book, line.uid);

        if (entry != NULL)
            entry->gone = entry->gone || before[i].gone;
        if (entry != NULL && entry->version == before[i].version)
            entry->promise = take(&before[i].promise);
        else
            promise_free(&before[i]);
    }
}

static void book_read(struct ledger_book *book, const char *text)
{
    CLEANUP(xfree) char *text_before = book->text;
    CLEANUP(xfree) struct ledger_entry *before = book->entries;
    size_t n = book->n_entries;

    book->text = xstrdup(strempty(text));
    read_entries(book);
    inherit(book, before, n);
    for (size_t i = 0; i < book->n_entries; i++)
        ledger_judge(book, &book->entries[i]);
}

struct ledger_book *ledger_book_of(struct ledger *ledger, const char *host)
{
    struct ledger_book *book = map_get(&ledger->books, host);

    if (book != NULL)
        return book;
    book = NEW(struct ledger_book);
    book->ledger = ledger;
    book->host = xstrdup(host);
    (void)map_set(&ledger->books, host, book);
    return book;
}

void ledger_on_book(struct ledger *ledger, const char *host, const struct json *object)
{
    struct ledger_book *book = ledger_book_of(ledger, strempty(host));
    uint64_t version = strtoull(json_str_or("0", object, "metadata", "resourceVersion", NULL), NULL, 10);

    if (object != NULL && version <= book->version)
        return;
    book->version = version;
    book_read(book, json_str(object, "data", LEDGER_BOOK_KEY, NULL));
}

/* --- what becomes of pods */

void ledger_on_room(struct pod *pod, const char *host)
{
    struct ledger_book *book = map_get(&pod->scheduler->ledger->books, host);
    struct ledger_entry *entry = book != NULL ? ledger_find(book, pod->uid) : NULL;

    if (entry != NULL)
        ledger_judge(book, entry);
}

void ledger_on_pod(struct pod *pod)
{
    const struct ledger *ledger = pod->scheduler->ledger;
    const char *host;

    /* entries that count no longer, and those of pods that hold the room, stay as they are */
    for (size_t i = 0; ledger->n_promises > 0 && map_next(&ledger->books, &i, &host, NULL);)
        ledger_on_room(pod, host);
}

void ledger_on_end(struct pod *pod)
{
    struct ledger *ledger = pod->scheduler->ledger;
    const char *host;
    void *value;

    for (size_t i = 0; map_next(&ledger->books, &i, &host, &value);) {
        struct ledger_book *book = value;
        struct ledger_entry *entry = ledger_find(book, pod->uid);

        ledger_drop(book, pod);
        if (entry == NULL)
            continue;
        entry->gone = true;
        ledger_judge(book, entry);
    }
}

void ledger_set_aside(struct pod *pod)
{
    struct ledger *ledger = pod->scheduler->ledger;
    const char *host;
    void *value;

    if (ledger->n_promises == 0)
        return;
    for (size_t i = 0; map_next(&ledger->books, &i, &host, &value);) {
        struct ledger_entry *entry = ledger_find(value, pod->uid);

        if (entry != NULL && entry->promise != NULL)
            hosts_release(&ledger->scheduler->hosts, &entry->promise->held);
    }
}

void ledger_put_back(struct pod *pod)
{
    ledger_on_pod(pod);
}

/* --- the second */

/* Whether it is there at all, since no watch of ours brings it: it may have gone before this replica came. */
static void on_asked(struct json **answer, struct err *err, void *data)
{
    struct ledger_promise *promise = data;
    struct ledger_book *book = promise->book;
    struct ledger_entry *entry = ledger_find(book, promise->uid);

    promise->call = NULL;
    promise->ask_ms = loop_now_ms(book->ledger->scheduler->loop) + ASK_AGAIN_MS;
    if (err->code != ERR_NOT_FOUND && (err->code != 0 || streq(json_str(*answer, "metadata", "uid", NULL), promise->uid)))
        return;
    entry->gone = true;
    ledger_judge(book, entry);
}

/* A pod that stays as it was keeps its entry from becoming void; any change of it makes sure that no label comes. */
static void on_touched(struct json **answer, struct err *err, void *data)
{
    struct ledger_promise *promise = data;
    struct pod *pod = map_get(&promise->book->ledger->scheduler->pods_by_uid, promise->uid);

    promise->call = NULL;
    if (err->code == 0 && pod != NULL)
        observe_pod(pod, *answer); /* may free the promise */
}

static void ask_after(struct ledger_promise *promise)
{
    struct scheduler *scheduler = promise->book->ledger->scheduler;
    const struct pod *pod = map_get(&scheduler->pods_by_uid, promise->uid);
    struct str namespace, name;
    char now[CLOCK_TEXT_MAX];

    promise->ask_ms = loop_now_ms(scheduler->loop) + ASK_AGAIN_MS;
    if (!str_cut(str_of(promise->pod), '/', &namespace, &name))
        return;
    CLEANUP(xfree) char *namespace_text = xstrndup(namespace.p, namespace.len);
    CLEANUP(xfree) char *name_text = xstrndup(name.p, name.len);
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace_text, "pods", name_text, NULL);
    struct kube_request request = {.path = path};

    if (pod == NULL) {
        promise->call = kube_start(scheduler->client, &request, on_asked, promise);
        return;
    }
    clock_rfc3339(clock_wall_ns(), now);
    CLEANUP(json_free) struct json *body =
        json_build("{s:{s:s, s:{s:s}}}", "metadata", "uid", pod->uid, "annotations", FKS_PASSED_OVER_ANNOTATION, now);
    request.method = "PATCH";
    request.body = body;
    request.content_type = KUBE_MERGE_PATCH;
    promise->call = kube_start(scheduler->client, &request, on_touched, promise);
}

void ledger_tidy(struct ledger *ledger)
{
    int64_t now = loop_now_ms(ledger->scheduler->loop);
    const char *host;
    void *value;
    int asks = 0;

    for (size_t i = 0; map_next(&ledger->books, &i, &host, &value);) {
        struct ledger_book *book = value;

        for (size_t j = 0; ledger->n_promises > 0 && j < book->n_entries && asks < ASKS_PER_TICK; j++) {
            struct ledger_promise *promise = book->entries[j].promise;

            if (promise == NULL || promise->call != NULL || now < promise->ask_ms)
                continue;
            ask_after(promise);
            asks++;
        }
        if (book->untidy || book->asking.n > 0 || (book->version > 0 && book->n_entries == 0))
            ledger_write(book);
    }
}

/* --- */

struct ledger *ledger_new(struct scheduler *scheduler)
{
    struct ledger *ledger = NEW(struct ledger);

    ledger->scheduler = scheduler;
    return ledger;
}

struct ledger *ledger_free(struct ledger *ledger)
{
    const char *host;
    void *value;

    if (ledger == NULL)
        return NULL;
    for (size_t i = 0; map_next(&ledger->books, &i, &host, &value);) {
        struct ledger_book *book = value;

        book_read(book, NULL);
        kube_cancel(book->call);
        free(book->text);
        free(book->entries);
        free(book->asking.items);
        free(book->writing.items);
        free(book->host);
        free(book);
    }
    map_done(&ledger->books);
    free(ledger->granted.items);
    free(ledger);
    return NULL;
}
