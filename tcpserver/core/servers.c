#include "tcpserver/core/servers.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/locks.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"

enum {
	LETTERS_MOST = 1000,      /* that wait in the mailbox; more are dropped, and their senders see that no answer comes */
	ANSWER_MS = 5000,         /* for which an answer is waited for                                */
	GHOST_ANSWER_MS = 3000,   /* the same, until an older connection has ended                    */
	REOPEN_MS = 1000,         /* after which a mailbox that could not be opened again is tried again */
	THREAD_STACK_SIZE = 256 * 1024,
	INVITATION_SIZE = 3 * NAME_SIZE,
};

/* Somebody who waits for an answer; on its stack. */
struct question {
	struct question *next;
	uint64_t number;
	bool answered;
	enum letter_result result;
	char to[NAME_SIZE];
};

/* Another server's mailbox, open as long as letters are on their way there. */
struct peer {
	struct peer *next;
	struct mailbox *mailbox;   /* a reference */
	char id[ROOM_ID_SIZE];     /* constant    */
	struct journal_room *room; /* constant once it is open; NULL: it could not be opened */
	bool open;
	unsigned users; /* who wants to write there, and the journal while letters are on their way */
};

/* What the thread shares with those who ask. It stays until the last letter was kept or refused. */
struct mailbox {
	struct journal *journal; /* constant, as what follows up to the thread */
	struct client_list *clients;
	struct servers *servers;
	pthread_t thread;
	struct journal_room *room; /* the thread's own; NULL: it could not be opened again yet */
	pthread_mutex_t mutex;     /* SERVERS_LOCK */
	pthread_cond_t changed;
	unsigned references GUARDED_BY(SERVERS_LOCK); /* the server's, and one of each peer */
	unsigned holds GUARDED_BY(SERVERS_LOCK);      /* of the room, by the journal        */
	bool closing GUARDED_BY(SERVERS_LOCK);        /* the room is about to be closed     */
	struct message *letters[LETTERS_MOST] GUARDED_BY(SERVERS_LOCK); /* a ring of references */
	size_t first GUARDED_BY(SERVERS_LOCK);
	size_t count GUARDED_BY(SERVERS_LOCK);
	bool ended GUARDED_BY(SERVERS_LOCK);   /* the others have thrown the mailbox away: it has to be opened anew */
	bool revived GUARDED_BY(SERVERS_LOCK); /* they took this server for dead                                   */
	bool stopping GUARDED_BY(SERVERS_LOCK);
	uint64_t numbers GUARDED_BY(SERVERS_LOCK); /* of questions asked so far */
	struct question *questions GUARDED_BY(SERVERS_LOCK);
	struct peer *peers GUARDED_BY(SERVERS_LOCK);
};

static void mailbox_lock(struct mailbox *mailbox) ACQUIRES(SERVERS_LOCK) UNCHECKED;
static void mailbox_unlock(struct mailbox *mailbox) RELEASES(SERVERS_LOCK) UNCHECKED;

static void mailbox_lock(struct mailbox *mailbox)
{
	mutex_lock(&mailbox->mutex);
}

static void mailbox_unlock(struct mailbox *mailbox)
{
	mutex_unlock(&mailbox->mutex);
}

static void mailbox_wait(struct mailbox *mailbox) REQUIRES(SERVERS_LOCK) UNCHECKED;
static void mailbox_wait(struct mailbox *mailbox)
{
	condition_wait(&mailbox->changed, &mailbox->mutex);
}

/* Returns whether the time is over. */
static bool mailbox_wait_until(struct mailbox *mailbox, long long deadline_ms) REQUIRES(SERVERS_LOCK) UNCHECKED;
static bool mailbox_wait_until(struct mailbox *mailbox, long long deadline_ms)
{
	return condition_wait_until(&mailbox->changed, &mailbox->mutex, deadline_ms) != 0;
}

