/*
 * The files that embed.cmake made bytes of. For web.c alone.
 */
#ifndef TCPSERVER_WEB_FILES_H
#define TCPSERVER_WEB_FILES_H

#include "tcpserver/web/web.h"

enum {
	WEB_FILES = 3,
};

extern const struct web_file web_files[WEB_FILES];

#endif
