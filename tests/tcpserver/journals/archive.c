#include "tcpserver/journals/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/journals/sqlite.h"
#include "tcpserver/journals/sqlite_export.h"
#include "tcpserver/journals/sqlite_salvage.h"
#include "tests/check.h"
#include "tests/tcpserver/journals/database.h"

static char folder[] = "/tmp/tcpchat-archive-XXXXXX";

/* A path in a folder that is made for the test. */
static const char *path_of(const char *name)
{
	static char paths[8][64];
	static int next;
	char *path = paths[next++ % 8];

	if (strstr(folder, "XXXXXX") != NULL)
		CHECK(mkdtemp(folder) != NULL);
	(void)snprintf(path, 64, "%s/%s", folder, name);
	return path;
}

static void remove_folder(void)
{
	char command[100];

	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	CHECK_EQUAL(system(command), 0);
}

/* ---- A journal that writes into a database at once. ---- */

struct plain_journal {
	struct journal journal;
	sqlite3 *db;
	uint64_t refuse_at; /* a number that it refuses */
};

struct journal_room {
	struct plain_journal *journal;
	const struct journal_listener *listener;
	void *room;
	int64_t number;
};

static struct journal_room *plain_open_room(struct journal *journal, const struct room_attributes *attributes,
	const struct journal_listener *plain_listener, void *room)
{
	struct plain_journal *plain = (struct plain_journal *)journal;
	struct journal_room *opened = malloc(sizeof *opened);
	char key[NAME_KEY_SIZE] = "";

	CHECK(opened != NULL);
	*opened = (struct journal_room){.journal = plain, .listener = plain_listener, .room = room};
	if (attributes->name != NULL)
		(void)name_key(attributes->name, key);
	if (database_number(plain->db, "SELECT count(*) FROM room WHERE id = %Q", attributes->id) == 0)
		database_run(plain->db,
			"INSERT INTO room(id, name, key, creator, topic, capacity, flags, created)"
			" VALUES(%Q, %Q, %Q, %Q, %Q, %lld, %d, %lld)",
			attributes->id, attributes->name, attributes->name == NULL ? NULL : key, attributes->creator,
			attributes->topic, (long long)attributes->capacity,
			(attributes->listed ? 1 : 0) | (attributes->persistent ? 2 : 0) | (attributes->ends_with_member ? 4 : 0) |
				(attributes->waits ? 8 : 0),
			(long long)(attributes->created_ns / 1000000));
	opened->number = database_number(plain->db, "SELECT number FROM room WHERE id = %Q", attributes->id);
	return opened;
}

static void plain_close_room(struct journal_room *room)
{
	free(room);
}

static int plain_append(struct journal_room *room, const struct draft *draft)
{
	const struct message *message = draft->message;
	char text[70000];

	if (message->seq == room->journal->refuse_at) {
		room->listener->refuse(room->room, draft, ENOSPC);
		message_release(draft->message);
		return 0;
	}
	CHECK(message->text_size < sizeof text);
	memcpy(text, message->text, message->text_size);
	text[message->text_size] = '\0';
	database_add(room->journal->db, room->number, (int64_t)message->seq, message->at_ns / 1000000, message->kind,
		message->participant, text);
	room->listener->publish(room->room, draft);
	message_release(draft->message);
	return 0;
}

static uint64_t plain_next_seq(struct journal_room *room)
{
	return (uint64_t)database_number(room->journal->db, "SELECT next FROM room WHERE number = %lld", (long long)room->number);
}

static int plain_find_room(struct journal *journal, const char *key, const char *id, struct room_record *record)
{
	sqlite3 *db = ((struct plain_journal *)journal)->db;
	sqlite3_stmt *statement = NULL;
	int found;

	CHECK_EQUAL(sqlite3_prepare_v2(db,
			    "SELECT id, coalesce(name, '') FROM room WHERE key = ?1 UNION ALL"
			    " SELECT id, coalesce(name, '') FROM room WHERE id = ?2 LIMIT 1",
			    -1, &statement, NULL),
		0);
	(void)sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(statement, 2, id, -1, SQLITE_STATIC);
	found = sqlite3_step(statement);
	if (found == SQLITE_ROW) {
		strcpy(record->id, (const char *)sqlite3_column_text(statement, 0));
		strcpy(record->name, (const char *)sqlite3_column_text(statement, 1));
	}
	(void)sqlite3_finalize(statement);
	return found == SQLITE_ROW ? 0 : -ENOENT;
}

