/*
 * The file of known servers, which a person may have edited: whatever stands in it, a line that is added counts, and what is found
 * is what such a line says.
 *
 * Input: the file.
 */
#include "tcpclient/pins.h"

#include <stdio.h>

#include "tests/fuzz/fuzz.h"

static const char server[] = "chat:7777";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = fuzz_copy(bytes, size);
	unsigned char hash[TLS_HASH_SIZE] = {0};
	unsigned char again[TLS_HASH_SIZE] = {0};
	char fingerprint[TLS_FINGERPRINT_SIZE];
	char line[PINS_SERVER_SIZE + TLS_FINGERPRINT_SIZE + 8];
	char *longer;
	size_t line_size;

	(void)!pins_look_up(text, size, server, hash);
	hash[7] = 0x5A;
	tls_fingerprint_write(hash, fingerprint);
	line_size = (size_t)snprintf(line, sizeof line, "\n%s %s\n", server, fingerprint);
	longer = fuzz_room(size + line_size);
	memcpy(longer, text, size);
	memcpy(longer + size, line, line_size);
	MUST(pins_look_up(longer, size + line_size, server, again) == PIN_FOUND);
	MUST(memcmp(hash, again, sizeof hash) == 0);
	free(longer);
	free(text);
	return 0;
}
