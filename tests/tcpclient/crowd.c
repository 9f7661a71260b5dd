#include "tcpclient/crowd.h"

#include <stdio.h>
#include <string.h>

#include "tests/check.h"

static struct crowd crowd;

/* "+ann -bob": ann came, bob went. */
static const char *told(const char *what)
{
	static struct buffer out;
	char words[1024];
	char *rest = NULL;

	(void)snprintf(words, sizeof words, "%s", what);
	crowd_clear(&crowd);
	for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
		(word[0] == '+' ? crowd_came : crowd_went)(&crowd, word + 1);
	buffer_clear(&out);
	crowd_tell(&crowd, &out);
	buffer_add(&out, "", 1);
	return out.bytes;
}

TEST(who_came_and_who_went_is_told)
{
	CHECK_TEXT(told(""), "");
	CHECK_TEXT(told("+ann"), "ann joined");
	CHECK_TEXT(told("+ann +eve -bob"), "ann, eve joined; bob left");
	CHECK_TEXT(told("-ann +eve"), "eve joined; ann left");
}

/* It was "badguy, badguy joined; badguy, badguy, q1, badguy left". */
TEST(each_is_named_once)
{
	CHECK_TEXT(told("+badguy -badguy +badguy -badguy -q1"), "q1 left; badguy joined and left");
	CHECK_TEXT(told("+badguy -badguy +badguy"), "badguy joined");
	CHECK_TEXT(told("-ann +ann -ann"), "ann left");
	CHECK_TEXT(told("-ann +ann"), "ann left and came back");
}

TEST(of_many_the_number_is_told)
{
	CHECK_TEXT(told("+a +b +c +d +e +f +g +h"), "a, b, c, d, e, f, g, h joined");
	CHECK_TEXT(told("+a +b +c +d +e +f +g +h +i +j -z"), "a, b, c, d, e, f, g, h and 2 more joined; z left");
}

TEST(a_crowd_is_bounded)
{
	struct buffer out = {0};
	char name[16];

	crowd_clear(&crowd);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof name, "p%d", i);
		crowd_came(&crowd, name);
	}
	crowd_went(&crowd, "somebody");
	crowd_tell(&crowd, &out);
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes, "p0, p1, p2, p3, p4, p5, p6, p7 and 992 more joined; 1 more left");
	buffer_fini(&out);
}
