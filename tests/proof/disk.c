/*
 * A disk that a test can let fail, and that remembers in which order it was written (LD_PRELOAD).
 *
 * PROOF_DISK_FOLDER names the folder whose files are concerned, those of which the name ends with "-shm" left out: no database
 * relies on them after a power cut. PROOF_DISK_CONTROL names a file of at least sizeof(struct control) bytes, which the test maps
 * too (disk.py): it writes there what shall happen, and reads how often it happened. PROOF_DISK_LOG, if it is set, names a file to
 * which each change is appended, in the order in which they happened, and each fsync(); the test makes of it what a disk holds
 * after a power cut.
 *
 * Named notes.
 * ORDER: a write is logged and done under one mutex, so that the log has the order of the file. An fsync() is logged after it was
 * done, and before its caller knows: what it covers is what was logged when it began, and its record says that.
 *
 * Threads: any.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DESCRIPTORS = 1 << 16 };

/* The fields and their order are known to disk.py. A zero: nothing of that kind fails. */
struct control {
	_Atomic uint32_t loaded;       /* set by us                                                          */
	_Atomic uint32_t skips_sync;   /* fsync() is logged, and not done: it takes time and shows nothing here */
	_Atomic uint32_t write_errno;  /* of each write()                                                    */
	_Atomic uint32_t write_each;   /* only of each n-th                                                  */
	_Atomic uint32_t grow_errno;   /* of each write() or truncation that makes a file longer: a full disk */
	_Atomic uint32_t cut_writes;   /* those that fail write half of what they should                     */
	_Atomic uint32_t sync_errno;   /* of each fsync()                                                    */
	_Atomic uint32_t open_errno;   /* of each open() for writing                                         */
	_Atomic uint32_t read_errno;   /* of each read                                                       */
	_Atomic uint32_t read_each;
	_Atomic uint32_t writes;       /* from here on: how often it has happened                            */
	_Atomic uint32_t syncs;
	_Atomic uint32_t writes_failed;
	_Atomic uint32_t syncs_failed;
	_Atomic uint32_t opens_failed;
	_Atomic uint32_t reads_failed;
	_Atomic uint32_t reads;
};

enum change {
	CHANGE_CREATE = 1, /* the path follows                                   */
	CHANGE_OPEN,       /* of a file that was there; the path follows          */
	CHANGE_WRITE,      /* at 'offset'; the bytes follow                       */
	CHANGE_TRUNCATE,   /* to 'offset' bytes                                   */
	CHANGE_SYNC,       /* of what was logged before the log had 'offset' bytes */
	CHANGE_UNLINK,     /* the path follows                                    */
	CHANGE_SYNC_FOLDER,
};

/* Stands before each change in the log. */
struct record {
	uint32_t change;
	uint32_t size; /* of what follows */
	uint64_t file; /* the inode       */
	uint64_t offset;
};

static struct control nothing;
static struct control *control = &nothing;
static const char *folder;
static int log_descriptor = -1;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t log_size;
static _Atomic uint64_t files[DESCRIPTORS]; /* the inodes of open files that are concerned; 0: it is not */
static _Atomic bool is_folder[DESCRIPTORS];

/* The real function of this name, which a function of the same type stands in for. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void load(void)
{
	const char *path = getenv("PROOF_DISK_CONTROL");
	const char *log_path = getenv("PROOF_DISK_LOG");
	int file = path == NULL ? -1 : REAL(open)(path, O_RDWR | O_CLOEXEC);
	void *map;

	if (file < 0)
		return;
	map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	(void)REAL(close)(file);
	if (map == MAP_FAILED)
		return;
	if (log_path != NULL)
		log_descriptor = REAL(open)(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log_descriptor >= 0)
		log_size = (uint64_t)lseek(log_descriptor, 0, SEEK_END);
	control = map;
	folder = getenv("PROOF_DISK_FOLDER");
	control->loaded = folder != NULL && (log_path == NULL || log_descriptor >= 0);
}

/* Under the mutex. */
static void append(enum change change, uint64_t file, uint64_t offset, const void *bytes, size_t size)
{
	struct record record = {.change = change, .size = (uint32_t)size, .file = file, .offset = offset};
	struct iovec parts[] = {{&record, sizeof record}, {(void *)(uintptr_t)bytes, size}};

	if (log_descriptor < 0)
		return;
	if (writev(log_descriptor, parts, size == 0 ? 1 : 2) != (ssize_t)(sizeof record + size))
		abort(); /* a proof with a hole is none */
	log_size += sizeof record + size;
}

