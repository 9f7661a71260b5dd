/*
 * The servers that share a journal, as one of them sees the others: what it tells them and asks them about people, and what it is told
 * and asked.
 *
 * A server has a mailbox, a room of the journal with the server's id, that no door leads into; others append letters to it
 * (letter.h). One thread works the mailbox off; it also sees to it that all is put right after the others took this server for dead.
 *
 * Where the journal is not shared there is nothing of this: no thread and no mailbox.
 *
 * Threads: any. What asks waits for the journal and for the other server, a few seconds at most; no lock may be held.
 */
#ifndef TCPSERVER_CORE_SERVERS_H
#define TCPSERVER_CORE_SERVERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpserver/core/client_list.h"
#include "tcpserver/core/letter.h"

struct journal;
struct mailbox; /* in servers.c */
struct name_holder;

struct servers {
	struct journal *journal;     /* constant; NULL: it is not shared */
	struct client_list *clients; /* constant                         */
	const char *id;              /* constant; of this server         */
	atomic_uint_least64_t claims; /* how many claims of names were made */
	struct mailbox *mailbox;     /* constant while it is open        */
};

/* Opens the mailbox, if the journal is shared. Returns false when that cannot be. */
bool servers_open(struct servers *servers, struct journal *journal, struct client_list *clients) MUST_CHECK;
/* Joins the thread. Nobody may ask any more. */
void servers_close(struct servers *servers);
bool servers_are_shared(const struct servers *servers);

/* ---- Names. ---- */

/*
 * The name, which nobody else has on this server, is this server's among all of them, for the client that knows itself by that id (zero: it
 * told none). An older connection of it on another server ends; this waits a few seconds at most until it has left its rooms.
 * Returns 0, and '*claim' is by which it is released; -EEXIST: somebody has the name on another server; or another -errno.
 */
int servers_claim_name(struct servers *servers, const char *key, const char *name, const unsigned char id[CLIENT_ID_SIZE],
	uint64_t *claim) MUST_CHECK;
/* The name is free, if it was not claimed anew since that claim. Does not wait; may be called under CLIENT_LIST_LOCK. */
void servers_release_name(struct servers *servers, const char *key, uint64_t claim);
/* Who has the name, on another server. Returns 0, -ENOENT, or another -errno. */
int servers_find_name(struct servers *servers, const char *name, struct name_holder *holder) MUST_CHECK;

/* ---- Letters. ---- */

/* Sends the question to that server, and waits for the answer, whose 'to' is put in place of the letter's. LETTER_LOST: none came, so
 * that it may have been told, or not. */
enum letter_result servers_ask(struct servers *servers, const char *server, struct letter *letter) MUST_CHECK;
/* Answers a question. Waits for the journal, but not for the other. */
void servers_answer(struct servers *servers, const struct letter *question, enum letter_result result, const char *to);

#endif
