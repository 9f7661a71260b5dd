/*
 * Shared journals (tcpserver/journals/shared.h) on a fake engine, which breaks when a test wants it to, and in which other servers speak.
 */
#include "tcpserver/journals/shared.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tcpserver/core/message.h"

#include "tests/check.h"
#include "tests/tcpserver/journals/fake_engine.h"

enum { SEEN_MOST = 4096, TEXT = 64, DEADLINE_MS = 20000 };

static const char tea[] = "00000000000000000tea";
static const char other_room[] = "0000000000000000cafe";
static const unsigned char ann[CLIENT_ID_SIZE] = "ann's own client";

/* A room, as a journal sees it. */
struct listener {
	pthread_mutex_t mutex;
	pthread_cond_t called;
	uint64_t first_seq; /* what is published is not before it */
	uint64_t last_seq;
	size_t seen;
	char texts[SEEN_MOST][TEXT];
	bool own[SEEN_MOST];
	bool holes_are_allowed;
	uint64_t repeats;
	uint64_t repeated_as;
	uint64_t refused;
	int error;
	int flushes;
	int held;
	bool closing;
	bool ended;
};

static void publish(void *context, const struct draft *draft)
{
	struct listener *listener = context;
	const struct message *message = draft->message;

	mutex_lock(&listener->mutex);
	CHECK(message->at_ns > 0);
	if (!listener->holes_are_allowed)
		CHECK_EQUAL(message->seq, listener->last_seq + 1);
	CHECK(message->seq > listener->last_seq);
	CHECK(listener->seen < SEEN_MOST);
	listener->last_seq = message->seq;
	listener->own[listener->seen] = draft->author != NULL;
	(void)snprintf(listener->texts[listener->seen++], TEXT, "%.*s", (int)message->text_size, message->text);
	condition_broadcast(&listener->called);
	mutex_unlock(&listener->mutex);
}

static void repeat(void *context, const struct draft *draft, uint64_t seq, const char *label)
{
	struct listener *listener = context;

	(void)draft;
	(void)label;
	mutex_lock(&listener->mutex);
	CHECK(label != NULL || seq <= listener->last_seq); /* it was seen before */
	listener->repeats++;
	listener->repeated_as = seq;
	condition_broadcast(&listener->called);
	mutex_unlock(&listener->mutex);
}

static void refuse(void *context, const struct draft *draft, int error)
{
	struct listener *listener = context;

	(void)draft;
	mutex_lock(&listener->mutex);
	CHECK(error > 0);
	listener->refused++;
	listener->error = error;
	condition_broadcast(&listener->called);
	mutex_unlock(&listener->mutex);
}

static void flush(void *context)
{
	struct listener *listener = context;

	mutex_lock(&listener->mutex);
	CHECK(listener->held > 0);
	listener->flushes++;
	mutex_unlock(&listener->mutex);
}

static void change_held(struct listener *listener, int by)
{
	mutex_lock(&listener->mutex);
	listener->held += by;
	condition_broadcast(&listener->called);
	mutex_unlock(&listener->mutex);
}

static void hold(void *context)
{
	change_held(context, 1);
}

static void release(void *context)
{
	change_held(context, -1);
}

static bool try_hold(void *context)
{
	struct listener *listener = context;
	bool there;

	mutex_lock(&listener->mutex);
	there = !listener->closing;
	listener->held += there;
	mutex_unlock(&listener->mutex);
	return there;
}

static void end(void *context)
{
	struct listener *listener = context;

	mutex_lock(&listener->mutex);
	listener->ended = true;
	condition_broadcast(&listener->called);
	mutex_unlock(&listener->mutex);
}

static const struct journal_listener calls = {.publish = publish, .repeat = repeat, .refuse = refuse, .flush = flush,
	.hold = hold, .release = release, .try_hold = try_hold, .end = end};

static void listener_init(struct listener *listener)
{
	memset(listener, 0, sizeof *listener);
	mutex_init(&listener->mutex);
	condition_init(&listener->called);
}

