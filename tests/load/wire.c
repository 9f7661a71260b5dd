#include "tests/load/wire.h"

#include <assert.h>
#include <string.h>

enum {
	WIRE_STAMP_AT = WIRE_NUMBER_SIZE + 1,
	WIRE_PADDING_AT = WIRE_STAMP_AT + WIRE_STAMP_SIZE + 1,
};

#define WIRE_PADDING_4(text) text text text text
#define WIRE_PADDING_20(text)                                                                                          \
	WIRE_PADDING_4(text) WIRE_PADDING_4(text) WIRE_PADDING_4(text) WIRE_PADDING_4(text) WIRE_PADDING_4(text)

/* What every line holds behind its fields; as long as the longest line needs. */
static const char wire_padding[] =
	WIRE_PADDING_20("abcdefghijklmnopqrstuvwxyz") WIRE_PADDING_20("abcdefghijklmnopqrstuvwxyz");

static_assert(sizeof wire_padding > WIRE_LINE_MAX, "a line may be longer than its padding");

static void wire_write_digits(char *text, int count, unsigned base, uint64_t value)
{
	for (int i = count - 1; i >= 0; i--) {
		text[i] = "0123456789abcdef"[value % base];
		value /= base;
	}
}

static bool wire_read_digits(const char *text, int count, unsigned base, uint64_t *value)
{
	uint64_t sum = 0;

	for (int i = 0; i < count; i++) {
		unsigned digit;

		if (text[i] >= '0' && text[i] <= '9')
			digit = (unsigned)(text[i] - '0');
		else if (base == 16 && text[i] >= 'a' && text[i] <= 'f')
			digit = (unsigned)(text[i] - 'a') + 10;
		else
			return false;
		sum = sum * base + digit;
	}
	*value = sum;
	return true;
}

size_t wire_record_size(size_t line_size)
{
	return line_size + WIRE_HEAD_SIZE;
}

void wire_write_line(char *line, size_t line_size, uint64_t number, uint64_t stamp_ns)
{
	assert(line_size >= WIRE_LINE_MIN && line_size <= WIRE_LINE_MAX);
	wire_write_digits(line, WIRE_NUMBER_SIZE, 10, number);
	line[WIRE_NUMBER_SIZE] = ' ';
	wire_write_digits(line + WIRE_STAMP_AT, WIRE_STAMP_SIZE, 16, stamp_ns);
	line[WIRE_PADDING_AT - 1] = ' ';
	memcpy(line + WIRE_PADDING_AT, wire_padding, line_size - 1 - WIRE_PADDING_AT);
	line[line_size - 1] = '\n';
}

void wire_write_record(char *record, size_t line_size, unsigned sender, uint64_t number)
{
	record[0] = 's';
	wire_write_digits(record + 1, WIRE_NAME_SIZE - 1, 10, sender);
	memcpy(record + WIRE_NAME_SIZE, ": ", 2);
	wire_write_line(record + WIRE_HEAD_SIZE, line_size, number, 0);
}

void wire_step_line(char *line)
{
	for (int i = WIRE_NUMBER_SIZE - 1; i >= 0; i--) {
		if (line[i] != '9') {
			line[i]++;
			return;
		}
		line[i] = '0';
	}
}

bool wire_read_line(const char *line, size_t size, uint64_t *number, uint64_t *stamp_ns)
{
	if (size < WIRE_LINE_MIN || size > WIRE_LINE_MAX || line[size - 1] != '\n')
		return false;
	if (line[WIRE_NUMBER_SIZE] != ' ' || line[WIRE_PADDING_AT - 1] != ' ')
		return false;
	if (memcmp(line + WIRE_PADDING_AT, wire_padding, size - 1 - WIRE_PADDING_AT) != 0)
		return false;
	return wire_read_digits(line, WIRE_NUMBER_SIZE, 10, number) &&
	       wire_read_digits(line + WIRE_STAMP_AT, WIRE_STAMP_SIZE, 16, stamp_ns);
}

bool wire_read_record(const char *record, size_t size, struct wire_fields *fields)
{
	struct wire_fields read;
	uint64_t sender;

	if (size <= WIRE_HEAD_SIZE || record[0] != 's' || memcmp(record + WIRE_NAME_SIZE, ": ", 2) != 0)
		return false;
	if (!wire_read_digits(record + 1, WIRE_NAME_SIZE - 1, 10, &sender))
		return false;
	if (!wire_read_line(record + WIRE_HEAD_SIZE, size - WIRE_HEAD_SIZE, &read.number, &read.stamp_ns))
		return false;
	read.sender = (unsigned)sender;
	*fields = read;
	return true;
}
