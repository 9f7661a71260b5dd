/*
 * The client's locks, outermost first; a thread may take only locks below those it holds. The first three are held
 * while the terminal is written to, since that is what they order.
 */
#ifndef TCPCLIENT_LOCKS_H
#define TCPCLIENT_LOCKS_H

#include "common/sync.h"

extern struct lock_class OUTPUT_LOCK;                           /* standard output without a screen */
extern struct lock_class PROMPT_LOCK ACQUIRED_AFTER(OUTPUT_LOCK); /* what stands before the typed line */
extern struct lock_class SCREEN_LOCK ACQUIRED_AFTER(PROMPT_LOCK); /* the terminal and readline      */
extern struct lock_class TALK_LOCK ACQUIRED_AFTER(SCREEN_LOCK); /* where the server is, and whether */
extern struct lock_class SCENE_LOCK ACQUIRED_AFTER(TALK_LOCK);  /* rooms, people, what was said     */
extern struct lock_class OUTBOX_LOCK ACQUIRED_AFTER(SCENE_LOCK); /* the lines that wait to be sent   */

#endif
