/*
 * Text in the person's editor: $VISUAL, else $EDITOR, else vi.
 *
 * Threads: one at a time; it waits for the editor, which has the terminal.
 */
#ifndef TCPCLIENT_EDITOR_H
#define TCPCLIENT_EDITOR_H

#include <stdbool.h>

#include "tcpclient/buffer.h"

/* Has 'text' edited. Returns false, with the text as it was, when there is no editor or it fails. */
bool editor_run(struct buffer *text);

#endif
