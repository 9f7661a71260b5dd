/*
 * What is in the queue between the server and messageapi: whatever it is, what is taken from it is what a server could have put there, and
 * written again it is read as the same.
 *
 * Input: the body of a message.
 */
#include "tcpserver/journals/amqp_body.h"

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tests/fuzz/fuzz.h"

static void check_message(const struct amqp_body *body, const struct amqp_body *again)
{
	const struct message *one = body->entry.message;
	const struct message *other = again->entry.message;

	MUST(body->entry.seq > 0 && body->entry.number > 0 && body->entry.at_ns >= 0);
	MUST(text_is_clean(one->text, one->text_size) && text_is_clean(one->participant, one->participant_size));
	MUST(again->entry.seq == body->entry.seq && again->entry.number == body->entry.number);
	MUST(memcmp(again->entry.client, body->entry.client, CLIENT_ID_SIZE) == 0);
	MUST(one->kind == other->kind && one->text_size == other->text_size);
	MUST(memcmp(one->text, other->text, one->text_size) == 0 && strcmp(one->participant, other->participant) == 0);
}

static void check_room(const struct amqp_body *body, const struct amqp_body *again)
{
	MUST(body->attributes.id == body->room && again->attributes.capacity == body->attributes.capacity);
	MUST((body->attributes.name == NULL) == (again->attributes.name == NULL));
	MUST(strcmp(body->name, again->name) == 0 && strcmp(body->creator, again->creator) == 0);
	MUST(strcmp(body->topic, again->topic) == 0 && again->attributes.created_ns == body->attributes.created_ns);
}

static void check_body(const struct amqp_body *body)
{
	struct amqp_body again;
	size_t size;
	const char *wrong;
	char *bytes = amqp_body_write(body, &size);

	MUST(bytes != NULL && amqp_body_read(bytes, size, &again, &wrong) == 0);
	MUST(again.kind == body->kind && again.position == body->position && strcmp(again.room, body->room) == 0);
	if (body->kind == AMQP_MESSAGE)
		check_message(body, &again);
	else if (body->kind == AMQP_ROOM)
		check_room(body, &again);
	MUST(again.waits == body->waits);
	amqp_body_fini(&again);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *copy = fuzz_copy(bytes, size);
	struct amqp_body body;
	const char *wrong;
	int error = amqp_body_read(copy, size, &body, &wrong);

	free(copy); /* nothing points into it */
	MUST((error == 0) == (wrong == NULL));
	MUST(wrong == NULL || body.entry.message == NULL);
	if (wrong == NULL)
		check_body(&body);
	amqp_body_fini(&body);
	return 0;
}
