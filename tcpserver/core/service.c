#include "tcpserver/core/service.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "tcpserver/core/health.h"
#include "tcpserver/core/metrics_counters.h"
#include "tcpserver/core/notify.h"
#include "tcpserver/core/talk.h"

enum {
	STATUS_MS = 10 * 1000, /* how often the status is told anew, at least */
	LINES_SIZE = 512,
};

static struct {
	bool runs;            /* somebody wants to know, and was told that the server is ready */
	long long watchdog_ms; /* 0: nobody waits */
	long long next_ms;     /* when to tell again */
	uint64_t handed;       /* to the journal, up to the last look */
	uint64_t answered;     /* by it, up to then */
} service; /* main's alone */

static void tell(const char *lines)
{
	int error = notify_send(lines);

	if (error != 0)
		log_event(LOG_WARNING, "the service manager cannot be told", "why", strerror(-error), NULL);
}

static uint64_t journal_answers(void)
{
	uint64_t sum = metrics_sum(METRICS_REPEATED) + metrics_sum(METRICS_REFUSED_MESSAGES);

	for (unsigned kind = 0; kind < MESSAGE_KINDS; kind++)
		sum += metrics_sum(METRICS_PUBLISHED + kind);
	return sum;
}

/* Where a journal publishes what other servers appended, too, it seems to move while they do: seldom a false "it moves", never
 * a false "it is stuck". */
static bool journal_is_stuck(bool is_well)
{
	uint64_t answered = journal_answers();
	bool stuck = is_well && answered == service.answered && service.handed > answered;

	service.answered = answered;
	service.handed = metrics_sum(METRICS_HANDED_OVER);
	return stuck;
}

static long long pause_ms(bool stuck)
{
	long long ms = service.watchdog_ms / (stuck ? 10 : 2);

	return ms > 0 && ms < STATUS_MS ? ms : STATUS_MS;
}

static void tell_status(struct talk *talk, const char *first, const char *why)
{
	char lines[LINES_SIZE];

	(void)snprintf(lines, sizeof lines, "%sSTATUS=%zu connected; %s", first, client_list_count(&talk->clients), why);
	tell(lines);
}

void service_ready(struct talk *talk)
{
	if (!notify_is_wanted())
		return;
	service.watchdog_ms = notify_watchdog_ms();
	service.runs = true;
	service.next_ms = clock_ms() + pause_ms(false);
	tell_status(talk, "READY=1\n", "ready");
}

int service_pulse(struct talk *talk)
{
	long long now_ms = clock_ms();
	const char *why = "ready";
	bool is_well;
	bool stuck;

	if (!service.runs)
		return -1;
	if (now_ms < service.next_ms)
		return (int)(service.next_ms - now_ms);
	is_well = health_is_ready(talk, &why);
	stuck = journal_is_stuck(is_well);
	service.next_ms = now_ms + pause_ms(stuck);
	tell_status(talk, stuck || service.watchdog_ms == 0 ? "" : "WATCHDOG=1\n", stuck ? "the journal does not answer" : why);
	return (int)(service.next_ms - now_ms);
}

void service_reloading(void)
{
	char lines[LINES_SIZE];

	if (!service.runs)
		return;
	(void)snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the certificate again", clock_ns() / 1000);
	tell(lines);
}

void service_stopping(void)
{
	if (service.runs)
		tell("STOPPING=1\nSTATUS=saying goodbye to everybody");
	service.runs = false;
}
