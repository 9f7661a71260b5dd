#include "tcpserver/journals/archive.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/nesting.h"
#include "common/text.h"
#include "tcpserver/core/message.h"

#define SECOND_NS INT64_C(1000000000)

enum {
	TIME_SIZE = 24,            /* "2026-11-21T08:00:00.123Z" */
	TEXT_SIZE_MAX = 3 * 65535, /* a longest line, every byte of which was made clean */
	YEAR_MAX = 2261,           /* the last whole one in nanoseconds */
};

/* ---- Values. ---- */

/* The string of a field, when it is clean and has 'most' bytes at most. */
static const char *field_text(const json_t *object, const char *name, size_t most, size_t *size)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);

	*size = json_string_length(value);
	return text != NULL && *size <= most && text_is_clean(text, *size) ? text : NULL;
}

/* Copies a field that is a name as the server makes them. */
static bool field_name(const json_t *object, const char *name, char out[NAME_SIZE])
{
	size_t size;
	const char *text = field_text(object, name, NAME_SIZE - 1, &size);

	return text != NULL && name_make(text, size, out) && strcmp(text, out) == 0;
}

/* The same, or nothing at all, which is the server itself. */
static bool field_participant(const json_t *object, const char *name, char out[NAME_SIZE])
{
	size_t size;

	out[0] = '\0';
	return (field_text(object, name, 0, &size) != NULL) || field_name(object, name, out);
}

/* The same, or the mark of a room that is everybody's. */
static bool field_creator(const json_t *object, char out[NAME_SIZE])
{
	const char *text = json_string_value(json_object_get(object, "creator"));

	if (text == NULL || strcmp(text, ROOM_OF_EVERYBODY) != 0)
		return field_participant(object, "creator", out);
	(void)snprintf(out, NAME_SIZE, "%s", ROOM_OF_EVERYBODY);
	return true;
}

static bool field_number(const json_t *object, const char *name, int64_t least, int64_t most, int64_t *number)
{
	const json_t *value = json_object_get(object, name);

	*number = json_integer_value(value);
	return json_is_integer(value) && *number >= least && *number <= most;
}

static bool field_bool(const json_t *object, const char *name, bool *flag)
{
	const json_t *value = json_object_get(object, name);

	*flag = json_is_true(value);
	return json_is_boolean(value);
}

/* Writes a time as in "2026-11-21T08:00:00.123Z". */
static void time_write(int64_t at_ns, char text[TIME_SIZE + 32])
{
	time_t seconds = (time_t)(at_ns / SECOND_NS);
	struct tm utc = {0};
	size_t size;

	(void)gmtime_r(&seconds, &utc); /* cannot fail for a time in nanoseconds */
	size = strftime(text, TIME_SIZE + 1, "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(text + size, 32, ".%03dZ", (int)(at_ns % SECOND_NS / 1000000));
}

/* The number of 'count' digits. */
static int digits(const char *text, int count)
{
	int number = 0;

	for (int i = 0; i < count; i++)
		number = 10 * number + (text[i] - '0');
	return number;
}

/* A time since 1970, exactly as it is written: what is no day (as 30 February) would be written otherwise. */
static bool field_time(const json_t *object, const char *name, int64_t *at_ns)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	size_t size;
	const char *text = field_text(object, name, TIME_SIZE, &size);
	char again[TIME_SIZE + 32];
	struct tm utc = {0};

	if (text == NULL || size != TIME_SIZE)
		return false;
	for (size_t i = 0; i < TIME_SIZE; i++) {
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	}
	if (digits(text, 4) < 1970 || digits(text, 4) > YEAR_MAX)
		return false;
	utc = (struct tm){
		.tm_year = digits(text, 4) - 1900,
		.tm_mon = digits(text + 5, 2) - 1,
		.tm_mday = digits(text + 8, 2),
		.tm_hour = digits(text + 11, 2),
		.tm_min = digits(text + 14, 2),
		.tm_sec = digits(text + 17, 2),
	};
	*at_ns = (int64_t)timegm(&utc) * SECOND_NS + digits(text + 20, 3) * INT64_C(1000000);
	time_write(*at_ns, again);
	return strcmp(text, again) == 0;
}

/* ---- A room's line. ---- */

static const char bad_field[] = "an unknown field; leave it out";

const char *archive_label(const struct room_record *record)
{
	return record->name[0] == '\0' ? record->id : record->name;
}

/* An id is hex, so that no name of a room can be taken for one of another. */
static bool read_id(const json_t *object, char id[ROOM_ID_SIZE])
{
	size_t size;
	const char *text = field_text(object, "id", ROOM_ID_SIZE - 1, &size);

	if (text == NULL || size != ROOM_ID_SIZE - 1 || strspn(text, "0123456789abcdef") != size)
		return false;
	memcpy(id, text, size + 1);
	return true;
}

