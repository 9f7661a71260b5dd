/*
 * The page that the server shows to browsers: one HTML, one CSS, one ES module, built into the program.
 *
 * The files are tcpserver/web/chat.{html,css,mjs} as they are; the build only copies their bytes (embed.cmake). The page
 * needs nothing but this server, and no inline script or style, so it works under WEB_CONTENT_SECURITY_POLICY.
 *
 * Threads: any; nothing here ever changes.
 */
#ifndef TCPSERVER_WEB_WEB_H
#define TCPSERVER_WEB_WEB_H

#include <stddef.h>

/* What a browser is told to let the page do. The sockets have to be named: 'self' does not mean them everywhere. */
#define WEB_CONTENT_SECURITY_POLICY \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " \
	"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct web_file {
	const char *path;  /* as in "/chat.css"                                 */
	const char *type;  /* for Content-Type                                  */
	const char *etag;  /* for ETag, in its quotes; another one for each content */
	const char *bytes;
	size_t size;
};

/*
 * The file for the path of a request, without its query: "/" and "/r/NAME" are the page, "/chat.css" and "/chat.mjs" what
 * it needs. NULL for any other path. NAME is not looked at; what is served elsewhere, as "/r/NAME.txt", is asked for before.
 */
const struct web_file *web_find(const char *path);

#endif
