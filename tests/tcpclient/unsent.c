/* The lines on disk: what a killed client leaves, who holds a file, and files that are not as they should be. */
#include "tcpclient/unsent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tcpclient/state.h"
#include "tests/check.h"

enum { ROUNDS = 40, GARBLED = 3000 };

static char folder[] = "/tmp/tcpclient-unsent-XXXXXX";

static void enter_folder(void)
{
	CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
}

static void leave_folder(void)
{
	char name[16];

	for (int i = 0; i < UNSENT_FILES_MAX; i++) {
		(void)snprintf(name, sizeof name, "file-%d", i);
		(void)remove(i == 0 ? "file" : name);
	}
	(void)remove("file.new");
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

static struct unsent *open_file(bool go_on, size_t wanted_left)
{
	struct unsent *unsent = NULL;
	size_t left = 99;

	CHECK_EQUAL(unsent_open("file", go_on, &left, &unsent), 0);
	CHECK_EQUAL(left, wanted_left);
	return unsent;
}

static long long add(struct unsent *unsent, const char *room, const char *line)
{
	return unsent_add(unsent, room, line, strlen(line));
}

/* The first line after 'after'. */
static void expect(const struct unsent *unsent, long long after, long long number, const char *room, const char *text)
{
	struct unsent_line line;

	CHECK(unsent_next(unsent, after, &line));
	CHECK_EQUAL(line.number, number);
	CHECK_TEXT(line.room, room);
	CHECK_BYTES(line.line, line.size, text, strlen(text));
}

/* As a killed client leaves it: the lock is gone, and nothing was tidied. */
static void in_a_killed_client(void (*work)(struct unsent *unsent), bool go_on)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0) {
		struct unsent *unsent;
		size_t left;

		if (unsent_open("file", go_on, &left, &unsent) == 0)
			work(unsent);
		(void)raise(SIGKILL);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void say_three(struct unsent *unsent)
{
	(void)!add(unsent, "tea", "one");
	(void)!add(unsent, "", "/dm ann psst");
	(void)!add(unsent, "tea time", "tab\tand \xC3\xA9");
}

TEST(lines_outlive_a_killed_client)
{
	struct unsent *unsent;
	char session[UNSENT_SESSION_SIZE];
	struct stat status;

	enter_folder();
	in_a_killed_client(say_three, false);
	unsent = open_file(true, 0);
	CHECK_EQUAL(unsent_count(unsent), 3);
	expect(unsent, 0, 1, "tea", "one");
	expect(unsent, 1, 2, "", "/dm ann psst");
	expect(unsent, 2, 3, "tea time", "tab\tand \xC3\xA9");
	CHECK(stat("file", &status) == 0 && (status.st_mode & 0777) == 0600);
	(void)snprintf(session, sizeof session, "%s", unsent_session(unsent));
	CHECK_EQUAL(strspn(session, "0123456789abcdef"), 32);
	unsent_done(unsent, 2);
	unsent_done(unsent, 77);
	unsent_close(unsent);
	unsent = open_file(true, 0);
	CHECK_TEXT(unsent_session(unsent), session);
	CHECK_EQUAL(unsent_count(unsent), 2);
	expect(unsent, 1, 3, "tea time", "tab\tand \xC3\xA9");
	CHECK_EQUAL(add(unsent, "", "four"), 4);
	for (long long number = 1; number <= 4; number++)
		unsent_done(unsent, number);
	CHECK(stat("file", &status) == 0 && status.st_size == 0);
	CHECK_EQUAL(add(unsent, "", "five"), 5);
	CHECK_TEXT(unsent_session(unsent), session);
	unsent_done(unsent, 5);
	unsent_close(unsent);
	CHECK(stat("file", &status) != 0);
	unsent = open_file(true, 0);
	CHECK(strcmp(unsent_session(unsent), session) != 0);
	unsent_close(unsent);
	leave_folder();
}

/* Adds and finishes lines, and tells which it knows to be kept. */
static void say_until_killed(struct unsent *unsent, int told, unsigned chance)
{
	for (;;) {
		char line[64];
		long long number;

		(void)snprintf(line, sizeof line, "the line %u", chance % 1000);
		number = add(unsent, "tea", line);
		chance = chance * 1103515245U + 12345U;
		if (number < 0 || write(told, &number, sizeof number) != sizeof number)
			_exit(1);
		if (number > 3 && chance % 4 != 0) {
			long long done = 3 - number;

			unsent_done(unsent, -done);
			if (write(told, &done, sizeof done) != sizeof done)
				_exit(1);
		}
		if (unsent_count(unsent) > 500)
			(void)pause();
	}
}

TEST(no_line_is_lost_at_whatever_moment_the_client_is_killed)
{
	enter_folder();
	for (int round = 0; round < ROUNDS; round++) {
		static char state[1 << 20]; /* 1: added, 2: done */
		int ends[2];
		pid_t child;
		long long number;
		long long highest = 0;
		struct unsent *unsent;

		memset(state, 0, sizeof state);
		CHECK(pipe(ends) == 0);
		child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			unsent = open_file(false, 0);
			say_until_killed(unsent, ends[1], (unsigned)round);
		}
		(void)close(ends[1]);
		for (int i = 0; i < 5 + 37 * round && read(ends[0], &number, sizeof number) == sizeof number; i++) {
			highest = number > highest ? number : highest;
			state[number > 0 ? number : -number] = number > 0 ? 1 : 2;
		}
		CHECK(kill(child, SIGKILL) == 0);
		CHECK(waitpid(child, NULL, 0) == child);
		while (read(ends[0], &number, sizeof number) == sizeof number) {
			highest = number > highest ? number : highest;
			state[number > 0 ? number : -number] = number > 0 ? 1 : 2;
		}
		(void)close(ends[0]);
		unsent = open_file(true, 0);
		for (long long i = 1, next = 0; i <= highest; i++) {
			struct unsent_line line;
			bool there = unsent_next(unsent, i - 1, &line) && line.number == i;

			/* The last one may have been finished without a word. */
			next += !there && state[i] == 1;
			CHECK(next <= 1);
			CHECK(!(there && state[i] == 2));
		}
		for (struct unsent_line line; unsent_next(unsent, 0, &line);)
			unsent_done(unsent, line.number);
		unsent_close(unsent);
	}
	leave_folder();
}

