/*
 * tcpserver: options, signals, and which doors and journals there are.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/completions.h"
#include "common/log.h"
#include "common/net.h"
#include "common/options.h"
#include "common/secret.h"
#include "tcpserver/core/activation.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/notify.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/server.h"
#include "tcpserver/core/service.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/doors/grpc.h"
#include "tcpserver/doors/http.h"
#include "tcpserver/doors/line.h"
#include "tcpserver/doors/sniff.h"
#include "tcpserver/doors/tls.h"
#include "tcpserver/journal_choice.h"
#include "tcpserver/journals/archive.h"
#include "tcpserver/journals/memory.h"
#include "tcpserver/journals/sqlite.h"
#include "tcpserver/journals/sqlite_export.h"
#include "tcpserver/journals/sqlite_salvage.h"

enum {
	EXIT_USAGE = 2,
	DESCRIPTORS_KEPT = 32, /* for everything that is not a client */
	MAX_CLIENTS_MOST = 1000000,
	HISTORY_OPTION_MOST = 1000,
	RETAIN_MOST = 1000000000,
	JOURNAL_SIZE = 4096 + 16, /* bytes of "sqlite:" and a path */
	FAULT_SIZE = 1000,
};

static struct {
	struct option_list listen; /* none: see choose_listeners() */
	const char *journal; /* NULL: sqlite:chat.db, see choose_journal() */
	int sync;           /* as enum sqlite_sync; -1: not given */
	const char *retain; /* NULL: not given, all */
	long long patience_s;
	const char *journal_password_file;
	const char *message_api;
	const char *message_api_token_file;
	long long max_clients; /* 0: as many as there are descriptors */
	long long max_per_address; /* 0: any number */
	struct option_list allow_origin;
	const char *tls; /* NULL: files, if there are any */
	const char *tls_certificate;
	const char *tls_key;
	int require_tls;
	long long max_line;
	long long max_rooms;
	int rooms;
	const char *admin_password_file;
	long long name_timeout_s;
	long long peer_timeout_s;
	long long lag_memory;
	const char *history;
	int log_level;
	int log_format;
	const char *config;   /* read by options_parse() itself */
	const char *env_file; /* this, too                      */
	int completions; /* the place of the shell in completions_shells, or -1 */
	const char *export_to;
	const char *import_from;
	const char *room; /* to be exported */
	const char *check;
	const char *salvage;
	const char *salvage_to; /* the argument behind it */
	int version;
	int help;
} settings = {
	.completions = -1,
	.sync = -1,
	.patience_s = JOURNAL_PATIENCE_S,
	.max_line = 65535,
	.max_rooms = 100000,
	.name_timeout_s = 60,
	.peer_timeout_s = 60,
	.lag_memory = 1024 * 1024,
	.history = "20",
	.log_level = LOG_INFO,
	.log_format = LOG_TEXT,
};

static char admin_password[SECRET_SIZE]; /* constant after the start */

/* What a port can be for; without it the first bytes tell. Returns NULL when it is none of these. */
static const struct door *door_for(const char *word)
{
	static const struct {
		const char *word;
		const struct door *door;
	} ports[] = {{"lines", &line_door}, {"http", &http_door}, {"tls", &tls_door}};

	for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
		if (strcmp(word, ports[i].word) == 0)
			return ports[i].door;
	}
	return NULL;
}

/* Reads "ADDR:PORT" with what the port is for behind it. Returns whether it is that. */
static bool parse_listen(const char *value, struct net_place *place, const struct door **door)
{
	size_t length = strcspn(value, "=");
	char address[NET_HOST_SIZE + NET_PORT_SIZE + 4];

	*door = value[length] == '=' ? door_for(value + length + 1) : &sniff_door;
	if (*door == NULL || length >= sizeof address)
		return false;
	(void)snprintf(address, sizeof address, "%.*s", (int)length, value);
	return net_place_parse(address, "", NULL, place);
}

/* Sockets that the service manager passed; the name of one may say what it is for. Constant after the start. */
static struct {
	struct activation sockets[SERVER_LISTENERS_MAX];
	int count;
} passed;

static const struct door *passed_door(int index)
{
	const struct door *door = door_for(passed.sockets[index].name);

	return door == NULL ? &sniff_door : door;
}

static const char *check_listen(const char *value)
{
	struct net_place place;
	const struct door *door;

	if (parse_listen(value, &place, &door))
		return NULL;
	return "ADDR:PORT with a port of 0 to 65535, as in 127.0.0.1:7777 or [::]:7777; behind it may stand what the port is for:"
	       " =lines, =http or =tls";
}

