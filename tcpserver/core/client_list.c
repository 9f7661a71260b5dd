#include "tcpserver/core/client_list.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/net.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/servers.h"

enum { GHOST_MS = 3000 }; /* how long a client waits for its older connection to end */

static void client_list_lock(struct client_list *list) ACQUIRES(CLIENT_LIST_LOCK) UNCHECKED;
static void client_list_unlock(struct client_list *list) RELEASES(CLIENT_LIST_LOCK) UNCHECKED;

static void client_list_lock(struct client_list *list)
{
	mutex_lock(&list->mutex);
}

static void client_list_unlock(struct client_list *list)
{
	mutex_unlock(&list->mutex);
}

void client_list_init(struct client_list *list)
{
	*list = (struct client_list){.count = 0};
	mutex_init(&list->mutex);
	condition_init(&list->emptied);
	condition_init(&list->ghost_left);
}

void client_list_fini(struct client_list *list)
{
	assert(list->count == 0 && list->names == NULL);
	(void)pthread_cond_destroy(&list->emptied); /* nobody waits any more */
	(void)pthread_cond_destroy(&list->ghost_left);
	mutex_fini(&list->mutex);
}

void client_list_share(struct client_list *list, struct servers *servers)
{
	list->servers = servers;
}

/* ---- Addresses, where their clients are counted. ---- */

struct origin {
	char host[NET_ADDRESS_SIZE];
	size_t references; /* of clients       */
	size_t count;      /* of those that count */
};

static int compare_origins(const void *left, const void *right)
{
	return strcmp(((const struct origin *)left)->host, ((const struct origin *)right)->host);
}

/* Who counts as one: an IPv4 address; of IPv6 the first 64 bits, since whoever has one address there has the other 2^64, too. */
static void origin_host(const char *address, char host[NET_ADDRESS_SIZE])
{
	const char *port = strrchr(address, ':');
	struct in6_addr network;

	(void)snprintf(host, NET_ADDRESS_SIZE, "%.*s", port == NULL ? (int)strlen(address) : (int)(port - address), address);
	if (host[0] != '[')
		return;
	host[strcspn(host, "%]")] = '\0';
	if (inet_pton(AF_INET6, host + 1, &network) != 1)
		return;
	memset(&network.s6_addr[8], 0, 8);
	(void)inet_ntop(AF_INET6, &network, host, NET_ADDRESS_SIZE); /* cannot fail: it fits */
}

/* The origin in the tree, or a new one, which is put there. NULL without memory. */
static struct origin *client_list_origin(struct client_list *list, const char *address) REQUIRES(CLIENT_LIST_LOCK);
static struct origin *client_list_origin(struct client_list *list, const char *address)
{
	struct origin *origin = calloc(1, sizeof *origin);
	struct origin **place;

	if (origin == NULL)
		return NULL;
	origin_host(address, origin->host);
	place = tsearch(origin, &list->origins, compare_origins);
	if (place == NULL || *place != origin)
		free(origin);
	return place == NULL ? NULL : *place;
}

static void client_list_forget_origin(struct client_list *list, struct origin *origin) REQUIRES(CLIENT_LIST_LOCK);
static void client_list_forget_origin(struct client_list *list, struct origin *origin)
{
	if (origin == NULL || --origin->references > 0)
		return;
	(void)tdelete(origin, &list->origins, compare_origins);
	free(origin);
}

static enum client_admission client_list_count_origin(struct client_list *list, struct client *client,
	const char *address, size_t most) REQUIRES(CLIENT_LIST_LOCK);
static enum client_admission client_list_count_origin(
	struct client_list *list, struct client *client, const char *address, size_t most)
{
	struct origin *origin = client_list_origin(list, address);

	if (origin == NULL)
		return CLIENT_NO_MEMORY;
	origin->references++;
	if (origin->count >= most) {
		client_list_forget_origin(list, origin);
		return CLIENT_ADDRESS_FULL;
	}
	origin->count++;
	client->origin = origin;
	return CLIENT_ADMITTED;
}

/* ---- Coming and going. ---- */

static void client_list_link(struct client_list *list, struct client *client) REQUIRES(CLIENT_LIST_LOCK);
static void client_list_link(struct client_list *list, struct client *client)
{
	client->next = list->first;
	if (list->first != NULL)
		list->first->previous = client;
	list->first = client;
	list->count++;
}

enum client_admission client_list_add(
	struct client_list *list, struct client *client, const char *address, const struct client_limits *limits)
{
	enum client_admission admission = CLIENT_ADMITTED;

