/*
 * Lets system calls of a program fail in ways that a test chooses, while it runs (LD_PRELOAD).
 *
 * TALK_FAULTS names a file of at least sizeof(struct faults) bytes, which the test maps too: it writes what shall happen,
 * and reads how often it has happened. Nothing happens while a field is zero. Sockets, threads, memory, reading and writing of files are concerned.
 *
 * Threads: any; the fields are atomic counters, and nothing here keeps another state.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The fields and their order are known to faults.py. */
struct faults {
	_Atomic uint32_t loaded;         /* set by us                                                     */
	_Atomic uint32_t create_fails;   /* how many pthread_create() fail from now on                     */
	_Atomic uint32_t accept_fails;   /* how many accept4() fail, with the next field as errno          */
	_Atomic uint32_t accept_errno;
	_Atomic uint32_t send_most;      /* bytes that a send() takes at most                              */
	_Atomic uint32_t send_full_each; /* each n-th send() finds the socket full                         */
	_Atomic uint32_t send_fails;     /* how many send() fail, with the next field as errno             */
	_Atomic uint32_t send_errno;
	_Atomic uint32_t receive_most;   /* bytes that a recv() gives at most                              */
	_Atomic uint32_t interrupt_each; /* each n-th call of accept4(), send(), recv(), ppoll() gives EINTR */
	_Atomic uint32_t memory_fails;   /* how many malloc() and calloc() of the next two sizes fail      */
	_Atomic uint32_t memory_least;   /* bytes */
	_Atomic uint32_t memory_most;
	_Atomic uint32_t read_fails;     /* how many pread() fail with EIO                                 */
	_Atomic uint32_t read_slow_ms;   /* that each pread() takes                                        */
	_Atomic uint32_t write_fails;    /* how many pwrite() fail with ENOSPC                             */
	_Atomic uint32_t create_failed;  /* from here on: how often it has happened                        */
	_Atomic uint32_t accept_failed;
	_Atomic uint32_t send_cut;
	_Atomic uint32_t send_full;
	_Atomic uint32_t send_failed;
	_Atomic uint32_t receive_cut;
	_Atomic uint32_t interrupted;
	_Atomic uint32_t calls;          /* of functions that may be interrupted */
	_Atomic uint32_t sends;
	_Atomic uint32_t memory_failed;
	_Atomic uint32_t read_failed;
	_Atomic uint32_t write_failed;
};

static struct faults nothing;
static struct faults *faults = &nothing;

__attribute__((constructor)) static void load(void)
{
	const char *path = getenv("TALK_FAULTS");
	int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *map;

	if (file < 0)
		return;
	map = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	(void)close(file);
	if (map == MAP_FAILED)
		return;
	faults = map;
	faults->loaded = 1;
}

/* Takes one of '*count' faults, and counts it. */
static int take(_Atomic uint32_t *count, _Atomic uint32_t *happened)
{
	uint32_t left = *count;

	while (left > 0) {
		if (atomic_compare_exchange_weak(count, &left, left - 1)) {
			++*happened;
			return 1;
		}
	}
	return 0;
}

static int is_each(uint32_t each, _Atomic uint32_t *calls, _Atomic uint32_t *happened)
{
	if (each == 0 || ++*calls % each != 0)
		return 0;
	++*happened;
	return 1;
}

static int interrupted(void)
{
	return is_each(faults->interrupt_each, &faults->calls, &faults->interrupted);
}

static int fail(uint32_t error)
{
	errno = (int)error;
	return -1;
}

/* The real function of this name, which a function of the same type stands in for. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*run)(void *),
	void *restrict argument)
{
	if (take(&faults->create_fails, &faults->create_failed))
		return EAGAIN;
	return REAL(pthread_create)(thread, attributes, run, argument);
}

int accept4(int listener, struct sockaddr *restrict address, socklen_t *restrict size, int flags)
{
	if (interrupted())
		return fail(EINTR);
	if (take(&faults->accept_fails, &faults->accept_failed))
		return fail(faults->accept_errno);
	return REAL(accept4)(listener, address, size, flags);
}

ssize_t send(int socket, const void *bytes, size_t size, int flags)
{
	uint32_t most = faults->send_most;

	if (interrupted())
		return fail(EINTR);
	if (take(&faults->send_fails, &faults->send_failed))
		return fail(faults->send_errno);
	if (is_each(faults->send_full_each, &faults->sends, &faults->send_full))
		return fail(EAGAIN);
	if (most > 0 && size > most) {
		size = most;
		++faults->send_cut;
	}
	return REAL(send)(socket, bytes, size, flags);
}

/* A slow disk. */
static void delay_read(void)
{
	uint32_t ms = faults->read_slow_ms;

	if (ms > 0)
		(void)poll(NULL, 0, (int)ms);
}

ssize_t pread(int file, void *bytes, size_t size, off_t place)
{
	delay_read();
	if (take(&faults->read_fails, &faults->read_failed))
		return fail(EIO);
	return REAL(pread)(file, bytes, size, place);
}

ssize_t pread64(int file, void *bytes, size_t size, off64_t place)
{
	delay_read();
	if (take(&faults->read_fails, &faults->read_failed))
		return fail(EIO);
	return REAL(pread64)(file, bytes, size, place);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t place)
{
	if (take(&faults->write_fails, &faults->write_failed))
		return fail(ENOSPC);
	return REAL(pwrite)(file, bytes, size, place);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t place)
{
	if (take(&faults->write_fails, &faults->write_failed))
		return fail(ENOSPC);
	return REAL(pwrite64)(file, bytes, size, place);
}

static ssize_t receive(int socket, void *bytes, size_t size, int flags)
{
	uint32_t most = faults->receive_most;

	if (interrupted())
		return fail(EINTR);
	if (most > 0 && size > most) {
		size = most;
		++faults->receive_cut;
	}
	return REAL(recv)(socket, bytes, size, flags);
}

ssize_t recv(int socket, void *bytes, size_t size, int flags)
{
	return receive(socket, bytes, size, flags);
}

int ppoll(struct pollfd *polls, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	if (interrupted())
		return fail(EINTR);
	return REAL(ppoll)(polls, count, timeout, mask);
}

/* ---- Memory. Not REAL(): dlsym() may want some. A sanitizer has functions of its own, before these. ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);

static int memory_fails(size_t size)
{
	return size >= faults->memory_least && size <= faults->memory_most && take(&faults->memory_fails, &faults->memory_failed);
}

void *malloc(size_t size)
{
	if (!memory_fails(size))
		return __libc_malloc(size);
	errno = ENOMEM;
	return NULL;
}

void *calloc(size_t count, size_t size)
{
	if (!memory_fails(count * size)) /* what overflows is left to the real one */
		return __libc_calloc(count, size);
	errno = ENOMEM;
	return NULL;
}

/* What these functions are called when _FORTIFY_SOURCE checks the sizes, which our own compiler settings do here too. */
ssize_t __recv_chk(int socket, void *bytes, size_t size, size_t room, int flags);
int __ppoll_chk(struct pollfd *polls, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);

ssize_t __recv_chk(int socket, void *bytes, size_t size, size_t room, int flags)
{
	if (size > room)
		abort();
	return receive(socket, bytes, size, flags);
}

int __ppoll_chk(struct pollfd *polls, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
	if (count > room / sizeof *polls)
		abort();
	return ppoll(polls, count, timeout, mask);
}