static void mailbox_free(struct mailbox *mailbox) UNCHECKED;
static void mailbox_free(struct mailbox *mailbox)
{
	while (mailbox->count > 0) {
		message_release(mailbox->letters[mailbox->first]);
		mailbox->first = (mailbox->first + 1) % LETTERS_MOST;
		mailbox->count--;
	}
	(void)pthread_cond_destroy(&mailbox->changed); /* nobody waits any more */
	mutex_fini(&mailbox->mutex);
	free(mailbox);
}

static void mailbox_release(struct mailbox *mailbox)
{
	bool last;

	mailbox_lock(mailbox);
	last = --mailbox->references == 0;
	mailbox_unlock(mailbox);
	if (last)
		mailbox_free(mailbox);
}

/* ---- Questions. ---- */

static struct question *mailbox_find_question(struct mailbox *mailbox, uint64_t number) REQUIRES(SERVERS_LOCK);
static struct question *mailbox_find_question(struct mailbox *mailbox, uint64_t number)
{
	struct question *question = mailbox->questions;

	while (question != NULL && question->number != number)
		question = question->next;
	return question;
}

static void mailbox_answer(struct mailbox *mailbox, uint64_t number, enum letter_result result, const char *to)
{
	struct question *question;

	mailbox_lock(mailbox);
	question = mailbox_find_question(mailbox, number);
	if (question != NULL && !question->answered) {
		question->answered = true;
		question->result = result;
		(void)snprintf(question->to, sizeof question->to, "%s", to);
		condition_broadcast(&mailbox->changed);
	}
	mailbox_unlock(mailbox);
}

static void mailbox_begin_question(struct mailbox *mailbox, struct question *question)
{
	mailbox_lock(mailbox);
	question->number = ++mailbox->numbers;
	question->next = mailbox->questions;
	mailbox->questions = question;
	mailbox_unlock(mailbox);
}

/* Waits for the answer, but not for ever. */
static void mailbox_end_question(struct mailbox *mailbox, struct question *question, long long deadline_ms)
{
	struct question **place;

	mailbox_lock(mailbox);
	while (!question->answered && !mailbox->stopping && !mailbox_wait_until(mailbox, deadline_ms))
		continue;
	place = &mailbox->questions;
	while (*place != question)
		place = &(*place)->next;
	*place = question->next;
	mailbox_unlock(mailbox);
}

/* ---- Other servers' mailboxes: many write to one at the same time, and one of them opens it. ---- */

static void peer_unlink(struct peer *peer) REQUIRES(SERVERS_LOCK);
static void peer_unlink(struct peer *peer)
{
	struct peer **place = &peer->mailbox->peers;

	while (*place != peer)
		place = &(*place)->next;
	*place = peer->next;
}

static void peer_release(struct peer *peer)
{
	struct mailbox *mailbox = peer->mailbox;
	bool last;

	mailbox_lock(mailbox);
	last = --peer->users == 0;
	if (last)
		peer_unlink(peer);
	mailbox_unlock(mailbox);
	if (!last)
		return;
	if (peer->room != NULL)
		mailbox->journal->ops->close_room(peer->room);
	mailbox_release(mailbox);
	free(peer);
}

static void peer_hold_for_journal(void *context)
{
	struct peer *peer = context;

	mailbox_lock(peer->mailbox);
	peer->users++;
	mailbox_unlock(peer->mailbox);
}

static void peer_release_for_journal(void *context)
{
	peer_release(context);
}

static void peer_publish(void *context, const struct draft *draft) REQUIRES(JOURNAL_LOCK);
static void peer_publish(void *context, const struct draft *draft)
{
	(void)context; /* the other server has it */
	(void)draft;
}

static void peer_repeat(void *context, const struct draft *draft, uint64_t seq, const char *label)
{
	(void)context;
	(void)draft;
	(void)seq;
	(void)label;
}

