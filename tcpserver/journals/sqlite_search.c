#include "tcpserver/journals/sqlite_search.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/sqlite_rows.h"
#include "tcpserver/journals/sqlite_store.h"
#include "tcpserver/journals/words.h"

#define MILLISECOND_NS INT64_C(1000000)

/* How many rooms one step looks at. */
#define LOOK_ROOMS "500"

/* ---- SQLite. ---- */

static int run(sqlite3 *db, const char *sql)
{
	return sqlite_rows_error(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **statement)
{
	return sqlite_rows_error(sqlite3_prepare_v2(db, sql, -1, statement, NULL));
}

/* Runs a statement that gives no rows, and makes it ready to run again. */
static int run_once(sqlite3_stmt *statement)
{
	(void)sqlite3_step(statement);
	return sqlite_rows_error(sqlite3_reset(statement));
}

/* ---- What is indexed of a message. ---- */

static bool is_indexed_kind(int64_t kind)
{
	return kind == MESSAGE_TEXT || kind == MESSAGE_ACTION || kind == MESSAGE_TOPIC;
}

/*
 * The name of who said it becomes one word that nobody can type: it begins with U+E000, which is no letter. What FTS5 would
 * not take as a part of a word stands there as U+E001 and two digits.
 */
static void name_word(const char *key, char word[5 * NAME_KEY_SIZE])
{
	char *end = stpcpy(word, "\uE000");

	for (const char *byte = key; *byte != '\0' && byte < key + NAME_KEY_SIZE - 1; byte++) {
		if ((*byte >= 'a' && *byte <= 'z') || (*byte >= '0' && *byte <= '9') || (unsigned char)*byte >= 0x80)
			*end++ = *byte;
		else
			end += sprintf(end, "\uE001%02x", (unsigned)*byte);
	}
	*end = '\0';
}

/* All words of a message, in new memory; NULL without. */
static char *message_words(const char *participant, const char *text, size_t size)
{
	char key[NAME_KEY_SIZE];
	char name[5 * NAME_KEY_SIZE];
	char *words = words_split(text, size);
	char *all;

	if (words == NULL)
		return NULL;
	(void)name_key(participant, key);
	name_word(key, name);
	if (asprintf(&all, "%s %s", name, words) < 0)
		all = NULL;
	free(words);
	return all;
}

/* Runs 'change', whose parameters are place and words, for a row of (place, kind, participant, text). */
static int change_index(sqlite3_stmt *change, sqlite3_stmt *row)
{
	const char *participant = sqlite_rows_text(row, 2);
	const char *text = sqlite_rows_text(row, 3);
	char *words;

	if (!is_indexed_kind(sqlite3_column_int64(row, 1)))
		return 0;
	words = message_words(participant, text, (size_t)sqlite3_column_bytes(row, 3));
	if (words == NULL)
		return -ENOMEM;
	(void)sqlite3_bind_int64(change, 1, sqlite3_column_int64(row, 0));
	(void)sqlite3_bind_text(change, 2, words, -1, free);
	return run_once(change);
}

/* ---- Which rooms have something new. ---- */

void sqlite_index_init(struct sqlite_index *index, sqlite3 *db)
{
	*index = (struct sqlite_index){.db = db, .looking = true, .looked = INT64_MIN};
}

void sqlite_index_init_store(struct sqlite_index *index, struct sqlite_store *store)
{
	sqlite_index_init(index, store->connection);
	index->store = store;
}

void sqlite_index_note(struct sqlite_index *index, int64_t room)
{
	for (size_t i = 0; i < index->room_count; i++) {
		if (index->rooms[i] == room)
			return;
	}
	if (index->room_count < SQLITE_INDEX_ROOMS) {
		index->rooms[index->room_count++] = room;
		return;
	}
	if (!index->looking || room <= index->looked)
		index->looked = INT64_MIN;
	index->looking = true;
}

/* Looks at the next rooms, as long as there is a place to remember what was found. */
static int index_look(struct sqlite_index *index)
{
	static const char sql[] =
		"SELECT number, indexed < coalesce((SELECT place & 0xFFFFFFFFF FROM message"
		" WHERE place BETWEEN number << 36 AND (number << 36) + 0xFFFFFFFFF ORDER BY place DESC LIMIT 1), 0)"
		" FROM room WHERE number > ?1 AND flags & 16 = 0 ORDER BY number LIMIT " LOOK_ROOMS;
	sqlite3_stmt *rooms = NULL;
	int error = prepare(index->db, sql, &rooms);
	int code = SQLITE_DONE;
	size_t seen = 0;

	if (error != 0)
		return error;
	(void)sqlite3_bind_int64(rooms, 1, index->looked);
	while (index->room_count < SQLITE_INDEX_ROOMS && (code = sqlite3_step(rooms)) == SQLITE_ROW) {
		index->looked = sqlite3_column_int64(rooms, 0);
		seen++;
		if (sqlite3_column_int(rooms, 1) != 0)
			sqlite_index_note(index, index->looked);
	}
	if (code == SQLITE_DONE && seen == 0)
		index->looking = false;
	(void)sqlite3_finalize(rooms);
	return sqlite_rows_error(code);
}

/* ---- A step. ---- */

struct index_step {
	sqlite3 *db;
	sqlite3_stmt *known;  /* up to where a room is indexed */
	sqlite3_stmt *read;
	sqlite3_stmt *insert;
	sqlite3_stmt *update;
	int64_t left;         /* messages */
	int64_t end_us;
};

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int step_open(struct index_step *step, sqlite3 *db)
{
	int error;

	*step = (struct index_step){.db = db, .left = SQLITE_INDEX_MESSAGES, .end_us = now_us() + SQLITE_INDEX_STEP_US};
	error = prepare(db, "SELECT indexed FROM room WHERE number = ?1 AND flags & 16 = 0", &step->known);
	if (error == 0)
		error = prepare(db,
			"SELECT place, kind, participant, text FROM message WHERE place BETWEEN ?1 AND ?2 ORDER BY place LIMIT ?3",
			&step->read);
	if (error == 0)
		error = prepare(db, "INSERT INTO word(rowid, words) VALUES(?1, ?2)", &step->insert);
	if (error == 0)
		error = prepare(db, "UPDATE room SET indexed = ?2 WHERE number = ?1", &step->update);
	return error;
}

static void step_close(struct index_step *step)
{
	(void)sqlite3_finalize(step->known);
	(void)sqlite3_finalize(step->read);
	(void)sqlite3_finalize(step->insert);
	(void)sqlite3_finalize(step->update);
}

/* Up to where the room is indexed; -1 when there is no such room, it was removed, or it cannot be read. */
static int64_t step_indexed(struct index_step *step, int64_t room, int *error)
{
	int64_t indexed = -1;
	int code;

	(void)sqlite3_bind_int64(step->known, 1, room);
	code = sqlite3_step(step->known);
	if (code == SQLITE_ROW)
		indexed = sqlite3_column_int64(step->known, 0);
	*error = sqlite_rows_error(code);
	(void)sqlite3_reset(step->known);
	return indexed;
}

static bool step_is_over(const struct index_step *step)
{
	return step->left <= 0 || now_us() >= step->end_us;
}

/* Indexes messages after '*place', which moves along. '*done': there are no more. */
static int step_messages(struct index_step *step, int64_t *place, int64_t last, bool *done)
{
	int code = SQLITE_ROW;
	int error = 0;

	(void)sqlite3_bind_int64(step->read, 1, *place + 1);
	(void)sqlite3_bind_int64(step->read, 2, last);
	(void)sqlite3_bind_int64(step->read, 3, step->left);
	while (error == 0 && !step_is_over(step) && (code = sqlite3_step(step->read)) == SQLITE_ROW) {
		error = change_index(step->insert, step->read);
		*place = sqlite3_column_int64(step->read, 0);
		step->left--;
	}
	*done = code == SQLITE_DONE && step->left > 0;
	(void)sqlite3_reset(step->read);
	return error != 0 ? error : sqlite_rows_error(code);
}

static int step_room(struct index_step *step, int64_t room, bool *done)
{
	int error;
	int64_t indexed = step_indexed(step, room, &error);
	int64_t place;

	*done = true;
	if (error != 0 || indexed < 0 || indexed >= SEQ_MASK)
		return error;
	place = sqlite_place(room, indexed);
	error = step_messages(step, &place, sqlite_place(room, SEQ_MASK), done);
	if (error != 0 || place == sqlite_place(room, indexed))
		return error;
	(void)sqlite3_bind_int64(step->update, 1, room);
	(void)sqlite3_bind_int64(step->update, 2, place & SEQ_MASK);
	return run_once(step->update);
}

/* From the last room remembered to the first, because those that are done are taken off the end. */
static int step_rooms(struct index_step *step, const struct sqlite_index *index, size_t *left)
{
	bool done = true;
	int error = 0;

	*left = index->room_count;
	while (error == 0 && done && *left > 0 && !step_is_over(step)) {
		error = step_room(step, index->rooms[*left - 1], &done);
		if (done)
			--*left;
	}
	return error;
}

static int index_rooms(struct sqlite_index *index, size_t *left)
{
	struct index_step step;
	int error = step_open(&step, index->db);

	if (error == 0)
		error = step_rooms(&step, index, left);
	step_close(&step);
	return error;
}

/*
 * Each step adds a part to the index, and parts have to be merged, or searching becomes slow. FTS5 would do it when it must,
 * all at once; so it is told to do a little in each step.
 */
static int index_merge(struct sqlite_index *index, bool *merging)
{
	int before = sqlite3_total_changes(index->db);
	char sql[80];
	int error;

	(void)snprintf(sql, sizeof sql, "INSERT INTO word(word, rank) VALUES('merge', %d)", SQLITE_INDEX_PAGES);
	error = run(index->db, sql);
	*merging = sqlite3_total_changes(index->db) - before >= 2; /* as FTS5 tells that it has done something */
	return error;
}

static int index_tune(struct sqlite_index *index)
{
	if (index->tuned)
		return 0;
	return run(index->db, "INSERT INTO word(word, rank) VALUES('automerge', 0), ('crisismerge', 500)");
}

static int index_commit(struct sqlite_index *index)
{
	return index->store == NULL ? run(index->db, "COMMIT") : sqlite_rows_error(sqlite_store_commit(index->store));
}

/* Adds to the index, or merges its parts, in turns. */
static int index_write(struct sqlite_index *index)
{
	bool merges = index->merging && (index->merges || index->room_count == 0);
	bool merging = true;
	size_t left = index->room_count;
	int error = run(index->db, "BEGIN IMMEDIATE");

	if (error != 0)
		return error;
	error = index_tune(index);
	if (error == 0)
		error = merges ? index_merge(index, &merging) : index_rooms(index, &left);
	if (error == 0)
		error = index_commit(index);
	if (error == 0) {
		index->tuned = true;
		index->room_count = left;
		index->merging = merging;
		index->merges = !merges;
	} else if (sqlite3_get_autocommit(index->db) == 0) {
		(void)run(index->db, "ROLLBACK"); /* what it changed is gone either way */
	}
	return error;
}

int sqlite_index_step(struct sqlite_index *index)
{
	int error = 0;

	if (index->room_count == 0 && index->looking)
		error = index_look(index);
	else if (index->room_count > 0 || index->merging)
		error = index_write(index);
	return error != 0 ? error : index->room_count > 0 || index->looking || index->merging;
}

/* ---- Taking out. ---- */

int sqlite_index_remove(sqlite3 *db, int64_t first_place, int64_t last_place)
{
	static const char read_sql[] =
		"SELECT place, kind, participant, text FROM message CROSS JOIN room ON number = place >> 36"
		" WHERE place BETWEEN ?1 AND ?2 AND (place & 0xFFFFFFFFF) <= indexed";
	sqlite3_stmt *remove = NULL;
	sqlite3_stmt *read = NULL;
	int error = prepare(db, read_sql, &read);
	int code = SQLITE_DONE;

	if (error == 0)
		error = prepare(db, "INSERT INTO word(word, rowid, words) VALUES('delete', ?1, ?2)", &remove);
	if (error == 0) {
		(void)sqlite3_bind_int64(read, 1, first_place);
		(void)sqlite3_bind_int64(read, 2, last_place);
	}
	while (error == 0 && (code = sqlite3_step(read)) == SQLITE_ROW)
		error = change_index(remove, read);
	(void)sqlite3_finalize(read);
	(void)sqlite3_finalize(remove);
	return error != 0 ? error : sqlite_rows_error(code);
}

int sqlite_index_clear(sqlite3 *db)
{
	return run(db, "INSERT INTO word(word) VALUES('delete-all'); UPDATE room SET indexed = 0");
}

/* ---- Where to search. ---- */

struct searched_room {
	int64_t number;
	int64_t indexed;
	int64_t last; /* the number of its last message */
};

struct searched_rooms {
	struct searched_room *rooms;
	size_t count;
	size_t capacity;
};

static int rooms_add(struct searched_rooms *rooms, const struct searched_room *room)
{
	if (rooms->count == rooms->capacity) {
		size_t capacity = rooms->capacity == 0 ? 16 : 2 * rooms->capacity;
		struct searched_room *more = reallocarray(rooms->rooms, capacity, sizeof *more);

		if (more == NULL)
			return -ENOMEM;
		rooms->rooms = more;
		rooms->capacity = capacity;
	}
	rooms->rooms[rooms->count++] = *room;
	return 0;
}

static int rooms_add_rows(struct searched_rooms *rooms, sqlite3_stmt *statement)
{
	int error = 0;
	int code = SQLITE_DONE;

	while (error == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct searched_room room = {
			.number = sqlite3_column_int64(statement, 0),
			.indexed = sqlite3_column_int64(statement, 1) & SEQ_MASK,
			.last = sqlite3_column_int64(statement, 2),
		};

		error = rooms_add(rooms, &room);
	}
	(void)sqlite3_reset(statement);
	return error != 0 ? error : sqlite_rows_error(code);
}

#define ROOMS_SQL                                                                                                      \
	"SELECT number, indexed, coalesce((SELECT place & 0xFFFFFFFFF FROM message"                                   \
	" WHERE place BETWEEN number << 36 AND (number << 36) + 0xFFFFFFFFF ORDER BY place DESC LIMIT 1), 0) FROM room"

static int rooms_by_id(struct searched_rooms *rooms, sqlite3 *db, const struct search *search)
{
	sqlite3_stmt *statement = NULL;
	int error = prepare(db, ROOMS_SQL " WHERE id = ?1", &statement);

	for (size_t i = 0; error == 0 && i < search->room_count; i++) {
		(void)sqlite3_bind_text(statement, 1, search->rooms[i], -1, SQLITE_STATIC);
		error = rooms_add_rows(rooms, statement);
	}
	(void)sqlite3_finalize(statement);
	return error;
}

static int rooms_listed(struct searched_rooms *rooms, sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	int error = prepare(db, ROOMS_SQL " WHERE flags & 17 = 1", &statement);

	if (error == 0)
		error = rooms_add_rows(rooms, statement);
	(void)sqlite3_finalize(statement);
	return error;
}

static int compare_rooms(const void *left, const void *right)
{
	const struct searched_room *one = left;
	const struct searched_room *other = right;

	return (one->number > other->number) - (one->number < other->number);
}

/* Orders the rooms by number, each once. */
static void rooms_order(struct searched_rooms *rooms)
{
	size_t kept = 0;

	if (rooms->count > 0)
		qsort(rooms->rooms, rooms->count, sizeof *rooms->rooms, compare_rooms);
	for (size_t i = 0; i < rooms->count; i++) {
		if (kept == 0 || rooms->rooms[kept - 1].number != rooms->rooms[i].number)
			rooms->rooms[kept++] = rooms->rooms[i];
	}
	rooms->count = kept;
}

static int rooms_find(struct searched_rooms *rooms, sqlite3 *db, const struct search *search)
{
	int error = rooms_by_id(rooms, db, search);

	if (error == 0 && search->listed)
		error = rooms_listed(rooms, db);
	rooms_order(rooms);
	return error;
}

/* What is new in a room, if that is little, of what can be found; all of it otherwise: looking would take too long. */
static int64_t room_behind(const struct searched_room *room, sqlite3_stmt *count, int *error)
{
	int64_t behind = room->last > room->indexed ? room->last - room->indexed : 0;
	int code;

	if (behind == 0 || behind > SQLITE_BEHIND_COUNTED)
		return behind;
	(void)sqlite3_bind_int64(count, 1, sqlite_place(room->number, room->indexed + 1));
	(void)sqlite3_bind_int64(count, 2, sqlite_place(room->number, room->last));
	code = sqlite3_step(count);
	if (code == SQLITE_ROW)
		behind = sqlite3_column_int64(count, 0);
	*error = sqlite_rows_error(code);
	(void)sqlite3_reset(count);
	return behind;
}

static int rooms_behind(const struct searched_rooms *rooms, sqlite3 *db, uint64_t *behind)
{
	sqlite3_stmt *count = NULL;
	uint64_t sum = 0;
	char sql[120];
	int error;

	(void)snprintf(sql, sizeof sql, "SELECT count(*) FROM message WHERE place BETWEEN ?1 AND ?2 AND kind IN (%d, %d, %d)",
		MESSAGE_TEXT, MESSAGE_ACTION, MESSAGE_TOPIC);
	error = prepare(db, sql, &count);
	for (size_t i = 0; error == 0 && i < rooms->count; i++)
		sum += (uint64_t)room_behind(&rooms->rooms[i], count, &error);
	(void)sqlite3_finalize(count);
	if (error == 0)
		*behind = sum;
	return error;
}

/* ---- The newest that were found. ---- */

/*
 * Merging. The messages of a room are seen newest first. The time that counts for one is the smallest seen in its room so
 * far, so it never grows on the way, and ordering all by it is the same as merging the rooms by their times. Once one
 * message of a room is too old for the page, so are all that follow, and the rest of the room need not be looked at.
 */
struct hit {
	int64_t at; /* as it counts */
	int64_t place;
};

/* The best 'most' of those offered, and up to as many others that have not been dropped yet. */
struct hits {
	struct hit *hits;
	size_t count;
	size_t most;
	bool full;       /* there are 'most', the last of which is 'worst' */
	struct hit worst;
};

static int compare_hits(const void *left, const void *right)
{
	const struct hit *one = left;
	const struct hit *other = right;

	if (one->at != other->at)
		return one->at > other->at ? -1 : 1;
	return (one->place < other->place) - (one->place > other->place);
}

static void hits_order(struct hits *hits)
{
	if (hits->count > 0)
		qsort(hits->hits, hits->count, sizeof *hits->hits, compare_hits);
	if (hits->count < hits->most)
		return;
	hits->count = hits->most;
	hits->full = true;
	hits->worst = hits->hits[hits->most - 1];
}

/* Returns false when the hit, and so all older ones, are too old. */
static bool hits_offer(struct hits *hits, const struct hit *hit)
{
	if (hits->full && compare_hits(hit, &hits->worst) > 0)
		return false;
	hits->hits[hits->count++] = *hit;
	if (hits->count == 2 * hits->most)
		hits_order(hits);
	return true;
}

/* ---- The walk through the index. ---- */

struct walk {
	sqlite3_stmt *statement; /* gives (place, at), greatest place first, of places from ?2 to ?3 */
	const struct searched_rooms *rooms;
	size_t left;             /* the room with the greatest number to look at is the one before this */
	int64_t at;              /* that counts in this room  */
	int64_t after_ms;
	int64_t before_ms;
	struct hits *hits;
};

static const struct searched_room *walk_room(const struct walk *walk)
{
	return &walk->rooms->rooms[walk->left - 1];
}

/* Goes to the end of the room that is next. */
static void walk_jump(struct walk *walk)
{
	const struct searched_room *room = walk_room(walk);

	(void)sqlite3_reset(walk->statement);
	(void)sqlite3_bind_int64(walk->statement, 2, sqlite_place(walk->rooms->rooms[0].number, 0));
	(void)sqlite3_bind_int64(walk->statement, 3, sqlite_place(room->number, room->indexed));
	walk->at = INT64_MAX;
}

/* Lets go of the rooms whose numbers are greater than 'number'. Returns whether the one that is next has it. */
static bool walk_reach(struct walk *walk, int64_t number)
{
	while (walk->left > 0 && walk_room(walk)->number > number) {
		walk->left--;
		walk->at = INT64_MAX;
	}
	return walk->left > 0 && walk_room(walk)->number == number;
}

/* Returns false when the room has nothing more to give. */
static bool walk_take(struct walk *walk, int64_t place, int64_t at)
{
	if ((place & SEQ_MASK) > walk_room(walk)->indexed || at < walk->after_ms || at >= walk->before_ms)
		return true;
	if (at < walk->at)
		walk->at = at;
	return hits_offer(walk->hits, &(struct hit){.at = walk->at, .place = place});
}

static int walk_all(struct walk *walk)
{
	int code = SQLITE_ROW;

	if (walk->left > 0)
		walk_jump(walk);
	while (walk->left > 0 && (code = sqlite3_step(walk->statement)) == SQLITE_ROW) {
		int64_t place = sqlite3_column_int64(walk->statement, 0);
		bool wanted = walk_reach(walk, place >> SEQ_BITS);

		if (wanted && walk_take(walk, place, sqlite3_column_int64(walk->statement, 1)))
			continue;
		if (wanted)
			walk->left--;
		if (walk->left > 0)
			walk_jump(walk);
	}
	return sqlite_rows_error(code);
}

/* ---- The query. ---- */

/* What to look up in the index, in new memory; "" for all there is. NULL without memory. */
static char *index_query(const struct search *search)
{
	char *words = words_query(search->words);
	char name[5 * NAME_KEY_SIZE];
	char *query;

	if (words == NULL || search->from[0] == '\0')
		return words;
	name_word(search->from, name);
	if (asprintf(&query, "\"%s\"%s%s", name, words[0] == '\0' ? "" : " AND ", words) < 0)
		query = NULL;
	free(words);
	return query;
}

static int prepare_all(sqlite3 *db, sqlite3_stmt **statement)
{
	char sql[200];

	(void)snprintf(sql, sizeof sql,
		"SELECT place, at FROM message WHERE place BETWEEN ?2 AND ?3 AND kind IN (%d, %d, %d) ORDER BY place DESC",
		MESSAGE_TEXT, MESSAGE_ACTION, MESSAGE_TOPIC);
	return prepare(db, sql, statement);
}

static int prepare_query(sqlite3 *db, const struct search *search, sqlite3_stmt **statement)
{
	static const char sql[] = "SELECT word.rowid, at FROM word CROSS JOIN message ON place = word.rowid"
				  " WHERE word MATCH ?1 AND word.rowid BETWEEN ?2 AND ?3 ORDER BY word.rowid DESC";
	char *query = index_query(search);
	int error;

	if (query == NULL)
		return -ENOMEM;
	error = query[0] == '\0' ? prepare_all(db, statement) : prepare(db, sql, statement);
	if (error == 0 && query[0] != '\0')
		error = sqlite_rows_error(sqlite3_bind_text(*statement, 1, query, -1, SQLITE_TRANSIENT));
	free(query);
	return error;
}

/* The first millisecond that is not before this time. */
static int64_t milliseconds_from(int64_t at_ns)
{
	return at_ns / MILLISECOND_NS + (at_ns % MILLISECOND_NS > 0);
}

static int hits_find(struct hits *hits, sqlite3 *db, const struct search *search, const struct searched_rooms *rooms)
{
	struct walk walk = {
		.rooms = rooms,
		.left = rooms->count,
		.after_ms = milliseconds_from(search->after_ns),
		.before_ms = search->before_ns == INT64_MAX ? INT64_MAX : milliseconds_from(search->before_ns),
		.hits = hits,
	};
	int error = prepare_query(db, search, &walk.statement);

	if (error == 0)
		error = walk_all(&walk);
	(void)sqlite3_finalize(walk.statement);
	hits_order(hits);
	return error;
}

/* ---- The page. ---- */

static struct message *found_message(sqlite3_stmt *row)
{
	size_t size;
	char *label = sqlite_rows_clean(row, 6, &size);
	struct message *message = label == NULL ? NULL : sqlite_rows_message(row, label);

	free(label);
	return message;
}

static int found_read(struct found *found, sqlite3_stmt *statement, int64_t place)
{
	int code;

	(void)sqlite3_bind_int64(statement, 1, place);
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		(void)snprintf(found->room, sizeof found->room, "%s", sqlite_rows_text(statement, 5));
		found->message = found_message(statement);
	}
	(void)sqlite3_reset(statement);
	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? -EIO : sqlite_rows_error(code); /* it was there when it was found */
	return found->message == NULL ? -ENOMEM : 0;
}

