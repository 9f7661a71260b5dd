#include "tcpserver/journals/sqlite_salvage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tcpserver/doors/event.h"
#include "tcpserver/journals/sqlite_export.h"
#include "tests/check.h"
#include "tests/tcpserver/journals/database.h"

enum { PAGE = 4096, MESSAGES = 3000, MARKS = 600 };

static char folder[] = "/tmp/tcpchat-salvage-XXXXXX";
static char from[64];
static char to[64];

static void begin(void)
{
	CHECK(mkdtemp(folder) != NULL);
	(void)snprintf(from, sizeof from, "%s/from.db", folder);
	(void)snprintf(to, sizeof to, "%s/to.db", folder);
}

static void end(void)
{
	char command[100];

	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	CHECK_EQUAL(system(command), 0);
}

/* A journal with long and short texts in two rooms. */
static sqlite3 *fill(void)
{
	sqlite3 *db = database_create(from);
	char text[20001];

	database_add_room(db, 3, "lobby", 3);
	database_add_room(db, 4, "gone", 16);
	database_add_room(db, 100000, NULL, 4);
	database_run(db, "BEGIN");
	for (int i = 1; i <= MESSAGES; i++) {
		size_t size = i % 100 == 0 ? sizeof text - 1 : 20 + (size_t)i % 50;

		memset(text, 'a' + i % 26, size);
		text[size] = '\0';
		database_add(db, i % 3 == 0 ? 100000 : 3, i % 3 == 0 ? i / 3 : i - i / 3, 1700000000000 + i, MESSAGE_TEXT, "bob", text);
	}
	database_add(db, 4, 1, 1700000000000, MESSAGE_TEXT, "eve", "over");
	database_run(db, "INSERT INTO sent(client, number, place, at) VALUES(x'000102030405060708090a0b0c0d0e0f', 7, %lld, 5)",
		(long long)(INT64_C(3) << 36) + 1);
	database_run(db, "INSERT INTO sent(client, number, place, at) VALUES(x'000102030405060708090a0b0c0d0e0f', 8, 17, 5)");
	for (int i = 0; i < MARKS; i++) /* a tree of several pages */
		database_run(db, "INSERT INTO mark(name, room, seq, at) VALUES('reader%d', %d, %d, 1700000000000)", i,
			i % 2 == 0 ? 3 : 100000, 1 + i);
	database_run(db, "INSERT INTO mark(name, room, seq, at) VALUES('eager', 3, 5000, 5), ('late', 4, 1, 5)");
	database_run(db, "COMMIT");
	return db;
}

static void fill_and_close(void)
{
	sqlite3 *db = fill();

	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* as if the server had died */
	CHECK_EQUAL(sqlite3_close(db), SQLITE_OK);
}

/* What 'work' says is a string that stays until the next time. */
static const char *said(int (*work)(FILE *out), int expected)
{
	static char *text;
	size_t size;
	FILE *out;
	int result;

	free(text);
	out = open_memstream(&text, &size);
	result = work(out);
	(void)fclose(out);
	if (result != expected)
		FAIL("gave %d, not %d: %s", result, expected, text);
	return text;
}

static int check_from(FILE *out)
{
	return sqlite_check(from, out);
}

static int check_to(FILE *out)
{
	return sqlite_check(to, out);
}

static int salvage(FILE *out)
{
	return sqlite_salvage(from, to, out);
}

/* The export of a file, in memory. */
static char *exported(const char *path)
{
	char *text;
	char *report;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	FILE *ignored = open_memstream(&report, &size);

	CHECK_EQUAL(sqlite_export_to(path, NULL, &event_format, out, ignored), 0);
	(void)fclose(out);
	(void)fclose(ignored);
	free(report);
	return text;
}

static void check_same_export(void)
{
	char *one = exported(from);
	char *other = exported(to);

	CHECK_TEXT(other, one);
	free(one);
	free(other);
}

static int64_t saved(const char *sql)
{
	sqlite3 *db;
	int64_t number;

	CHECK_EQUAL(sqlite3_open(to, &db), SQLITE_OK);
	number = database_number(db, "%s", sql);
	(void)sqlite3_close(db);
	return number;
}

