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
	Oid			server;			/* whose connections it holds */
	int			connections;	/* at most */
	char	   *policy;			/* the settings of what may be reached that it was made under */
} IuPool;

extern IuPool *iu_pool_take(MemoryContext context, Oid server, int connections);
extern void iu_pool_give_back(IuPool *pool);
extern bool iu_pool_has_room(void);

#endif							/* IU_POOL_H */
