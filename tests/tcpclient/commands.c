/* The commands that the client carries out itself. */
#include "tcpclient/commands.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

static struct outbox *outbox;
static struct scene *scene;
static char folder[] = "/tmp/tcpclient-commands-XXXXXX";

static void begin(void)
{
	struct scene_settings settings = {.plain = true};

	outbox = outbox_create();
	settings.outbox = outbox;
	scene = scene_create(&settings);
	scene_note(scene, "ann: hello\n", 11);
	CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
	CHECK(setenv("HOME", folder, 1) == 0);
}

static void end(void)
{
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
	scene_destroy(scene);
	outbox_destroy(outbox);
}

/* What the person is told, without LF; "(server)" in front when the line is for the server, too. */
static const char *told(const char *line)
{
	static struct buffer out;

	buffer_clear(&out);
	if (!commands_work(scene, line, strlen(line), &out))
		return "(server)";
	CHECK(out.size > 0);
	out.bytes[out.size - 1] = '\0';
	return out.bytes;
}

static bool is_saved(const char *name)
{
	struct stat status;

	return stat(name, &status) == 0 && status.st_size == 11 && unlink(name) == 0;
}

TEST(a_file_is_named_as_one_types_it)
{
	begin();
	CHECK_CONTAINS(told("/save plain"), "* Saved what was received: plain");
	CHECK(is_saved("plain"));
	CHECK_CONTAINS(told("/save \"two words\" "), "* Saved what was received: two words");
	CHECK(is_saved("two words"));
	CHECK_CONTAINS(told("/save 'x'"), "* Saved");
	CHECK(is_saved("x"));
	CHECK_CONTAINS(told("/save ~/home"), folder);
	CHECK(is_saved("home"));
	CHECK_CONTAINS(told("/save \"~/at home\""), folder);
	CHECK(is_saved("at home"));
	CHECK_CONTAINS(told("/save a\"b"), "* Saved");
	CHECK(is_saved("a\"b"));
	CHECK_CONTAINS(told("/save ~"), "* Saved");
	CHECK(is_saved("~"));
	end();
}

TEST(what_is_not_saved_is_told_with_a_code)
{
	begin();
	CHECK_TEXT(told("/save"), "! usage: it is /save FILE");
	CHECK_TEXT(told("/save \"\""), "! usage: it is /save FILE");
	CHECK_CONTAINS(told("/save no/such/folder"), "! not-saved: the file cannot be written (No such file or directory)");
	CHECK_CONTAINS(told("/save file"), "* Saved");
	CHECK_CONTAINS(told("/save file"), "! not-saved: there is a file of that name already; choose another: file");
	CHECK(is_saved("file"));
	end();
}

TEST(the_nearest_command_is_suggested)
{
	begin();
	CHECK_TEXT(told("/fnid x"),
		"! unknown-command: there is no command /fnid; did you mean /find? //fnid says it as text");
	CHECK_CONTAINS(told("/saev f"), "did you mean /save?");
	CHECK_CONTAINS(told("/SAVE f"), "did you mean /save?");
	CHECK_TEXT(told("/jion"), "(server)"); /* which suggests, too */
	CHECK_TEXT(told("/serach x"), "(server)");
	CHECK_TEXT(told("/join x"), "(server)");
	CHECK_TEXT(told("/w ann x"), "(server)");
	CHECK_TEXT(told("//serach"), "(server)");
	CHECK_TEXT(told("/"), "(server)");
	CHECK_TEXT(told("/zzzzzz"), "(server)");
	CHECK_TEXT(told("/a-word-that-is-much-longer-than-any-command-is-and-then-some-more-of-it-to-be-sure"), "(server)");
	end();
}

TEST(the_nearest_command_is_suggested_by_help)
{
	begin();
	CHECK_TEXT(told("/help jion"), "! unknown-command: there is no command /jion; did you mean /join?");
	CHECK_TEXT(told("/help JOIN"), "! unknown-command: there is no command /JOIN; did you mean /join?");
	CHECK_TEXT(told("/help SEARCH"), "! unknown-command: there is no command /SEARCH; did you mean /search?");
	CHECK_TEXT(told("/help /saev"), "! unknown-command: there is no command /saev; did you mean /save?");
	CHECK_CONTAINS(told("/help find"), "* /find WORDS - ");
	CHECK_TEXT(told("/help search"), "(server)");
	CHECK_TEXT(told("/help join"), "(server)");
	CHECK_TEXT(told("/help w"), "(server)");
	CHECK_TEXT(told("/help zzzzzz"), "(server)");
	end();
}