/* What --tls can be; Go-Chat's IS_TLS knows two words of its own. */
enum tls_choice { TLS_OFF, TLS_SELF, TLS_FILES };

static bool parse_tls(const char *value, enum tls_choice *choice)
{
	static const struct {
		const char *word;
		enum tls_choice choice;
	} words[] = {{"off", TLS_OFF}, {"self", TLS_SELF}, {"files", TLS_FILES}, {"IS_TLS=false", TLS_OFF}, {"IS_TLS=true", TLS_FILES}};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(value, words[i].word) == 0) {
			*choice = words[i].choice;
			return true;
		}
	}
	return false;
}

static const char *check_tls(const char *value)
{
	enum tls_choice choice;

	if (parse_tls(value, &choice))
		return NULL;
	return strncmp(value, "IS_TLS=", 7) == 0 ? "true or false" : "one of: off, self, files";
}

static const char *check_origin(const char *value)
{
	const char *host = strstr(value, "://");

	if (strcmp(value, "*") == 0)
		return NULL;
	if (host != NULL && host != value && host[3] != '\0' && strcspn(host + 3, "/?# ") == strlen(host + 3))
		return NULL;
	return "an origin as browsers write it, without a path, as in https://chat.example.org, or * for any";
}

/* Reads "memory" or "memory:N". Returns whether it is that. */
static bool parse_journal(const char *value, size_t *kept)
{
	char *end;
	long long number = MEMORY_JOURNAL_KEPT;

	if (strncmp(value, "memory", 6) != 0)
		return false;
	if (value[6] == ':' && value[7] >= '0' && value[7] <= '9') {
		errno = 0;
		number = strtoll(value + 7, &end, 10);
		if (errno != 0 || *end != '\0')
			return false;
	} else if (value[6] != '\0') {
		return false;
	}
	*kept = (size_t)number;
	return number >= 1 && number <= MEMORY_JOURNAL_KEPT_MOST;
}

/* The path in "sqlite:PATH", or NULL. */
static const char *journal_path(const char *value)
{
	return strncmp(value, "sqlite:", 7) == 0 && value[7] != '\0' ? value + 7 : NULL;
}

static const char *check_journal(const char *value)
{
	size_t kept;

	if (journal_path(value) != NULL || parse_journal(value, &kept) || journal_is_url(value))
		return NULL;
	return "sqlite:FILE, memory, memory:N, N messages kept per room, 1 to 100000000, or for several servers the URL of a database:"
	       " postgres://, redis://, rediss://, amqp:// or amqps://";
}

static const char *check_message_api(const char *value)
{
	struct net_place place;

	return net_place_parse(value, "", NULL, &place) ? NULL : "HOST:PORT, as in localhost:50051";
}

/* Reads "all", "N" (messages of a room) or "Nd" (days). Returns whether it is that. */
static bool parse_retain(const char *value, long long *count, long long *days)
{
	char *end;
	long long number;

	*count = 0;
	*days = 0;
	if (strcmp(value, "all") == 0)
		return true;
	errno = 0;
	number = strtoll(value, &end, 10);
	if (errno != 0 || value[0] < '1' || value[0] > '9' || number > RETAIN_MOST)
		return false;
	*(*end == 'd' ? days : count) = number;
	return strcmp(end, *end == 'd' ? "d" : "") == 0;
}

static const char *check_retain(const char *value)
{
	long long count;
	long long days;

	return parse_retain(value, &count, &days) ? NULL : "a number of messages, a number of days as in 30d, or all";
}

static const char *const sync_words[] = {"full", "normal", "off", NULL}; /* as enum sqlite_sync */

/* Reads a number, "all" (SIZE_MAX) or "none" (0). Returns whether it is that. */
static bool parse_history(const char *value, size_t *count)
{
	char *end;
	long long number;

	if (strcmp(value, "all") == 0 || strcmp(value, "none") == 0) {
		*count = value[0] == 'a' ? SIZE_MAX : 0;
		return true;
	}
	errno = 0;
	number = strtoll(value, &end, 10);
	*count = (size_t)number;
	return errno == 0 && end != value && *end == '\0' && value[0] >= '0' && value[0] <= '9' && number <= HISTORY_OPTION_MOST;
}

static const char *check_history(const char *value)
{
	size_t count;

	return parse_history(value, &count) ? NULL : "a number of messages up to 1000, all or none";
}

static const char *const rooms_words[] = {"open", "closed", NULL};