/* Reads the messages of the page. Returns how many, or -errno. */
static ssize_t page_read(sqlite3 *db, const struct hits *hits, size_t skip, struct found *found)
{
	static const char sql[] = "SELECT place, at, kind, participant, text, id, coalesce(name, id)"
				  " FROM message JOIN room ON number = place >> 36 WHERE place = ?1";
	sqlite3_stmt *statement = NULL;
	int error = prepare(db, sql, &statement);
	size_t count = 0;

	while (error == 0 && skip + count < hits->count) {
		error = found_read(&found[count], statement, hits->hits[skip + count].place);
		if (error == 0)
			count++;
	}
	(void)sqlite3_finalize(statement);
	if (error == 0)
		return (ssize_t)count;
	while (count > 0)
		message_release(found[--count].message);
	return error;
}

static ssize_t search_page(sqlite3 *db, const struct search *search, const struct searched_rooms *rooms,
	struct found *found, size_t capacity)
{
	struct hits hits = {.most = search->skip + capacity};
	ssize_t result;

	hits.hits = reallocarray(NULL, 2 * hits.most, sizeof *hits.hits);
	if (hits.hits == NULL)
		return -ENOMEM;
	result = hits_find(&hits, db, search, rooms);
	if (result == 0)
		result = page_read(db, &hits, search->skip, found);
	free(hits.hits);
	return result;
}

