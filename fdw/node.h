/*-------------------------------------------------------------------------
 *
 * node.h
 *	  Foreign scans as the executor calls them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_NODE_H
#define IU_NODE_H

#include "fdw/keys.h"
#include "fdw/scan_state.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* In fdw_state. */
typedef struct IuNode
{
	IuScan	   *scan;
	List	   *states;			/* ExprState of each expression that gives keys */
	IuKeySource keys;			/* beside it */
	ExprContext *expressions;
	int			decided;		/* as in IuPlan */
	bool		unfinished;		/* asynchronous: the last call found no row, but there may be more */
} IuNode;

extern void iu_node_begin(const IuRemote *remote, ForeignScanState *state, int flags);
extern TupleTableSlot *iu_node_next(ForeignScanState *state);
extern void iu_node_again(ForeignScanState *state);
extern void iu_node_end(ForeignScanState *state);

/* Below an Append that reads several at once: asynchronously. */
extern bool iu_node_is_async(ForeignPath *path);
extern void iu_node_request(AsyncRequest *request);
extern void iu_node_configure(AsyncRequest *request);
extern void iu_node_notify(AsyncRequest *request);

#endif							/* IU_NODE_H */