/* Waits until '*value', of the listener, is at least 'least'. */
static void await(struct listener *listener, const uint64_t *value, uint64_t least)
{
	long long deadline_ms = clock_ms() + DEADLINE_MS;

	mutex_lock(&listener->mutex);
	while (*value < least)
		CHECK_EQUAL(condition_wait_until(&listener->called, &listener->mutex, deadline_ms), 0);
	mutex_unlock(&listener->mutex);
}

/* As rooms do before they are closed. */
static void await_released(struct listener *listener)
{
	long long deadline_ms = clock_ms() + DEADLINE_MS;

	mutex_lock(&listener->mutex);
	while (listener->held > 0)
		CHECK_EQUAL(condition_wait_until(&listener->called, &listener->mutex, deadline_ms), 0);
	listener->closing = true;
	mutex_unlock(&listener->mutex);
}

static struct journal *open_journal(unsigned patience_ms)
{
	const struct shared_options options = {.patience_ms = patience_ms};
	char fault[ENGINE_FAULT_SIZE];
	struct journal *journal;

	if (shared_journal_open(fake_engine_create(), &options, &journal, fault) != 0)
		FAIL("%s", fault);
	return journal;
}

static struct journal_room *open_room(struct journal *journal, const char *id, struct listener *listener)
{
	const struct room_attributes attributes = {.id = id, .creator = ""};
	struct journal_room *room = journal->ops->open_room(journal, &attributes, &calls, listener);

	CHECK(room != NULL);
	return room;
}

static int say_as(struct journal *journal, struct journal_room *room, const char *text, const unsigned char *client, uint64_t number)
{
	struct draft draft = {.message = message_create(MESSAGE_TEXT, "tea", "ann", text, strlen(text)), .number = number,
		.author = (struct member *)(uintptr_t)"ann"}; /* nobody looks into it here */
	int error;

	CHECK(draft.message != NULL);
	if (number != 0)
		memcpy(draft.client, client, CLIENT_ID_SIZE);
	error = journal->ops->append(room, &draft);
	if (error != 0)
		message_release(draft.message);
	return error;
}

static void say(struct journal *journal, struct journal_room *room, const char *text)
{
	CHECK_EQUAL(say_as(journal, room, text, NULL, 0), 0);
}

/* What each test begins and ends with. */
struct scene {
	struct listener listener;
	struct journal *journal;
	struct journal_room *room;
};

static void scene_begin(struct scene *scene, unsigned patience_ms)
{
	listener_init(&scene->listener);
	scene->journal = open_journal(patience_ms);
	scene->room = open_room(scene->journal, tea, &scene->listener);
}

static void scene_end(struct scene *scene)
{
	await_released(&scene->listener);
	scene->journal->ops->close_room(scene->room);
	scene->journal->ops->destroy(scene->journal);
}

static void say_many(struct scene *scene, size_t count)
{
	char text[TEXT];

	for (size_t i = 0; i < count; i++) {
		(void)snprintf(text, sizeof text, "%zu", i);
		say(scene->journal, scene->room, text);
	}
}

/* All that was said, once and in order. */
static void check_many(struct scene *scene, size_t count)
{
	char text[TEXT];

	await(&scene->listener, &scene->listener.last_seq, count);
	CHECK_EQUAL(scene->listener.seen, count);
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(text, sizeof text, "%zu", i);
		CHECK_TEXT(scene->listener.texts[i], text);
		CHECK(scene->listener.own[i]);
	}
	CHECK_EQUAL(scene->listener.refused + scene->listener.repeats, 0);
}

static struct scene scene;

TEST(what_is_said_is_kept_in_groups_and_published_in_order)
{
	scene_begin(&scene, 1000);
	say_many(&scene, 2000);
	check_many(&scene, 2000);
	CHECK(fake_appends() < 2000);
	scene_end(&scene);
}

TEST(what_others_say_is_published_in_its_place)
{
	scene_begin(&scene, 1000);
	say(scene.journal, scene.room, "mine");
	await(&scene.listener, &scene.listener.last_seq, 1);
	CHECK_EQUAL(fake_other_says(tea, "theirs", NULL, 0), 2);
	await(&scene.listener, &scene.listener.last_seq, 2);
	say(scene.journal, scene.room, "mine again");
	await(&scene.listener, &scene.listener.last_seq, 3);
	CHECK_TEXT(scene.listener.texts[1], "theirs");
	CHECK(!scene.listener.own[1] && scene.listener.own[2]);
	CHECK_EQUAL(scene.journal->ops->next_seq(scene.room), 4);
	scene_end(&scene);
}