/* Whether there can be anything to find: a page, and a word to look for. */
static bool search_is_possible(const struct search *search, size_t capacity, int *error)
{
	char *query;
	bool possible;

	*error = 0;
	if (capacity == 0 || capacity > SQLITE_SEARCH_DEPTH || search->skip > SQLITE_SEARCH_DEPTH - capacity)
		return false;
	if (words_is_blank(search->words))
		return true;
	query = words_query(search->words);
	*error = query == NULL ? -ENOMEM : 0;
	possible = query != NULL && query[0] != '\0';
	free(query);
	return possible;
}

/* Whether the time is over. SQLite asks now and then, and gives up what it does if so. */
static int search_is_over(void *end_ms)
{
	return clock_ms() >= *(const long long *)end_ms;
}

static ssize_t search_all(
	sqlite3 *db, const struct search *search, struct found *found, size_t capacity, uint64_t *behind)
{
	struct searched_rooms rooms = {.count = 0};
	int error;
	bool possible = search_is_possible(search, capacity, &error);
	ssize_t result = error != 0 ? error : rooms_find(&rooms, db, search);

	if (result == 0)
		result = rooms_behind(&rooms, db, behind);
	if (result == 0 && possible)
		result = search_page(db, search, &rooms, found, capacity);
	free(rooms.rooms);
	return result;
}

ssize_t sqlite_search(sqlite3 *db, const struct search *search, long long end_ms, struct found *found, size_t capacity,
	uint64_t *behind)
{
	bool own = sqlite3_get_autocommit(db) != 0;
	ssize_t result = search_is_over(&end_ms) ? -ETIMEDOUT : own ? run(db, "BEGIN") : 0;

	if (result != 0)
		return result;
	sqlite3_progress_handler(db, SQLITE_SEARCH_OPERATIONS, search_is_over, &end_ms);
	result = search_all(db, search, found, capacity, behind);
	sqlite3_progress_handler(db, 0, NULL, NULL);
	if (own)
		(void)run(db, "ROLLBACK"); /* nothing was changed */
	return result;
}
