/*-------------------------------------------------------------------------
 *
 * points.h
 *	  Resource "points" of Qdrant.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_POINTS_H
#define IU_QDRANT_POINTS_H

#include "fdw/remote.h"

#define IU_QDRANT_POINTS_COLUMNS 6

extern const IuRemoteColumn iu_qdrant_points_columns[IU_QDRANT_POINTS_COLUMNS];
extern List *iu_qdrant_points_describe(const IuQuery *query);
extern void iu_qdrant_points_start(IuScan *scan);
extern void iu_qdrant_points_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);

#endif							/* IU_QDRANT_POINTS_H */
