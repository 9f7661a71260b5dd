/*
 * chatload: loads a chat server and checks what comes back. See --help.
 */
#include <signal.h>
#include <stdio.h>

#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/options.h"
#include "tests/load/report.h"
#include "tests/load/verdict.h"

enum { CHATLOAD_SPARE_DESCRIPTORS = 64 };

static const struct mode chatload_modes[] = {
	{"fanout", "some members send at full speed: deliveries a second", fanout_run},
	{"latency", "some members send at a given rate: time and server CPU of a delivery", latency_run},
	{"ws", "as fanout, through WebSockets (/chat/join, events)", ws_run},
	{"wsshort", "the same with as little as Chatty had (format=short)", wsshort_run},
	{"wstext", "the same in lines (format=text)", wstext_run},
	{"gochat", "the same on Go-Chat's wire (/), where authors have no echo", gochat_run},
	{"grpc", "as fanout, through gRPC (rpc.ChatService/Chat), where authors have no echo", grpc_run},
	{"grpctalk", "the same through tcpchat.v1.Chat/Talk, where they have one", grpctalk_run},
	{"asleep", "as latency, of single lines, while others in the room do not read", asleep_run},
	{"idle", "members join and are silent: time to join, memory of the server", idle_run},
	{"grpcidle", "as idle, through gRPC", grpcidle_run},
	{"slow", "as fanout, with and without two members who do not keep up", slow_run},
	{"manyrooms", "two members in each of many rooms: memory of a room, cost of a line in one of them", manyrooms_run},
	{"churn", "people come, speak and leave while the members listen", churn_run},
	{0},
};

static void chatload_check_descriptors(const struct options *options)
{
	size_t needed = (size_t)(options->members + options->churners + options->sleepers) + CHATLOAD_SPARE_DESCRIPTORS;
	size_t limit = net_raise_descriptor_limit();

	if (needed > limit)
		verdict_abort("%zu descriptors are needed and the hard limit is %zu (ulimit -Hn)", needed, limit);
}

int main(int argument_count, char **arguments)
{
	struct options options;
	struct report report = {0};

	options_read(&options, chatload_modes, argument_count, arguments);
	chatload_check_descriptors(&options);
	signal(SIGPIPE, SIG_IGN);
	options.mode->run(&options, &report);
	report_print(&report, options.mode->name, verdict_failed() ? "FAILED" : "ok", options.format);
	return verdict_failed() ? 1 : 0;
}