static const struct option options[] = {
	{.name = "listen", .argument = "ADDR:PORT[=FOR]", .kind = OPTION_LIST, .value = &settings.listen, .check = check_listen,
		.help = "where to listen; may be repeated (default [::]:7777, IPv4 included); FOR: lines, http or tls alone", .aliases = OPTION_ALIASES({"APP_PORT", "[::]:%s"}, {"SERVER_PORT", "[::]:%s"})},
	{.name = "journal", .argument = "JOURNAL", .kind = OPTION_STRING, .value = &settings.journal,
		.check = check_journal,
		.help = "what keeps messages: sqlite:FILE (default sqlite:chat.db), memory[:N], the last N of each room,\n"
			"or a database, for several servers: postgres://..., redis://..., amqp://...",
		.aliases = OPTION_ALIASES({"RABBITMQ_URL", NULL}, {"DATABASE_URL", NULL}, {"REDIS_ADDRESS", "redis://%s"})},
	{.name = "journal-patience", .argument = "SECONDS", .kind = OPTION_NUMBER, .value = &settings.patience_s, .least = 0,
		.most = 3600, .help = "how long what is said waits for a database that is away (default 10)"},
	{.name = "journal-password-file", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.journal_password_file,
		.names_file = true, .help = "a file with the password for the database, which others may not read"},
	{.name = "message-api", .argument = "HOST:PORT", .kind = OPTION_STRING, .value = &settings.message_api,
		.check = check_message_api, .help = "with --journal amqp://...: where the messageapi listens",
		.aliases = OPTION_ALIASES({"MESSAGE_SERVICE_PORT", "localhost:%s"})},
	{.name = "message-api-token-file", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.message_api_token_file,
		.names_file = true, .help = "a file with the token that messageapi asks for, which others may not read"},
	{.name = "sync", .argument = "full|normal|off", .kind = OPTION_CHOICE, .value = &settings.sync, .choices = sync_words,
		.help = "full (default): what anybody saw survives a power cut; normal, off: may not, but is written faster"},
	{.name = "retain", .argument = "N|Nd|all", .kind = OPTION_STRING, .value = &settings.retain, .check = check_retain,
		.help = "how much is kept: the last N messages of a room, those of the last N days, or all (default)"},
	{.name = "max-clients", .argument = "N", .kind = OPTION_NUMBER, .value = &settings.max_clients, .least = 1,
		.most = MAX_CLIENTS_MOST, .help = "clients at a time (default: what the limit of open files allows)"},
	{.name = "max-per-address", .argument = "N", .kind = OPTION_NUMBER, .value = &settings.max_per_address, .least = 0,
		.most = MAX_CLIENTS_MOST, .help = "clients at a time from one address (default 0: any number)"},
	{.name = "allow-origin", .argument = "ORIGIN", .kind = OPTION_LIST, .value = &settings.allow_origin,
		.check = check_origin, .help = "web pages from there may talk to the server, too; may be repeated; * for any"},
	{.name = "tls", .argument = "off|self|files", .kind = OPTION_STRING, .value = &settings.tls, .check = check_tls,
		.help = "encrypt: self makes a certificate and keeps it; files (default with --tls-cert) are your own", .aliases = OPTION_ALIASES({"IS_TLS", "IS_TLS=%s"})},
	{.name = "tls-cert", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.tls_certificate, .names_file = true,
		.help = "the certificate (PEM) for TLS, and those that vouch for it; read again on SIGHUP",
		.aliases = OPTION_ALIASES({"SERVER_CERTIFICATE", NULL})},
	{.name = "tls-key", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.tls_key, .names_file = true,
		.help = "its key (PEM), which others may not read", .aliases = OPTION_ALIASES({"SERVER_KEY", NULL})},
	{.name = "require-tls", .kind = OPTION_FLAG, .value = &settings.require_tls,
		.help = "turn away who connects without TLS"},
	{.name = "max-line", .argument = "SIZE", .kind = OPTION_SIZE, .value = &settings.max_line, .least = 64,
		.most = 1024 * 1024, .help = "the longest line a client may send (default 65535 bytes)"},
	{.name = "rooms", .argument = "open|closed", .kind = OPTION_CHOICE, .value = &settings.rooms,
		.choices = rooms_words, .help = "open (default): anybody may make rooms; closed: nobody"},
	{.name = "max-rooms", .argument = "N", .kind = OPTION_NUMBER, .value = &settings.max_rooms, .least = 1,
		.most = 10000000, .help = "rooms at a time (default 100000)"},
	{.name = "admin-password-file", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.admin_password_file,
		.names_file = true, .help = "a file with the password of administrators, which others may not read"},
	{.name = "name-timeout", .argument = "SECONDS", .kind = OPTION_NUMBER, .value = &settings.name_timeout_s,
		.least = 1, .most = 86400, .help = "how long a client has to send its name (default 60)"},
	{.name = "peer-timeout", .argument = "SECONDS", .kind = OPTION_NUMBER, .value = &settings.peer_timeout_s,
		.least = 3, .most = 86400, .help = "within which a client that vanished is noticed (default 60)"},
	{.name = "lag-memory", .argument = "SIZE", .kind = OPTION_SIZE, .value = &settings.lag_memory, .least = 0,
		.most = 1LL << 40,
		.help = "how far a slow reader may be behind in memory, before it reads the journal (default 1M)"},
	{.name = "history", .argument = "N|all|none", .kind = OPTION_STRING, .value = &settings.history, .check = check_history,
		.help = "messages said before that a newcomer to a room is shown (default 20)"},
	{.name = "export", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.export_to, .names_file = true,
		.help = "write what the journal keeps to FILE (- for the output), as JSON lines, and exit"},
	{.name = "room", .argument = "NAME", .kind = OPTION_STRING, .value = &settings.room,
		.help = "with --export: of this room alone"},
	{.name = "import", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.import_from, .names_file = true,
		.help = "take what --export wrote into the journal, and exit"},
	{.name = "check", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.check, .names_file = true,
		.help = "look whether the journal in FILE is whole, and exit"},
	{.name = "salvage", .argument = "FILE NEW", .kind = OPTION_STRING, .value = &settings.salvage, .names_file = true,
		.help = "save what can be read of a damaged journal to the journal NEW, and exit"},
	{.name = "log-level", .argument = "LEVEL", .kind = OPTION_CHOICE, .value = &settings.log_level,
		.choices = log_level_names, .help = "error, warning, info (default) or debug, which logs what people say"},
	{.name = "log-format", .argument = "FORMAT", .kind = OPTION_CHOICE, .value = &settings.log_format,
		.choices = log_format_names, .help = "text (default) or json"},
	{.name = "config", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.config, .names_file = true,
		.help = "a file of lines \"name = value\", with the names of these options"},
	{.name = "env-file", .argument = "FILE", .kind = OPTION_STRING, .value = &settings.env_file, .names_file = true,
		.help = "a file of NAME=VALUE lines to take as environment"},
	{.name = "completions", .argument = "SHELL", .kind = OPTION_CHOICE, .value = &settings.completions,
		.choices = completions_shells, .answers = true}, /* for the installation, so not in the help */
	{.name = "version", .kind = OPTION_FLAG, .value = &settings.version, .answers = true,
		.help = "print the version and exit"},
	{.name = "help", .kind = OPTION_FLAG, .value = &settings.help, .answers = true, .help = "print this and exit"},
	{.name = NULL},
};

