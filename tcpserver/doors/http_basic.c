#include "tcpserver/doors/http_call.h"


bool http_basic_read(const struct http_request *request, char user[HTTP_SECRET_SIZE], char password[HTTP_SECRET_SIZE])
{
	return credentials_read_basic(http_field(request, "Authorization"), user, password);
}

bool http_is_administrator(struct http_call *call)
{
	enum credentials found = credentials_check(call->session, http_field(call->request, "Authorization"));

	if (found == CREDENTIALS_SPENT)
		call->reply->closes = true;
	return found == CREDENTIALS_GOOD;
}

bool http_session_id(const struct http_request *request, unsigned char *id)
{
	return credentials_read_id(http_field(request, "Chat-Session"), id);
}
