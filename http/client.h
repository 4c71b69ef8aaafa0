/*-------------------------------------------------------------------------
 *
 * client.h
 *	  HTTP requests, many at once, in the process's own wait.
 *
 * Requests follow no redirect, use no proxy, verify TLS and speak only http and
 * https. What may be reached is checked twice: the URL when a request starts
 * (egress.h), the address when it connects and when it is sent (address.h).
 *
 * Over https they go by HTTP/2 where the peer speaks it, many on a connection.
 *
 * When a connection that was kept from an earlier request, or is shared with
 * others, turns out to be dead, curl sends the request once more on a new one,
 * even a POST: a peer may see a request twice, as whenever an answer is lost.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CLIENT_H
#define IU_CLIENT_H

#include "http/answer.h"
#include "http/request.h"

typedef struct IuHttpPool IuHttpPool;

typedef enum IuHttpEvent
{
	IU_HTTP_EVENT_ANSWER,		/* there is an answer */
	IU_HTTP_EVENT_LATCH,		/* MyLatch was set and has been reset */
	IU_HTTP_EVENT_TIMEOUT		/* the time has passed */
} IuHttpEvent;

extern IuHttpPool *iu_http_pool_create(MemoryContext parent, int max_in_flight);
extern int	iu_http_pool_size(const IuHttpPool *pool);

extern void iu_http_submit(IuHttpPool *pool, const IuHttpRequest *request);
extern void iu_http_start(IuHttpPool *pool);
extern int	iu_http_pending(const IuHttpPool *pool);
extern IuHttpEvent iu_http_wait(IuHttpPool *pool, long wait_ms, uint32 wait_event,
								IuHttpAnswer **answer);
extern int	iu_http_descriptor(IuHttpPool *pool, int most_ms);
extern IuHttpAnswer *iu_http_perform(IuHttpPool *pool, const IuHttpRequest *request,
									 uint32 wait_event);

#endif							/* IU_CLIENT_H */
