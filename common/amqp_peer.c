#include "common/amqp_peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <openssl/ssl.h>

enum { FRAME_SIZE = 131072, URL_SIZE = 2048, RESOURCE_LOCKED = 405, ACCESS_REFUSED = 403 };

/* ---- Addresses. ---- */

static bool copy(char *out, size_t size, const char *text)
{
	return (size_t)snprintf(out, size, "%s", text) < size;
}

/* What stands behind the '?'. */
static const char *parse_queries(char *queries, struct amqp_address *address)
{
	char *rest = NULL;

	for (char *query = strtok_r(queries, "&", &rest); query != NULL; query = strtok_r(NULL, "&", &rest)) {
		if (strncmp(query, "cacertfile=", 11) == 0) {
			if (!copy(address->authorities, sizeof address->authorities, query + 11))
				return "its cacertfile is too long";
		} else if (strcmp(query, "verify=verify_none") == 0) {
			address->is_verified = false;
		} else if (strcmp(query, "verify=verify_peer") != 0) {
			return "behind '?' there may be cacertfile=FILE and verify=verify_none, with '&' between them";
		}
	}
	return NULL;
}

static const char *parse_rest(char *url, const char *password, struct amqp_address *address)
{
	struct amqp_connection_info info;

	if (amqp_parse_url(url, &info) != AMQP_STATUS_OK)
		return "it has to be amqp://USER:PASSWORD@HOST:PORT/VHOST, with %XX for what is special in one of them";
	address->is_encrypted = info.ssl != 0;
	(void)snprintf(address->place.port, sizeof address->place.port, "%d", info.port);
	if (!copy(address->place.host, sizeof address->place.host, info.host) ||
		!copy(address->user, sizeof address->user, info.user) ||
		!copy(address->password, sizeof address->password, password == NULL ? info.password : password) ||
		!copy(address->vhost, sizeof address->vhost, info.vhost[0] == '\0' ? "/" : info.vhost))
		return "a part of it is too long";
	return NULL;
}

const char *amqp_address_parse(const char *url, const char *password, struct amqp_address *address)
{
	char text[URL_SIZE];
	char *queries;
	const char *fault = NULL;

	*address = (struct amqp_address){.is_verified = true};
	if (!copy(text, sizeof text, url))
		return "it is too long";
	queries = strchr(text, '?');
	if (queries != NULL) {
		*queries = '\0';
		fault = parse_queries(queries + 1, address);
	}
	if (fault == NULL)
		fault = parse_rest(text, password, address);
	explicit_bzero(text, sizeof text);
	return fault;
}

/* ---- Faults. ---- */

static int status_errno(int status)
{
	switch (status) {
	case AMQP_STATUS_NO_MEMORY:
		return -ENOMEM;
	case AMQP_STATUS_TIMEOUT:
	case AMQP_STATUS_HEARTBEAT_TIMEOUT:
		return -ETIMEDOUT;
	case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
		return -EHOSTUNREACH;
	default:
		return -ECONNRESET;
	}
}

int amqp_peer_fail(struct amqp_peer *peer, int status, const char *what)
{
	(void)snprintf(peer->fault, sizeof peer->fault, "%s: %s", what, amqp_error_string2(status));
	return status_errno(status);
}

/* The broker closed the channel or the connection, and says why. */
static int fail_closed(struct amqp_peer *peer, const amqp_method_t *method, const char *what)
{
	int code = 0;
	amqp_bytes_t words = amqp_empty_bytes;

	if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *closed = method->decoded;

		code = closed->reply_code;
		words = closed->reply_text;
	} else if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *closed = method->decoded;

		code = closed->reply_code;
		words = closed->reply_text;
	}
	(void)snprintf(peer->fault, sizeof peer->fault, "%s: the broker says %d %.*s", what, code,
		(int)(words.len > 200 ? 200 : words.len), words.len == 0 ? "" : (const char *)words.bytes);
	return code == RESOURCE_LOCKED ? -EBUSY : code == ACCESS_REFUSED ? -EACCES : -EPROTO;
}

