/*-------------------------------------------------------------------------
 *
 * node.h
 *	  Foreign scans as the executor calls them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_NODE_H
#define IU_NODE_H

#include "commands/explain.h"
#include "fdw/scan.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* In fdw_state. */
typedef struct IuNode
{
	IuScan	   *scan;
	List	   *states;			/* ExprState of the keys */
	List	   *roles;			/* int lists beside it */
	List	   *arrays;
	ExprContext *expressions;
	bool		unfinished;		/* asynchronous: the last call found no row, but there may be more */
} IuNode;

extern void iu_node_begin(ForeignScanState *node, int flags);
extern TupleTableSlot *iu_node_next(ForeignScanState *node);
extern void iu_node_again(ForeignScanState *node);
extern void iu_node_end(ForeignScanState *node);

/* Below an Append that reads several at once. */
extern bool iu_node_is_async(ForeignPath *path);
extern void iu_node_request(AsyncRequest *request);
extern void iu_node_configure(AsyncRequest *request);
extern void iu_node_notify(AsyncRequest *request);

extern void iu_node_explain(ForeignScanState *node, ExplainState *es);

#endif							/* IU_NODE_H */
