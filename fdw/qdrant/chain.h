/*-------------------------------------------------------------------------
 *
 * chain.h
 *	  The requests for the points of one collection, one after the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_CHAIN_H
#define IU_QDRANT_CHAIN_H

#include "fdw/qdrant/query.h"

typedef struct IuQdrantChain
{
	const char *collection;		/* as the query names it */
	const char *address;		/* its own name, where the query names an alias; NULL: not known yet */
	bool		has_shards;		/* its points have shard keys, and it is to be read key by key */
	struct IuQdrantChain *next_waiting; /* for the aliases */
	const char *shard;			/* the shard key as JSON; NULL: none is asked for */
	IuQdrantQuestion *question;
	IuQdrantSlice slice;		/* the ids of the request under way */
	char	   *offset;			/* JSON; NULL: at the first page */
	int			limit;			/* of the page under way */
	bool		is_rated;		/* a rate limit has split its ids */
	int			pauses;			/* that the request under way has made for it */
	int			pause_s;		/* before the next request */
	bool		without_ids;	/* reads all that pass the filter, and picks the ids here */
} IuQdrantChain;

extern void iu_qdrant_chain_ask(IuScan *scan, IuQdrantChain *chain);
extern void iu_qdrant_chain_set_offset(IuScan *scan, IuQdrantChain *chain, const char *offset);
extern void iu_qdrant_chain_ask_more_ids(IuScan *scan, IuQdrantChain *chain);
extern void iu_qdrant_chain_resolved(IuScan *scan, IuQdrantChain *chain, const IuJson *document);
extern void iu_qdrant_chain_came(IuScan *scan, IuQdrantChain *chain, bool is_page);
extern bool iu_qdrant_chain_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);
extern bool iu_qdrant_chain_too_large(IuScan *scan, const IuFetch *fetch, bool request);

#endif							/* IU_QDRANT_CHAIN_H */