static const struct journal_ops plain_ops = {
	.name = "plain",
	.open_room = plain_open_room,
	.close_room = plain_close_room,
	.append = plain_append,
	.next_seq = plain_next_seq,
	.find_room = plain_find_room,
};

/* ---- Files. ---- */

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 2000000);

	CHECK(file != NULL && text != NULL);
	(void)fread(text, 1, 1999999, file);
	(void)fclose(file);
	return text;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file != NULL && fputs(text, file) != EOF && fclose(file) == 0);
}

/* Exports; what was reported is a string that stays until the next time. */
static int export(const char *path, const char *room, const char *to, const char **report)
{
	static char *said;
	size_t size;
	FILE *out;
	int result;

	free(said);
	out = open_memstream(&said, &size);
	result = sqlite_export(path, room, &event_format, to, out);
	(void)fclose(out);
	*report = said;
	return result;
}

static int import(sqlite3 *db, const char *text, uint64_t refuse_at, const char **report)
{
	static char *said;
	struct plain_journal journal = {.journal = {.ops = &plain_ops}, .db = db, .refuse_at = refuse_at};
	const char *path = path_of("archive");
	size_t size;
	FILE *out;
	int result;

	free(said);
	write_file(path, text);
	out = open_memstream(&said, &size);
	result = archive_import(&journal.journal, path, out);
	(void)fclose(out);
	*report = said;
	return result;
}

/* ---- There and back. ---- */

