#include "tcpclient/unpack.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/chat.pb-c.h"
#include "tests/check.h"

static Rpc__ListChatRoomsResponse *list_of(const void *bytes, size_t size)
{
	return (Rpc__ListChatRoomsResponse *)unpack(&rpc__list_chat_rooms_response__descriptor, bytes, size);
}

/* 'count' times the two bytes of 'field'; returns how many rooms that is, or -1 for no list. */
static long long rooms_in(const char *field, size_t count)
{
	char *bytes = malloc(2 * count);
	Rpc__ListChatRoomsResponse *list;
	long long rooms;

	CHECK(bytes != NULL);
	for (size_t i = 0; i < count; i++)
		memcpy(bytes + 2 * i, field, 2);
	list = list_of(bytes, 2 * count);
	rooms = list == NULL ? -1 : (long long)list->n_chat_rooms;
	if (list != NULL)
		rpc__list_chat_rooms_response__free_unpacked(list, NULL);
	free(bytes);
	return rooms;
}

TEST(a_list_of_rooms_is_read)
{
	Rpc__ListChatRoomsResponse *list = list_of("\x0A\x05\x0A\x03tea\x0A\x06\x0A\x04milk", 15);

	CHECK(list != NULL);
	CHECK_EQUAL(list->n_chat_rooms, 2);
	CHECK_TEXT(list->chat_rooms[1]->room_id, "milk");
	rpc__list_chat_rooms_response__free_unpacked(list, NULL);
	list = list_of(NULL, 0);
	CHECK(list != NULL);
	CHECK_EQUAL(list->n_chat_rooms, 0);
	rpc__list_chat_rooms_response__free_unpacked(list, NULL);
}

TEST(too_many_fields_are_none)
{
	CHECK_EQUAL(rooms_in("\x0A\x00", UNPACK_FIELDS_MAX), UNPACK_FIELDS_MAX);
	CHECK_EQUAL(rooms_in("\x0A\x00", UNPACK_FIELDS_MAX + 1), -1);
	CHECK_EQUAL(rooms_in("\x78\x00", UNPACK_FIELDS_MAX), 0); /* which nobody knows */
	CHECK_EQUAL(rooms_in("\x78\x00", UNPACK_FIELDS_MAX + 1), -1);
}

TEST(the_fields_of_the_messages_inside_count)
{
	enum { INNER = UNPACK_FIELDS_MAX };
	static char bytes[5 + 2 * INNER];

	memcpy(bytes, "\x0A\x80\xEA\x30", 4);
	for (size_t i = 0; i < INNER; i++)
		memcpy(bytes + 4 + 2 * i, "\x0A\x00", 2);
	CHECK_EQUAL(2 * INNER, 0x00 | 0x6A << 7 | 0x30 << 14);
	CHECK(list_of(bytes, 4 + 2 * INNER) == NULL);
}

TEST(what_is_broken_is_none)
{
	CHECK(list_of("\x0A", 1) == NULL);
	CHECK(list_of("\x0A\x02\x0A\x05", 4) == NULL);
	CHECK(list_of("\x0B\x0C", 2) == NULL);
}
