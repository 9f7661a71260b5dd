#include "tcpserver/journals/sqlite_search.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/words.h"
#include "tests/check.h"
#include "tests/tcpserver/journals/database.h"

#define MS INT64_C(1000000)

enum { LISTED = 1, REMOVED = 16, PAGE = 1000 };

static struct found page[PAGE];
static uint64_t behind;

static void index_all(sqlite3 *db)
{
	struct sqlite_index index;
	int more;

	sqlite_index_init(&index, db);
	while ((more = sqlite_index_step(&index)) > 0)
		;
	CHECK_EQUAL(more, 0);
}

/* Searches, and writes what was found as "room:seq room:seq ..." */
static const char *found_places(sqlite3 *db, const struct search *search, size_t capacity)
{
	static char places[64 * PAGE];
	ssize_t count = sqlite_search(db, search, LLONG_MAX, page, capacity, &behind);
	char *end = places;

	CHECK(count >= 0 && count <= (ssize_t)capacity);
	*end = '\0';
	for (ssize_t i = 0; i < count; i++) {
		end += sprintf(end, "%s%lld:%llu", i == 0 ? "" : " ", strtoll(page[i].room, NULL, 16),
			(unsigned long long)page[i].message->seq);
		message_release(page[i].message);
	}
	return places;
}

static const char *found_words(sqlite3 *db, const char *words)
{
	return found_places(db, &(struct search){.words = words, .from = "", .listed = true, .before_ns = INT64_MAX}, PAGE);
}

static sqlite3 *tea_and_coffee(void)
{
	sqlite3 *db = database_create_unnamed();

	database_add_room(db, 1, "lobby", LISTED);
	database_add_room(db, 2, "Kitchen", LISTED);
	database_add_room(db, 3, NULL, 0);
	database_add_room(db, 4, "gone", LISTED | REMOVED);
	database_add(db, 1, 1, 1000, MESSAGE_JOINED, "bob", "");
	database_add(db, 1, 2, 1001, MESSAGE_TEXT, "bob", "Tea, anybody?");
	database_add(db, 2, 1, 1002, MESSAGE_ACTION, "\u00C4nn", "makes green TEA");
	database_add(db, 3, 1, 1003, MESSAGE_TEXT, "eve", "tea in secret");
	database_add(db, 4, 1, 1004, MESSAGE_TEXT, "eve", "tea that is over");
	database_add(db, 1, 3, 1005, MESSAGE_TOPIC, "bob", "coffee and tea");
	database_add(db, 1, 4, 1006, MESSAGE_LEFT, "bob", "tea");
	return db;
}

TEST(what_people_wrote_is_found_newest_first_in_listed_rooms)
{
	sqlite3 *db = tea_and_coffee();

	index_all(db);
	CHECK_TEXT(found_words(db, "tea"), "1:3 2:1 1:2");
	CHECK_EQUAL(database_number(db, "SELECT indexed FROM room WHERE number = 4"), 0); /* it was removed */
	CHECK_TEXT(found_words(db, "tea coffee"), "1:3");
	CHECK_TEXT(found_words(db, "\"green tea\""), "2:1");
	CHECK_TEXT(found_words(db, "\"tea green\""), "");
	CHECK_TEXT(found_words(db, "???"), "");
	CHECK_TEXT(found_words(db, " "), "1:3 2:1 1:2");
	CHECK_EQUAL(behind, 0);
	(void)sqlite3_close(db);
}

TEST(rooms_are_searched_by_their_ids_too)
{
	sqlite3 *db = tea_and_coffee();
	char secret[21];
	char lobby[21];
	const char *rooms[] = {secret, lobby, secret, "nowhere"};
	struct search search = {.words = "tea", .from = "", .rooms = rooms, .room_count = 1, .before_ns = INT64_MAX};

	index_all(db);
	database_room_id(3, secret);
	database_room_id(1, lobby);
	CHECK_TEXT(found_places(db, &search, PAGE), "3:1");
	search.room_count = 4;
	CHECK_TEXT(found_places(db, &search, PAGE), "1:3 3:1 1:2");
	search.listed = true;
	CHECK_TEXT(found_places(db, &search, PAGE), "1:3 3:1 2:1 1:2");
	search.listed = false;
	search.room_count = 0;
	CHECK_TEXT(found_places(db, &search, PAGE), "");
	(void)sqlite3_close(db);
}

