/*
 * Typed text that holds a password: it is sent, but neither kept nor shown again.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_SECRET_H
#define TCPCLIENT_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Whether one of the lines is a command that takes a password, also when the command is mistyped. */
bool secret_is_in(const char *text, size_t size);

#endif
