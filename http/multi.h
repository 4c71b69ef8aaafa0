/*-------------------------------------------------------------------------
 *
 * multi.h
 *	  libcurl's multi handle, its sockets in one epoll descriptor. Only for this
 *	  floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_MULTI_H
#define IU_MULTI_H

#include <signal.h>

#include "http/transfer.h"

typedef struct IuMulti
{
	CURLM	   *handle;
	int			epoll_fd;		/* -1: not open */
	int64		timer_at;		/* when curl wants to be called, of iu_clock_ms; -1: not */
	int			highest_fd;		/* of curl's sockets so far */
	bool	   *shared;			/* by descriptor: curl's, and of a connection that requests may share; malloc'd */
	int			shared_size;
	int64		woken_at;		/* when curl was last told to look at these, of iu_clock_ms */
	uint64		header_bytes;	/* in all transfers so far */
	CURL	  **spare;			/* handles to be used again */
	int			spare_count;
} IuMulti;

extern void iu_multi_enter(sigset_t *previous);
extern void iu_multi_leave(const sigset_t *previous);

extern void iu_multi_open(IuMulti *multi, MemoryContext context, int connections);
extern void iu_multi_close(IuMulti *multi);
extern bool iu_multi_add(IuMulti *multi, IuTransfer *transfer);
extern void iu_multi_abandon(IuMulti *multi, IuTransfer *transfer);
extern CURLMcode iu_multi_timer_is_due(IuMulti *multi);
extern CURLMcode iu_multi_sockets_are_ready(IuMulti *multi);
extern IuTransfer *iu_multi_ended(IuMulti *multi, CURLcode *code);
extern void iu_multi_remove(IuMulti *multi, IuTransfer *transfer);

#endif							/* IU_MULTI_H */
