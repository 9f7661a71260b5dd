/*
 * What the AMQP engine remembers: its rooms, and what it has published that is not stored yet.
 */
#include "tcpserver/journals/amqp_body.h"
#include "tcpserver/journals/amqp_kept.h"
#include "tcpserver/journals/amqp_rooms.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amqp_peer.h"
#include "tcpserver/core/message.h"

#include "tests/check.h"

enum { MANY = 500 };

#define ID "0123456789abcdef0123"

static struct amqp_kept *add(struct amqp_tail *tail, uint64_t position, const char *text, size_t size)
{
	struct message *message = message_create(MESSAGE_TEXT, "tea", "bob", text, size);
	struct entry entry = {.room = ID, .message = message, .number = position, .seq = position, .at_ns = 5};
	struct amqp_kept *kept;

	memset(entry.client, 7, CLIENT_ID_SIZE);
	kept = amqp_tail_add(tail, &entry, position);
	message_release(message);
	CHECK(kept != NULL);
	kept->is_confirmed = true;
	return kept;
}

TEST(what_was_published_is_found_by_its_sender_and_its_place)
{
	unsigned char client[CLIENT_ID_SIZE];
	struct amqp_tail tail;

	memset(client, 7, sizeof client);
	CHECK(amqp_tail_init(&tail));
	for (uint64_t i = 1; i <= MANY; i++)
		(void)add(&tail, i, "hi", 2);
	for (uint64_t i = 1; i <= MANY; i++) {
		CHECK_EQUAL(amqp_tail_find_sent(&tail, client, i)->seq, i);
		CHECK_EQUAL(amqp_tail_find_seq(&tail, ID, i)->number, i);
	}
	CHECK(amqp_tail_find_sent(&tail, client, MANY + 1) == NULL);
	CHECK(amqp_tail_find_seq(&tail, "another", 1) == NULL);
	amqp_tail_fini(&tail);
}

TEST(what_is_stored_needs_no_memory_for_its_text_but_its_sender_is_known)
{
	struct amqp_tail tail;

	CHECK(amqp_tail_init(&tail));
	for (uint64_t i = 1; i <= MANY; i++)
		(void)add(&tail, i, "hi", 2);
	amqp_tail_note_stored(&tail, MANY - 1);
	CHECK_EQUAL(tail.unstored, 1);
	CHECK(amqp_tail_find_seq(&tail, ID, 1)->message == NULL);
	CHECK(amqp_tail_find_seq(&tail, ID, MANY)->message != NULL);
	CHECK_EQUAL(tail.bytes, message_memory(amqp_tail_find_seq(&tail, ID, MANY)->message));
	amqp_tail_fini(&tail);
}

TEST(what_the_broker_has_not_confirmed_is_not_stored)
{
	struct amqp_tail tail;

	CHECK(amqp_tail_init(&tail));
	(void)add(&tail, 1, "hi", 2);
	add(&tail, 2, "hi", 2)->is_confirmed = false;
	(void)add(&tail, 3, "hi", 2);
	amqp_tail_note_stored(&tail, 3);
	CHECK_EQUAL(tail.unstored, 2);
	CHECK(amqp_tail_find_seq(&tail, ID, 2)->message != NULL);
	amqp_tail_fini(&tail);
}

TEST(the_oldest_texts_go_when_there_are_too_many_and_their_senders_stay)
{
	enum { SIZE = 60000 };
	static char text[SIZE];
	struct amqp_tail tail;
	uint64_t count = 2 * (AMQP_TAIL_BYTES / SIZE);

	memset(text, 'x', sizeof text);
	CHECK(amqp_tail_init(&tail));
	for (uint64_t i = 1; i <= count; i++)
		(void)add(&tail, i, text, sizeof text);
	CHECK(tail.bytes <= AMQP_TAIL_BYTES);
	CHECK_EQUAL(tail.unstored, count);
	CHECK(amqp_tail_find_seq(&tail, ID, 1)->message == NULL);
	CHECK(amqp_tail_find_seq(&tail, ID, count)->message != NULL);
	amqp_tail_fini(&tail);
}

TEST(of_what_is_stored_only_the_last_is_remembered)
{
	struct amqp_tail tail;

	CHECK(amqp_tail_init(&tail));
	for (uint64_t i = 1; i <= AMQP_KEPT_MOST + MANY; i++) {
		(void)add(&tail, i, "hi", 2);
		amqp_tail_note_stored(&tail, i);
	}
	CHECK_EQUAL(tail.count, AMQP_KEPT_MOST);
	CHECK(amqp_tail_find_seq(&tail, ID, MANY) == NULL);
	CHECK(amqp_tail_find_seq(&tail, ID, MANY + 1) != NULL);
	amqp_tail_fini(&tail);
}

