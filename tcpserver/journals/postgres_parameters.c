#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/journals/postgres_link.h"

enum { BINARY = 1, HEADER_SIZE = 20, LEAST_CAPACITY = 256 };

static void put_u32(unsigned char *bytes, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(number >> (24 - 8 * i));
}

static void put_u64(unsigned char *bytes, uint64_t number)
{
	put_u32(bytes, (uint32_t)(number >> 32));
	put_u32(bytes + 4, (uint32_t)number);
}

static uint64_t get_big_endian(const char *bytes, int size)
{
	uint64_t number = 0;

	for (int i = 0; i < size; i++)
		number = number << 8 | (unsigned char)bytes[i];
	return number;
}

/* ---- Parameters. ---- */

static void add(struct postgres_parameters *parameters, Oid type, const void *value, size_t size)
{
	int at = parameters->count++;

	parameters->types[at] = type;
	parameters->values[at] = value;
	parameters->sizes[at] = (int)size;
	parameters->formats[at] = BINARY;
}

void postgres_add_text(struct postgres_parameters *parameters, const char *text)
{
	add(parameters, POSTGRES_TEXT, text, text == NULL ? 0 : strlen(text));
}

void postgres_add_number(struct postgres_parameters *parameters, int64_t number)
{
	unsigned char *bytes = parameters->numbers[parameters->count];

	put_u64(bytes, (uint64_t)number);
	add(parameters, POSTGRES_NUMBER, bytes, 8);
}

void postgres_add_bool(struct postgres_parameters *parameters, bool value)
{
	unsigned char *bytes = parameters->numbers[parameters->count];

	bytes[0] = value;
	add(parameters, POSTGRES_BOOL, bytes, 1);
}

void postgres_add_bytes(struct postgres_parameters *parameters, const void *bytes, size_t size)
{
	add(parameters, POSTGRES_BYTES, bytes, size);
}

/* ---- Arrays. ---- */

/* The type of arrays of 'element'. */
static Oid array_type(Oid element)
{
	return element == POSTGRES_TEXT ? 1009 : element == POSTGRES_NUMBER ? 1016 : 1001;
}

void postgres_array_init(struct postgres_array *array, Oid element)
{
	*array = (struct postgres_array){.element = element, .size = HEADER_SIZE};
}

void postgres_array_fini(struct postgres_array *array)
{
	free(array->bytes);
}

/* Room for 'size' bytes more. Returns where; NULL without memory. */
static unsigned char *array_grow(struct postgres_array *array, size_t size)
{
	size_t capacity = array->capacity == 0 ? LEAST_CAPACITY : array->capacity;
	unsigned char *bytes = array->bytes;

	while (capacity < array->size + size)
		capacity *= 2;
	if (capacity != array->capacity)
		bytes = realloc(bytes, capacity);
	if (bytes == NULL) {
		array->failed = true;
		return NULL;
	}
	array->bytes = bytes;
	array->capacity = capacity;
	bytes += array->size;
	array->size += size;
	return bytes;
}

void postgres_array_bytes(struct postgres_array *array, const void *bytes, size_t size)
{
	unsigned char *at = array_grow(array, 4 + size);

	if (at == NULL)
		return;
	put_u32(at, (uint32_t)size);
	if (size > 0)
		(void)memcpy(at + 4, bytes, size);
	array->count++;
}

void postgres_array_text(struct postgres_array *array, const char *text)
{
	postgres_array_bytes(array, text, strlen(text));
}

void postgres_array_number(struct postgres_array *array, int64_t number)
{
	unsigned char bytes[8];

	put_u64(bytes, (uint64_t)number);
	postgres_array_bytes(array, bytes, sizeof bytes);
}

/* The header: dimensions, whether there are NULLs, the type; of the only dimension its size, and its first index. */
int postgres_add_array(struct postgres_parameters *parameters, struct postgres_array *array)
{
	const uint32_t header[] = {array->count > 0, 0, (uint32_t)array->element, array->count, 1};

	if (array->bytes == NULL && !array->failed) {
		array->size = 0;
		(void)array_grow(array, HEADER_SIZE);
	}
	if (array->failed)
		return -ENOMEM;
	for (size_t i = 0; i < 5; i++)
		put_u32(array->bytes + 4 * i, header[i]);
	add(parameters, array_type(array->element), array->bytes, array->count > 0 ? array->size : 12);
	return 0;
}

/* ---- Results. ---- */

bool postgres_is_null(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) != 0;
}

int64_t postgres_number(const PGresult *result, int row, int column)
{
	int size = PQgetlength(result, row, column);

	if (size != 8)
		return 0;
	return (int64_t)get_big_endian(PQgetvalue(result, row, column), size);
}

bool postgres_bool(const PGresult *result, int row, int column)
{
	return PQgetlength(result, row, column) == 1 && PQgetvalue(result, row, column)[0] != 0;
}

const char *postgres_bytes(const PGresult *result, int row, int column, size_t *size)
{
	*size = (size_t)PQgetlength(result, row, column);
	return PQgetvalue(result, row, column);
}

bool postgres_copy(const PGresult *result, int row, int column, char *text, size_t size)
{
	size_t length;
	const char *bytes = postgres_bytes(result, row, column, &length);

	if (length >= size || !text_is_clean(bytes, length))
		return false;
	(void)memcpy(text, bytes, length);
	text[length] = '\0';
	return true;
}
