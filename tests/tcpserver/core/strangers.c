#include "tcpserver/core/strangers.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/room.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { PEOPLE = 10000, TURNS = 60000, THREADS = 8, THREAD_TURNS = 12000 };

/* What a simulated person is doing. */
enum doing { IDLE, WAITING, PAIRED };

struct person {
	struct stranger stranger;
	struct room *room;      /* where it waits                              */
	unsigned colour;        /* nobody meets somebody of the same colour, but of colour 0 */
	atomic_int doing;
	uint64_t last;          /* partner, as the model knows it              */
};

static struct strangers strangers;
static struct journal *journal;
static struct person people[PEOPLE + 1]; /* people[n] has the number n; 0 is nobody */

static bool may_meet(const void *one, const void *other, void *context)
{
	const struct person *here = one;
	const struct person *there = other;

	CHECK(context == &people);
	/* Only who waits is looked at: whoever has withdrawn is on no list. */
	CHECK(atomic_load(&there->doing) == WAITING);
	return here->colour == 0 || here->colour != there->colour;
}

static void start(unsigned colours)
{
	strangers_init(&strangers, may_meet, people);
	journal = memory_journal_create(10);
	CHECK(journal != NULL);
	for (uint64_t i = 1; i <= PEOPLE; i++) {
		people[i].stranger.number = i;
		people[i].stranger.person = &people[i];
		people[i].colour = colours == 0 ? 0 : 1 + (unsigned)(i % colours);
	}
}

static void stop(void)
{
	strangers_fini(&strangers); /* nobody waits, or this fails */
	journal->ops->destroy(journal);
}

static struct room *open_room(uint64_t number)
{
	struct room_attributes attributes = {.creator = "", .creator_number = number, .capacity = 2, .ends_with_member = true};
	struct room *room = room_open(&attributes, journal);

	CHECK(room != NULL);
	return room;
}

/* The one who waits in the room that was found; the reference is given back. */
static uint64_t host_of(struct room *room)
{
	uint64_t number = room_attributes(room)->creator_number;

	room_release(room);
	return number;
}

static void begin_to_wait(struct person *person)
{
	person->room = open_room(person->stranger.number);
	atomic_store(&person->doing, WAITING);
}

static void end_to_wait(struct person *person, enum doing doing)
{
	room_release(person->room);
	person->room = NULL;
	atomic_store(&person->doing, doing);
}

/* Somebody goes to meet a stranger. Returns whom, or 0 when it waits. */
static uint64_t meet(struct person *person)
{
	struct room *found;

	begin_to_wait(person);
	found = strangers_match_or_wait(&strangers, &person->stranger, person->room);
	if (found == NULL)
		return 0;
	end_to_wait(person, PAIRED);
	return host_of(found);
}

static void withdraw(struct person *person)
{
	strangers_withdraw(&strangers, &person->stranger, person->room);
	end_to_wait(person, IDLE);
}

/* ---- Some people. ---- */

TEST(who_comes_first_is_met_first)
{
	start(0);
	for (unsigned i = 1; i <= 3; i++) {
		begin_to_wait(&people[i]);
		strangers_wait(&strangers, &people[i].stranger, people[i].room);
	}
	for (unsigned i = 1; i <= 3; i++) {
		CHECK_EQUAL(meet(&people[10 + i]), i);
		end_to_wait(&people[i], PAIRED);
	}
	CHECK(strangers_match(&strangers, &people[20].stranger) == NULL);
	stop();
}

TEST(nobody_meets_oneself)
{
	start(0);
	CHECK_EQUAL(meet(&people[1]), 0);
	CHECK(strangers_match(&strangers, &people[1].stranger) == NULL);
	withdraw(&people[1]);
	stop();
}

TEST(who_withdrew_is_never_handed_out)
{
	start(0);
	CHECK_EQUAL(meet(&people[1]), 0);
	withdraw(&people[1]);
	CHECK_EQUAL(meet(&people[2]), 0);
	strangers_withdraw(&strangers, &people[1].stranger, NULL); /* once more does no harm */
	withdraw(&people[2]);
	stop();
}

