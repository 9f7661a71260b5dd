/*
 * How deep JSON from a peer is nested, before a parser that calls itself for each level sees it.
 *
 * Threads: any.
 */
#ifndef COMMON_NESTING_H
#define COMMON_NESTING_H

#include <stdbool.h>
#include <stddef.h>

/* Whether brackets outside of strings are nested at most 'most' deep. 'json' may be anything. */
bool nesting_is_within(const char *json, size_t size, size_t most);

#endif
