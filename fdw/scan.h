/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  Execution of foreign scans.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SCAN_H
#define IU_SCAN_H

#include "commands/explain.h"
#include "nodes/execnodes.h"

extern void iu_scan_begin(ForeignScanState *node, int flags);
extern TupleTableSlot *iu_scan_next(ForeignScanState *node);
extern void iu_scan_again(ForeignScanState *node);
extern void iu_scan_end(ForeignScanState *node);
extern void iu_scan_explain(ForeignScanState *node, ExplainState *es);

#endif							/* IU_SCAN_H */
