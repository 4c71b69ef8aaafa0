/*-------------------------------------------------------------------------
 *
 * whole.h
 *	  Whether what Qdrant counts is everything that a collection was given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_WHOLE_H
#define IU_QDRANT_WHOLE_H

#include "fdw/json.h"

/* What is known of a collection beside its count; zero at first. */
typedef struct IuQdrantWhole
{
	bool		tells_queue;	/* Qdrant says how many updates are queued */
	int64		queued;
	bool		tells_deferred; /* or that there can be none */
	int64		deferred;
	const char *status;
	char	   *replicas;		/* JSON; NULL: not told */
	bool		is_replicated;	/* a shard has more than one replica */
	const char *trouble;		/* of a replica; NULL: none */
	int64		least;			/* as the replica with the fewest counts; -1: not asked */
	int64		middle;			/* as most of them do; -1: not asked */
} IuQdrantWhole;

extern const char *iu_qdrant_whole_describe(IuQdrantWhole *whole, const IuJson *result);
extern const char *iu_qdrant_whole_replicas(IuQdrantWhole *whole, const IuJson *result);
extern char *iu_qdrant_whole_doubt(const IuQdrantWhole *whole, int64 count);

#endif							/* IU_QDRANT_WHOLE_H */
