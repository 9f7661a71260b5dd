#include "tcpserver/journals/redis_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool command_reserve(struct redis_command *command, size_t size)
{
	size_t capacity = command->capacity == 0 ? 512 : command->capacity;
	char *bytes;

	while (capacity - command->size < size)
		capacity *= 2;
	bytes = capacity == command->capacity ? command->bytes : realloc(command->bytes, capacity);
	if (bytes == NULL || command->lacks_memory) {
		command->lacks_memory = true;
		return false;
	}
	command->bytes = bytes;
	command->capacity = capacity;
	return true;
}

static void command_add(struct redis_command *command, const char *bytes, size_t size)
{
	if (size > 0)
		memcpy(command->bytes + command->size, bytes, size);
	command->size += size;
}

void redis_command_both(struct redis_command *command, const char *first, size_t first_size, const char *second, size_t second_size)
{
	char length[24];
	size_t length_size = (size_t)snprintf(length, sizeof length, "$%zu\r\n", first_size + second_size);

	if (!command_reserve(command, length_size + first_size + second_size + 2))
		return;
	command_add(command, length, length_size);
	command_add(command, first, first_size);
	command_add(command, second, second_size);
	command_add(command, "\r\n", 2);
	command->words++;
}

void redis_command_bytes(struct redis_command *command, const char *bytes, size_t size)
{
	redis_command_both(command, bytes, size, "", 0);
}

void redis_command_text(struct redis_command *command, const char *text)
{
	redis_command_bytes(command, text, strlen(text));
}

void redis_command_number(struct redis_command *command, uint64_t number)
{
	char digits[24];

	redis_command_bytes(command, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number));
}

void redis_command_client(struct redis_command *command, const unsigned char client[CLIENT_ID_SIZE])
{
	char digits[2 * CLIENT_ID_SIZE];

	for (size_t i = 0; i < sizeof digits; i++)
		digits[i] = "0123456789abcdef"[client[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
	redis_command_bytes(command, digits, sizeof digits);
}

void redis_command_free(struct redis_command *command)
{
	free(command->bytes);
	*command = (struct redis_command){0};
}
