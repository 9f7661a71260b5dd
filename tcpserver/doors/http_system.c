#include "tcpserver/doors/http_call.h"

#include <stdio.h>
#include <string.h>

#include "tcpserver/core/health.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/http_openapi.h"
#include "tcpserver/doors/json_writer.h"
#include "tcpserver/web/web.h"

/* ---- The page. ---- */

/* A file that the browser may have already. */
static void show_file(struct http_call *call, const struct web_file *file)
{
	if (http_field_has(call->request, "If-None-Match", file->etag) || http_field_has(call->request, "If-None-Match", "*"))
		http_reply_show(call->reply, 304, NULL, file->bytes, file->size); /* its size is told, and nothing of it sent */
	else
		http_reply_show(call->reply, 200, file->type, file->bytes, file->size);
	http_reply_add(call->reply, "ETag", "%s", file->etag);
	http_reply_add(call->reply, "Cache-Control", "no-cache");
	http_reply_add(call->reply, "Content-Security-Policy", "%s", WEB_CONTENT_SECURITY_POLICY);
}

void http_page(struct http_call *call)
{
	const struct http_request *request = call->request;
	char path[32] = "/";
	const struct web_file *file;

	/* All rooms have the same page; it reads their name itself. */
	if (request->segment_count == 1)
		(void)snprintf(path, sizeof path, "/%s", request->segments[0]);
	file = web_find(path);
	if (file != NULL)
		show_file(call, file);
	else
		http_reply_error(call->reply, 404, "not-found", "there is nothing of this path; see /openapi.yaml");
}

/* ---- The state of the server. ---- */

void http_metrics(struct http_call *call)
{
	size_t size = 0;
	char *text = metrics_print(call->session->talk, &size);

	http_reply_give(call->reply, 200, METRICS_TYPE, text, size);
}

void http_livez(struct http_call *call)
{
	http_reply_show(call->reply, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

void http_readyz(struct http_call *call)
{
	const char *why;

	if (health_is_ready(call->session->talk, &why))
		http_livez(call);
	else
		http_reply_error(call->reply, 503, "not-ready", "%s; ask again later", why);
}

static void write_version(struct json_writer *json, const void *context)
{
	(void)context;
	json_write_open(json);
	json_write_text(json, "name", "tcpchat");
	json_write_text(json, "version", TCPCHAT_VERSION);
	json_write_text(json, "protocol", "tcpchat/1");
	json_write_close(json);
}

void http_version(struct http_call *call)
{
	http_reply_json(call->reply, 200, write_version, NULL);
}

void http_openapi(struct http_call *call)
{
	http_reply_show(call->reply, 200, "application/yaml; charset=utf-8", (const char *)http_openapi_yaml, http_openapi_yaml_size);
}
