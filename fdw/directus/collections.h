/*-------------------------------------------------------------------------
 *
 * collections.h
 *	  Resource "collections" of Directus.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_COLLECTIONS_H
#define IU_DIRECTUS_COLLECTIONS_H

#include "fdw/remote.h"

enum
{
	IU_COLLECTIONS_COLLECTION,
	IU_COLLECTIONS_ITEMS,
	IU_COLLECTIONS_ACCESS,
	IU_COLLECTIONS_ERROR,
	IU_COLLECTIONS_COLUMNS
};

extern const IuRemoteColumn iu_directus_collections_columns[IU_COLLECTIONS_COLUMNS];
extern List *iu_directus_collections_describe(const IuQuery *query);
extern void iu_directus_collections_start(IuScan *scan);
extern void iu_directus_collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);
extern bool iu_directus_collections_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);

#endif							/* IU_DIRECTUS_COLLECTIONS_H */
