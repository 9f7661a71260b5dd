#include "tests/tcpserver/journals/fake_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/sync.h"
#include "tcpserver/core/message.h"

#include "tests/check.h"

enum { ROOMS = 8, MESSAGES = 5000, TEXT = 64, GHOSTS = 4 };

struct fake_message {
	uint64_t seq;
	int64_t at_ns;
	enum message_kind kind;
	unsigned char client[CLIENT_ID_SIZE];
	uint64_t number;
	char name[NAME_SIZE];
	char text[TEXT];
};

struct fake_room {
	char id[ROOM_ID_SIZE];
	bool forgotten;
	uint64_t last;
	uint64_t trimmed;
	size_t count;
	struct fake_message messages[MESSAGES];
};

static struct {
	struct engine engine;
	pthread_mutex_t mutex;
	pthread_cond_t looked;
	enum { LOOK_AS_USUAL, LOOK_IS_AWAITED, LOOK_HAS_MISSED } look; /* see fake_miss_next_room() */
	enum fake_fault fault;
	bool away;
	bool silent;
	bool buried;
	bool retired;
	int again;
	unsigned appends;
	unsigned entries;
	unsigned generation; /* of links: older ones have broken */
	int news;
	char newest[ROOM_ID_SIZE];
	struct ghost ghosts[GHOSTS];
	size_t ghost_count;
	size_t room_count;
	struct fake_room rooms[ROOMS];
} fake;

struct link {
	unsigned generation;
};

static struct fake_room *find(const char *id)
{
	for (size_t i = 0; i < fake.room_count; i++) {
		if (strcmp(fake.rooms[i].id, id) == 0)
			return &fake.rooms[i];
	}
	return NULL;
}

static struct fake_room *make(const char *id)
{
	struct fake_room *room = find(id);

	if (room != NULL)
		return room;
	CHECK(fake.room_count < ROOMS);
	room = &fake.rooms[fake.room_count++];
	(void)snprintf(room->id, sizeof room->id, "%s", id);
	return room;
}

static void tell(const char *id)
{
	static const uint64_t one = 1;

	if (fake.silent)
		return;
	(void)snprintf(fake.newest, sizeof fake.newest, "%s", id);
	CHECK(write(fake.news, &one, sizeof one) == sizeof one);
}

static struct link *fake_connect(struct engine *engine, enum link_use use, char fault[ENGINE_FAULT_SIZE])
{
	struct link *link = NULL;

	(void)engine;
	(void)use;
	mutex_lock(&fake.mutex);
	if (!fake.away) {
		link = malloc(sizeof *link);
		CHECK(link != NULL);
		link->generation = fake.generation;
	}
	mutex_unlock(&fake.mutex);
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "the fake is away");
	return link;
}

static void fake_disconnect(struct link *link)
{
	free(link);
}

static bool works(const struct link *link)
{
	return !fake.away && link->generation == fake.generation;
}

static bool fake_works(const struct link *link)
{
	bool working;

	mutex_lock(&fake.mutex);
	working = works(link);
	mutex_unlock(&fake.mutex);
	return working;
}

static const char *fake_fault_words(const struct link *link)
{
	(void)link;
	return "the fake wants it so";
}

static int fake_open_room(struct link *link, const struct room_attributes *attributes, struct room_record *record)
{
	int error = -EIO;

	mutex_lock(&fake.mutex);
	while (fake.look == LOOK_IS_AWAITED)
		condition_wait(&fake.looked, &fake.mutex);
	if (works(link)) {
		record->last = make(attributes->id)->last;
		error = 0;
	}
	mutex_unlock(&fake.mutex);
	return error;
}

static int fake_forget_room(struct link *link, const char *id)
{
	(void)link;
	fake_other_forgets(id);
	return 0;
}

