/*
 * ledger.h: why no two replicas ever promise the same room, whatever each believes about who leads.
 *
 * Each host has a book, a ConfigMap: for each pod that has room there a line with its uid, its name, the resourceVersion that
 * it had and its size (fargate/book.h). A pod gets the label of a host only after its entry is in the host's book, and an entry is written only
 * by a request that names the resourceVersion of the book as read: of two replicas that count the same room as free, one is
 * refused and has to look again. So the entries of a book never come to more than the host has.
 *
 * An entry is void, and is taken out, once its pod has ended, is gone, or has a newer version than the entry names that
 * does not carry the host's label: the label is only ever set on exactly that version, so it cannot come any more. Only such
 * proof takes an entry out, never that a pod is not to be seen, which may merely mean that it has not been seen yet.
 */
#pragma once

#include "fargate/names.h"
#include "scheduler.h"

#define LEDGER_BOOKS_PATH "/api/v1/namespaces/" FKS_NAMESPACE "/configmaps"

struct ledger;

struct ledger *ledger_new(struct scheduler *scheduler);
struct ledger *ledger_free(struct ledger *ledger);
/* The book of a host as the watch has it; NULL: gone. One that is older than what is known is ignored. */
void ledger_on_book(struct ledger *ledger, const char *host, const struct json *object);
/* For a pod that has just taken room: asks for its entry. Leads to reserve_granted or reserve_refused. */
void ledger_ask(struct pod *pod);
/* The pod gave back its room on the host, or took it there. */
void ledger_on_room(struct pod *pod, const char *host);
/* A newer version of the pod is known. */
void ledger_on_pod(struct pod *pod);
/* The pod is no more. */
void ledger_on_end(struct pod *pod);
/*
 * Between these two, entries of the pod that another replica wrote do not count as taken, so that the pod may be given the
 * very room that was kept for it.
 */
void ledger_set_aside(struct pod *pod);
void ledger_put_back(struct pod *pod);
/* Writes what is asked for, and tells pods whose entries are written, as far as there are calls to spare. */
void ledger_work(struct ledger *ledger);
/* Once a second: takes void entries out, and asks after pods that only a book knows. */
void ledger_tidy(struct ledger *ledger);
DEFINE_CLEANUP_POINTER(struct ledger *, ledger_free)