static sqlite3 *many_kinds(const char *path)
{
	sqlite3 *db = database_create(path);
	char text[60001];

	memset(text, '"', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	database_add_room(db, 7, "Caf\u00E9", 3);
	database_add_room(db, 5, NULL, 4 + 8);
	database_add_room(db, 9, "gone", 1 + 16);
	database_add(db, 5, 1, 1700000000000, MESSAGE_JOINED, "bob", "");
	database_add(db, 7, 1, 1700000000001, MESSAGE_JOINED, "bob", "");
	database_add(db, 7, 2, 1700000000999, MESSAGE_TEXT, "bob", "\"quoted\" \\ \t tab \u6771\u4EAC \U0001F44D /");
	database_add(db, 7, 3, 1700000001000, MESSAGE_ACTION, "Johnny Boi", "waves");
	database_add(db, 7, 4, 1700000001001, MESSAGE_NICK, "bob", "bob#a1b2c3");
	database_add(db, 7, 5, 1700000001001, MESSAGE_TOPIC, "bob", "tea");
	database_add(db, 7, 6, 1700000000500, MESSAGE_LEFT, "bob", "connection lost");
	database_add(db, 7, 9, 1700000002000, MESSAGE_TEXT, "ann", "");
	database_add(db, 7, 10, 1700000002000, MESSAGE_TEXT, "ann", text);
	database_add(db, 7, 11, 4102444800000, MESSAGE_ROOM_CLOSED, "", "");
	database_add(db, 9, 1, 1700000000000, MESSAGE_TEXT, "eve", "tea");
	database_run(db, "UPDATE room SET topic = 'tea', capacity = 17 WHERE number = 7");
	return db;
}

TEST(export_import_and_export_give_the_same_bytes)
{
	const char *first = path_of("first.jsonl");
	const char *second = path_of("second.jsonl");
	const char *report;
	sqlite3 *from = many_kinds(path_of("from.db"));
	sqlite3 *to = database_create(path_of("to.db"));
	char *one;
	char *other;

	CHECK_EQUAL(export(path_of("from.db"), NULL, first, &report), 0);
	CHECK_CONTAINS(report, "2 rooms with 10 messages were exported");
	one = read_file(first);
	CHECK_EQUAL(import(to, one, 0, &report), 0);
	CHECK_CONTAINS(report, "2 rooms with 10 messages were imported");
	CHECK_EQUAL(export(path_of("to.db"), NULL, second, &report), 0);
	other = read_file(second);
	CHECK_TEXT(other, one);
	CHECK_CONTAINS(one, "{\"kind\":\"room\",\"room\":\"Caf\u00E9\",\"id\":\"00000000000000000007\",\"name\":\"Caf\u00E9\"");
	CHECK_CONTAINS(one, "{\"seq\":11,\"room\":\"Caf\u00E9\",\"at\":\"2100-01-01T00:00:00.000Z\",\"kind\":\"room_closed\"");
	free(one);
	free(other);
	(void)sqlite3_close(from);
	(void)sqlite3_close(to);
	remove_folder();
}

TEST(the_sqlite_journal_takes_an_archive_in)
{
	struct sqlite_options options = {.path = path_of("to.db"), .sync = SQLITE_JOURNAL_OFF};
	struct journal *journal;
	const char *report;
	char fault[500];
	sqlite3 *from = many_kinds(path_of("from.db"));
	char *one;
	char *other;

	database_run(from, "UPDATE room SET flags = 0 WHERE number = 5"); /* an old pair would be forgotten by and by */
	CHECK_EQUAL(export(path_of("from.db"), NULL, path_of("first"), &report), 0);
	CHECK_EQUAL(sqlite_journal_open(&options, &journal, fault, sizeof fault), 0);
	CHECK_EQUAL(archive_import(journal, path_of("first"), stdout), 0);
	CHECK_EQUAL(archive_import(journal, path_of("first"), stdout), 1); /* they are there already */
	journal->ops->destroy(journal);
	CHECK_EQUAL(sqlite_check(path_of("to.db"), stdout), 0);
	CHECK_EQUAL(export(path_of("to.db"), NULL, path_of("second"), &report), 0);
	one = read_file(path_of("first"));
	other = read_file(path_of("second"));
	CHECK_TEXT(other, one);
	free(one);
	free(other);
	(void)sqlite3_close(from);
	remove_folder();
}

TEST(one_room_can_be_exported_by_name_or_id)
{
	const char *report;
	sqlite3 *db = many_kinds(path_of("from.db"));
	char *text;

	CHECK_EQUAL(export(path_of("from.db"), "CAF\u00C9", path_of("a"), &report), 0);
	CHECK_CONTAINS(report, "1 room with 9 messages was exported");
	CHECK_EQUAL(export(path_of("from.db"), "00000000000000000005", path_of("b"), &report), 0);
	text = read_file(path_of("b"));
	CHECK_TEXT(text, "{\"kind\":\"room\",\"room\":\"00000000000000000005\",\"id\":\"00000000000000000005\","
			 "\"creator\":\"bob\",\"created\":\"2023-11-14T22:13:20.000Z\",\"topic\":\"\",\"capacity\":0,"
			 "\"listed\":false,\"persistent\":false,\"pair\":true,\"waits\":true}\n"
			 "{\"seq\":1,\"room\":\"00000000000000000005\",\"at\":\"2023-11-14T22:13:20.000Z\","
			 "\"event_type\":\"participant_joined\",\"kind\":\"joined\",\"participant\":\"bob\"}\n");
	free(text);
	CHECK_EQUAL(export(path_of("from.db"), "gone", path_of("c"), &report), 1);
	CHECK_CONTAINS(report, "there is no room \"gone\"");
	CHECK_EQUAL(access(path_of("c"), F_OK), -1);
	(void)sqlite3_close(db);
	remove_folder();
}

TEST(an_archive_is_a_new_file_for_its_owner_alone)
{
	const char *report;
	sqlite3 *db = many_kinds(path_of("from.db"));
	struct stat status;

	CHECK_EQUAL(export(path_of("from.db"), NULL, path_of("a"), &report), 0);
	CHECK_EQUAL(stat(path_of("a"), &status), 0);
	CHECK_EQUAL(status.st_mode & 0777, 0600);
	CHECK_EQUAL(export(path_of("from.db"), NULL, path_of("a"), &report), 1);
	CHECK_CONTAINS(report, "name a file that does not exist yet");
	CHECK_EQUAL(export(path_of("nothing.db"), NULL, path_of("b"), &report), 1);
	CHECK_CONTAINS(report, "nothing.db: No such file");
	CHECK_EQUAL(export(path_of("a"), NULL, path_of("b"), &report), 1);
	CHECK_CONTAINS(report, "not a database");
	CHECK_EQUAL(access(path_of("b"), F_OK), -1);
	(void)sqlite3_close(db);
	remove_folder();
}

/* ---- What is refused. ---- */

#define ROOM                                                                                                           \
	"{\"kind\":\"room\",\"room\":\"tea\",\"id\":\"00000000000000000001\",\"name\":\"tea\",\"creator\":\"\","      \
	"\"created\":\"2023-11-14T22:13:20.000Z\",\"topic\":\"\",\"capacity\":0,\"listed\":true,\"persistent\":true,"    \
	"\"pair\":false,\"waits\":false}\n"
#define AT "\"at\":\"2023-11-14T22:13:20.000Z\","
#define SAY(seq)                                                                                                       \
	"{\"seq\":" #seq ",\"room\":\"tea\"," AT "\"kind\":\"message\",\"participant\":\"bob\",\"text\":\"hi\"}\n"

static void check_refused(const char *archive, const char *line, const char *why)
{
	sqlite3 *db = database_create_unnamed();
	const char *report;

	CHECK_EQUAL(import(db, archive, 0, &report), 1);
	CHECK_CONTAINS(report, line);
	CHECK_CONTAINS(report, why);
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM room"), 0);
	(void)sqlite3_close(db);
}

TEST(a_bad_line_is_named_and_nothing_is_kept)
{
	check_refused(SAY(1), ":1:", "no line of a room before");
	check_refused(ROOM SAY(1) SAY(1), ":3:", "not greater");
	check_refused(ROOM SAY(0), ":2:", "no number");
	check_refused(ROOM SAY(68719476735), ":2:", "no number");
	check_refused(ROOM SAY(1) "\n", ":3:", "no JSON object");
	check_refused(ROOM "[1]\n", ":2:", "no JSON object");
	check_refused(ROOM "{\"kind\":\"welcome\"}\n", ":2:", "unknown");
	check_refused(ROOM SAY(1) "{\"seq\":2", ":3:", "has no end");
	check_refused(ROOM "{\"a\":{\"b\":{\"c\":1}}}\n", ":2:", "no JSON object");
	check_refused(ROOM SAY(1) ROOM, ":3:", "was in the archive before");
	check_refused(ROOM "\xFF\n", ":2:", "no JSON object");
	remove_folder();
}

/* A message with one thing that is wrong. */
#define MESSAGE(room, at, kind, participant, text)                                                                     \
	ROOM "{\"seq\":1,\"room\":\"" room "\",\"at\":\"" at "\"," kind ",\"participant\":\"" participant "\"" text "}\n"
#define TIME    "2023-11-14T22:13:20.000Z"
#define MESSAGE_KIND "\"kind\":\"message\""
#define HI      ",\"text\":\"hi\""

TEST(a_message_has_to_be_one_that_the_server_could_have_kept)
{
	check_refused(MESSAGE("coffee", TIME, MESSAGE_KIND, "bob", HI), ":2:", "\"room\" is not");
	check_refused(MESSAGE("tea", "2023-02-30T00:00:00.000Z", MESSAGE_KIND, "bob", HI), ":2:", "\"at\"");
	check_refused(MESSAGE("tea", "2023-02-20T24:00:00.000Z", MESSAGE_KIND, "bob", HI), ":2:", "\"at\"");
	check_refused(MESSAGE("tea", "1969-12-31T23:59:59.999Z", MESSAGE_KIND, "bob", HI), ":2:", "\"at\"");
	check_refused(MESSAGE("tea", "9999-12-31T23:59:59.999Z", MESSAGE_KIND, "bob", HI), ":2:", "\"at\"");
	check_refused(MESSAGE("tea", "2023-02-20 20:00:00.000Z", MESSAGE_KIND, "bob", HI), ":2:", "\"at\"");
	check_refused(MESSAGE("tea", TIME, MESSAGE_KIND, " bob", HI), ":2:", "\"participant\"");
	check_refused(MESSAGE("tea", TIME, MESSAGE_KIND, "b\\u001bob", HI), ":2:", "\"participant\"");
	check_refused(MESSAGE("tea", TIME, MESSAGE_KIND, "bob", ",\"text\":\"\\u0007\""), ":2:", "\"text\"");
	check_refused(MESSAGE("tea", TIME, MESSAGE_KIND, "bob", ",\"text\":7"), ":2:", "\"text\"");
	check_refused(MESSAGE("tea", TIME, MESSAGE_KIND, "bob", ""), ":2:", "\"text\"");
	check_refused(MESSAGE("tea", TIME, MESSAGE_KIND, "bob", HI ",\"x\":1"), ":2:", "unknown field");
	check_refused(MESSAGE("tea", TIME, MESSAGE_KIND, "bob", HI HI), ":2:", "no JSON object");
	check_refused(MESSAGE("tea", TIME, "\"kind\":\"joined\"", "bob", ""), ":2:", "\"event_type\"");
	check_refused(MESSAGE("tea", TIME, "\"kind\":\"nick\"", "bob", ",\"text\":\"\""), ":2:", "\"text\" is no name");
	remove_folder();
}

TEST(a_line_that_is_too_long_is_refused)
{
	char *archive = malloc(3 * ARCHIVE_LINE_MAX);

	memset(archive, ' ', 3 * ARCHIVE_LINE_MAX);
	strcpy(archive + 2 * ARCHIVE_LINE_MAX, "\n");
	check_refused(archive, ":1:", "too long");
	free(archive);
	remove_folder();
}

TEST(a_room_goes_on_only_from_its_next_number)
{
	sqlite3 *db = database_create_unnamed();
	const char *report;

	CHECK_EQUAL(import(db, ROOM SAY(1) SAY(2), 0, &report), 0);
	CHECK_EQUAL(import(db, ROOM SAY(2) SAY(3), 0, &report), 1);
	CHECK_CONTAINS(report, ":2: the room \"tea\" has messages with these numbers already");
	CHECK_EQUAL(import(db, ROOM SAY(5), 0, &report), 0);
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM message"), 3);
	database_run(db, "UPDATE room SET id = '00000000000000000002'");
	CHECK_EQUAL(import(db, ROOM SAY(7), 0, &report), 1);
	CHECK_CONTAINS(report, "has the name of another room");
	database_run(db, "UPDATE room SET id = '00000000000000000001', name = 'x', key = 'x'");
	CHECK_EQUAL(import(db, ROOM SAY(7), 0, &report), 1);
	CHECK_CONTAINS(report, "has another name");
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM message"), 3);
	(void)sqlite3_close(db);
	remove_folder();
}

TEST(what_the_journal_refuses_ends_the_import)
{
	sqlite3 *db = database_create_unnamed();
	const char *report;

	CHECK_EQUAL(import(db, ROOM SAY(1) SAY(2) SAY(3), 2, &report), 1);
	CHECK_CONTAINS(report, "the journal cannot keep it: No space left");
	CHECK_EQUAL(database_number(db, "SELECT count(*) FROM message"), 1);
	(void)sqlite3_close(db);
	remove_folder();
}

TEST(an_empty_archive_is_fine)
{
	sqlite3 *db = database_create_unnamed();
	const char *report;

	CHECK_EQUAL(import(db, "", 0, &report), 0);
	CHECK_CONTAINS(report, "0 rooms");
	(void)sqlite3_close(db);
	remove_folder();
}
