/*
 * A room at full speed with two members who cannot keep up: do the others notice, and are the two still there?
 *
 * One never reads, the other reads 1 KB a second. Neither is verified nor counts for the window. The rate is measured
 * without them, with them, and without them once more, so that a machine that changes its pace is not taken for them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/load/crowd.h"
#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/senders.h"
#include "tests/load/verdict.h"

enum {
	SLOW_SLICE_MS = 100,    /* so often the slow reader reads        */
	SLOW_SLICE_BYTES = 100, /* so much                               */
	SLOW_SAMPLE_SLICES = 5, /* the memory is looked at each so often */
	SLOW_SAY_AGAIN_MS = 200,
};

struct slow_member {
	const char *name;
	int fd;
	atomic_uint heard; /* how many of its lines the announcer got */
};

struct slow {
	struct senders senders; /* first, so that it is the context of the crowd too */
	struct slow_member never;
	struct slow_member trickle;
};

struct slow_phase {
	double rate;      /* deliveries a second to the others */
	uint64_t pss_max; /* of the server                     */
};

static bool slow_hear(struct slow_member *slow, const struct reader *reader, const struct member *member,
	const char *line, size_t size)
{
	size_t name_size = strlen(slow->name);

	if (size < name_size + 2 || memcmp(line, slow->name, name_size) != 0 || line[name_size] != ':')
		return false;
	if (member == &reader->crowd->members[CROWD_ANNOUNCER])
		atomic_fetch_add_explicit(&slow->heard, 1, memory_order_relaxed);
	return true;
}

static bool slow_take_line(struct reader *reader, struct member *member, const char *line, size_t size)
{
	struct slow *slow = reader->crowd->context;

	return slow_hear(&slow->never, reader, member, line, size) ||
	       slow_hear(&slow->trickle, reader, member, line, size);
}

static void slow_say(struct slow_member *slow, const char *text)
{
	int error = net_send_all(slow->fd, text, strlen(text));

	if (error != 0)
		verdict_fault("%s was disconnected: %s", slow->name, strerror(-error));
}

/* Lets 'slow' say something until the room hears it; false, with a fault, when it never does. */
static bool slow_be_heard(struct crowd *crowd, struct slow_member *slow)
{
	unsigned before = atomic_load(&slow->heard);
	long tries = crowd->options->timeout_s * 1000 / SLOW_SAY_AGAIN_MS;

	while (tries-- > 0 && !verdict_failed()) {
		slow_say(slow, "here\n");
		for (int i = 0; i < SLOW_SAY_AGAIN_MS; i++) {
			if (atomic_load(&slow->heard) > before)
				return true;
			(void)crowd_let_pass(1000000);
		}
	}
	if (!verdict_failed())
		verdict_fault("the room does not hear %s", slow->name);
	return false;
}

static void slow_join(struct crowd *crowd, struct slow_member *slow)
{
	char line[32];

	slow->fd = net_connect(&crowd->options->address, (int)crowd->options->timeout_s * 1000);
	if (slow->fd < 0)
		verdict_abort("%s cannot connect: %s", slow->name, strerror(-slow->fd));
	snprintf(line, sizeof line, "%s\n", slow->name);
	slow_say(slow, line);
	(void)slow_be_heard(crowd, slow);
}

/* It is still in the room when the room hears it. */
static void slow_leave(struct crowd *crowd, struct slow_member *slow)
{
	(void)slow_be_heard(crowd, slow);
	close(slow->fd);
	slow->fd = -1;
}

/* What happens beside the crowd in one slice of time. */
static void slow_pass_slice(struct slow *slow)
{
	char buffer[SLOW_SLICE_BYTES];

	if (slow->trickle.fd >= 0 && recv(slow->trickle.fd, buffer, sizeof buffer, MSG_DONTWAIT) == 0)
		verdict_fault("%s was disconnected", slow->trickle.name);
	(void)crowd_let_pass(SLOW_SLICE_MS * 1000000ULL);
}

static void slow_sample_memory(struct crowd *crowd, struct slow_phase *phase)
{
	uint64_t pss = crowd->options->server_pid == 0 ? 0 : process_pss((pid_t)crowd->options->server_pid);

	if (pss > phase->pss_max)
		phase->pss_max = pss;
}

/* Measures for the time of the options, after warming up, and lets all settle. */
static struct slow_phase slow_measure(struct crowd *crowd, struct slow *slow, uint64_t *line_count)
{
	struct slow_phase phase = {0};
	uint64_t delivered;
	uint64_t start_ns;

	senders_start(&slow->senders);
	for (long i = 0; i < crowd->options->warmup_ms / SLOW_SLICE_MS && !verdict_failed(); i++)
		slow_pass_slice(slow);
	delivered = crowd_delivered(crowd);
	start_ns = net_now_ns();
	for (long i = 0; i < crowd->options->seconds * 1000 / SLOW_SLICE_MS && !verdict_failed(); i++) {
		slow_pass_slice(slow);
		if (i % SLOW_SAMPLE_SLICES == 0)
			slow_sample_memory(crowd, &phase);
	}
	delivered = crowd_delivered(crowd) - delivered;
	phase.rate = (double)delivered * 1e9 / (double)(net_now_ns() - start_ns);
	*line_count = fanout_settle(crowd, &slow->senders);
	return phase;
}

void slow_run(const struct options *options, struct report *report)
{
	struct slow slow = {.never = {.name = "never", .fd = -1}, .trickle = {.name = "trickle", .fd = -1}};
	struct crowd crowd = {.take_line = slow_take_line};
	struct slow_phase phases[3] = {0};
	uint64_t line_count = 0;

	fanout_open(&crowd, &slow.senders, options);
	phases[0] = slow_measure(&crowd, &slow, &line_count);
	slow_join(&crowd, &slow.never);
	slow_join(&crowd, &slow.trickle);
	phases[1] = slow_measure(&crowd, &slow, &line_count);
	slow_leave(&crowd, &slow.never);
	slow_leave(&crowd, &slow.trickle);
	if (!verdict_failed())
		phases[2] = slow_measure(&crowd, &slow, &line_count);
	fanout_close(&crowd, &slow.senders, line_count);

	report_add(report, "with_per_s", phases[1].rate);
	report_add(report, "without_per_s", (phases[0].rate + phases[2].rate) / (phases[2].rate > 0 ? 2 : 1));
	report_add(report, "before_per_s", phases[0].rate);
	report_add(report, "after_per_s", phases[2].rate);
	report_add(report, "pss_max_mb_without", (double)phases[0].pss_max / 1e6);
	report_add(report, "pss_max_mb_with", (double)phases[1].pss_max / 1e6);
	report_add(report, "members", (double)options->members);
}