static uint64_t concerned(int descriptor)
{
	return descriptor >= 0 && descriptor < DESCRIPTORS ? files[descriptor] : 0;
}

static bool is_each(_Atomic uint32_t *count, uint32_t each)
{
	uint32_t number = ++*count;

	return each == 0 || number % each == 0;
}

static int fail(uint32_t error, _Atomic uint32_t *count)
{
	++*count;
	errno = (int)error;
	return -1;
}

/* ---- Opening and closing. ---- */

static bool is_ours(const char *path)
{
	size_t size = folder == NULL ? 0 : strlen(folder);
	size_t length = strlen(path);

	return size > 0 && strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0') &&
		!(length > 4 && strcmp(path + length - 4, "-shm") == 0);
}

static int opened(int descriptor, const char *path, bool existed)
{
	struct stat status;

	if (descriptor < 0 || descriptor >= DESCRIPTORS || fstat(descriptor, &status) != 0)
		return descriptor;
	is_folder[descriptor] = S_ISDIR(status.st_mode);
	files[descriptor] = status.st_ino;
	if (S_ISDIR(status.st_mode))
		return descriptor;
	(void)pthread_mutex_lock(&log_mutex);
	append(existed ? CHANGE_OPEN : CHANGE_CREATE, status.st_ino, 0, path, strlen(path));
	(void)pthread_mutex_unlock(&log_mutex);
	return descriptor;
}

static int open_file(const char *path, int flags, mode_t mode)
{
	bool existed;

	if (!is_ours(path))
		return REAL(open)(path, flags, mode);
	if ((flags & O_ACCMODE) != O_RDONLY && control->open_errno != 0)
		return fail(control->open_errno, &control->opens_failed);
	existed = access(path, F_OK) == 0;
	return opened(REAL(open)(path, flags, mode), path, existed);
}

static mode_t mode_of(int flags, va_list arguments)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_file(path, flags, mode);
}

int close(int descriptor)
{
	if (descriptor >= 0 && descriptor < DESCRIPTORS)
		files[descriptor] = 0;
	return REAL(close)(descriptor);
}

int unlink(const char *path)
{
	int result;

	if (!is_ours(path))
		return REAL(unlink)(path);
	if (control->open_errno != 0)
		return fail(control->open_errno, &control->opens_failed);
	(void)pthread_mutex_lock(&log_mutex);
	result = REAL(unlink)(path);
	if (result == 0)
		append(CHANGE_UNLINK, 0, 0, path, strlen(path));
	(void)pthread_mutex_unlock(&log_mutex);
	return result;
}

/* ---- Writing. ---- */

static bool grows(int descriptor, uint64_t end)
{
	struct stat status;

	return fstat(descriptor, &status) == 0 && end > (uint64_t)status.st_size;
}

/* The error of a write that ends at 'end'; 0: none. */
static uint32_t write_fault(int descriptor, uint64_t end)
{
	if (control->write_errno != 0 && is_each(&control->writes, control->write_each))
		return control->write_errno;
	return control->grow_errno != 0 && grows(descriptor, end) ? control->grow_errno : 0;
}

