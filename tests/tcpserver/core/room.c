#include "tcpserver/core/room.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { LAG_MEMORY = 64 * 1024, BUFFER_SIZE = 8192, TEXT_SIZE_MOST = 1 << 20 };

/* "3 + ann" for joined, "4 ann says hi", "5 - ann left": the number shows what is lost or twice. */
static size_t encode(const struct message *message, char *out, size_t size)
{
	static const char *const signs[] = {[MESSAGE_TEXT] = "says", [MESSAGE_JOINED] = "+", [MESSAGE_LEFT] = "-"};
	char head[300];
	size_t head_size = (size_t)snprintf(head, sizeof head, "%llu %s %s ", (unsigned long long)message->seq,
		message->participant, signs[message->kind]);
	size_t needed = head_size + message->text_size + 1;

	if (needed > size)
		return needed;
	memcpy(out, head, head_size);
	if (message->text_size > 0)
		memcpy(out + head_size, message->text, message->text_size);
	out[needed - 1] = '\n';
	return needed;
}

static size_t encode_shout(const struct message *message, char *out, size_t size)
{
	if (size >= 1)
		out[0] = message->kind == MESSAGE_TEXT ? '!' : '.';
	return 1;
}

static const struct format plain = {.name = "plain", .encode = encode, .recall = encode};
static const struct format shout = {.name = "shout", .encode = encode_shout, .recall = encode_shout};

/* No words to one client alone: these tests look at records. */
static char *no_words(const struct telling *telling, size_t *size)
{
	(void)telling;
	*size = 0;
	return NULL;
}

static const struct door door = {.name = "test", .words = no_words};

static struct journal *journal;
static struct room *room;

/* Somebody in the room, whose thread is this one: what it is sent is read from 'peer'. */
struct person {
	const char *name;
	int socket;
	int peer;
	struct outlet *outlet;
	struct member *member;
};

static void start(size_t kept)
{
	static const struct room_attributes lobby = {.name = "lobby", .creator = ""};

	outlet_prepare_process();
	journal = memory_journal_create(kept);
	CHECK(journal != NULL);
	room = room_open(&lobby, journal);
	CHECK(room != NULL);
}

static void stop(void)
{
	room_release(room);
	journal->ops->destroy(journal);
}

static void come_in(struct member *member, const char *name)
{
	const struct saying joined = {.kind = MESSAGE_JOINED, .name = name};

	room_say(room, member, NULL, &joined);
	CHECK(atomic_load(&member->is_in));
	room_flush(room);
}

static struct person come_with(const char *name, const struct format *format, size_t lag_memory)
{
	struct person person = {.name = name};
	int pair[2];
	int size = BUFFER_SIZE;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
	person.socket = pair[0];
	person.peer = pair[1];
	person.outlet = outlet_create(person.socket, &door, lag_memory);
	CHECK(person.outlet != NULL);
	person.member = member_create(person.outlet, NULL, room, format);
	CHECK(person.member != NULL);
	come_in(person.member, name);
	return person;
}

static struct person come(const char *name)
{
	return come_with(name, &plain, LAG_MEMORY);
}

/* Gives the outlet back, after all its members have left. */
static void forget(struct person *person)
{
	outlet_detach(person->outlet);
	if (outlet_take_duty(person->outlet) != NULL) /* given in the last moment */
		room_take_over_flush(room);
	outlet_release(person->outlet);
	(void)close(person->socket);
	(void)close(person->peer);
}

/* The others are told 'how', unless it is NULL. */
static void go_how(struct person *person, const char *how)
{
	member_leave(person->member, false);
	room_leave(room, person->member, person->name, how);
	member_release(person->member);
	forget(person);
}

static void go(struct person *person)
{
	go_how(person, "normally");
}

static void say_text(struct person *person, const char *text, size_t size)
{
	const struct saying saying = {.kind = MESSAGE_TEXT, .name = person->name, .text = text, .text_size = size};

	room_say(room, person->member, person->outlet, &saying);
	CHECK_EQUAL(outlet_take_refusal(person->outlet), 0);
}

static void say(struct person *person, const char *text)
{
	say_text(person, text, strlen(text));
	room_flush(room);
}

