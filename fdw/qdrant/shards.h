/*-------------------------------------------------------------------------
 *
 * shards.h
 *	  Collections of Qdrant with shard keys: what a chain of requests for
 *	  points finds out about its collection.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_SHARDS_H
#define IU_QDRANT_SHARDS_H

#include "fdw/qdrant/chain.h"

extern bool iu_qdrant_shards_found(IuScan *scan, IuQdrantChain *chain, const IuJson *points, int64 count);
extern void iu_qdrant_shards_answered(IuScan *scan, IuQdrantChain *chain, const IuJson *document);

#endif							/* IU_QDRANT_SHARDS_H */
