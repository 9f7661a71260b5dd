/*
 * Passwords that a program is told: in a URL, where its log and ps must not show them, and in a file that others may not read.
 *
 * Threads: any; crossing out changes the text that it is given. Only secret_read() may block, on a disk.
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdbool.h>

#include "common/sync.h"

enum { SECRET_SIZE = 200 }; /* bytes of a secret of a file, with its NUL */

/*
 * Writes '*' over the passwords of a URL: what stands between the first ':' behind "://" and the last '@' of all, and the values of
 * parameters that are called password, or something that ends so, in either case and also with %XX. A '/', '?', '#' or '@' of a
 * password should be written as %XX, but some libraries take it as it is, and what they refuse must not be seen either: so in doubt
 * too much is crossed out. A text without "://" stays.
 */
void secret_cross_out(char *url);

/* Whether libpq would take a part of the password for a host or a port, and quote it when it cannot connect: there is a '/' or an '@'
 * before the last '@' that does not belong to a parameter. */
bool secret_is_misread(const char *url);

/* A copy of an argument or a variable, in which passwords are crossed out then: others may see it (ps, /proc). secret_free() the
 * copy. NULL without memory. */
char *secret_take(const char *url) MUST_CHECK;
/* Frees it, and leaves nothing of it in memory. NULL is none. */
void secret_free(char *secret);

/*
 * Reads the first line of the file that 'program' was told by 'option' into 'secret'; '*found' is that, or NULL when 'path' is NULL:
 * then there is none. Returns false when it cannot be read, or others may read it; what is wrong was said on standard error then.
 */
bool secret_read(const char *program, const char *option, const char *path, char secret[SECRET_SIZE], const char **found) MUST_CHECK;

#endif
