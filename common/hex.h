/*
 * Bytes that are written as hex digits.
 *
 * Threads: any.
 */
#ifndef COMMON_HEX_H
#define COMMON_HEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

/* The value of a hex digit of either case; -1 of any other character. */
int hex_digit(char digit);

/* Reads a text of 2 * 'size' hex digits and nothing else. Returns whether it is one. */
bool hex_read(const char *text, unsigned char *bytes, size_t size) MUST_CHECK;

#endif