TEST(the_author_and_the_time_narrow_a_search)
{
	sqlite3 *db = tea_and_coffee();
	char key[NAME_KEY_SIZE];
	struct search search = {.words = "tea", .from = key, .listed = true, .before_ns = INT64_MAX};

	index_all(db);
	(void)name_key("\u00E4NN", key);
	CHECK_TEXT(found_places(db, &search, PAGE), "2:1");
	search.words = "";
	CHECK_TEXT(found_places(db, &search, PAGE), "2:1");
	search.from = "\" OR tea";
	CHECK_TEXT(found_places(db, &search, PAGE), "");
	search.from = "";
	search.after_ns = 1001 * MS + 1;
	CHECK_TEXT(found_places(db, &search, PAGE), "1:3 2:1");
	search.before_ns = 1005 * MS;
	CHECK_TEXT(found_places(db, &search, PAGE), "2:1");
	search.after_ns = 1001 * MS;
	search.before_ns = 1005 * MS + 1;
	CHECK_TEXT(found_places(db, &search, PAGE), "1:3 2:1 1:2");
	(void)sqlite3_close(db);
}

TEST(a_message_that_is_found_is_whole)
{
	sqlite3 *db = tea_and_coffee();
	struct search search = {.words = "green", .from = "", .listed = true, .before_ns = INT64_MAX};

	index_all(db);
	CHECK_EQUAL(sqlite_search(db, &search, LLONG_MAX, page, PAGE, &behind), 1);
	CHECK_TEXT(page[0].room, "00000000000000000002");
	CHECK_TEXT(page[0].message->room, "Kitchen");
	CHECK_TEXT(page[0].message->participant, "\u00C4nn");
	CHECK_BYTES(page[0].message->text, page[0].message->text_size, "makes green TEA", 15);
	CHECK_EQUAL(page[0].message->kind, MESSAGE_ACTION);
	CHECK_EQUAL(page[0].message->at_ns, 1002 * MS);
	message_release(page[0].message);
	(void)sqlite3_close(db);
}

TEST(what_is_not_indexed_is_counted)
{
	sqlite3 *db = tea_and_coffee();

	CHECK_TEXT(found_words(db, "tea"), "");
	CHECK_EQUAL(behind, 3); /* who came and went is not counted */
	index_all(db);
	database_add(db, 2, 2, 1010, MESSAGE_TEXT, "bob", "more tea");
	CHECK_TEXT(found_words(db, "tea"), "1:3 2:1 1:2");
	CHECK_EQUAL(behind, 1);
	index_all(db);
	database_add(db, 2, 3, 1011, MESSAGE_LEFT, "bob", "");
	CHECK_TEXT(found_words(db, "tea"), "2:2 1:3 2:1 1:2");
	CHECK_EQUAL(behind, 0);
	(void)sqlite3_close(db);
}

TEST(a_search_ends_when_its_time_is_over)
{
	sqlite3 *db = database_create_unnamed();
	struct search search = {.words = " ", .from = "", .listed = true, .before_ns = MS};
	long long start_ms;

	database_add_room(db, 1, "lobby", LISTED);
	database_run(db,
		"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000000)"
		" INSERT INTO message(place, at, kind, participant, text)"
		" SELECT (1 << 36) + n, 1000 + n, %d, 'bob', 'tea' FROM n; UPDATE room SET indexed = 1000000",
		MESSAGE_TEXT);
	start_ms = clock_ms();
	CHECK_EQUAL(sqlite_search(db, &search, start_ms, page, PAGE, &behind), -ETIMEDOUT);
	CHECK_EQUAL(sqlite_search(db, &search, start_ms + 10, page, PAGE, &behind), -ETIMEDOUT);
	CHECK(clock_ms() >= start_ms + 10);
	CHECK(sqlite3_get_autocommit(db));
	CHECK_EQUAL(sqlite_search(db, &search, LLONG_MAX, page, PAGE, &behind), 0); /* nothing is left of the limit */
	(void)sqlite3_close(db);
}