static int fake_find_room(struct link *link, const char *key, const char *id, struct room_record *record)
{
	const struct fake_room *room;

	(void)link;
	(void)key;
	mutex_lock(&fake.mutex);
	room = find(id);
	*record = (struct room_record){.last = room == NULL ? 0 : room->last};
	mutex_unlock(&fake.mutex);
	return room == NULL || room->forgotten ? -ENOENT : 0;
}

static const struct fake_message *find_sent(const struct entry *entry, const struct fake_room **in)
{
	for (size_t i = 0; i < fake.room_count; i++) {
		*in = &fake.rooms[i];
		for (size_t j = 0; j < (*in)->count; j++) {
			const struct fake_message *message = &(*in)->messages[j];

			if (message->number == entry->number && memcmp(message->client, entry->client, CLIENT_ID_SIZE) == 0)
				return message;
		}
	}
	return NULL;
}

static void drop_ghost(const struct entry *entry)
{
	for (size_t i = 0; i < fake.ghost_count; i++) {
		if (strcmp(fake.ghosts[i].server, entry->server) == 0 && strcmp(fake.ghosts[i].name, entry->message->participant) == 0)
			fake.ghosts[i] = fake.ghosts[--fake.ghost_count];
	}
}

static void add(struct fake_room *room, struct entry *entry)
{
	struct fake_message *message = &room->messages[room->count++];
	const struct message *said = entry->message;

	CHECK(room->count < MESSAGES);
	room->last = (room->last > entry->at_least ? room->last : entry->at_least) + 1;
	*message = (struct fake_message){
		.seq = room->last, .at_ns = clock_wall_ns(), .kind = said->kind, .number = entry->number};
	memcpy(message->client, entry->client, CLIENT_ID_SIZE);
	(void)snprintf(message->name, sizeof message->name, "%s", said->participant);
	(void)snprintf(message->text, sizeof message->text, "%.*s", (int)said->text_size, said->text);
	entry->seq = message->seq;
	entry->at_ns = message->at_ns;
	entry->outcome = ENTRY_KEPT;
	if (said->kind == MESSAGE_LEFT)
		drop_ghost(entry);
}

static void keep(struct entry *entry)
{
	struct fake_room *room = find(entry->room);
	const struct fake_room *in;
	const struct fake_message *sent = find_sent(entry, &in);

	CHECK(entry->number != 0);
	if (sent != NULL) {
		entry->outcome = ENTRY_REPEATED;
		entry->seq = sent->seq;
		entry->at_ns = sent->at_ns;
		(void)snprintf(entry->kept_in, sizeof entry->kept_in, "%s", in->id);
		(void)snprintf(entry->label, sizeof entry->label, "label of %s", in->id);
	} else if (room == NULL || room->forgotten) {
		entry->outcome = ENTRY_REFUSED;
		entry->error = ENOENT;
	} else {
		add(room, entry);
	}
}

static int fake_append(struct link *link, struct entry *entries, size_t count)
{
	enum fake_fault fault;
	int error = 0;

	mutex_lock(&fake.mutex);
	fault = fake.fault;
	fake.appends++;
	fake.entries += (unsigned)count;
	if (fault == FAKE_BREAKS_BEFORE || !works(link))
		error = -EIO;
	else if (fault == FAKE_IS_FULL)
		error = -ENOSPC;
	else if (fault == FAKE_AGAIN && fake.again++ < 3)
		error = -EAGAIN;
	for (size_t i = 0; i < count && error == 0; i++) {
		keep(&entries[i]);
		tell(entries[i].room);
	}
	if (fault == FAKE_BREAKS_BEFORE || fault == FAKE_BREAKS_AFTER || fault == FAKE_BREAKS_AFTER_AND_IS_FULL) {
		fake.generation++;
		fake.fault = fault == FAKE_BREAKS_AFTER_AND_IS_FULL ? FAKE_IS_FULL : FAKE_WORKS;
		error = -EIO;
	}
	mutex_unlock(&fake.mutex);
	return error;
}

