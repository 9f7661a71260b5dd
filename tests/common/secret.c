#include "common/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

static void check_shown(const char *url, const char *shown)
{
	char text[200];

	(void)snprintf(text, sizeof text, "%s", url);
	secret_cross_out(text);
	CHECK_TEXT(text, shown);
}

TEST(the_password_of_a_url_is_crossed_out)
{
	check_shown("postgres://chat:secret@host:5432/db", "postgres://chat:******@host:5432/db");
	check_shown("redis://:secret@host/0", "redis://:******@host/0");
	check_shown("amqps://u:p@[::1]:1/a%2Fb?cacertfile=/ca.pem", "amqps://u:*@[::1]:1/a%2Fb?cacertfile=/ca.pem");
	check_shown("postgres://chat:a%40b%3a@host", "postgres://chat:********@host");
	check_shown("postgres://chat:a:b@one:1,two:2/db", "postgres://chat:***@one:1,two:2/db");
	check_shown("redis://:@host", "redis://:@host");
}

TEST(what_should_have_been_encoded_is_crossed_out_as_well)
{
	check_shown("postgres://chat:sec#ret@host/db", "postgres://chat:*******@host/db");
	check_shown("postgres://chat:se?cret@host/db", "postgres://chat:*******@host/db");
	check_shown("postgres://chat:se/cret@host/db", "postgres://chat:*******@host/db");
	check_shown("redis://:sec#ret@host", "redis://:*******@host");
	check_shown("redis://:#@?/&@host", "redis://:*****@host");
	check_shown("postgres://chat:se@cret@host/db", "postgres://chat:*******@host/db");
	check_shown("postgres://chat:a?password=b@host/db", "postgres://chat:********************");
}

TEST(the_password_of_a_parameter_is_crossed_out)
{
	check_shown("postgres://host/db?user=ann&password=secret", "postgres://host/db?user=ann&password=******");
	check_shown("postgres://host/db?password=secret&user=ann", "postgres://host/db?password=******&user=ann");
	check_shown("postgres://host/db?password=sec#r?t&user=ann", "postgres://host/db?password=*******&user=ann");
	check_shown("postgres://host/db?sslpassword=a&PassWord=b", "postgres://host/db?sslpassword=*&PassWord=*");
	check_shown("postgres://host/db?p%61ssw%6Frd=secret", "postgres://host/db?p%61ssw%6Frd=******");
	check_shown("postgres://host/db?ppassword=a&password=", "postgres://host/db?ppassword=*&password=");
	check_shown("postgres://chat@host/db?password=a@b&x=y", "postgres://chat@host/db?password=***&x=y");
	check_shown("postgres://host:1/db?password=a@b&x=y", "postgres://host:*****************&x=y");
}

TEST(what_is_no_password_is_shown)
{
	static const char *const texts[] = {"", "memory", "sqlite:a:b@c", "redis://host:6379/0?prefix=x", "redis://ann@host", "redis://",
		"postgres://host/db?passwords=1&password%00=2&passwor=3&passfile=x&password", "postgres://host/db?&&=%&%6=%"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		check_shown(texts[i], texts[i]);
}

TEST(a_password_that_libpq_would_quote_is_found)
{
	static const char *const bad[] = {"postgres://chat:se/cret@host/db", "postgres://chat:se@cret@host", "postgres://chat:a@b/c@host/db",
		"postgres://chat:se/cr?et@host/db?x=y", "postgres://host/d@b"};
	static const char *const good[] = {"postgres://host/db", "postgres://chat:s?e#t@host/db", "postgres://chat:a?b=c@host/db",
		"postgres://chat:p@host/db?user=a@b&x=/y@", "postgres://[::1]:1/db?host=/run&user=a@b", "memory"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(secret_is_misread(bad[i]));
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK(!secret_is_misread(good[i]));
}

TEST(who_takes_a_url_has_it_and_leaves_it_without_a_password)
{
	char url[] = "redis://:secret@host";
	char *taken = secret_take(url);

	CHECK_TEXT(taken, "redis://:secret@host");
	CHECK_TEXT(url, "redis://:******@host");
	secret_free(taken);
	secret_free(NULL);
}

/* ---- Files. ---- */

/* Whether this is read from a file with these rights; what is read has to be 'expected'. */
static bool is_read(const char *text, mode_t mode, const char *expected)
{
	char path[] = "/tmp/secret-XXXXXX";
	int file = mkstemp(path);
	char secret[SECRET_SIZE];
	const char *found;
	bool read;

	CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(file, mode) == 0);
	CHECK_EQUAL(close(file), 0);
	read = secret_read("program", "--option", path, secret, &found);
	CHECK_EQUAL(unlink(path), 0);
	if (read)
		CHECK_TEXT(found, expected);
	return read;
}

TEST(the_first_line_of_a_file_is_the_secret)
{
	CHECK(is_read("secret\n", 0600, "secret"));
	CHECK(is_read("a b\r\nmore\n", 0400, "a b"));
	CHECK(!is_read("", 0600, NULL));
	CHECK(!is_read("\nsecret\n", 0600, NULL));
	CHECK(!is_read("cut", 0600, NULL)); /* somebody may still be writing it */
}

TEST(a_secret_has_198_bytes_at_most)
{
	char text[201];

	(void)snprintf(text, sizeof text, "%0198d\n", 1);
	text[198] = '\0';
	CHECK(!is_read(text, 0600, NULL));
	text[198] = '\n';
	CHECK(is_read(text, 0600, "000000000000000000000000000000000000000000000000000000000000000000"
				  "000000000000000000000000000000000000000000000000000000000000000000"
				  "000000000000000000000000000000000000000000000000000000000000000001"));
	(void)snprintf(text, sizeof text, "%0199d\n", 1);
	CHECK(!is_read(text, 0600, NULL));
}

TEST(a_file_that_others_may_read_is_refused)
{
	CHECK(!is_read("secret\n", 0640, NULL));
	CHECK(!is_read("secret\n", 0604, NULL));
	CHECK(!is_read("secret\n", 0602, NULL));
}

TEST(what_a_service_manager_hands_over_may_be_readable_but_not_writable)
{
	CHECK_EQUAL(setenv("CREDENTIALS_DIRECTORY", "/tmp", 1), 0);
	CHECK(is_read("secret\n", 0440, "secret"));
	CHECK(!is_read("secret\n", 0460, NULL));
	CHECK_EQUAL(setenv("CREDENTIALS_DIRECTORY", "/tm", 1), 0);
	CHECK(!is_read("secret\n", 0440, NULL));
}

TEST(without_a_file_there_is_no_secret_and_one_that_is_missing_is_a_fault)
{
	char secret[SECRET_SIZE];
	const char *found = secret;

	CHECK(secret_read("program", "--option", NULL, secret, &found));
	CHECK_TEXT(found, NULL);
	CHECK(!secret_read("program", "--option", "/nowhere/at/all", secret, &found));
}