/* A question that could not be kept need not wait for its answer. */
static void peer_refuse(void *context, const struct draft *draft, int error)
{
	const struct peer *peer = context;

	if (draft->request_id != NULL)
		mailbox_answer(peer->mailbox, strtoull(draft->request_id, NULL, 10), error == ENOENT ? LETTER_NOBODY : LETTER_LOST, "");
}

static void peer_flush(void *context)
{
	(void)context;
}

static const struct journal_listener peer_listener = {
	.publish = peer_publish,
	.repeat = peer_repeat,
	.refuse = peer_refuse,
	.flush = peer_flush,
	.hold = peer_hold_for_journal,
	.release = peer_release_for_journal,
};

/* The peer of that id, open or not yet, with the caller as one more user; or NULL. */
static struct peer *mailbox_find_peer(struct mailbox *mailbox, const char *id) REQUIRES(SERVERS_LOCK);
static struct peer *mailbox_find_peer(struct mailbox *mailbox, const char *id)
{
	struct peer *peer = mailbox->peers;

	while (peer != NULL && strcmp(peer->id, id) != 0)
		peer = peer->next;
	if (peer != NULL)
		peer->users++;
	return peer;
}

/* One that has to be opened yet; without memory NULL. */
static struct peer *mailbox_add_peer(struct mailbox *mailbox, const char *id) REQUIRES(SERVERS_LOCK);
static struct peer *mailbox_add_peer(struct mailbox *mailbox, const char *id)
{
	struct peer *peer = calloc(1, sizeof *peer);

	if (peer == NULL)
		return NULL;
	(void)snprintf(peer->id, sizeof peer->id, "%s", id);
	peer->mailbox = mailbox;
	peer->users = 1;
	peer->next = mailbox->peers;
	mailbox->peers = peer;
	mailbox->references++;
	return peer;
}

/* Opens the mailbox if there is one: a server that is gone shall not get another. Returns 0 or -errno. */
static int peer_open(struct peer *peer)
{
	struct journal *journal = peer->mailbox->journal;
	struct room_record *record = malloc(sizeof *record);
	struct journal_room *room = NULL;
	int error = record == NULL ? -ENOMEM : journal->ops->find_room(journal, peer->id, peer->id, record);

	if (error == 0) {
		room = journal->ops->open_room(journal, &record->attributes, &peer_listener, peer);
		error = room == NULL ? -EIO : 0;
	}
	free(record);
	mailbox_lock(peer->mailbox);
	peer->room = room;
	peer->open = true;
	condition_broadcast(&peer->mailbox->changed);
	mailbox_unlock(peer->mailbox);
	return error;
}

/* The mailbox of that server, for the caller to write to and give back with peer_release(). Returns 0, or -errno: -ENOENT, there is
 * no such server. */
static int mailbox_open_peer(struct mailbox *mailbox, const char *id, struct peer **opened)
{
	struct peer *peer;
	bool is_new;
	int error = 0;

	mailbox_lock(mailbox);
	peer = mailbox_find_peer(mailbox, id);
	is_new = peer == NULL;
	if (is_new)
		peer = mailbox_add_peer(mailbox, id);
	while (peer != NULL && !is_new && !peer->open)
		mailbox_wait(mailbox);
	mailbox_unlock(mailbox);
	if (peer == NULL)
		return -ENOMEM;
	if (is_new)
		error = peer_open(peer);
	if (error == 0 && peer->room == NULL)
		error = -EIO; /* who opened it has failed */
	if (error == 0)
		*opened = peer;
	else
		peer_release(peer);
	return error;
}

/* ---- Sending. ---- */

static int peer_append(struct peer *peer, const char *from, const char *json, size_t size, uint64_t asked)
{
	char number[24];
	struct draft draft = {
		.message = message_create(MESSAGE_TEXT, peer->id, from, json, size),
		.quiet = true,
		.given_ns = clock_ns(),
	};
	int error;

	if (draft.message == NULL)
		return -ENOMEM;
	if (asked != 0) {
		(void)snprintf(number, sizeof number, "%llu", (unsigned long long)asked);
		draft.request_id = number;
	}
	error = peer->mailbox->journal->ops->append(peer->room, &draft);
	if (error != 0)
		message_release(draft.message);
	return error;
}

