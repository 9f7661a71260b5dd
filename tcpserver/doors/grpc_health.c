/* grpc.health.v1: whether the server is ready, as /readyz says it, for each of its services, which are well or ill together. */
#include <stdbool.h>

#include "grpc/health/v1/health.pb-c.h"
#include "tcpserver/core/health.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_schema.h"
#include "tcpserver/doors/grpc_tools.h"

enum { LOOK_MS = 1000 }; /* how soon who watches learns of a change */

typedef Grpc__Health__V1__HealthCheckRequest health_request;
typedef Grpc__Health__V1__HealthCheckResponse health_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus health_status;

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* Reads the request. Returns false when there is none; '*is_known': there is such a service. */
static bool receive_service(struct session *session, struct grpc_call *call, bool *is_known)
{
	ProtobufCMessage *message = grpc_receive_request(session, call, &grpc__health__v1__health_check_request__descriptor);

	if (message == NULL)
		return false;
	const char *service = ((const health_request *)message)->service;

	*is_known = service[0] == '\0' || grpc_schema_has_service(service);
	protobuf_c_message_free_unpacked(message, NULL);
	return true;
}

static health_status status_now(const struct session *session, bool is_known)
{
	if (!is_known)
		return SERVICE_UNKNOWN;
	return health_is_ready(session->talk, NULL) ? SERVING : NOT_SERVING;
}

static void tell(struct session *session, health_status status)
{
	health_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

	response.status = status;
	grpc_reply(session, &response.base);
}

static void serve_check(struct session *session, struct grpc_call *call)
{
	bool is_known;

	if (!receive_service(session, call, &is_known))
		return;
	if (is_known)
		tell(session, status_now(session, true));
	else
		grpc_finish(session, call, GRPC_NOT_FOUND, "unknown service");
}

static void serve_watch(struct session *session, struct grpc_call *call)
{
	health_status told = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN;
	enum grpc_got got;
	bool is_known;

	if (!receive_service(session, call, &is_known))
		return;
	do {
		const unsigned char *ignored;
		size_t size;

		if (status_now(session, is_known) != told) {
			told = status_now(session, is_known);
			tell(session, told);
		}
		got = grpc_receive(session, call, LOOK_MS, &ignored, &size);
	} while (got != GRPC_GOT_OVER);
	if (told == SERVING && session->end == SESSION_STOPPED)
		tell(session, NOT_SERVING);
}

const struct grpc_method grpc_health_methods[] = {
	{"/grpc.health.v1.Health/Check", serve_check},
	{"/grpc.health.v1.Health/Watch", serve_watch},
	{NULL, NULL},
};
