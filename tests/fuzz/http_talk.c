/*
 * A whole conversation with the HTTP door: rooms, messages, streams, WebSockets. Whatever the client sends, what it gets begins
 * as HTTP, and the conversation ends when its side does.
 *
 * Input: the bytes that the client sends.
 */
#include "tcpserver/doors/http.h"
#include "tcpserver/doors/http_openapi.h"
#include "tcpserver/web/web.h"
#include "tests/fuzz/conversation.h"

const unsigned char http_openapi_yaml[] = "openapi: 3.1.0\n";
const size_t http_openapi_yaml_size = sizeof http_openapi_yaml - 1;

const struct web_file *web_find(const char *path)
{
	static const struct web_file page = {"/", "text/html", "\"1\"", "<p>", 3};

	return strcmp(path, "/") == 0 ? &page : NULL;
}

static struct talk talk;

static void talk_begin(void)
{
	static const char *const origins[] = {"http://friend.example"};

	conversation_begin(&talk);
	talk.doors.http = &http_door;
	talk.allow_origins = origins;
	talk.allow_origin_count = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool begun;
	struct conversation client;

	if (!begun)
		talk_begin();
	begun = true;
	conversation_open(&client);
	conversation_say(&client, bytes, size);
	conversation_run(&client, &talk, &http_door, NULL);
	MUST(client.size == 0 || (client.size > 9 && memcmp(client.output, "HTTP/1.1 ", 9) == 0));
	conversation_close(&client);
	return 0;
}
