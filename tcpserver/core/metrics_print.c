#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tcpserver/core/health.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/metrics_counters.h"
#include "tcpserver/core/talk.h"

/* Source for the form: prometheus.io, "Exposition formats", the text-based one; for names: "Metric and label naming". */

#define NS_PER_S 1e9

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* 'value' is always one of our own words, without a character that would have to be escaped. */
static void print_labelled(FILE *out, const char *name, const char *label, const char *value, uint64_t number)
{
	(void)fprintf(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)number);
}

static void print_whole(FILE *out, const char *name, const char *type, const char *help, uint64_t number)
{
	print_head(out, name, type, help);
	(void)fprintf(out, "%s %llu\n", name, (unsigned long long)number);
}

static void print_seconds(FILE *out, const char *name, const char *type, const char *help, double seconds)
{
	print_head(out, name, type, help);
	(void)fprintf(out, "%s %.6f\n", name, seconds);
}

static void print_histogram(
	FILE *out, const char *name, enum metrics_histogram histogram, double unit, const char *help)
{
	const struct metrics_histogram_form *form = &metrics_histogram_forms[histogram];
	unsigned first = METRICS_BUCKETS + (unsigned)histogram * (METRICS_BOUNDS_MOST + 2);
	uint64_t sum = metrics_sum(first + METRICS_BOUNDS_MOST + 1);
	uint64_t below = 0;

	print_head(out, name, "histogram", help);
	for (unsigned i = 0; i < form->bound_count; i++) {
		below += metrics_sum(first + i);
		(void)fprintf(out, "%s_bucket{le=\"%g\"} %llu\n", name, (double)form->bounds[i] / unit, (unsigned long long)below);
	}
	below += metrics_sum(first + (unsigned)form->bound_count);
	(void)fprintf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)below);
	(void)fprintf(out, "%s_sum %.9g\n%s_count %llu\n", name, (double)sum / unit, name, (unsigned long long)below);
}

/* ---- The talk. ---- */

static void print_connections(FILE *out)
{
	static const char *const refusals[METRICS_REFUSALS] = {
		[METRICS_SERVER_FULL] = "server-full",
		[METRICS_ADDRESS_FULL] = "address-full",
		[METRICS_NO_MEMORY] = "no-memory",
		[METRICS_NO_THREAD] = "no-thread",
	};

	print_head(out, "chat_connections", "gauge",
		"Connections, by the door that serves them; one through TLS counts twice, as tls and as what it carries; each call of a connection of gRPC (http2) counts, too.");
	for (unsigned i = 0; i < METRICS_DOORS; i++)
		print_labelled(out, "chat_connections", "door", metrics_door_names[i], metrics_gauge(METRICS_CONNECTIONS + i));
	print_whole(out, "chat_connections_accepted_total", "counter", "Connections that were accepted.",
		metrics_sum(METRICS_ACCEPTED));
	print_head(out, "chat_connections_refused_total", "counter", "Connections that were turned away at once, by why.");
	for (unsigned i = 0; i < METRICS_REFUSALS; i++)
		print_labelled(out, "chat_connections_refused_total", "reason", refusals[i], metrics_sum(METRICS_REFUSED + i));
	print_whole(out, "chat_bytes_sent_total", "counter", "Bytes that were given to clients' sockets.",
		metrics_sum(METRICS_SENT));
	print_whole(out, "chat_bytes_received_total", "counter", "Bytes that were read from clients' sockets.",
		metrics_sum(METRICS_RECEIVED));
}

static void print_http(FILE *out)
{
	char code[8];

	print_head(out, "chat_http_requests_total", "counter", "HTTP requests, by the status code of the answer.");
	for (size_t i = 0; i < METRICS_HTTP_CODES; i++) {
		if (metrics_http_count(i) == 0)
			continue;
		(void)snprintf(code, sizeof code, "%zu", METRICS_HTTP_LEAST + i);
		print_labelled(out, "chat_http_requests_total", "code", code, metrics_http_count(i));
	}
}