TEST(what_nobody_was_told_of_is_found_by_a_look)
{
	scene_begin(&scene, 1000);
	fake_set_silent(true);
	(void)fake_other_says(tea, "unheard", NULL, 0);
	await(&scene.listener, &scene.listener.last_seq, 1);
	CHECK_TEXT(scene.listener.texts[0], "unheard");
	scene_end(&scene);
}

TEST(what_others_said_unheard_comes_before_ones_own)
{
	scene_begin(&scene, 1000);
	fake_set_silent(true);
	for (int i = 0; i < 1000; i++)
		(void)fake_other_says(tea, "unheard", NULL, 0);
	say(scene.journal, scene.room, "mine");
	await(&scene.listener, &scene.listener.last_seq, 1001);
	CHECK_TEXT(scene.listener.texts[999], "unheard");
	CHECK_TEXT(scene.listener.texts[1000], "mine");
	scene_end(&scene);
}

TEST(what_was_kept_when_the_link_broke_is_published_once)
{
	scene_begin(&scene, 1000);
	for (int i = 0; i < 20; i++) {
		fake_set_fault(i % 2 == 0 ? FAKE_BREAKS_AFTER : FAKE_BREAKS_BEFORE);
		say_many(&scene, 0);
		say(scene.journal, scene.room, "whole");
		await(&scene.listener, &scene.listener.last_seq, (uint64_t)i + 1);
	}
	CHECK_EQUAL(scene.listener.seen, 20);
	CHECK_EQUAL(scene.listener.refused + scene.listener.repeats, 0);
	CHECK(scene.listener.own[19]);
	scene_end(&scene);
}

TEST(others_may_speak_between_the_break_and_the_next_try)
{
	scene_begin(&scene, 5000);
	fake_set_silent(true);
	fake_set_fault(FAKE_BREAKS_AFTER);
	say(scene.journal, scene.room, "mine");
	(void)fake_other_says(tea, "theirs", NULL, 0);
	await(&scene.listener, &scene.listener.last_seq, 2);
	CHECK_EQUAL(scene.listener.seen, 2);
	scene_end(&scene);
}

/* They were looked at as what others had said, and published twice. */
TEST(what_may_have_been_kept_is_not_published_before_that_is_known)
{
	static const struct timespec long_time = {.tv_sec = 1, .tv_nsec = 500000000}; /* more than a slice of work, and than a look */

	scene_begin(&scene, DEADLINE_MS);
	fake_set_fault(FAKE_BREAKS_AFTER_AND_IS_FULL);
	say_many(&scene, 500);
	(void)nanosleep(&long_time, NULL);
	CHECK_EQUAL(scene.listener.seen, 0);
	fake_set_fault(FAKE_WORKS);
	check_many(&scene, 500);
	scene_end(&scene);
}

TEST(a_client_number_that_another_server_kept_is_told_after_it_was_seen)
{
	scene_begin(&scene, 1000);
	fake_set_silent(true);
	(void)fake_other_says(tea, "first", NULL, 0);
	CHECK_EQUAL(fake_other_says(tea, "ann's", ann, 5), 2);
	CHECK_EQUAL(say_as(scene.journal, scene.room, "ann's", ann, 5), 0);
	await(&scene.listener, &scene.listener.repeats, 1);
	CHECK_EQUAL(scene.listener.repeated_as, 2);
	CHECK_EQUAL(scene.listener.seen, 2);
	CHECK_EQUAL(fake_other_says(other_room, "ann's", ann, 6), 1);
	CHECK_EQUAL(say_as(scene.journal, scene.room, "ann's", ann, 6), 0);
	await(&scene.listener, &scene.listener.repeats, 2);
	CHECK_EQUAL(scene.listener.repeated_as, 1);
	scene_end(&scene);
}

