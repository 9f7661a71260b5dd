#include "tcpserver/journals/sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/log.h"

enum {
	RESERVED_AHEAD = 1024 * 1024, /* bytes */
	INDEX_RESERVED = 1024 * 1024, /* bytes; the index of a log of 512 MiB */
};

static const char *sqlite_file_advice(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "make its directory, or choose another file with --journal sqlite:FILE";
	case EACCES:
	case EPERM:
	case EROFS:
		return "let the server's user write the file and its directory, or choose another file";
	case ENOSPC:
	case EDQUOT:
		return "make room on the disk";
	default:
		return "choose another file with --journal sqlite:FILE";
	}
}

static int sqlite_file_fault(int error, const char *path, const char *why, const char *advice, char *fault, size_t size)
{
	(void)snprintf(fault, size, "the journal %s cannot be opened: %s; %s", path, why, advice);
	return -error;
}

/* A new file is its owner's alone; one that was copied or restored may have become everybody's. */
static void sqlite_file_warn(const char *path, mode_t mode)
{
	char octal[8];

	if ((mode & 077) == 0)
		return;
	(void)snprintf(octal, sizeof octal, "%04o", (unsigned)mode & 07777);
	log_event(LOG_WARNING, "journal-open-to-others", "file", path, "mode", octal, "advice",
		"others may read what was said; chmod 600 this file, and those beside it that end with -wal and -shm", NULL);
}

/* A symbolic link or something else than a file may be a trap of another user: a name in /tmp, a pipe. */
static int sqlite_file_check(int descriptor, const char *path, char *fault, size_t fault_size)
{
	struct stat status;

	if (fstat(descriptor, &status) != 0)
		return sqlite_file_fault(errno, path, strerror(errno), sqlite_file_advice(errno), fault, fault_size);
	if (!S_ISREG(status.st_mode))
		return sqlite_file_fault(EINVAL, path, "it is not a file", sqlite_file_advice(0), fault, fault_size);
	if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
		sqlite_file_warn(path, status.st_mode);
		return 0;
	}
	if (errno == EWOULDBLOCK)
		return sqlite_file_fault(EBUSY, path, "another server uses it", "end that one, or choose another file",
			fault, fault_size);
	return sqlite_file_fault(errno, path, strerror(errno), sqlite_file_advice(errno), fault, fault_size);
}

int sqlite_file_lock(const char *path, char *fault, size_t fault_size)
{
	int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	int error;

	if (descriptor < 0 && errno == ELOOP)
		return sqlite_file_fault(
			ELOOP, path, "it is a symbolic link", "name the file itself", fault, fault_size);
	if (descriptor < 0)
		return sqlite_file_fault(errno, path, strerror(errno), sqlite_file_advice(errno), fault, fault_size);
	error = sqlite_file_check(descriptor, path, fault, fault_size);
	if (error == 0)
		return descriptor;
	(void)close(descriptor); /* nothing was written */
	return error;
}

void sqlite_file_unlock(int descriptor)
{
	(void)close(descriptor); /* SQLite wrote, and synced, by descriptors of its own */
}

/* Only what lies behind the end is asked for, so nothing is touched that somebody writes meanwhile. */
static int sqlite_file_grow(int descriptor, int64_t from, int64_t to)
{
	int result;

	do
		result = fallocate(descriptor, 0, from, to - from);
	while (result != 0 && errno == EINTR);
	return result == 0 ? 0 : -errno;
}

int sqlite_file_reserve(int descriptor, int64_t size)
{
	struct stat status;
	int error;

	if (fstat(descriptor, &status) != 0 || status.st_size >= size)
		return 0; /* what cannot be looked at fails when it is written */
	error = sqlite_file_grow(descriptor, status.st_size, size + RESERVED_AHEAD);
	if (error == -ENOSPC || error == -EDQUOT)
		error = sqlite_file_grow(descriptor, status.st_size, size);
	return error == -ENOSPC || error == -EDQUOT ? error : 0;
}

/* Whether a page of the file may have a place on the disk for a part of it alone. */
static bool sqlite_file_has_small_blocks(int descriptor)
{
	struct statvfs disk;

	return fstatvfs(descriptor, &disk) == 0 && disk.f_bsize < (unsigned long)sysconf(_SC_PAGESIZE);
}

int sqlite_file_reserve_index(const char *path)
{
	char *name;
	int descriptor = -1;

	if (asprintf(&name, "%s-shm", path) >= 0) {
		descriptor = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		free(name);
	}
	if (descriptor >= 0 && sqlite_file_has_small_blocks(descriptor))
		(void)fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, INDEX_RESERVED); /* without it all is as SQLite made it */
	return descriptor;
}

bool sqlite_file_is_there(const char *path, int descriptor)
{
	struct stat named;
	struct stat locked;

	return stat(path, &named) == 0 && fstat(descriptor, &locked) == 0 && named.st_dev == locked.st_dev &&
	       named.st_ino == locked.st_ino;
}
