/*-------------------------------------------------------------------------
 *
 * collection_row.h
 *	  A row of resource "collections" of Qdrant until it is handed over.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_COLLECTION_ROW_H
#define IU_QDRANT_COLLECTION_ROW_H

#include "fdw/qdrant/whole.h"
#include "fdw/remote.h"

/* The columns. */
enum
{
	COLLECTIONS_COLLECTION,
	COLLECTIONS_POINTS,
	COLLECTIONS_POINTS_APPROX,
	COLLECTIONS_STATUS,
	COLLECTIONS_VECTORS,
	COLLECTIONS_DIMENSION,
	COLLECTIONS_DISTANCE,
	COLLECTIONS_ALIASES,
	COLLECTIONS_CONFIGURATION,
	COLLECTIONS_DEFERRED,
	COLLECTIONS_QUEUED,
	COLLECTIONS_REPLICAS,
	COLLECTIONS_SURE,
	COLLECTIONS_DOUBT,
	COLLECTIONS_ERROR,
	COLLECTIONS_COLUMNS
};

/* A row until it is handed over. */
typedef struct IuQdrantRow
{
	const char *name;			/* as the query names the collection */
	const char *address;		/* its own name, as far as that is known */
	int			waiting;		/* requests that are not answered */
	bool		failed;			/* one of them has failed */
	bool		asks_last;		/* for the count, after all else is known */
	int64		counted;
	IuQdrantWhole whole;
	Datum		values[COLLECTIONS_COLUMNS];
	bool		nulls[COLLECTIONS_COLUMNS];
} IuQdrantRow;

extern Datum iu_qdrant_row_keep(IuScan *scan, Datum value);
extern void iu_qdrant_row_set(IuQdrantRow *row, int column, Datum value);
extern void iu_qdrant_row_set_text(IuScan *scan, IuQdrantRow *row, int column, const char *value);
extern const char *iu_qdrant_row_describe(IuScan *scan, IuQdrantRow *row, const IuJson *result);

#endif							/* IU_QDRANT_COLLECTION_ROW_H */