/* ---- Signals: the first one stops the server in good order, the second at once. ---- */

static volatile sig_atomic_t stop_signals; /* written by the handler, in the main thread alone */
static volatile sig_atomic_t reload_signals; /* the same */
static struct tls *tls; /* constant after the start; NULL: none */
static struct talk *reloaded; /* the same; whom a reload is for */

static void on_stop_signal(int signal)
{
	if (stop_signals != 0)
		_exit(128 + signal);
	stop_signals = 1;
}

static void on_reload_signal(int signal)
{
	(void)signal;
	reload_signals = 1;
}

static void reload(void);

/* Asked after each signal, in the main thread. */
static bool stop_requested(void)
{
	if (reload_signals != 0) {
		reload_signals = 0;
		service_reloading();
		reload();
		service_ready(reloaded);
	}
	return stop_signals != 0;
}

static void for_each_stop_signal(sigset_t *set, int (*change)(sigset_t *, int))
{
	(void)change(set, SIGINT);
	(void)change(set, SIGTERM);
	(void)change(set, SIGHUP);
}

/* With TLS, SIGHUP means that there is a new certificate. To a service manager it never means to stop. */
static void reload_on_hangup(void)
{
	struct sigaction again = {.sa_handler = on_reload_signal};

	(void)sigaction(SIGHUP, &again, NULL); /* cannot fail */
}

/* Blocks the signals in this thread and all that it starts; 'wait_mask' is the mask that lets them through. */
static void prepare_signals(sigset_t *stop_set, sigset_t *wait_mask)
{
	struct sigaction stop = {.sa_handler = on_stop_signal};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	(void)sigemptyset(stop_set);
	for_each_stop_signal(stop_set, sigaddset);
	(void)pthread_sigmask(SIG_BLOCK, stop_set, NULL);
	outlet_prepare_process();
	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGTERM, &stop, NULL);
	(void)sigaction(SIGHUP, &stop, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)pthread_sigmask(SIG_BLOCK, NULL, wait_mask);
	for_each_stop_signal(wait_mask, sigdelset);
}

/* ---- Starting. ---- */

