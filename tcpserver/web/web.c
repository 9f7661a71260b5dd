#include "tcpserver/web/web.h"

#include <stdbool.h>
#include <string.h>

#include "tcpserver/web/files.h"

#define ROOM_PREFIX "/r/"

/* Whether the path is that of the page in a room; a room has no '/' in its name. */
static bool is_room(const char *path)
{
	const char *name = path + strlen(ROOM_PREFIX);

	return strncmp(path, ROOM_PREFIX, strlen(ROOM_PREFIX)) == 0 && name[0] != '\0' && strchr(name, '/') == NULL;
}

const struct web_file *web_find(const char *path)
{
	if (is_room(path))
		path = "/";
	for (size_t i = 0; i < WEB_FILES; i++) {
		if (strcmp(web_files[i].path, path) == 0)
			return &web_files[i];
	}
	return NULL;
}
