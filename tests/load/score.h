/*
 * The room as its first listener heard it, against which all others are compared.
 *
 * Every member of a room gets the same records in the same order. So the records of the member that is ahead are
 * checked one by one (each sender counts without a hole) and kept in a ring; the bytes of all others are compared with
 * the ring, which checks every byte of theirs too, at the speed of memcmp().
 *
 * A position is a count of record bytes since the start. Lines that are no records (they do not start with 's', and
 * start where a record could) have no place in the score; score_take() stops in front of them.
 *
 * Threads: one; each reader has a score of its own.
 */
#ifndef TCPCHAT_LOAD_SCORE_H
#define TCPCHAT_LOAD_SCORE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct score {
	size_t line_size;
	size_t record_size;
	unsigned sender_count;
	char *expected; /* the next record of each sender */
	char *ring;
	size_t ring_size; /* a multiple of 'record_size' */
	uint64_t end;     /* how far the first member got; may be inside a record */
};

/* Begins an empty score that holds 'line_count' records at least. Returns 0 or -ENOMEM. */
int score_init(struct score *score, size_t line_size, unsigned sender_count, size_t line_count);
void score_fini(struct score *score);

/*
 * Checks bytes that a member got behind '*position' and moves it past them.
 *
 * Returns how many bytes were records (0: another line begins here), or -1 after noting a fault of 'name'.
 */
ssize_t score_take(struct score *score, const char *name, uint64_t *position, const char *bytes, size_t size);

#endif
