#include "common/grpc_status.h"

#include <stdbool.h>

#include "common/hex.h"

const char *grpc_code_name(int code)
{
	static const char *const names[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED",
		"NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
		"ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"};

	return code < 0 || (size_t)code >= sizeof names / sizeof *names ? "UNKNOWN" : names[code];
}

static bool is_plain(unsigned char byte)
{
	return byte >= ' ' && byte <= '~' && byte != '%';
}

size_t grpc_words_encode(const char *words, char *out)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t length = 0;

	for (size_t i = 0; i < GRPC_WORDS_SIZE - 1 && words[i] != '\0'; i++) {
		unsigned char byte = (unsigned char)words[i];

		if (is_plain(byte)) {
			out[length++] = words[i];
			continue;
		}
		out[length++] = '%';
		out[length++] = digits[byte >> 4];
		out[length++] = digits[byte & 15];
	}
	out[length] = '\0';
	return length;
}

/* Whether '%' and what stands behind it is an escape; of a NUL is none, for the words end with one. */
static bool is_escape(const char *field, size_t left)
{
	if (left < 3 || field[0] != '%' || hex_digit(field[1]) < 0 || hex_digit(field[2]) < 0)
		return false;
	return hex_digit(field[1]) + hex_digit(field[2]) > 0;
}

void grpc_words_decode(const char *field, size_t size, char words[GRPC_WORDS_SIZE])
{
	size_t length = 0;

	for (size_t i = 0; i < size && length < GRPC_WORDS_SIZE - 1; i++) {
		if (is_escape(field + i, size - i)) {
			words[length++] = (char)(hex_digit(field[i + 1]) << 4 | hex_digit(field[i + 2]));
			i += 2;
		} else {
			words[length++] = field[i];
		}
	}
	words[length] = '\0';
}