int amqp_peer_check(struct amqp_peer *peer, amqp_rpc_reply_t reply, const char *what)
{
	switch (reply.reply_type) {
	case AMQP_RESPONSE_NORMAL:
		return 0;
	case AMQP_RESPONSE_SERVER_EXCEPTION:
		return fail_closed(peer, &reply.reply, what);
	case AMQP_RESPONSE_LIBRARY_EXCEPTION:
		return amqp_peer_fail(peer, reply.library_error, what);
	default:
		return amqp_peer_fail(peer, AMQP_STATUS_SOCKET_ERROR, what);
	}
}

/* ---- Connecting. ---- */

static amqp_socket_t *make_socket(struct amqp_peer *peer, const struct amqp_address *address)
{
	amqp_socket_t *socket;

	if (!address->is_encrypted)
		return amqp_tcp_socket_new(peer->connection);
	socket = amqp_ssl_socket_new(peer->connection);
	if (socket == NULL)
		return NULL;
	amqp_ssl_socket_set_verify_peer(socket, address->is_verified);
	amqp_ssl_socket_set_verify_hostname(socket, address->is_verified);
	(void)amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST); /* these exist */
	if (address->authorities[0] != '\0') {
		if (amqp_ssl_socket_set_cacert(socket, address->authorities) != AMQP_STATUS_OK)
			return NULL; /* the connection owns it */
	} else {
		(void)SSL_CTX_set_default_verify_paths(amqp_ssl_socket_get_context(socket)); /* else nobody is trusted */
	}
	return socket;
}

/* What was sent and is not taken ends the connection: the library would wait for ever. */
static void bound_waiting(int socket)
{
	unsigned ms = 2 * AMQP_TIMEOUT_S * 1000;

	(void)setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms); /* then only the heartbeat ends it */
}

static int log_in(struct amqp_peer *peer, const struct amqp_address *address)
{
	int error = amqp_peer_check(peer,
		amqp_login(peer->connection, address->vhost, 0, FRAME_SIZE, AMQP_HEARTBEAT_S, AMQP_SASL_METHOD_PLAIN, address->user,
			address->password),
		"logging in");

	if (error != 0)
		return error;
	(void)amqp_channel_open(peer->connection, AMQP_CHANNEL);
	return amqp_peer_check(peer, amqp_get_rpc_reply(peer->connection), "opening a channel");
}

int amqp_peer_connect(struct amqp_peer *peer, const struct amqp_address *address)
{
	const struct timeval timeout = {.tv_sec = AMQP_TIMEOUT_S};
	amqp_socket_t *socket;
	int status;
	int error;

	peer->connection = amqp_new_connection();
	if (peer->connection == NULL)
		return -ENOMEM;
	(void)amqp_set_handshake_timeout(peer->connection, &timeout);
	(void)amqp_set_rpc_timeout(peer->connection, &timeout);
	socket = make_socket(peer, address);
	if (socket == NULL) {
		amqp_peer_disconnect(peer);
		(void)snprintf(peer->fault, sizeof peer->fault, "the certificates of the authorities cannot be read");
		return -EINVAL;
	}
	status = amqp_socket_open_noblock(socket, address->place.host, atoi(address->place.port), &timeout);
	error = status == AMQP_STATUS_OK ? 0 : amqp_peer_fail(peer, status, "connecting");
	if (error == 0) {
		bound_waiting(amqp_get_sockfd(peer->connection));
		error = log_in(peer, address);
	}
	if (error != 0)
		amqp_peer_disconnect(peer);
	return error;
}

void amqp_peer_disconnect(struct amqp_peer *peer)
{
	if (peer->connection == NULL)
		return;
	(void)amqp_connection_close(peer->connection, AMQP_REPLY_SUCCESS); /* the end of the connection says the same */
	(void)amqp_destroy_connection(peer->connection);
	peer->connection = NULL;
}

/* ---- Queues. ---- */

int amqp_peer_declare(struct amqp_peer *peer, const char *queue)
{
	(void)amqp_queue_declare(peer->connection, AMQP_CHANNEL, amqp_cstring_bytes(queue), 0, 1, 0, 0, amqp_empty_table);
	return amqp_peer_check(peer, amqp_get_rpc_reply(peer->connection), queue);
}

