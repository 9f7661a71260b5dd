#include "tcpclient/people.h"

#include <stdlib.h>
#include <string.h>

#include "tcpclient/buffer.h"

static char *copy(const char *name)
{
	size_t size = strlen(name) + 1;

	return memcpy(memory_get(size), name, size);
}

void people_fini(struct people *people)
{
	while (people->count > 0)
		free(people->names[--people->count]);
}

static size_t find(const struct people *people, const char *name)
{
	size_t i = 0;

	while (i < people->count && strcmp(people->names[i], name) != 0)
		i++;
	return i;
}

bool people_have(const struct people *people, const char *name)
{
	return find(people, name) < people->count;
}

void people_remove(struct people *people, const char *name)
{
	size_t i = find(people, name);

	if (i == people->count)
		return;
	free(people->names[i]);
	people->count--;
	memmove(&people->names[i], &people->names[i + 1], (people->count - i) * sizeof people->names[0]);
}

void people_spoke(struct people *people, const char *name)
{
	char *first;

	if (name[0] == '\0' || strlen(name) >= NAME_SIZE)
		return;
	first = copy(name);
	people_remove(people, first);
	if (people->count == PEOPLE_MAX)
		free(people->names[--people->count]);
	memmove(&people->names[1], &people->names[0], people->count * sizeof people->names[0]);
	people->names[0] = first;
	people->count++;
}

void people_add(struct people *people, const char *name)
{
	if (name[0] == '\0' || strlen(name) >= NAME_SIZE || people->count == PEOPLE_MAX || people_have(people, name))
		return;
	people->names[people->count++] = copy(name);
}

void people_rename(struct people *people, const char *name, const char *now)
{
	size_t i = find(people, name);

	if (i == people->count || now[0] == '\0' || strlen(now) >= NAME_SIZE)
		return;
	free(people->names[i]);
	people->names[i] = copy(now);
}
