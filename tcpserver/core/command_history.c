#include "tcpserver/core/command.h"

#include <stdlib.h>

#include "common/date.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/room_log.h"
#include "tcpserver/core/session.h"

enum {
	HISTORY_USUAL = 20,            /* messages that /history shows                 */
	HISTORY_MOST = 500,            /* that it may be asked for                     */
	HISTORY_BYTES = 1024 * 1024,   /* after which an answer ends, whatever was asked */
	HISTORY_PAGE = 32,
};

/* What is asked, and what has been shown. */
struct history {
	struct room *room;
	uint64_t count;
	uint64_t before; /* a number of a message */
	uint64_t first;  /* number of what was shown first; 0: nothing */
	uint64_t shown;
	uint64_t next;   /* to be read */
	size_t bytes;
	bool failed;     /* the journal cannot be read */
};

/* Reads what follows "before". */
static bool take_before(struct history *history, const char **arguments)
{
	char word[COMMAND_WORD_SIZE];
	int64_t at_ns;

	if (command_take_number(arguments, &history->before))
		return true;
	if (!command_take_word(arguments, word) || !date_parse(word, &at_ns))
		return false;
	history->before = room_find_time(history->room, at_ns);
	return true;
}

/* [N] [before SEQ|DATE] */
static bool take_history(struct history *history, const char **arguments)
{
	if (command_take_number(arguments, &history->count) && (history->count < 1 || history->count > HISTORY_MOST))
		return false;
	return !command_take_keyword(arguments, "before") || take_before(history, arguments);
}

void session_show_message(struct session *session, const struct message *message, size_t *bytes)
{
	size_t size = session->door->format->recall(message, NULL, 0);
	char *record = malloc(size);

	if (record == NULL)
		return; /* without memory there is a gap, and the numbers tell */
	(void)session->door->format->recall(message, record, size);
	outlet_tell(session->outlet, record, size);
	*bytes += size;
	free(record);
}

static void show(struct session *session, struct history *history, const struct message *message)
{
	history->next = message->seq + 1;
	if (message->seq >= history->before || !message_is_said(message))
		return;
	session_show_message(session, message, &history->bytes);
	if (history->first == 0)
		history->first = message->seq;
	history->shown++;
}

/* Returns whether there may be more. */
static bool show_page(struct session *session, struct history *history)
{
	struct message *messages[HISTORY_PAGE];
	ssize_t count = room_read(history->room, history->next, messages, HISTORY_PAGE);

	history->failed = count < 0;
	for (ssize_t i = 0; i < count; i++) {
		if (history->bytes < HISTORY_BYTES)
			show(session, history, messages[i]);
		message_release(messages[i]);
	}
	return count > 0 && history->next < history->before && history->bytes < HISTORY_BYTES;
}

static void tell_end(struct session *session, const struct history *history)
{
	unsigned long long count = history->count;
	unsigned long long shown = history->shown;
	const char *plural = shown == 1 ? "" : "s";

	if (history->failed)
		session_error(session, "journal-unreadable", "the journal cannot be read now; try again later");
	else if (shown == 0)
		session_notice_in(session, history->room, "nothing was said before");
	else if (history->first <= 1 || room_find_said(history->room, history->first, 1) == 0)
		session_notice_in(session, history->room, "%llu message%s, from the first one on", shown, plural);
	else
		session_notice_in(session, history->room, "%llu message%s; /history %llu before %llu shows what was said before", shown,
			plural, count, (unsigned long long)history->first);
}

void command_history(struct session *session, const char *arguments)
{
	struct history history = {.room = session->place->room, .count = HISTORY_USUAL, .before = UINT64_MAX};
	const char *start = arguments;
	struct member *place = session->place;
	bool right = take_history(&history, &arguments);

	if (right && command_take_keyword(&arguments, "in")) {
		right = arguments[0] != '\0';
		place = command_take_place(session, "history", &arguments);
		if (place == NULL)
			return;
		history = (struct history){.room = place->room, .count = HISTORY_USUAL, .before = UINT64_MAX};
		(void)take_history(&history, &start); /* a date is another number there */
	}
	if (!right || arguments[0] != '\0') {
		session_error(session, "usage",
			"/history takes [N] [before NUMBER or DATE] [in ROOM], N from 1 to %d; type /history 20 before 2026-11-21",
			HISTORY_MOST);
		return;
	}
	(void)session_settle(session);
	history.next = room_find_said(history.room, history.before, history.count);
	history.failed = history.next == ROOM_UNREADABLE;
	while (history.next != 0 && !history.failed && show_page(session, &history))
		continue;
	tell_end(session, &history);
}