TEST(rooms_are_found_by_id_and_by_name_and_stand_in_order)
{
	struct amqp_rooms rooms = {0};
	char id[ROOM_ID_SIZE];
	char name[NAME_SIZE];

	for (unsigned i = 0; i < MANY; i++) {
		unsigned number = i * 7 % MANY;
		struct room_attributes attributes = {.id = id, .name = number % 2 == 0 ? name : NULL, .creator = ""};

		(void)snprintf(id, sizeof id, "%020u", number);
		(void)snprintf(name, sizeof name, "Room %u", number);
		CHECK(amqp_rooms_add(&rooms, &attributes) != NULL);
	}
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(id, sizeof id, "%020zu", i);
		CHECK_TEXT(rooms.rooms[i]->id, id);
		CHECK(amqp_rooms_find(&rooms, id) == rooms.rooms[i]);
	}
	CHECK_TEXT(amqp_rooms_find_key(&rooms, "room 8")->name, "Room 8");
	CHECK(amqp_rooms_find_key(&rooms, "room 9") == NULL);
	amqp_rooms_remove(&rooms, amqp_rooms_find_key(&rooms, "room 8")->id);
	CHECK(amqp_rooms_find_key(&rooms, "room 8") == NULL);
	CHECK_EQUAL(rooms.count, MANY - 1);
	amqp_rooms_fini(&rooms);
}

TEST(a_message_comes_out_of_the_queue_as_it_went_in)
{
	static const char text[] = "\"quoted\" \\ \xC3\xA4 \xF0\x9F\x90\xB1";
	struct message *message = message_create(MESSAGE_ACTION, "tea", "b\xC3\xB6" "b", text, sizeof text - 1);
	struct amqp_body body = {.kind = AMQP_MESSAGE, .session = "s", .position = 9, .room = ID};
	struct amqp_body again;
	const char *wrong;
	size_t size;
	char *bytes;

	body.entry = (struct entry){.message = message, .server = "@1", .number = UINT64_MAX, .seq = 3, .at_ns = 1234567890123456789};
	memset(body.entry.client, 0xAB, CLIENT_ID_SIZE);
	bytes = amqp_body_write(&body, &size);
	CHECK(bytes != NULL);
	CHECK_CONTAINS(bytes, "\"username\":\"b\xC3\xB6" "b\"");
	CHECK_EQUAL(amqp_body_read(bytes, size, &again, &wrong), 0);
	CHECK_EQUAL(again.entry.number, UINT64_MAX);
	CHECK_EQUAL(again.entry.seq, 3);
	CHECK_EQUAL(again.entry.at_ns, 1234567890123456789);
	CHECK_EQUAL(again.entry.message->kind, MESSAGE_ACTION);
	CHECK_BYTES(again.entry.message->text, again.entry.message->text_size, text, sizeof text - 1);
	amqp_body_fini(&again);
	free(bytes);
	message_release(message);
}

static unsigned allocations_left = -1U; /* of jansson and of message_create(), before there is no memory */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left -= allocations_left != -1U;
	return __real_malloc(size);
}

TEST(a_message_for_which_there_is_no_memory_is_not_at_fault)
{
	static const char good[] = "{\"username\":\"eve\",\"message\":\"x\",\"tcpchat\":1,\"session\":\"s\",\"position\":1,\"kind\":\"message\","
				   "\"room\":\"" ID "\",\"seq\":1,\"at\":1,\"server\":\"\",\"client\":\"00112233445566778899aabbccddeeff\","
				   "\"number\":\"1\"}";
	struct amqp_body body;
	const char *wrong;
	int error = -ENOMEM;

	amqp_body_start();
	CHECK_EQUAL(amqp_body_read("no JSON", 7, &body, &wrong), -EINVAL);
	for (unsigned most = 0; error == -ENOMEM; most++) {
		CHECK(most < 1000);
		allocations_left = most;
		error = amqp_body_read(good, sizeof good - 1, &body, &wrong);
		allocations_left = -1U;
		if (error != 0 && error != -ENOMEM)
			FAIL("with %u allocations: %s", most, wrong);
	}
	CHECK_EQUAL(error, 0);
	amqp_body_fini(&body);
}

TEST(an_address_is_read_and_a_wrong_one_is_not_repeated)
{
	struct amqp_address address;

	CHECK_TEXT(amqp_address_parse("amqp://user:pass@localhost:5672/", NULL, &address), NULL);
	CHECK_TEXT(address.place.host, "localhost");
	CHECK_TEXT(address.vhost, "/");
	CHECK_TEXT(address.password, "pass");
	CHECK(!address.is_encrypted);
	CHECK_TEXT(amqp_address_parse("amqps://u%40x:p@[::1]:1/a%2Fb?cacertfile=/tmp/ca.pem&verify=verify_none", "better", &address), NULL);
	CHECK_TEXT(address.user, "u@x");
	CHECK_TEXT(address.password, "better");
	CHECK_TEXT(address.vhost, "a/b");
	CHECK_TEXT(address.authorities, "/tmp/ca.pem");
	CHECK(address.is_encrypted && !address.is_verified);
	CHECK(amqp_address_parse("http://user:hush@localhost/", NULL, &address) != NULL);
	CHECK(strstr(amqp_address_parse("amqp://user:hush@localhost:x/", NULL, &address), "hush") == NULL);
	CHECK(amqp_address_parse("amqp://localhost/?what=ever", NULL, &address) != NULL);
}
