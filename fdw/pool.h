/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Connections that outlive a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_POOL_H
#define IU_POOL_H

#include "http/client.h"

typedef struct IuPool
{
	MemoryContext context;
	IuHttpPool *http;
	Oid			server;
	int			connections;
	char	   *policy;			/* egress settings it was made under */
} IuPool;

/*
 * A pool for the caller alone, which dies with the context unless it is given
 * back. Giving back keeps it for the next scan if nothing is outstanding and it is of a usual size.
 */
extern IuPool *iu_pool_take(MemoryContext context, Oid server, int connections);
extern void iu_pool_give_back(IuPool *pool);

/* Whether another pool of a usual size would find descriptors enough. */
extern bool iu_pool_has_room(void);

#endif							/* IU_POOL_H */