static void print_messages(FILE *out)
{
	/* As events call them. */
	static const char *const kinds[MESSAGE_KINDS] = {
		[MESSAGE_TEXT] = "message",
		[MESSAGE_ACTION] = "action",
		[MESSAGE_JOINED] = "joined",
		[MESSAGE_LEFT] = "left",
		[MESSAGE_NICK] = "nick",
		[MESSAGE_TOPIC] = "topic",
		[MESSAGE_ROOM_CLOSED] = "room_closed",
	};

	print_head(out, "chat_messages_total", "counter", "Messages that the journal has kept, by their kind.");
	for (unsigned i = 0; i < MESSAGE_KINDS; i++)
		print_labelled(out, "chat_messages_total", "kind", kinds[i], metrics_sum(METRICS_PUBLISHED + i));
	print_whole(out, "chat_messages_repeated_total", "counter",
		"Messages that a client sent again, and that had been kept before.", metrics_sum(METRICS_REPEATED));
	print_whole(out, "chat_messages_refused_total", "counter", "Messages that could not be kept; nobody saw them.",
		metrics_sum(METRICS_REFUSED_MESSAGES));
	print_histogram(out, "chat_commit_seconds", METRICS_COMMIT_SECONDS, NS_PER_S,
		"Time of a transaction of the journal that has kept messages. The memory journal has none.");
	print_histogram(out, "chat_commit_messages", METRICS_COMMIT_MESSAGES, 1, "Messages in such a transaction.");
	print_histogram(out, "chat_delivery_seconds", METRICS_DELIVERY_SECONDS, NS_PER_S,
		"From when a message was handed to the journal to when it had been sent to the members of its room; "
		"of the messages that were sent together the oldest, and without members that are behind.");
}

static void print_talk(FILE *out, struct talk *talk)
{
	uint64_t behind = metrics_gauge(METRICS_BEHIND);

	print_whole(out, "chat_people", "gauge", "Clients that have a name.", client_list_name_count(&talk->clients));
	print_whole(out, "chat_rooms_open", "gauge", "Rooms in memory; those that nobody is in, the journal has.",
		rooms_count(&talk->rooms));
	print_whole(out, "chat_readers_behind", "gauge",
		"Members that read the journal, because they are far behind or read what was said before.",
		behind);
	print_whole(out, "chat_lag_messages_max", "gauge",
		"Messages that one of them is behind, at most; history does not count.",
		behind == 0 ? 0 : client_list_lag(&talk->clients));
	print_whole(out, "chat_ready", "gauge", "Whether the server is ready for clients, as /readyz says.",
		health_is_ready(talk, NULL));
}

/* ---- The process. ---- */

/* What /proc/self/stat tells. Source: proc(5). */
struct process {
	unsigned long long threads;
	unsigned long long virtual_bytes;
	unsigned long long resident_pages;
};

static bool process_read(struct process *process)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char text[1024];
	const char *rest = NULL;

	if (file == NULL)
		return false;
	if (fgets(text, sizeof text, file) != NULL)
		rest = strrchr(text, ')'); /* the name may hold anything */
	(void)fclose(file); /* only read */
	return rest != NULL && sscanf(rest + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
		" %llu %*s %*s %llu %llu", &process->threads, &process->virtual_bytes, &process->resident_pages) == 3;
}

/* How many descriptors are open, but for the one that it takes to look; 0: it cannot be looked at. */
static uint64_t process_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (folder == NULL)
		return 0;
	for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
		count += entry->d_name[0] != '.';
	(void)closedir(folder); /* only read */
	return count - 1;
}

static double seconds_of(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void print_usage(FILE *out)
{
	struct rusage usage;
	struct rlimit limit;
	uint64_t descriptors = process_descriptors();

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		print_seconds(out, "process_cpu_seconds_total", "counter", "CPU time of the process, user and system.",
			seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime));
	if (descriptors > 0)
		print_whole(out, "process_open_fds", "gauge", "Open file descriptors.", descriptors);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		print_whole(out, "process_max_fds", "gauge", "File descriptors that may be open.", limit.rlim_cur);
}

static void print_process(FILE *out, const struct talk *talk)
{
	struct process process;

	print_seconds(out, "process_start_time_seconds", "gauge", "When the server began to serve, since 1970.",
		(double)talk->started_ns / NS_PER_S);
	print_usage(out);
	if (!process_read(&process))
		return;
	print_whole(out, "process_threads", "gauge", "Threads of the process.", process.threads);
	print_whole(out, "process_virtual_memory_bytes", "gauge", "Virtual memory of the process.", process.virtual_bytes);
	print_whole(out, "process_resident_memory_bytes", "gauge", "Resident memory of the process.",
		process.resident_pages * (unsigned long long)sysconf(_SC_PAGESIZE));
}

static void print_build(FILE *out)
{
	print_head(out, "chat_build_info", "gauge", "Which server this is; always 1.");
	print_labelled(out, "chat_build_info", "version", TCPCHAT_VERSION, 1);
}

char *metrics_print(struct talk *talk, size_t *size)
{
	char *text = NULL;
	size_t written = 0;
	FILE *out = open_memstream(&text, &written);
	bool failed;

	if (out == NULL)
		return NULL;
	print_build(out);
	print_connections(out);
	print_http(out);
	print_messages(out);
	print_talk(out, talk);
	print_process(out, talk);
	failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	*size = written;
	return text;
}
