/*
 * What one member gets, byte by byte: records are checked, other lines are understood or are a fault.
 *
 * Threads: the member's reader.
 */
#ifndef TCPCHAT_LOAD_MEMBER_H
#define TCPCHAT_LOAD_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct member;
struct reader;

/* Takes the next bytes that 'member' got. False after a fault, which has been noted. */
bool member_take(struct reader *reader, struct member *member, const char *bytes, size_t size);

/* Takes that 'talker' said its line 'number', which must be the next one. False after a fault, which has been noted. */
bool member_count(struct reader *reader, struct member *member, size_t talker, uint64_t number);

#endif
