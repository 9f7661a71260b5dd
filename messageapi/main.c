/*
 * messageapi: options, signals, and the two sides of it: the consumer of the queue, and the server that answers.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/completions.h"
#include "common/log.h"
#include "common/net.h"
#include "common/options.h"
#include "common/secret.h"
#include "messageapi/consumer.h"
#include "messageapi/service.h"
#include "tcpserver/journals/amqp_body.h"
#include "tcpserver/journals/postgres.h"

#define PREFIX "MESSAGEAPI"

enum { EXIT_USAGE = 2, CONSUMER_STACK = 1024 * 1024 };

static struct {
	const char *listen;
	const char *amqp;
	const char *amqp_password_file;
	const char *postgres;
	const char *postgres_password_file;
	const char *token_file;
	int log_level;
	int log_format;
	const char *config;   /* read by options_parse() itself */
	const char *env_file; /* the same                       */
	int help;
	int version;
	int completions; /* the place of the shell in completions_shells, or -1 */
} settings = {
	.listen = "localhost:50051",
	.log_level = LOG_INFO,
	.log_format = LOG_TEXT,
	.completions = -1,
};

static const char *check_listen(const char *value)
{
	struct net_place place;

	return net_place_parse(value, "localhost", NULL, &place) ? NULL : "HOST:PORT, as in [::1]:50051";
}

static const char *check_amqp(const char *value)
{
	struct amqp_address address;

	return amqp_address_parse(value, NULL, &address);
}

static const char *check_postgres(const char *value)
{
	return strncmp(value, "postgres://", 11) == 0 || strncmp(value, "postgresql://", 13) == 0 ? NULL
		: "postgres://USER:PASSWORD@HOST:PORT/DATABASE";
}

static const struct option options[] = {
	{.name = "listen", .prefix = PREFIX, .argument = "HOST:PORT", .kind = OPTION_STRING, .value = &settings.listen, .check = check_listen,
		.help = "where to answer calls of gRPC (default localhost:50051)",
		.aliases = OPTION_ALIASES({"MESSAGE_SERVICE_PORT", NULL})},
	{.name = "amqp", .prefix = PREFIX, .argument = "URL", .kind = OPTION_STRING, .value = &settings.amqp, .check = check_amqp,
		.help = "where the messages come from: amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://...",
		.aliases = OPTION_ALIASES({"RABBITMQ_URL", NULL})},
	{.name = "amqp-password-file", .prefix = PREFIX, .argument = "FILE", .kind = OPTION_STRING, .value = &settings.amqp_password_file,
		.names_file = true, .help = "a file with the password for it, which others may not read"},
	{.name = "postgres", .prefix = PREFIX, .argument = "URL", .kind = OPTION_STRING, .value = &settings.postgres, .check = check_postgres,
		.help = "where they are stored: postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		.aliases = OPTION_ALIASES({"DATABASE_URL", NULL})},
	{.name = "postgres-password-file", .prefix = PREFIX, .argument = "FILE", .kind = OPTION_STRING, .value = &settings.postgres_password_file,
		.names_file = true, .help = "a file with the password for it, which others may not read"},
	{.name = "token-file", .prefix = PREFIX, .argument = "FILE", .kind = OPTION_STRING, .value = &settings.token_file, .names_file = true,
		.help = "a file with a token that calls must have (authorization: Bearer TOKEN), which others may not read"},
	{.name = "log-level", .prefix = PREFIX, .argument = "LEVEL", .kind = OPTION_CHOICE, .value = &settings.log_level, .choices = log_level_names,
		.help = "error, warning, info (default) or debug"},
	{.name = "log-format", .prefix = PREFIX, .argument = "FORMAT", .kind = OPTION_CHOICE, .value = &settings.log_format,
		.choices = log_format_names, .help = "text (default) or json"},
	{.name = "config", .prefix = PREFIX, .argument = "FILE", .kind = OPTION_STRING, .value = &settings.config, .names_file = true,
		.help = "reads options from FILE, \"name = value\" a line"},
	{.name = "env-file", .prefix = PREFIX, .argument = "FILE", .kind = OPTION_STRING, .value = &settings.env_file, .names_file = true,
		.help = "reads variables from FILE"},
	{.name = "help", .prefix = PREFIX, .kind = OPTION_FLAG, .value = &settings.help, .help = "shows this", .answers = true},
	{.name = "version", .prefix = PREFIX, .kind = OPTION_FLAG, .value = &settings.version, .help = "shows the version", .answers = true},
	{.name = "completions", .prefix = PREFIX, .argument = "SHELL", .kind = OPTION_CHOICE, .value = &settings.completions,
		.choices = completions_shells, .answers = true}, /* for the installation, so not in the help */
	{.name = NULL},
};

/* ---- Options. ---- */

static int usage(const char *message)
{
	(void)fprintf(stderr, "messageapi: %s\nmessageapi: try --help\n", message);
	return EXIT_USAGE;
}

static void print_help(void)
{
	(void)printf("Usage: messageapi --amqp URL --postgres URL [OPTION]...\n"
		     "Stores what tcpserver puts into RabbitMQ (--journal amqp://...) in PostgreSQL, and gives it back by gRPC.\n\n");
	options_print_help(options, stdout);
	(void)printf("\nVariables are MESSAGEAPI_LISTEN, MESSAGEAPI_AMQP and so on.\n");
}

/* Returns the exit status when that was all, or -1. */
static int read_options(int argc, char **argv)
{
	struct options_result result;

	if (options_parse(options, argc, argv, environ, &result) != 0)
		return usage(result.message);
	if (settings.help)
		print_help();
	else if (settings.completions >= 0)
		completions_print(settings.completions, "messageapi", options, false, stdout);
	else if (settings.version)
		(void)printf("messageapi %s\n", TCPCHAT_VERSION);
	if (settings.help || settings.version || settings.completions >= 0)
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (result.first_argument < argc)
		return usage("there are only options");
	if (settings.amqp == NULL || settings.postgres == NULL)
		return usage("--amqp URL and --postgres URL are needed");
	return -1;
}

/* ---- The two sides. ---- */

static struct {
	struct amqp_address address;
	struct engine *engine;
	struct progress progress;
	struct consumer consumer;
	struct service_context context;
	struct grpc_server *server;
	pthread_t thread;
} parts;

static void *run_consumer(void *context)
{
	thread_name("consumer");
	consumer_run(context);
	return NULL;
}

/* Tells a service manager. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = path == NULL ? 0 : strlen(path);
	int socket_;

	if (length == 0 || length >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (socket_ < 0)
		return;
	(void)sendto(socket_, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)); /* it is only told */
	(void)close(socket_);
}