static void print_help(void)
{
	(void)printf("Usage: tcpserver [OPTION]...\nA chat server: a thread a client, every line to everybody.\n\n");
	options_print_help(options, stdout);
	(void)printf("\nEach option can be given as an environment variable: --max-line as CHAT_MAX_LINE.\n"
		     "Examples:\n"
		     "  tcpserver                                listens on port 7777\n"
		     "  tcpserver --listen 127.0.0.1:7000        for this machine alone\n"
		     "See tcpserver(8).\n");
}

/* What would be ignored is refused: who asks for it relies on it. */
static int refuse_ignored(struct options_result *result)
{
	if (settings.help || settings.version || settings.completions >= 0)
		return 0;
	if (settings.journal_password_file != NULL && (settings.journal == NULL || !journal_is_url(settings.journal))) {
		(void)snprintf(result->message, sizeof result->message,
			"--journal-password-file is for a --journal that is a database, as postgres://...; a file needs no password");
		return -EINVAL;
	}
	if (settings.journal == NULL || journal_path(settings.journal) != NULL)
		return 0;
	if (settings.retain != NULL)
		(void)snprintf(result->message, sizeof result->message,
			"--retain is for --journal sqlite:FILE; how many messages of a room are kept in memory, --journal memory:N says");
	else if (settings.sync >= 0)
		(void)snprintf(result->message, sizeof result->message,
			"--sync is for --journal sqlite:FILE; the memory journal writes nothing to the disk");
	else if (journal_needs_message_api(settings.journal) && settings.message_api == NULL)
		(void)snprintf(result->message, sizeof result->message,
			"--journal amqp://... needs --message-api HOST:PORT, where a messageapi listens, which keeps what the queue brings");
	else
		return 0;
	return -EINVAL;
}

/* Reads options; exits when there is nothing more to do. */
static void read_options(int argc, char **argv)
{
	struct options_result result;
	int error = options_parse(options, argc, argv, environ, &result);

	if (error == 0 && settings.salvage != NULL && result.first_argument < argc)
		settings.salvage_to = argv[result.first_argument++];
	if (error == 0 && result.first_argument < argc) {
		(void)snprintf(result.message, sizeof result.message, "%.200s: tcpserver takes options only; --help lists them",
			argv[result.first_argument]);
		error = -EINVAL;
	}
	if (error == 0 && settings.salvage != NULL && settings.salvage_to == NULL) {
		(void)snprintf(result.message, sizeof result.message,
			"--salvage takes two files: the damaged one, and a new one for what can be saved");
		error = -EINVAL;
	}
	if (error == 0)
		error = refuse_ignored(&result);
	if (error != 0) {
		(void)fprintf(stderr, "tcpserver: %s\n", result.message);
		exit(EXIT_USAGE);
	}
	if (settings.help)
		print_help();
	else if (settings.completions >= 0)
		completions_print(settings.completions, "tcpserver", options, false, stdout);
	else if (settings.version)
		(void)printf("tcpserver %s\n", TCPCHAT_VERSION);
	if (settings.help || settings.version || settings.completions >= 0)
		exit(EXIT_SUCCESS);
}

/* Raises the limit of open files as far as it goes. Returns how many clients that allows. */
static size_t clients_allowed(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return MAX_CLIENTS_MOST;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* if not, the old limit stands, which is read again */
	(void)getrlimit(RLIMIT_NOFILE, &limit); /* worked before */
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > MAX_CLIENTS_MOST)
		return MAX_CLIENTS_MOST;
	return limit.rlim_cur > DESCRIPTORS_KEPT ? (size_t)limit.rlim_cur - DESCRIPTORS_KEPT : 1;
}

static size_t choose_max_clients(void)
{
	size_t allowed = clients_allowed();
	size_t wanted = (size_t)settings.max_clients;
	char number[24];

	if (wanted == 0)
		wanted = allowed;
	if (wanted > allowed) {
		log_event(LOG_WARNING, "the limit of open files is lower than --max-clients", "what to do",
			"raise it (ulimit -Hn, LimitNOFILE=)", NULL);
	}
	(void)snprintf(number, sizeof number, "%zu", wanted < allowed ? wanted : allowed);
	log_event(LOG_INFO, "starting", "version", TCPCHAT_VERSION, "clients allowed", number, NULL);
	return wanted;
}

static const char *listen_advice(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program listens there; stop it, or choose another port with --listen ADDR:PORT";
	case EACCES:
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher port with --listen ADDR:PORT";
	case EADDRNOTAVAIL:
		return "this machine has no such address; `ip address` lists those it has";
	default:
		return "choose another address with --listen ADDR:PORT";
	}
}

