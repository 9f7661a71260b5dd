/*
 * The lock classes of the server, outermost first; a thread may take only locks below those it holds. clang checks it.
 *
 * Nothing blocks under any of them: no disk, no name look-up, no sleep; under FLUSH_LOCK and OUTLET_LOCK there are
 * sends that do not wait.
 */
#ifndef TCPSERVER_CORE_LOCKS_H
#define TCPSERVER_CORE_LOCKS_H

#include "common/sync.h"

extern struct lock_class STRANGERS_LOCK;                              /* who waits for a stranger               */
extern struct lock_class CLIENT_LIST_LOCK ACQUIRED_AFTER(STRANGERS_LOCK); /* who is connected, by name          */
extern struct lock_class ROOMS_LOCK ACQUIRED_AFTER(CLIENT_LIST_LOCK); /* the rooms by name and id, who is in    */
extern struct lock_class FLUSH_LOCK ACQUIRED_AFTER(ROOMS_LOCK);       /* one room's members, while they are flushed */
extern struct lock_class JOURNAL_LOCK ACQUIRED_AFTER(FLUSH_LOCK);     /* one room's order of messages           */
extern struct lock_class ROOM_LOCK ACQUIRED_AFTER(JOURNAL_LOCK);      /* one room's ends of logs, its topic     */
extern struct lock_class OUTLET_LOCK ACQUIRED_AFTER(ROOM_LOCK);       /* one client's outbox and cursors        */
extern struct lock_class JOURNAL_QUEUE_LOCK ACQUIRED_AFTER(OUTLET_LOCK); /* what waits for a journal's writer   */
extern struct lock_class JOURNAL_MARKS_LOCK ACQUIRED_AFTER(JOURNAL_QUEUE_LOCK); /* marks not written yet        */
extern struct lock_class JOURNAL_READERS_LOCK ACQUIRED_AFTER(JOURNAL_MARKS_LOCK); /* a journal's connections    */
extern struct lock_class JOURNAL_CHECKPOINTS_LOCK ACQUIRED_AFTER(JOURNAL_READERS_LOCK); /* how long a journal's log is */
extern struct lock_class TLS_LOCK ACQUIRED_AFTER(JOURNAL_CHECKPOINTS_LOCK); /* the certificate for new connections */
extern struct lock_class SERVERS_LOCK ACQUIRED_AFTER(TLS_LOCK); /* what other servers have told, and are asked */
extern struct lock_class AMQP_LOCK ACQUIRED_AFTER(SERVERS_LOCK); /* what the AMQP engine remembers           */

#endif