TEST(a_second_client_has_a_file_of_its_own)
{
	struct unsent *one;
	struct unsent *other;
	struct unsent *others[UNSENT_FILES_MAX];
	size_t left;

	enter_folder();
	one = open_file(true, 0);
	CHECK_EQUAL(add(one, "", "of the first"), 1);
	other = open_file(true, 0); /* what somebody holds is not left */
	CHECK_EQUAL(unsent_count(other), 0);
	CHECK(strcmp(unsent_session(one), unsent_session(other)) != 0);
	CHECK_EQUAL(add(other, "", "of the second"), 1);
	for (int i = 2; i < UNSENT_FILES_MAX; i++)
		others[i] = open_file(false, 0);
	CHECK_EQUAL(unsent_open("file", true, &left, &others[0]), -EBUSY);
	for (int i = 2; i < UNSENT_FILES_MAX; i++)
		unsent_close(others[i]);
	unsent_close(one);
	unsent_close(other);

	one = open_file(false, 2); /* not asked to go on: the rest stays where it is */
	CHECK_EQUAL(unsent_count(one), 0);
	unsent_close(one);
	one = open_file(true, 1);
	other = open_file(true, 0);
	expect(one, 0, 1, "", "of the first");
	expect(other, 0, 1, "", "of the second");
	unsent_done(one, 1);
	unsent_done(other, 1);
	unsent_close(one);
	unsent_close(other);
	leave_folder();
}

