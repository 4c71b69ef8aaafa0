/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  One reading of a foreign table, whoever wants it: the executor (node.c)
 *	  or ANALYZE (analyze.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SCAN_H
#define IU_SCAN_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fdw/scan_state.h"

extern IuScan *iu_scan_open(MemoryContext parent, Oid user, const IuQuery *query, double limit,
							TupleDesc descriptor, List *attributes);
extern void iu_scan_start(IuScan *scan, List **keys);
extern HeapTuple iu_scan_next(IuScan *scan, bool patient, bool *unfinished);
extern void iu_scan_reset(IuScan *scan);
extern void iu_scan_close(IuScan *scan);

#endif							/* IU_SCAN_H */
