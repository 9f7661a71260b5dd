#include "tcpclient/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

static const char id[] = "0123456789abcdef0123";

static void joined(struct progress *progress, const char *room, const char *room_id, long long last, long long mark)
{
	struct progress_answer answer = {.id = room_id, .last = last, .mark = mark, .read = true};

	progress_joining(progress, room, false);
	progress_joined(progress, room, &answer);
}

static enum progress_verdict live(struct progress *progress, const char *room, long long seq)
{
	return progress_take(progress, room, seq, false, false);
}

static enum progress_verdict recalled(struct progress *progress, const char *room, long long seq)
{
	return progress_take(progress, room, seq, true, false);
}

TEST(each_message_is_new_once)
{
	struct progress progress = {.count = 0};

	joined(&progress, "tea", id, 0, 0);
	CHECK(live(&progress, "tea", 7) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 8) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 8) == PROGRESS_OLD);
	CHECK(live(&progress, "TEA", 7) == PROGRESS_OLD);
	CHECK(live(&progress, "coffee", 7) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 0) == PROGRESS_NEW); /* it has no number */
}

TEST(a_hole_is_seen_and_mended)
{
	struct progress progress = {.count = 0};

	joined(&progress, "tea", id, 0, 0);
	CHECK(live(&progress, "tea", 7) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 9) == PROGRESS_HOLE);
	progress_joining(&progress, "tea", false);
	CHECK(live(&progress, "tea", 10) == PROGRESS_OLD); /* it will come again */
	joined(&progress, "tea", id, 10, 0);
	for (long long seq = 8; seq <= 10; seq++)
		CHECK(live(&progress, "tea", seq) == PROGRESS_NEW);
}

TEST(what_nobody_has_any_more_is_no_hole)
{
	struct progress progress = {.count = 0};

	joined(&progress, "tea", id, 0, 0);
	CHECK(live(&progress, "tea", 7) == PROGRESS_NEW);
	joined(&progress, "tea", id, 900, 0);
	CHECK(live(&progress, "tea", 800) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 802) == PROGRESS_HOLE);
	progress_skips(&progress, "tea");
	CHECK(live(&progress, "tea", 900) == PROGRESS_NEW);
}

TEST(what_was_said_before_comes_first)
{
	struct progress progress = {.count = 0};

	progress_joining(&progress, "tea", false);
	CHECK(live(&progress, "tea", 20) == PROGRESS_OLD);
	joined(&progress, "tea", id, 20, 10);
	CHECK(progress_find(&progress, "tea")->has_news);
	CHECK(recalled(&progress, "tea", 5) == PROGRESS_NEW);
	CHECK(recalled(&progress, "tea", 17) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 21) == PROGRESS_NEW);
	CHECK(recalled(&progress, "tea", 19) == PROGRESS_OLD);
	CHECK(progress_take(&progress, "tea", 19, true, true) == PROGRESS_LOOKED_UP);
	CHECK(progress_take(&progress, "other", 19, true, true) == PROGRESS_LOOKED_UP);
	CHECK(live(&progress, "tea", 22) == PROGRESS_NEW);
}

TEST(another_room_of_that_name_begins_anew)
{
	struct progress progress = {.count = 0};

	joined(&progress, "tea", id, 0, 0);
	CHECK(live(&progress, "tea", 700) == PROGRESS_NEW);
	joined(&progress, "tea", "another", 3, 0);
	CHECK(recalled(&progress, "tea", 2) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 4) == PROGRESS_NEW);
}

TEST(a_server_that_cannot_go_on_is_believed)
{
	struct progress progress = {.count = 0};

	progress_joining(&progress, "tea", false);
	progress_refused(&progress, "tea");
	CHECK(live(&progress, "tea", 5) == PROGRESS_NEW);
	CHECK(live(&progress, "tea", 9) == PROGRESS_NEW);
}