/* A story: who waited for a stranger and left another room was taken off the list, and waited for ever. */
TEST(who_leaves_another_room_waits_on)
{
	struct room *other;

	start(0);
	other = open_room(7);
	CHECK_EQUAL(meet(&people[1]), 0);
	strangers_withdraw(&strangers, &people[1].stranger, other);
	CHECK_EQUAL(meet(&people[2]), 1);
	end_to_wait(&people[1], PAIRED);
	room_release(other);
	stop();
}

TEST(any_of_those_who_wait_may_withdraw)
{
	for (unsigned first = 0; first < 4; first++) {
		start(1); /* all of one colour: they all wait */
		for (unsigned i = 1; i <= 4; i++)
			CHECK_EQUAL(meet(&people[i]), 0);
		for (unsigned i = 0; i < 4; i++)
			withdraw(&people[1 + (first + 3 * i) % 4]);
		CHECK_EQUAL(meet(&people[9]), 0); /* the list can be added to again */
		withdraw(&people[9]);
		stop();
	}
}

TEST(who_may_not_meet_is_passed_over)
{
	start(2);
	CHECK_EQUAL(meet(&people[2]), 0);
	CHECK_EQUAL(meet(&people[4]), 0);
	CHECK_EQUAL(meet(&people[6]), 0);
	CHECK_EQUAL(meet(&people[1]), 2);
	end_to_wait(&people[2], PAIRED);
	withdraw(&people[4]);
	withdraw(&people[6]);
	stop();
}

TEST(the_same_two_meet_again_only_when_nobody_else_waits)
{
	start(0);
	CHECK_EQUAL(meet(&people[1]), 0);
	CHECK_EQUAL(meet(&people[2]), 1);
	end_to_wait(&people[1], IDLE);
	begin_to_wait(&people[1]);
	strangers_wait(&strangers, &people[1].stranger, people[1].room);
	begin_to_wait(&people[3]);
	strangers_wait(&strangers, &people[3].stranger, people[3].room);
	CHECK_EQUAL(meet(&people[2]), 3); /* not 1, who waits longer */
	end_to_wait(&people[3], IDLE);
	CHECK_EQUAL(meet(&people[2]), 1); /* 1 has met nobody since, but nobody else waits */
	end_to_wait(&people[1], IDLE);
	stop();
}

/* ---- Ten thousand people, one after the other, beside a model. ---- */

static uint32_t random_state = 20261121;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % limit;
}

/* The model: who waits, in order. */
static uint64_t queue[PEOPLE];
static size_t queue_count;

static void queue_remove(uint64_t number)
{
	size_t i = 0;

	while (queue[i] != number)
		i++;
	queue_count--;
	memmove(&queue[i], &queue[i + 1], (queue_count - i) * sizeof *queue);
}

/* Whom the rules let 'person' meet; 0 for nobody. */
static uint64_t queue_best(const struct person *person)
{
	uint64_t again = 0;

	for (size_t i = 0; i < queue_count; i++) {
		const struct person *other = &people[queue[i]];

		if (person->colour != 0 && person->colour == other->colour)
			continue;
		if (person->last != other->stranger.number && other->last != person->stranger.number)
			return queue[i];
		if (again == 0)
			again = queue[i];
	}
	return again;
}

static void turn_of(struct person *person)
{
	uint64_t number = person->stranger.number;
	uint64_t best;

	switch (atomic_load(&person->doing)) {
	case WAITING:
		withdraw(person);
		queue_remove(number);
		return;
	case PAIRED:
		atomic_store(&person->doing, IDLE);
		return;
	default:
		break;
	}
	best = queue_best(person);
	CHECK_EQUAL(meet(person), best);
	if (best == 0) {
		queue[queue_count++] = number;
		return;
	}
	queue_remove(best);
	people[best].last = number;
	person->last = best;
	end_to_wait(&people[best], PAIRED);
}

static void simulate(unsigned colours, unsigned crowd)
{
	size_t most = 0;

	start(colours);
	for (int i = 0; i < TURNS; i++) {
		turn_of(&people[1 + random_below(crowd)]);
		most = queue_count > most ? queue_count : most;
	}
	CHECK(colours == 0 || most > 10); /* there was something to choose from */
	while (queue_count > 0)
		turn_of(&people[queue[random_below((uint32_t)queue_count)]]);
	stop();
}

TEST(ten_thousand_people_meet_as_the_rules_say)
{
	simulate(0, PEOPLE);
}

