#include "tcpclient/crowd.h"

#include <stdio.h>
#include <string.h>

void crowd_clear(struct crowd *crowd)
{
	crowd->count = 0;
	crowd->others_came = 0;
	crowd->others_went = 0;
}

/* NULL when there are too many to know another. */
static struct crowd_person *find(struct crowd *crowd, const char *name, bool was_here)
{
	struct crowd_person *person = crowd->people;

	for (size_t i = 0; i < crowd->count; i++, person++) {
		if (strcmp(person->name, name) == 0)
			return person;
	}
	if (crowd->count == CROWD_MAX)
		return NULL;
	(void)snprintf(person->name, sizeof person->name, "%s", name);
	person->was_here = was_here;
	crowd->count++;
	return person;
}

void crowd_came(struct crowd *crowd, const char *name)
{
	struct crowd_person *person = find(crowd, name, false);

	if (person == NULL)
		crowd->others_came++;
	else
		person->is_here = true;
}

void crowd_went(struct crowd *crowd, const char *name)
{
	struct crowd_person *person = find(crowd, name, true);

	if (person == NULL)
		crowd->others_went++;
	else
		person->is_here = false;
}

/* Tells those who did the same, and 'others' of them without a name. */
static void tell(const struct crowd *crowd, bool was_here, bool is_here, size_t others, const char *what, struct buffer *out)
{
	size_t count = 0;

	for (size_t i = 0; i < crowd->count; i++) {
		const struct crowd_person *person = &crowd->people[i];

		if (person->was_here != was_here || person->is_here != is_here)
			continue;
		if (count < CROWD_TOLD_MAX)
			buffer_add_format(out, "%s%s", count > 0 ? ", " : out->size > 0 ? "; " : "", person->name);
		count++;
	}
	others += count > CROWD_TOLD_MAX ? count - CROWD_TOLD_MAX : 0;
	if (others > 0)
		buffer_add_format(out, "%s%zu more", count > 0 ? " and " : out->size > 0 ? "; " : "", others);
	if (count + others > 0)
		buffer_add_text(out, what);
}

void crowd_tell(const struct crowd *crowd, struct buffer *out)
{
	struct buffer text = {0};

	tell(crowd, false, true, crowd->others_came, " joined", &text);
	tell(crowd, true, false, crowd->others_went, " left", &text);
	tell(crowd, false, false, 0, " joined and left", &text);
	tell(crowd, true, true, 0, " left and came back", &text);
	buffer_add(out, text.bytes, text.size);
	buffer_fini(&text);
}
