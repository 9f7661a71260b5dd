#include "tcpclient/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_SIZE_MAX = 240 }; /* of a file, so that there is room for "-15" and ".new" */

/* Makes all folders of 'path', which ends with '/'. */
static bool make_folders(char *path)
{
	for (char *end = strchr(path + 1, '/'); end != NULL; end = strchr(end + 1, '/')) {
		*end = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
			return false;
		*end = '/';
	}
	return true;
}

/* With '/' at its end. */
static char *state_folder(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	char *path = NULL;
	int size = -1;

	if (state != NULL && state[0] == '/')
		size = asprintf(&path, "%s/tcpclient/", state);
	else if (home != NULL && home[0] == '/')
		size = asprintf(&path, "%s/.local/state/tcpclient/", home);
	return size < 0 ? NULL : path;
}

/* What may not stand in the name of a file is "_" there. */
static void mend_name(char *name)
{
	for (char *bad = name; (bad = strpbrk(bad, "/:")) != NULL;)
		*bad = '_'; /* ':' is of an IPv6 address */
}

/* The file of a server and perhaps a user, in new memory; NULL when there is no memory. */
static char *name_of(const char *kind, const struct net_place *place, const char *user)
{
	char *name = NULL;
	int size = user == NULL ? asprintf(&name, "%s-%s-%s", kind, place->host, place->port)
				: asprintf(&name, "%s-%s-%s-%s", kind, place->host, place->port, user);

	if (size < 0)
		return NULL;
	mend_name(name);
	if (size > NAME_SIZE_MAX)
		name[NAME_SIZE_MAX] = '\0';
	return name;
}

static char *path_of(const char *kind, const struct net_place *place, const char *user)
{
	char *folder = state_folder();
	char *name = name_of(kind, place, user);
	char *path = NULL;

	if (folder == NULL || name == NULL || !make_folders(folder) || asprintf(&path, "%s%s", folder, name) < 0)
		path = NULL;
	free(folder);
	free(name);
	return path;
}

char *state_history_path(const struct net_place *place)
{
	return path_of("history", place, NULL);
}

char *state_pins_path(void)
{
	char *folder = state_folder();
	char *path = NULL;

	if (folder == NULL || !make_folders(folder) || asprintf(&path, "%sknown-servers", folder) < 0)
		path = NULL;
	free(folder);
	return path;
}

char *state_ignored_path(const struct net_place *place)
{
	return path_of("ignored", place, NULL);
}

char *state_unsent_path(const struct net_place *place, const char *user)
{
	return path_of("unsent", place, user);
}

char *state_progress_path(const struct net_place *place, const char *user)
{
	return path_of("progress", place, user);
}
