#include "tcpserver/doors/http_message.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/hex.h"
#include "common/text.h"
#include "tcpserver/doors/json_writer.h"

/* ---- The target. ---- */

/* Decodes '%hh', and '+' as a space if 'plus' says so, in place. Returns whether the result is clean text. */
static bool decode(char *text, bool plus)
{
	char *out = text;

	for (const char *in = text; *in != '\0'; in++) {
		int high = *in == '%' ? hex_digit(in[1]) : -1;
		int low = high < 0 ? -1 : hex_digit(in[2]);

		if (*in == '%' && low < 0)
			return false;
		if (*in == '%') {
			*out++ = (char)(high * 16 + low);
			in += 2;
		} else {
			*out++ = plus && *in == '+' ? ' ' : *in;
		}
	}
	*out = '\0';
	return strlen(text) == (size_t)(out - text) && text_is_clean(text, (size_t)(out - text));
}

/* The next piece of '*rest' up to one of 'ends', which becomes a NUL. */
static char *take_piece(char **rest, const char *ends)
{
	char *piece = *rest;
	char *end = piece + strcspn(piece, ends);

	*rest = *end == '\0' ? NULL : end + 1;
	*end = '\0';
	return piece;
}

static const char *split_path(struct http_request *request, char *path)
{
	if (strcmp(path, "*") == 0 && strcmp(request->method, "OPTIONS") == 0)
		return NULL; /* about the whole server */
	if (path[0] != '/')
		return "the path of a request has to begin with /";
	path = path[1] == '\0' ? NULL : path + 1;
	while (path != NULL) {
		char *segment = take_piece(&path, "/");

		if (request->segment_count == HTTP_SEGMENTS_MAX)
			return "the path has too many parts";
		if (!decode(segment, false))
			return "the path has a %-escape that is none, or is no UTF-8";
		request->segments[request->segment_count++] = segment;
	}
	return NULL;
}

static const char *split_query(struct http_request *request, char *query)
{
	while (query != NULL) {
		char *value = take_piece(&query, "&");
		char *name = take_piece(&value, "=");

		if (name[0] == '\0')
			continue;
		if (request->query_count == HTTP_QUERY_MAX)
			return "the query has too many parameters";
		if (!decode(name, true) || (value != NULL && !decode(value, true)))
			return "the query has a %-escape that is none, or is no UTF-8, or has control characters";
		request->query[request->query_count++] = (struct http_parameter){name, value == NULL ? "" : value};
	}
	return NULL;
}

/* http://host:port/path: what is between is the authority, and the path follows. */
static char *split_authority(struct http_request *request, char *target)
{
	char *authority = strstr(target, "://");
	size_t length;

	if (target[0] == '/' || authority == NULL)
		return target;
	authority += 3;
	length = strcspn(authority, "/?");
	memmove(target, authority, length); /* to make room for the NUL before the path */
	target[length] = '\0';
	request->authority = target;
	return authority[length] == '/' ? authority + length : NULL;
}

const char *http_request_split(struct http_request *request)
{
	char *path;
	char *query;
	const char *wrong;

	request->decoded = strdup(request->target);
	if (request->decoded == NULL)
		return "the server has no memory for it now";
	path = split_authority(request, request->decoded);
	if (path == NULL)
		return "the path of a request has to begin with /";
	path[strcspn(path, "#")] = '\0';
	query = strchr(path, '?');
	if (query != NULL)
		*query++ = '\0';
	wrong = split_path(request, path);
	return wrong != NULL ? wrong : split_query(request, query);
}

void http_request_fini(struct http_request *request)
{
	free(request->decoded);
	request->decoded = NULL;
}

const char *http_query(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->query_count; i++) {
		if (strcmp(request->query[i].name, name) == 0)
			return request->query[i].value;
	}
	return NULL;
}

/* ---- Fields of the request. ---- */

