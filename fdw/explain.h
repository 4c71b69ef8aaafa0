/*-------------------------------------------------------------------------
 *
 * explain.h
 *	  What EXPLAIN shows of a foreign scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_EXPLAIN_H
#define IU_EXPLAIN_H

#include "commands/explain.h"
#include "nodes/execnodes.h"

extern void iu_explain_scan(ForeignScanState *state, ExplainState *es);

#endif							/* IU_EXPLAIN_H */
