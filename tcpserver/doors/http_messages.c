#include "tcpserver/doors/http_call.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/doors/http_json.h"
#include "tcpserver/doors/json_writer.h"
#include "tcpserver/doors/line.h"
#include "tcpserver/doors/request.h"

enum {
	LIMIT_USUAL = 100,
	LIMIT_MOST = 1000,
	PAGE_MESSAGES = 32, /* read from the journal at a time          */
	KEY_SIZE_MAX = 200, /* bytes of an Idempotency-Key              */
	TEXT_LINES = 200,   /* said last, that /r/NAME.txt shows         */
};

/* What an Idempotency-Key stands for is kept with this number. That of a request is less (INT64_MAX at most), so that whoever
 * guesses a key cannot take its place with a session of that id. */
static const uint64_t KEY_NUMBER = UINT64_C(1) << 63;

/* ---- Reading. ---- */

enum listing_part { LISTING_HEAD, LISTING_ITEMS, LISTING_DONE };

/* Messages on their way into a reply. */
struct listing {
	struct http_call call; /* of which only the session is there when the reply is read */
	struct room *room;
	const struct format *format;
	bool in_json;
	bool only_said;
	enum listing_part part;
	uint64_t next;  /* number to be read */
	uint64_t end;   /* not to be read    */
	uint64_t last;  /* in the room       */
	size_t left;    /* messages          */
	uint64_t given; /* number of the last one that was given; or what was asked 'after' */
	bool any;
	struct message *page[PAGE_MESSAGES];
	size_t page_count;
	size_t page_place;
};

static void listing_close(void *context)
{
	struct listing *listing = context;

	while (listing->page_place < listing->page_count)
		message_release(listing->page[listing->page_place++]);
	http_call_leave_room(&listing->call, listing->room);
	free(listing);
}

static int listing_turn_page(struct listing *listing)
{
	ssize_t count = 0;

	if (listing->next < listing->end && listing->left > 0)
		count = room_read(listing->room, listing->next, listing->page, PAGE_MESSAGES);
	listing->page_place = 0;
	listing->page_count = count < 0 ? 0 : (size_t)count;
	return count < 0 ? (int)count : 0;
}

/* The next message that is wanted, the caller's; NULL at the end, or, with '*error', when the journal cannot be read. */
static struct message *listing_take(struct listing *listing, int *error)
{
	*error = 0;
	while (listing->left > 0) {
		struct message *message;

		if (listing->page_place == listing->page_count)
			*error = listing_turn_page(listing);
		if (listing->page_place == listing->page_count)
			return NULL;
		message = listing->page[listing->page_place++];
		listing->next = message->seq + 1;
		if (message->seq < listing->end && (!listing->only_said || message_is_said(message)))
			return message;
		if (message->seq >= listing->end)
			listing->left = 0;
		message_release(message);
	}
	return NULL;
}

static char *print_message(const struct listing *listing, const struct message *message, size_t *size)
{
	size_t (*write)(const struct message *, char *, size_t) = listing->in_json ? listing->format->encode : listing->format->recall;
	size_t before = listing->in_json && listing->any;
	size_t length = write(message, NULL, 0);
	char *piece = malloc(before + length);

	if (piece == NULL)
		return NULL;
	piece[0] = ',';
	(void)write(message, piece + before, length);
	*size = before + length - listing->in_json; /* without its line end */
	return piece;
}

static char *listing_item(struct listing *listing, size_t *size)
{
	int error;
	struct message *message = listing_take(listing, &error);
	char *piece;

	*size = (size_t)(error != 0);
	if (message == NULL)
		return NULL;
	piece = print_message(listing, message, size);
	listing->given = message->seq;
	listing->any = true;
	listing->left--;
	message_release(message);
	if (piece == NULL)
		*size = 1;
	return piece;
}

static char *print_piece(size_t *size, void (*write)(struct json_writer *json, const struct listing *listing),
	const struct listing *listing)
{
	struct json_writer counted = {.size = 0};
	struct json_writer written = {.size = 0};

	write(&counted, listing);
	written.size = counted.used;
	written.out = malloc(counted.used);
	*size = counted.used;
	if (written.out != NULL)
		write(&written, listing);
	return written.out;
}

static void write_head(struct json_writer *json, const struct listing *listing)
{
	json_write_open(json);
	json_write_text(json, "room", room_label(listing->room));
	json_write_text(json, "room_id", room_id(listing->room));
	json_write_bytes(json, ",\"messages\":[", 13);
}

