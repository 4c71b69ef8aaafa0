/*-------------------------------------------------------------------------
 *
 * query.h
 *	  The requests to Directus for items and counts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_QUERY_H
#define IU_DIRECTUS_QUERY_H

#include "fdw/remote.h"

typedef struct IuDirectusQuery
{
	const char *collection;
	int			limit;			/* -1: none given */
	int64		offset;
	const char *sort;			/* a field; NULL for none */
	List	   *fields;			/* C strings; NIL: not given */
	bool		filter_count;	/* ask for meta.filter_count */
	bool		aggregate;		/* ask for nothing but count(*) */
	const char *filter;			/* JSON; NULL for none */
} IuDirectusQuery;

extern void iu_directus_fetch(IuScan *scan, const IuDirectusQuery *query, int purpose, void *state);
extern char *iu_directus_filter(const char *jsonb, const char **problem);
extern char *iu_directus_filter_both(const char *one, const char *other);
extern void iu_directus_ask_count(IuScan *scan, const char *name, const char *filter, void *state);
extern const char *iu_directus_count_of(const IuJson *document, int64 *count);

#endif							/* IU_DIRECTUS_QUERY_H */