/* 'asked' is the number of the question if it is one, else 0. */
static int servers_send(struct servers *servers, const char *server, const struct letter *letter, uint64_t asked)
{
	struct peer *peer;
	size_t size;
	char *json = letter_write(letter, &size);
	int error = json == NULL ? -ENOMEM : mailbox_open_peer(servers->mailbox, server, &peer);

	if (error == 0) {
		error = peer_append(peer, servers->id, json, size, asked);
		peer_release(peer);
	}
	free(json);
	return error;
}

static enum letter_result servers_ask_for(struct servers *servers, const char *server, struct letter *letter, int wait_ms)
{
	struct question question = {.result = LETTER_LOST};
	long long deadline_ms = clock_ms() + wait_ms;
	int error;

	mailbox_begin_question(servers->mailbox, &question);
	letter->number = question.number;
	(void)snprintf(letter->server, sizeof letter->server, "%s", servers->id);
	error = servers_send(servers, server, letter, question.number);
	if (error != 0)
		mailbox_answer(servers->mailbox, question.number, error == -ENOENT ? LETTER_NOBODY : LETTER_LOST, "");
	mailbox_end_question(servers->mailbox, &question, deadline_ms);
	if (question.to[0] != '\0')
		(void)snprintf(letter->to, sizeof letter->to, "%s", question.to);
	return question.result;
}

enum letter_result servers_ask(struct servers *servers, const char *server, struct letter *letter)
{
	return servers_ask_for(servers, server, letter, ANSWER_MS);
}

void servers_answer(struct servers *servers, const struct letter *question, enum letter_result result, const char *to)
{
	struct letter answer = {.kind = LETTER_ANSWER, .result = result, .number = question->number};

	(void)snprintf(answer.server, sizeof answer.server, "%s", servers->id);
	(void)snprintf(answer.to, sizeof answer.to, "%s", to);
	(void)servers_send(servers, question->server, &answer, 0); /* else it sees that no answer comes */
}

/* ---- What the others tell. ---- */

static bool tell(const struct addressee *other, const struct telling *telling)
{
	size_t size;
	char *words = other->door->words(telling, &size);
	bool told = words != NULL && outlet_tell_from_outside(other->outlet, words, size);

	free(words);
	return told;
}

static bool tell_direct(const struct letter *letter, const struct addressee *other)
{
	struct telling direct = {.kind = TELL_DIRECT, .participant = letter->from, .to = other->name, .text = letter->text};

	return tell(other, &direct);
}

static bool tell_invitation(const struct letter *letter, const struct addressee *other)
{
	char text[INVITATION_SIZE];
	struct telling invitation = {.kind = TELL_NOTICE, .participant = letter->from, .room = letter->room, .text = text};

	(void)snprintf(text, sizeof text, "%s invites you to %s; /join %s goes there", letter->from, letter->room, letter->room_id);
	return tell(other, &invitation);
}

/* Somebody elsewhere has something to say to somebody here. */
static void servers_pass_on(struct servers *servers, const struct letter *letter)
{
	struct addressee other = {.name = ""};
	enum letter_result result = LETTER_NOBODY;

	if (client_list_find_for(servers->clients, letter->from, letter->to, &other)) {
		if (other.ignores)
			result = LETTER_IGNORED;
		else if (letter->kind == LETTER_DIRECT ? tell_direct(letter, &other) : tell_invitation(letter, &other))
			result = LETTER_TOLD;
		else
			result = LETTER_BEHIND;
		outlet_release(other.outlet);
	}
	servers_answer(servers, letter, result, other.name);
}