TEST(a_step_with_nothing_to_do_writes_nothing)
{
	sqlite3 *db = tea_and_coffee();
	struct sqlite_index index;
	int changes;

	index_all(db);
	sqlite_index_init(&index, db);
	changes = sqlite3_total_changes(db);
	while (sqlite_index_step(&index) > 0)
		;
	CHECK_EQUAL(sqlite_index_step(&index), 0);
	CHECK_EQUAL(sqlite3_total_changes(db), changes);
	sqlite_index_note(&index, 99); /* there is no such room */
	while (sqlite_index_step(&index) > 0)
		;
	CHECK_EQUAL(sqlite_index_step(&index), 0);
	(void)sqlite3_close(db);
}

TEST(rooms_that_are_noted_are_indexed_however_many)
{
	sqlite3 *db = database_create_unnamed();
	struct sqlite_index index;

	sqlite_index_init(&index, db);
	CHECK_EQUAL(sqlite_index_step(&index), 0);
	database_run(db, "BEGIN");
	for (int64_t room = 5 * SQLITE_INDEX_ROOMS; room > 0; room--) {
		database_add_room(db, room, NULL, LISTED);
		database_add(db, room, 1, room, MESSAGE_TEXT, "bob", "hi");
		sqlite_index_note(&index, room);
	}
	database_run(db, "COMMIT");
	while (sqlite_index_step(&index) > 0)
		;
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM word WHERE word MATCH 'hi'"), 5 * SQLITE_INDEX_ROOMS);
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM room WHERE indexed <> 1"), 0);
	(void)sqlite3_close(db);
}

TEST(what_is_removed_leaves_the_index)
{
	sqlite3 *db = tea_and_coffee();
	int64_t lobby = INT64_C(1) << 36;

	index_all(db);
	database_add(db, 1, 5, 2000, MESSAGE_TEXT, "bob", "tea"); /* not indexed, so there is nothing to remove */
	database_run(db, "BEGIN");
	CHECK_EQUAL(sqlite_index_remove(db, lobby + 2, lobby + 2), 0);
	database_run(db, "DELETE FROM message WHERE place = %lld; COMMIT", (long long)lobby + 2);
	CHECK_TEXT(found_words(db, "tea"), "1:3 2:1");
	database_run(db, "BEGIN");
	CHECK_EQUAL(sqlite_index_remove(db, lobby, lobby + 5), 0);
	database_run(db, "DELETE FROM message WHERE place >> 36 = 1; COMMIT");
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM word WHERE word MATCH 'tea'"), 2);
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM word WHERE word MATCH 'coffee'"), 0);
	(void)sqlite3_close(db);
}

TEST(an_index_that_was_cleared_is_made_anew)
{
	sqlite3 *db = tea_and_coffee();

	index_all(db);
	CHECK_EQUAL(sqlite_index_clear(db), 0);
	CHECK_TEXT(found_words(db, "tea"), "");
	CHECK_EQUAL(behind, 3); /* who came and went is not counted */
	index_all(db);
	CHECK_TEXT(found_words(db, "tea"), "1:3 2:1 1:2");
	(void)sqlite3_close(db);
}

TEST(a_room_keeps_its_order_when_the_clock_went_back)
{
	sqlite3 *db = database_create_unnamed();

	database_add_room(db, 1, "lobby", LISTED);
	database_add_room(db, 2, "kitchen", LISTED);
	database_add(db, 1, 1, 5000, MESSAGE_TEXT, "bob", "hi");
	database_add(db, 1, 2, 1000, MESSAGE_TEXT, "bob", "hi");
	database_add(db, 2, 1, 2000, MESSAGE_TEXT, "bob", "hi");
	index_all(db);
	CHECK_TEXT(found_words(db, "hi"), "2:1 1:2 1:1");
	(void)sqlite3_close(db);
}

