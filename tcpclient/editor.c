#include "tcpclient/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_SIZE = 4096, TEXT_SIZE_MAX = 4 * 1024 * 1024 };

static bool write_text(int file, const struct buffer *text)
{
	size_t written = 0;

	while (written < text->size) {
		ssize_t size = write(file, text->bytes + written, text->size - written);

		if (size < 0 && errno != EINTR)
			return false;
		written += size > 0 ? (size_t)size : 0;
	}
	return true;
}

static bool read_text(const char *path, struct buffer *text)
{
	int file = open(path, O_RDONLY | O_CLOEXEC); /* anew: an editor may have put another file in its place */
	char bytes[READ_SIZE];
	ssize_t size = -1;

	if (file < 0)
		return false;
	buffer_clear(text);
	while (text->size < TEXT_SIZE_MAX && (size = read(file, bytes, sizeof bytes)) > 0)
		buffer_add(text, bytes, (size_t)size);
	(void)close(file);
	return size >= 0;
}

/* Returns whether it ended well. */
static bool run(char *path)
{
	char shell[] = "sh";
	char option[] = "-c";
	char command[] = "exec ${VISUAL:-${EDITOR:-vi}} \"$1\"";
	char *arguments[] = {shell, option, command, shell, path, NULL};
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t child;
	int status = 1;
	bool started;

	(void)sigemptyset(&none);
	if (posix_spawnattr_init(&attributes) != 0)
		return false;
	(void)posix_spawnattr_setsigmask(&attributes, &none); /* we have signals blocked, see talk.c */
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	started = posix_spawn(&child, "/bin/sh", NULL, &attributes, arguments, environ) == 0;
	(void)posix_spawnattr_destroy(&attributes);
	while (started && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return started && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool editor_run(struct buffer *text)
{
	const char *folder = getenv("TMPDIR");
	struct buffer edited = {0};
	char *path;
	bool done;
	int file;

	if (asprintf(&path, "%s/tcpclient-XXXXXX", folder != NULL && folder[0] == '/' ? folder : "/tmp") < 0)
		return false;
	file = mkostemp(path, O_CLOEXEC);
	done = file >= 0 && write_text(file, text);
	if (file >= 0)
		(void)close(file); /* what was not written is missed by the editor */
	done = done && run(path) && read_text(path, &edited);
	if (done) {
		buffer_clear(text);
		buffer_add(text, edited.bytes, edited.size);
	}
	if (file >= 0)
		(void)unlink(path);
	buffer_fini(&edited);
	free(path);
	return done;
}
