/*
 * tcpclient: the options, and who talks: a person at a terminal, or a pipe.
 */
#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "common/completions.h"
#include "common/net.h"
#include "common/options.h"
#include "common/text.h"
#ifdef TCPCHAT_GRPC
#include "tcpclient/chatter.h"
#include "tcpclient/grpc_chat.h"
#include "tcpclient/grpc_talk.h"
#endif
#include "tcpclient/carrier.h"
#include "tcpclient/filter.h"
#include "tcpclient/render.h"
#include "tcpclient/secure.h"
#include "tcpclient/state.h"
#include "tcpclient/talk.h"

enum { FAULT_SIZE = 600 };
enum { EXIT_USAGE = 2, WANTED_NAME_SIZE_MAX = 1000, HISTORY_DIGITS_MAX = 9, ANSWER_SIZE = 100 };

enum color_choice { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
static const char *const color_names[] = {"auto", "always", "never", NULL};

enum theme_choice { THEME_AUTO, THEME_LIGHT, THEME_DARK, THEME_MONO };
static const char *const theme_names[] = {"auto", "light", "dark", "mono", NULL};

static const char *const tls_words[] = {"off", "self", "files", NULL}; /* CHAT_TLS is the server's, too */

static const char *const bell_names[] = {"off", "mention", "dm", "all", NULL}; /* as enum scene_bell */

static struct {
	const char *name;
	bool name_was_given;  /* and is not $USER               */
	const char *config;   /* read by options_parse() itself */
	const char *env_file; /* this, too                      */
	const char *room;
	const char *lines; /* of -c */
	const char *history;
	int goes_on;
	struct option_list highlights;
	int bell;
	int tls;
	const char *authorities;
	const char *fingerprint;
	int grpc;
	int makes_room;
	int is_private;
	int lists_rooms;
	const char *deleted_room;
	int plain;
	int json;
	int color;
	int theme;
	int completions; /* the place of the shell in completions_shells, or -1 */
	int version;
	int help;
} settings = {.bell = BELL_MENTION, .completions = -1};

static const struct option table[] = {
	{.name = "username",
		.argument = "NAME",
		.help = "who you are (default: $USER, else the account)",
		.kind = OPTION_STRING,
		.value = &settings.name,
		.default_from = "USER",
		.was_given = &settings.name_was_given},
	{.name = "color",
		.argument = "WHEN",
		.help = "auto, always or never (default: auto; NO_COLOR is honoured)",
		.kind = OPTION_CHOICE,
		.value = &settings.color,
		.choices = color_names},
	{.name = "theme",
		.argument = "THEME",
		.help = "auto (any background), light, dark, or mono (no colours, but bold)",
		.kind = OPTION_CHOICE,
		.value = &settings.theme,
		.choices = theme_names},
	{.name = "config",
		.argument = "FILE",
		.help = "read options from FILE (default: ~/.config/tcpchat/tcpclient.conf)",
		.kind = OPTION_STRING,
		.value = &settings.config,
		.names_file = true,
		.place = "tcpchat/tcpclient.conf"},
	{.name = "tls",
		.help = "encrypt the connection, as tls://HOST does",
		.kind = OPTION_FLAG,
		.value = &settings.tls,
		.choices = tls_words},
	{.name = "ca",
		.argument = "FILE",
		.help = "with --tls: trust these authorities (PEM), and not the system's",
		.kind = OPTION_STRING,
		.value = &settings.authorities,
		.names_file = true},
	{.name = "fingerprint",
		.argument = "SHA256:...",
		.help = "with --tls: trust the certificate with this fingerprint, and no other",
		.kind = OPTION_STRING,
		.value = &settings.fingerprint},
	{.name = "room", .argument = "NAME", .help = "join this room", .kind = OPTION_STRING, .value = &settings.room},
	{.name = "c",
		.argument = "COMMANDS",
		.help = "send these lines instead of standard input, and end",
		.kind = OPTION_STRING,
		.value = &settings.lines},
	/* Those that go with it are in its line, since the help has twenty. */
	{.name = "grpc",
		.help = "talk gRPC in a room that you pick; --create, --list, --delete ID: only do that",
		.kind = OPTION_FLAG,
		.value = &settings.grpc},
	{.name = "create",
		.help = "with --grpc: make a room, print its id, and end",
		.kind = OPTION_FLAG,
		.value = &settings.makes_room,
		.unlisted = true},
	{.name = "private",
		.help = "with --create: the room is in no list",
		.kind = OPTION_FLAG,
		.value = &settings.is_private,
		.unlisted = true},
	{.name = "list",
		.help = "with --grpc: print the ids of the rooms, and end",
		.kind = OPTION_FLAG,
		.value = &settings.lists_rooms,
		.unlisted = true},
	{.name = "delete",
		.argument = "ID",
		.help = "with --grpc: delete a room, and end",
		.kind = OPTION_STRING,
		.value = &settings.deleted_room,
		.unlisted = true},
	{.name = "continue",
		.help = "begin where you stopped the last time, and send what was not sent then",
		.kind = OPTION_FLAG,
		.value = &settings.goes_on},
	{.name = "history",
		.argument = "N",
		.help = "show the last N messages of a room, all or none (default: 20; with --json: none)",
		.kind = OPTION_STRING,
		.value = &settings.history},
	{.name = "json", .help = "print events as they come, one JSON object a line", .kind = OPTION_FLAG, .value = &settings.json},
	{.name = "plain", .help = "print lines only, redraw nothing", .kind = OPTION_FLAG, .value = &settings.plain},
	{.name = "highlight",
		.argument = "WORD",
		.help = "messages with this word stand out; may be repeated",
		.kind = OPTION_LIST,
		.value = &settings.highlights},
	{.name = "bell",
		.argument = "WHEN",
		.help = "off, mention (default), dm or all: what rings the terminal's bell",
		.kind = OPTION_CHOICE,
		.value = &settings.bell,
		.choices = bell_names},
	{.name = "env-file",
		.argument = "FILE",
		.help = "read CHAT_... variables from FILE",
		.kind = OPTION_STRING,
		.value = &settings.env_file,
		.names_file = true},
	{.name = "completions", /* for the installation, so not in the help */
		.argument = "SHELL",
		.kind = OPTION_CHOICE,
		.value = &settings.completions,
		.choices = completions_shells,
		.answers = true},
	{.name = "version",
		.help = "print the version",
		.kind = OPTION_FLAG,
		.value = &settings.version,
		.unlisted = true,
		.answers = true},
	{.name = "help", .help = "print this; --version: the version", .kind = OPTION_FLAG, .value = &settings.help, .answers = true},
	{.name = NULL},
};

static void print_help(void)
{
	(void)printf("Usage: tcpclient [--version] [--grpc [--create [--private] | --list | --delete ID]] [[tls://]HOST[:PORT]]\n");
	options_print_help(table, stdout);
	(void)printf("The server is localhost:7777 unless given. /help lists the commands, !exit leaves. More is in tcpclient(1).\n");
}

static int usage_error(const char *message)
{
	(void)fprintf(stderr, "tcpclient: %s\nTry 'tcpclient --help'.\n", message);
	return EXIT_USAGE;
}

/* The name of the account, with '-' for what a name of ours cannot have; or "guest", who may be anybody. */
static const char *account_name(void)
{
	static char name[NAME_SIZE];
	const struct passwd *account = getpwuid(geteuid());
	char text[NAME_LENGTH_MAX + 1];
	const char *found = account == NULL ? "" : account->pw_name;
	size_t size = text_prefix(found, strlen(found), NAME_LENGTH_MAX);

	for (size_t i = 0; i < size; i++) {
		bool fits = (found[i] & 0x80) != 0 || isalnum((unsigned char)found[i]) || strchr("_-.#", found[i]) != NULL;

		text[i] = fits ? found[i] : '-';
	}
	return name_make(text, size, name) ? name : "guest";
}

/* Who one is unless asked. */
static const char *default_name(void)
{
	return settings.name != NULL ? settings.name : account_name();
}

/* What is wrong with a name, as far as we can tell; the server decides. NULL: nothing. */
static const char *name_fault(const char *name)
{
	if (name[strspn(name, " \t")] == '\0')
		return "a name is needed: tcpclient -username NAME";
	if (strlen(name) > WANTED_NAME_SIZE_MAX)
		return "--username: the name is too long; a name has 1 to 50 characters";
	if (!text_is_clean(name, strlen(name)) || strchr(name, '\t') != NULL)
		return "--username: the name holds control characters or is not UTF-8; use letters, digits, _ - . #";
	if (name[strspn(name, " ")] == '/')
		return "--username: a name does not start with '/'; use letters, digits, _ - . #";
	return NULL;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value != NULL && value[0] != '\0';
}

static bool is_one_of(const char *text, const char *const *parts)
{
	for (; *parts != NULL; parts++) {
		if (strstr(text, *parts) != NULL)
			return true;
	}
	return false;
}

static bool has_256_colors(void)
{
	static const char *const rich[] = {"256", "direct", "kitty", "alacritty", "foot", "ghostty", NULL};
	const char *terminal = getenv("TERM");

	return is_set("COLORTERM") || (terminal != NULL && is_one_of(terminal, rich));
}

static enum render_colors choose_colors(void)
{
	static const enum render_colors few[] = {RENDER_8_COLORS, RENDER_8_LIGHT, RENDER_8_DARK, RENDER_MONO};
	static const enum render_colors many[] = {RENDER_256_COLORS, RENDER_256_LIGHT, RENDER_256_DARK, RENDER_MONO};