static bool read_topic(const json_t *object, char topic[ROOM_TOPIC_SIZE])
{
	size_t size;
	const char *text = field_text(object, "topic", ROOM_TOPIC_SIZE - 1, &size);

	if (text != NULL)
		memcpy(topic, text, size + 1);
	return text != NULL;
}

/* Reads the attributes that are neither text nor time. */
static const char *read_traits(const json_t *object, struct room_attributes *attributes)
{
	int64_t capacity;

	if (!field_number(object, "capacity", 0, INT32_MAX, &capacity))
		return "\"capacity\" is no number of people; write 0 for no limit";
	attributes->capacity = (size_t)capacity;
	if (!field_bool(object, "listed", &attributes->listed) ||
		!field_bool(object, "persistent", &attributes->persistent) ||
		!field_bool(object, "pair", &attributes->ends_with_member) || !field_bool(object, "waits", &attributes->waits))
		return "one of \"listed\", \"persistent\", \"pair\" and \"waits\" is missing, or neither true nor false";
	return NULL;
}

static const char *read_room_text(const json_t *object, struct room_record *record)
{
	size_t size;
	const char *label = field_text(object, "room", NAME_SIZE - 1, &size);

	if (!read_id(object, record->id))
		return "\"id\" is not 20 small hexadecimal digits";
	if (json_object_get(object, "name") != NULL && !field_name(object, "name", record->name))
		return "\"name\" is no name that a room can have";
	if (label == NULL || strcmp(label, archive_label(record)) != 0)
		return "\"room\" is not the name of the room, nor its id if it has no name";
	if (!field_creator(object, record->creator))
		return "\"creator\" is no name that a person can have";
	if (!read_topic(object, record->topic))
		return "\"topic\" is missing, too long, or has control characters";
	return NULL;
}

/* The attributes point into the record, so they are made where it stays. */
static void record_finish(struct room_record *record)
{
	record->attributes.id = record->id;
	record->attributes.name = record->name[0] == '\0' ? NULL : record->name;
	record->attributes.creator = record->creator;
	record->attributes.topic = record->topic;
}

static const char *read_room(const json_t *object, struct archive_room *room)
{
	struct room_record record = {.name = ""};
	const char *wrong = read_room_text(object, &record);

	if (wrong == NULL && !field_time(object, "created", &record.attributes.created_ns))
		wrong = "\"created\" is no time as in 2026-11-21T08:00:00.123Z";
	if (wrong == NULL)
		wrong = read_traits(object, &record.attributes);
	if (wrong == NULL && json_object_size(object) != (record.name[0] == '\0' ? 11 : 12))
		wrong = bad_field;
	if (wrong != NULL)
		return wrong;
	*room = (struct archive_room){.record = record, .open = true};
	record_finish(&room->record);
	return NULL;
}

int archive_write_room(const struct room_record *record, FILE *out)
{
	const struct room_attributes *attributes = &record->attributes;
	char created[TIME_SIZE + 32];
	json_t *object = json_object();
	int error;

	time_write(attributes->created_ns, created);
	error = json_object_set_new(object, "kind", json_string("room"));
	error |= json_object_set_new(object, "room", json_string(archive_label(record)));
	error |= json_object_set_new(object, "id", json_string(record->id));
	if (record->name[0] != '\0')
		error |= json_object_set_new(object, "name", json_string(record->name));
	error |= json_object_set_new(object, "creator", json_string(record->creator));
	error |= json_object_set_new(object, "created", json_string(created));
	error |= json_object_set_new(object, "topic", json_string(record->topic));
	error |= json_object_set_new(object, "capacity", json_integer((json_int_t)attributes->capacity));
	error |= json_object_set_new(object, "listed", json_boolean(attributes->listed));
	error |= json_object_set_new(object, "persistent", json_boolean(attributes->persistent));
	error |= json_object_set_new(object, "pair", json_boolean(attributes->ends_with_member));
	error |= json_object_set_new(object, "waits", json_boolean(attributes->waits));
	if (error == 0)
		error = json_dumpf(object, out, JSON_COMPACT);
	json_decref(object);
	if (error != 0)
		return ferror(out) != 0 ? -EIO : -ENOMEM;
	return fputc('\n', out) == EOF ? -EIO : 0;
}

/* ---- A message's line. ---- */

/* As events have them (docs/events.schema.json). */
static const struct {
	const char *name;
	const char *event_type; /* or NULL */
	bool has_text;
} kinds[MESSAGE_KINDS] = {
	[MESSAGE_TEXT] = {"message", NULL, true},
	[MESSAGE_ACTION] = {"action", NULL, true},
	[MESSAGE_JOINED] = {"joined", "participant_joined", false},
	[MESSAGE_LEFT] = {"left", "participant_left", true},
	[MESSAGE_NICK] = {"nick", NULL, true},
	[MESSAGE_TOPIC] = {"topic", NULL, true},
	[MESSAGE_ROOM_CLOSED] = {"room_closed", NULL, false},
};

