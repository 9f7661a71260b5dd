/*
 * The thread that writes: it keeps what waits, all of it in one transaction, and publishes it after the commit.
 *
 * When the file cannot be written, all drafts of the transaction are refused, and those that come in the next moment,
 * too; then it tries again with what comes next. It does upkeep when nothing waits, and a little of it even when that
 * never ends.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_WRITER_H
#define TCPSERVER_JOURNALS_SQLITE_WRITER_H

struct sqlite_journal;

/* The thread's function; it ends when the journal is stopping and all is written, or cannot be. */
void *sqlite_writer_run(void *journal);

#endif
