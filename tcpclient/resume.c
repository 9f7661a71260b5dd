#include "tcpclient/resume.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* A session of nothing that is kept. */
static void make_session(char session[UNSENT_SESSION_SIZE])
{
	unsigned char random[(UNSENT_SESSION_SIZE - 1) / 2];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return;
	for (size_t i = 0; i < sizeof random; i++)
		(void)snprintf(session + 2 * i, 3, "%02x", random[i]);
}

static void expect_rooms(const struct unsent *unsent, struct scene *scene)
{
	struct unsent_line line = {.number = 0};

	while (unsent_next(unsent, line.number, &line))
		scene_expect(scene, line.room);
}

struct resume resume_begin(const char *path, bool goes_on, struct outbox *outbox, struct scene *scene)
{
	struct resume resume = {.taken = 0};
	struct unsent *unsent = NULL;

	if (path == NULL || unsent_open(path, goes_on, &resume.left, &unsent) != 0) {
		make_session(resume.session);
		return resume;
	}
	resume.taken = unsent_count(unsent);
	memcpy(resume.session, unsent_session(unsent), UNSENT_SESSION_SIZE);
	expect_rooms(unsent, scene);
	outbox_keep(outbox, unsent);
	return resume;
}

void resume_tell(const struct resume *resume, struct buffer *out)
{
	if (resume->taken > 0)
		buffer_add_format(out, "(lines of the last time that are sent now: %zu)", resume->taken);
	else if (resume->left > 0)
		buffer_add_format(out, "(lines of an earlier time that were not sent: %zu; start with --continue to send them)",
			resume->left);
}