	client_list_lock(list);
	if (limits->most != 0 && list->count - list->carrier_count >= limits->most)
		admission = CLIENT_LIST_FULL;
	else if (address != NULL && limits->most_per_address != 0)
		admission = client_list_count_origin(list, client, address, limits->most_per_address);
	if (admission == CLIENT_ADMITTED)
		client_list_link(list, client);
	client_list_unlock(list);
	return admission;
}

static void client_list_set_carries(struct client_list *list, struct client *client, bool carries) REQUIRES(CLIENT_LIST_LOCK);
static void client_list_set_carries(struct client_list *list, struct client *client, bool carries)
{
	if (client->carries == carries)
		return;
	client->carries = carries;
	if (carries)
		list->carrier_count++;
	else
		list->carrier_count--;
	if (client->origin == NULL)
		return;
	if (carries)
		client->origin->count--;
	else
		client->origin->count++;
}

void client_list_carry(struct client_list *list, struct client *client)
{
	client_list_lock(list);
	client_list_set_carries(list, client, true);
	client_list_unlock(list);
}

void client_list_carry_none(struct client_list *list, struct client *client)
{
	client_list_lock(list);
	client_list_set_carries(list, client, false);
	client_list_unlock(list);
}

void client_list_set_outlet(
	struct client_list *list, struct client *client, struct outlet *outlet, const struct door *door)
{
	client_list_lock(list);
	metrics_move_connection(client->door, door);
	client->outlet = outlet;
	client->door = door;
	client_list_unlock(list);
}

static void client_list_unlink(struct client_list *list, struct client *client) REQUIRES(CLIENT_LIST_LOCK);
static void client_list_unlink(struct client_list *list, struct client *client)
{
	if (client->previous == NULL)
		list->first = client->next;
	else
		client->previous->next = client->next;
	if (client->next != NULL)
		client->next->previous = client->previous;
	client_list_set_carries(list, client, false);
	if (client->origin != NULL)
		client->origin->count--;
	client_list_forget_origin(list, client->origin);
	if (--list->count == 0)
		condition_broadcast(&list->emptied);
}

void client_list_remove(struct client_list *list, struct client *client)
{
	client_list_lock(list);
	client_list_unlink(list, client);
	client_list_unlock(list);
}

void client_list_depart(struct client_list *list, struct client *client)
{
	bool someone;
	pthread_t someone_before;

	client_list_lock(list);
	someone = list->someone_departed;
	someone_before = list->departed;
	list->someone_departed = true;
	list->departed = pthread_self();
	client_list_unlink(list, client);
	client_list_unlock(list);
	if (someone)
		thread_join(someone_before);
}

static void client_list_wait(struct client_list *list) REQUIRES(CLIENT_LIST_LOCK) UNCHECKED;
static void client_list_wait(struct client_list *list)
{
	condition_wait(&list->emptied, &list->mutex);
}

void client_list_wait_empty(struct client_list *list)
{
	bool someone;
	pthread_t last;

	client_list_lock(list);
	while (list->count > 0)
		client_list_wait(list);
	someone = list->someone_departed;
	last = list->departed;
	list->someone_departed = false;
	client_list_unlock(list);
	if (someone)
		thread_join(last);
}

/* ---- Names. ---- */

/* The tree is only touched under the lock; the compare function cannot say so to clang. */
static int compare_keys(const void *left, const void *right) UNCHECKED;
static int compare_keys(const void *left, const void *right)
{
	return strcmp(((const struct client *)left)->key, ((const struct client *)right)->key);
}

static int compare_ids(const void *left, const void *right) UNCHECKED;
static int compare_ids(const void *left, const void *right)
{
	return memcmp(((const struct client *)left)->id, ((const struct client *)right)->id, CLIENT_ID_SIZE);
}

static int compare_numbers(const void *left, const void *right)
{
	uint64_t one = ((const struct client *)left)->number;
	uint64_t other = ((const struct client *)right)->number;

	return (one > other) - (one < other);
}

static unsigned random_tag(void)
{
	unsigned number = 0;

	if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
		number = (unsigned)clock_wall_ns(); /* early at boot; it only has to differ */
	return number;
}

/* Names that look like the server's own words when they stand before a text. */
static bool is_reserved(const char *key)
{
	return strcmp(key, "chat server") == 0 || strcmp(key, "server") == 0;
}

/* A name that is about to be given; on the stack of the thread that asks the other servers for it. */
struct wanted_name {
	struct wanted_name *next;
	const char *key;
};

static bool client_list_is_wanted(const struct client_list *list, const char *key) REQUIRES(CLIENT_LIST_LOCK);
static bool client_list_is_wanted(const struct client_list *list, const char *key)
{
	const struct wanted_name *wanted = list->wanted;

	while (wanted != NULL && strcmp(wanted->key, key) != 0)
		wanted = wanted->next;
	return wanted != NULL;
}