/* What the person was sent since the last look; valid until the next one. */
static const char *seen(struct person *person)
{
	static char text[TEXT_SIZE_MOST];
	size_t size = 0;
	ssize_t got;

	while ((got = recv(person->peer, text + size, sizeof text - 1 - size, 0)) > 0)
		size += (size_t)got;
	text[size] = '\0';
	return text;
}

TEST(everybody_sees_what_is_said_and_its_author_too)
{
	struct person ann;
	struct person bob;

	start(100);
	ann = come("ann");
	bob = come("bob");
	say(&ann, "hi");
	say(&bob, "");
	CHECK_TEXT(seen(&ann), "2 bob + \n3 ann says hi\n4 bob says \n");
	CHECK_TEXT(seen(&bob), "3 ann says hi\n4 bob says \n");
	go(&ann);
	go(&bob);
	stop();
}

TEST(who_comes_sees_what_follows_and_not_its_own_coming)
{
	struct person ann;
	struct person bob;

	start(100);
	ann = come("ann");
	say(&ann, "before");
	bob = come("bob");
	say(&ann, "after");
	CHECK_TEXT(seen(&bob), "4 ann says after\n");
	go(&ann);
	go(&bob);
	stop();
}

TEST(who_goes_is_told_to_the_others)
{
	struct person ann;
	struct person bob;

	start(100);
	ann = come("ann");
	bob = come("bob");
	go(&bob);
	CHECK_TEXT(seen(&ann), "2 bob + \n3 bob - normally\n");
	go_how(&ann, NULL);
	stop();
}

TEST(who_goes_before_the_flush_is_not_sent_to)
{
	struct person ann;
	struct person bob;

	start(100);
	ann = come("ann");
	bob = come("bob");
	say_text(&ann, "hi", 2);
	member_leave(bob.member, false);
	room_flush(room);
	CHECK_TEXT(seen(&bob), "");
	room_leave(room, bob.member, "bob", "connection lost");
	CHECK_TEXT(seen(&ann), "2 bob + \n3 ann says hi\n4 bob - connection lost\n");
	member_release(bob.member);
	forget(&bob);
	go(&ann);
	stop();
}

TEST(each_format_has_its_own_bytes)
{
	struct person ann;
	struct person bob;
	struct person carl;

	start(100);
	ann = come("ann");
	bob = come_with("bob", &shout, LAG_MEMORY);
	say(&ann, "hi");
	carl = come_with("carl", &shout, LAG_MEMORY);
	say(&bob, "ho");
	CHECK_TEXT(seen(&ann), "2 bob + \n3 ann says hi\n4 carl + \n5 bob says ho\n");
	CHECK_TEXT(seen(&bob), "!.!");
	CHECK_TEXT(seen(&carl), "!");
	go(&bob);
	go(&carl);
	bob = come_with("bob", &shout, LAG_MEMORY); /* the format is begun again */
	say(&ann, "hi");
	CHECK_TEXT(seen(&bob), "!");
	go(&bob);
	go(&ann);
	stop();
}

TEST(private_words_come_between_records)
{
	struct person ann;

	start(100);
	ann = come("ann");
	say_text(&ann, "one", 3);
	outlet_tell(ann.outlet, "* hello\n", 8);
	CHECK(!outlet_is_answered(ann.outlet));
	CHECK_EQUAL(outlet_send(ann.outlet), OUTLET_EVEN);
	CHECK(outlet_is_answered(ann.outlet));
	CHECK_TEXT(seen(&ann), "* hello\n2 ann says one\n");
	go(&ann);
	stop();
}

/*
 * Reads all that 'person' is sent, its own thread sending when there is room; valid until the next call. Where messages
 * are not to be had any more, it is told.
 */
static char *read_through(struct person *person, uint64_t *skipped)
{
	static char text[4 * TEXT_SIZE_MOST];
	size_t size = 0;
	enum outlet_state state;
	uint64_t behind;

	*skipped = 0;
	do {
		const char *part;
		uint64_t now_skipped = 0;

		state = outlet_send(person->outlet);
		if (state == OUTLET_WANTS_PAGE) {
			(void)!room_give_page(room, person->member, &now_skipped, &behind);
			*skipped += now_skipped;
			if (now_skipped > 0)
				outlet_tell(person->outlet, "* skipped\n", 10);
		}
		part = seen(person);
		CHECK(size + strlen(part) < sizeof text);
		(void)strcpy(text + size, part);
		size += strlen(part);
		/* Another thread may have sent a part of a record since. */
	} while (state != OUTLET_EVEN || (size > 0 && text[size - 1] != '\n'));
	return text;
}

