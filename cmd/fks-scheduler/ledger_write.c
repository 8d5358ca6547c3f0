/*
 * ledger_write.c: changes of the books, one request at a time for each: what pods ask for meanwhile goes with the next one,
 * so that a burst of pods costs few more requests than it has pods. See ledger.h for why each names the version it is of.
 */
#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"
#include "ledger_internal.h"
#include "reserve.h"
#include "room.h"

#define ENTRIES_PER_WRITE 64

#define LEDGER_BOOK_NAME "reservations-" /* and the name of the host */

static void pods_add(struct ledger_pods *pods, struct pod *pod)
{
    GROW(pods->items, pods->n, pods->cap);
    pods->items[pods->n++] = pod;
}

static void remove_from(struct ledger_pods *pods, const struct pod *pod)
{
    for (size_t i = 0; i < pods->n; i++)
        if (pods->items[i] == pod)
            pods->items[i] = NULL;
}

void ledger_drop(struct ledger_book *book, const struct pod *pod)
{
    if (!pod->asking)
        return;
    remove_from(&book->asking, pod);
    remove_from(&book->writing, pod);
    remove_from(&book->ledger->granted, pod);
}

/* The answer of the book to one pod. */
static void tell(struct pod *pod, bool granted)
{
    if (pod == NULL)
        return;
    pod->asking = false;
    pod->scheduler->n_asking--;
    if (granted)
        reserve_granted(pod);
    else
        reserve_refused(pod);
}

/* The list is emptied first: an answer may lead to the next question. */
static void refuse_all(struct ledger_pods *pods)
{
    struct ledger_pods told = *pods;

    *pods = (struct ledger_pods){0};
    for (size_t i = 0; i < told.n; i++)
        tell(told.items[i], false);
    free(told.items);
}

static void tell_granted(struct ledger *ledger)
{
    struct ledger_pods told = ledger->granted;
    size_t i = 0;

    ledger->granted = (struct ledger_pods){0};
    while (i < told.n && scheduler_may_call(ledger->scheduler))
        tell(told.items[i++], true);
    for (; i < told.n; i++)
        pods_add(&ledger->granted, told.items[i]);
    free(told.items);
}

/* --- what to write */

static void add_line(const struct pod *pod, struct buf *text)
{
    struct book_line line = {.pod = str_of(pod->key), .version = pod->version, .size = pod->held.size};

    if (strlen(pod->uid) > BOOK_UID_MAX)
        return;
    memcpy(line.uid, pod->uid, strlen(pod->uid));
    book_line_print(&line, text);
}

/* Whether the pod asks for another entry in place of what it has. */
static bool is_rewritten(const struct ledger_book *book, const struct ledger_entry *entry)
{
    for (size_t i = 0; i < book->writing.n; i++)
        if (starts_with(entry->line.p, book->writing.items[i]->uid))
            return true;
    return false;
}

/* What stays as it is. True if anything does not. */
static bool add_kept(struct ledger_book *book, struct buf *text)
{
    bool changed = false;

    for (size_t i = 0; i < book->n_entries; i++) {
        const struct ledger_entry *entry = &book->entries[i];
        bool is_void = ledger_is_void(book, entry);

        changed = changed || is_void;
        if (is_void || is_rewritten(book, entry))
            continue;
        (void)buf_add(text, entry->line.p, entry->line.len);
        (void)buf_add_char(text, '\n');
    }
    return changed;
}

/* Pods that have the label but no entry: given by a version of this program that kept no books, or by hand. */
static void add_missing(const struct ledger_book *book, const struct host *host, struct buf *text)
{
    for (struct reservation *held = host->reservations; held != NULL; held = held->next) {
        const struct pod *pod = room_pod(held);

        if (pod != NULL && streq(pod->host, book->host) && ledger_find(book, pod->uid) == NULL)
            add_line(pod, text);
    }
}

/* The room may have gone to others since it was chosen. */
static void refuse_what_is_too_much(struct ledger_book *book, const struct host *host)
{
    while (hosts_is_over(host) && book->asking.n > 0)
        tell(book->asking.items[--book->asking.n], false);
}

static bool still_asks(const struct pod *pod, const struct ledger_book *book)
{
    return pod->stage == POD_WAITING && !pod->deleting && pod->held.host != NULL &&
           streq(pod->held.host->name, book->host);
}

/* Moves the first of those that ask to those that are written. */
static void choose_asked(struct ledger_book *book)
{
    size_t n = book->asking.n < ENTRIES_PER_WRITE ? book->asking.n : ENTRIES_PER_WRITE;

    for (size_t i = 0; i < n; i++) {
        struct pod *pod = book->asking.items[i];

        if (pod == NULL)
            continue;
        if (!still_asks(pod, book)) {
            tell(pod, false);
            continue;
        }
        pod->asked_version = pod->version;
        pods_add(&book->writing, pod);
    }
    book->asking.n -= n;
    if (n > 0)
        memmove(book->asking.items, book->asking.items + n, book->asking.n * sizeof(*book->asking.items));
}

/* --- the requests */

/* What was to be written is asked for once more, ahead of what came later. */
static void ask_again(struct ledger_book *book)
{
    struct ledger_pods later = book->asking;

    book->asking = book->writing;
    book->writing = (struct ledger_pods){0};
    for (size_t i = 0; i < later.n; i++)
        pods_add(&book->asking, later.items[i]);
    free(later.items);
}

static char *path_of(const struct ledger_book *book)
{
    return xasprintf(LEDGER_BOOKS_PATH "/" LEDGER_BOOK_NAME "%s", book->host);
}