static bool read_kind(const char *name, enum message_kind *kind)
{
	for (int i = 0; i < MESSAGE_KINDS; i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			*kind = (enum message_kind)i;
			return true;
		}
	}
	return false;
}

static bool is_event_type(const json_t *object, const char *expected)
{
	const json_t *value = json_object_get(object, "event_type");

	if (expected == NULL)
		return value == NULL;
	return json_is_string(value) && strcmp(json_string_value(value), expected) == 0;
}

/* Reads the text; for a kind that has none it is empty. */
static const char *read_text(const json_t *object, enum message_kind kind, const char **text, size_t *size)
{
	char name[NAME_SIZE];

	*size = 0;
	*text = "";
	if (!kinds[kind].has_text)
		return NULL;
	*text = field_text(object, "text", kind == MESSAGE_TOPIC ? ROOM_TOPIC_SIZE - 1 : TEXT_SIZE_MAX, size);
	if (*text == NULL)
		return "\"text\" is missing, too long, or has control characters";
	if (kind == MESSAGE_NICK && !field_name(object, "text", name))
		return "\"text\" is no name that a person can have";
	return NULL;
}

static size_t field_count(enum message_kind kind)
{
	return 5 + (kinds[kind].event_type != NULL ? 1u : 0u) + (kinds[kind].has_text ? 1u : 0u);
}

/* Reads what all messages have. */
static const char *read_place(const json_t *object, const struct archive_room *room, int64_t *seq, int64_t *at_ns)
{
	const char *label = json_string_value(json_object_get(object, "room"));

	if (!room->open)
		return "there was no line of a room before this message; begin with {\"kind\":\"room\", ...}";
	if (label == NULL || strcmp(label, archive_label(&room->record)) != 0)
		return "\"room\" is not the room of the lines before; put messages after the line of their room";
	if (!field_number(object, "seq", 1, (INT64_C(1) << 36) - 2, seq))
		return "\"seq\" is no number of a message";
	if ((uint64_t)*seq <= room->last)
		return "\"seq\" is not greater than the one before; put the messages of a room in order";
	if (!field_time(object, "at", at_ns))
		return "\"at\" is no time as in 2026-11-21T08:00:00.123Z";
	return NULL;
}

static const char *read_message(
	const json_t *object, enum message_kind kind, struct archive_room *room, struct message **message)
{
	char participant[NAME_SIZE];
	const char *text;
	size_t size;
	int64_t seq;
	int64_t at_ns;
	const char *wrong = read_place(object, room, &seq, &at_ns);

	if (wrong == NULL && !field_participant(object, "participant", participant))
		wrong = "\"participant\" is no name that a person can have";
	if (wrong == NULL)
		wrong = read_text(object, kind, &text, &size);
	if (wrong == NULL && !is_event_type(object, kinds[kind].event_type))
		wrong = "\"event_type\" does not belong to this \"kind\"";
	if (wrong == NULL && json_object_size(object) != field_count(kind))
		wrong = bad_field;
	if (wrong != NULL)
		return wrong;
	*message = message_create(kind, archive_label(&room->record), participant, text, size);
	if (*message == NULL)
		return "there is no memory for it now; try again";
	(*message)->seq = room->last = (uint64_t)seq;
	(*message)->at_ns = at_ns;
	return NULL;
}

const char *archive_read(const char *line, size_t size, struct archive_room *room, struct message **message)
{
	bool shallow = nesting_is_within(line, size, ARCHIVE_DEPTH_MAX);
	json_t *object = shallow ? json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *name = json_string_value(json_object_get(object, "kind"));
	const char *wrong = "\"kind\" is missing, or unknown";
	enum message_kind kind;

	*message = NULL;
	if (!json_is_object(object))
		wrong = "the line is no JSON object; take an archive as --export writes it";
	else if (name != NULL && strcmp(name, "room") == 0)
		wrong = read_room(object, room);
	else if (name != NULL && read_kind(name, &kind))
		wrong = read_message(object, kind, room, message);
	json_decref(object);
	return wrong;
}

/* ---- The report. ---- */

void archive_report(FILE *report, const char *path, uint64_t rooms, uint64_t messages, const char *done)
{
	(void)fprintf(report, "%s: %" PRIu64 " room%s with %" PRIu64 " message%s %s %s\n", path, rooms, rooms == 1 ? "" : "s",
		messages, messages == 1 ? "" : "s", rooms == 1 ? "was" : "were", done);
}