static ssize_t fake_fetch(struct link *link, const char *id, const char *label, uint64_t from, struct message **messages,
	size_t capacity)
{
	const struct fake_room *room;
	size_t count = 0;

	mutex_lock(&fake.mutex);
	room = find(id);
	for (size_t i = 0; works(link) && room != NULL && i < room->count && count < capacity; i++) {
		const struct fake_message *kept = &room->messages[i];

		if (kept->seq < from || kept->seq <= room->trimmed)
			continue;
		messages[count] = message_create(kept->kind, label, kept->name, kept->text, strlen(kept->text));
		CHECK(messages[count] != NULL);
		messages[count]->seq = kept->seq;
		messages[count++]->at_ns = kept->at_ns;
	}
	if (!works(link)) {
		mutex_unlock(&fake.mutex);
		return -EIO;
	}
	mutex_unlock(&fake.mutex);
	return (ssize_t)count;
}

/* See fake_miss_next_room(). */
static void miss_room(void)
{
	if (fake.look != LOOK_IS_AWAITED)
		return;
	fake.look = LOOK_HAS_MISSED;
	condition_broadcast(&fake.looked);
	while (fake.look == LOOK_HAS_MISSED)
		condition_wait(&fake.looked, &fake.mutex);
}

static int fake_last(struct link *link, const char *const *ids, uint64_t *last, size_t count)
{
	int error;

	mutex_lock(&fake.mutex);
	error = works(link) ? 0 : -EIO;
	for (size_t i = 0; i < count; i++) {
		const struct fake_room *room = find(ids[i]);

		last[i] = room == NULL || room->forgotten ? UINT64_MAX : room->last;
		if (last[i] == UINT64_MAX)
			miss_room();
	}
	mutex_unlock(&fake.mutex);
	return error;
}

static int fake_descriptor(const struct link *link)
{
	(void)link;
	return fake.news;
}

static ssize_t fake_news(struct link *link, struct engine_news *news, size_t capacity)
{
	uint64_t count;
	bool told;

	CHECK(capacity > 0);
	mutex_lock(&fake.mutex);
	told = works(link) && read(fake.news, &count, sizeof count) == sizeof count;
	if (told) {
		news->last = 0;
		memcpy(news->room, fake.newest, sizeof news->room);
	}
	mutex_unlock(&fake.mutex);
	return told ? (count > 1 ? -EOVERFLOW : 1) : 0;
}

static int fake_beat(struct link *link, const char *server)
{
	bool buried;

	CHECK(strlen(server) == ROOM_ID_SIZE - 1 && server[0] == '@');
	mutex_lock(&fake.mutex);
	if (!works(link)) {
		mutex_unlock(&fake.mutex);
		return -EIO;
	}
	buried = fake.buried;
	fake.buried = false;
	mutex_unlock(&fake.mutex);
	return buried ? -ESTALE : 0;
}

static ssize_t fake_ghosts(struct link *link, struct ghost *ghosts, size_t capacity)
{
	size_t count;

	(void)link;
	mutex_lock(&fake.mutex);
	count = fake.ghost_count < capacity ? fake.ghost_count : capacity;
	memcpy(ghosts, fake.ghosts, count * sizeof *ghosts);
	mutex_unlock(&fake.mutex);
	return (ssize_t)count;
}

static int fake_succeed(struct link *link, const char *server, const char *place)
{
	(void)link;
	(void)server;
	CHECK_TEXT(place, "a place");
	return 0;
}

static int fake_retire(struct link *link, const char *server)
{
	(void)link;
	(void)server;
	fake.retired = true;
	return 0;
}

static void fake_destroy(struct engine *engine)
{
	(void)engine;
	(void)close(fake.news);
	mutex_fini(&fake.mutex);
	(void)pthread_cond_destroy(&fake.looked); /* nobody waits any more */
}