/* Whether 'text' has the records first, first + 1, ... last, each once and whole; and nothing else. */
static void check_records(const char *text, unsigned long long record, unsigned long long last, size_t size)
{
	for (; record <= last; record++) {
		char head[64];
		size_t head_size = (size_t)snprintf(head, sizeof head, "%llu ann says ", record);

		if (strncmp(text, head, head_size) != 0)
			FAIL("record %llu is not there, but \"%.60s\"", record, text);
		text += head_size;
		if (strspn(text, "x") != size || text[size] != '\n')
			FAIL("record %llu is not whole", record);
		text += size + 1;
	}
	CHECK_TEXT(text, "");
}

enum { LINE_SIZE = 300, LONG_LINE_SIZE = 10000, BATCH = 37 };

/*
 * Says 'count' lines, many to a flush, so that a socket is full in the middle of one. The author reads all of them.
 * Returns how often the author was sent something.
 */
static int say_lines(struct person *author, int count, size_t size)
{
	static char line[LONG_LINE_SIZE];
	uint64_t skipped;
	int sent = 0;

	memset(line, 'x', sizeof line);
	for (int i = 1; i <= count; i++) {
		say_text(author, line, size);
		if (i % BATCH != 0 && i != count)
			continue;
		room_flush(room);
		sent += read_through(author, &skipped)[0] != '\0';
		CHECK_EQUAL(skipped, 0);
	}
	return sent;
}

TEST(a_member_that_does_not_read_holds_up_nobody_and_misses_nothing)
{
	struct person ann;
	struct person slow;
	uint64_t skipped;
	char *text;

	start(10000);
	ann = come("ann");
	slow = come("slow");
	CHECK_EQUAL(say_lines(&ann, 2000, LINE_SIZE), (2000 + BATCH - 1) / BATCH);
	text = read_through(&slow, &skipped);
	CHECK_EQUAL(skipped, 0);
	check_records(text, 3, 2002, LINE_SIZE);
	say(&ann, "x"); /* it reads the log again, like the others */
	CHECK_TEXT(seen(&slow), "2003 ann says x\n");
	go(&slow);
	go(&ann);
	stop();
}

TEST(many_private_words_come_in_order)
{
	static char text[TEXT_SIZE_MOST];
	struct person ann;
	uint64_t skipped;
	const char *place = text;
	unsigned told = 0;

	start(100);
	ann = come("ann");
	for (int turn = 0; turn < 10; turn++) {
		for (int i = 0; i < 4000; i++) {
			char word[16];

			(void)snprintf(word, sizeof word, "%u\n", told++);
			outlet_tell(ann.outlet, word, strlen(word));
		}
		(void)!outlet_send(ann.outlet);
		if (turn % 3 == 0)
			(void)strcat(text, seen(&ann)); /* a part: the next words come behind the rest */
	}
	(void)strcat(text, read_through(&ann, &skipped));
	for (unsigned i = 0; i < told; i++, place = strchr(place, '\n') + 1)
		CHECK_EQUAL(strtoul(place, NULL, 10), i);
	CHECK_TEXT(place, "");
	go(&ann);
	stop();
}

/* Takes the private words out of 'text', and checks that there are 'count' and that each stands between lines. */
static void check_private(char *text, int count)
{
	char *place = text;

	for (; (place = strstr(place, "* private\n")) != NULL; count--) {
		CHECK(place == text || place[-1] == '\n');
		memmove(place, place + 10, strlen(place + 10) + 1);
	}
	CHECK_EQUAL(count, 0);
}

/* The socket was full in the middle of a line; the member stays in the log. */
TEST(private_words_wait_for_the_rest_of_a_line)
{
	static char text[TEXT_SIZE_MOST];
	struct person ann;
	struct person slow;
	uint64_t skipped;
	ssize_t got;

	start(100);
	ann = come("ann");
	slow = come("slow");
	for (size_t room_made = 7000; room_made <= 10000; room_made += 500) {
		(void)say_lines(&ann, 4, LONG_LINE_SIZE);
		outlet_tell(slow.outlet, "* private\n", 10);
		got = recv(slow.peer, text, room_made, 0);
		CHECK(got > 0);
		(void)!outlet_send(slow.outlet);
		(void)strcpy(text + got, read_through(&slow, &skipped));
		CHECK_EQUAL(skipped, 0);
		check_private(text, 1);
		check_records(text, strtoull(text, NULL, 10), strtoull(text, NULL, 10) + 3, LONG_LINE_SIZE);
	}
	go(&slow);
	go(&ann);
	stop();
}

