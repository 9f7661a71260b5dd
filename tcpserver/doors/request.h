/*
 * Reads a request: a JSON object in a line of a client in event mode, which asks for a message to be said, or for a command.
 *
 *         struct request request;
 *
 *         request_read(&request, line, size);
 *         if (request.wrong != NULL) ...
 *         request_fini(&request);
 *
 * It does no input or output, and knows no session.
 *
 * Threads: any.
 * Source: RFC 8259 (JSON).
 */
#ifndef TCPSERVER_DOORS_REQUEST_H
#define TCPSERVER_DOORS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum {
	REQUEST_DEPTH_MAX = 8,     /* brackets in brackets; the parser calls itself for each, on a small stack */
	REQUEST_ID_SIZE_MAX = 100, /* bytes of an id, as JSON                                                  */
};

/* All texts are clean UTF-8, ended by NUL, and the request's own but for 'wrong' and 'command'. */
struct request {
	const char *wrong;   /* what is wrong with it, in words; then only 'id' has a meaning    */
	const char *command; /* the name of a command, which has 'arguments'; NULL: 'text' is to be said */
	char *arguments;
	char *room; /* where to say 'text'; NULL: where plain text goes             */
	char *text;
	char *id;    /* JSON, a string or a whole number; NULL: the client gave none */
	bool action; /* as /me                                                      */
	unsigned long long number; /* the id of a message to be said, if it is a number from 1 on; or 0 */
};

/* 'line' may hold any bytes. */
void request_read(struct request *request, const char *line, size_t size);
void request_fini(struct request *request);

/* Copies a text of many lines as one of one line, made safe: each LF, CR or CR LF becomes U+2424, a sign that shows. Returns
 * the bytes written, TEXT_CLEAN_SIZE(size) at most. 'out' may not overlap 'text'. */
size_t request_clean(const char *text, size_t size, char *out);

#endif