/* Puts the client into the tree under 'key', which it takes. Returns 0, -EEXIST when somebody has it, or -ENOMEM. */
static int client_list_claim(struct client_list *list, struct client *client, char *key) REQUIRES(CLIENT_LIST_LOCK);
static int client_list_claim(struct client_list *list, struct client *client, char *key)
{
	struct client **place;

	if (client_list_is_wanted(list, key)) {
		free(key);
		return -EEXIST;
	}
	client->key = key;
	place = tsearch(client, &list->names, compare_keys);
	if (place != NULL && *place == client) {
		list->name_count++;
		(void)tsearch(client, &list->numbers, compare_numbers); /* without memory it is not found by its number */
		return 0;
	}
	client->key = NULL;
	free(key);
	return place == NULL ? -ENOMEM : -EEXIST;
}

static void client_forget_number(struct client_list *list, const struct client *client) REQUIRES(CLIENT_LIST_LOCK);

static void client_list_give_up_name(struct client_list *list, struct client *client) REQUIRES(CLIENT_LIST_LOCK);
static void client_list_give_up_name(struct client_list *list, struct client *client)
{
	(void)tdelete(client, &list->names, compare_keys);
	client_forget_number(list, client);
	list->name_count--;
	free(client->key);
	client->key = NULL;
}

static void client_copy_id(const struct client *client, unsigned char id[CLIENT_ID_SIZE]) REQUIRES(CLIENT_LIST_LOCK);
static void client_copy_id(const struct client *client, unsigned char id[CLIENT_ID_SIZE])
{
	memset(id, 0, CLIENT_ID_SIZE);
	if (client->id != NULL)
		memcpy(id, client->id, CLIENT_ID_SIZE);
}

/* The name, which nobody else can take on this server, is asked of the others. */
static int client_list_claim_elsewhere(
	struct client_list *list, const struct client *client, const char *key, const char *name, uint64_t *claim)
{
	unsigned char id[CLIENT_ID_SIZE];

	client_list_lock(list);
	client_copy_id(client, id);
	client_list_unlock(list);
	return servers_claim_name(list->servers, key, name, id, claim);
}

/* The same for the name that the client has here. */
static int client_list_claim_own(struct client_list *list, struct client *client, const char *key, const char *name)
{
	uint64_t claim;
	int error = client_list_claim_elsewhere(list, client, key, name, &claim);

	if (error != 0)
		return error;
	client_list_lock(list);
	client->claim = claim;
	client_list_unlock(list);
	return 0;
}

static int client_list_try_name(struct client_list *list, struct client *client, const char *name)
{
	char key[NAME_KEY_SIZE];
	char *copy;
	int error;

	(void)name_key(name, key);
	if (is_reserved(key))
		return -EEXIST;
	copy = strdup(key);
	if (copy == NULL)
		return -ENOMEM;
	client_list_lock(list);
	error = client_list_claim(list, client, copy);
	client_list_unlock(list);
	if (error != 0 || list->servers == NULL)
		return error;
	error = client_list_claim_own(list, client, key, name);
	if (error != 0) {
		client_list_lock(list);
		client_list_give_up_name(list, client);
		client_list_unlock(list);
	}
	return error;
}

int client_list_register(struct client_list *list, struct client *client, const char *name)
{
	int error;

	(void)snprintf(client->name, sizeof client->name, "%s", name);
	error = client_list_try_name(list, client, client->name);
	while (error == -EEXIST) {
		name_tagged(name, random_tag(), client->name);
		error = client_list_try_name(list, client, client->name);
	}
	return error;
}

static void ignored_release(struct ignored *ignored) REQUIRES(CLIENT_LIST_LOCK);
static void ignored_release(struct ignored *ignored)
{
	if (--ignored->references == 0)
		free(ignored);
}

/* Nobody can ignore a client without a name, so it needs to be known for that no longer. */
static void client_forget_as_ignored(struct client *client) REQUIRES(CLIENT_LIST_LOCK);
static void client_forget_as_ignored(struct client *client)
{
	if (client->as_ignored == NULL)
		return;
	client->as_ignored->gone = true;
	ignored_release(client->as_ignored);
	client->as_ignored = NULL;
}

static void client_forget_id(struct client_list *list, struct client *client) REQUIRES(CLIENT_LIST_LOCK);
static void client_forget_id(struct client_list *list, struct client *client)
{
	if (client->id != NULL)
		(void)tdelete(client, &list->ids, compare_ids);
	client->id = NULL;
	if (client->ghost != NULL)
		client->ghost->successor = NULL;
	client->ghost = NULL;
	if (client->successor == NULL)
		return;
	client->successor->ghost = NULL;
	client->successor = NULL;
	condition_broadcast(&list->ghost_left);
}