/* The same, but the member is so far behind that it leaves the log for the journal, with the rest of the line. */
TEST(a_member_that_leaves_the_log_gets_lines_and_private_words_whole)
{
	struct person ann;
	struct person slow;
	uint64_t skipped;
	unsigned said = 0;
	char *text;

	start(10000);
	ann = come("ann");
	slow = come("slow");
	for (int i = 0; i < 50; i++) {
		(void)say_lines(&ann, 4 + i % 4, LONG_LINE_SIZE);
		said += 4 + (unsigned)i % 4;
		outlet_tell(slow.outlet, "* private\n", 10);
	}
	text = read_through(&slow, &skipped);
	CHECK_EQUAL(skipped, 0);
	check_private(text, 50);
	check_records(text, 3, 2 + said, LONG_LINE_SIZE);
	go(&slow);
	go(&ann);
	stop();
}

TEST(what_the_journal_has_forgotten_is_counted_as_skipped)
{
	struct person ann;
	struct person slow;
	uint64_t skipped;
	char *text;
	char *rest;
	unsigned long long first;
	unsigned long long last_before;

	start(100);
	ann = come("ann");
	slow = come("slow");
	(void)say_lines(&ann, 2000, LINE_SIZE);
	text = read_through(&slow, &skipped);
	CHECK(skipped > 0);
	rest = strstr(text, "* skipped\n"); /* told between the last before and the first after */
	CHECK(rest != NULL && rest > text && rest[-1] == '\n');
	*rest = '\0';
	rest += strlen("* skipped\n");
	first = strtoull(rest, NULL, 10);
	last_before = first - skipped - 1;
	check_records(text, 3, last_before, LINE_SIZE);
	check_records(rest, first, 2002, LINE_SIZE);
	go(&slow);
	go(&ann);
	stop();
}

TEST(a_connection_that_broke_is_told_to_its_own_thread)
{
	static const char answer[1000];
	struct person ann;
	struct person bob;

	start(100);
	ann = come("ann");
	bob = come("bob");
	for (int i = 0; i < 2 * OUTBOX_LIMIT / (int)sizeof answer; i++)
		outlet_tell(bob.outlet, answer, sizeof answer);
	CHECK(!outlet_may_speak(bob.outlet));
	(void)shutdown(bob.peer, SHUT_RDWR);
	say(&ann, "hi");
	say(&ann, "ho");
	CHECK_EQUAL(outlet_send(bob.outlet), OUTLET_FAILED);
	CHECK(outlet_may_speak(bob.outlet)); /* what it sent before still counts */
	CHECK_TEXT(seen(&ann), "2 bob + \n3 ann says hi\n4 ann says ho\n");
	go(&bob);
	go(&ann);
	stop();
}

TEST(who_leaves_own_lines_unread_is_not_listened_to)
{
	static char line[1000];
	struct person ann;
	int count = 0;

	start(100000);
	memset(line, 'x', sizeof line);
	ann = come("ann");
	while (outlet_may_speak(ann.outlet)) {
		CHECK(count++ < 2 * WINDOW_SIZE / (int)sizeof line);
		outlet_took(ann.outlet, sizeof line);
		say_text(&ann, line, sizeof line);
		room_flush(room);
	}
	for (int i = 0; !outlet_may_speak(ann.outlet); i++) {
		CHECK(i < 1000);
		(void)seen(&ann);
		(void)!outlet_send(ann.outlet);
	}
	go(&ann);
	stop();
}

TEST(who_leaves_answers_unread_is_not_listened_to)
{
	static char answer[1000];
	struct person ann;

	start(100);
	ann = come("ann");
	for (size_t size = 0; size < OUTBOX_LIMIT + BUFFER_SIZE; size += sizeof answer)
		outlet_tell(ann.outlet, answer, sizeof answer);
	CHECK(!outlet_may_speak(ann.outlet));
	while (outlet_send(ann.outlet) == OUTLET_FULL) {
		char ignored[4096];

		CHECK(recv(ann.peer, ignored, sizeof ignored, 0) > 0);
	}
	CHECK(outlet_may_speak(ann.outlet));
	go(&ann);
	stop();
}

