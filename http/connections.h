/*-------------------------------------------------------------------------
 *
 * connections.h
 *	  Connections that requests share, as they do over HTTP/2. Only for this
 *	  floor. Raises nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CONNECTIONS_H
#define IU_CONNECTIONS_H

#include "http/transfer.h"

extern int64 iu_connection_wait(const dlist_head *running, IuTransfer *transfer, int64 now);
extern void iu_connection_ended(dlist_head *queued, const IuTransfer *ended);
extern void iu_connection_timed_out(const dlist_head *running, const IuTransfer *ended, int highest_fd);
extern void iu_connection_broken(const IuTransfer *ended, int highest_fd);

#endif							/* IU_CONNECTIONS_H */
