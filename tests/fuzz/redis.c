/*
 * What a Redis answers, which may be anything: each function of the engine ends with an error at worst, and what it gives is clean.
 *
 * Input: one byte that says which function, then the bytes that come from Redis, after which it closes.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/redis.h"
#include "tcpserver/journals/redis_link.h"
#include "tests/fuzz/fuzz.h"

enum { PAGE = 3 };

static const char id[] = "0123456789abcdef0123";
static const char server[] = "@123456789abcdef0123";
static struct engine *engine;

/* A link to whom has said all it will say. */
static struct link *open_link(const uint8_t *bytes, size_t size, int pair[2])
{
	struct link *link = calloc(1, sizeof *link);

	MUST(link != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	MUST(size == 0 || write(pair[1], bytes, size) == (ssize_t)size);
	MUST(shutdown(pair[1], SHUT_WR) == 0);
	link->engine = (const struct redis_engine *)engine;
	link->wire.socket = pair[0];
	MUST(redis_link_start_reader(link));
	for (size_t i = 0; i < REDIS_SCRIPTS; i++)
		memset(link->hashes[i], 'a', REDIS_HASH_SIZE - 1);
	return link;
}

static void check_text(const char *text, size_t size)
{
	MUST(strlen(text) < size && text_is_clean(text, strlen(text)));
}

static void check_record(const struct room_record *record)
{
	check_text(record->id, sizeof record->id);
	check_text(record->name, sizeof record->name);
	check_text(record->creator, sizeof record->creator);
	check_text(record->topic, sizeof record->topic);
	MUST(record->id[0] != '\0' && record->attributes.created_ns > 0);
	MUST(record->attributes.id == record->id && (record->attributes.name == NULL || record->attributes.name == record->name));
}

static void check_holder(const struct name_holder *holder)
{
	check_text(holder->server, sizeof holder->server);
	check_text(holder->name, sizeof holder->name);
}

static void append(struct link *link)
{
	struct message *message = message_create(MESSAGE_JOINED, "tea", "bob", "", 0);
	struct entry entries[2] = {{.room = id, .message = message, .server = server, .number = 1},
		{.room = id, .message = message, .server = server, .number = 2, .seq = 7, .at_ns = 5}};

	MUST(message != NULL);
	if (engine->ops->append(link, entries, 2) == 0) {
		for (size_t i = 0; i < 2; i++) {
			MUST(entries[i].outcome != ENTRY_REFUSED || entries[i].error > 0);
			MUST(entries[i].outcome == ENTRY_REFUSED || (entries[i].seq > 0 && entries[i].at_ns >= 0));
			MUST(entries[i].outcome != ENTRY_REPEATED || entries[i].kept_in[0] != '\0');
			check_text(entries[i].label, sizeof entries[i].label);
		}
	}
	message_release(message);
}

static void fetch(struct link *link)
{
	struct message *messages[PAGE];
	ssize_t count = engine->ops->fetch(link, id, "tea", 2, messages, PAGE);
	uint64_t before = 1;

	MUST(count <= PAGE);
	for (ssize_t i = 0; i < count; i++) {
		MUST(messages[i]->seq > before && messages[i]->kind < MESSAGE_KINDS && messages[i]->at_ns >= 0);
		MUST(text_is_clean(messages[i]->text, messages[i]->text_size));
		check_text(messages[i]->participant, NAME_SIZE);
		before = messages[i]->seq;
		message_release(messages[i]);
	}
}

static void list_rooms(struct link *link)
{
	struct room_record records[PAGE];
	ssize_t count = engine->ops->list_rooms(link, "", true, records, PAGE);

	MUST(count <= PAGE);
	for (ssize_t i = 0; i < count; i++)
		check_record(&records[i]);
}

static void rooms(struct link *link, uint8_t which)
{
	const struct room_attributes attributes = {.id = id, .name = "tea", .creator = ""};
	struct room_record record;
	int error = which == 0   ? engine->ops->open_room(link, &attributes, &record)
		    : which == 1 ? engine->ops->find_room(link, "tea", id, &record)
				 : engine->ops->meet(link, &(struct stranger_offer){.key = "bob", .last = ""}, &record);

	if (error == 0)
		check_record(&record);
}

static void news(struct link *link)
{
	struct engine_news heard[PAGE];
	ssize_t count;

	while ((count = engine->ops->news(link, heard, PAGE)) > 0) {
		for (ssize_t i = 0; i < count; i++)
			check_text(heard[i].room, sizeof heard[i].room);
	}
}

static void names(struct link *link, bool claims)
{
	const struct name_claim claim = {.key = "bob", .name = "Bob", .number = 1};
	struct name_holder holder;
	int error = claims ? engine->ops->claim_name(link, server, &claim, &holder) : engine->ops->find_name(link, "bob", &holder);

	if (error == 0)
		check_holder(&holder);
}

static void people(struct link *link)
{
	char found[PAGE][NAME_SIZE];
	size_t total;
	ssize_t count = engine->ops->people(link, id, found, PAGE, &total);

	MUST(count <= PAGE);
	for (ssize_t i = 0; i < count; i++)
		check_text(found[i], NAME_SIZE);
}

static void ghosts(struct link *link)
{
	struct ghost found[PAGE];
	ssize_t count = engine->ops->ghosts(link, found, PAGE);

	MUST(count <= PAGE);
	for (ssize_t i = 0; i < count; i++) {
		check_text(found[i].server, ROOM_ID_SIZE);
		check_text(found[i].label, NAME_SIZE);
		check_text(found[i].name, NAME_SIZE);
	}
}

static void call(struct link *link, uint8_t which)
{
	const char *const ids[] = {id, server};
	uint64_t numbers[2];
	char words[ENGINE_FAULT_SIZE];

	switch (which % 12) {
	case 0:
	case 1:
	case 2:
		rooms(link, which % 12);
		break;
	case 3:
		append(link);
		break;
	case 4:
		fetch(link);
		break;
	case 5:
		list_rooms(link);
		break;
	case 6:
		news(link);
		break;
	case 7:
		names(link, true);
		break;
	case 8:
		names(link, false);
		break;
	case 9:
		people(link);
		break;
	case 10:
		ghosts(link);
		break;
	default:
		(void)engine->ops->last(link, ids, numbers, 2);
		(void)engine->ops->mark(link, id, "bob", numbers);
		engine->ops->describe(link, words, sizeof words);
		MUST(strlen(words) < sizeof words);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct engine_options options = {.url = "redis://nowhere"};
	char fault[ENGINE_FAULT_SIZE];
	struct link *link;
	int pair[2];

	if (engine == NULL)
		MUST(redis_engine_create(&options, &engine, fault) == 0);
	if (size == 0)
		return 0;
	link = open_link(bytes + 1, size - 1, pair);
	call(link, bytes[0]);
	check_text(engine->ops->fault(link), ENGINE_FAULT_SIZE);
	engine->ops->disconnect(link);
	(void)close(pair[1]);
	return 0;
}