static void client_forget_number(struct client_list *list, const struct client *client)
{
	void *const *place = tfind(client, &list->numbers, compare_numbers);

	if (place != NULL && *place == client)
		(void)tdelete(client, &list->numbers, compare_numbers);
}

/* Another server waits for the client to go: the letter that said so. */
struct departure {
	struct letter letter;
};

/* The client has gone: whoever waits for that on another server is told. */
static void client_list_tell_departure(struct client_list *list, struct departure *departure)
{
	if (departure != NULL)
		servers_answer(list->servers, &departure->letter, LETTER_TOLD, "");
	free(departure);
}

void client_list_unregister(struct client_list *list, struct client *client)
{
	struct departure *departure;

	client_list_lock(list);
	client_forget_as_ignored(client);
	client_forget_id(list, client);
	if (client->key != NULL) {
		if (list->servers != NULL)
			servers_release_name(list->servers, client->key, client->claim);
		client_list_give_up_name(list, client);
	}
	departure = client->departure;
	client->departure = NULL;
	client_list_unlock(list);
	client_list_tell_departure(list, departure);
}

/* ---- Those who come back. ---- */

/* Has the older connection of the same one end. */
static void client_replace(struct client_list *list, struct client *ghost, struct client *client)
	REQUIRES(CLIENT_LIST_LOCK);
static void client_replace(struct client_list *list, struct client *ghost, struct client *client)
{
	(void)tdelete(ghost, &list->ids, compare_ids);
	ghost->id = NULL;
	ghost->successor = client;
	client->ghost = ghost;
	/* Relaxed: the wake-up comes after it. */
	atomic_store_explicit(&ghost->is_replaced, true, memory_order_relaxed);
	if (ghost->outlet != NULL)
		outlet_wake(ghost->outlet);
}

static void client_list_wait_for_ghost(struct client_list *list, const struct client *client)
	REQUIRES(CLIENT_LIST_LOCK) UNCHECKED;
static void client_list_wait_for_ghost(struct client_list *list, const struct client *client)
{
	long long deadline_ms = clock_ms() + GHOST_MS;

	while (client->ghost != NULL && condition_wait_until(&list->ghost_left, &list->mutex, deadline_ms) == 0)
		continue;
}

void client_list_identify(
	struct client_list *list, struct client *client, const unsigned char *id, unsigned char *own_id)
{
	void **place;

	client_list_lock(list);
	client_forget_id(list, client); /* an earlier one, while it is still what the tree knows */
	memcpy(own_id, id, CLIENT_ID_SIZE);
	client->id = own_id;
	place = tfind(client, &list->ids, compare_ids);
	if (place != NULL)
		client_replace(list, *place, client);
	if (tsearch(client, &list->ids, compare_ids) == NULL)
		client->id = NULL; /* without memory its ghosts are not found */
	client_list_wait_for_ghost(list, client);
	client_list_unlock(list);
}

/* The client is elsewhere now: as client_replace(), but nobody here waits for it. */
static bool client_replace_from_elsewhere(struct client_list *list, struct client *ghost, const struct letter *letter)
	REQUIRES(CLIENT_LIST_LOCK);
static bool client_replace_from_elsewhere(struct client_list *list, struct client *ghost, const struct letter *letter)
{
	struct departure *departure = malloc(sizeof *departure);

	if (departure == NULL)
		return false;
	departure->letter = *letter;
	free(ghost->departure);
	ghost->departure = departure;
	(void)tdelete(ghost, &list->ids, compare_ids);
	ghost->id = NULL;
	/* Relaxed: the wake-up comes after it. */
	atomic_store_explicit(&ghost->is_replaced, true, memory_order_relaxed);
	if (ghost->outlet != NULL)
		outlet_wake(ghost->outlet);
	return true;
}

bool client_list_replace(struct client_list *list, const struct letter *letter)
{
	const struct client wanted = {.id = letter->client};
	struct client *const *place;
	bool is_there;

	client_list_lock(list);
	place = tfind(&wanted, &list->ids, compare_ids);
	is_there = place != NULL && (*place)->key != NULL && client_replace_from_elsewhere(list, *place, letter);
	client_list_unlock(list);
	return is_there;
}

void client_list_revive(struct client_list *list)
{
	client_list_lock(list);
	for (struct client *client = list->first; client != NULL; client = client->next) {
		/* Relaxed: the wake-up comes after it. */
		atomic_store_explicit(&client->was_given_up, true, memory_order_relaxed);
		if (client->outlet != NULL)
			outlet_wake(client->outlet);
	}
	client_list_unlock(list);
}