/* Takes the sockets that were passed; without any, and without --listen, there is the port that everybody knows. */
static bool choose_listeners(struct server *server)
{
	char fault[ACTIVATION_FAULT_SIZE];

	passed.count = activation_take(passed.sockets, SERVER_LISTENERS_MAX - settings.listen.count, fault);
	if (passed.count < 0) {
		(void)fprintf(stderr, "tcpserver: %s\n", fault);
		return false;
	}
	for (int i = 0; i < passed.count; i++) {
		server->listeners[server->listener_count++] =
			(struct listener){.socket = passed.sockets[i].socket, .door = passed_door(i)};
	}
	if (passed.count == 0 && settings.listen.count == 0)
		settings.listen = (struct option_list){.items = {"[::]:7777"}, .count = 1};
	return true;
}

static bool open_listeners(struct server *server)
{
	for (size_t i = 0; i < settings.listen.count; i++) {
		const char *where = settings.listen.items[i];
		struct net_place place;
		const struct door *door;
		int listener = -EINVAL;

		if (parse_listen(where, &place, &door))
			listener = net_listen(&place);
		if (listener < 0) {
			(void)fprintf(stderr, "[!] Error while listening the server\ntcpserver: cannot listen on %s: %s; %s\n",
				where, strerror(-listener), listen_advice(-listener));
			return false;
		}
		server->listeners[server->listener_count++] = (struct listener){.socket = listener, .door = door};
	}
	return true;
}

static void announce(const struct server *server)
{
	for (size_t i = 0; i < server->listener_count; i++) {
		char address[NET_ADDRESS_SIZE];

		net_own_address(server->listeners[i].socket, address);
		(void)printf("[O] The server is now listening from %s(protocol: tcp)\n", address);
		log_event(LOG_INFO, "listening", "address", address, NULL);
	}
	(void)fflush(stdout);
	if (log_wants(LOG_DEBUG))
		log_event(LOG_WARNING, "what people say is logged", "why", "--log-level debug", NULL);
}

/* ---- TLS. ---- */

enum { TLS_PATH_SIZE = 4096 };

/* Where --tls self keeps its files: beside the journal that is chosen without an option. */
static void choose_own_files(struct tls_options *wanted)
{
	static char certificate[TLS_PATH_SIZE];
	static char key[TLS_PATH_SIZE];
	const char *directory = getenv("STATE_DIRECTORY");

	if (directory == NULL || directory[0] != '/')
		directory = ".";
	(void)snprintf(certificate, sizeof certificate, "%s/chat-tls.pem", directory);
	(void)snprintf(key, sizeof key, "%s/chat-tls-key.pem", directory);
	*wanted = (struct tls_options){.certificate_path = certificate, .key_path = key, .makes_own = true};
}

static enum tls_choice choose_tls(void)
{
	enum tls_choice choice = settings.tls_certificate != NULL || settings.tls_key != NULL ? TLS_FILES : TLS_OFF;

	if (settings.tls != NULL)
		(void)parse_tls(settings.tls, &choice); /* looked at by check_tls() */
	return choice;
}

/* What the options about TLS lack; NULL: nothing. */
static const char *tls_fault_of_options(enum tls_choice choice)
{
	bool listens = false;
	bool is_plain = false;

	for (size_t i = 0; i < settings.listen.count; i++) {
		const char *what = strchr(settings.listen.items[i], '=');

		listens = listens || (what != NULL && strcmp(what, "=tls") == 0);
		is_plain = is_plain || (what != NULL && strcmp(what, "=tls") != 0);
	}
	for (int i = 0; i < passed.count; i++) {
		listens = listens || passed_door(i) == &tls_door;
		is_plain = is_plain || passed_door(i) == &line_door || passed_door(i) == &http_door;
	}
	if (choice == TLS_FILES && settings.tls_certificate == NULL)
		return "TLS needs a certificate: --tls-cert FILE (or SERVER_CERTIFICATE); --tls self makes one";
	if (choice == TLS_FILES && settings.tls_key == NULL)
		return "TLS needs the certificate's key: --tls-key FILE (or SERVER_KEY)";
	if (choice == TLS_SELF && (settings.tls_certificate != NULL || settings.tls_key != NULL))
		return "--tls self makes a certificate of its own; leave --tls-cert and --tls-key out, or --tls self";
	if (choice == TLS_OFF && settings.require_tls)
		return "--require-tls needs TLS: --tls-cert FILE with --tls-key FILE, or --tls self";
	if (settings.require_tls && is_plain)
		return "--require-tls and a port that is for plain text alone, as in --listen ADDR:PORT=http, exclude each other;"
		       " leave out one of them, or listen with =tls";
	if (choice == TLS_OFF && listens)
		return "--listen ...=tls needs TLS: --tls-cert FILE with --tls-key FILE, or --tls self";
	return NULL;
}

