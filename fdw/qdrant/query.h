/*-------------------------------------------------------------------------
 *
 * query.h
 *	  The requests to Qdrant for points: their ids and their bodies.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_QUERY_H
#define IU_QDRANT_QUERY_H

#include "fdw/remote.h"
#include "lib/stringinfo.h"

/* What is asked of every collection alike. Text is JSON. */
typedef struct IuQdrantQuestion
{
	const char *filter;			/* NULL for none */
	bool		by_id;			/* points are named by id */
	const char **ids;			/* if so, in Qdrant's order */
	int			id_count;
	int			ids_at_once;	/* in the next request */
	int			ids_most;		/* in any */
	const char *with_payload;
	bool		with_vector;
	struct IuQdrantChain *waiting;	/* for the aliases: the first chain */
} IuQdrantQuestion;

/* The ids of one request: so many of the question's, from this one on. */
typedef struct IuQdrantSlice
{
	int			first;
	int			count;
} IuQdrantSlice;

extern char *iu_qdrant_id_as_json(const char *text);
extern const char *iu_qdrant_id_as_text(const IuJson *value);
extern char *iu_qdrant_id_of_json(const char *json);
extern bool iu_qdrant_id_follows(const char *id, const char *other);

extern char *iu_qdrant_with_payload(bool whole, List *fields);
extern char *iu_qdrant_template(const IuQuery *query, bool with_payload, bool with_vector);
extern char *iu_qdrant_count_body(const IuQdrantQuestion *question);
extern char *iu_qdrant_fetch_body(const IuQdrantQuestion *question, const IuQdrantSlice *slice);
extern char *iu_qdrant_scroll_body(const IuQdrantQuestion *question, const IuQdrantSlice *slice,
								   const char *offset, int limit);

#endif							/* IU_QDRANT_QUERY_H */
