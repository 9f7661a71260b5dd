#include "tcpserver/journals/sqlite_upkeep.h"

#include <errno.h>
#include <stdio.h>

#include "tcpserver/journals/sqlite_journal.h"

enum {
	STEP_MS = 4,                        /* for which a step goes on                                 */
	ROWS_AT_ONCE = 500,                 /* that one statement deletes                               */
	SENT_KEPT_MS = 48 * 60 * 60 * 1000, /* for which numbers of clients are kept                    */
	SENT_EVERY_MS = 60 * 1000,
	PAIR_KEPT_MS = 24 * 60 * 60 * 1000, /* for which a pair's room is kept after it was made        */
	SWEEP_EVERY_MS = 5 * 1000,          /* between two sweeps over the rooms, at least              */
	SWEEP_SHARE = 20,                   /* a sweep takes no more than this part of the time         */
	SWEEP_QUIET_MS = 10 * 60 * 1000,    /* between two sweeps when only pairs can be too old        */
	FREE_PAGES_KEPT = 256,              /* 1 MiB of the file may be unused                          */
	DAY_MS = 24 * 60 * 60 * 1000,
};

/* The end of a room's places. */
static int64_t upkeep_end(int64_t number)
{
	return store_place(number + 1, 0);
}

/* ---- Messages that go. ---- */

/* What the index returned, as an SQLite result: why it failed stands at the connection, unless that was for want of memory. */
static int upkeep_index_result(const struct sqlite_store *store, int returned)
{
	int result = returned == -ENOMEM ? SQLITE_NOMEM
		   : returned == -ENOSPC ? SQLITE_FULL
					 : sqlite3_errcode(store->connection);

	if (returned >= 0)
		return SQLITE_OK;
	return result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_IOERR : result;
}

/* Finds how far messages from place 'first' on, before 'end', go in one step, those that were kept before 'before_ms'. */
static int upkeep_find_cut(
	struct sqlite_store *store, int64_t first, int64_t end, int64_t before_ms, int64_t *cut, int *count)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_PASSED_MESSAGES, &result);

	*count = 0;
	*cut = first;
	if (statement == NULL)
		return result;
	(void)sqlite3_bind_int64(statement, 1, first);
	(void)sqlite3_bind_int64(statement, 2, end);
	while (*count < ROWS_AT_ONCE && (result = sqlite3_step(statement)) == SQLITE_ROW &&
		sqlite3_column_int64(statement, 1) < before_ms) {
		*cut = sqlite3_column_int64(statement, 0) + 1;
		++*count;
	}
	return sqlite_store_end(statement, result);
}

/* Deletes up to ROWS_AT_ONCE messages, the oldest. '*count' says how many. */
static int upkeep_delete(struct sqlite_store *store, int64_t first, int64_t end, int64_t before_ms, int *count)
{
	int64_t range[2] = {first, first};
	int result = upkeep_find_cut(store, first, end, before_ms, &range[1], count);

	if (result == SQLITE_OK && *count > 0)
		result = upkeep_index_result(store, sqlite_index_remove(store->connection, range[0], range[1] - 1));
	if (result == SQLITE_OK && *count > 0)
		result = sqlite_store_run(store, STORE_DELETE_MESSAGES, range, 2, NULL);
	return result;
}

/* ---- The kinds of work. Each does a little; '*more' says whether there is more of it now. ---- */

static int upkeep_write_marks(struct sqlite_journal *journal, bool *more)
{
	if (sqlite_marks_are_written(&journal->marks))
		return SQLITE_OK;
	*more = true;
	return sqlite_marks_write(&journal->marks, &journal->store);
}

static int upkeep_expire_sent(struct sqlite_journal *journal, bool *more)
{
	const int64_t numbers[] = {clock_wall_ns() / 1000000 - SENT_KEPT_MS, ROWS_AT_ONCE};
	int result;

	if (clock_ms() < journal->upkeep.sent_ms)
		return SQLITE_OK;
	result = sqlite_store_run(&journal->store, STORE_EXPIRE_SENT, numbers, 2, NULL);
	*more = result == SQLITE_OK && sqlite3_changes(journal->store.connection) > 0;
	if (!*more)
		journal->upkeep.sent_ms = clock_ms() + SENT_EVERY_MS;
	return result;
}

