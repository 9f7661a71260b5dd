#include "common/lines.h"

#include <string.h>

#include "tests/check.h"

TEST(a_line_ends_with_lf)
{
	struct lines lines;
	const char *line;
	size_t size;

	lines_init(&lines, 100);
	lines_feed(&lines, "hello\n", 6);
	CHECK_EQUAL(lines_next(&lines, &line, &size), LINES_LINE);
	CHECK_BYTES(line, size, "hello", 5);
	CHECK_EQUAL(lines_next(&lines, &line, &size), LINES_MORE);
	lines_fini(&lines);
}
