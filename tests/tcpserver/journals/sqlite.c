/*
 * What the SQLite journal alone does: its file, failures of the disk, upkeep. The rest is in contract.c.
 */
#include "tcpserver/journals/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/message.h"

#include "tests/check.h"

static char directory[] = "/tmp/journal-XXXXXX";
static char path[64];
static char fault[512];

/* ---- A room that counts. ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t called = PTHREAD_COND_INITIALIZER;
static uint64_t published;
static uint64_t last_seq;
static uint64_t refused;
static int last_error;
static int held;

static void publish(void *room, const struct draft *draft)
{
	(void)room;
	mutex_lock(&mutex);
	last_seq = draft->message->seq;
	published++;
	condition_broadcast(&called);
	mutex_unlock(&mutex);
}

static void repeat(void *room, const struct draft *draft, uint64_t seq, const char *label)
{
	(void)label;
	(void)room;
	(void)draft;
	FAIL("message %llu is repeated", (unsigned long long)seq);
}

static void refuse(void *room, const struct draft *draft, int error)
{
	(void)room;
	(void)draft;
	mutex_lock(&mutex);
	last_error = error;
	refused++;
	condition_broadcast(&called);
	mutex_unlock(&mutex);
}

static void flush(void *room)
{
	(void)room;
}

static void hold(void *room)
{
	(void)room;
	mutex_lock(&mutex);
	held++;
	mutex_unlock(&mutex);
}

static void release(void *room)
{
	(void)room;
	mutex_lock(&mutex);
	held--;
	condition_broadcast(&called);
	mutex_unlock(&mutex);
}

static const struct journal_listener listener = {
	.publish = publish, .repeat = repeat, .refuse = refuse, .flush = flush, .hold = hold, .release = release};

static const struct room_attributes lobby = {.id = "1obby", .name = "Lobby", .creator = "", .persistent = true};

/* ---- The journal. ---- */

static int remove_entry(const char *entry, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(entry);
}

static void remove_directory(void)
{
	(void)umount2(directory, MNT_DETACH); /* where a test has mounted one */
	(void)nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Names a file in a directory of the test's own. */
static void begin(void)
{
	CHECK(mkdtemp(directory) != NULL);
	CHECK_EQUAL(atexit(remove_directory), 0);
	(void)snprintf(path, sizeof path, "%s/chat.db", directory);
}

static int try_open(struct journal **journal)
{
	const struct sqlite_options options = {.path = path};

	fault[0] = '\0';
	return sqlite_journal_open(&options, journal, fault, sizeof fault);
}

static struct journal *open_journal(long long retain_days, long long retain_count)
{
	const struct sqlite_options options = {.path = path, .retain_days = retain_days, .retain_count = retain_count};
	struct journal *journal;

	if (sqlite_journal_open(&options, &journal, fault, sizeof fault) != 0)
		FAIL("%s", fault);
	return journal;
}

static struct journal_room *open_room(struct journal *journal, const struct room_attributes *attributes)
{
	struct journal_room *room = journal->ops->open_room(journal, attributes, &listener, NULL);

	CHECK(room != NULL);
	return room;
}

static void close_room(struct journal *journal, struct journal_room *room)
{
	mutex_lock(&mutex);
	while (held > 0)
		condition_wait(&called, &mutex);
	mutex_unlock(&mutex);
	journal->ops->close_room(room);
}

static void append_old(struct journal *journal, struct journal_room *room, size_t size, uint64_t seq, int64_t at_ns)
{
	static char text[65536];
	struct draft draft = {.message = NULL};

	memset(text, 'x', size);
	draft.message = message_create(MESSAGE_TEXT, "Lobby", "bob", text, size);
	CHECK(draft.message != NULL);
	draft.message->seq = seq;
	draft.message->at_ns = at_ns;
	CHECK_EQUAL(journal->ops->append(room, &draft), 0);
}

static void append(struct journal *journal, struct journal_room *room, size_t size)
{
	append_old(journal, room, size, 0, 0);
}

static void wait_for_answers(uint64_t count)
{
	mutex_lock(&mutex);
	while (published + refused < count)
		condition_wait(&called, &mutex);
	mutex_unlock(&mutex);
}

/* Appends one message and waits for what becomes of it. Returns 0, or the errno with which it was refused. */
static int say(struct journal *journal, struct journal_room *room, size_t size)
{
	uint64_t refused_before = refused;
	uint64_t answers = published + refused;

	append(journal, room, size);
	wait_for_answers(answers + 1);
	return refused == refused_before ? 0 : last_error;
}

/* Reads the whole room. Returns how many messages it has; '*first' becomes the number of the first. */
static size_t count_messages(struct journal *journal, struct journal_room *room, uint64_t *first)
{
	struct message *messages[100];
	uint64_t next = 1;
	size_t count = 0;
	ssize_t page;

	*first = 0;
	while ((page = journal->ops->read(room, next, messages, 100)) > 0) {
		if (count == 0)
			*first = messages[0]->seq;
		next = messages[page - 1]->seq + 1;
		count += (size_t)page;
		while (page > 0)
			message_release(messages[--page]);
	}
	CHECK_EQUAL(page, 0);
	return count;
}

/* ---- The file, without the journal. ---- */

/* Runs SQL on the file. */
static void execute(const char *sql)
{
	sqlite3 *connection;
	char *message = NULL;

	CHECK_EQUAL(sqlite3_open(path, &connection), SQLITE_OK);
	CHECK_EQUAL(sqlite3_busy_timeout(connection, 20000), SQLITE_OK); /* the journal may be at its upkeep */
	if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK)
		FAIL("%s: %s", sql, message);
	CHECK_EQUAL(sqlite3_close(connection), SQLITE_OK);
}