/* Who had heard nothing when the connection broke was not told what was said until the next one. */
TEST(who_has_heard_nothing_yet_goes_on_from_where_one_came)
{
	struct progress progress = {.count = 0};
	const struct progress_room *room;

	progress_joining(&progress, "tea", true);
	room = progress_find(&progress, "tea");
	CHECK_EQUAL(progress_place(room, 0), -1);
	joined(&progress, "tea", id, 30, 0);
	CHECK_EQUAL(progress_place(room, 0), 30);
	CHECK_EQUAL(progress_place(room, 20), 10);
	CHECK_EQUAL(progress_place(room, 40), 0);
	joined(&progress, "tea", id, 90, 0); /* and it broke once more */
	CHECK_EQUAL(progress_place(room, 0), 30);
	CHECK(live(&progress, "tea", 31) == PROGRESS_NEW);
	CHECK_EQUAL(progress_place(room, 20), 31);
	joined(&progress, "tea", "another", 3, 0);
	CHECK_EQUAL(progress_place(room, 0), 3);
}

static void make_path(char *path, size_t size)
{
	(void)snprintf(path, size, "/tmp/progress-%d", (int)getpid());
}

TEST(only_what_was_shown_is_kept)
{
	struct progress progress = {.knows_session = true};
	struct progress again = {.count = 0};
	char path[64];
	struct stat status;

	make_path(path, sizeof path);
	joined(&progress, "tea time", id, 0, 0);
	CHECK(live(&progress, "tea time", 7) == PROGRESS_NEW);
	CHECK(progress_show(&progress));
	CHECK(!progress_show(&progress));
	CHECK(live(&progress, "tea time", 8) == PROGRESS_NEW);
	CHECK(live(&progress, "unknown", 8) == PROGRESS_NEW);
	CHECK(progress_write(&progress, path) == 0);
	CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
	progress_read(&again, path);
	(void)unlink(path);
	CHECK(again.knows_session);
	CHECK_EQUAL(again.count, 1);
	CHECK_TEXT(again.rooms[0].name, "tea time");
	CHECK_TEXT(again.rooms[0].id, id);
	CHECK_EQUAL(again.rooms[0].heard, 7);
}

/* What is said before the reading begins comes as what was said before, if at all. */
TEST(nothing_is_missed_before_one_begins_to_read)
{
	struct progress progress = {.count = 0};
	struct progress_answer came = {.id = id, .last = 17};
	struct progress_answer read = {.id = id, .last = 18, .read = true};

	progress_joining(&progress, "tea", true);
	CHECK(!progress_joined(&progress, "tea", &came));
	CHECK(live(&progress, "tea", 18) == PROGRESS_OLD);
	CHECK(progress_joined(&progress, "tea", &read));
	progress_joining(&progress, "tea", true);
	CHECK(recalled(&progress, "tea", 18) == PROGRESS_OLD);
	CHECK(!progress_joined(&progress, "tea", &read));
	CHECK(live(&progress, "tea", 18) == PROGRESS_NEW);
	progress_joining(&progress, "coffee", false); /* which shows what was said before */
	CHECK(!progress_joined(&progress, "coffee", &came));
	CHECK(!progress_joined(&progress, "coffee", &read));
}

TEST(where_one_came_is_kept_while_nothing_was_heard)
{
	struct progress progress = {.count = 0};
	struct progress again = {.count = 0};
	char path[64];

	make_path(path, sizeof path);
	joined(&progress, "tea", id, 30, 0);
	CHECK(progress_write(&progress, path) == 0);
	progress_read(&again, path);
	(void)unlink(path);
	CHECK_EQUAL(again.count, 1);
	CHECK_EQUAL(again.rooms[0].heard, 30);
}

TEST(a_garbled_file_has_what_can_be_read)
{
	static const char text[] = "tcpchat-progress 1\nroom\nroom x\nroom x 1\nroom x 1 \nroom x 99999999999999999999 a\n"
				   "room  1 a\nroom x -1 a\nroom x 1 \033[2J\ncurrent \001\nrooms\nroom good 17 tea\n\n\xFF\xFE\n"
				   "room good 18 tea";
	struct progress progress = {.count = 0};
	char path[64];
	FILE *file;

	make_path(path, sizeof path);
	file = fopen(path, "w");
	CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
	progress_read(&progress, path);
	CHECK_EQUAL(progress.count, 1);
	CHECK_TEXT(progress.current, "");
	CHECK_EQUAL(progress.rooms[0].heard, 18);
	file = fopen(path, "w");
	CHECK(file != NULL && fputs("something else\nsession\n", file) >= 0 && fclose(file) == 0);
	progress = (struct progress){.count = 0};
	progress_read(&progress, path);
	(void)unlink(path);
	CHECK(!progress.knows_session);
	progress_read(&progress, "/tmp");
	progress_read(&progress, "/nowhere/at/all");
}
