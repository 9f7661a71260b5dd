#include "tcpserver/core/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

bool notify_is_wanted(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path != NULL && (path[0] == '/' || path[0] == '@') && path[1] != '\0';
}

/* Returns the size of the address, or 0 when the path is too long. */
static socklen_t notify_address(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t size = strlen(path);

	if (size >= sizeof address->sun_path)
		return 0;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, size);
	if (path[0] == '@') /* an abstract name: a NUL stands first, and none at the end */
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] == '/' ? 1 : 0));
}

int notify_send(const char *lines)
{
	struct timeval second = {.tv_sec = 1};
	struct sockaddr_un address;
	socklen_t address_size;
	int error = 0;
	int sender;

	if (!notify_is_wanted())
		return 0;
	address_size = notify_address(&address);
	if (address_size == 0)
		return -ENAMETOOLONG;
	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sender < 0)
		return -errno;
	(void)setsockopt(sender, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second); /* if not, it may wait longer */
	if (sendto(sender, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&address, address_size) < 0)
		error = -errno;
	(void)close(sender); /* the datagram is gone, or the error is known */
	return error;
}

/* A number in a variable; -1: there is none, or it is no number. */
static long long number_of(const char *variable)
{
	const char *value = getenv(variable);
	char *end;
	long long number;

	if (value == NULL || value[0] < '0' || value[0] > '9')
		return -1;
	errno = 0;
	number = strtoll(value, &end, 10);
	return errno == 0 && *end == '\0' ? number : -1;
}

long long notify_watchdog_ms(void)
{
	long long microseconds = number_of("WATCHDOG_USEC");

	if (microseconds <= 0 || !notify_is_wanted())
		return 0;
	if (getenv("WATCHDOG_PID") != NULL && number_of("WATCHDOG_PID") != getpid())
		return 0;
	return microseconds < 2000 ? 2 : microseconds / 1000;
}