static long long query(const char *sql)
{
	sqlite3 *connection;
	sqlite3_stmt *statement;
	long long number;

	CHECK_EQUAL(sqlite3_open(path, &connection), SQLITE_OK);
	CHECK_EQUAL(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
	CHECK_EQUAL(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	CHECK_EQUAL(sqlite3_close(connection), SQLITE_OK);
	return number;
}

static long long file_size(const char *suffix)
{
	struct stat status;
	char name[80];

	(void)snprintf(name, sizeof name, "%s%s", path, suffix);
	return stat(name, &status) == 0 ? (long long)status.st_size : -1;
}

static void overwrite(off_t offset, const void *bytes, size_t size)
{
	int descriptor = open(path, O_RDWR | O_CREAT, 0600);

	CHECK(descriptor >= 0);
	CHECK_EQUAL(pwrite(descriptor, bytes, size, offset), size);
	CHECK_EQUAL(close(descriptor), 0);
}

static const char version_1[] =
	"PRAGMA journal_mode = WAL; PRAGMA application_id = 0x74636874; PRAGMA user_version = 1;"
	"CREATE TABLE room(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT, key TEXT UNIQUE, "
	"creator TEXT NOT NULL, topic TEXT NOT NULL DEFAULT '', capacity INTEGER NOT NULL, flags INTEGER NOT NULL, "
	"created INTEGER NOT NULL, next INTEGER NOT NULL DEFAULT 1);"
	"CREATE TABLE message(place INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, "
	"participant TEXT NOT NULL, text TEXT NOT NULL);"
	"CREATE TABLE sent(id INTEGER PRIMARY KEY, client BLOB NOT NULL, number INTEGER NOT NULL, "
	"place INTEGER NOT NULL, at INTEGER NOT NULL, UNIQUE(client, number));"
	"INSERT INTO room(number, id, name, key, creator, capacity, flags, created) "
	"VALUES(3, '1obby', 'Lobby', 'lobby', '', 0, 2, 1700000000000);"
	"INSERT INTO message VALUES(3 << 36 | 1, 1700000000001, 0, 'bob', 'one'), "
	"(3 << 36 | 2, 1700000000002, 0, 'bob', 'two');";

TEST(an_older_file_is_brought_to_the_present_version)
{
	struct journal *journal;
	struct journal_room *room;
	uint64_t first;

	begin();
	execute(version_1);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(count_messages(journal, room, &first), 2);
	CHECK_EQUAL(say(journal, room, 2), 0);
	CHECK_EQUAL(last_seq, 3);
	journal->ops->set_mark(room, "bob", 2);
	close_room(journal, room);
	journal->ops->destroy(journal);
	CHECK_EQUAL(query("PRAGMA user_version"), 3);
	CHECK_EQUAL(query("SELECT seq FROM mark WHERE room = 3"), 2);
	CHECK_EQUAL(query("SELECT count(*) FROM sqlite_schema WHERE name = 'word'"), 1);
}

/* Opens the file, which has to fail, and must not change it. */
static void check_refused(int error, const char *why)
{
	struct journal *journal;
	struct stat before;
	struct stat after;

	CHECK_EQUAL(stat(path, &before), 0);
	CHECK_EQUAL(try_open(&journal), error);
	CHECK_CONTAINS(fault, path);
	CHECK_CONTAINS(fault, why);
	CHECK_EQUAL(stat(path, &after), 0);
	CHECK_EQUAL(after.st_size, before.st_size);
	CHECK_EQUAL(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	CHECK_EQUAL(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

TEST(a_newer_file_is_refused)
{
	begin();
	execute(version_1);
	execute("PRAGMA user_version = 4");
	check_refused(-EINVAL, "newer");
}

TEST(the_database_of_another_program_is_refused)
{
	begin();
	execute("CREATE TABLE bookmark(url TEXT); INSERT INTO bookmark VALUES('x')");
	check_refused(-EINVAL, "another program");
	execute("PRAGMA application_id = 77; PRAGMA user_version = 3");
	check_refused(-EINVAL, "another program");
}

TEST(a_file_that_is_no_database_is_refused)
{
	char text[5000];

	begin();
	memset(text, 'x', sizeof text);
	overwrite(0, text, sizeof text);
	check_refused(-EUCLEAN, "--salvage");
	CHECK_CONTAINS(fault, "--check");
}

/* Fills the lobby, and ends the journal. */
static void fill(size_t count, size_t size)
{
	struct journal *journal = open_journal(0, 0);
	struct journal_room *room = open_room(journal, &lobby);

	for (size_t i = 0; i < count; i++)
		append(journal, room, size);
	close_room(journal, room);
	journal->ops->destroy(journal);
}

TEST(a_damaged_file_is_refused)
{
	char junk[4096];

	begin();
	fill(1000, 500);
	memset(junk, 0xA5, sizeof junk);
	overwrite(file_size("") / 2 / 4096 * 4096, junk, sizeof junk);
	check_refused(-EUCLEAN, "--salvage");
}

TEST(a_file_that_was_cut_off_is_refused)
{
	begin();
	fill(1000, 500);
	CHECK_EQUAL(truncate(path, file_size("") / 2 / 4096 * 4096), 0);
	check_refused(-EUCLEAN, "--check");
}

TEST(a_file_without_one_of_the_tables_is_refused)
{
	struct journal *journal;

	begin();
	fill(1, 1);
	execute("DROP TABLE sent");
	CHECK_EQUAL(try_open(&journal), -EUCLEAN);
	CHECK_CONTAINS(fault, "sent");
}

/* A file that is damaged while the server runs is an answer, whatever it is, but never a crash. */
TEST(damage_to_an_open_file_is_an_error)
{
	struct message *messages[100];
	struct journal *journal;
	struct journal_room *room;
	char junk[4096];

	begin();
	fill(5000, 500);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	memset(junk, 0xA5, sizeof junk);
	for (off_t offset = 3 * 4096; offset + 4096 < file_size(""); offset += 2 * 4096)
		overwrite(offset, junk, sizeof junk);
	for (uint64_t from = 1; from < 5000; from += 50) {
		ssize_t count = journal->ops->read(room, from, messages, 100);

		CHECK(count >= 0 || count == -EUCLEAN);
		while (count > 0)
			message_release(messages[--count]);
	}
	(void)say(journal, room, 10);
	(void)say(journal, room, 10);
	close_room(journal, room);
	journal->ops->destroy(journal);
}

TEST(what_the_file_says_is_made_safe)
{
	struct message *messages[10];
	struct room_record record;
	struct journal *journal;
	struct journal_room *room;

	begin();
	execute(version_1);
	execute("DELETE FROM message;"
		"INSERT INTO message VALUES(3 << 36 | 1, 'x', 0, x'62ff1b', 7), "
		"(3 << 36 | 2, 5, 99, 'bob', 'unknown kind'),"
		"(3 << 36 | 3, 9223372036854775807, 1, printf('%.*c', 100000, 'n'), x'00ff41'),"
		"(3 << 36 | 4, -5, 0, '', zeroblob(300000));"
		"INSERT INTO room VALUES(-4, 'bad number', NULL, NULL, x'ff', x'1b41', -7, 'x', -1, -1),"
		"(8, 'an id that is longer than ids are', NULL, NULL, '', '', 0, 1, 0, 1),"
		"(9, x'1b1b', NULL, NULL, '', '', 0, 1, 0, 1),"
		"(9000000000, 'too large', NULL, NULL, '', '', 99999999999, 0, 9e18, 9e18);");
	CHECK_EQUAL(try_open(&journal), -EUCLEAN); /* there is no number for a new room */
	execute("DELETE FROM room WHERE number = 9000000000");
	journal = open_journal(0, 0);
	CHECK_EQUAL(journal->ops->list_rooms(journal, "", true, &record, 1), 0);
	CHECK_EQUAL(journal->ops->find_room(journal, "", "bad number", &record), 0);
	CHECK_TEXT(record.topic, "A");
	CHECK_EQUAL(record.attributes.capacity, 0);
	CHECK(journal->ops->open_room(journal, &(struct room_attributes){.id = "bad number"}, &listener, NULL) == NULL);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(journal->ops->read(room, 1, messages, 10), 3);
	CHECK_TEXT(messages[0]->participant, "b\xEF\xBF\xBD");
	CHECK_BYTES(messages[0]->text, messages[0]->text_size, "7", 1);
	CHECK_EQUAL(messages[1]->seq, 3);
	CHECK_EQUAL(messages[1]->participant_size, 200);
	CHECK_BYTES(messages[1]->text, messages[1]->text_size, "\xEF\xBF\xBD\x41", 4);
	CHECK(messages[2]->at_ns > 0);
	CHECK_EQUAL(messages[2]->text_size, 0);
	for (int i = 0; i < 3; i++)
		message_release(messages[i]);
	CHECK_EQUAL(say(journal, room, 1), 0);
	CHECK_EQUAL(last_seq, 5);
	close_room(journal, room);
	journal->ops->destroy(journal);
}

TEST(the_file_is_its_owners_alone)
{
	const char *const suffixes[] = {"", "-wal", "-shm"};
	struct journal *journal;
	struct journal_room *room;

	begin();
	(void)umask(0);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(say(journal, room, 2), 0);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		struct stat status;
		char name[80];

		(void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
		CHECK_EQUAL(stat(name, &status), 0);
		CHECK_EQUAL(status.st_mode & 07777, 0600);
	}
	close_room(journal, room);
	journal->ops->destroy(journal);
}

TEST(a_second_server_on_the_same_file_is_refused)
{
	struct journal *journal;
	int status;
	pid_t child;

	begin();
	journal = open_journal(0, 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(try_open(&journal) == -EBUSY && strstr(fault, "another server uses it") != NULL ? 0 : 1);
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK_EQUAL(status, 0);
	journal->ops->destroy(journal);
	journal = open_journal(0, 0);
	journal->ops->destroy(journal);
}

TEST(what_is_no_file_is_refused)
{
	struct journal *journal;
	char target[80];

	begin();
	CHECK_EQUAL(mkdir(path, 0700), 0);
	CHECK(try_open(&journal) < 0);
	CHECK_EQUAL(rmdir(path), 0);
	CHECK_EQUAL(mkfifo(path, 0600), 0);
	CHECK_EQUAL(try_open(&journal), -EINVAL);
	CHECK_CONTAINS(fault, "not a file");
	CHECK_EQUAL(unlink(path), 0);
	(void)snprintf(target, sizeof target, "%s/other", directory);
	CHECK_EQUAL(symlink(target, path), 0);
	CHECK_EQUAL(try_open(&journal), -ELOOP);
	CHECK_CONTAINS(fault, "symbolic link");
	CHECK_EQUAL(unlink(path), 0);
	(void)snprintf(path, sizeof path, "%s/no/chat.db", directory);
	CHECK_EQUAL(try_open(&journal), -ENOENT);
	CHECK_CONTAINS(fault, "directory");
}

/* ---- Failures of the disk. ---- */

/* Says things until they are kept again; the test's time limit is the limit. Returns the milliseconds that took. */
static long long wait_until_it_works(struct journal *journal, struct journal_room *room)
{
	long long start_ms = clock_ms();

	while (say(journal, room, 10) != 0)
		(void)usleep(10000);
	return clock_ms() - start_ms;
}

/* What was published is there, under numbers without holes; and nothing else is. */
static void check_kept(struct journal *journal, struct journal_room *room)
{
	uint64_t first;

	CHECK_EQUAL(last_seq, published);
	CHECK_EQUAL(count_messages(journal, room, &first), published);
	CHECK_EQUAL(first, 1);
	close_room(journal, room);
	journal->ops->destroy(journal);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(count_messages(journal, room, &first), published);
	close_room(journal, room);
	journal->ops->destroy(journal);
	CHECK_EQUAL(query("SELECT count(*) FROM message"), published);
}

static void set_file_limit(long long bytes)
{
	struct rlimit limit;

	CHECK_EQUAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < 0 ? limit.rlim_max : (rlim_t)bytes;
	CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(a_failing_write_is_an_error_that_nobody_sees_and_passes)
{
	struct journal *journal;
	struct journal_room *room;

	begin();
	(void)signal(SIGXFSZ, SIG_IGN);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	for (int i = 0; i < 3; i++) {
		uint64_t before = published;

		CHECK_EQUAL(wait_until_it_works(journal, room) < 2000, 1);
		set_file_limit(4096); /* wherever the log goes on: it may begin anew meanwhile */
		CHECK_EQUAL(say(journal, room, 60000), EIO);
		CHECK_EQUAL(say(journal, room, 60000), EIO);
		for (int j = 0; j < 100; j++)
			append(journal, room, 5000);
		set_file_limit(-1);
		mutex_lock(&mutex);
		while (held > 0)
			condition_wait(&called, &mutex);
		mutex_unlock(&mutex);
		CHECK(wait_until_it_works(journal, room) < 2000);
		CHECK(published >= before + 2);
	}
	check_kept(journal, room);
}

TEST(a_full_disk_is_an_error_that_nobody_sees_and_passes)
{
	struct journal *journal;
	struct journal_room *room;
	char ballast[80];
	int error = 0;

	begin();
	if (mount("tmpfs", directory, "tmpfs", 0, "size=4m") != 0)
		SKIP("no file system of its own can be mounted here");
	(void)snprintf(ballast, sizeof ballast, "%s/ballast", directory);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(say(journal, room, 10), 0);
	{
		static char bytes[2 * 1024 * 1024];
		int descriptor = open(ballast, O_CREAT | O_WRONLY, 0600);

		CHECK_EQUAL(write(descriptor, bytes, sizeof bytes), sizeof bytes);
		CHECK_EQUAL(close(descriptor), 0);
	}
	while (error == 0)
		error = say(journal, room, 20000);
	CHECK_EQUAL(error, ENOSPC);
	CHECK_EQUAL(unlink(ballast), 0);
	CHECK(wait_until_it_works(journal, room) < 2000);
	check_kept(journal, room);
}

TEST(a_file_that_was_taken_away_takes_nothing)
{
	struct journal *journal;
	struct journal_room *room;
	char elsewhere[80];

	begin();
	(void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", directory);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(say(journal, room, 10), 0);
	CHECK_EQUAL(rename(path, elsewhere), 0);
	while (say(journal, room, 10) == 0)
		(void)usleep(100000);
	CHECK_EQUAL(file_size(""), -1); /* no other was made in its place */
	CHECK_EQUAL(rename(elsewhere, path), 0);
	CHECK(wait_until_it_works(journal, room) < 2000);
	check_kept(journal, room);
}

/* One whose name another room has cannot be kept; that is nobody else's trouble. */
TEST(a_draft_that_cannot_be_kept_takes_no_other_with_it)
{
	const struct room_attributes attributes = {.id = "other", .name = "LOBBY", .creator = ""};
	struct journal *journal;
	struct journal_room *room;
	struct journal_room *other;

	begin();
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	other = open_room(journal, &attributes);
	CHECK_EQUAL(say(journal, room, 10), 0);
	for (int i = 0; i < 100; i++) {
		append(journal, room, 10);
		append(journal, other, 10);
	}
	wait_for_answers(201);
	CHECK_EQUAL(published, 101);
	CHECK_EQUAL(refused, 100);
	CHECK_EQUAL(last_error, EEXIST);
	CHECK_EQUAL(last_seq, 101);
	close_room(journal, other);
	check_kept(journal, room);
}

/* A commit that failed may be there nevertheless, after all connections were closed; the room goes on behind it. */
TEST(messages_that_nobody_knows_of_do_not_block_a_room)
{
	struct journal *journal;
	struct journal_room *room;

	begin();
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(say(journal, room, 10), 0);
	execute("INSERT INTO message SELECT place + 1, at, kind, participant, text FROM message;"
		"INSERT INTO message SELECT place + 2, at, kind, participant, text FROM message");
	for (int i = 0; i < 10; i++)
		append(journal, room, 10);
	wait_for_answers(11);
	CHECK_EQUAL(refused, 0);
	CHECK_EQUAL(last_seq, 14);
	close_room(journal, room);
	journal->ops->destroy(journal);
}

TEST(a_server_that_was_killed_lost_nothing_that_was_published)
{
	uint64_t first;
	int pipes[2];
	pid_t child;

	begin();
	for (int round = 0; round < 5; round++) {
		uint64_t seen = 0;

		CHECK_EQUAL(pipe(pipes), 0);
		child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			struct journal *journal = open_journal(0, 0);
			struct journal_room *room = open_room(journal, &lobby);

			for (;;) {
				append(journal, room, 100);
				mutex_lock(&mutex);
				seen = last_seq;
				mutex_unlock(&mutex);
				if (write(pipes[1], &seen, sizeof seen) != sizeof seen)
					_exit(1);
			}
		}
		CHECK_EQUAL(close(pipes[1]), 0);
		while (seen < (uint64_t)round * 200 + 100)
			CHECK_EQUAL(read(pipes[0], &seen, sizeof seen), sizeof seen);
		CHECK_EQUAL(kill(child, SIGKILL), 0);
		while (read(pipes[0], &seen, sizeof seen) == sizeof seen)
			continue;
		CHECK_EQUAL(close(pipes[0]), 0);
		CHECK_EQUAL(waitpid(child, NULL, 0), child);
		{
			struct journal *journal = open_journal(0, 0);
			struct journal_room *room = open_room(journal, &lobby);
			uint64_t next = journal->ops->next_seq(room);

			CHECK(next > seen);
			CHECK_EQUAL(count_messages(journal, room, &first), next - 1);
			close_room(journal, room);
			journal->ops->destroy(journal);
		}
	}
}

/* ---- Upkeep. ---- */

/* Waits, as long as the test may last, until the room has so many messages; '*first' is the number of the first. */
static void wait_for_messages(struct journal *journal, struct journal_room *room, size_t count, uint64_t *first)
{
	while (count_messages(journal, room, first) != count)
		(void)usleep(10000);
}

TEST(the_last_messages_of_a_room_are_retained)
{
	struct journal *journal;
	struct journal_room *room;
	uint64_t first;

	begin();
	fill(5000, 1000);
	CHECK(file_size("") > 5000000);
	journal = open_journal(0, 100);
	room = open_room(journal, &lobby);
	CHECK_EQUAL(journal->ops->next_seq(room), 5001);
	wait_for_messages(journal, room, 100, &first);
	CHECK_EQUAL(first, 4901);
	while (file_size("") > 2500000)
		(void)usleep(10000); /* the space comes back by and by */
	close_room(journal, room);
	journal->ops->destroy(journal);
}

TEST(old_messages_go_and_numbers_go_on)
{
	int64_t long_ago_ns = clock_wall_ns() - INT64_C(3) * 86400 * 1000000000;
	struct journal *journal;
	struct journal_room *room;
	uint64_t first;

	begin();
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	for (uint64_t seq = 1; seq <= 1234; seq++)
		append_old(journal, room, 10, seq, long_ago_ns);
	close_room(journal, room);
	journal->ops->destroy(journal);
	journal = open_journal(2, 0);
	room = open_room(journal, &lobby);
	wait_for_messages(journal, room, 0, &first);
	CHECK_EQUAL(say(journal, room, 1), 0);
	CHECK_EQUAL(last_seq, 1235);
	close_room(journal, room);
	journal->ops->destroy(journal);
	execute("DELETE FROM message");
	journal = open_journal(2, 0);
	room = open_room(journal, &lobby);
	CHECK(journal->ops->next_seq(room) >= 1235);
	close_room(journal, room);
	journal->ops->destroy(journal);
}

/* Writes the room of a pair, made 'age_ms' ago, to the file. */
static void add_pair(int number, const char *id, long long age_ms)
{
	char sql[200];

	(void)snprintf(sql, sizeof sql,
		"INSERT INTO room(number, id, creator, capacity, flags, created) VALUES(%d, '%s', '', 2, 4, %lld)",
		number, id, clock_wall_ns() / 1000000 - age_ms);
	execute(sql);
}

TEST(the_rooms_of_pairs_are_forgotten_after_a_day)
{
	const long long day_ms = 86400000;
	const struct room_attributes open = {.id = "open",
		.creator = "",
		.ends_with_member = true,
		.created_ns = clock_wall_ns() - 2 * day_ms * 1000000};
	struct room_record record;
	struct journal *journal;
	struct journal_room *room;

	begin();
	journal = open_journal(10000, 0); /* rooms are looked at every few seconds if there is something to retain */
	room = open_room(journal, &open);
	CHECK_EQUAL(say(journal, room, 1), 0);
	add_pair(10, "old", day_ms + 1000);
	add_pair(11, "young", day_ms / 2);
	while (journal->ops->find_room(journal, NULL, "old", &record) != -ENOENT)
		(void)usleep(10000);
	CHECK_EQUAL(journal->ops->find_room(journal, NULL, "young", &record), 0);
	CHECK_EQUAL(journal->ops->find_room(journal, NULL, "open", &record), 0);
	close_room(journal, room);
	journal->ops->destroy(journal);
	journal = open_journal(0, 0);
	while (journal->ops->find_room(journal, NULL, "open", &record) != -ENOENT)
		(void)usleep(10000);
	CHECK_EQUAL(journal->ops->find_room(journal, NULL, "young", &record), 0);
	journal->ops->destroy(journal);
}

TEST(a_room_that_is_forgotten_gives_its_space_back)
{
	struct journal *journal;
	struct journal_room *room;

	begin();
	fill(5000, 2000);
	CHECK(file_size("") > 10000000);
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	journal->ops->set_mark(room, "ann", 5);
	journal->ops->forget_room(room);
	close_room(journal, room);
	while (file_size("") > 2000000)
		(void)usleep(10000);
	journal->ops->destroy(journal);
	CHECK_EQUAL(query("SELECT (SELECT count(*) FROM room) + (SELECT count(*) FROM mark)"), 0);
}

/* Rooms that come and go leave nothing. */
TEST(rooms_that_were_left_leave_nothing_behind)
{
	struct journal *journal;

	begin();
	journal = open_journal(0, 0);
	for (int i = 0; i < 1000; i++) {
		char id[ROOM_ID_SIZE];
		const struct room_attributes attributes = {.id = id, .name = "Same name", .creator = "ann"};
		struct journal_room *room;

		(void)snprintf(id, sizeof id, "%d", i);
		room = open_room(journal, &attributes);
		append(journal, room, 100);
		append(journal, room, 100);
		wait_for_answers(2 * (uint64_t)i + 2);
		journal->ops->forget_room(room);
		close_room(journal, room);
	}
	CHECK_EQUAL(refused, 0);
	while (query("SELECT count(*) FROM room") > 0)
		(void)usleep(50000);
	CHECK_EQUAL(query("SELECT count(*) FROM message"), 0);
	journal->ops->destroy(journal);
	CHECK(file_size("") < 1500000);
}

TEST(old_numbers_of_clients_are_forgotten)
{
	struct journal *journal;
	char sql[300];
	long long now_ms = clock_wall_ns() / 1000000;

	begin();
	execute(version_1);
	(void)snprintf(sql, sizeof sql,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
		"INSERT INTO sent(client, number, place, at) SELECT 'c', i, i, CASE WHEN i <= 2000 THEN %lld ELSE %lld "
		"END FROM n",
		now_ms - 49 * 3600 * 1000, now_ms - 47 * 3600 * 1000);
	execute(sql);
	journal = open_journal(0, 0);
	while (query("SELECT count(*) FROM sent") != 1000)
		(void)usleep(50000);
	journal->ops->destroy(journal);
	CHECK_EQUAL(query("SELECT min(number) FROM sent"), 2001);
}

TEST(the_log_stays_short_when_much_is_written)
{
	struct journal *journal;
	struct journal_room *room;
	long long longest = 0;

	begin();
	journal = open_journal(0, 0);
	room = open_room(journal, &lobby);
	for (uint64_t i = 0; i < 50000; i++) {
		append(journal, room, 4000);
		if (i % 100 == 0 && file_size("-wal") > longest)
			longest = file_size("-wal");
	}
	close_room(journal, room);
	CHECK(longest < 128 * 1024 * 1024);
	check_kept(journal, room = open_room(journal, &lobby));
}