	if (settings.color == COLOR_NEVER)
		return RENDER_NO_COLORS;
	if (settings.color == COLOR_AUTO && is_set("NO_COLOR"))
		return settings.theme == THEME_MONO ? RENDER_MONO : RENDER_NO_COLORS;
	return has_256_colors() ? many[settings.theme] : few[settings.theme];
}

/* Whether a person sits there, at a terminal on which the cursor can be moved. */
static bool is_person(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && terminal != NULL && terminal[0] != '\0' &&
	       strcmp(terminal, "dumb") != 0;
}

/* How one talks: who one is, and through what. */
struct way {
	struct net_place place;
	const struct secure *secure;   /* or NULL */
	const struct carrier *carrier; /* or NULL */
	const char *name;
	const char *room; /* to join; or NULL */
};

/* Whether the server may know our lines by their numbers, so that it is worth something to keep them. */
static bool has_numbers(const struct way *way)
{
	return way->carrier == NULL || way->carrier->in_events;
}

static int run_talk(const struct way *way)
{
	const struct net_place *place = &way->place;
	bool keeps = has_numbers(way);
	char *history_path = state_history_path(place);
	char *ignored_path = state_ignored_path(place);
	char *unsent_path = keeps ? state_unsent_path(place, way->name) : NULL;
	char *progress_path = keeps ? state_progress_path(place, way->name) : NULL;
	struct talk_settings talk = {.place = *place,
		.secure = way->secure,
		.carrier = way->carrier,
		.name = way->name,
		.colors = choose_colors(),
		.bell = (enum scene_bell)settings.bell,
		.room = way->room,
		.highlights = &settings.highlights,
		.history_path = history_path,
		.ignored_path = ignored_path,
		.unsent_path = unsent_path,
		.progress_path = progress_path,
		.history = settings.history,
		.goes_on = settings.goes_on != 0};
	int exit_code = talk_run(&talk);

	free(history_path);
	free(ignored_path);
	free(unsent_path);
	free(progress_path);
	return exit_code;
}

/* A person at a terminal where the cursor cannot be moved reads as those do who want it so. */
static enum filter_form choose_form(void)
{
	if (settings.json)
		return FILTER_JSON;
	if (settings.plain || (settings.lines == NULL && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
		return FILTER_PLAIN;
	return FILTER_AS_IT_CAME;
}

static int run_filter(const struct way *way)
{
	const struct net_place *place = &way->place;
	enum filter_form form = choose_form();
	bool is_seen = form == FILTER_PLAIN && isatty(STDIN_FILENO);
	bool keeps = has_numbers(way) && form != FILTER_AS_IT_CAME && (settings.goes_on || is_seen);
	char *ignored_path = form == FILTER_PLAIN ? state_ignored_path(place) : NULL;
	char *unsent_path = keeps ? state_unsent_path(place, way->name) : NULL;
	char *progress_path = keeps ? state_progress_path(place, way->name) : NULL;
	struct filter_settings filter = {.place = *place,
		.secure = way->secure,
		.carrier = way->carrier,
		.name = way->name,
		.lines = settings.lines,
		.room = way->room,
		.form = form,
		.highlights = &settings.highlights,
		.ignored_path = ignored_path,
		.unsent_path = unsent_path,
		.progress_path = progress_path,
		.history = settings.history,
		.goes_on = keeps && settings.goes_on};
	int exit_code = filter_run(&filter);

	free(ignored_path);
	free(unsent_path);
	free(progress_path);
	return exit_code;
}

/* What is wrong with a room's name; NULL: nothing. */
static const char *room_fault(const char *room)
{
	char name[NAME_SIZE];

	if (room == NULL || name_make(room, strlen(room), name))
		return NULL;
	return "--room: a room's name has 1 to 50 letters, digits, _ - . # and single spaces inside";
}

/* What is wrong with how much of what was said before is wanted; NULL: nothing. "0" is none. */
static const char *history_fault(const char *history)
{
	if (history == NULL || strcmp(history, "all") == 0 || strcmp(history, "none") == 0)
		return NULL;
	if (history[0] != '\0' && strlen(history) <= HISTORY_DIGITS_MAX && strspn(history, "0123456789") == strlen(history))
		return NULL;
	return "--history is a number of messages, all or none";
}

/* ---- Encryption. ---- */

static const char *take_scheme(const char *where)
{
	static const char scheme[] = "tls://";

	if (strncasecmp(where, scheme, strlen(scheme)) != 0)
		return where;
	settings.tls = 1;
	return where + strlen(scheme);
}

/* What is wrong with the options about TLS; NULL: nothing. */
static const char *tls_option_fault(void)
{
	if (settings.tls)
		return NULL;
	if (settings.authorities != NULL)
		return "--ca is for encrypted connections: add --tls, or connect to tls://HOST";
	if (settings.fingerprint != NULL)
		return "--fingerprint is for encrypted connections: add --tls, or connect to tls://HOST";
	return NULL;
}

/* Whether a person talks on a screen that is drawn. */
static bool has_screen(void)
{
	return is_person() && !settings.plain && !settings.json && settings.lines == NULL;
}

static int run_way(const struct way *way)
{
	return has_screen() ? run_talk(way) : run_filter(way);
}

/* ---- gRPC. ---- */

/* What is wrong with the options about gRPC; NULL: nothing. */
static const char *grpc_option_fault(void)
{
	int orders = settings.makes_room + settings.lists_rooms + (settings.deleted_room != NULL);

	if (!settings.grpc && orders > 0)
		return "--create, --list and --delete are for gRPC: add --grpc";
	if (settings.is_private && !settings.makes_room)
		return "--private is for a room that is made: add --create";
	if (orders > 1)
		return "one of --create, --list and --delete is enough";
	if (settings.grpc && settings.json)
		return "--json is for servers that speak in events; with --grpc there are only lines";
#ifndef TCPCHAT_GRPC
	if (settings.grpc)
		return "--grpc: this program was built without gRPC";
#endif
	return NULL;
}

#ifdef TCPCHAT_GRPC

/* Asks for a name; $USER is only what an empty answer means. Returns it, in new memory; NULL: there is none, which was said. */
static char *ask_name(void)
{
	static const char option[] = "--username: "; /* which was not used */

	for (int tries = chatter_tries(); tries > 0; tries--) {
		char *name = chatter_ask_name();
		bool is_default = name != NULL && name[0] == '\0';
		const char *fault;

		if (name == NULL)
			return NULL;
		fault = name_fault(is_default ? default_name() : name);
		if (fault == NULL && is_default)
			(void)printf("You are %s\n", default_name());
		if (fault == NULL && !is_default)
			return name;
		free(name);
		if (fault == NULL)
			return strdup(default_name());
		(void)fprintf(stderr, "error: %s\n", fault + (strncmp(fault, option, strlen(option)) == 0 ? strlen(option) : 0));
	}
	return NULL;
}

/* Whether what comes is to be events, where the server has them: lines as they came are those of rpc.ChatService. */
static bool wants_events(void)
{
	return has_screen() || choose_form() != FILTER_AS_IT_CAME;
}

/* The room and the name, asked for as far as they were not given. Returns false when there is none, which was said. */
static bool choose(const struct chatter *chatter, struct chatter_room *room, char **name)
{
	bool asks = settings.room == NULL || !settings.name_was_given;

	if (settings.room == NULL ? !chatter_pick(chatter, room)
				  : wants_events() && !chatter_find(chatter, settings.room, room))
		return false;
	if (room->id == NULL)
		room->id = strdup(settings.room);
	*name = settings.name_was_given ? strdup(settings.name) : ask_name();
	if (*name == NULL || room->id == NULL)
		return false;
	if (asks)
		(void)printf("Joining room\n");
	return fflush(stdout) == 0;
}

/* Through tcpchat.v1, where the server has it: that has rooms, commands and numbers. */
static int run_in_events(const struct chatter *chatter, const char *room, const char *name)
{
	const struct grpc_talk talk = {.authority = chatter->authority, .room = room};
	const struct carrier carrier = grpc_talk_carrier(&talk);
	const struct way way = {
		.place = chatter->place, .secure = chatter->secure, .carrier = &carrier, .name = name, .room = room};

	return run_way(&way);
}

static int run_in_lines(const struct chatter *chatter, const char *room, const char *name)
{
	const struct grpc_chat chat = {.authority = chatter->authority, .room = room, .name = name};
	const struct carrier carrier = grpc_chat_carrier(&chat);
	const struct way way = {.place = chatter->place, .secure = chatter->secure, .carrier = &carrier, .name = name};

	if (settings.goes_on) {
		(void)fprintf(stderr, "tcpclient: --continue is not for this server or room: there nobody knows what was said before\n");
		return EXIT_FAILURE;
	}
	return run_way(&way);
}

static int run_chatter(const struct chatter *chatter)
{
	struct chatter_room room = {.id = NULL};
	char *name = NULL;
	int exit_code = EXIT_FAILURE;

	bool chosen = choose(chatter, &room, &name);

	if (chosen && room.label != NULL && wants_events())
		exit_code = run_in_events(chatter, room.label, name);
	else if (chosen)
		exit_code = run_in_lines(chatter, room.id, name);
	chatter_room_fini(&room);
	free(name);
	return exit_code;
}

static int run_grpc(const struct net_place *place, const struct secure *secure)
{
	struct chatter chatter;

	chatter_init(&chatter, place, secure);
	if (settings.makes_room)
		return chatter_create(&chatter, settings.is_private);
	if (settings.lists_rooms)
		return chatter_list(&chatter);
	if (settings.deleted_room != NULL)
		return chatter_delete(&chatter, settings.deleted_room);
	chatter.is_patient = has_screen();
	return run_chatter(&chatter);
}

#else

/* grpc_option_fault() has said that there is none. */
static int run_grpc(const struct net_place *place, const struct secure *secure)
{
	(void)place;
	(void)secure;
	return EXIT_FAILURE;
}

#endif

static int run(const struct net_place *place, const struct secure *secure)
{
	const struct way way = {
		.place = *place, .secure = secure, .name = default_name(), .room = settings.room};

	return settings.grpc ? run_grpc(place, secure) : run_way(&way);
}

/* Where a person can be asked, or -1. */
static int open_terminal(void)
{
	return isatty(STDIN_FILENO) ? open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) : -1;
}

static bool ask(int terminal, const char *question)
{
	char answer[ANSWER_SIZE];
	ssize_t size;

	(void)tcflush(terminal, TCIFLUSH); /* what was typed before is no answer */
	do {
		(void)dprintf(terminal, "%s (yes/no) ", question); /* a terminal that is gone gives no answer, either */
		size = read(terminal, answer, sizeof answer - 1);
		if (size <= 0)
			return false;
		answer[size] = '\0';
		answer[strcspn(answer, "\r\n")] = '\0';
	} while (strcasecmp(answer, "yes") != 0 && strcasecmp(answer, "no") != 0);
	return strcasecmp(answer, "yes") == 0;
}

/* Begins anew, as nothing was sent: of the first attempt nothing stays. 'fingerprint' is of a server that could not be
 * remembered; else NULL. Returns only when it cannot. */
static void start_again(char **argv, char *fingerprint)
{
	char option[] = "--fingerprint";
	size_t count = 0;
	char **arguments;

	while (argv[count] != NULL)
		count++;
	arguments = memory_get((count + 3) * sizeof *arguments);
	count = 0;
	arguments[count++] = *argv++;
	if (fingerprint != NULL) {
		arguments[count++] = option;
		arguments[count++] = fingerprint;
	}
	while (*argv != NULL)
		arguments[count++] = *argv++;
	arguments[count] = NULL;
	(void)execv("/proc/self/exe", arguments);
	free(arguments);
}

/* Asks whether a stranger is the right server, as ssh does, and begins anew if it is. Returns when it is not. */
static void meet_stranger(int terminal, char **argv, const struct secure *secure, const struct secure_stranger *stranger)
{
	char fingerprint[TLS_FINGERPRINT_SIZE];
	int error;

	if (!ask(terminal, "Does whoever runs the server name this fingerprint?"))
		return;
	tls_fingerprint_write(stranger->hash, fingerprint);
	error = secure_befriend(secure, stranger);
	if (error == 0)
		(void)dprintf(terminal, "It is remembered, and has to be the same from now on.\n");
	else
		(void)dprintf(terminal, "It could not be remembered (%s).\n", strerrordesc_np(-error));
	start_again(argv, error == 0 ? NULL : fingerprint);
	(void)dprintf(terminal, "Connect again.\n");
}

static int run_secure(const struct net_place *place, char **argv)
{
	char *pins_path = state_pins_path();
	int terminal = open_terminal();
	struct secure_stranger stranger = {.was_met = false};
	struct secure_settings wanted = {.place = *place,
		.authorities = settings.authorities,
		.fingerprint = settings.fingerprint,
		.pins_path = pins_path,
		.asks = terminal >= 0,
		.speaks_http2 = settings.grpc,
		.stranger = &stranger};
	char fault[FAULT_SIZE];
	struct secure *secure = secure_create(&wanted, fault, sizeof fault);
	sigset_t before;
	int exit_code;

	(void)pthread_sigmask(SIG_SETMASK, NULL, &before);
	exit_code = secure == NULL ? usage_error(fault) : run(place, secure);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* Ctrl-C ends a question */
	if (stranger.was_met && terminal >= 0)
		meet_stranger(terminal, argv, secure, &stranger);
	if (terminal >= 0)
		(void)close(terminal);
	secure_destroy(secure);
	free(pins_path);
	return exit_code;
}

/* A standard stream that was closed would become the first socket. */
static void open_standard_streams(void)
{
	int descriptor;

	do
		descriptor = open("/dev/null", O_RDWR);
	while (descriptor >= 0 && descriptor <= STDERR_FILENO);
	if (descriptor >= 0)
		(void)close(descriptor);
}

int main(int argc, char **argv)
{
	struct options_result result;
	struct net_place place;
	const char *where = "";
	const char *fault;

	open_standard_streams();
	if (options_parse(table, argc, argv, environ, &result) != 0)
		return usage_error(result.message);
	if (settings.help) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (settings.completions >= 0) {
		completions_print(settings.completions, "tcpclient", table, true, stdout);
		return EXIT_SUCCESS;
	}
	if (settings.version) {
		(void)printf("tcpclient " TCPCHAT_VERSION "\n");
		return EXIT_SUCCESS;
	}
	if (result.first_argument < argc)
		where = take_scheme(argv[result.first_argument]);
	if (result.first_argument + 1 < argc)
		return usage_error("one server is enough: tcpclient [-username NAME] [[tls://]HOST[:PORT]]");
	if (!net_place_parse(where, "localhost", "7777", &place))
		return usage_error("the server is given as HOST, HOST:PORT or [IPV6]:PORT, with a port of 1 to 65535");
	fault = settings.name == NULL ? NULL : name_fault(settings.name);
	if (fault != NULL)
		return usage_error(fault);
	fault = room_fault(settings.room);
	if (fault != NULL)
		return usage_error(fault);
	fault = history_fault(settings.history);
	if (fault != NULL)
		return usage_error(fault);
	fault = tls_option_fault();
	if (fault != NULL)
		return usage_error(fault);
	fault = grpc_option_fault();
	if (fault != NULL)
		return usage_error(fault);
	return settings.tls ? run_secure(&place, argv) : run(&place, NULL);
}
