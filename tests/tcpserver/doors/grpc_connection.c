#include "tcpserver/doors/grpc_connection.h"

#include <string.h>
#include <unistd.h>

#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tests/check.h"

enum {
	SESSIONS_MOST = 200,
	HEADERS = 1,
	RESET = 3,
	REFUSED_STREAM = 7,
	CANCEL = 8,
	OUT_SIZE = 64 * 1024,
	HEAD_SIZE = 9
};

static struct talk talk;
static const struct carrier outer = {.address = "10.0.0.1:1", .own_address = "10.0.0.2:2"};
static struct session session = {.talk = &talk, .socket = -1, .carrier = &outer, .address = "10.0.0.1:1"};
static struct grpc_connection *connection;

/* Sessions that were begun, and do nothing. */
static struct {
	int socket;
	const struct carrier *carrier;
} begun[SESSIONS_MOST + 1];
static size_t begun_count;

static void admit(struct talk *of, int socket, const struct carrier *carrier, const struct door *door)
{
	(void)of, (void)door;
	CHECK(begun_count <= SESSIONS_MOST);
	begun[begun_count].socket = socket;
	begun[begun_count++].carrier = carrier;
}

static void end_session(size_t i)
{
	CHECK(close(begun[i].socket) == 0);
	begun[i].carrier->release(begun[i].carrier);
}

static void feed(const void *bytes, size_t size)
{
	CHECK(grpc_connection_feed(connection, bytes, size));
}

static void feed_frame(int type, int flags, unsigned stream, const void *payload, size_t size)
{
	unsigned char head[HEAD_SIZE] = {0, (unsigned char)(size >> 8), (unsigned char)size, (unsigned char)type,
		(unsigned char)flags, 0, 0, (unsigned char)(stream >> 8), (unsigned char)stream};

	feed(head, sizeof head);
	feed(payload, size);
}

static size_t add_field(unsigned char *block, const char *name, const char *value)
{
	size_t name_size = strlen(name);
	size_t value_size = strlen(value);

	block[0] = 0; /* literal, not for the table */
	block[1] = (unsigned char)name_size;
	memcpy(block + 2, name, name_size);
	block[2 + name_size] = (unsigned char)value_size;
	memcpy(block + 3 + name_size, value, value_size);
	return 3 + name_size + value_size;
}

static void begin_call(unsigned stream)
{
	unsigned char block[256];
	size_t size = add_field(block, ":method", "POST");

	size += add_field(block + size, ":scheme", "http");
	size += add_field(block + size, ":authority", "x");
	size += add_field(block + size, ":path", "/rpc.ChatService/Chat");
	size += add_field(block + size, "content-type", "application/grpc");
	feed_frame(HEADERS, 4, stream, block, size);
}

static void cancel_call(unsigned stream)
{
	static const unsigned char code[] = {0, 0, 0, CANCEL};

	feed_frame(RESET, 0, stream, code, sizeof code);
}

/* How many streams the server has refused in what it has to say. */
static int refused(void)
{
	static char out[OUT_SIZE];
	int count = 0;
	size_t size;

	while ((size = grpc_connection_fill(connection, out, sizeof out)) > 0) {
		for (size_t at = 0; at < size;) {
			const unsigned char *frame = (const unsigned char *)out + at;

			count += frame[3] == RESET && frame[HEAD_SIZE + 3] == REFUSED_STREAM;
			at += HEAD_SIZE + ((size_t)frame[1] << 8 | frame[2]);
		}
	}
	return count;
}

static void begin(void)
{
	static const unsigned char settings[HEAD_SIZE] = {0, 0, 0, 4};

	client_list_init(&talk.clients);
	talk.admit = admit;
	connection = grpc_connection_create(&session);
	CHECK(connection != NULL);
	feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	feed(settings, sizeof settings);
}

TEST(sessions_whose_calls_were_cut_count_until_they_are_gone)
{
	unsigned stream = 1;

	begin();
	for (int i = 0; i < SESSIONS_MOST; i++, stream += 2) {
		begin_call(stream);
		cancel_call(stream);
	}
	CHECK_EQUAL(refused(), 0);
	CHECK_EQUAL(begun_count, SESSIONS_MOST);
	CHECK_EQUAL(grpc_connection_calls(connection), 0);

	begin_call(stream);
	CHECK_EQUAL(refused(), 1);
	CHECK_EQUAL(begun_count, SESSIONS_MOST);

	end_session(0);
	begin_call(stream + 2);
	CHECK_EQUAL(refused(), 0);
	CHECK_EQUAL(begun_count, SESSIONS_MOST + 1);

	grpc_connection_destroy(connection, 0);
	for (size_t i = 1; i < begun_count; i++)
		end_session(i);
	client_list_fini(&talk.clients);
}

TEST(wrong_passwords_of_all_calls_count_together_and_after_their_connection)
{
	begin();
	for (unsigned i = 0; i < SESSION_PASSWORDS_MAX; i++) {
		CHECK(!grpc_connection_guesses(connection));
		begin_call(1 + 2 * i);
		(void)atomic_fetch_add(begun[i].carrier->wrong_passwords, 1);
	}
	CHECK(grpc_connection_guesses(connection));
	grpc_connection_destroy(connection, 0);
	for (size_t i = 0; i < begun_count; i++) {
		CHECK_EQUAL(atomic_load(begun[i].carrier->wrong_passwords), SESSION_PASSWORDS_MAX);
		end_session(i);
	}
	client_list_fini(&talk.clients);
}