/* Puts everything into the file itself. */
static void checkpoint(void)
{
	sqlite3 *db;

	CHECK_EQUAL(sqlite3_open(from, &db), SQLITE_OK);
	database_run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	(void)sqlite3_close(db);
}

/* Overwrites the file from 'place' on. */
static void damage(long place, size_t size)
{
	FILE *file = fopen(from, "r+");

	CHECK(file != NULL && fseek(file, place, SEEK_SET) == 0);
	for (size_t i = 0; i < size; i++)
		(void)fputc((int)(i * 7 + 0x5A) & 0xFF, file);
	CHECK_EQUAL(fclose(file), 0);
}

static long file_pages(void)
{
	struct stat status;

	CHECK_EQUAL(stat(from, &status), 0);
	return (long)(status.st_size / PAGE);
}

TEST(a_whole_journal_is_found_whole_and_copied_whole)
{
	struct stat status;

	begin();
	fill_and_close(); /* all is in the write-ahead log */
	CHECK_CONTAINS(said(check_from, 0), "3 rooms, 3001 messages, no damage");
	CHECK_CONTAINS(said(salvage, SALVAGE_ALL), "3000 messages saved, 0 lost");
	CHECK_CONTAINS(said(check_to, 0), "2 rooms, 3000 messages, no damage");
	check_same_export();
	CHECK_EQUAL(saved("SELECT count(*) FROM sent"), 1);
	CHECK_EQUAL(saved("SELECT count(*) FROM mark WHERE seq = 1 + substr(name, 7) AND room IN (3, 100000)"), MARKS);
	CHECK_EQUAL(saved("SELECT count(*) FROM mark"), MARKS + 1);
	CHECK_EQUAL(saved("SELECT seq FROM mark WHERE name = 'eager'"), 2000); /* there is nothing beyond */
	CHECK_EQUAL(saved("SELECT next FROM room WHERE number = 3"), 2001);
	CHECK_EQUAL(stat(to, &status), 0);
	CHECK_EQUAL(status.st_mode & 0777, 0600);
	CHECK_CONTAINS(said(salvage, SALVAGE_NOTHING), "the file exists; name one that does not");
	CHECK_EQUAL(unlink(to), 0);
	checkpoint();
	CHECK_CONTAINS(said(salvage, SALVAGE_ALL), "3000 messages saved, 0 lost");
	check_same_export();
	end();
}

TEST(without_its_first_pages_all_messages_are_saved)
{
	begin();
	fill_and_close();
	checkpoint();
	damage(0, 100);
	CHECK_CONTAINS(said(check_from, 1), "not a database");
	CHECK_CONTAINS(said(salvage, SALVAGE_ALL), "3000 messages saved, 0 lost");
	CHECK_EQUAL(unlink(to), 0);
	damage(0, 3 * PAGE); /* the room table, too */
	(void)said(salvage, SALVAGE_SOME);
	CHECK_EQUAL(saved("SELECT count(*) FROM message WHERE place >> 36 <> 4"), MESSAGES);
	CHECK_EQUAL(saved("SELECT count(*) FROM room WHERE name = 'salvaged-' || number AND key = name"), 3);
	CHECK_CONTAINS(said(check_to, 0), "no damage");
	end();
}

TEST(around_bad_pages_all_that_is_whole_is_saved)
{
	begin();
	fill_and_close();
	checkpoint();
	for (long page = 20; page < file_pages(); page += 20)
		damage(page * PAGE, PAGE);
	(void)said(check_from, 1);
	CHECK_CONTAINS(said(salvage, SALVAGE_SOME), "lost");
	CHECK(saved("SELECT count(*) FROM message") > MESSAGES / 2);
	CHECK_EQUAL(saved("SELECT count(*) FROM message WHERE substr(text, 1, 5) <> substr(text, 5, 5)"
			  " AND length(text) < 1000"), 0);
	CHECK_CONTAINS(said(check_to, 0), "are missing");
	end();
}