static const struct engine_ops fake_ops = {
	.name = "fake",
	.connect = fake_connect,
	.disconnect = fake_disconnect,
	.works = fake_works,
	.fault = fake_fault_words,
	.open_room = fake_open_room,
	.forget_room = fake_forget_room,
	.find_room = fake_find_room,
	.append = fake_append,
	.fetch = fake_fetch,
	.last = fake_last,
	.descriptor = fake_descriptor,
	.news = fake_news,
	.beat = fake_beat,
	.ghosts = fake_ghosts,
	.succeed = fake_succeed,
	.retire = fake_retire,
	.destroy = fake_destroy,
};

struct engine *fake_engine_create(void)
{
	memset(&fake, 0, sizeof fake);
	fake.engine.ops = &fake_ops;
	fake.news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(fake.news >= 0);
	mutex_init(&fake.mutex);
	condition_init(&fake.looked);
	return &fake.engine;
}

void fake_miss_next_room(void)
{
	mutex_lock(&fake.mutex);
	fake.look = LOOK_IS_AWAITED;
	mutex_unlock(&fake.mutex);
}

void fake_end_look(void)
{
	mutex_lock(&fake.mutex);
	fake.look = LOOK_AS_USUAL;
	condition_broadcast(&fake.looked);
	mutex_unlock(&fake.mutex);
}

void fake_set_fault(enum fake_fault fault)
{
	mutex_lock(&fake.mutex);
	fake.fault = fault;
	fake.again = 0;
	mutex_unlock(&fake.mutex);
}

void fake_set_away(bool away)
{
	mutex_lock(&fake.mutex);
	fake.away = away;
	fake.generation += away;
	mutex_unlock(&fake.mutex);
}

void fake_set_silent(bool silent)
{
	mutex_lock(&fake.mutex);
	fake.silent = silent;
	mutex_unlock(&fake.mutex);
}

uint64_t fake_other_says(const char *room, const char *text, const unsigned char *client, uint64_t number)
{
	static uint64_t others = 0;
	struct message *message = message_create(MESSAGE_TEXT, room, "other", text, strlen(text));
	struct entry entry = {.room = room, .message = message, .server = "@other", .number = number};

	CHECK(message != NULL);
	mutex_lock(&fake.mutex);
	(void)make(room);
	if (number != 0)
		memcpy(entry.client, client, CLIENT_ID_SIZE);
	else
		entry.number = ++others;
	if (number == 0)
		memset(entry.client, 'o', CLIENT_ID_SIZE);
	keep(&entry);
	tell(room);
	mutex_unlock(&fake.mutex);
	message_release(message);
	return entry.seq;
}

void fake_other_forgets(const char *room)
{
	mutex_lock(&fake.mutex);
	if (find(room) != NULL)
		find(room)->forgotten = true;
	mutex_unlock(&fake.mutex);
}

void fake_trim(const char *room, uint64_t count)
{
	mutex_lock(&fake.mutex);
	find(room)->trimmed = count;
	mutex_unlock(&fake.mutex);
}

void fake_bury(void)
{
	mutex_lock(&fake.mutex);
	fake.buried = true;
	mutex_unlock(&fake.mutex);
}

void fake_leave_ghost(const char *room, const char *name)
{
	struct ghost *ghost = &fake.ghosts[0];

	mutex_lock(&fake.mutex);
	*ghost = (struct ghost){.server = "@0123456789abcdef012", .joined = 7};
	(void)snprintf(ghost->room, sizeof ghost->room, "%s", room);
	(void)snprintf(ghost->label, sizeof ghost->label, "%s", room);
	(void)snprintf(ghost->name, sizeof ghost->name, "%s", name);
	fake.ghost_count = 1;
	mutex_unlock(&fake.mutex);
}

unsigned fake_appends(void)
{
	unsigned appends;

	mutex_lock(&fake.mutex);
	appends = fake.appends;
	mutex_unlock(&fake.mutex);
	return appends;
}

unsigned fake_entries(void)
{
	unsigned entries;

	mutex_lock(&fake.mutex);
	entries = fake.entries;
	mutex_unlock(&fake.mutex);
	return entries;
}

bool fake_is_retired(void)
{
	return fake.retired;
}