static void servers_read_letter(struct servers *servers, const struct letter *letter)
{
	switch (letter->kind) {
	case LETTER_DIRECT:
	case LETTER_INVITE:
		servers_pass_on(servers, letter);
		break;
	case LETTER_REPLACED: /* its thread answers when it has gone */
		if (!client_list_replace(servers->clients, letter))
			servers_answer(servers, letter, LETTER_NOBODY, "");
		break;
	case LETTER_ANSWER:
		mailbox_answer(servers->mailbox, letter->number, letter->result, letter->to);
		break;
	default:
		break;
	}
}

static void servers_read(struct servers *servers, const struct message *message)
{
	struct letter letter = {.text = NULL};

	if (message->kind != MESSAGE_TEXT || !letter_read(message->text, message->text_size, &letter))
		return; /* whoever wrote that is no server */
	servers_read_letter(servers, &letter);
	free((void *)(uintptr_t)letter.text);
}

/* ---- The mailbox. ---- */

static void mailbox_publish(void *context, const struct draft *draft) REQUIRES(JOURNAL_LOCK);
static void mailbox_publish(void *context, const struct draft *draft)
{
	struct mailbox *mailbox = context;

	mailbox_lock(mailbox);
	if (mailbox->count < LETTERS_MOST) {
		mailbox->letters[(mailbox->first + mailbox->count++) % LETTERS_MOST] = message_acquire(draft->message);
		condition_broadcast(&mailbox->changed);
	}
	mailbox_unlock(mailbox);
}

static void mailbox_repeat(void *context, const struct draft *draft, uint64_t seq, const char *label)
{
	(void)context; /* nothing is appended this way */
	(void)draft;
	(void)seq;
	(void)label;
}

static void mailbox_refuse(void *context, const struct draft *draft, int error)
{
	(void)context;
	(void)draft;
	(void)error;
}

static void mailbox_flush(void *context)
{
	(void)context;
}

static void mailbox_hold(void *context)
{
	struct mailbox *mailbox = context;

	mailbox_lock(mailbox);
	mailbox->holds++;
	mailbox_unlock(mailbox);
}

static bool mailbox_try_hold(void *context)
{
	struct mailbox *mailbox = context;
	bool held;

	mailbox_lock(mailbox);
	held = !mailbox->closing;
	mailbox->holds += held;
	mailbox_unlock(mailbox);
	return held;
}

static void mailbox_release_hold(void *context)
{
	struct mailbox *mailbox = context;

	mailbox_lock(mailbox);
	mailbox->holds--;
	condition_broadcast(&mailbox->changed);
	mailbox_unlock(mailbox);
}

static void mailbox_end(void *context)
{
	struct mailbox *mailbox = context;

	mailbox_lock(mailbox);
	mailbox->ended = true;
	condition_broadcast(&mailbox->changed);
	mailbox_unlock(mailbox);
}

static const struct journal_listener mailbox_listener = {
	.publish = mailbox_publish,
	.repeat = mailbox_repeat,
	.refuse = mailbox_refuse,
	.flush = mailbox_flush,
	.hold = mailbox_hold,
	.try_hold = mailbox_try_hold,
	.release = mailbox_release_hold,
	.end = mailbox_end,
};

static void mailbox_revived(void *context)
{
	struct mailbox *mailbox = context;

	mailbox_lock(mailbox);
	mailbox->revived = true;
	mailbox->ended = true; /* the mailbox went with the rest; if not, it does no harm */
	condition_broadcast(&mailbox->changed);
	mailbox_unlock(mailbox);
}

static const struct journal_watcher watcher = {.revived = mailbox_revived};

/* Closing begins when no call of the journal is under way in the room. */
static void mailbox_set_closing(struct mailbox *mailbox, bool closing)
{
	mailbox_lock(mailbox);
	mailbox->closing = closing;
	while (closing && mailbox->holds > 0)
		mailbox_wait(mailbox);
	mailbox_unlock(mailbox);
}