static void write_tail(struct json_writer *json, const struct listing *listing)
{
	json_write_bytes(json, "]", 1);
	json->more = true;
	json_write_number(json, "last", listing->last);
	json_write_number(json, "next", listing->given);
	json_write_bytes(json, "}\n", 2);
}

static char *listing_next(void *context, size_t *size)
{
	struct listing *listing = context;
	char *piece;

	*size = 0;
	switch (listing->part) {
	case LISTING_HEAD:
		listing->part = LISTING_ITEMS;
		return print_piece(size, write_head, listing);
	case LISTING_ITEMS:
		piece = listing_item(listing, size);
		if (piece != NULL || *size != 0 || !listing->in_json)
			return piece;
		listing->part = LISTING_DONE;
		return print_piece(size, write_tail, listing);
	case LISTING_DONE:
		break;
	}
	return NULL;
}

/* Reads the first page before the reply begins, so that what goes wrong can still be said; then gives the rest. */
static void reply_listing(struct http_call *call, const struct listing *wanted, const char *type)
{
	struct listing *listing = malloc(sizeof *listing);

	if (listing == NULL) {
		http_call_leave_room(call, wanted->room);
		http_reply_give(call->reply, 503, NULL, NULL, 0);
		return;
	}
	*listing = *wanted;
	listing->call.session = call->session;
	if (listing_turn_page(listing) != 0) {
		http_reply_error(call->reply, 503, "journal-unreadable", "the journal cannot be read now; try again later");
		listing_close(listing);
		return;
	}
	http_reply_pieces(call->reply, 200, type, listing_next, listing_close, listing);
}

static bool read_range(struct http_call *call, uint64_t *after, uint64_t *before, uint64_t *limit)
{
	if (!http_call_number(call, "after", 0, after) || !http_call_number(call, "before", UINT64_MAX, before) ||
		!http_call_number(call, "limit", LIMIT_USUAL, limit))
		return false;
	if (*limit >= 1 && *limit <= LIMIT_MOST)
		return true;
	http_reply_error(call->reply, 400, "usage", "limit has to be a number from 1 to %d", LIMIT_MOST);
	return false;
}

void http_messages_list(struct http_call *call)
{
	struct listing listing = {.format = &event_format, .in_json = true};
	uint64_t after;
	uint64_t before;
	uint64_t limit;

	if (!read_range(call, &after, &before, &limit))
		return;
	listing.room = http_call_room(call, call->captures[0]);
	if (listing.room == NULL)
		return;
	listing.last = room_last_seq(listing.room);
	listing.end = before > listing.last ? listing.last + 1 : before;
	/* Without 'after' it is the last ones; numbers have no holes. */
	if (http_query(call->request, "after") == NULL)
		after = listing.end > limit ? listing.end - limit - 1 : 0;
	listing.next = after + 1;
	listing.given = after > listing.last ? listing.last : after;
	listing.left = (size_t)limit;
	reply_listing(call, &listing, "application/json");
}

/* The room as plain text: what was said last. */
static void show_as_text(struct http_call *call, struct room *room)
{
	struct listing listing = {
		.room = room, .format = &line_format, .only_said = true, .part = LISTING_ITEMS, .left = TEXT_LINES};

	listing.end = room_last_seq(room) + 1;
	listing.next = room_find_said(room, UINT64_MAX, TEXT_LINES);
	if (listing.next == 0 || listing.next == ROOM_UNREADABLE)
		listing.next = listing.end; /* nothing; or what is wrong shows elsewhere */
	reply_listing(call, &listing, "text/plain; charset=utf-8");
}

static bool is_room(struct http_call *call, const char *name)
{
	struct rooms *rooms = &call->session->talk->rooms;
	struct room *room;
	bool found;

	if (rooms_find(rooms, name, &room) != ROOMS_DONE)
		return false;
	found = !room_attributes(room)->ends_with_member;
	rooms_give_back(rooms, room);
	return found;
}

/* /r/NAME is the page, /r/NAME.txt what was said, for readers without JavaScript; a room may be called x.txt, too. */
void http_room_page(struct http_call *call)
{
	const char *name = call->captures[0];
	size_t size = strlen(name);
	char bare[NAME_KEY_SIZE];
	struct room *room;

	if (size <= 4 || size >= sizeof bare || strcmp(name + size - 4, ".txt") != 0 || is_room(call, name)) {
		http_page(call);
		return;
	}
	(void)snprintf(bare, sizeof bare, "%.*s", (int)size - 4, name);
	room = http_call_room(call, bare);
	if (room != NULL)
		show_as_text(call, room);
}

