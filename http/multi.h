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

#include "http/sockets.h"
#include "http/transfer.h"

/* Handles to be used again. */
typedef struct IuHandles
{
	CURL	  **handles;
	int			count;
} IuHandles;

typedef struct IuMulti
{
	CURLM	   *handle;
	IuSockets	sockets;
	int64		timer_at;		/* when curl wants to be called, of iu_clock_ms; -1: not */
	int64		woken_at;		/* when curl was last told to look at those that are shared, of iu_clock_ms */
	IuHandles	spare;			/* as new */
	IuHandles	kept;			/* with what plain transfers have in common: see handle.c */
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
