#include "tcpserver/doors/http_call.h"

#include <stdio.h>
#include <string.h>

static const struct http_route routes[] = {
	{"GET", "/", http_root},
	{"GET", "/r/*", http_room_page},
	{"GET", "/chat.css", http_page},
	{"GET", "/chat.mjs", http_page},
	{"POST", "/chat", http_chat_create},
	{"GET", "/chat/join", http_chat_join},
	{"GET", "/ping", http_ping},
	{"GET", "/rooms", http_rooms_list},
	{"POST", "/rooms", http_rooms_create},
	{"GET", "/rooms/*", http_room_show},
	{"DELETE", "/rooms/*", http_room_delete},
	{"GET", "/rooms/*/messages", http_messages_list},
	{"POST", "/rooms/*/messages", http_messages_post},
	{"GET", "/rooms/*/stream", http_room_stream},
	{"GET", "/metrics", http_metrics},
	{"GET", "/livez", http_livez},
	{"GET", "/readyz", http_readyz},
	{"GET", "/version", http_version},
	{"GET", "/openapi.yaml", http_openapi},
};

/* Whether the path of the request is like that of the route; what stands for each '*' is a capture. */
static bool route_matches(
	const struct http_route *route, const struct http_request *request, const char *captures[HTTP_CAPTURES_MAX])
{
	const char *part = route->path + 1;
	size_t captured = 0;

	if (request->segment_count == 0)
		return part[0] == '\0' && strcmp(request->target, "*") != 0;
	for (size_t i = 0; i < request->segment_count; i++) {
		size_t length = strcspn(part, "/");
		const char *segment = request->segments[i];

		if (length == 1 && part[0] == '*' && segment[0] != '\0')
			captures[captured++] = segment;
		else if (length == 0 || strlen(segment) != length || memcmp(segment, part, length) != 0)
			return false;
		part += length;
		if ((*part == '\0') != (i + 1 == request->segment_count))
			return false;
		part += *part == '/';
	}
	return true;
}

static void allow(char allowed[HTTP_ALLOWED_SIZE], const char *method)
{
	size_t used = strlen(allowed);

	(void)snprintf(allowed + used, HTTP_ALLOWED_SIZE - used, "%s%s", used == 0 ? "" : ", ", method);
	if (strcmp(method, "GET") == 0)
		allow(allowed, "HEAD");
}

const struct http_route *http_route_find(
	const struct http_request *request, const char *captures[HTTP_CAPTURES_MAX], char allowed[HTTP_ALLOWED_SIZE])
{
	const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
	const struct http_route *found = NULL;
	const char *places[HTTP_CAPTURES_MAX];

	allowed[0] = '\0';
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (!route_matches(&routes[i], request, places))
			continue;
		allow(allowed, routes[i].method);
		if (strcmp(routes[i].method, method) == 0)
			found = &routes[i];
	}
	if (found != NULL)
		(void)route_matches(found, request, captures);
	return found;
}