static void call_begin(struct ledger_book *book, const struct kube_request *request, kube_done *done)
{
    scheduler_count_call(book->ledger->scheduler, 1);
    book->call = kube_start(book->ledger->scheduler->client, request, done, book);
}

static void call_end(struct ledger_book *book)
{
    book->call = NULL;
    scheduler_count_call(book->ledger->scheduler, -1);
}

static void on_read(struct json **answer, struct err *err, void *data)
{
    struct ledger_book *book = data;

    call_end(book);
    book->untidy = true;
    if (err->code == 0 || err->code == ERR_NOT_FOUND) {
        ask_again(book);
        ledger_on_book(book->ledger, book->host, err->code == 0 ? *answer : NULL);
        ledger_write(book);
        return;
    }
    log_warn("the book of a host could not be read", "host", book->host, "error", err_text(err));
    refuse_all(&book->writing);
}

static void on_written(struct json **answer, struct err *err, void *data)
{
    struct ledger_book *book = data;
    CLEANUP(xfree) char *path = path_of(book);
    const struct kube_request request = {.path = path};

    call_end(book);
    if (err->code == 0) {
        ledger_on_book(book->ledger, book->host, *answer);
        for (size_t i = 0; i < book->writing.n; i++)
            pods_add(&book->ledger->granted, book->writing.items[i]);
        book->writing.n = 0;
        scheduler_poke(book->ledger->scheduler);
    } else if (err->code == ERR_CONFLICT || err->code == ERR_EXISTS || err->code == ERR_NOT_FOUND) {
        metric_add(book->ledger->scheduler->ledger_conflicts, 1);
        call_begin(book, &request, on_read);
    } else {
        log_warn("the book of a host could not be written", "host", book->host, "error", err_text(err));
        book->untidy = true;
        refuse_all(&book->writing);
    }
}

static void send(struct ledger_book *book, const char *text)
{
    bool exists = book->version != 0;
    CLEANUP(xfree) char *name = xasprintf(LEDGER_BOOK_NAME "%s", book->host);
    CLEANUP(xfree) char *path = exists ? path_of(book) : xstrdup(LEDGER_BOOKS_PATH);
    CLEANUP(xfree) char *version = exists ? xasprintf("%llu", (unsigned long long)book->version) : NULL;
    CLEANUP(json_free) struct json *body =
        json_build("{s:s, s:s, s:{s:s, s:s, s:s*, s:{s:s}}, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata",
                   "name", name, "namespace", FKS_NAMESPACE, "resourceVersion", version, "labels", FKS_HOST_LABEL,
                   book->host, "data", LEDGER_BOOK_KEY, text);
    const struct kube_request request = {.method = exists ? "PUT" : "POST", .path = path, .body = body};

    metric_add(book->ledger->scheduler->ledger_writes, 1);
    call_begin(book, &request, on_written);
}

static void on_deleted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct ledger_book *book = data;

    call_end(book);
    if (err->code == 0 || err->code == ERR_NOT_FOUND) {
        ledger_on_book(book->ledger, book->host, NULL);
        ledger_write(book);
        return;
    }
    book->untidy = true; /* after a conflict the watch brings what there is now */
    if (err->code != ERR_CONFLICT)
        log_warn("the empty book of a host could not be deleted", "host", book->host, "error", err_text(err));
}

/* A book without a line is no book, so that nothing of a host stays behind when the last pod has left it. */
static void send_deletion(struct ledger_book *book)
{
    CLEANUP(xfree) char *path = path_of(book);
    CLEANUP(xfree) char *version = xasprintf("%llu", (unsigned long long)book->version);
    CLEANUP(json_free) struct json *body = json_build("{s:s, s:s, s:{s:s}}", "kind", "DeleteOptions", "apiVersion", "v1",
                                                      "preconditions", "resourceVersion", version);
    const struct kube_request request = {.method = "DELETE", .path = path, .body = body};

    metric_add(book->ledger->scheduler->ledger_writes, 1);
    call_begin(book, &request, on_deleted);
}

void ledger_write(struct ledger_book *book)
{
    struct scheduler *scheduler = book->ledger->scheduler;
    const struct host *host = hosts_find(&scheduler->hosts, book->host);
    CLEANUP(buf_done) struct buf text = {0};

    if (book->call != NULL || !scheduler_may_call(scheduler))
        return;
    if (!scheduler_acts(scheduler) || host == NULL || host->kind == NULL)
        refuse_all(&book->asking);
    if (!scheduler_acts(scheduler))
        return;
    if (host != NULL)
        refuse_what_is_too_much(book, host);
    choose_asked(book);
    book->untidy = false;
    if (!add_kept(book, &text) && book->writing.n == 0 && (text.len > 0 || book->version == 0))
        return;
    if (host != NULL)
        add_missing(book, host, &text);
    for (size_t i = 0; i < book->writing.n; i++)
        add_line(book->writing.items[i], &text);
    if (text.len > 0)
        send(book, buf_text(&text));
    else if (book->version > 0)
        send_deletion(book);
}

void ledger_work(struct ledger *ledger)
{
    const char *host;
    void *book;

    tell_granted(ledger);
    for (size_t i = 0; scheduler_may_call(ledger->scheduler) && map_next(&ledger->books, &i, &host, &book);)
        if (((struct ledger_book *)book)->asking.n > 0)
            ledger_write(book);
}

void ledger_ask(struct pod *pod)
{
    struct scheduler *scheduler = pod->scheduler;
    struct ledger_book *book = ledger_book_of(scheduler->ledger, pod->held.host->name);

    pod->asking = true;
    scheduler->n_asking++;
    pods_add(&book->asking, pod);
    scheduler_poke(scheduler); /* so that one request serves all that are decided in this turn */
}
