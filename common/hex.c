#include "common/hex.h"

#include <string.h>

int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
		return (digit | 0x20) - 'a' + 10;
	return -1;
}

bool hex_read(const char *text, unsigned char *bytes, size_t size)
{
	if (strlen(text) != 2 * size || strspn(text, "0123456789abcdefABCDEF") != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(16 * hex_digit(text[2 * i]) + hex_digit(text[2 * i + 1]));
	return true;
}
