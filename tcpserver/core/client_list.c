#include "tcpserver/core/client_list.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tcpserver/core/member.h"

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
}

void client_list_fini(struct client_list *list)
{
	assert(list->count == 0 && list->names == NULL);
	(void)pthread_cond_destroy(&list->emptied); /* nobody waits any more */
	mutex_fini(&list->mutex);
}

bool client_list_add(struct client_list *list, struct client *client, size_t most)
{
	bool room;

	client_list_lock(list);
	room = list->count < most;
	if (room) {
		client->next = list->first;
		if (list->first != NULL)
			list->first->previous = client;
		list->first = client;
		list->count++;
	}
	client_list_unlock(list);
	return room;
}

void client_list_set_member(struct client_list *list, struct client *client, struct member *member)
{
	client_list_lock(list);
	client->member = member;
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

static unsigned random_tag(void)
{
	unsigned number = 0;

	if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
		number = (unsigned)clock_wall_ns(); /* early at boot; it only has to differ */
	return number;
}

/* Puts the client into the tree under 'key', which it takes. Returns 0, -EEXIST when somebody has it, or -ENOMEM. */
static int client_list_claim(struct client_list *list, struct client *client, char *key) REQUIRES(CLIENT_LIST_LOCK);
static int client_list_claim(struct client_list *list, struct client *client, char *key)
{
	struct client **place;

	client->key = key;
	place = tsearch(client, &list->names, compare_keys);
	if (place != NULL && *place == client) {
		list->name_count++;
		return 0;
	}
	client->key = NULL;
	free(key);
	return place == NULL ? -ENOMEM : -EEXIST;
}

static int client_list_try_name(struct client_list *list, struct client *client, const char *name)
{
	char key[NAME_KEY_SIZE];
	char *copy;
	int error;

	(void)name_key(name, key);
	copy = strdup(key);
	if (copy == NULL)
		return -ENOMEM;
	client_list_lock(list);
	error = client_list_claim(list, client, copy);
	client_list_unlock(list);
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

void client_list_unregister(struct client_list *list, struct client *client)
{
	client_list_lock(list);
	if (client->key != NULL) {
		(void)tdelete(client, &list->names, compare_keys);
		list->name_count--;
		free(client->key);
		client->key = NULL;
	}
	client_list_unlock(list);
}

void client_list_wake_all(struct client_list *list)
{
	client_list_lock(list);
	for (struct client *client = list->first; client != NULL; client = client->next) {
		if (client->member != NULL)
			member_wake(client->member);
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

/* What collects the names while the tree is walked. */
struct name_walk {
	char *text;
	size_t size;
	size_t left;
};

static void add_name(const void *node, VISIT visit, void *context)
{
	const struct client *client = *(struct client *const *)node;
	struct name_walk *walk = context;

	if ((visit != postorder && visit != leaf) || walk->left == 0)
		return;
	walk->left--;
	walk->size += (size_t)sprintf(walk->text + walk->size, "%s%s", walk->size == 0 ? "" : ", ", client->name);
}

long client_list_names(struct client_list *list, size_t most, char **text)
{
	struct name_walk walk = {.text = malloc(most * (NAME_SIZE + 1) + 1), .left = most};
	size_t count;

	if (walk.text == NULL)
		return -ENOMEM;
	walk.text[0] = '\0';
	client_list_lock(list);
	twalk_r(list->names, add_name, &walk);
	count = list->name_count;
	client_list_unlock(list);
	*text = walk.text;
	return (long)count;
}
