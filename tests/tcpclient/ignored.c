/* Whom one ignores: the names on disk, and who bears them. */
#include "tcpclient/ignored.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

static char folder[] = "/tmp/tcpclient-ignored-XXXXXX";

static void enter_folder(void)
{
	CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
}

static void leave_folder(void)
{
	(void)remove("file");
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

static enum ignored_result change(struct ignored *ignored, const char *name)
{
	int error = 1;
	enum ignored_result result = ignored_change(ignored, name, &error);

	CHECK_EQUAL(error, 0);
	return result;
}

static void expect_file(const char *wanted)
{
	char bytes[1024];
	FILE *file = fopen("file", "re");
	size_t size;

	CHECK(file != NULL);
	size = fread(bytes, 1, sizeof bytes, file);
	(void)fclose(file);
	CHECK_BYTES(bytes, size, wanted, strlen(wanted));
}

TEST(names_are_kept)
{
	struct ignored ignored;
	struct stat status;

	enter_folder();
	ignored_init(&ignored, "file");
	CHECK_EQUAL(change(&ignored, "eve"), IGNORED_BEGUN);
	CHECK_EQUAL(change(&ignored, "Johnny Boi"), IGNORED_BEGUN);
	CHECK(ignored_find(&ignored, "EVE") != NULL);
	CHECK_EQUAL(change(&ignored, "Eve"), IGNORED_ENDED);
	CHECK(ignored_find(&ignored, "eve") == NULL);
	CHECK_EQUAL(change(&ignored, ""), IGNORED_NO_NAME);
	CHECK_EQUAL(change(&ignored, "a\nb"), IGNORED_NO_NAME);
	ignored_fini(&ignored);
	expect_file("Johnny Boi\n");
	CHECK(stat("file", &status) == 0 && (status.st_mode & 0777) == 0600);
	ignored_init(&ignored, "file");
	CHECK(ignored_find(&ignored, "johnny boi") != NULL);
	ignored_fini(&ignored);
	leave_folder();
}

TEST(two_clients_keep_what_both_were_told)
{
	struct ignored one;
	struct ignored other;

	enter_folder();
	ignored_init(&one, "file");
	ignored_init(&other, "file");
	CHECK_EQUAL(change(&one, "eve"), IGNORED_BEGUN);
	CHECK_EQUAL(change(&other, "dan"), IGNORED_BEGUN);
	CHECK_EQUAL(change(&one, "ann"), IGNORED_BEGUN);
	CHECK_EQUAL(change(&one, "eve"), IGNORED_ENDED);
	expect_file("dan\nann\n");
	ignored_fini(&one);
	ignored_fini(&other);
	leave_folder();
}

TEST(another_name_is_followed_until_they_leave)
{
	struct ignored ignored;

	ignored_init(&ignored, NULL);
	CHECK_EQUAL(change(&ignored, "eve"), IGNORED_BEGUN);
	ignored_rename(&ignored, "Eve", "Mallory");
	CHECK(ignored_find(&ignored, "mallory") != NULL);
	ignored_rename(&ignored, "mallory", "trudy");
	CHECK(ignored_find(&ignored, "mallory") == NULL && ignored_find(&ignored, "trudy") != NULL);
	ignored_left(&ignored, "trudy");
	CHECK(ignored_find(&ignored, "trudy") == NULL && ignored_find(&ignored, "eve") != NULL);
	ignored_rename(&ignored, "eve", "trudy");
	ignored_rename(&ignored, "nobody", "somebody");
	CHECK_EQUAL(change(&ignored, "trudy"), IGNORED_ENDED);
	CHECK_EQUAL(ignored.count, 0);
	ignored_fini(&ignored);
}

TEST(names_are_bounded)
{
	struct ignored ignored;
	char name[16];

	enter_folder();
	ignored_init(&ignored, "file");
	for (int i = 0; i < IGNORED_MAX; i++) {
		(void)snprintf(name, sizeof name, "n%d", i);
		CHECK_EQUAL(change(&ignored, name), IGNORED_BEGUN);
	}
	CHECK_EQUAL(change(&ignored, "one-more"), IGNORED_TOO_MANY);
	ignored_fini(&ignored);
	ignored_init(&ignored, "file");
	CHECK_EQUAL(ignored.count, IGNORED_MAX);
	ignored_fini(&ignored);
	leave_folder();
}

TEST(a_garbled_file_has_the_names_that_are_some)
{
	static const char garbled[] = "\033[2J\n\xFF\n\n a\tb\neve\nEVE\r\nEve\nlast";
	struct ignored ignored;
	FILE *file;

	enter_folder();
	file = fopen("file", "we");
	CHECK(file != NULL && fwrite(garbled, 1, sizeof garbled - 1, file) == sizeof garbled - 1);
	for (int i = 0; i < 100000; i++)
		(void)fputs("x", file);
	CHECK_EQUAL(fclose(file), 0);
	ignored_init(&ignored, "file");
	CHECK_EQUAL(ignored.count, 1);
	CHECK_TEXT(ignored.people[0].name, "eve");
	ignored_fini(&ignored);
	CHECK(remove("file") == 0 && mkfifo("file", 0600) == 0); /* nobody waits for it */
	ignored_init(&ignored, "file");
	CHECK_EQUAL(ignored.count, 0);
	ignored_fini(&ignored);
	leave_folder();
}

TEST(what_cannot_be_kept_is_ignored_for_now)
{
	struct ignored ignored;
	int error;

	ignored_init(&ignored, "/nonexistent/folder/file");
	CHECK_EQUAL(ignored_change(&ignored, "eve", &error), IGNORED_BEGUN);
	CHECK_EQUAL(error, -ENOENT);
	CHECK(ignored_find(&ignored, "eve") != NULL);
	ignored_fini(&ignored);
}
