/*
 * Where the client keeps what shall be there the next time: $XDG_STATE_HOME/tcpclient, else ~/.local/state/tcpclient.
 *
 * Threads: any.
 */
#ifndef TCPCLIENT_STATE_H
#define TCPCLIENT_STATE_H

#include "common/net.h"

/* The file of the lines typed to a server, in new memory; its folders are made if need be. NULL when there is no such
 * place. */
char *state_history_path(const struct net_place *place);

#endif
