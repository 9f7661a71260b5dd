#include "tcpserver/web/web.h"

#include <string.h>

#include "tests/check.h"

TEST(each_room_has_the_same_page)
{
	const struct web_file *page = web_find("/");

	CHECK(page != NULL && strncmp(page->bytes, "<!doctype html>", 15) == 0);
	CHECK(web_find("/r/lobby") == page);
	CHECK(web_find("/r/a%20b") == page);
}

TEST(other_paths_have_no_file)
{
	static const char *const paths[] = {"", "/r/", "/r", "/r/a/b", "/chat.html", "/chat.css/", "//", "chat.css"};

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		CHECK(web_find(paths[i]) == NULL);
}

TEST(each_file_has_a_type_and_a_tag_of_its_own)
{
	const struct web_file *page = web_find("/");
	const struct web_file *style = web_find("/chat.css");
	const struct web_file *module = web_find("/chat.mjs");

	CHECK(style != NULL && module != NULL);
	CHECK(strcmp(page->type, "text/html; charset=utf-8") == 0);
	CHECK(strcmp(style->type, "text/css; charset=utf-8") == 0);
	CHECK(strcmp(module->type, "text/javascript; charset=utf-8") == 0);
	CHECK(page->etag[0] == '"' && page->etag[strlen(page->etag) - 1] == '"');
	CHECK(strcmp(page->etag, style->etag) != 0 && strcmp(style->etag, module->etag) != 0);
	CHECK(page->size + style->size + module->size < 60000);
}