TEST(ten_thousand_people_who_may_not_all_meet_do_so_as_the_rules_say)
{
	simulate(2, PEOPLE);
}

TEST(a_few_people_who_come_again_and_again_meet_as_the_rules_say)
{
	simulate(0, 3);
}

TEST(a_few_people_who_may_not_all_meet_come_again_and_again)
{
	simulate(2, 60);
}

/* ---- Ten thousand people in threads. ---- */

/* One wait of one person; its number is the creator's number of the room. */
struct wait {
	struct person *person;
	atomic_int handed_out;         /* how often                              */
	_Atomic uint64_t withdrawn_at; /* when strangers_withdraw() had returned; 0: not yet */
};

static struct wait waits[THREADS * THREAD_TURNS + 1];
static atomic_uint wait_count;
static _Atomic uint64_t now = 1; /* counts up at each look */

/* A part of the people, for one thread. */
struct share {
	pthread_t thread;
	unsigned first;
	uint32_t seed;
	unsigned waits[PEOPLE / THREADS]; /* the wait that each is in; 0: none */
};

static uint32_t share_random(struct share *share, uint32_t limit)
{
	share->seed ^= share->seed << 13;
	share->seed ^= share->seed >> 17;
	share->seed ^= share->seed << 5;
	return share->seed % limit;
}

/* Somebody goes to meet a stranger. Returns its wait, or 0 when it has met one. */
static unsigned share_meet(struct person *person)
{
	unsigned number = 1 + atomic_fetch_add(&wait_count, 1);
	uint64_t began = atomic_fetch_add(&now, 1);
	struct room *found;
	struct wait *wait;

	waits[number].person = person;
	person->room = open_room(number);
	atomic_store(&person->doing, WAITING);
	found = strangers_match_or_wait(&strangers, &person->stranger, person->room);
	if (found == NULL)
		return number;
	end_to_wait(person, IDLE);
	wait = &waits[host_of(found)];
	CHECK(wait->person != person);
	CHECK(wait->person->colour != person->colour);
	CHECK_EQUAL(atomic_fetch_add(&wait->handed_out, 1), 0); /* or it has two partners */
	if (atomic_load(&wait->withdrawn_at) != 0)
		CHECK(atomic_load(&wait->withdrawn_at) > began); /* or it is a ghost */
	return 0;
}

static void share_withdraw(struct person *person, unsigned number)
{
	strangers_withdraw(&strangers, &person->stranger, person->room);
	atomic_store(&waits[number].withdrawn_at, atomic_fetch_add(&now, 1));
	end_to_wait(person, IDLE);
}

static void *share_run(void *argument)
{
	struct share *share = argument;

	for (int i = 0; i < THREAD_TURNS; i++) {
		unsigned who = share_random(share, PEOPLE / THREADS);
		struct person *person = &people[share->first + who];

		if (share->waits[who] == 0) {
			share->waits[who] = share_meet(person);
		} else {
			share_withdraw(person, share->waits[who]);
			share->waits[who] = 0;
		}
	}
	return NULL;
}

TEST(ten_thousand_people_in_threads_find_no_ghost_and_no_double_pair)
{
	static struct share shares[THREADS];
	size_t waiting[2] = {0, 0};
	size_t met = 0;

	start(2);
	for (unsigned i = 0; i < THREADS; i++) {
		shares[i].first = 1 + i * (PEOPLE / THREADS);
		shares[i].seed = 1000 + i;
		CHECK_EQUAL(thread_start(&shares[i].thread, 0, share_run, &shares[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(shares[i].thread);
	for (unsigned i = 1; i <= atomic_load(&wait_count); i++)
		met += (size_t)atomic_load(&waits[i].handed_out);
	CHECK(met > THREADS * THREAD_TURNS / 8);
	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned who = 0; who < PEOPLE / THREADS; who++) {
			struct person *person = &people[shares[i].first + who];

			if (shares[i].waits[who] == 0)
				continue;
			if (atomic_load(&waits[shares[i].waits[who]].handed_out) == 0)
				waiting[person->colour - 1]++;
			share_withdraw(person, shares[i].waits[who]);
		}
	}
	CHECK(waiting[0] == 0 || waiting[1] == 0); /* nobody waits while somebody fitting does */
	stop();
}
