#include "tcpclient/places.h"

#include <stdio.h>
#include <string.h>

void places_init(struct places *places)
{
	*places = (struct places){.count = 0};
	places_add(places, PLACES_LOBBY, false);
	places_go(places, PLACES_LOBBY);
}

bool places_are_same(const char *one, const char *other)
{
	char key[NAME_KEY_SIZE];
	char other_key[NAME_KEY_SIZE];

	if (strcmp(one, other) == 0)
		return true;
	return name_key(one, key) == name_key(other, other_key) && strcmp(key, other_key) == 0;
}

const char *places_shown(const char *name)
{
	bool is_id = strspn(name, "0123456789abcdef") == PLACES_ID_LENGTH && name[PLACES_ID_LENGTH] == '\0';

	return is_id ? "stranger" : name;
}

static size_t find(const struct places *places, const char *name)
{
	size_t i = 0;

	while (i < places->count && !places_are_same(places->items[i].name, name))
		i++;
	return i;
}

bool places_have(const struct places *places, const char *name)
{
	return find(places, name) < places->count;
}

void places_add(struct places *places, const char *name, bool fleeting)
{
	struct place *place;

	if (name[0] == '\0' || strlen(name) >= NAME_SIZE || places->count == PLACES_MAX || places_have(places, name))
		return;
	place = &places->items[places->count];
	(void)snprintf(place->name, sizeof place->name, "%s", name);
	place->fleeting = fleeting;
	places->count++;
}

void places_remove(struct places *places, const char *name)
{
	size_t i = find(places, name);

	if (i == places->count)
		return;
	places->count--;
	memmove(&places->items[i], &places->items[i + 1], (places->count - i) * sizeof places->items[0]);
}

void places_go(struct places *places, const char *name)
{
	if (places->current[0] != '\0' && places_have(places, places->current) && !places_are_same(places->current, name))
		memcpy(places->before, places->current, sizeof places->before);
	(void)snprintf(places->current, sizeof places->current, "%s", name);
}

void places_settle(struct places *places)
{
	if (places->current[0] != '\0' && places_have(places, places->current))
		return;
	if (places->count == 0)
		places_add(places, PLACES_LOBBY, false);
	if (places->before[0] != '\0' && places_have(places, places->before))
		(void)snprintf(places->current, sizeof places->current, "%s", places->before);
	else
		(void)snprintf(places->current, sizeof places->current, "%s", places->items[places->count - 1].name);
}
