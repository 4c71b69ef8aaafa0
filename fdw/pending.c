/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  A request of a scan until its answer has been read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/pending.h"
#include "utils/memutils.h"

/* A copy of what is to be asked, in the context. */
IuPending *
iu_pending_create(MemoryContext context, const IuFetch *fetch)
{
	IuPending  *pending = MemoryContextAllocZero(context, sizeof(IuPending));

	pending->fetch = *fetch;
	pending->fetch.method = MemoryContextStrdup(context, fetch->method);
	pending->fetch.path = MemoryContextStrdup(context, fetch->path);
	pending->fetch.body = fetch->body ? MemoryContextStrdup(context, fetch->body) : NULL;
	pending->fetch.key = fetch->key ? MemoryContextStrdup(context, fetch->key) : NULL;
	return pending;
}

/* Sends it, or sends it again. */
void
iu_pending_send(IuPending *pending, IuSession *session)
{
	pending->attended_us = session->attended_us;
	iu_session_send(session, &pending->fetch, pending);
}

/*
 * Whether the request failed only because nobody attended to the network: while
 * the rows of another answer are worked on, or a cursor rests, no answer is
 * read and no request is sent to its end, but time runs; a server that waited
 * for one may have said so, by an empty 408. Such a request is to be sent again.
 * That comes to an end, as whoever waits for the answer attends to it.
 */
bool
iu_pending_was_neglected(const IuPending *pending, const IuSession *session, const IuHttpAnswer *answer)
{
	bool		gave_up = answer->outcome == IU_HTTP_TIMEOUT || answer->outcome == IU_HTTP_RESET ||
		(answer->outcome == IU_HTTP_ANSWERED && answer->status == 408 && answer->body.len == 0);

	return gave_up && session->attended_us - pending->attended_us < answer->microseconds / 2;
}

/* Frees it: a scan may have a million of them. */
void
iu_pending_free(IuPending *pending)
{
	const IuFetch *fetch = &pending->fetch;
	const char *const parts[] = {fetch->method, fetch->path, fetch->body, fetch->key};
	int			i;

	for (i = 0; i < lengthof(parts); i++)
		if (parts[i] != NULL)
			pfree(unconstify(char *, parts[i]));
	pfree(pending);
}