/* ---- Threads. ---- */

enum { SPEAKERS = 4, LINES = 500, SPOKEN_SIZE = 128 * 1024 };

struct speaker {
	pthread_t thread;
	struct outlet *outlet;
	struct member *member;
	int peer;
	char *text;
	size_t size;
	char name[8];
};

static bool ends_with(const char *text, size_t size, const char *end)
{
	return size >= strlen(end) && memcmp(text + size - strlen(end), end, strlen(end)) == 0;
}

static void speak(struct speaker *speaker)
{
	uint64_t unused[2];
	int said = 0;

	do {
		char line[32];
		struct saying saying = {.kind = MESSAGE_TEXT, .name = speaker->name, .text = line};
		ssize_t got;
		enum outlet_state state;

		if (said < LINES) {
			(void)snprintf(line, sizeof line, "line %d", said++);
			saying.text_size = strlen(line);
			room_say(room, speaker->member, speaker->outlet, &saying);
			room_flush(room);
		}
		if (outlet_take_duty(speaker->outlet) != NULL)
			room_take_over_flush(room);
		state = outlet_send(speaker->outlet);
		if (state == OUTLET_WANTS_PAGE)
			(void)!room_give_page(room, speaker->member, &unused[0], &unused[1]);
		got = recv(speaker->peer, speaker->text + speaker->size, SPOKEN_SIZE - speaker->size, 0);
		if (got > 0)
			speaker->size += (size_t)got;
		else if (said == LINES)
			(void)outlet_wait(speaker->outlet, 0, 1); /* a flush by others brings more, without a wake-up */
	} while (!ends_with(speaker->text, speaker->size, " says end\n"));
}

/* A thread creates its member, so that wake-ups go to it. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved;
static int joined;

static void *join_and_speak(void *argument)
{
	struct speaker *speaker = argument;
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	speaker->peer = pair[1];
	speaker->outlet = outlet_create(pair[0], &door, LAG_MEMORY);
	CHECK(speaker->outlet != NULL);
	speaker->member = member_create(speaker->outlet, NULL, room, &plain);
	CHECK(speaker->member != NULL);
	come_in(speaker->member, speaker->name);
	mutex_lock(&gate);
	joined++;
	condition_broadcast(&gate_moved);
	while (joined < SPEAKERS)
		condition_wait(&gate_moved, &gate);
	mutex_unlock(&gate);
	speak(speaker);
	member_leave(speaker->member, false);
	room_leave(room, speaker->member, speaker->name, NULL);
	member_release(speaker->member);
	outlet_detach(speaker->outlet);
	if (outlet_take_duty(speaker->outlet) != NULL)
		room_take_over_flush(room);
	outlet_release(speaker->outlet);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return NULL;
}

/* The texts from the first record that all of them have. */
static const char *from_record(const char *text, unsigned long long seq)
{
	while (strtoull(text, NULL, 10) != seq) {
		text = strchr(text, '\n');
		CHECK(text != NULL);
		text++;
	}
	return text;
}

