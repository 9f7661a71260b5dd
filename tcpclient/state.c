#include "tcpclient/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

char *state_history_path(const struct net_place *place)
{
	char *folder = state_folder();
	char *path = NULL;
	char host[NET_HOST_SIZE];

	if (folder == NULL)
		return NULL;
	(void)snprintf(host, sizeof host, "%s", place->host);
	for (char *slash = host; (slash = strpbrk(slash, "/:")) != NULL;)
		*slash = '_'; /* of an IPv6 address */
	if (!make_folders(folder) || asprintf(&path, "%shistory-%s-%s", folder, host, place->port) < 0)
		path = NULL;
	free(folder);
	return path;
}
