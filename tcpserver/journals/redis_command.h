/*
 * A command for Redis: words, as they go over the wire. The first lack of memory is noted, and what follows has no effect.
 *
 * Threads: one at a time.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_COMMAND_H
#define TCPSERVER_JOURNALS_REDIS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/client_list.h"

/* All zero at first; and again after redis_command_free(). */
struct redis_command {
	char *bytes;
	size_t size;
	size_t capacity;
	size_t words;
	bool lacks_memory;
};

void redis_command_text(struct redis_command *command, const char *text);
void redis_command_bytes(struct redis_command *command, const char *bytes, size_t size);
/* Two that make one word. */
void redis_command_both(struct redis_command *command, const char *first, size_t first_size, const char *second, size_t second_size);
void redis_command_number(struct redis_command *command, uint64_t number);
/* As hex digits. */
void redis_command_client(struct redis_command *command, const unsigned char client[CLIENT_ID_SIZE]);
void redis_command_free(struct redis_command *command);

#endif