TEST(the_start_of_a_file_that_was_cut_off_is_saved)
{
	begin();
	fill_and_close();
	checkpoint();
	CHECK_EQUAL(truncate(from, file_pages() / 2 * PAGE + 1000), 0);
	(void)said(check_from, 1);
	(void)said(salvage, SALVAGE_SOME);
	CHECK(saved("SELECT count(*) FROM message") > MESSAGES / 4);
	(void)said(check_to, 0);
	end();
}

TEST(what_is_no_journal_gives_none)
{
	FILE *file;

	begin();
	CHECK_CONTAINS(said(salvage, SALVAGE_NOTHING), "No such file");
	CHECK_CONTAINS(said(check_from, 1), "No such file");
	file = fopen(from, "w");
	for (int i = 0; i < 100000; i++)
		(void)fputc((int)((long long)i * i % 251), file);
	(void)fclose(file);
	CHECK_CONTAINS(said(salvage, SALVAGE_NOTHING), "nothing in it looks like a journal");
	CHECK_EQUAL(access(to, F_OK), -1);
	CHECK_EQUAL(truncate(from, 0), 0);
	CHECK_CONTAINS(said(salvage, SALVAGE_NOTHING), "nothing in it looks like a journal");
	CHECK_CONTAINS(said(check_from, 1), "not a journal of tcpserver");
	end();
}

TEST(a_journal_that_a_server_uses_is_not_salvaged)
{
	int descriptor;

	begin();
	fill_and_close();
	descriptor = open(from, O_RDONLY);
	CHECK_EQUAL(flock(descriptor, LOCK_EX), 0);
	CHECK_CONTAINS(said(salvage, SALVAGE_NOTHING), "a server uses it");
	CHECK_CONTAINS(said(check_from, 0), "no damage"); /* looking does no harm */
	(void)close(descriptor);
	end();
}

TEST(what_makes_no_sense_is_found)
{
	sqlite3 *db;
	const char *text;

	begin();
	db = fill();
	database_run(db, "UPDATE room SET next = 0, indexed = 3000, topic = char(7) WHERE number = 3");
	database_run(db, "DELETE FROM room WHERE number = 100000");
	database_run(db, "UPDATE message SET kind = 99 WHERE place = %lld", (long long)(INT64_C(3) << 36) + 2);
	database_run(db, "UPDATE message SET text = CAST(x'ff' AS TEXT), at = -1 WHERE place = %lld", (long long)(INT64_C(3) << 36) + 3);
	database_run(db, "UPDATE message SET participant = char(27) WHERE place = %lld", (long long)(INT64_C(3) << 36) + 4);
	database_run(db, "DELETE FROM message WHERE place = %lld", (long long)(INT64_C(3) << 36) + 9);
	database_run(db, "INSERT INTO message VALUES(17, 1, 0, 'bob', 'lost')");
	text = said(check_from, 1);
	CHECK_CONTAINS(text, "room 3: its topic is no clean text");
	CHECK_CONTAINS(text, "room 3: no message can have its next number, 0");
	CHECK_CONTAINS(text, "room 3: indexed up to 3000, which was not said yet");
	CHECK_CONTAINS(text, "there are messages of room 100000, which is not there");
	CHECK_CONTAINS(text, "message 2: there is no kind 99");
	CHECK_CONTAINS(text, "message 3: its time is none");
	CHECK_CONTAINS(text, "message 3: its text is not clean");
	CHECK_CONTAINS(text, "message 4: its author has no name");
	CHECK_CONTAINS(text, "room 3: messages 9 to 9 are missing");
	CHECK_CONTAINS(text, "no message can have the place 17");
	CHECK_CONTAINS(text, "damaged: tcpserver --salvage");
	(void)said(salvage, SALVAGE_SOME);
	CHECK_CONTAINS(said(check_to, 0), "no damage");
	CHECK_EQUAL(saved("SELECT count(*) FROM message WHERE place >> 36 = 100000"), MESSAGES / 3);
	CHECK_EQUAL(saved("SELECT next FROM room WHERE number = 3"), 2001);
	(void)sqlite3_close(db);
	end();
}
