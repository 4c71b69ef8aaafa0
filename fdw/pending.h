/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  A request of a scan until its answer has been read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PENDING_H
#define IU_PENDING_H

#include "fdw/session.h"

/* The owner of the HTTP request. */
typedef struct IuPending
{
	IuFetch		fetch;			/* a copy */
	int64		attended_us;	/* the session's, when it was sent */
} IuPending;

extern IuPending *iu_pending_create(MemoryContext context, const IuFetch *fetch);
extern void iu_pending_send(IuPending *pending, IuSession *session);
extern bool iu_pending_was_neglected(const IuPending *pending, const IuSession *session, const IuHttpAnswer *answer);
extern void iu_pending_free(IuPending *pending);

#endif							/* IU_PENDING_H */
