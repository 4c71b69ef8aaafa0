/*-------------------------------------------------------------------------
 *
 * ids.h
 *	  Ids of Directus's items, and those that a collection's key cannot hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_IDS_H
#define IU_DIRECTUS_IDS_H

#include "fdw/remote.h"

extern char *iu_directus_filter_of_ids(const char *id_field, char **ids, int count, bool *exact);
extern void iu_directus_ask_probe(IuScan *scan, const char *collection, const char *id_field,
								  const char *filter, void *state);
extern int	iu_directus_part_ids(char **ids, int count, const IuJson *key);

#endif							/* IU_DIRECTUS_IDS_H */
