/*-------------------------------------------------------------------------
 *
 * names.h
 *	  Names of Qdrant's collections: their addresses and their list.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_NAMES_H
#define IU_QDRANT_NAMES_H

#include "fdw/remote.h"

/* fetch->purpose, in every resource */
typedef enum IuQdrantPurpose
{
	IU_QDRANT_LIST,				/* GET /collections */
	IU_QDRANT_LIST_ALIASES,		/* GET /aliases, for every collection */
	IU_QDRANT_FIND_ALIASES,		/* GET /aliases, for one collection */
	IU_QDRANT_RESOLVE,			/* GET /aliases, for the pages of one collection */
	IU_QDRANT_SHARDS,			/* GET /collections/{collection}/shards */
	IU_QDRANT_DESCRIBE,			/* GET /collections/{collection} */
	IU_QDRANT_CLUSTER,			/* GET /collections/{collection}/cluster */
	IU_QDRANT_COUNT,
	IU_QDRANT_COUNT_LEAST,		/* of the replica that has the fewest */
	IU_QDRANT_COUNT_MIDDLE,		/* as most of them have */
	IU_QDRANT_SCROLL,			/* a page of points */
	IU_QDRANT_FETCH,			/* points by their ids */
	IU_QDRANT_NAME				/* the id of a point that is too large to be read */
} IuQdrantPurpose;

extern char *iu_qdrant_path(const char *name, const char *rest, const char **problem);
extern const char *iu_qdrant_consistency(const IuQuery *query);
extern bool iu_qdrant_counts_rows(const IuQuery *query);
extern const char *iu_qdrant_parameters(IuScan *scan);
extern int	iu_qdrant_limit_after(const char *text, const char *words);
extern bool iu_qdrant_fewer_seconds(IuScan *scan, int status, const char *text);
extern bool iu_qdrant_is_gone(IuScan *scan, int status, const char *text);
extern const char **iu_qdrant_names(const IuJson *document, int *count);
extern void iu_qdrant_unusable(IuScan *scan, const char *key, const char *reason);
extern void iu_qdrant_unaddressable(IuScan *scan, const char *key, const char *problem);

#endif							/* IU_QDRANT_NAMES_H */