bool client_was_given_up(struct client *client)
{
	/* Relaxed: there is nothing else to see. */
	if (!atomic_load_explicit(&client->was_given_up, memory_order_relaxed))
		return false;
	atomic_store_explicit(&client->was_given_up, false, memory_order_relaxed);
	return true;
}

bool client_is_replaced(const struct client *client)
{
	return atomic_load_explicit(&client->is_replaced, memory_order_relaxed);
}

void client_list_wake_all(struct client_list *list)
{
	client_list_lock(list);
	for (struct client *client = list->first; client != NULL; client = client->next) {
		if (client->outlet != NULL)
			outlet_wake(client->outlet);
	}
	client_list_unlock(list);
}

size_t client_list_count(struct client_list *list)
{
	size_t count;

	client_list_lock(list);
	count = list->count;
	client_list_unlock(list);
	return count;
}

uint64_t client_list_lag(struct client_list *list)
{
	uint64_t most = 0;

	client_list_lock(list);
	for (const struct client *client = list->first; client != NULL; client = client->next) {
		uint64_t lag = client->outlet == NULL ? 0 : outlet_lag(client->outlet);

		most = lag > most ? lag : most;
	}
	client_list_unlock(list);
	return most;
}

size_t client_list_name_count(struct client_list *list)
{
	size_t count;

	client_list_lock(list);
	count = list->name_count;
	client_list_unlock(list);
	return count;
}

/* ---- Others by name. ---- */

static int compare_key_of(const void *key, const void *client) UNCHECKED;
static int compare_key_of(const void *key, const void *client)
{
	return strcmp(key, ((const struct client *)client)->key);
}

static bool client_ignores(const struct client *client, const struct client *other) REQUIRES(CLIENT_LIST_LOCK);
static char **client_name_place(const struct client *client, const char *key) REQUIRES(CLIENT_LIST_LOCK);
static void client_list_follow_ignored(struct client_list *list, struct client *client) REQUIRES(CLIENT_LIST_LOCK);

static struct client *client_list_look_up(struct client_list *list, const char *name) REQUIRES(CLIENT_LIST_LOCK);
static struct client *client_list_look_up(struct client_list *list, const char *name)
{
	char key[NAME_KEY_SIZE];
	void *const *place;

	(void)name_key(name, key);
	place = tfind(key, &list->names, compare_key_of);
	return place == NULL ? NULL : *place;
}

bool client_list_find(
	struct client_list *list, const struct client *client, const char *name, struct addressee *found)
{
	const struct client *other;
	bool is_there;

	client_list_lock(list);
	other = client_list_look_up(list, name);
	is_there = other != NULL && other->outlet != NULL;
	if (is_there) {
		*found = (struct addressee){
			.outlet = outlet_acquire(other->outlet),
			.door = other->door,
			.ignores = client_ignores(other, client),
		};
		(void)snprintf(found->name, sizeof found->name, "%s", other->name);
	}
	client_list_unlock(list);
	return is_there;
}

bool client_list_find_for(struct client_list *list, const char *from, const char *name, struct addressee *found)
{
	char key[NAME_KEY_SIZE];
	const struct client *other;
	bool is_there;

	(void)name_key(from, key);
	client_list_lock(list);
	other = client_list_look_up(list, name);
	is_there = other != NULL && other->outlet != NULL;
	if (is_there) {
		*found = (struct addressee){
			.outlet = outlet_acquire(other->outlet),
			.door = other->door,
			.ignores = client_name_place(other, key) != NULL,
		};
		(void)snprintf(found->name, sizeof found->name, "%s", other->name);
	}
	client_list_unlock(list);
	return is_there;
}

bool client_list_tell_name(
	struct client_list *list, uint64_t number, const unsigned char id[CLIENT_ID_SIZE], char name[NAME_SIZE])
{
	static const unsigned char no_id[CLIENT_ID_SIZE];
	const struct client wanted = {.number = number, .id = id};
	struct client *const *place;
	bool is_there;

	client_list_lock(list);
	if (memcmp(id, no_id, CLIENT_ID_SIZE) == 0)
		place = tfind(&wanted, &list->numbers, compare_numbers);
	else
		place = tfind(&wanted, &list->ids, compare_ids);
	is_there = place != NULL && (*place)->key != NULL;
	if (is_there)
		(void)snprintf(name, NAME_SIZE, "%s", (*place)->name);
	client_list_unlock(list);
	return is_there;
}

/* ---- Another name. ---- */

/* What changes under ROOMS_LOCK, too. */
struct renaming {
	struct client *client;
	const char *name;
};

static void rename_client(void *context)
{
	struct renaming *renaming = context;

	(void)snprintf(renaming->client->name, NAME_SIZE, "%s", renaming->name);
}

