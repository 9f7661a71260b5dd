/*
 * Where the client keeps what shall be there the next time: $XDG_STATE_HOME/tcpclient, else ~/.local/state/tcpclient.
 *
 * Threads: any.
 */
#ifndef TCPCLIENT_STATE_H
#define TCPCLIENT_STATE_H

#include "common/net.h"
#include "common/sync.h"

/*
 * The files of the lines typed to a server, of the people ignored there, of the lines that a user has not sent yet, and of
 * how far that user has read; in new memory. Their folders are made if need be. NULL when there is no such place.
 */
char *state_history_path(const struct net_place *place) MUST_CHECK;
char *state_ignored_path(const struct net_place *place) MUST_CHECK;
char *state_unsent_path(const struct net_place *place, const char *user) MUST_CHECK;
char *state_progress_path(const struct net_place *place, const char *user) MUST_CHECK;
/* The file of the servers whose certificates were seen (pins.h), in the same place. */
char *state_pins_path(void) MUST_CHECK;

#endif
