/*-------------------------------------------------------------------------
 *
 * collections.h
 *	  Resource "collections" of Qdrant.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_COLLECTIONS_H
#define IU_QDRANT_COLLECTIONS_H

#include "fdw/remote.h"

#define IU_QDRANT_COLLECTIONS_COLUMNS 15

extern const IuRemoteColumn iu_qdrant_collections_columns[IU_QDRANT_COLLECTIONS_COLUMNS];
extern List *iu_qdrant_collections_describe(const IuQuery *query);
extern void iu_qdrant_collections_start(IuScan *scan);
extern void iu_qdrant_collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);
extern bool iu_qdrant_collections_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);

#endif							/* IU_QDRANT_COLLECTIONS_H */