TEST(while_the_engine_is_away_what_is_said_waits_and_is_kept_when_it_is_back)
{
	scene_begin(&scene, DEADLINE_MS);
	fake_set_away(true);
	say_many(&scene, 500);
	CHECK_EQUAL(scene.listener.seen, 0);
	fake_set_away(false);
	check_many(&scene, 500);
	scene_end(&scene);
}

TEST(what_waits_longer_than_the_patience_is_refused)
{
	scene_begin(&scene, 300);
	fake_set_away(true);
	for (int i = 0; i < 100; i++)
		say(scene.journal, scene.room, "too late");
	await(&scene.listener, &scene.listener.refused, 100);
	CHECK_EQUAL(scene.listener.error, ETIMEDOUT);
	fake_set_away(false);
	say(scene.journal, scene.room, "in time");
	await(&scene.listener, &scene.listener.last_seq, 1);
	CHECK_TEXT(scene.listener.texts[0], "in time");
	scene_end(&scene);
}

TEST(a_full_engine_refuses_and_the_next_one_is_kept)
{
	scene_begin(&scene, 300);
	fake_set_fault(FAKE_IS_FULL);
	say(scene.journal, scene.room, "too much");
	await(&scene.listener, &scene.listener.refused, 1);
	CHECK_EQUAL(scene.listener.error, ENOSPC);
	fake_set_fault(FAKE_WORKS);
	say(scene.journal, scene.room, "little");
	await(&scene.listener, &scene.listener.last_seq, 1);
	scene_end(&scene);
}

TEST(a_group_that_others_got_in_the_way_of_is_tried_again)
{
	scene_begin(&scene, 300);
	fake_set_fault(FAKE_AGAIN);
	say(scene.journal, scene.room, "in the end");
	await(&scene.listener, &scene.listener.last_seq, 1);
	CHECK_EQUAL(scene.listener.refused, 0);
	scene_end(&scene);
}

TEST(what_is_not_kept_any_more_is_left_out)
{
	scene_begin(&scene, 1000);
	scene.listener.holes_are_allowed = true;
	fake_set_away(true);
	for (int i = 0; i < 100; i++)
		(void)fake_other_says(tea, "gone soon", NULL, 0);
	fake_trim(tea, 90);
	fake_set_away(false);
	say(scene.journal, scene.room, "after");
	await(&scene.listener, &scene.listener.last_seq, 101);
	CHECK_EQUAL(scene.listener.seen, 11);
	scene_end(&scene);
}

/* Its people were sent away: the look had listed it before the engine had it. */
TEST(a_room_that_is_made_during_a_look_at_all_rooms_is_not_taken_for_a_forgotten_one)
{
	static struct listener late;
	struct journal_room *room;

	scene_begin(&scene, 1000);
	listener_init(&late);
	fake_miss_next_room();
	room = open_room(scene.journal, other_room, &late);
	fake_end_look();
	say(scene.journal, room, "behind the look");
	await(&late, &late.last_seq, 1);
	CHECK(!late.ended);
	await_released(&late);
	scene.journal->ops->close_room(room);
	scene_end(&scene);
}

TEST(a_room_that_was_forgotten_elsewhere_ends_after_its_last_words)
{
	scene_begin(&scene, 1000);
	fake_set_silent(true);
	(void)fake_other_says(tea, "last words", NULL, 0);
	fake_other_forgets(tea);
	await(&scene.listener, &scene.listener.last_seq, 1);
	mutex_lock(&scene.listener.mutex);
	while (!scene.listener.ended)
		CHECK_EQUAL(condition_wait_until(&scene.listener.called, &scene.listener.mutex, clock_ms() + DEADLINE_MS), 0);
	mutex_unlock(&scene.listener.mutex);
	say(scene.journal, scene.room, "too late");
	await(&scene.listener, &scene.listener.refused, 1);
	CHECK_EQUAL(scene.listener.error, ENOENT);
	scene_end(&scene);
}