static void announce_tls(void)
{
	char fingerprint[TLS_FINGERPRINT_SIZE];
	char warning[TLS_OPEN_FAULT_SIZE];

	tls_tell_fingerprint(tls, fingerprint);
	(void)printf("[O] TLS certificate fingerprint: %s\n", fingerprint);
	(void)fflush(stdout);
	log_event(LOG_INFO, "TLS certificate", "fingerprint", fingerprint, NULL);
	if (tls_warns(tls, warning, sizeof warning))
		log_event(LOG_WARNING, "TLS certificate", "why", warning, NULL);
}

/* Returns false when there is to be TLS and cannot be; what is wrong was said then. */
static bool open_tls(void)
{
	enum tls_choice choice = choose_tls();
	struct tls_options wanted = {.certificate_path = settings.tls_certificate, .key_path = settings.tls_key};
	const char *lacks = tls_fault_of_options(choice);
	char fault[TLS_OPEN_FAULT_SIZE];

	if (lacks != NULL) {
		(void)fprintf(stderr, "tcpserver: %s\n", lacks);
		exit(EXIT_USAGE);
	}
	if (choice == TLS_OFF)
		return true;
	if (choice == TLS_SELF)
		choose_own_files(&wanted);
	tls = tls_open(&wanted, fault, sizeof fault);
	if (tls == NULL)
		(void)fprintf(stderr, "tcpserver: TLS: %s\n", fault);
	return tls != NULL;
}

/* Reads the certificate again, if there is one. */
static void reload(void)
{
	char fault[TLS_OPEN_FAULT_SIZE];

	if (tls == NULL)
		log_event(LOG_INFO, "nothing to reload", "why", "there is no TLS", NULL);
	else if (tls_reload(tls, fault, sizeof fault) == 0)
		announce_tls();
	else
		log_event(LOG_ERROR, "the TLS certificate stays as it was", "why", fault, NULL);
}

/* ---- The journal. ---- */

/* Without the option: chat.db in the state directory, if the system gives one (systemd's StateDirectory=), or else here. */
static const char *choose_journal(void)
{
	static char chosen[JOURNAL_SIZE];
	const char *directory = getenv("STATE_DIRECTORY");

	if (settings.journal != NULL)
		return settings.journal;
	if (directory == NULL || directory[0] != '/')
		return "sqlite:chat.db";
	(void)snprintf(chosen, sizeof chosen, "sqlite:%s/chat.db", directory);
	return chosen;
}

static struct journal *open_sqlite_journal(const char *path)
{
	struct sqlite_options wanted = {
		.path = path, .sync = settings.sync < 0 ? SQLITE_JOURNAL_FULL : (enum sqlite_sync)settings.sync};
	struct journal *journal = NULL;
	char fault[FAULT_SIZE];

	if (settings.retain != NULL) /* looked at by check_retain() */
		(void)parse_retain(settings.retain, &wanted.retain_count, &wanted.retain_days);
	if (sqlite_journal_open(&wanted, &journal, fault, sizeof fault) != 0)
		(void)fprintf(stderr, "tcpserver: %s\n", fault);
	return journal;
}

static struct journal *open_memory_journal(const char *value)
{
	size_t kept = MEMORY_JOURNAL_KEPT;
	struct journal *journal;

	(void)parse_journal(value, &kept); /* looked at by check_journal() */
	journal = memory_journal_create(kept);
	if (journal == NULL)
		(void)fprintf(stderr, "tcpserver: no memory\n");
	return journal;
}

static struct journal *open_shared_journal(const char *value)
{
	static char password[SECRET_SIZE];
	static char token[SECRET_SIZE];
	struct journal_wish wish = {
		.url = secret_take(value),
		.message_api = settings.message_api,
		.patience_s = settings.patience_s,
		.listen = settings.listen.items,
		.listen_count = settings.listen.count,
	};

	struct journal *journal = NULL;

	log_event(LOG_INFO, "journal", "kept in", value, NULL);
	if (wish.url != NULL &&
		secret_read("tcpserver", "--journal-password-file", settings.journal_password_file, password, &wish.password) &&
		secret_read("tcpserver", "--message-api-token-file", settings.message_api_token_file, token,
			&wish.message_api_token))
		journal = journal_open_url(&wish);
	secret_free((char *)(uintptr_t)wish.url); /* the engine has a copy */
	return journal;
}

/* NULL when there is none; what is wrong was said then. */
static struct journal *open_journal(void)
{
	const char *value = choose_journal();
	const char *path = journal_path(value);

