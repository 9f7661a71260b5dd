#include "tcpserver/doors/http_call.h"

bool http_basic_read(const struct http_request *request, char user[HTTP_SECRET_SIZE], char password[HTTP_SECRET_SIZE])
{
	return credentials_read(http_field(request, "Authorization"), user, password);
}

bool http_session_id(const struct http_request *request, unsigned char *id)
{
	return credentials_session_id(http_field(request, "Chat-Session"), id);
}