/* Deletes some of a room that was removed; the room itself last. '*count' is how many rows went. */
static int upkeep_delete_room(struct sqlite_store *store, int64_t number, int *count)
{
	const int64_t marks[] = {number, ROWS_AT_ONCE};
	int result = upkeep_delete(store, store_place(number, 0), upkeep_end(number), INT64_MAX, count);

	if (result != SQLITE_OK || *count == ROWS_AT_ONCE)
		return result;
	result = sqlite_store_run(store, STORE_DELETE_MARKS, marks, 2, NULL);
	if (result == SQLITE_OK)
		*count += sqlite3_changes(store->connection);
	if (result == SQLITE_OK && sqlite3_changes(store->connection) < ROWS_AT_ONCE) {
		++*count;
		result = sqlite_store_run(store, STORE_DELETE_ROOM, marks, 1, NULL);
	}
	return result;
}

static int upkeep_delete_rooms(struct sqlite_store *store, bool *more)
{
	long long end_ms = clock_ms() + STEP_MS;
	int deleted = 0;
	int result = SQLITE_OK;

	while (result == SQLITE_OK && *more && deleted < ROWS_AT_ONCE && clock_ms() < end_ms) {
		int64_t number = INT64_MIN;
		int count = 0;

		result = sqlite_store_run(store, STORE_NEXT_REMOVED, NULL, 0, &number);
		*more = result == SQLITE_OK && number != INT64_MIN;
		if (*more)
			result = upkeep_delete_room(store, number, &count);
		deleted += count;
	}
	return result;
}

static int upkeep_remove(struct sqlite_journal *journal, bool *more)
{
	struct sqlite_store *store = &journal->store;
	int64_t number = INT64_MIN;
	int result = sqlite_store_run(store, STORE_NEXT_REMOVED, NULL, 0, &number);

	if (result != SQLITE_OK || number == INT64_MIN)
		return result;
	*more = true;
	result = sqlite_store_begin(store);
	if (result == SQLITE_OK)
		result = upkeep_delete_rooms(store, more);
	if (result == SQLITE_OK)
		result = sqlite_store_commit(store);
	return result;
}

/* ---- The sweep over all rooms: what is too old goes. ---- */

/* A room, as a sweep finds it. */
struct swept {
	int64_t number;
	char id[ROOM_ID_SIZE];
	unsigned flags;
	int64_t created_ms;
};

static int upkeep_next_room(struct sqlite_store *store, int64_t after, struct swept *swept, bool *found)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_NEXT_ROOM, &result);
	const char *id;

	if (statement == NULL)
		return result;
	(void)sqlite3_bind_int64(statement, 1, after);
	result = sqlite3_step(statement);
	*found = result == SQLITE_ROW;
	if (*found) {
		id = (const char *)sqlite3_column_text(statement, 1);
		*swept = (struct swept){
			.number = sqlite3_column_int64(statement, 0),
			.flags = (unsigned)sqlite3_column_int64(statement, 2) & STORE_FLAGS,
			.created_ms = sqlite3_column_int64(statement, 3),
		};
		(void)snprintf(swept->id, sizeof swept->id, "%s", id == NULL ? "" : id);
	}
	return sqlite_store_end(statement, result);
}

/* Deletes some of what is too old or too much in a room. The numbers of its messages go on nevertheless. */
static int upkeep_retain(struct sqlite_journal *journal, int64_t number, int *count)
{
	const struct sqlite_options *options = &journal->options;
	const int64_t all[] = {store_place(number, 0), upkeep_end(number)};
	int64_t now_ms = clock_wall_ns() / 1000000;
	int64_t next[2] = {number, 0};
	int64_t last = -1;
	int64_t keep_from;
	int result = sqlite_store_run(&journal->store, STORE_LAST_PLACE, all, 2, &last);

	if (result != SQLITE_OK || last < all[0])
		return result;
	next[1] = (int64_t)store_seq(last) + 1;
	keep_from = options->retain_count > 0 ? last - options->retain_count + 1 : all[0];
	if (keep_from > all[0])
		result = upkeep_delete(&journal->store, all[0], keep_from, INT64_MAX, count);
	if (result == SQLITE_OK && *count == 0 && options->retain_days > 0)
		result = upkeep_delete(&journal->store, all[0], all[1], now_ms - options->retain_days * DAY_MS, count);
	if (result == SQLITE_OK && *count > 0)
		result = sqlite_store_run(&journal->store, STORE_RAISE_NEXT, next, 2, NULL);
	return result;
}

