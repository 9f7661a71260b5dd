#include "tests/load/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/load/crowd.h"
#include "tests/load/net.h"
#include "tests/load/verdict.h"
#include "tests/load/wire.h"

#define MEMBER_ANNOUNCEMENT "p00000: announcement "

enum { MEMBER_SHOWN_SIZE = 160 }; /* how much of a strange line is shown */

static bool member_starts(const char *line, size_t size, const char *start)
{
	return size >= strlen(start) && memcmp(line, start, strlen(start)) == 0;
}

static void member_become_ready(struct reader *reader, struct member *member)
{
	if (!member->ready)
		reader->ready_count++;
	member->ready = true;
}

/* A number at the end of a line. */
static uint64_t member_read_number(const char *text, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
		number = number * 10 + (uint64_t)(text[i] - '0');
	return number;
}

static bool member_take_announcement(struct reader *reader, struct member *member, uint32_t number)
{
	/* Announcements before the first one that it heard were made before it joined. */
	if (member->heard != 0 && number != member->heard + 1) {
		verdict_fault("%s heard announcement %u after %u", member->name, number, member->heard);
		return false;
	}
	member->heard = number;
	member_become_ready(reader, member);
	if (number > reader->announcement) {
		reader->announcement = number;
		reader->announcement_heard = 0;
	}
	if (number == reader->announcement)
		reader->announcement_heard++;
	reader->heard_last_ns = net_now_ns();
	return true;
}

/* Takes "* Welcome NAME ..."; the server may give another name than the one that was asked for. */
static bool member_take_welcome(struct reader *reader, struct member *member, const char *name, size_t size)
{
	size_t name_size = strlen(member->name);

	if (member_starts(name, size, "to tcpchat."))
		return true;
	if (!member_starts(name, size, member->name) || (size > name_size && name[name_size] == '#')) {
		verdict_fault("the name %s is taken, so another load is running here", member->name);
		return false;
	}
	reader->welcome_count++;
	member_become_ready(reader, member);
	return true;
}

static bool member_refuse(const struct member *member, const char *what, const char *line, size_t size)
{
	verdict_fault(
		"%s %s: '%.*s'", member->name, what, size < MEMBER_SHOWN_SIZE ? (int)size : MEMBER_SHOWN_SIZE, line);
	return false;
}

/* Takes a line from the server itself. */
static bool member_take_server_line(struct reader *reader, struct member *member, const char *line, size_t size)
{
	if (member_starts(line, size, "* Welcome "))
		return member_take_welcome(reader, member, line + 10, size - 10);
	if (member_starts(line, size, "* (") && memmem(line, size, "skipped", 7) != NULL)
		return member_refuse(member, "was not given everything", line, size);
	return true;
}

/* Takes a line that is no record, without its LF. */
static bool member_take_foreign(struct reader *reader, struct member *member, const char *line, size_t size)
{
	struct crowd *crowd = reader->crowd;

	reader->foreign_count++;
	if (size > 0 && line[size - 1] == '\r')
		size--;
	if (member_starts(line, size, "User \""))
		return true;
	if (member_starts(line, size, MEMBER_ANNOUNCEMENT))
		return member_take_announcement(reader, member,
			(uint32_t)member_read_number(
				line + strlen(MEMBER_ANNOUNCEMENT), size - strlen(MEMBER_ANNOUNCEMENT)));
	if (member_starts(line, size, "* "))
		return member_take_server_line(reader, member, line, size);
	if (member_starts(line, size, "! "))
		return member_refuse(member, "got an error", line, size);
	if (crowd->take_line != NULL && crowd->take_line(reader, member, line, size))
		return true;
	return member_refuse(member, "got a strange line", line, size);
}

bool member_count(struct reader *reader, struct member *member, size_t talker, uint64_t number)
{
	if (talker >= reader->crowd->talker_count) {
		verdict_fault("%s got a line of nobody (%zu)", member->name, talker);
		return false;
	}
	if (number != member->next[talker]) {
		verdict_fault("%s %s: wanted number %u of talker %zu, got %llu", member->name,
			number > member->next[talker] ? "lost a line, or got it late" : "got a line twice, or late",
			member->next[talker], talker, (unsigned long long)number);
		return false;
	}
	member->next[talker]++;
	member->position += reader->crowd->record_size;
	return true;
}

static void member_measure(struct reader *reader, uint64_t sent_ns)
{
	histogram_add(reader->delays, reader->received_ns > sent_ns ? reader->received_ns - sent_ns : 0);
}

/* Takes a record where the room has no one order. */
static bool member_take_record(struct reader *reader, struct member *member, const char *record, size_t size)
{
	struct wire_fields fields;

	if (size != reader->crowd->record_size || !wire_read_record(record, size, &fields))
		return member_refuse(member, "got a changed line", record, size);
	if (!member_count(reader, member, fields.sender, fields.number))
		return false;
	if (reader->delays != NULL && fields.stamp_ns != 0)
		member_measure(reader, fields.stamp_ns);
	return true;
}

static bool member_take_line(struct reader *reader, struct member *member, const char *line, size_t size)
{
	if (line[0] == 's')
		return member_take_record(reader, member, line, size);
	return member_take_foreign(reader, member, line, size - 1);
}

/* Keeps 'size' bytes until the rest of their line comes. */
static bool member_keep(struct member *member, const char *bytes, size_t size)
{
	if (member->carry_size + size > CROWD_CARRY_SIZE)
		return member_refuse(member, "got a line without an end", bytes, size);
	memcpy(member->carry + member->carry_size, bytes, size);
	member->carry_size += (uint32_t)size;
	return true;
}

/* Takes the next line, or what there is of it. Returns how many bytes that were, or 0 after a fault. */
static size_t member_take_some(struct reader *reader, struct member *member, const char *bytes, size_t size)
{
	const char *end = memchr(bytes, '\n', size);
	size_t taken = end == NULL ? size : (size_t)(end - bytes) + 1;
	bool fine;

	if (end != NULL && member->carry_size == 0)
		return member_take_line(reader, member, bytes, taken) ? taken : 0;
	fine = member_keep(member, bytes, taken);
	if (fine && end != NULL) {
		fine = member_take_line(reader, member, member->carry, member->carry_size);
		member->carry_size = 0;
	}
	return fine ? taken : 0;
}

bool member_take(struct reader *reader, struct member *member, const char *bytes, size_t size)
{
	bool room_has_order = reader->crowd->talker_count == 0;

	while (size > 0) {
		size_t taken;

		if (room_has_order && member->carry_size == 0) {
			ssize_t records = score_take(&reader->score, member->name, &member->position, bytes, size);

			if (records < 0)
				return false;
			bytes += records;
			size -= (size_t)records;
			if (size == 0)
				break;
		}
		taken = member_take_some(reader, member, bytes, size);
		if (taken == 0)
			return false;
		bytes += taken;
		size -= taken;
	}
	return true;
}
