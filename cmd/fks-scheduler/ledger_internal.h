/*
 * ledger_internal.h: the books of hosts, for ledger.c and ledger_write.c.
 */
#pragma once

#include "fargate/book.h"
#include "ledger.h"

#define LEDGER_BOOK_KEY "pods" /* of the ConfigMap's data */

struct ledger_promise { /* counts an entry whose pod holds no room here: another replica wrote it, or its label is to come */
    struct reservation held; /* host NULL: set aside */
    char *pod;               /* "namespace/name", as the book says */
    int64_t ask_ms;          /* when to ask the API server after the pod, by the loop's clock */
    struct ledger_book *book;
    struct kube_call *call;
    char uid[BOOK_UID_MAX + 1];
};

struct ledger_entry { /* one line of a book */
    struct str line;  /* in the book's text */
    bool gone;        /* its pod is known to exist no more (uids do not come back), or it cannot be read */
    uint64_t version; /* of the pod, when its entry was written */
    struct ledger_promise *promise; /* or NULL */
};

struct ledger_pods { /* {0} is valid and empty */
    struct pod **items;
    size_t n, cap;
};

struct ledger_book {
    struct ledger *ledger;
    char *host;
    uint64_t version; /* its resourceVersion; 0: there is none yet */
    char *text;                   /* as it is written, or NULL */
    struct ledger_entry *entries; /* by uid */
    size_t n_entries;
    bool untidy;               /* there may be void entries */
    struct ledger_pods asking; /* for their entries */
    struct ledger_pods writing; /* by the call under way; NULL: gone meanwhile */
    struct kube_call *call;
};

struct ledger {
    struct scheduler *scheduler;
    struct map books;  /* host → struct ledger_book */
    size_t n_promises;
    struct ledger_pods granted; /* whose entries are written, and who are to be told */
};

/* --- ledger.c */
/* Made if there is none. */
struct ledger_book *ledger_book_of(struct ledger *ledger, const char *host);
struct ledger_entry *ledger_find(const struct ledger_book *book, const char *uid);
bool ledger_is_void(const struct ledger_book *book, const struct ledger_entry *entry);
/* Counts the entry, or does so no longer, as it should be now. */
void ledger_judge(struct ledger_book *book, struct ledger_entry *entry);

/* --- ledger_write.c */
/* Writes what is due, if no call is under way and there is one to spare. */
void ledger_write(struct ledger_book *book);
/* The pod is no more: it asks for nothing. */
void ledger_drop(struct ledger_book *book, const struct pod *pod);