	if (journal_is_url(value))
		return open_shared_journal(value);
	log_event(LOG_INFO, "journal", "kept in", value, NULL);
	return path == NULL ? open_memory_journal(value) : open_sqlite_journal(path);
}

/* ---- Work on a journal, without a server. ---- */

static int export_journal(void)
{
	const char *path = journal_path(choose_journal());

	if (path != NULL)
		return sqlite_export(path, settings.room, &event_format, settings.export_to, stderr);
	(void)fprintf(stderr, "tcpserver: --export needs --journal sqlite:FILE; databases have their own tools, and the memory journal keeps nothing\n");
	return EXIT_USAGE;
}

static int import_journal(void)
{
	const char *path = journal_path(choose_journal());
	struct journal *journal;
	bool is_new;
	int status;

	if (path == NULL && !journal_is_url(choose_journal())) {
		(void)fprintf(stderr, "tcpserver: --import needs --journal sqlite:FILE or a database; the memory journal keeps nothing\n");
		return EXIT_USAGE;
	}
	is_new = path != NULL && access(path, F_OK) != 0 && errno == ENOENT;
	journal = open_journal();
	if (journal == NULL)
		return EXIT_FAILURE;
	status = archive_import(journal, settings.import_from, stderr);
	journal->ops->destroy(journal);
	if (status != 0 && is_new && unlink(path) == 0)
		(void)fprintf(stderr, "%s: the import had made this journal, so it was removed\n", path);
	return status;
}

/* Does what the options ask for in place of a server; returns its exit code, or -1 when there is nothing. */
static int work_on_journal(void)
{
	if (settings.check != NULL)
		return sqlite_check(settings.check, stdout);
	if (settings.salvage != NULL)
		return sqlite_salvage(settings.salvage, settings.salvage_to, stdout);
	if (settings.export_to != NULL)
		return export_journal();
	return settings.import_from != NULL ? import_journal() : -1;
}

static void fill_talk(struct talk *talk)
{
	talk->doors = (struct doors){.lines = &line_door, .http = &http_door, .tls = &tls_door};
#ifdef TCPCHAT_GRPC
	talk->doors.grpc = &grpc_door;
#endif
	talk->tls = tls;
	talk->require_tls = settings.require_tls != 0;
	talk->limits = (struct client_limits){
		.most = choose_max_clients(), .most_per_address = (size_t)settings.max_per_address};
	talk->admit = server_admit;
	talk->allow_origins = settings.allow_origin.items;
	talk->allow_origin_count = settings.allow_origin.count;
	talk->started_ns = clock_wall_ns();
	talk->max_line = (size_t)settings.max_line;
	talk->lag_memory = (size_t)settings.lag_memory;
	(void)parse_history(settings.history, &talk->history); /* looked at by check_history() */
	talk->rooms_are_open = settings.rooms == 0;
	talk->name_timeout_ms = (int)settings.name_timeout_s * 1000;
	talk->peer_timeout_s = (int)settings.peer_timeout_s;
}

/* Runs the talk, kept by 'journal', until a signal comes. */
static int run(struct server *server, struct journal *journal, const sigset_t *wait_mask)
{
	if (!talk_init(&server->talk, journal, (size_t)settings.max_rooms)) {
		(void)fprintf(stderr, "tcpserver: no memory\n");
		return EXIT_FAILURE;
	}
	fill_talk(&server->talk);
	if (settings.admin_password_file != NULL)
		server->talk.admin_password = admin_password;
	announce(server);
	if (tls != NULL)
		announce_tls();
	reloaded = &server->talk;
	service_ready(&server->talk);
	server_run(server, wait_mask, stop_requested);
	talk_fini(&server->talk);
	log_event(LOG_INFO, "stopped", NULL);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct server server;
	struct journal *journal;
	sigset_t stop_set;
	sigset_t wait_mask;
	const char *found;
	int status;

	read_options(argc, argv);
	log_start((enum log_level)settings.log_level, (enum log_format)settings.log_format);
	status = work_on_journal();
	if (status >= 0)
		return status;
	if (!secret_read("tcpserver", "--admin-password-file", settings.admin_password_file, admin_password, &found))
		return EXIT_FAILURE;
	if (!choose_listeners(&server) || !open_tls() || !open_listeners(&server))
		return EXIT_FAILURE;
	prepare_signals(&stop_set, &wait_mask); /* before a journal starts threads, or one of these may get the signal to stop */
	if (tls != NULL || notify_is_wanted())
		reload_on_hangup();
	journal = open_journal();
	if (journal == NULL)
		return EXIT_FAILURE;
	status = run(&server, journal, &wait_mask);
	journal->ops->destroy(journal);
	tls_close(tls);
	return status;
}