int amqp_peer_want_confirms(struct amqp_peer *peer)
{
	peer->published = peer->confirmed = 0;
	memset(peer->early, 0, sizeof peer->early);
	(void)amqp_confirm_select(peer->connection, AMQP_CHANNEL);
	return amqp_peer_check(peer, amqp_get_rpc_reply(peer->connection), "asking for confirms");
}

int amqp_peer_publish(struct amqp_peer *peer, const char *queue, const char *kind, const void *body, size_t size)
{
	const amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG,
		.content_type = amqp_cstring_bytes("application/json"),
		.delivery_mode = AMQP_DELIVERY_PERSISTENT,
		.type = amqp_cstring_bytes(kind),
		.app_id = amqp_cstring_bytes("tcpchat"),
	};
	amqp_bytes_t bytes = {.len = size, .bytes = (void *)(uintptr_t)body}; /* the library only reads it */
	int status = amqp_basic_publish(
		peer->connection, AMQP_CHANNEL, amqp_empty_bytes, amqp_cstring_bytes(queue), 1, 0, &properties, bytes);

	if (status != AMQP_STATUS_OK)
		return amqp_peer_fail(peer, status, "publishing");
	peer->published++;
	return 0;
}

/* ---- Confirms. ---- */

static int refuse(struct amqp_peer *peer, const char *why)
{
	(void)snprintf(peer->fault, sizeof peer->fault, "publishing: %s", why);
	return -EIO;
}

/* One by one they come in any order; with 'multiple' all up to this one are confirmed. */
static int take_ack(struct amqp_peer *peer, const amqp_basic_ack_t *ack)
{
	if (ack->delivery_tag <= peer->confirmed || ack->delivery_tag > peer->published)
		return 0;
	for (uint64_t tag = ack->multiple ? peer->confirmed + 1 : ack->delivery_tag; tag <= ack->delivery_tag; tag++)
		peer->early[tag % AMQP_WINDOW] = true;
	while (peer->early[(peer->confirmed + 1) % AMQP_WINDOW]) {
		peer->confirmed++;
		peer->early[peer->confirmed % AMQP_WINDOW] = false;
	}
	return 0;
}

static int take_method(struct amqp_peer *peer, const amqp_method_t *method)
{
	switch (method->id) {
	case AMQP_BASIC_ACK_METHOD:
		return take_ack(peer, method->decoded);
	case AMQP_BASIC_NACK_METHOD:
		return refuse(peer, "the broker refused a message");
	case AMQP_BASIC_RETURN_METHOD:
		return refuse(peer, "the broker has no queue for a message");
	case AMQP_CHANNEL_CLOSE_METHOD:
	case AMQP_CONNECTION_CLOSE_METHOD:
		return fail_closed(peer, method, "publishing");
	default:
		return 0;
	}
}

int amqp_peer_take_confirms(struct amqp_peer *peer, int timeout_ms)
{
	struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	amqp_frame_t frame;
	int error = 0;

	amqp_maybe_release_buffers(peer->connection);
	for (int status; error == 0; timeout = (struct timeval){0}) {
		status = amqp_simple_wait_frame_noblock(peer->connection, &frame, &timeout);
		if (status == AMQP_STATUS_TIMEOUT)
			return 0;
		if (status != AMQP_STATUS_OK)
			return amqp_peer_fail(peer, status, "waiting for confirms");
		if (frame.frame_type == AMQP_FRAME_METHOD)
			error = take_method(peer, &frame.payload.method);
	}
	return error;
}

int amqp_peer_wait_for_confirms(struct amqp_peer *peer)
{
	while (peer->confirmed < peer->published) {
		uint64_t before = peer->confirmed;
		int error = amqp_peer_take_confirms(peer, AMQP_TIMEOUT_S * 1000);

		if (error == 0 && peer->confirmed == before) {
			error = -ETIMEDOUT;
			(void)snprintf(peer->fault, sizeof peer->fault, "publishing: the broker does not confirm; it may be out of memory or disk space");
		}
		if (error != 0)
			return error;
	}
	return 0;
}
