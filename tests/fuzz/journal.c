/*
 * The file of the SQLite journal, with bytes changed: checking, exporting, salvaging, searching, indexing and opening it end
 * with an error at worst, and what was salvaged is in order.
 *
 * Input: one byte that says whether a write-ahead log is there, then four for each change: three of a place, one of what to
 * put there; an odd byte at the end cuts the file.
 */
#include <limits.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/message.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/journals/sqlite.h"
#include "tcpserver/journals/sqlite_export.h"
#include "tcpserver/journals/sqlite_salvage.h"
#include "tcpserver/journals/sqlite_search.h"
#include "tests/fuzz/fuzz.h"

struct image {
	uint8_t *bytes;
	size_t size;
};

static char folder[64];
static char path[80];
static char log_path[80];
static char new_path[80];
static FILE *nowhere;

/* Without a log; with one, the file and its log. */
static struct image alone;
static struct image file;
static struct image write_ahead;

static struct image load(const char *from)
{
	struct image image = {.bytes = malloc(1 << 20)};
	FILE *in = fopen(from, "r");

	MUST(image.bytes != NULL && in != NULL);
	image.size = fread(image.bytes, 1, 1 << 20, in);
	(void)fclose(in);
	return image;
}

static void store(const char *to, const uint8_t *bytes, size_t size)
{
	FILE *out = fopen(to, "w");

	MUST(out != NULL && fwrite(bytes, 1, size, out) == size && fclose(out) == 0);
}

static void remove_files(void)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	char name[100];

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		(void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
		(void)unlink(name);
		(void)snprintf(name, sizeof name, "%s%s", new_path, ends[i]);
		(void)unlink(name);
	}
}

static void remove_folder(void)
{
	remove_files();
	(void)rmdir(folder);
}

static void open_and_end(const char *which)
{
	struct sqlite_options options = {.path = which, .sync = SQLITE_JOURNAL_OFF};
	struct journal *journal;
	char fault[500];

	if (sqlite_journal_open(&options, &journal, fault, sizeof fault) == 0)
		journal->ops->destroy(journal);
}

static void index_some(sqlite3 *db)
{
	struct sqlite_index index;

	sqlite_index_init(&index, db);
	for (int steps = 0; steps < 10 && sqlite_index_step(&index) > 0; steps++)
		continue;
}

/* Two rooms, one text that takes pages of its own, and an index. */
static void fill(sqlite3 *db)
{
	static const char sql[] =
		"PRAGMA wal_autocheckpoint = 0;"
		"INSERT INTO room(number, id, name, key, creator, capacity, flags, created, next) VALUES"
		" (1, '00000000000000000001', 'lobby', 'lobby', '', 0, 3, 1700000000000, 61),"
		" (2, '00000000000000000002', NULL, NULL, 'bob', 2, 4, 1700000000000, 3);"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO message"
		" SELECT (1 << 36) + i, 1700000000000 + i, i % 7, 'bob', 'green tea ' || i FROM n;"
		"INSERT INTO message VALUES((2 << 36) + 1, 1700000000000, 0, 'ann', hex(zeroblob(5000))),"
		" ((2 << 36) + 2, 1700000000001, 0, 'ann', 'coffee');"
		"INSERT INTO sent(client, number, place, at) VALUES(zeroblob(16), 1, (1 << 36) + 1, 1700000000000);"
		"INSERT INTO mark VALUES('bob', 1, 5, 1700000000000);";

	MUST(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
	index_some(db);
}

static void begin(void)
{
	sqlite3 *db;

	log_start(LOG_ERROR, LOG_TEXT);
	nowhere = fopen("/dev/null", "w");
	(void)snprintf(folder, sizeof folder, "%s/tcpchat-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	MUST(nowhere != NULL && mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
	(void)snprintf(path, sizeof path, "%s/db", folder);
	(void)snprintf(log_path, sizeof log_path, "%s/db-wal", folder);
	(void)snprintf(new_path, sizeof new_path, "%s/new", folder);
	open_and_end(path);
	MUST(sqlite3_open(path, &db) == SQLITE_OK);
	fill(db);
	file = load(path);
	write_ahead = load(log_path);
	MUST(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) == SQLITE_OK);
	MUST(sqlite3_close(db) == SQLITE_OK);
	alone = load(path);
}

/* The places of a log follow those of its file. */
static void change(struct image *first, struct image *second, struct fuzz_input *input)
{
	while (input->size >= 4) {
		size_t place = (size_t)fuzz_byte(input) << 16;

		place |= (size_t)fuzz_byte(input) << 8;
		place |= fuzz_byte(input);
		place %= first->size + second->size;
		if (place < first->size)
			first->bytes[place] = fuzz_byte(input);
		else
			second->bytes[place - first->size] = fuzz_byte(input);
	}
	if (input->size > 0)
		first->size = first->size * fuzz_byte(input) / 256;
}

static struct image copy_of(const struct image *image)
{
	return (struct image){.bytes = (uint8_t *)fuzz_copy(image->bytes, image->size), .size = image->size};
}

static void make_files(struct fuzz_input *input)
{
	static const struct image nothing = {.size = 0};
	bool with_log = (fuzz_byte(input) & 1) != 0;
	struct image first = copy_of(with_log ? &file : &alone);
	struct image second = copy_of(with_log ? &write_ahead : &nothing);

	change(&first, &second, input);
	store(path, first.bytes, first.size);
	if (with_log)
		store(log_path, second.bytes, second.size);
	free(first.bytes);
	free(second.bytes);
}

static void search(sqlite3 *db, const char *words, const char *from)
{
	struct search wanted = {.words = words, .from = from, .listed = true, .before_ns = INT64_MAX};
	struct found found[20];
	uint64_t behind;
	ssize_t count = sqlite_search(db, &wanted, LLONG_MAX, found, 20, &behind);

	for (ssize_t i = 0; i < count; i++)
		message_release(found[i].message);
}

static void search_and_index(void)
{
	sqlite3 *db;

	if (sqlite3_open(path, &db) == SQLITE_OK) {
		search(db, "tea", "");
		search(db, "\"green tea\" 7", "bob");
		search(db, "", "");
		index_some(db);
	}
	(void)sqlite3_close(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {.bytes = bytes, .size = size};

	if (nowhere == NULL)
		begin();
	remove_files();
	make_files(&input);
	if (sqlite_salvage(path, new_path, nowhere) != SALVAGE_NOTHING)
		MUST(sqlite_check(new_path, nowhere) == 0);
	(void)sqlite_check(path, nowhere);
	(void)sqlite_export_to(path, NULL, &event_format, nowhere, nowhere);
	search_and_index();
	open_and_end(path);
	return 0;
}
