#include "tcpserver/core/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACTIVATION_FIRST = 3 }; /* SD_LISTEN_FDS_START */

/* A whole number in a variable that is set; -1: it is none. */
static long number_of(const char *value)
{
	char *end;
	long number;

	if (value[0] < '0' || value[0] > '9')
		return -1;
	errno = 0;
	number = strtol(value, &end, 10);
	return errno == 0 && *end == '\0' ? number : -1;
}

/* What is wrong with a descriptor that shall be a listening TCP socket; NULL: nothing. */
static const char *fault_of_socket(int descriptor)
{
	int type = 0;
	int listens = 0;
	int family = 0;
	socklen_t size = sizeof type;

	if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
		return errno == EBADF ? "there is no such descriptor" : "it is no socket";
	(void)getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size); /* worked before */
	(void)getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size); /* the same */
	if (type != SOCK_STREAM || (family != AF_INET && family != AF_INET6))
		return "it is no TCP socket (ListenStream= with a port makes one)";
	return listens ? NULL : "it does not listen (the socket unit needs Accept=no)";
}

/* Sets flags of a descriptor that is open, which cannot fail. */
static void prepare_socket(int descriptor)
{
	(void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
	(void)fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

/* Copies the name up to the next colon. Returns what follows that. */
static const char *take_name(const char *names, char name[ACTIVATION_NAME_SIZE])
{
	size_t length = strcspn(names, ":");

	(void)snprintf(name, ACTIVATION_NAME_SIZE, "%.*s", (int)length, names);
	return names[length] == ':' ? names + length + 1 : names + length;
}

static int take_all(struct activation *sockets, int count, char fault[ACTIVATION_FAULT_SIZE])
{
	const char *names = getenv("LISTEN_FDNAMES");

	if (names == NULL)
		names = "";
	for (int i = 0; i < count; i++) {
		const char *why = fault_of_socket(ACTIVATION_FIRST + i);

		sockets[i].socket = ACTIVATION_FIRST + i;
		names = take_name(names, sockets[i].name);
		if (why != NULL) {
			(void)snprintf(fault, ACTIVATION_FAULT_SIZE, "descriptor %d, which was passed to listen on (named \"%.60s\"): %s",
				sockets[i].socket, sockets[i].name, why);
			return -EINVAL;
		}
		prepare_socket(sockets[i].socket);
	}
	return count;
}

static void forget_variables(void)
{
	(void)unsetenv("LISTEN_PID"); /* these names are right, so it cannot fail */
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

int activation_take(struct activation *sockets, size_t capacity, char fault[ACTIVATION_FAULT_SIZE])
{
	const char *process = getenv("LISTEN_PID");
	const char *value = getenv("LISTEN_FDS");
	long count;
	int result;

	if (process == NULL || value == NULL || number_of(process) != getpid())
		return 0; /* for another process, whose environment we have inherited */
	count = number_of(value);
	if (count < 0 || (size_t)count > capacity) {
		(void)snprintf(fault, ACTIVATION_FAULT_SIZE, "LISTEN_FDS=%.40s: the number of sockets to listen on is 0 to %zu", value,
			capacity);
		result = -EINVAL;
	} else {
		result = take_all(sockets, (int)count, fault);
	}
	forget_variables();
	return result;
}
