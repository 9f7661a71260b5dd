#include "tcpserver/journals/sqlite_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_HEADER = 100,
	LOG_HEADER = 32,
	FRAME_HEADER = 24,
	PAGE_SIZE_MIN = 512,
	PAGE_SIZE_MAX = 65536,
	PAGE_SIZE_USUAL = 4096,
	LEAF_HEADER = 8,
	LEAF = 0x0D,   /* the kind of a page: a leaf of a table */
	INDEX_LEAF = 0x0A,
	INDEX_INNER = 0x02,
	INDEX_INNER_HEADER = 12,
	CHILD_SIZE = 4, /* before each row of an inner page: the number of the page below it */
	LOOKED_AT = 2000, /* pages that are looked at to guess their size */
};

static const unsigned char magic[16] = "SQLite format 3";

/* ---- Numbers. ---- */

static uint32_t big16(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

static uint32_t big32(const unsigned char *bytes)
{
	return big16(bytes) << 16 | big16(bytes + 2);
}

static uint32_t little32(const unsigned char *bytes)
{
	return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

/* Reads a number of 1 to 9 bytes. Returns how many; 0 when it does not fit in 'size'. */
static size_t read_varint(const unsigned char *bytes, size_t size, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < size && i < 9; i++) {
		if (i == 8) {
			*number = *number << 8 | bytes[i];
			return 9;
		}
		*number = *number << 7 | (bytes[i] & 0x7F);
		if (bytes[i] < 0x80)
			return i + 1;
	}
	return 0;
}

/* A whole number with a sign. */
static int64_t read_integer(const unsigned char *bytes, size_t size)
{
	uint64_t number = size > 0 && bytes[0] >= 0x80 ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | bytes[i];
	return (int64_t)number;
}

static bool is_page_size(uint64_t size)
{
	return size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

/* Whether all of it was read. */
static bool read_at(int file, void *bytes, size_t size, uint64_t place)
{
	return pread(file, bytes, size, (off_t)place) == (ssize_t)size;
}

/* ---- The write-ahead log. ---- */

/* The sums go on from one frame to the next, so that what was left of an earlier use does not count. */
struct log_sum {
	uint32_t one;
	uint32_t other;
	bool big; /* the order of bytes that was used */
};

static void log_sum_add(struct log_sum *sum, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i + 8 <= size; i += 8) {
		sum->one += (sum->big ? big32(bytes + i) : little32(bytes + i)) + sum->other;
		sum->other += (sum->big ? big32(bytes + i + 4) : little32(bytes + i + 4)) + sum->one;
	}
}

static bool log_sum_is(const struct log_sum *sum, const unsigned char *bytes)
{
	return sum->one == big32(bytes) && sum->other == big32(bytes + 4);
}

/* Whether there is a whole header. */
static bool log_begin(int log, unsigned char header[LOG_HEADER], struct log_sum *sum)
{
	if (log < 0 || !read_at(log, header, LOG_HEADER, 0) || (big32(header) & 0xFFFFFFFE) != 0x377F0682)
		return false;
	*sum = (struct log_sum){.big = (header[3] & 1) != 0};
	log_sum_add(sum, header, 24);
	return log_sum_is(sum, header + 24) && is_page_size(big32(header + 8));
}

static uint64_t frame_place(const struct sqlite_pages *pages, uint32_t frame)
{
	return LOG_HEADER + (uint64_t)(frame - 1) * (FRAME_HEADER + pages->page_size);
}

/* Reads the next frame to pages->page. Returns whether it is whole and of this use of the log. */
static bool log_read_frame(struct sqlite_pages *pages, const unsigned char *header, uint32_t frame, struct log_sum *sum,
	unsigned char frame_header[FRAME_HEADER])
{
	uint64_t place = frame_place(pages, frame);

	if (!read_at(pages->log, frame_header, FRAME_HEADER, place) ||
		!read_at(pages->log, pages->page, pages->page_size, place + FRAME_HEADER) ||
		memcmp(frame_header + 8, header + 16, 8) != 0)
		return false;
	log_sum_add(sum, frame_header, 8);
	log_sum_add(sum, pages->page, pages->page_size);
	return log_sum_is(sum, frame_header + 16);
}

/* Finds the last frame that ends a transaction, and how many pages the file has after it. */
static uint32_t log_last_commit(struct sqlite_pages *pages, uint32_t *page_count)
{
	unsigned char header[LOG_HEADER];
	unsigned char frame_header[FRAME_HEADER];
	struct log_sum sum;
	uint32_t last = 0;

	if (!log_begin(pages->log, header, &sum) || big32(header + 8) != pages->page_size)
		return 0;
	for (uint32_t frame = 1; log_read_frame(pages, header, frame, &sum, frame_header); frame++) {
		if (big32(frame_header + 4) != 0) {
			last = frame;
			*page_count = big32(frame_header + 4);
		}
	}
	return last;
}

/* Notes where the pages are. A page has its number in its frame. */
static void log_note(struct sqlite_pages *pages, uint32_t last)
{
	unsigned char number[4];

	for (uint32_t frame = 1; frame <= last; frame++) {
		if (read_at(pages->log, number, 4, frame_place(pages, frame)) && big32(number) >= 1 &&
			big32(number) <= pages->count)
			pages->logged[big32(number) - 1] = frame;
	}
}

/* ---- Pages. ---- */

/* Reads page 'number', from 1 on. What the end of the file cut off is zeros. */
static bool page_read(struct sqlite_pages *pages, uint32_t number, unsigned char *page)
{
	uint32_t frame = number >= 1 && number <= pages->count ? pages->logged[number - 1] : 0;
	uint64_t place = (uint64_t)(number - 1) * pages->page_size;
	ssize_t got;

	if (number < 1 || number > pages->count)
		return false;
	if (frame != 0)
		return read_at(pages->log, page, pages->page_size, frame_place(pages, frame) + FRAME_HEADER);
	got = pread(pages->file, page, pages->page_size, (off_t)place);
	if (got < 0)
		return false;
	memset(page + got, 0, pages->page_size - (size_t)got);
	return true;
}

/* How many of the first pages could be pages of a tree if they had this size. */
static uint64_t count_plausible(int file, size_t page_size, uint64_t file_size)
{
	unsigned char header[LEAF_HEADER];
	uint64_t plausible = 0;

	for (uint64_t i = 1; i < LOOKED_AT && (i + 1) * page_size <= file_size; i++) {
		if (!read_at(file, header, sizeof header, i * page_size))
			continue;
		if ((header[0] == 2 || header[0] == 5 || header[0] == 10 || header[0] == 13) && big16(header + 3) > 0 &&
			LEAF_HEADER + 2 * big16(header + 3) <= page_size && big16(header + 5) >= LEAF_HEADER &&
			big16(header + 5) < page_size)
			plausible++;
	}
	return plausible;
}

static size_t guess_page_size(int file, uint64_t file_size)
{
	size_t best = PAGE_SIZE_USUAL;
	uint64_t most = count_plausible(file, best, file_size);

	for (size_t size = PAGE_SIZE_MIN; size <= PAGE_SIZE_MAX; size *= 2) {
		uint64_t plausible = count_plausible(file, size, file_size);

		if (plausible > most) {
			best = size;
			most = plausible;
		}
	}
	return best;
}

/* The size of pages as the file says, or the log, or the pages themselves. */
static void find_page_size(struct sqlite_pages *pages, uint64_t file_size)
{
	unsigned char header[FILE_HEADER] = {0};
	unsigned char log_header[LOG_HEADER];
	struct log_sum sum;
	bool good = read_at(pages->file, header, sizeof header, 0) && memcmp(header, magic, sizeof magic) == 0;
	size_t said = big16(header + 16) == 1 ? PAGE_SIZE_MAX : big16(header + 16);

	if (good && is_page_size(said))
		pages->page_size = said;
	else if (log_begin(pages->log, log_header, &sum))
		pages->page_size = big32(log_header + 8);
	else
		pages->page_size = guess_page_size(pages->file, file_size);
	pages->usable = pages->page_size - (good && header[20] <= 32 ? header[20] : 0);
}

/* Notes the pages of the list of free ones, as far as it makes sense. */
static void note_free(struct sqlite_pages *pages)
{
	uint32_t trunk;
	uint32_t seen = 0;

	if (!page_read(pages, 1, pages->page) || memcmp(pages->page, magic, sizeof magic) != 0)
		return;
	trunk = big32(pages->page + 32);
	while (trunk > 1 && seen++ < pages->count && page_read(pages, trunk, pages->page)) {
		uint32_t leaves = big32(pages->page + 4);

		if (leaves > pages->usable / 4 - 2)
			return;
		pages->is_free[trunk - 1] = true;
		for (uint32_t i = 0; i < leaves; i++) {
			uint32_t leaf = big32(pages->page + 8 + 4 * (size_t)i);

			if (leaf > 1 && leaf <= pages->count)
				pages->is_free[leaf - 1] = true;
		}
		trunk = big32(pages->page);
	}
}

static int pages_measure(struct sqlite_pages *pages)
{
	struct stat status;
	uint32_t last;
	uint64_t count;

	if (fstat(pages->file, &status) != 0)
		return -errno;
	find_page_size(pages, (uint64_t)status.st_size);
	count = ((uint64_t)status.st_size + pages->page_size - 1) / pages->page_size;
	pages->page = malloc(pages->page_size);
	pages->more = malloc(pages->page_size);
	pages->row = malloc(PAGES_ROW_MAX);
	if (pages->page == NULL || pages->more == NULL || pages->row == NULL)
		return -ENOMEM;
	pages->count = count > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)count;
	last = log_last_commit(pages, &pages->count);
	if (last > 0 && pages->count > count + last) /* each frame adds one page at most */
		pages->count = (uint32_t)count + last;
	pages->logged = calloc((size_t)pages->count + 1, sizeof *pages->logged);
	pages->is_free = calloc((size_t)pages->count + 1, sizeof *pages->is_free);
	if (pages->logged == NULL || pages->is_free == NULL)
		return -ENOMEM;
	log_note(pages, last);
	note_free(pages);
	return 0;
}

