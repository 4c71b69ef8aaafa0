/*-------------------------------------------------------------------------
 *
 * analyze.h
 *	  ANALYZE of foreign tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ANALYZE_H
#define IU_ANALYZE_H

#include "access/htup.h"
#include "fdw/remote.h"
#include "utils/relcache.h"

extern int	iu_analyze_sample(const IuRemote *remote, Relation relation, HeapTuple *rows, int target,
							  double *total, double *dead);

#endif							/* IU_ANALYZE_H */