/* Looks at one room. '*count' says how many messages went; there may be more of them if it is ROWS_AT_ONCE. */
static int upkeep_sweep_room(struct sqlite_journal *journal, const struct swept *swept, int *count)
{
	const struct sqlite_options *options = &journal->options;
	int64_t now_ms = clock_wall_ns() / 1000000;

	*count = 0;
	if ((swept->flags & STORE_REMOVED) != 0 || swept->number < 1 || swept->number > STORE_NUMBER_MOST)
		return SQLITE_OK;
	if ((swept->flags & STORE_ENDS_WITH_MEMBER) != 0 && swept->created_ms < now_ms - PAIR_KEPT_MS)
		sqlite_forget_closed_room(journal, swept->number, swept->id, swept->flags);
	if (options->retain_days == 0 && options->retain_count == 0)
		return SQLITE_OK;
	return upkeep_retain(journal, swept->number, count);
}

/* A sweep that took long is not repeated soon. */
static void upkeep_end_sweep(struct sqlite_journal *journal)
{
	const struct sqlite_options *options = &journal->options;
	long long now_ms = clock_ms();
	long long pause_ms = SWEEP_SHARE * (now_ms - journal->upkeep.sweep_began_ms);
	long long least_ms = options->retain_days == 0 && options->retain_count == 0 ? SWEEP_QUIET_MS : SWEEP_EVERY_MS;

	journal->upkeep.sweeping = false;
	journal->upkeep.sweep_ms = now_ms + (pause_ms > least_ms ? pause_ms : least_ms);
}

static int upkeep_sweep_rooms(struct sqlite_journal *journal)
{
	struct sqlite_upkeep *upkeep = &journal->upkeep;
	long long end_ms = clock_ms() + STEP_MS;
	int deleted = 0;
	int result = SQLITE_OK;

	while (result == SQLITE_OK && deleted < ROWS_AT_ONCE && clock_ms() < end_ms) {
		struct swept swept;
		bool found = false;
		int count = 0;

		result = upkeep_next_room(&journal->store, upkeep->swept, &swept, &found);
		if (result != SQLITE_OK)
			break;
		if (!found) {
			upkeep_end_sweep(journal);
			break;
		}
		result = upkeep_sweep_room(journal, &swept, &count);
		if (count < ROWS_AT_ONCE)
			upkeep->swept = swept.number;
		deleted += count;
	}
	return result;
}

static int upkeep_sweep(struct sqlite_journal *journal, bool *more)
{
	struct sqlite_upkeep *upkeep = &journal->upkeep;
	int result;

	if (!upkeep->sweeping && clock_ms() < upkeep->sweep_ms)
		return SQLITE_OK;
	if (!upkeep->sweeping) {
		upkeep->sweeping = true;
		upkeep->swept = 0;
		upkeep->sweep_began_ms = clock_ms();
	}
	result = sqlite_store_begin(&journal->store);
	if (result == SQLITE_OK)
		result = upkeep_sweep_rooms(journal);
	if (result == SQLITE_OK)
		result = sqlite_store_commit(&journal->store);
	*more = upkeep->sweeping;
	return result;
}

static int upkeep_vacuum(struct sqlite_journal *journal, bool *more)
{
	int64_t pages = 0;
	int result = sqlite_store_run(&journal->store, STORE_FREE_PAGES, NULL, 0, &pages);

	if (result != SQLITE_OK || pages <= FREE_PAGES_KEPT)
		return result;
	*more = true;
	return sqlite_store_run(&journal->store, STORE_VACUUM, NULL, 0, NULL);
}

static int upkeep_index(struct sqlite_journal *journal, bool *more)
{
	int result = sqlite_index_step(&journal->index);

	*more = result > 0;
	return upkeep_index_result(&journal->store, result);
}

/* In turn; one that has more to do does it when it is its turn again. */
static int (*const steps[])(struct sqlite_journal *journal, bool *more) = {
	upkeep_write_marks,
	upkeep_expire_sent,
	upkeep_remove,
	upkeep_sweep,
	upkeep_vacuum,
	upkeep_index,
};

enum { STEPS = sizeof steps / sizeof *steps };

int sqlite_upkeep_step(struct sqlite_journal *journal, bool *more)
{
	struct sqlite_upkeep *upkeep = &journal->upkeep;
	bool step_has_more = false;
	int result = SQLITE_OK;

	for (int i = 0; i < STEPS && result == SQLITE_OK && !step_has_more; i++) {
		result = steps[upkeep->next_step](journal, &step_has_more);
		upkeep->next_step = (upkeep->next_step + 1) % STEPS;
	}
	if (result != SQLITE_OK)
		sqlite_store_rollback(&journal->store);
	*more = step_has_more;
	return result;
}

int sqlite_upkeep_start(struct sqlite_journal *journal)
{
	return sqlite_store_run(&journal->store, STORE_CLOSE_REMOVED, NULL, 0, NULL);
}