static bool read_address(void)
{
	char secret[SECRET_SIZE];
	const char *password;
	const char *wrong;

	if (!secret_read("messageapi", "--amqp-password-file", settings.amqp_password_file, secret, &password))
		return false;
	wrong = amqp_address_parse(settings.amqp, password, &parts.address);
	explicit_bzero(secret, sizeof secret);
	secret_free(secret_take(settings.amqp));
	if (wrong != NULL)
		(void)fprintf(stderr, "messageapi: --amqp: %s\n", wrong);
	return wrong == NULL;
}

static bool make_engine(void)
{
	char secret[SECRET_SIZE];
	char *url = secret_take(settings.postgres);
	struct engine_options of_engine = {.url = url};
	char fault[ENGINE_FAULT_SIZE] = "there is no memory";
	bool made = false;

	if (url != NULL && secret_is_misread(url)) {
		(void)fprintf(stderr, "messageapi: --postgres: a '/' or '@' in the password of the URL has to be written as %%2F or %%40\n");
	} else if (url != NULL && secret_read("messageapi", "--postgres-password-file", settings.postgres_password_file, secret, &of_engine.password)) {
		made = postgres_engine_create(&of_engine, &parts.engine, fault) == 0;
		if (!made)
			(void)fprintf(stderr, "messageapi: --postgres: %s\n", fault);
		explicit_bzero(secret, sizeof secret);
	}
	secret_free(url);
	return made;
}

static int open_listener(char address[NET_ADDRESS_SIZE])
{
	struct net_place place;
	int listener = net_place_parse(settings.listen, "localhost", NULL, &place) ? net_listen(&place) : -EINVAL;

	if (listener < 0)
		(void)fprintf(stderr, "messageapi: cannot listen on %s: %s\n", settings.listen, strerror(-listener));
	else
		net_own_address(listener, address);
	return listener;
}

static bool start_parts(void)
{
	static char token[SECRET_SIZE];
	char address[NET_ADDRESS_SIZE];
	struct grpc_server_options of_server = {
		.methods = service_methods, .open = service_open, .close = service_close, .context = &parts.context};

	if (!secret_read("messageapi", "--token-file", settings.token_file, token, &of_server.token) || !read_address() || !make_engine())
		return false;
	of_server.socket = open_listener(address);
	if (of_server.socket < 0)
		return false;
	amqp_body_start();
	progress_init(&parts.progress);
	parts.context = (struct service_context){.engine = parts.engine, .progress = &parts.progress};
	parts.consumer = (struct consumer){.engine = parts.engine, .address = &parts.address, .progress = &parts.progress};
	if (grpc_server_start(&of_server, &parts.server) != 0 ||
		thread_start(&parts.thread, CONSUMER_STACK, run_consumer, &parts.consumer) != 0) {
		(void)fprintf(stderr, "messageapi: the system has no room for a thread\n");
		return false;
	}
	log_event(LOG_INFO, "listening", "address", address, NULL);
	return true;
}

static void stop_parts(void)
{
	progress_stop(&parts.progress);
	thread_join(parts.thread);
	grpc_server_stop(parts.server);
	progress_fini(&parts.progress);
	parts.engine->ops->destroy(parts.engine);
}

int main(int argc, char **argv)
{
	int status = read_options(argc, argv);
	sigset_t stop;
	int signal_;

	if (status >= 0)
		return status;
	log_start((enum log_level)settings.log_level, (enum log_format)settings.log_format);
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGINT);
	(void)sigaddset(&stop, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &stop, NULL); /* before there are threads */
	(void)signal(SIGPIPE, SIG_IGN);
	if (!start_parts())
		return EXIT_FAILURE;
	notify("READY=1");
	(void)sigwait(&stop, &signal_);
	notify("STOPPING=1");
	(void)pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* a second one ends it at once */
	log_event(LOG_INFO, "stopping", NULL);
	stop_parts();
	return EXIT_SUCCESS;
}
