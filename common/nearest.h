/*
 * Which of several words somebody meant who mistyped one.
 *
 *         struct nearest nearest = {.typed = "jion"};
 *
 *         nearest_offer(&nearest, "join");
 *         nearest_offer(&nearest, "leave");
 *         nearest.word is "join", and would be NULL if nothing were alike
 *
 * Threads: any; nothing here keeps state or waits.
 */
#ifndef COMMON_NEAREST_H
#define COMMON_NEAREST_H

enum {
	NEAREST_DISTANCE_MAX = 2,  /* mistyped letters up to which a word is meant */
	NEAREST_SIZE_MAX = 16,     /* bytes of the longest word                    */
};

struct nearest {
	const char *typed;
	const char *word;  /* the most similar of those offered; NULL: none is similar */
	unsigned distance; /* of that word                                             */
};

/* Offers a word, in lower case, of NEAREST_SIZE_MAX bytes at most; of two that are as similar the first counts. */
void nearest_offer(struct nearest *nearest, const char *word);

#endif
