/*-------------------------------------------------------------------------
 *
 * items.h
 *	  Resource "items" of Directus.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_ITEMS_H
#define IU_DIRECTUS_ITEMS_H

#include "fdw/directus/pages.h"

extern const IuRemoteColumn iu_directus_items_columns[IU_ITEMS_COLUMNS];
extern List *iu_directus_items_describe(const IuQuery *query);
extern void iu_directus_items_start(IuScan *scan);
extern void iu_directus_items_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);
extern bool iu_directus_items_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);
extern bool iu_directus_items_too_large(IuScan *scan, const IuFetch *fetch, bool request);

#endif							/* IU_DIRECTUS_ITEMS_H */