static ssize_t write_at(int descriptor, const void *bytes, size_t size, off_t offset)
{
	uint64_t file = concerned(descriptor);
	uint32_t error;
	ssize_t written;

	if (file == 0)
		return REAL(pwrite)(descriptor, bytes, size, offset);
	error = write_fault(descriptor, (uint64_t)offset + size);
	if (error != 0 && (control->cut_writes == 0 || size < 2))
		return fail(error, &control->writes_failed);
	if (error != 0)
		size /= 2; /* the rest is tried again, and fails then */
	(void)pthread_mutex_lock(&log_mutex);
	written = REAL(pwrite)(descriptor, bytes, size, offset);
	if (written > 0)
		append(CHANGE_WRITE, file, (uint64_t)offset, bytes, (size_t)written);
	(void)pthread_mutex_unlock(&log_mutex);
	return written;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset)
{
	return write_at(descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset)
{
	return write_at(descriptor, bytes, size, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t size)
{
	ssize_t written;

	if (concerned(descriptor) == 0)
		return REAL(write)(descriptor, bytes, size);
	written = write_at(descriptor, bytes, size, lseek(descriptor, 0, SEEK_CUR));
	if (written > 0)
		(void)lseek(descriptor, written, SEEK_CUR);
	return written;
}

static int truncate_to(int descriptor, off_t size)
{
	uint64_t file = concerned(descriptor);
	int result;

	if (file == 0)
		return REAL(ftruncate)(descriptor, size);
	if (control->write_errno != 0 || (control->grow_errno != 0 && grows(descriptor, (uint64_t)size)))
		return fail(control->write_errno != 0 ? control->write_errno : control->grow_errno, &control->writes_failed);
	(void)pthread_mutex_lock(&log_mutex);
	result = REAL(ftruncate)(descriptor, size);
	if (result == 0)
		append(CHANGE_TRUNCATE, file, (uint64_t)size, NULL, 0);
	(void)pthread_mutex_unlock(&log_mutex);
	return result;
}

int ftruncate(int descriptor, off_t size)
{
	return truncate_to(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size)
{
	return truncate_to(descriptor, size);
}

/* To make a file longer, as the server does it; of what comes after a power cut, it is a truncation. */
static int allocate(int descriptor, int mode, off_t offset, off_t size)
{
	uint64_t file = concerned(descriptor);
	int result;

	if (file == 0 || mode != 0)
		return REAL(fallocate)(descriptor, mode, offset, size);
	if (control->grow_errno != 0 && grows(descriptor, (uint64_t)(offset + size)))
		return fail(control->grow_errno, &control->writes_failed);
	(void)pthread_mutex_lock(&log_mutex);
	result = REAL(fallocate)(descriptor, mode, offset, size);
	if (result == 0)
		append(CHANGE_TRUNCATE, file, (uint64_t)(offset + size), NULL, 0);
	(void)pthread_mutex_unlock(&log_mutex);
	return result;
}

int fallocate(int descriptor, int mode, off_t offset, off_t size)
{
	return allocate(descriptor, mode, offset, size);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t size)
{
	return allocate(descriptor, mode, offset, size);
}

/* ---- Keeping. ---- */

static int synchronize(int descriptor, int (*really)(int descriptor))
{
	uint64_t file = concerned(descriptor);
	uint64_t covered;

	if (file == 0)
		return really(descriptor);
	++control->syncs;
	if (control->sync_errno != 0)
		return fail(control->sync_errno, &control->syncs_failed);
	(void)pthread_mutex_lock(&log_mutex);
	covered = log_size;
	(void)pthread_mutex_unlock(&log_mutex);
	if (control->skips_sync == 0 && really(descriptor) != 0)
		return -1;
	(void)pthread_mutex_lock(&log_mutex);
	append(is_folder[descriptor] ? CHANGE_SYNC_FOLDER : CHANGE_SYNC, file, covered, NULL, 0);
	(void)pthread_mutex_unlock(&log_mutex);
	return 0;
}

int fsync(int descriptor)
{
	return synchronize(descriptor, REAL(fsync));
}

int fdatasync(int descriptor)
{
	return synchronize(descriptor, REAL(fdatasync));
}

/* ---- Reading. ---- */

static bool read_fails(int descriptor)
{
	return control->read_errno != 0 && concerned(descriptor) != 0 && is_each(&control->reads, control->read_each);
}

static ssize_t read_at(int descriptor, void *bytes, size_t size, off_t offset)
{
	if (read_fails(descriptor))
		return fail(control->read_errno, &control->reads_failed);
	return REAL(pread)(descriptor, bytes, size, offset);
}

ssize_t pread(int descriptor, void *bytes, size_t size, off_t offset)
{
	return read_at(descriptor, bytes, size, offset);
}

ssize_t pread64(int descriptor, void *bytes, size_t size, off64_t offset)
{
	return read_at(descriptor, bytes, size, offset);
}
