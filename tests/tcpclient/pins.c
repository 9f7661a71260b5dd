#include "tcpclient/pins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

#define ONES   "11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11"
#define TWOS   "22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22:22"

static int first; /* byte of the fingerprint that was found */

static enum pin look_up(const char *text, const char *server)
{
	unsigned char hash[TLS_HASH_SIZE] = {0};
	enum pin found = pins_look_up(text, strlen(text), server, hash);

	first = hash[0];
	return found;
}

TEST(a_server_is_known_by_its_name_and_port)
{
	static const char text[] = "# what was seen\n\nchat:7777 SHA256:" ONES "\n  chat:8888\tSHA256:" TWOS "  \r\n";

	CHECK_EQUAL(look_up(text, "chat:7777"), PIN_FOUND);
	CHECK_EQUAL(first, 0x11);
	CHECK_EQUAL(look_up(text, "chat:8888"), PIN_FOUND);
	CHECK_EQUAL(first, 0x22);
	CHECK_EQUAL(look_up(text, "CHAT:8888"), PIN_FOUND);
	CHECK_EQUAL(look_up(text, "chat:777"), PIN_NONE);
	CHECK_EQUAL(look_up(text, "hat:7777"), PIN_NONE);
	CHECK_EQUAL(look_up("", "chat:7777"), PIN_NONE);
}

TEST(the_last_line_about_a_server_counts)
{
	CHECK_EQUAL(look_up("chat:7777 SHA256:" ONES "\nchat:7777 SHA256:" TWOS, "chat:7777"), PIN_FOUND);
	CHECK_EQUAL(first, 0x22);
}

TEST(an_authority_is_remembered_like_a_fingerprint)
{
	CHECK_EQUAL(look_up("chat:7777 authority\n", "chat:7777"), PIN_AUTHORITY);
	CHECK_EQUAL(look_up("chat:7777 SHA256:" ONES "\nchat:7777 authority", "chat:7777"), PIN_AUTHORITY);
	CHECK_EQUAL(look_up("chat:7777 authority\nchat:7777 SHA256:" ONES "\n", "chat:7777"), PIN_FOUND);
	CHECK_EQUAL(look_up("chat:7777 authority more\n", "chat:7777"), PIN_DAMAGED);
	CHECK_EQUAL(look_up("chat:7777 authorit\n", "chat:7777"), PIN_DAMAGED);
	CHECK_EQUAL(look_up("other:7777 authority\n", "chat:7777"), PIN_NONE);
}

TEST(a_line_that_cannot_be_read_is_not_taken_for_none)
{
	CHECK_EQUAL(look_up("chat:7777", "chat:7777"), PIN_DAMAGED);
	CHECK_EQUAL(look_up("chat:7777 \n", "chat:7777"), PIN_DAMAGED);
	CHECK_EQUAL(look_up("chat:7777 SHA256:11\n", "chat:7777"), PIN_DAMAGED);
	CHECK_EQUAL(look_up("chat:7777 " ONES " more\n", "chat:7777"), PIN_DAMAGED);
	CHECK_EQUAL(look_up("chat:7777 " ONES "x\n", "chat:7777"), PIN_DAMAGED);
	CHECK_EQUAL(look_up("other:7777 x\nchat:7777 " ONES "\n", "chat:7777"), PIN_FOUND);
}

TEST(a_server_is_written_in_one_way)
{
	char server[PINS_SERVER_SIZE];

	pins_server(&(struct net_place){.host = "Chat.Example", .port = "7777"}, server);
	CHECK_TEXT(server, "chat.example:7777");
	pins_server(&(struct net_place){.host = "fe80::1%eth0", .port = "80"}, server);
	CHECK_TEXT(server, "[fe80::1%eth0]:80");
}

TEST(what_is_added_is_found_and_nobody_else_reads_it)
{
	char path[] = "/tmp/tcpchat-pins-XXXXXX";
	unsigned char hash[TLS_HASH_SIZE];
	struct stat status;
	FILE *file;

	CHECK_EQUAL(close(mkstemp(path)), 0);
	CHECK_EQUAL(unlink(path), 0);
	CHECK_EQUAL(pins_find(path, "chat:7777", hash), PIN_NONE);
	memset(hash, 0x11, sizeof hash);
	CHECK_EQUAL(pins_add(path, "chat:7777", hash), 0);
	CHECK_EQUAL(stat(path, &status), 0);
	CHECK_EQUAL(status.st_mode & 0777, 0600);
	file = fopen(path, "ae");
	CHECK(file != NULL);
	CHECK(fputs("# a line without its end", file) >= 0);
	CHECK_EQUAL(fclose(file), 0);
	memset(hash, 0x22, sizeof hash);
	CHECK_EQUAL(pins_add(path, "[::1]:80", hash), 0);
	memset(hash, 0, sizeof hash);
	CHECK_EQUAL(pins_find(path, "chat:7777", hash), PIN_FOUND);
	CHECK_EQUAL(hash[31], 0x11);
	CHECK_EQUAL(pins_find(path, "[::1]:80", hash), PIN_FOUND);
	CHECK_EQUAL(hash[31], 0x22);
	CHECK_EQUAL(pins_add(path, "chat:7777", NULL), 0);
	CHECK_EQUAL(pins_find(path, "chat:7777", hash), PIN_AUTHORITY);
	CHECK_EQUAL(unlink(path), 0);
	CHECK_EQUAL(pins_find(NULL, "chat:7777", hash), PIN_NONE);
	CHECK_EQUAL(pins_find("/", "chat:7777", hash), PIN_DAMAGED);
	CHECK(pins_add("/nowhere/pins", "chat:7777", hash) < 0);
}
