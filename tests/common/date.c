#include "common/date.h"

#include <stdio.h>

#include "tests/check.h"

static void check_date(const char *text, int64_t seconds, int64_t ns)
{
	int64_t at_ns = -1;

	if (!date_parse(text, &at_ns))
		FAIL("refused: %s", text);
	CHECK_EQUAL(at_ns, seconds * 1000000000 + ns);
}

TEST(a_date_is_the_beginning_of_what_it_names)
{
	check_date("1970-01-01", 0, 0);
	check_date("2026-11-21", 1795219200, 0);
	check_date("2026-11-21T08:00", 1795248000, 0);
	check_date("2026-11-21T08:00:05", 1795248005, 0);
	check_date("2026-11-21T08:00:05Z", 1795248005, 0);
	check_date("2026-11-21T08:00Z", 1795248000, 0);
	check_date("2026-11-21Z", 1795219200, 0);
	check_date("2028-02-29", 1835395200, 0);
	check_date("2199-12-31T23:59:59.999999999Z", 7258118399, 999999999);
}

TEST(a_fraction_may_have_any_number_of_digits)
{
	check_date("2026-11-21T08:00:05.1", 1795248005, 100000000);
	check_date("2026-11-21T08:00:05.123Z", 1795248005, 123000000);
	check_date("2026-11-21T08:00:05.000000001", 1795248005, 1);
	check_date("2026-11-21T08:00:05.0000000019999999999999999999999Z", 1795248005, 1);
}

TEST(what_is_no_date_is_refused)
{
	static const char *const texts[] = {"", "x", "2026", "2026-11", "2026-11-", "2026-13-01", "2026-00-01", "2026-11-00",
		"2026-11-31", "2026-02-29", "2026-02-30", "2026-11-21T", "2026-11-21T08", "2026-11-21T24:00", "2026-11-21T08:60",
		"2026-11-21 08:00", " 2026-11-21", "+2026-11-21", "2026- 1-21", "2026-11-+1", "2026-11-21 ", "2026-11-21T08:00:05+01:00", "2026-11-21T08:00:05ZZ",
		"2026-11-21T08:00:05.Z", "2026-11-21T08:00.5", "1969-12-31", "2301-01-01", "-2026-11-21", "99999-11-21", "21.11.2026"};
	int64_t at_ns = 42;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (date_parse(texts[i], &at_ns))
			FAIL("taken: %s", texts[i]);
		CHECK_EQUAL(at_ns, 42);
	}
}

static void check_text_of(int64_t at_ns, const char *expected)
{
	char text[DATE_SIZE];

	date_format(at_ns, text);
	CHECK_TEXT(text, expected);
}

TEST(a_date_is_written_to_the_second)
{
	check_text_of(0, "1970-01-01 00:00:00Z");
	check_text_of(INT64_C(1795248005999999999), "2026-11-21 08:00:05Z");
	check_text_of(INT64_MAX, "2262-04-11 23:47:16Z");
}