TEST(there_is_nothing_beyond_the_depth)
{
	sqlite3 *db = tea_and_coffee();
	struct search search = {.words = "tea", .from = "", .listed = true, .before_ns = INT64_MAX, .skip = 2};

	index_all(db);
	CHECK_TEXT(found_places(db, &search, 1), "1:2");
	search.skip = SQLITE_SEARCH_DEPTH - 1;
	CHECK_TEXT(found_places(db, &search, 1), "");
	search.skip = SIZE_MAX;
	CHECK_TEXT(found_places(db, &search, 1), "");
	(void)sqlite3_close(db);
}

TEST(a_journal_without_the_index_is_an_error)
{
	sqlite3 *db = tea_and_coffee();
	struct search search = {.words = "tea", .from = "", .listed = true, .before_ns = INT64_MAX};
	struct sqlite_index index;
	int result;

	database_run(db, "DROP TABLE word");
	sqlite_index_init(&index, db);
	while ((result = sqlite_index_step(&index)) > 0)
		;
	CHECK(result < 0);
	CHECK(sqlite_index_step(&index) < 0);
	CHECK(sqlite3_get_autocommit(db));
	CHECK(sqlite_search(db, &search, LLONG_MAX, page, PAGE, &behind) < 0);
	CHECK(sqlite3_get_autocommit(db));
	(void)sqlite3_close(db);
}

/* ---- The same as looking through everything. ---- */

static uint32_t chance = 88675123;

static uint32_t below(uint32_t most)
{
	chance ^= chance << 13;
	chance ^= chance >> 17;
	chance ^= chance << 5;
	return chance % most;
}

static const char *const scraps[] = {"tea", "Tea", "green", "caf\u00E9", "CAFE\u0301", "cafe", "\u6771", "\u4EAC",
	"\u6771\u4EAC", "\uD55C\uAD6D", "stra\u00DFe", "STRASSE", "\U0001F44D", "a", "b", "ab", "4711", "-", "?!", ".", "_",
	"\u0130", "i\u0307", "\u0301", "\uFF21", "\uE000bob", "x"};

static void random_text(char *text, bool typed)
{
	size_t count = below(typed ? 4 : 12);

	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		if (typed && below(4) == 0)
			strcat(text, "\"");
		strcat(text, scraps[below(sizeof scraps / sizeof *scraps)]);
		if (below(3) > 0)
			strcat(text, below(8) == 0 ? "\u3000" : " ");
	}
}

enum { ROOMS = 6, MESSAGES = 400 };

static struct spoken {
	int64_t room;
	int64_t seq;
	int64_t at;
	enum message_kind kind;
	char participant[16];
	char text[256];
	int64_t counts; /* the time that counts for it */
} spoken[MESSAGES];

static int64_t indexed[ROOMS + 1];

static bool is_room_asked(const struct search *search, int64_t room)
{
	char id[21];

	database_room_id(room, id);
	for (size_t i = 0; i < search->room_count; i++) {
		if (strcmp(search->rooms[i], id) == 0)
			return true;
	}
	return search->listed && room % 2 == 1;
}

static bool is_found(const struct search *search, const struct spoken *message)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(message->participant, key);
	return message->seq <= indexed[message->room] && is_room_asked(search, message->room) &&
		(message->kind == MESSAGE_TEXT || message->kind == MESSAGE_ACTION || message->kind == MESSAGE_TOPIC) &&
		(search->from[0] == '\0' || strcmp(search->from, key) == 0) && message->at * MS >= search->after_ns &&
		message->at * MS < search->before_ns &&
		words_match(message->text, strlen(message->text), search->words) == 1;
}

/* Merges by hand: which of the rooms' newest that are left is the newest? */
static const char *places_by_hand(const struct search *search, size_t capacity)
{
	static char places[64 * PAGE];
	int heads[ROOMS + 1];
	size_t skip = search->skip;
	char *end = places;

	*end = '\0';
	for (int room = 1; room <= ROOMS; room++)
		heads[room] = MESSAGES - 1;
	while (capacity > 0) {
		struct spoken *best = NULL;

		for (int room = 1; room <= ROOMS; room++) {
			int *head = &heads[room];

			while (*head >= 0 && (spoken[*head].room != room || !is_found(search, &spoken[*head])))
				--*head;
			if (*head >= 0 && (best == NULL || spoken[*head].at >= best->at))
				best = &spoken[*head];
		}
		if (best == NULL)
			break;
		heads[best->room]--;
		if (skip > 0) {
			skip--;
			continue;
		}
		end += sprintf(end, "%s%lld:%lld", end == places ? "" : " ", (long long)best->room, (long long)best->seq);
		capacity--;
	}
	return places;
}

