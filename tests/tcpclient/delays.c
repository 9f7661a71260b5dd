#include "tcpclient/connection.h"

#include "tests/check.h"

TEST(the_first_attempt_comes_after_half_a_second_or_little_more)
{
	for (unsigned chance = 0; chance < 5000; chance++) {
		CHECK(connection_delay_ms(0, chance) >= 500);
		CHECK(connection_delay_ms(0, chance) <= 750);
	}
}

TEST(delays_grow_and_stay_within_half_a_second_and_half_a_minute)
{
	for (unsigned attempt = 0; attempt < 100; attempt++) {
		for (unsigned chance = 0; chance < 40000; chance += 7) {
			int delay = connection_delay_ms(attempt, chance);

			CHECK(delay >= 500 && delay <= 30000);
			CHECK(connection_delay_ms(attempt + 1, chance) >= 500);
		}
	}
	CHECK(connection_delay_ms(3, 0) > connection_delay_ms(1, 0xFFFFFFFF));
	CHECK(connection_delay_ms(50, 0) >= 20000);
}

TEST(not_everybody_comes_back_at_the_same_time)
{
	CHECK(connection_delay_ms(4, 0) != connection_delay_ms(4, 2000));
	CHECK(connection_delay_ms(50, 0) != connection_delay_ms(50, 2000));
}
