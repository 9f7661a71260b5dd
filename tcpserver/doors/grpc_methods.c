/*
 * Which methods there are: a list for each file of them, ended by one without a path. A line here, and they can be
 * called.
 */
#include <string.h>

#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_chatroom.h"
#include "tcpserver/doors/grpc_go_chat.h"
#include "tcpserver/doors/grpc_talk.h"
#include "tcpserver/doors/grpc_tools.h"

static const struct grpc_method *const lists[] = {
	grpc_chatroom_methods,
	grpc_go_chat_methods,
	grpc_tcpchat_methods,
	grpc_health_methods,
	grpc_reflection_methods,
};

const struct grpc_method *grpc_method_find(const char *path, size_t size)
{
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		for (const struct grpc_method *method = lists[i]; method->path != NULL; method++) {
			if (strlen(method->path) == size && memcmp(method->path, path, size) == 0)
				return method;
		}
	}
	return NULL;
}
