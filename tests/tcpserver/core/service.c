#include "tcpserver/core/service.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tcpserver/core/health.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/talk.h"

#include "tests/check.h"
#include "tests/tcpserver/delayed_journal.h"

enum { TOLD_SIZE = 600, ALL = 1000 };

static struct talk talk;
static struct journal *journal;
static int manager;
static char told[TOLD_SIZE];

/* A talk whose journal answers when the test says so, and a manager that waits 'watchdog_us' for signs of life. */
static void start(const char *watchdog_us)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[sizeof address.sun_path];
	int length = snprintf(name, sizeof name, "@tcpchat-test-%d", (int)getpid());

	outlet_prepare_process();
	journal = delayed_journal_create(1000, false);
	CHECK(journal != NULL && talk_init(&talk, journal, 10));
	manager = socket(AF_UNIX, SOCK_DGRAM, 0);
	memcpy(address.sun_path, name, (size_t)length);
	address.sun_path[0] = '\0';
	CHECK(bind(manager, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)) == 0);
	CHECK(setenv("NOTIFY_SOCKET", name, 1) == 0 && unsetenv("WATCHDOG_PID") == 0);
	CHECK(setenv("WATCHDOG_USEC", watchdog_us, 1) == 0);
}

static void stop(void)
{
	(void)delayed_journal_publish(journal, ALL);
	talk_fini(&talk);
	journal->ops->destroy(journal);
	(void)close(manager);
}

/* What was told and not looked at yet. Returns whether there was something. */
static bool hear(void)
{
	ssize_t size = recv(manager, told, sizeof told - 1, MSG_DONTWAIT);

	told[size < 0 ? 0 : size] = '\0';
	return size >= 0;
}

/* Turns as the main loop does, until something is told. */
static void turn(void)
{
	while (!hear()) {
		int wait_ms = service_pulse(&talk);

		CHECK(wait_ms >= 0);
		if (hear())
			return;
		(void)poll(NULL, 0, wait_ms);
	}
}

static void say(void)
{
	struct saying saying = {.kind = MESSAGE_TEXT, .name = "bob", .text = "hello"};

	room_say(talk.lobby, NULL, NULL, &saying);
}

static void expect(const char *lines)
{
	turn();
	CHECK_TEXT(told, lines);
}

TEST(a_service_tells_its_life_from_begin_to_end)
{
	start("20000");
	service_ready(&talk);
	expect("READY=1\nSTATUS=0 connected; ready");
	expect("WATCHDOG=1\nSTATUS=0 connected; ready");
	service_reloading();
	CHECK(hear());
	CHECK_CONTAINS(told, "RELOADING=1\nMONOTONIC_USEC=");
	service_stopping();
	CHECK(hear());
	CHECK_CONTAINS(told, "STOPPING=1\n");
	CHECK_EQUAL(service_pulse(&talk), -1);
	stop();
}

TEST(a_journal_that_does_not_answer_ends_the_signs_of_life)
{
	start("20000");
	service_ready(&talk);
	expect("READY=1\nSTATUS=0 connected; ready");
	say();
	turn(); /* what was said after the last look is not late yet */
	CHECK_TEXT(told, "WATCHDOG=1\nSTATUS=0 connected; ready");
	expect("STATUS=0 connected; the journal does not answer");
	say();
	expect("STATUS=0 connected; the journal does not answer");
	(void)delayed_journal_publish(journal, 1);
	expect("WATCHDOG=1\nSTATUS=0 connected; ready"); /* it moves, though it is behind */
	(void)delayed_journal_publish(journal, ALL);
	expect("WATCHDOG=1\nSTATUS=0 connected; ready");
	expect("WATCHDOG=1\nSTATUS=0 connected; ready"); /* nothing waits */
	stop();
}

TEST(a_journal_that_refuses_answers)
{
	start("20000");
	delayed_journal_refuse(journal, EIO);
	service_ready(&talk);
	expect("READY=1\nSTATUS=0 connected; ready");
	say();
	(void)delayed_journal_publish(journal, ALL);
	expect("WATCHDOG=1\nSTATUS=0 connected; ready");
	expect("WATCHDOG=1\nSTATUS=0 connected; ready");
	stop();
}

TEST(a_journal_that_knows_what_is_wrong_does_not_end_the_server)
{
	start("20000");
	service_ready(&talk);
	turn();
	say();
	health_note_journal(ENOSPC);
	for (int i = 0; i < 4; i++) {
		turn();
		CHECK_CONTAINS(told, "WATCHDOG=1\n");
		CHECK_CONTAINS(told, "disk is full");
	}
	stop();
}

TEST(without_a_watchdog_the_status_alone_is_told)
{
	int wait_ms;

	start("0");
	service_ready(&talk);
	expect("READY=1\nSTATUS=0 connected; ready");
	wait_ms = service_pulse(&talk);
	CHECK(wait_ms > 1000 && wait_ms <= 10000);
	CHECK(!hear());
	stop();
}

TEST(without_a_manager_the_main_loop_waits_for_ever)
{
	start("20000");
	CHECK(unsetenv("NOTIFY_SOCKET") == 0);
	service_ready(&talk);
	CHECK_EQUAL(service_pulse(&talk), -1);
	service_reloading();
	service_stopping();
	CHECK(!hear());
	stop();
}