TEST(all_members_see_the_same_lines_in_the_same_order)
{
	static struct speaker speakers[SPEAKERS];
	struct person last;
	uint64_t skipped;
	char *all;
	const char *rest;
	unsigned long long total = SPEAKERS * (LINES + 1) + 1;

	start(100000);
	condition_init(&gate_moved);
	last = come("last"); /* reads everything, and says when it is the end */
	for (int i = 0; i < SPEAKERS; i++) {
		speakers[i].text = calloc(1, SPOKEN_SIZE + 1);
		CHECK(speakers[i].text != NULL);
		(void)snprintf(speakers[i].name, sizeof speakers[i].name, "s%d", i);
		CHECK_EQUAL(thread_start(&speakers[i].thread, 0, join_and_speak, &speakers[i]), 0);
	}
	all = calloc(1, 2 * SPOKEN_SIZE);
	CHECK(all != NULL);
	for (unsigned long long count = 1; count < total;) {
		char *part;

		if (outlet_take_duty(last.outlet) != NULL)
			room_take_over_flush(room);
		part = read_through(&last, &skipped);
		CHECK_EQUAL(skipped, 0);
		for (const char *end = part; (end = strchr(end, '\n')) != NULL; end++)
			count++;
		(void)strcat(all, part);
		if (part[0] == '\0')
			(void)outlet_wait(last.outlet, 0, 1); /* as in speak() */
	}
	say(&last, "end");
	for (int i = 0; i < SPEAKERS; i++) {
		if (outlet_take_duty(last.outlet) != NULL)
			room_take_over_flush(room);
		thread_join(speakers[i].thread);
	}
	if (outlet_take_duty(last.outlet) != NULL)
		room_take_over_flush(room);
	(void)strcat(all, seen(&last));
	rest = all;
	for (int i = 0; i < SPEAKERS; i++) {
		unsigned long long first = strtoull(speakers[i].text, NULL, 10);

		CHECK_TEXT(speakers[i].text, from_record(all, first));
		free(speakers[i].text);
	}
	for (unsigned long long seq = 2; seq <= total; seq++) { /* none is missing */
		rest = from_record(rest, seq);
		rest = strchr(rest, '\n') + 1;
	}
	free(all);
	go_how(&last, NULL);
	stop();
}

/* ---- Coming and going while others speak. ---- */

enum { VISITORS = 4, VISITS = 40, IDLERS = 50 };

static atomic_int visitors_left;

/* Serves the person as its thread does: sends, turns pages, takes the flush over. Returns how it stands. */
static enum outlet_state serve(struct person *person)
{
	uint64_t unused[2];
	enum outlet_state state;

	if (outlet_take_duty(person->outlet) != NULL)
		room_take_over_flush(room);
	state = outlet_send(person->outlet);
	if (state == OUTLET_WANTS_PAGE)
		(void)!room_give_page(room, person->member, &unused[0], &unused[1]);
	return state;
}

/* Comes, says some lines, reads everything or nothing of what is said, and goes; again and again. */
static void *visit(void *argument)
{
	const char *name = argument;

	for (int i = 0; i < VISITS; i++) {
		struct person person = come_with(name, i % 3 == 0 ? &shout : &plain, 2000);
		char ignored[4096];

		for (int line = 0; line < 20; line++) {
			say_text(&person, "a line of some length, so that a socket is full some time", 57);
			if (line % 4 == 0)
				room_flush(room);
			if (i % 2 == 0)
				(void)recv(person.peer, ignored, sizeof ignored, 0);
			(void)serve(&person);
		}
		room_flush(room);
		if (i % 5 == 0)
			(void)shutdown(person.peer, SHUT_RDWR);
		(void)serve(&person);
		go_how(&person, i % 7 == 0 ? NULL : "normally");
	}
	visitors_left--;
	return NULL;
}

TEST(members_may_come_and_go_and_stall_while_others_speak)
{
	static char names[VISITORS][8];
	pthread_t threads[VISITORS];
	struct person idlers[IDLERS];
	struct person watcher;
	uint64_t skipped;
	unsigned long long next = 1;

	start(100000);
	for (int i = 0; i < IDLERS; i++) { /* they never read */
		idlers[i] = come_with("idler", &plain, 4000);
		next++;
	}
	watcher = come("watcher"); /* sees each message once and in order */
	next++;
	visitors_left = VISITORS;
	for (int i = 0; i < VISITORS; i++) {
		(void)snprintf(names[i], sizeof names[i], "v%d", i);
		CHECK_EQUAL(thread_start(&threads[i], 0, visit, names[i]), 0);
	}
	for (bool over = false; !over;) {
		const char *text;

		over = visitors_left == 0;
		for (int i = 0; i < IDLERS; i++)
			(void)serve(&idlers[i]);
		if (outlet_take_duty(watcher.outlet) != NULL)
			room_take_over_flush(room);
		text = read_through(&watcher, &skipped);
		CHECK_EQUAL(skipped, 0);
		for (; text[0] != '\0'; text = strchr(text, '\n') + 1)
			CHECK_EQUAL(strtoull(text, NULL, 10), next++);
	}
	for (int i = 0; i < VISITORS; i++)
		thread_join(threads[i]);
	CHECK(next > VISITORS * VISITS * 21);
	for (int i = 0; i < IDLERS; i++)
		go(&idlers[i]);
	go(&watcher);
	stop();
}