static sqlite3 *random_journal(bool clock_goes_back)
{
	static const char *const people[] = {"bob", "BOB", "\u00C4nn", "Johnny Boi", "a_b-c.d#1"};
	sqlite3 *db = database_create_unnamed();
	int64_t next[ROOMS + 1] = {0};
	int64_t now = 1000;

	for (int64_t room = 1; room <= ROOMS; room++)
		database_add_room(db, room, NULL, room % 2 == 1 ? LISTED : 0);
	for (int i = 0; i < MESSAGES; i++) {
		struct spoken *message = &spoken[i];

		message->room = 1 + below(ROOMS);
		next[message->room] += 1 + (below(10) == 0);
		message->seq = next[message->room];
		now += below(3);
		message->at = now - (clock_goes_back && below(5) == 0 ? below(100) : 0);
		message->kind = below(5) == 0 ? below(MESSAGE_KINDS) : MESSAGE_TEXT;
		(void)snprintf(message->participant, sizeof message->participant, "%s", people[below(5)]);
		random_text(message->text, false);
		database_add(db, message->room, message->seq, message->at, message->kind, message->participant, message->text);
	}
	return db;
}

static void random_search(struct search *search, char typed[256], char key[NAME_KEY_SIZE], char ids[2][21],
	const char *rooms[2])
{
	static const char *const people[] = {"", "", "", "bob", "\u00E4nn", "JOHNNY BOI", "A_B-C.D#1", "nobody"};

	random_text(typed, true);
	(void)name_key(people[below(8)], key);
	for (int i = 0; i < 2; i++) {
		database_room_id(1 + below(ROOMS + 1), ids[i]);
		rooms[i] = ids[i];
	}
	*search = (struct search){
		.words = typed,
		.from = key,
		.rooms = rooms,
		.room_count = below(3),
		.listed = below(2) == 0,
		.after_ns = below(2) == 0 ? 0 : (1000 + below(400)) * MS + below(2),
		.before_ns = below(2) == 0 ? INT64_MAX : (1000 + below(400)) * MS + below(2),
		.skip = below(3) == 0 ? below(30) : 0,
	};
}

/* Compares many searches of a journal of which the index knows the first messages of some rooms. */
static void compare_searches(sqlite3 *db)
{
	struct search search;
	char typed[256];
	char key[NAME_KEY_SIZE];
	char ids[2][21];
	const char *rooms[2];

	for (int i = 0; i < 400; i++) {
		size_t capacity = 1 + below(below(2) == 0 ? 5 : PAGE);
		const char *by_hand;
		const char *found;

		random_search(&search, typed, key, ids, rooms);
		by_hand = places_by_hand(&search, capacity);
		found = found_places(db, &search, capacity);
		if (strcmp(found, by_hand) != 0)
			FAIL("\"%s\" from \"%s\", skip %zu: found %s, not %s", typed, key, search.skip, found, by_hand);
	}
}

static void search_at_random(bool clock_goes_back)
{
	for (int round = 0; round < 5; round++) {
		sqlite3 *db = random_journal(clock_goes_back);
		struct sqlite_index index;

		sqlite_index_init(&index, db);
		for (uint32_t steps = 1 + below(4); steps > 0; steps--)
			CHECK(sqlite_index_step(&index) >= 0);
		for (int64_t room = 1; room <= ROOMS; room++)
			indexed[room] = database_number(db, "SELECT indexed FROM room WHERE number = %lld", (long long)room);
		compare_searches(db);
		(void)sqlite3_close(db);
	}
}

TEST(a_search_equals_looking_through_everything)
{
	search_at_random(false);
}

TEST(a_search_equals_looking_through_everything_when_the_clock_went_back)
{
	search_at_random(true);
}
