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

/* In fdw_state. */
typedef struct IuNode
{
	IuScan	   *scan;
	List	   *states;			/* ExprState of the keys */
	List	   *roles;			/* int lists beside it */
	List	   *arrays;
	ExprContext *expressions;
} IuNode;

extern void iu_node_begin(ForeignScanState *node, int flags);
extern TupleTableSlot *iu_node_next(ForeignScanState *node);
extern void iu_node_again(ForeignScanState *node);
extern void iu_node_end(ForeignScanState *node);
extern void iu_node_explain(ForeignScanState *node, ExplainState *es);

#endif							/* IU_NODE_H */
