#include "tests/load/score.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/load/verdict.h"
#include "tests/load/wire.h"

enum { SCORE_SAMPLE_SIZE = 24 }; /* how much of a record is shown in a message */

int score_init(struct score *score, size_t line_size, unsigned sender_count, size_t line_count)
{
	size_t record_size = wire_record_size(line_size);

	*score = (struct score){
		.line_size = line_size,
		.record_size = record_size,
		.sender_count = sender_count,
		.expected = malloc((sender_count + 1) * record_size),
		.ring = malloc(line_count * record_size),
		.ring_size = line_count * record_size,
	};
	if (score->expected == NULL || score->ring == NULL) {
		score_fini(score);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < sender_count; i++)
		wire_write_record(score->expected + i * record_size, line_size, i, 0);
	return 0;
}

void score_fini(struct score *score)
{
	free(score->expected);
	free(score->ring);
	*score = (struct score){0};
}

static size_t score_smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Says in words what is wrong with a whole record of which 'expected' should have been the text. */
static void score_explain(const struct score *score, const char *name, const char *record, const char *expected)
{
	const char *what = "got a changed line";
	struct wire_fields got;
	struct wire_fields wanted;

	if (wire_read_record(record, score->record_size, &got) &&
		wire_read_record(expected, score->record_size, &wanted) && got.sender == wanted.sender)
		what = got.number > wanted.number ? "lost a line, or got it late" : "got a line twice, or late";
	verdict_fault(
		"%s %s: wanted '%.*s', got '%.*s'", name, what, SCORE_SAMPLE_SIZE, expected, SCORE_SAMPLE_SIZE, record);
}

/* Checks the record that now ends the score. */
static bool score_check_last(struct score *score, const char *name)
{
	const char *record = score->ring + (score->end - score->record_size) % score->ring_size;
	unsigned sender = 0;
	char *expected;

	for (int i = 1; i < WIRE_NAME_SIZE; i++)
		sender = sender * 10 + (unsigned)(record[i] - '0');
	if (sender >= score->sender_count) {
		verdict_fault("%s got a line of nobody: '%.*s'", name, SCORE_SAMPLE_SIZE, record);
		return false;
	}
	expected = score->expected + sender * score->record_size;
	if (memcmp(record, expected, score->record_size) != 0) {
		score_explain(score, name, record, expected);
		return false;
	}
	wire_step_line(expected + WIRE_HEAD_SIZE);
	return true;
}

/* Takes bytes that nobody had before. */
static ssize_t score_extend(struct score *score, const char *name, const char *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size) {
		size_t inside = score->end % score->record_size;
		size_t part = score_smaller(size - taken, score->record_size - inside);

		if (inside == 0 && bytes[taken] != 's')
			break;
		memcpy(score->ring + score->end % score->ring_size, bytes + taken, part);
		score->end += part;
		taken += part;
		if (inside + part == score->record_size && !score_check_last(score, name))
			return -1;
	}
	return (ssize_t)taken;
}

/* How many of the 'size' bytes are as the score has them from 'position' on. */
static size_t score_equal(const struct score *score, uint64_t position, const char *bytes, size_t size)
{
	size_t at = position % score->ring_size;
	size_t first = score_smaller(size, score->ring_size - at);
	size_t equal = 0;

	if (memcmp(score->ring + at, bytes, first) == 0 && memcmp(score->ring, bytes + first, size - first) == 0)
		return size;
	while (score->ring[(at + equal) % score->ring_size] == bytes[equal])
		equal++;
	return equal;
}

/* Notes that the bytes at 'position', which may be inside a record, are not what the first member got. */
static void score_refuse(
	const struct score *score, const char *name, uint64_t position, const char *bytes, size_t equal, size_t size)
{
	size_t inside = (position + equal) % score->record_size;
	const char *expected = score->ring + (position + equal - inside) % score->ring_size;

	if (equal >= inside && size - equal + inside >= score->record_size)
		score_explain(score, name, bytes + equal - inside, expected);
	else
		verdict_fault("%s got something else than the first member, instead of '%.*s'", name, SCORE_SAMPLE_SIZE,
			expected);
}

ssize_t score_take(struct score *score, const char *name, uint64_t *position, const char *bytes, size_t size)
{
	size_t known = score_smaller(size, (size_t)(score->end - *position));
	size_t equal;
	ssize_t extended;

	if (score->end - *position > score->ring_size) {
		verdict_fault("%s fell further behind than the window allows", name);
		return -1;
	}
	equal = score_equal(score, *position, bytes, known);
	if (equal < known) {
		if ((*position + equal) % score->record_size != 0 || bytes[equal] == 's') {
			score_refuse(score, name, *position, bytes, equal, size);
			return -1;
		}
		*position += equal;
		return (ssize_t)equal;
	}
	extended = score_extend(score, name, bytes + known, size - known);
	if (extended < 0)
		return -1;
	*position += known + (size_t)extended;
	return (ssize_t)known + extended;
}