/* ---- Posting. ---- */

/* What is to be said. */
struct post {
	enum message_kind kind;
	char *text; /* clean, in new memory */
	size_t text_size;
	char name[NAME_SIZE];
	bool is_guest;   /* no name was asked for                      */
	const char *key; /* NULL: it is said each time it is asked for */
};

/* The bytes without line ends behind them. */
static size_t trim_end(const char *text, size_t size)
{
	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	return size;
}

static bool take_text(struct http_call *call, struct post *post, const char *text, size_t size)
{
	size = trim_end(text, size);
	post->text = malloc(TEXT_CLEAN_SIZE(size) + 1);
	if (post->text == NULL) {
		http_reply_give(call->reply, 503, NULL, NULL, 0);
		return false;
	}
	post->text_size = request_clean(text, size, post->text);
	if (post->text_size > call->session->talk->max_line)
		http_reply_error(call->reply, 413, "line-too-long", "a text may have %zu bytes when it is clean UTF-8 in one line; send it in"
			" parts", call->session->talk->max_line);
	else if (post->text_size == 0)
		http_reply_error(call->reply, 400, "bad-request", "there is nothing to be said in the body");
	else
		return true;
	return false;
}

static bool take_name(struct http_call *call, struct post *post, const char *name)
{
	if (name_make(name, strlen(name), post->name))
		return true;
	http_reply_error(call->reply, 400, "bad-name",
		"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another");
	return false;
}

static bool take_json(struct http_call *call, struct post *post, const json_t *object)
{
	const json_t *text = json_object_get(object, "text");
	const json_t *name = json_object_get(object, "name");
	const json_t *action = json_object_get(object, "action");
	const char *wrong = NULL;

	if (!json_is_string(text))
		wrong = "the body has no string \"text\"";
	else if (name != NULL && !json_is_string(name))
		wrong = "\"name\" is no string";
	else if (action != NULL && !json_is_boolean(action))
		wrong = "\"action\" is neither true nor false";
	if (wrong != NULL) {
		http_reply_error(call->reply, 400, "bad-request", "%s", wrong);
		return false;
	}
	post->kind = json_is_true(action) ? MESSAGE_ACTION : MESSAGE_TEXT;
	if (name != NULL && !take_name(call, post, json_string_value(name)))
		return false;
	return take_text(call, post, json_string_value(text), json_string_length(text));
}

/* What a body may be: a text as it is, also where curl calls it a form. */
static bool is_text(const struct http_call *call)
{
	const char *type = http_field(call->request, "Content-Type");
	size_t length = type == NULL ? 0 : strcspn(type, " \t;");

	return type == NULL || (length == 33 && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0) ||
		(length == 10 && strncasecmp(type, "text/plain", 10) == 0);
}

static bool take_body(struct http_call *call, struct post *post)
{
	json_t *object;
	bool taken;

	if (is_text(call))
		return take_text(call, post, call->request->body, call->request->body_size);
	if (!http_json_is_told(call)) {
		http_reply_error(call->reply, 415, "unsupported-type", "a body has to be text/plain or application/json");
		return false;
	}
	object = http_json_read(call);
	if (object == NULL)
		return false;
	taken = take_json(call, post, object);
	json_decref(object);
	return taken;
}

/* By whom: the JSON said so already, or the query, or the user name of a login. */
static bool take_author(struct http_call *call, struct post *post)
{
	const char *name = http_query(call->request, "name");
	char user[HTTP_SECRET_SIZE];
	char password[HTTP_SECRET_SIZE];

	if (post->name[0] != '\0')
		return true;
	if (name != NULL)
		return take_name(call, post, name);
	if (http_basic_read(call->request, user, password))
		return take_name(call, post, user);
	name_guest(post->name);
	post->is_guest = true;
	return true;
}

static bool take_key(struct http_call *call, struct post *post)
{
	post->key = http_field(call->request, "Idempotency-Key");
	if (post->key == NULL || (post->key[0] != '\0' && strlen(post->key) <= KEY_SIZE_MAX))
		return true;
	http_reply_error(call->reply, 400, "bad-request", "an Idempotency-Key has 1 to %d bytes", KEY_SIZE_MAX);
	return false;
}