/* Gives the client the name, claimed by that number, if nobody has it here. Returns 0, -EEXIST or -ENOMEM. */
static int client_list_change_name(struct client_list *list, struct client *client, struct rooms *rooms, const char *name,
	const char *key, uint64_t claim)
{
	struct renaming renaming = {.client = client, .name = name};
	struct client *holder;
	char *copy = strdup(key);
	char *old;
	int error = 0;

	if (copy == NULL)
		return -ENOMEM;
	client_list_lock(list);
	holder = client_list_look_up(list, name);
	if (holder == NULL) {
		client_list_follow_ignored(list, client);
		old = client->key;
		(void)tdelete(client, &list->names, compare_keys);
		list->name_count--;
		error = client_list_claim(list, client, copy);
		copy = error == 0 ? old : NULL;
		if (error != 0) /* the memory of the place that was just given up serves */
			(void)!client_list_claim(list, client, old);
		else if (list->servers != NULL)
			servers_release_name(list->servers, old, client->claim);
		if (error == 0)
			client->claim = claim;
	} else if (holder != client) {
		error = -EEXIST;
	}
	if (error == 0)
		rooms_change(rooms, rename_client, &renaming);
	client_list_unlock(list);
	free(copy);
	return error;
}

/* Keeps the name for the client until client_list_stop_wanting(). Returns 0; -EEXIST; or 1: the client has it already. */
static int client_list_want(
	struct client_list *list, const struct client *client, const char *name, struct wanted_name *wanted)
{
	const struct client *holder;
	int result = 0;

	client_list_lock(list);
	holder = client_list_look_up(list, name);
	if (holder == client)
		result = 1;
	else if (holder != NULL || client_list_is_wanted(list, wanted->key))
		result = -EEXIST;
	if (result == 0) {
		wanted->next = list->wanted;
		list->wanted = wanted;
	}
	client_list_unlock(list);
	return result;
}

static void client_list_stop_wanting(struct client_list *list, const struct wanted_name *wanted)
{
	struct wanted_name **place;

	client_list_lock(list);
	place = &list->wanted;
	while (*place != wanted)
		place = &(*place)->next;
	*place = wanted->next;
	client_list_unlock(list);
}

/* The same where others have names, too: they are asked while nobody here can take it. */
static int client_list_change_shared_name(
	struct client_list *list, struct client *client, struct rooms *rooms, const char *name, const char *key)
{
	struct wanted_name wanted = {.key = key};
	uint64_t claim = 0;
	int error = client_list_want(list, client, name, &wanted);

	if (error == 1)
		return client_list_change_name(list, client, rooms, name, key, claim);
	if (error != 0)
		return error;
	error = client_list_claim_elsewhere(list, client, key, name, &claim);
	client_list_stop_wanting(list, &wanted);
	if (error != 0)
		return error;
	error = client_list_change_name(list, client, rooms, name, key, claim);
	if (error != 0)
		servers_release_name(list->servers, key, claim);
	return error;
}

/* Tries one name. Returns 0, -EEXIST or another -errno. */
static int client_list_try_rename(
	struct client_list *list, struct client *client, struct rooms *rooms, const char *name)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(name, key);
	if (is_reserved(key))
		return -EEXIST;
	return list->servers == NULL ? client_list_change_name(list, client, rooms, name, key, 0) :
				       client_list_change_shared_name(list, client, rooms, name, key);
}

int client_list_rename(struct client_list *list, struct client *client, struct rooms *rooms, const char *name)
{
	char tagged[NAME_SIZE];
	int error = client_list_try_rename(list, client, rooms, name);

	while (error == -EEXIST) {
		name_tagged(name, random_tag(), tagged);
		error = client_list_try_rename(list, client, rooms, tagged);
	}
	return error;
}

int client_list_claim_again(struct client_list *list, struct client *client)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(client->name, key);
	return client_list_claim_own(list, client, key, client->name);
}

bool client_list_is_elsewhere(struct client_list *list, struct client *client)
{
	static const unsigned char no_id[CLIENT_ID_SIZE];
	unsigned char id[CLIENT_ID_SIZE];
	struct name_holder holder;
	bool is_elsewhere;

	client_list_lock(list);
	client_copy_id(client, id);
	client_list_unlock(list);
	is_elsewhere = memcmp(id, no_id, CLIENT_ID_SIZE) != 0 && servers_find_name(list->servers, client->name, &holder) == 0 &&
		       memcmp(id, holder.client, CLIENT_ID_SIZE) == 0;
	if (is_elsewhere) /* relaxed: it is the client's own thread */
		atomic_store_explicit(&client->is_replaced, true, memory_order_relaxed);
	return is_elsewhere;
}

