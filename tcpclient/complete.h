/*
 * What Tab offers: commands, the names of rooms after the commands that take one, and the names of people.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_COMPLETE_H
#define TCPCLIENT_COMPLETE_H

#include <stddef.h>

#include "tcpclient/buffer.h"
#include "tcpclient/people.h"

/*
 * Adds to 'out' what the word before 'point' becomes at the Tab with number 'turn', 0 and up; after the last possibility
 * comes the first again. Returns where the word begins; 'out' stays empty when nothing begins like it.
 */
size_t complete(const char *line, size_t point, size_t turn, const struct people *people, const struct people *rooms,
	struct buffer *out);

#endif