/* The message that was kept under that number; NULL when it is not kept any more. */
static struct message *read_back(struct room *room, uint64_t seq)
{
	struct message *message = NULL;

	if (room_read(room, seq, &message, 1) != 1)
		return NULL;
	if (message->seq == seq)
		return message;
	message_release(message);
	return NULL;
}

static bool is_the_same(const struct message *message, const struct post *post)
{
	return message->kind == post->kind && message->text_size == post->text_size &&
		memcmp(message->text, post->text, post->text_size) == 0;
}

static void write_number_only(struct json_writer *json, const void *context)
{
	json_write_open(json);
	json_write_number(json, "seq", *(const uint64_t *)context);
	json_write_close(json);
}

/* It was kept, now or by an earlier request. */
static void reply_kept(struct http_call *call, struct room *room, const struct receipt *receipt, const struct message *message)
{
	unsigned status = receipt->repeated ? 200 : 201;
	size_t size = message == NULL ? 0 : event_format.encode(message, NULL, 0);
	char *body = message == NULL ? NULL : malloc(size);

	if (message == NULL) {
		http_reply_json(call->reply, status, write_number_only, &receipt->seq);
	} else {
		if (body != NULL)
			(void)event_format.encode(message, body, size);
		http_reply_give(call->reply, status, "application/json", body, size);
	}
	http_reply_add(call->reply, "Location", "/rooms/%s/messages?after=%llu&limit=1", room_id(room),
		(unsigned long long)receipt->seq - 1);
	if (receipt->repeated)
		http_reply_add(call->reply, "Idempotency-Replayed", "true");
}

static void reply_said(struct http_call *call, const struct post *post, struct room *room, const struct receipt *receipt)
{
	struct message *message = read_back(room, receipt->seq);

	if (message != NULL && receipt->repeated && !is_the_same(message, post))
		http_reply_error(call->reply, 422, "key-reused",
			"this Idempotency-Key was used for another text; use a new one for each message");
	else
		reply_kept(call, room, receipt, message);
	if (message != NULL)
		message_release(message);
}

/*
 * What the key stands for, so that the journal keeps it once: that of this author, in this room, with this Chat-Session. The
 * name is the one that was asked for, not the one that was free. All but the key have a size that does not vary, or end with
 * a NUL, so that no two are the same bytes.
 */
static void make_client_id(
	const struct http_call *call, const struct post *post, const struct room *room, unsigned char id[SHA256_DIGEST_LENGTH])
{
	unsigned char all[ROOM_ID_SIZE + NAME_SIZE + CLIENT_ID_SIZE + KEY_SIZE_MAX + 2];
	size_t size = 0;

	size += (size_t)sprintf((char *)all, "%s", room_id(room)) + 1;
	size += (size_t)sprintf((char *)all + size, "%s", post->is_guest ? "" : post->name) + 1;
	(void)!http_session_id(call->request, all + size); /* zero without one */
	size += CLIENT_ID_SIZE;
	size += (size_t)sprintf((char *)all + size, "%s", post->key);
	(void)SHA256(all, size, id);
}

static void say(struct http_call *call, const struct post *post, struct room *room)
{
	unsigned char id[SHA256_DIGEST_LENGTH];
	struct saying saying = {.kind = post->kind, .text = post->text, .text_size = post->text_size};
	struct receipt receipt;

	if (post->key != NULL) {
		make_client_id(call, post, room, id);
		saying.client = id; /* its first CLIENT_ID_SIZE bytes */
		saying.number = KEY_NUMBER;
	}
	if (!session_post(call->session, room, post->name, &saying, &receipt)) {
		(void)take_name(call, &(struct post){.text = NULL}, "");
	} else if (receipt.error != 0) {
		http_reply_error(call->reply, 503, "not-stored", "this could not be kept (%s), nobody saw it; try again later",
			strerror(receipt.error));
		http_reply_add(call->reply, "Retry-After", "5");
	} else {
		reply_said(call, post, room, &receipt);
	}
}

void http_messages_post(struct http_call *call)
{
	struct post post = {.kind = MESSAGE_TEXT};
	struct room *room = NULL;

	if (take_key(call, &post) && take_body(call, &post) && take_author(call, &post))
		room = http_call_find_or_make_room(call, call->captures[0]);
	if (room != NULL) {
		say(call, &post, room);
		http_call_leave_room(call, room);
	}
	free(post.text);
}