TEST(the_lines_are_bounded)
{
	static char longest[UNSENT_LINE_SIZE_MAX + 1];
	struct unsent *unsent;
	struct stat status;

	enter_folder();
	unsent = open_file(false, 0);
	memset(longest, 'x', sizeof longest);
	CHECK_EQUAL(unsent_add(unsent, "", longest, sizeof longest), -EMSGSIZE);
	longest[sizeof longest - 1] = '\0';
	CHECK_EQUAL(add(unsent, "", "two\nlines"), -EINVAL);
	CHECK_EQUAL(add(unsent, "a\tb", "x"), -EINVAL);
	CHECK_EQUAL(add(unsent, "", "\xFF"), -EINVAL);
	for (int i = 1; i <= 64; i++)
		CHECK_EQUAL(unsent_add(unsent, "", longest, sizeof longest - 1), i);
	CHECK_EQUAL(unsent_add(unsent, "", longest, sizeof longest - 1), -ENOBUFS);
	for (int i = 2; i <= 64; i++)
		unsent_done(unsent, i);
	for (int i = 65; i < 64 + UNSENT_LINES_MAX; i++)
		CHECK_EQUAL(add(unsent, "", ""), i);
	CHECK_EQUAL(add(unsent, "", ""), -ENOBUFS);
	unsent_close(unsent);
	unsent = open_file(true, 0);
	CHECK_EQUAL(unsent_count(unsent), UNSENT_LINES_MAX);
	expect(unsent, 0, 1, "", longest);
	unsent_close(unsent);
	CHECK(stat("file", &status) == 0 && status.st_size < 2 * UNSENT_BYTES_MAX + 1024 * 1024);
	leave_folder();
}

TEST(a_file_of_many_done_lines_is_written_anew)
{
	static char text[60000];
	char session[UNSENT_SESSION_SIZE];
	struct unsent *unsent;
	struct stat status;
	off_t most = 0;

	enter_folder();
	memset(text, 'x', sizeof text);
	unsent = open_file(false, 0);
	(void)snprintf(session, sizeof session, "%s", unsent_session(unsent));
	CHECK_EQUAL(add(unsent, "tea", "stays"), 1);
	for (int i = 2; i < 500; i++) {
		CHECK_EQUAL(unsent_add(unsent, "", text, sizeof text), i);
		unsent_done(unsent, i);
		CHECK(stat("file", &status) == 0);
		most = status.st_size > most ? status.st_size : most;
	}
	CHECK(most < 2 * UNSENT_BYTES_MAX + 1024 * 1024);
	CHECK(stat("file", &status) == 0 && (status.st_mode & 0777) == 0600);
	in_a_killed_client(say_three, false); /* the new file is held as the old one was: this is another */
	unsent_close(unsent);
	unsent = open_file(true, 3);
	CHECK_TEXT(unsent_session(unsent), session);
	CHECK_EQUAL(unsent_count(unsent), 1);
	expect(unsent, 0, 1, "tea", "stays");
	CHECK_EQUAL(add(unsent, "", "next"), 500);
	unsent_close(unsent);
	leave_folder();
}