const char *http_field(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* What http_field_has() looks for, and whether it was found. */
struct wanted {
	const char *name;
	const char *word;
	bool found;
};

static bool lists_word(const char *list, const char *word)
{
	while (*list != '\0') {
		size_t white = strspn(list, " \t,");
		size_t length = strcspn(list + white, ",");
		size_t size = length;

		while (size > 0 && (list[white + size - 1] == ' ' || list[white + size - 1] == '\t'))
			size--;
		if (size == strlen(word) && strncasecmp(list + white, word, size) == 0)
			return true;
		list += white + length;
	}
	return false;
}

static enum MHD_Result look_at_field(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct wanted *wanted = context;

	(void)kind;
	if (value != NULL && strcasecmp(name, wanted->name) == 0 && lists_word(value, wanted->word))
		wanted->found = true;
	return wanted->found ? MHD_NO : MHD_YES;
}

bool http_field_has(const struct http_request *request, const char *name, const char *word)
{
	struct wanted wanted = {.name = name, .word = word};

	(void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, look_at_field, &wanted);
	return wanted.found;
}

bool http_number(const char *text, uint64_t *number)
{
	uint64_t value = 0;

	if (text[0] == '\0' || strlen(text) > 18)
		return false;
	for (const char *digit = text; *digit != '\0'; digit++) {
		if (*digit < '0' || *digit > '9')
			return false;
		value = value * 10 + (uint64_t)(*digit - '0');
	}
	*number = value;
	return true;
}

/* ---- The reply. ---- */

void http_reply_add(struct http_reply *reply, const char *name, const char *format, ...)
{
	va_list arguments;
	char *value;
	int length;

	va_start(arguments, format);
	length = vasprintf(&value, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	for (const char *byte = value; *byte != '\0'; byte++) {
		if ((unsigned char)*byte < ' ' || *byte == 0x7F)
			length = -1;
	}
	if (length < 0 || reply->field_count == HTTP_FIELDS_MOST)
		free(value);
	else
		reply->fields[reply->field_count++] = (struct http_reply_field){name, value};
}

static void reply_clear(struct http_reply *reply)
{
	for (size_t i = 0; i < reply->field_count; i++)
		free(reply->fields[i].value);
	reply->field_count = 0;
	free(reply->body);
	reply->body = NULL;
	reply->constant_body = NULL;
	reply->body_size = 0;
	if (reply->source.read != NULL)
		reply->source.close(reply->source.context);
	reply->source = (struct http_source){.read = NULL};
}

void http_reply_show(struct http_reply *reply, unsigned status, const char *type, const char *body, size_t size)
{
	reply_clear(reply);
	reply->status = status;
	reply->constant_body = body;
	reply->body_size = size;
	if (type != NULL)
		http_reply_add(reply, "Content-Type", "%s", type);
}

void http_reply_give(struct http_reply *reply, unsigned status, const char *type, char *body, size_t size)
{
	static const char no_memory[] = "{\"error\":{\"code\":\"no-memory\",\"text\":\"the server has no memory for this now; try again later\"}}\n";

	if (body == NULL) {
		http_reply_show(reply, 503, "application/json", no_memory, sizeof no_memory - 1);
		return;
	}
	http_reply_show(reply, status, type, NULL, size);
	reply->body = body;
}

void http_reply_json(struct http_reply *reply, unsigned status,
	void (*write)(struct json_writer *json, const void *context), const void *context)
{
	struct json_writer counted = {.size = 0};
	struct json_writer written = {.size = 0};

	write(&counted, context);
	written.size = counted.used + 1;
	written.out = malloc(written.size);
	if (written.out != NULL) {
		write(&written, context);
		json_write_bytes(&written, "\n", 1);
	}
	http_reply_give(reply, status, "application/json", written.out, written.used);
}

struct error {
	const char *code;
	const char *text;
};

static void write_error(struct json_writer *json, const void *context)
{
	const struct error *error = context;

	json_write_bytes(json, "{\"error\":", 9);
	json_write_open(json);
	json_write_text(json, "code", error->code);
	json_write_text(json, "text", error->text);
	json_write_close(json);
	json_write_bytes(json, "}", 1);
}

void http_reply_error(struct http_reply *reply, unsigned status, const char *code, const char *format, ...)
{
	struct error error = {.code = code};
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0) {
		http_reply_give(reply, 503, NULL, NULL, 0);
		return;
	}
	error.text = text;
	http_reply_json(reply, status, write_error, &error);
	free(text);
}

/* ---- Pieces. ---- */

struct pieces {
	char *(*next)(void *context, size_t *size);
	void (*close)(void *context);
	void *context;
	char *piece; /* of which 'sent' bytes of 'size' were given on */
	size_t size;
	size_t sent;
	bool ended;
};

static bool pieces_advance(struct pieces *pieces)
{
	free(pieces->piece);
	pieces->size = 0;
	pieces->sent = 0;
	pieces->piece = pieces->next(pieces->context, &pieces->size);
	pieces->ended = pieces->piece == NULL;
	return !pieces->ended;
}

/* As many as there is room for. */
static ssize_t pieces_read(void *context, char *out, size_t size)
{
	struct pieces *pieces = context;
	size_t used = 0;

	while (used < size && !pieces->ended) {
		size_t length = pieces->size - pieces->sent < size - used ? pieces->size - pieces->sent : size - used;

		if (length > 0)
			memcpy(out + used, pieces->piece + pieces->sent, length);
		pieces->sent += length;
		used += length;
		if (pieces->sent == pieces->size && !pieces_advance(pieces))
			break;
	}
	return used == 0 && pieces->ended && pieces->size != 0 ? -1 : (ssize_t)used;
}

static void pieces_close(void *context)
{
	struct pieces *pieces = context;

	pieces->close(pieces->context);
	free(pieces->piece);
	free(pieces);
}

void http_reply_pieces(struct http_reply *reply, unsigned status, const char *type,
	char *(*next)(void *context, size_t *size), void (*close)(void *context), void *context)
{
	struct pieces *pieces = calloc(1, sizeof *pieces);

	if (pieces == NULL) {
		close(context);
		http_reply_give(reply, 503, NULL, NULL, 0);
		return;
	}
	*pieces = (struct pieces){.next = next, .close = close, .context = context};
	http_reply_show(reply, status, type, NULL, 0);
	reply->source = (struct http_source){pieces_read, pieces_close, pieces};
}

void http_reply_fini(struct http_reply *reply)
{
	reply_clear(reply);
}

/* ---- A reply by hand. ---- */

const char *http_reason(unsigned status)
{
	return MHD_get_reason_phrase_for(status);
}

/* Source: RFC 9110, 5.6.7. */
static void write_date(FILE *file)
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) != NULL) /* the names are English, whatever the locale is */
		(void)fprintf(file, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
			months[tm.tm_mon], 1900 + tm.tm_year, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void reply_write(const struct http_reply *reply, FILE *file, bool with_body)
{
	(void)fprintf(file, "HTTP/1.1 %u %s\r\n", reply->status, http_reason(reply->status));
	write_date(file);
	for (size_t i = 0; i < reply->field_count; i++)
		(void)fprintf(file, "%s: %s\r\n", reply->fields[i].name, reply->fields[i].value);
	if (with_body)
		(void)fprintf(file, "Content-Length: %zu\r\n", reply->body_size);
	(void)fprintf(file, "Connection: close\r\n\r\n");
	if (with_body && reply->body_size > 0)
		(void)fwrite(reply->body == NULL ? reply->constant_body : reply->body, reply->body_size, 1, file);
}

char *http_reply_print(const struct http_reply *reply, bool with_body, size_t *size)
{
	char *bytes = NULL;
	FILE *file = open_memstream(&bytes, size);
	bool failed;

	if (file == NULL)
		return NULL;
	reply_write(reply, file, with_body);
	failed = ferror(file) != 0;
	if (fclose(file) == 0 && !failed)
		return bytes;
	free(bytes);
	return NULL;
}
