#include "tcpserver/core/journal.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"

struct draft *draft_copy(const struct draft *draft)
{
	size_t id_size = draft->request_id == NULL ? 0 : strlen(draft->request_id) + 1;
	struct draft *copy = malloc(sizeof *copy + id_size);

	if (copy == NULL)
		return NULL;
	*copy = *draft;
	if (id_size > 0)
		copy->request_id = memcpy(copy + 1, draft->request_id, id_size);
	return copy;
}

void draft_free(struct draft *draft)
{
	message_release(draft->message);
	free(draft);
}