TEST(a_room_that_was_forgotten_here_is_not_found_at_once)
{
	struct room_record record;

	scene_begin(&scene, 1000);
	CHECK_EQUAL(scene.journal->ops->find_room(scene.journal, "", tea, &record), 0);
	scene.journal->ops->forget_room(scene.room);
	CHECK_EQUAL(scene.journal->ops->find_room(scene.journal, "", tea, &record), -ENOENT);
	scene_end(&scene);
}

TEST(the_people_of_a_dead_server_are_told_to_have_left_once)
{
	scene_begin(&scene, 1000);
	fake_leave_ghost(tea, "ghost");
	await(&scene.listener, &scene.listener.last_seq, 1);
	CHECK_TEXT(scene.listener.texts[0], "connection lost");
	say(scene.journal, scene.room, "who was that?");
	await(&scene.listener, &scene.listener.last_seq, 2);
	CHECK_TEXT(scene.listener.texts[1], "who was that?");
	scene_end(&scene);
}

static atomic_int revivals;

static void count_revival(void *context)
{
	CHECK(context == &scene);
	atomic_fetch_add(&revivals, 1);
}

TEST(a_server_that_was_taken_for_dead_is_told)
{
	static const struct journal_watcher watcher = {.revived = count_revival};
	long long deadline_ms = clock_ms() + DEADLINE_MS;

	scene_begin(&scene, 1000);
	scene.journal->ops->watch(scene.journal, &watcher, &scene);
	fake_bury();
	while (atomic_load(&revivals) == 0) {
		const struct timespec moment = {.tv_nsec = 1000000};

		CHECK(clock_ms() < deadline_ms);
		(void)nanosleep(&moment, NULL);
	}
	scene_end(&scene);
	CHECK_EQUAL(atomic_load(&revivals), 1);
}

TEST(who_ends_keeps_what_was_said_and_says_that_it_goes)
{
	scene_begin(&scene, 1000);
	say_many(&scene, 1000);
	await_released(&scene.listener);
	scene.journal->ops->close_room(scene.room);
	scene.journal->ops->destroy(scene.journal);
	CHECK_EQUAL(scene.listener.last_seq, 1000);
	CHECK(fake_is_retired());
}

TEST(an_engine_that_is_away_at_the_start_is_explained)
{
	const struct shared_options options = {.patience_ms = 300, .wait_at_start = true};
	struct engine *engine = fake_engine_create();
	char fault[ENGINE_FAULT_SIZE];
	struct journal *journal;

	fake_set_away(true);
	CHECK_EQUAL(shared_journal_open(engine, &options, &journal, fault), -EIO);
	CHECK_CONTAINS(fault, "the fake is away");
}

/* ---- Many at once. ---- */

enum { SPEAKERS = 4, SAYS = 200 };

static void *speak(void *context)
{
	char text[TEXT];

	(void)context;
	for (int i = 0; i < SAYS; i++) {
		(void)snprintf(text, sizeof text, "%d", i);
		say(scene.journal, scene.room, text);
	}
	return NULL;
}

TEST(many_speak_while_links_break_and_others_speak)
{
	pthread_t speakers[SPEAKERS];
	uint64_t others = 0;

	scene_begin(&scene, DEADLINE_MS);
	for (size_t i = 0; i < SPEAKERS; i++)
		CHECK_EQUAL(thread_start(&speakers[i], 0, speak, NULL), 0);
	for (int i = 0; i < 20; i++) {
		const struct timespec moment = {.tv_nsec = 2000000};

		fake_set_fault(i % 2 == 0 ? FAKE_BREAKS_AFTER : FAKE_BREAKS_BEFORE);
		for (int j = 0; j < 10; j++, others++)
			(void)fake_other_says(tea, "other", NULL, 0);
		(void)nanosleep(&moment, NULL); /* lets them get on; nothing depends on it */
	}
	for (size_t i = 0; i < SPEAKERS; i++)
		thread_join(speakers[i]);
	await(&scene.listener, &scene.listener.last_seq, others + SPEAKERS * SAYS);
	CHECK_EQUAL(scene.listener.seen, others + SPEAKERS * SAYS);
	CHECK_EQUAL(scene.listener.refused + scene.listener.repeats, 0);
	scene_end(&scene);
}