/* ---- Ignoring. ---- */

/* The client as others know it that ignore it; NULL without memory. */
static struct ignored *client_as_ignored(struct client *client) REQUIRES(CLIENT_LIST_LOCK);
static struct ignored *client_as_ignored(struct client *client)
{
	if (client->as_ignored == NULL)
		client->as_ignored = calloc(1, sizeof *client->as_ignored);
	if (client->as_ignored != NULL && client->as_ignored->references == 0)
		client->as_ignored->references = 1; /* its own */
	return client->as_ignored;
}

/* Where 'client' has 'other' among those that it ignores, or NULL. */
static struct ignored **client_ignored_place(const struct client *client, const struct client *other)
	REQUIRES(CLIENT_LIST_LOCK);
static struct ignored **client_ignored_place(const struct client *client, const struct client *other)
{
	if (client->ignores == NULL || other->as_ignored == NULL)
		return NULL;
	for (size_t i = 0; i < IGNORED_MOST; i++) {
		if (client->ignores[i] == other->as_ignored)
			return &client->ignores[i];
	}
	return NULL;
}

/* A place for one more that the client ignores, where that of somebody who has left serves; NULL when there is none. */
static struct ignored **client_unused_place(const struct client *client) REQUIRES(CLIENT_LIST_LOCK);
static struct ignored **client_unused_place(const struct client *client)
{
	for (size_t i = 0; i < IGNORED_MOST; i++) {
		struct ignored **place = &client->ignores[i];

		if (*place != NULL && (*place)->gone) {
			ignored_release(*place);
			*place = NULL;
		}
		if (*place == NULL)
			return place;
	}
	return NULL;
}

static enum ignore_result client_ignore(struct client *client, struct client *other) REQUIRES(CLIENT_LIST_LOCK);
static enum ignore_result client_ignore(struct client *client, struct client *other)
{
	struct ignored *ignored = client_as_ignored(other);
	struct ignored **place;

	if (client->ignores == NULL)
		client->ignores = calloc(IGNORED_MOST, sizeof(struct ignored *));
	if (client->ignores == NULL || ignored == NULL)
		return IGNORE_NO_MEMORY;
	place = client_unused_place(client);
	if (place == NULL)
		return IGNORE_TOO_MANY;
	ignored->references++;
	*place = ignored;
	return IGNORE_BEGUN;
}

/* ---- Ignoring names. ---- */

/* Where 'client' has the name among those that it ignores, or, with NULL, a place for one more; NULL if there is none. */
static char **client_name_place(const struct client *client, const char *key)
{
	for (size_t i = 0; client->ignored_names != NULL && i < IGNORED_MOST; i++) {
		char **place = &client->ignored_names[i];

		if (key == NULL ? *place == NULL : *place != NULL && strcmp(*place, key) == 0)
			return place;
	}
	return NULL;
}

static bool client_ignores(const struct client *client, const struct client *other)
{
	return client_ignored_place(client, other) != NULL ||
	       (other->key != NULL && client_name_place(client, other->key) != NULL);
}

static enum ignore_result client_add_name(struct client *client, const char *key) REQUIRES(CLIENT_LIST_LOCK);
static enum ignore_result client_add_name(struct client *client, const char *key)
{
	char **place;

	if (client->ignored_names == NULL)
		client->ignored_names = calloc(IGNORED_MOST, sizeof(char *));
	if (client->ignored_names == NULL)
		return IGNORE_NO_MEMORY;
	place = client_name_place(client, NULL);
	if (place == NULL)
		return IGNORE_TOO_MANY;
	*place = strdup(key);
	return *place == NULL ? IGNORE_NO_MEMORY : IGNORE_BEGUN;
}

/* Takes the name, and 'other', if it is not NULL, off those that the client ignores. Returns whether one of them was there. */
static bool client_heed(struct client *client, const char *key, const struct client *other) REQUIRES(CLIENT_LIST_LOCK);
static bool client_heed(struct client *client, const char *key, const struct client *other)
{
	char **name = client_name_place(client, key);
	struct ignored **place = other == NULL ? NULL : client_ignored_place(client, other);

	if (name != NULL) {
		free(*name);
		*name = NULL;
	}
	if (place != NULL) {
		ignored_release(*place);
		*place = NULL;
	}
	return name != NULL || place != NULL;
}

/* The client is about to lose its name: who ignores that ignores the client from now on, as far as there is place. */
static void client_list_follow_ignored(struct client_list *list, struct client *client)
{
	for (struct client *other = list->first; other != NULL; other = other->next) {
		if (client_name_place(other, client->key) != NULL && client_ignored_place(other, client) == NULL)
			(void)client_ignore(other, client);
	}
}

