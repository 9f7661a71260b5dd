#include "tcpserver/core/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/date.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum {
	SEARCH_PAGE = 10,       /* messages found that are shown at a time */
	SEARCH_PAGES_MOST = 1000,
	WORDS_SIZE = 1000,      /* bytes of what is searched for           */
};

/* What is asked; 'search' points into the rest. */
struct query {
	struct search search;
	char words[WORDS_SIZE];
	char from[NAME_KEY_SIZE];
	char room[ROOM_ID_SIZE];
	const char *rooms[SESSION_PLACES_MAX];
	uint64_t page;
};

static bool take_date(const char *text, int64_t *at_ns)
{
	return date_parse(text, at_ns);
}

static bool take_page(struct query *query, const char *text)
{
	return command_take_number(&text, &query->page) && *text == '\0' && query->page >= 1 &&
		query->page <= SEARCH_PAGES_MOST;
}

/* in:ROOM, one where the client is, or a listed one. Tells the client, and returns false, when it is neither. */
static bool take_room(struct session *session, struct query *query, const char *name)
{
	struct member *place = session_place(session, name);
	struct room *room = place != NULL ? room_acquire(place->room) : NULL;
	enum rooms_result result = place != NULL ? ROOMS_DONE : rooms_find(&session->talk->rooms, name, &room);
	bool seen = result == ROOMS_DONE && (place != NULL || room_attributes(room)->listed);

	if (seen) {
		(void)snprintf(query->room, sizeof query->room, "%s", room_id(room));
		query->rooms[0] = query->room;
		query->search.room_count = 1;
		query->search.listed = false;
	} else {
		command_no_such_room(session, name, result);
	}
	if (result == ROOMS_DONE)
		rooms_give_back(&session->talk->rooms, room);
	return seen;
}

static bool query_add_word(struct query *query, const char *word)
{
	size_t size = strlen(query->words);
	int added = snprintf(query->words + size, sizeof query->words - size, "%s%s", size == 0 ? "" : " ", word);

	return added >= 0 && (size_t)added < sizeof query->words - size;
}

static void tell_usage(struct session *session)
{
	session_error(session, "usage",
		"/search takes WORDS [from:NAME] [in:ROOM] [before:DATE] [after:DATE] [page:N]; type /search tea after:2026-11-21");
}

/* What follows 'prefix' in 'word', or NULL. */
static const char *after_prefix(const char *word, const char *prefix)
{
	size_t size = strlen(prefix);

	return strncmp(word, prefix, size) == 0 ? word + size : NULL;
}

/* Returns whether the word is understood; if not the client was told. */
static bool take_word(struct session *session, struct query *query, const char *word)
{
	const char *value;
	bool fine;

	if ((value = after_prefix(word, "from:")) != NULL) {
		(void)name_key(value, query->from);
		return true;
	}
	if ((value = after_prefix(word, "in:")) != NULL)
		return take_room(session, query, value);
	if ((value = after_prefix(word, "before:")) != NULL)
		fine = take_date(value, &query->search.before_ns);
	else if ((value = after_prefix(word, "after:")) != NULL)
		fine = take_date(value, &query->search.after_ns);
	else if ((value = after_prefix(word, "page:")) != NULL)
		fine = take_page(query, value);
	else
		fine = query_add_word(query, word);
	if (!fine)
		tell_usage(session);
	return fine;
}

static void query_init(struct query *query, struct session *session)
{
	*query = (struct query){
		.search = {.words = query->words, .from = query->from, .rooms = query->rooms, .listed = true, .before_ns = INT64_MAX},
		.page = 1,
	};
	for (size_t i = 0; i < session->place_count; i++)
		query->rooms[query->search.room_count++] = room_id(session->places[i]->room);
}

static bool query_read(struct query *query, struct session *session, const char *arguments)
{
	char word[COMMAND_WORD_SIZE];

	query_init(query, session);
	while (command_take_word(&arguments, word)) {
		if (!take_word(session, query, word))
			return false;
	}
	query->search.skip = (size_t)(query->page - 1) * SEARCH_PAGE;
	if (arguments[0] == '\0' && query->words[0] != '\0')
		return true;
	tell_usage(session);
	return false;
}

static void tell_found(struct session *session, const struct room *room, uint64_t seq)
{
	char text[NAME_SIZE + 40];
	struct telling telling = {.kind = TELL_NOTICE, .code = "found", .room = room_label(room), .room_id = NULL, .seq = seq,
		.text = text, .request_id = session->request_id};

	(void)snprintf(text, sizeof text, "%s, message %llu:", room_label(room), (unsigned long long)seq);
	session_tell(session, &telling);
}

/* Shows what was found, between what was said just before and after it. */
static void show_found(struct session *session, const struct found *found)
{
	struct room *room;
	enum rooms_result result = rooms_find(&session->talk->rooms, found->room, &room);
	uint64_t seq = found->message->seq;
	struct message *messages[3];
	ssize_t count;
	size_t bytes = 0;

	if (result == ROOMS_TOO_MANY || result == ROOMS_NO_MEMORY)
		command_no_such_room(session, found->room, result);
	if (result != ROOMS_DONE)
		return; /* or deleted a moment ago */
	tell_found(session, room, seq);
	count = room_read(room, seq > 1 ? seq - 1 : seq, messages, seq > 1 ? 3 : 2);
	for (ssize_t i = 0; i < count; i++) {
		if (message_is_said(messages[i]))
			session_show_message(session, messages[i], &bytes);
		message_release(messages[i]);
	}
	rooms_give_back(&session->talk->rooms, room);
}

static void tell_result(struct session *session, const struct query *query, ssize_t count, uint64_t behind)
{
	if (count == -ETIMEDOUT)
		session_error(session, "search-too-long",
			"the search took too long; name a person (from:), a room (in:) or a time (after:)");
	else if (count < 0)
		session_error(session, "journal-unreadable", "the journal cannot be searched now; try again later");
	else if (count > SEARCH_PAGE)
		session_notice(session, "there is more: the same with page:%llu", (unsigned long long)query->page + 1);
	else
		session_notice(session, "%s", count == 0 && query->page == 1 ? "nothing was found" : "that is all");
	if (behind == 1)
		session_notice(session, "1 message is so new that it was not searched; try again in a moment");
	else if (behind > 1)
		session_notice(session, "%llu messages are so new that they were not searched; try again in a moment",
			(unsigned long long)behind);
}

static void search(struct session *session, const struct query *query)
{
	struct journal *journal = session->talk->rooms.journal;
	struct found found[SEARCH_PAGE + 1];
	uint64_t behind = 0;
	ssize_t count;

	(void)session_settle(session);
	count = journal->ops->search(journal, &query->search, found, SEARCH_PAGE + 1, &behind);
	for (ssize_t i = 0; i < count; i++) {
		if (i < SEARCH_PAGE)
			show_found(session, &found[i]);
		message_release(found[i].message);
	}
	tell_result(session, query, count, count < 0 ? 0 : behind);
}

void command_search(struct session *session, const char *arguments)
{
	struct query *query;

	if (session->talk->rooms.journal->ops->search == NULL) {
		session_error(session, "no-search",
			"the journal of this server cannot search; /history shows what was said");
		return;
	}
	query = malloc(sizeof *query);
	if (query == NULL)
		session_error(session, "no-memory", "the server has no memory for a search now; try again later");
	else if (query_read(query, session, arguments))
		search(session, query);
	free(query);
}
