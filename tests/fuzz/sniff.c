/*
 * The first bytes of anything: what is decided stays so, whatever follows, and SNIFF_SIZE bytes decide.
 *
 * Input: the bytes.
 */
#include "tcpserver/doors/sniff.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	enum protocol last = PROTOCOL_OPEN;

	for (size_t length = 0; length <= size && length <= 2 * SNIFF_SIZE; length++) {
		enum protocol now = sniff_protocol(bytes, length);

		MUST(last == PROTOCOL_OPEN || now == last);
		last = now;
	}
	MUST(last != PROTOCOL_OPEN || size < SNIFF_SIZE);
	return 0;
}