int sqlite_pages_open(struct sqlite_pages *pages, const char *path)
{
	char *log_path;
	int error;

	*pages = (struct sqlite_pages){.log = -1, .file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
	if (pages->file < 0)
		return -errno;
	if (flock(pages->file, LOCK_SH | LOCK_NB) != 0) {
		error = errno == EWOULDBLOCK ? -EBUSY : -errno;
		sqlite_pages_close(pages);
		return error;
	}
	if (asprintf(&log_path, "%s-wal", path) < 0) {
		sqlite_pages_close(pages);
		return -ENOMEM;
	}
	pages->log = open(log_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	free(log_path);
	error = pages_measure(pages);
	if (error != 0)
		sqlite_pages_close(pages);
	return error;
}

void sqlite_pages_close(struct sqlite_pages *pages)
{
	if (pages->log >= 0)
		(void)close(pages->log);
	if (pages->file >= 0)
		(void)close(pages->file);
	free(pages->logged);
	free(pages->is_free);
	free(pages->page);
	free(pages->more);
	free(pages->row);
	*pages = (struct sqlite_pages){.file = -1, .log = -1};
}

/* ---- Rows. ---- */

/* How many bytes of a row of 'size' stand on the page itself. */
static size_t local_size(const struct sqlite_pages *pages, size_t size, bool of_index)
{
	size_t most = of_index ? (pages->usable - 12) * 64 / 255 - 23 : pages->usable - 35;
	size_t least = (pages->usable - 12) * 32 / 255 - 23;
	size_t kept = size < least ? 0 : least + (size - least) % (pages->usable - 4);

	if (size <= most)
		return size;
	return kept <= most ? kept : least;
}

/* Copies the rest of a row, which stands on pages of its own, one leading to the next. */
static bool read_overflow(struct sqlite_pages *pages, uint32_t number, size_t copied, size_t size)
{
	while (copied < size) {
		size_t part = size - copied < pages->usable - 4 ? size - copied : pages->usable - 4;

		if (!page_read(pages, number, pages->more))
			return false;
		memcpy(pages->row + copied, pages->more + 4, part);
		copied += part;
		number = big32(pages->more);
	}
	return true;
}

/* Reads what a column is; takes its bytes. Returns how many, or SIZE_MAX when it makes no sense. */
static size_t read_value(uint64_t type, const unsigned char *bytes, size_t left, struct sqlite_value *value)
{
	static const size_t sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
	size_t size;

	*value = (struct sqlite_value){.kind = VALUE_OTHER};
	if (type == 10 || type == 11 || type > 2 * (uint64_t)PAGES_ROW_MAX + 13)
		return SIZE_MAX;
	size = type < 10 ? sizes[type] : (size_t)(type - 12) / 2;
	if (size > left)
		return SIZE_MAX;
	if (type == 0) {
		value->kind = VALUE_NULL;
	} else if (type <= 6) {
		value->kind = VALUE_NUMBER;
		value->number = read_integer(bytes, size);
	} else if (type == 8 || type == 9) {
		value->kind = VALUE_NUMBER;
		value->number = type == 9;
	} else if (type >= 12) {
		value->kind = type % 2 == 0 ? VALUE_BLOB : VALUE_TEXT;
		value->bytes = (const char *)bytes;
		value->size = size;
	}
	return size;
}

/* Takes a row of 'size' bytes apart. Columns beyond those that there is room for are left out. */
static bool read_values(const unsigned char *bytes, size_t size, struct sqlite_row *row)
{
	uint64_t header_size;
	size_t place = read_varint(bytes, size, &header_size);
	size_t body = (size_t)header_size;

	row->count = 0;
	if (place == 0 || header_size > size)
		return false;
	while (place < header_size && row->count < PAGES_COLUMNS_MAX) {
		uint64_t type;
		size_t step = read_varint(bytes + place, (size_t)header_size - place, &type);
		size_t taken = step == 0 ? SIZE_MAX : read_value(type, bytes + body, size - body, &row->values[row->count]);

		if (taken == SIZE_MAX)
			return false;
		place += step;
		body += taken;
		row->count++;
	}
	return true;
}

/* Reads the row that begins at 'place' of pages->page; one of an index has no id. */
static bool row_read(struct sqlite_pages *pages, size_t place, struct sqlite_row *row)
{
	const unsigned char *cell = pages->page + place;
	size_t left = pages->usable - place;
	uint64_t size;
	uint64_t id = 0;
	size_t first = read_varint(cell, left, &size);
	size_t second = first == 0 || row->of_index ? 0 : read_varint(cell + first, left - first, &id);
	size_t local;

	if (first == 0 || (second == 0 && !row->of_index) || size > PAGES_ROW_MAX)
		return false;
	cell += first + second;
	left -= first + second;
	local = local_size(pages, (size_t)size, row->of_index);
	if (local + (local < size ? 4 : 0) > left)
		return false;
	memcpy(pages->row, cell, local);
	if (local < size && !read_overflow(pages, big32(cell + local), local, (size_t)size))
		return false;
	row->id = (int64_t)id;
	return read_values(pages->row, (size_t)size, row);
}

/* Whether pages->page is a leaf that makes sense; an empty one does not matter. */
static bool is_leaf(const struct sqlite_pages *pages)
{
	return pages->page[0] == LEAF && LEAF_HEADER + 2 * big16(pages->page + 3) <= pages->usable;
}

/* The first byte: of a tree's page (2, 5, 10, 13), of a map of pages (1 to 5), or of the number of an overflow page (0). */
static bool is_known_page(unsigned char kind)
{
	return kind <= 5 || kind == 10 || kind == LEAF;
}

static int leaf_each(
	struct sqlite_pages *pages, int (*take)(const struct sqlite_row *row, void *context), void *context)
{
	uint32_t count = big16(pages->page + 3);
	int result = 0;

	for (uint32_t i = 0; result == 0 && i < count; i++) {
		size_t place = big16(pages->page + LEAF_HEADER + 2 * (size_t)i);
		struct sqlite_row row = {.of_index = false};

		if (place < LEAF_HEADER || place >= pages->usable || !row_read(pages, place, &row))
			pages->bad_rows++;
		else
			result = take(&row, context);
	}
	return result;
}

/* As leaf_each(), of a page of an index. What makes no sense there is no loss: most of them repeat what tables have. */
static int index_each(
	struct sqlite_pages *pages, int (*take)(const struct sqlite_row *row, void *context), void *context)
{
	bool inner = pages->page[0] == INDEX_INNER;
	size_t header = inner ? INDEX_INNER_HEADER : LEAF_HEADER;
	size_t count = big16(pages->page + 3);
	int result = 0;

	for (size_t i = 0; result == 0 && i < count && header + 2 * i + 2 <= pages->usable; i++) {
		size_t place = big16(pages->page + header + 2 * i) + (inner ? (size_t)CHILD_SIZE : 0);
		struct sqlite_row row = {.of_index = true};

		if (place >= header && place < pages->usable && row_read(pages, place, &row))
			result = take(&row, context);
	}
	return result;
}

int sqlite_pages_each(
	struct sqlite_pages *pages, int (*take)(const struct sqlite_row *row, void *context), void *context)
{
	int result = 0;

	for (uint32_t number = 2; result == 0 && number <= pages->count; number++) {
		if (pages->is_free[number - 1])
			continue;
		if (!page_read(pages, number, pages->page))
			pages->bad_pages++;
		else if (is_leaf(pages))
			result = leaf_each(pages, take, context);
		else if (pages->page[0] == INDEX_LEAF || pages->page[0] == INDEX_INNER)
			result = index_each(pages, take, context);
		else if (!is_known_page(pages->page[0]) || pages->page[0] == LEAF)
			pages->bad_pages++;
	}
	return result;
}