static bool mailbox_open_room(struct mailbox *mailbox)
{
	struct room_attributes attributes = {.id = mailbox->servers->id, .creator = "", .created_ns = clock_wall_ns()};

	mailbox_set_closing(mailbox, false);
	mailbox->room = mailbox->journal->ops->open_room(mailbox->journal, &attributes, &mailbox_listener, mailbox);
	return mailbox->room != NULL;
}

static void mailbox_close_room(struct mailbox *mailbox)
{
	if (mailbox->room == NULL)
		return;
	mailbox_set_closing(mailbox, true);
	mailbox->journal->ops->close_room(mailbox->room);
	mailbox->room = NULL;
}

/* ---- The thread. ---- */

/* What there is to do. */
struct work {
	struct message *letter; /* a reference, or NULL */
	bool reopens;
	bool revives;
	bool is_last; /* no more letters wait */
	bool stops;
};

static bool mailbox_has_work(const struct mailbox *mailbox) REQUIRES(SERVERS_LOCK);
static bool mailbox_has_work(const struct mailbox *mailbox)
{
	return mailbox->stopping || mailbox->ended || mailbox->revived || mailbox->count > 0;
}

static struct message *mailbox_take_letter(struct mailbox *mailbox) REQUIRES(SERVERS_LOCK);
static struct message *mailbox_take_letter(struct mailbox *mailbox)
{
	struct message *letter = mailbox->letters[mailbox->first];

	if (mailbox->count == 0)
		return NULL;
	mailbox->first = (mailbox->first + 1) % LETTERS_MOST;
	mailbox->count--;
	return letter;
}

static struct work mailbox_next(struct mailbox *mailbox)
{
	struct work work = {.letter = NULL};
	long long deadline_ms = clock_ms() + REOPEN_MS;

	mailbox_lock(mailbox);
	while (!mailbox_has_work(mailbox)) {
		if (mailbox->room != NULL)
			mailbox_wait(mailbox);
		else if (mailbox_wait_until(mailbox, deadline_ms))
			mailbox->ended = true;
	}
	work.stops = mailbox->stopping;
	work.reopens = mailbox->ended;
	work.revives = mailbox->revived;
	mailbox->ended = mailbox->revived = false;
	work.letter = mailbox_take_letter(mailbox);
	work.is_last = mailbox->count == 0;
	mailbox_unlock(mailbox);
	return work;
}

static void mailbox_reopen(struct mailbox *mailbox)
{
	mailbox_close_room(mailbox);
	(void)mailbox_open_room(mailbox); /* if not, it is tried again */
}

static void mailbox_work_letter(struct mailbox *mailbox, struct message *letter, bool is_last)
{
	servers_read(mailbox->servers, letter);
	if (is_last && mailbox->room != NULL)
		mailbox->journal->ops->trim(mailbox->room, letter->seq);
	message_release(letter);
}

static void *mailbox_run(void *context)
{
	struct mailbox *mailbox = context;
	struct work work;

	thread_name("mailbox");
	do {
		work = mailbox_next(mailbox);
		if (work.reopens && !work.stops)
			mailbox_reopen(mailbox);
		if (work.revives)
			client_list_revive(mailbox->clients);
		if (work.letter != NULL)
			mailbox_work_letter(mailbox, work.letter, work.is_last);
	} while (!work.stops);
	mailbox_close_room(mailbox);
	return NULL;
}

/* ---- Names. ---- */

/* The client was on another server, where its older connection may still be. */
static void servers_replace(struct servers *servers, const struct name_claim *claim, const struct name_holder *holder)
{
	static const unsigned char no_id[CLIENT_ID_SIZE];
	struct letter letter = {.kind = LETTER_REPLACED};

	if (holder->server[0] == '\0' || strcmp(holder->server, servers->id) == 0)
		return;
	if (memcmp(claim->client, no_id, CLIENT_ID_SIZE) == 0 || memcmp(claim->client, holder->client, CLIENT_ID_SIZE) != 0)
		return;
	memcpy(letter.client, claim->client, CLIENT_ID_SIZE);
	(void)servers_ask_for(servers, holder->server, &letter, GHOST_ANSWER_MS); /* a dead server does not answer */
}