/* Where a write goes when the disk is full. */
static void with_file_limit(size_t size)
{
	struct rlimit limit = {.rlim_cur = size, .rlim_max = RLIM_INFINITY};

	(void)signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

TEST(a_full_disk_takes_nothing_and_garbles_nothing)
{
	struct unsent *unsent;

	enter_folder();
	unsent = open_file(false, 0);
	CHECK_EQUAL(add(unsent, "tea", "one"), 1);
	with_file_limit(200);
	CHECK_EQUAL(add(unsent, "tea", "a line that is longer than what is left for it on this disk, by far"), -EFBIG);
	CHECK_EQUAL(unsent_count(unsent), 1);
	with_file_limit(RLIM_INFINITY);
	CHECK_EQUAL(add(unsent, "tea", "two"), 2);
	unsent_close(unsent);
	unsent = open_file(true, 0);
	CHECK_EQUAL(unsent_count(unsent), 2);
	expect(unsent, 1, 2, "tea", "two");
	unsent_close(unsent);
	leave_folder();
}

static void write_file(const char *name, const char *bytes, size_t size)
{
	FILE *file = fopen(name, "we");

	CHECK(file != NULL);
	CHECK_EQUAL(fwrite(bytes, 1, size, file), size);
	CHECK_EQUAL(fclose(file), 0);
}

TEST(a_garbled_file_harms_nobody)
{
	static char good[4096];
	static char bad[4096];
	size_t size;
	FILE *file;
	unsigned chance = 1;

	enter_folder();
	in_a_killed_client(say_three, false);
	file = fopen("file", "re");
	CHECK(file != NULL);
	size = fread(good, 1, sizeof good, file);
	CHECK(fclose(file) == 0 && size > 100);
	for (int i = 0; i < GARBLED; i++) {
		struct unsent *unsent;
		struct unsent_line line;
		long long number;

		memcpy(bad, good, size);
		for (int changes = 0; changes <= i % 3; changes++) {
			chance = chance * 1103515245U + 12345U;
			bad[(chance >> 8) % size] = (char)(chance >> 24);
		}
		write_file("file", bad, i % 2 == 0 ? size : (size_t)(chance >> 8) % size);
		unsent = open_file(true, 0);
		CHECK(unsent_count(unsent) <= 3);
		CHECK_EQUAL(strspn(unsent_session(unsent), "0123456789abcdef"), 32);
		number = add(unsent, "tea", "new");
		CHECK(number > 0 && number <= 4);
		unsent_close(unsent);
		unsent = open_file(true, 0); /* what was dropped does not come back */
		CHECK(unsent_next(unsent, number - 1, &line) && line.number == number);
		CHECK(!unsent_next(unsent, number, &line));
		for (number = 0; unsent_next(unsent, number, &line); number = line.number)
			CHECK(text_is_clean(line.line, line.size));
		unsent_close(unsent);
		(void)remove("file");
		(void)remove("file-1"); /* what looked like a file of a newer version was left alone */
	}
	leave_folder();
}

TEST(what_is_no_file_of_ours_is_left_alone)
{
	static const char newer[] = "tcpchat-unsent 2\nwhatever\n";
	struct unsent *unsent;
	char bytes[100];
	FILE *file;

	enter_folder();
	write_file("target", "precious", 8);
	CHECK(symlink("target", "file") == 0);
	CHECK(mkdir("file-1", 0700) == 0);
	CHECK(mkfifo("file-2", 0600) == 0);
	write_file("file-3", newer, sizeof newer - 1);
	unsent = open_file(true, 0);
	CHECK_EQUAL(add(unsent, "", "x"), 1);
	CHECK(access("file-4", F_OK) == 0);
	unsent_close(unsent);
	file = fopen("target", "re");
	CHECK(file != NULL && fread(bytes, 1, sizeof bytes, file) == 8);
	(void)fclose(file);
	file = fopen("file-3", "re");
	CHECK(file != NULL && fread(bytes, 1, sizeof bytes, file) == sizeof newer - 1);
	(void)fclose(file);
	CHECK(remove("target") == 0);
	leave_folder();
}

TEST(each_server_and_user_has_a_file)
{
	struct net_place place = {.host = "fe80::1", .port = "7777"};
	char long_name[1001];
	char *path;

	enter_folder();
	CHECK_EQUAL(setenv("XDG_STATE_HOME", folder, 1), 0);
	path = state_unsent_path(&place, "../a/b");
	CHECK_CONTAINS(path, "/tcpclient/unsent-fe80__1-7777-.._a_b");
	free(path);
	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	path = state_unsent_path(&place, long_name);
	CHECK(strlen(strrchr(path, '/') + 1) < 250);
	free(path);
	path = state_ignored_path(&place);
	CHECK_CONTAINS(path, "/tcpclient/ignored-fe80__1-7777");
	free(path);
	CHECK_EQUAL(remove("tcpclient"), 0);
	leave_folder();
}

TEST(without_a_folder_there_is_an_error)
{
	struct unsent *unsent;
	size_t left;

	enter_folder();
	CHECK_EQUAL(unsent_open("no/such/folder", true, &left, &unsent), -ENOENT);
	leave_folder();
	unsent_close(NULL);
}
