#include "common/nearest.h"

#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>

static unsigned least(unsigned one, unsigned two, unsigned three)
{
	unsigned smaller = one < two ? one : two;

	return smaller < three ? smaller : three;
}

/* How many letters have to be changed, added or left out to make one word of the other, in whatever case (Levenshtein's
 * distance). 'right' is in lower case. */
static unsigned distance(const char *left, const char *right)
{
	unsigned row[NEAREST_SIZE_MAX + 1];
	size_t width = strlen(right);

	assert(width <= NEAREST_SIZE_MAX);
	for (unsigned i = 0; i <= width; i++)
		row[i] = i;
	for (unsigned line = 1; left[line - 1] != '\0'; line++) {
		int letter = tolower((unsigned char)left[line - 1]);
		unsigned diagonal = row[0];

		row[0] = line;
		for (size_t i = 1; i <= width; i++) {
			unsigned above = row[i];

			row[i] = least(above + 1, row[i - 1] + 1, diagonal + (letter != right[i - 1]));
			diagonal = above;
		}
	}
	return row[width];
}

void nearest_offer(struct nearest *nearest, const char *word)
{
	unsigned best = nearest->word == NULL ? NEAREST_DISTANCE_MAX + 1 : nearest->distance;
	unsigned this;

	if (strlen(nearest->typed) > NEAREST_SIZE_MAX)
		return;
	this = distance(nearest->typed, word);
	if (this >= best || this >= strlen(word))
		return;
	nearest->word = word;
	nearest->distance = this;
}