/* A release is of one claim: one that is late, as the journal was away, takes nothing from who has the name by then. */
int servers_claim_name(
	struct servers *servers, const char *key, const char *name, const unsigned char id[CLIENT_ID_SIZE], uint64_t *number)
{
	const struct journal_ops *ops = servers->journal->ops;
	/* Relaxed: nobody else claims this name here at the same time, and who does after it has seen it under CLIENT_LIST_LOCK. */
	struct name_claim claim = {
		.key = key, .name = name, .number = atomic_fetch_add_explicit(&servers->claims, 1, memory_order_relaxed) + 1};
	struct name_holder holder = {.server = ""};
	int error;

	memcpy(claim.client, id, CLIENT_ID_SIZE);
	*number = claim.number;
	error = ops->claim_name(servers->journal, &claim, &holder);
	if (error == 0)
		servers_replace(servers, &claim, &holder);
	else if (error != -EEXIST)
		ops->release_name(servers->journal, key, claim.number); /* it may have been claimed */
	return error;
}

void servers_release_name(struct servers *servers, const char *key, uint64_t claim)
{
	servers->journal->ops->release_name(servers->journal, key, claim);
}

int servers_find_name(struct servers *servers, const char *name, struct name_holder *holder)
{
	char key[NAME_KEY_SIZE];
	int error;

	(void)name_key(name, key);
	error = servers->journal->ops->find_name(servers->journal, key, holder);
	return error == 0 && strcmp(holder->server, servers->id) == 0 ? -ENOENT : error; /* it is gone, or is about to */
}

/* ---- The whole. ---- */

bool servers_are_shared(const struct servers *servers)
{
	return servers->journal != NULL;
}

static struct mailbox *mailbox_create(struct servers *servers) UNCHECKED;
static struct mailbox *mailbox_create(struct servers *servers)
{
	struct mailbox *mailbox = calloc(1, sizeof *mailbox);

	if (mailbox == NULL)
		return NULL;
	mailbox->servers = servers;
	mailbox->journal = servers->journal;
	mailbox->clients = servers->clients;
	mailbox->references = 1;
	mutex_init(&mailbox->mutex);
	condition_init(&mailbox->changed);
	return mailbox;
}

bool servers_open(struct servers *servers, struct journal *journal, struct client_list *clients)
{
	struct mailbox *mailbox;

	*servers = (struct servers){.clients = clients};
	if (journal->ops->server_id == NULL)
		return true;
	servers->journal = journal;
	servers->id = journal->ops->server_id(journal);
	mailbox = servers->mailbox = mailbox_create(servers);
	if (mailbox == NULL)
		return false;
	journal->ops->watch(journal, &watcher, mailbox);
	if (mailbox_open_room(mailbox)) {
		if (thread_start(&mailbox->thread, THREAD_STACK_SIZE, mailbox_run, mailbox) == 0)
			return true;
		mailbox_close_room(mailbox);
	}
	journal->ops->watch(journal, NULL, NULL);
	mailbox_release(mailbox);
	servers->mailbox = NULL;
	return false;
}

void servers_close(struct servers *servers)
{
	struct mailbox *mailbox = servers->mailbox;

	if (mailbox == NULL)
		return;
	servers->journal->ops->watch(servers->journal, NULL, NULL);
	mailbox_lock(mailbox);
	mailbox->stopping = true;
	condition_broadcast(&mailbox->changed);
	mailbox_unlock(mailbox);
	thread_join(mailbox->thread);
	servers->mailbox = NULL;
	mailbox_release(mailbox);
}
