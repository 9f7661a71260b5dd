#include "tcpclient/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_NAME_SIZE = 240 }; /* what a file system takes, less "history-" and the like */

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

/* A server and perhaps a user name as a part of a file's name: what may not stand there is "_". */
static void name_file(const struct net_place *place, const char *user, char name[FILE_NAME_SIZE])
{
	(void)snprintf(name, FILE_NAME_SIZE, "%s-%s%s%s", place->host, place->port, user == NULL ? "" : "-",
		user == NULL ? "" : user);
	for (char *bad = name; (bad = strpbrk(bad, "/:")) != NULL;)
		*bad = '_'; /* ':' is of an IPv6 address */
}

static char *path_of(const char *kind, const struct net_place *place, const char *user)
{
	char *folder = state_folder();
	char *path = NULL;
	char name[FILE_NAME_SIZE];

	if (folder == NULL)
		return NULL;
	name_file(place, user, name);
	if (!make_folders(folder) || asprintf(&path, "%s%s-%s", folder, kind, name) < 0)
		path = NULL;
	free(folder);
	return path;
}

char *state_history_path(const struct net_place *place)
{
	return path_of("history", place, NULL);
}

char *state_ignored_path(const struct net_place *place)
{
	return path_of("ignored", place, NULL);
}

char *state_unsent_path(const struct net_place *place, const char *user)
{
	return path_of("unsent", place, user);
}