bool client_list_knows(struct client_list *list, const struct client *client, const char *name)
{
	char key[NAME_KEY_SIZE];
	bool known;

	(void)name_key(name, key);
	client_list_lock(list);
	known = client_list_look_up(list, name) != NULL || client_name_place(client, key) != NULL;
	client_list_unlock(list);
	return known;
}

enum ignore_result client_list_ignore(
	struct client_list *list, struct client *client, const char *name, char found[NAME_SIZE])
{
	enum ignore_result result = IGNORE_NOBODY;
	char key[NAME_KEY_SIZE];
	struct client *other;

	(void)name_key(name, key);
	client_list_lock(list);
	other = client_list_look_up(list, name);
	(void)snprintf(found, NAME_SIZE, "%s", other == NULL ? name : other->name);
	if (client_heed(client, key, other))
		result = IGNORE_ENDED;
	else if (other != NULL)
		result = client_ignore(client, other);
	client_list_unlock(list);
	return result;
}

enum ignore_result client_list_ignore_name(
	struct client_list *list, struct client *client, const char *name, char found[NAME_SIZE])
{
	enum ignore_result result = IGNORE_BEGUN;
	char key[NAME_KEY_SIZE];
	const struct client *other;

	(void)name_key(name, key);
	client_list_lock(list);
	other = client_list_look_up(list, name);
	(void)snprintf(found, NAME_SIZE, "%s", other == NULL ? name : other->name);
	if (client_name_place(client, key) == NULL)
		result = client_add_name(client, key);
	client_list_unlock(list);
	return result == IGNORE_BEGUN && other == NULL ? IGNORE_AWAITS : result;
}

void client_list_heed_name(struct client_list *list, struct client *client, const char *name)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(name, key);
	client_list_lock(list);
	(void)client_heed(client, key, client_list_look_up(list, name));
	client_list_unlock(list);
}

bool client_list_either_ignores(struct client_list *list, const struct client *one, const struct client *other)
{
	bool ignored;

	client_list_lock(list);
	ignored = client_ignores(one, other) || client_ignores(other, one);
	client_list_unlock(list);
	return ignored;
}

void client_list_forget_ignored(struct client_list *list, struct client *client)
{
	client_list_lock(list);
	for (size_t i = 0; client->ignores != NULL && i < IGNORED_MOST; i++) {
		if (client->ignores[i] != NULL)
			ignored_release(client->ignores[i]);
	}
	for (size_t i = 0; client->ignored_names != NULL && i < IGNORED_MOST; i++)
		free(client->ignored_names[i]);
	free(client->ignores);
	free(client->ignored_names);
	client->ignores = NULL;
	client->ignored_names = NULL;
	client_list_unlock(list);
}

/* ---- For those who look for strangers on several servers. ---- */

/* The keys that are gathered: first they are counted, then copied. */
struct gathering {
	const char **keys; /* NULL: they are counted          */
	char *end;         /* where the next one is copied to */
	size_t most;
	size_t count;
	size_t bytes;
};

static void gather(struct gathering *gathering, const char *key)
{
	size_t size = strlen(key) + 1;

	if (gathering->count == gathering->most)
		return;
	if (gathering->keys != NULL)
		gathering->keys[gathering->count] = memcpy(gathering->end + gathering->bytes, key, size);
	gathering->count++;
	gathering->bytes += size;
}

static void client_gather_ignored(const struct client_list *list, const struct client *client, struct gathering *gathering)
	REQUIRES(CLIENT_LIST_LOCK);
static void client_gather_ignored(const struct client_list *list, const struct client *client, struct gathering *gathering)
{
	for (size_t i = 0; client->ignored_names != NULL && i < IGNORED_MOST; i++) {
		if (client->ignored_names[i] != NULL)
			gather(gathering, client->ignored_names[i]);
	}
	if (client->ignores == NULL)
		return;
	for (const struct client *other = list->first; other != NULL; other = other->next) {
		if (other->key != NULL && client_ignored_place(client, other) != NULL)
			gather(gathering, other->key);
	}
}

const char **client_list_ignored_keys(struct client_list *list, const struct client *client, size_t most, size_t *count)
{
	struct gathering counted = {.most = most};
	struct gathering gathering = {.most = most};

	client_list_lock(list);
	client_gather_ignored(list, client, &counted);
	if (counted.count > 0)
		gathering.keys = malloc(counted.count * sizeof(char *) + counted.bytes);
	if (gathering.keys != NULL) {
		gathering.end = (char *)(gathering.keys + counted.count);
		client_gather_ignored(list, client, &gathering);
	}
	client_list_unlock(list);
	*count = gathering.count;
	return gathering.keys;
}
