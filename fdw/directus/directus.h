/*-------------------------------------------------------------------------
 *
 * directus.h
 *	  What the parts of the Directus remote share.
 *
 * server.c: names, addresses, the token's access, failures, import.
 * query.c: requests for items and counts.
 * ids.c: ids of items, and those that the key's type may not hold.
 * collections.c, items.c: the two kinds of tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_H
#define IU_DIRECTUS_H

#include "fdw/remote.h"

/* fetch->purpose, in every resource */
typedef enum IuDirectusPurpose
{
	IU_DIRECTUS_LIST,			/* GET /collections */
	IU_DIRECTUS_ACCESS,			/* GET /permissions/me */
	IU_DIRECTUS_COUNT,
	IU_DIRECTUS_PAGE,
	IU_DIRECTUS_PROBE			/* one key, to learn what keys look like */
} IuDirectusPurpose;

/* ---- names and addresses (server.c) ---- */

/* NULL if there can be a collection of this name with items that are counted. */
extern const char *iu_directus_name_problem(const char *name);

/* "/items/name", or the endpoint of a system collection. */
extern char *iu_directus_path(const char *name);

/* Every collection that a listing shows and that has items; false: it is no listing. */
extern bool iu_directus_listed(const IuJson *document, void (*each) (void *state, const char *name), void *state);

extern void iu_directus_ask_list(IuScan *scan, void *state);

/* Fails with a sentence about an answer of 200. */
extern void iu_directus_bad_answer(IuScan *scan, const char *key, const char *problem);

/* ---- how much of a collection the token sees (server.c) ---- */

typedef enum IuDirectusAccess
{
	IU_ACCESS_UNKNOWN,			/* the remote does not say */
	IU_ACCESS_NONE,
	IU_ACCESS_PARTIAL,			/* some items only, or nobody can tell */
	IU_ACCESS_FIELDS,			/* every item, some fields only */
	IU_ACCESS_FULL
} IuDirectusAccess;

extern const char *iu_directus_access_word(IuDirectusAccess access); /* NULL: unknown */

/* From the answer to GET /permissions/me; false: that is not what it is. */
extern bool iu_directus_access_of(const IuJson *document, const char *name, IuDirectusAccess *access);

/* Whether option "partial" accepts a count of what the token sees. */
extern bool iu_directus_takes_part(const IuQuery *query);
extern void iu_directus_ask_access(IuScan *scan, const char *key, void *state);

/* Fails where the token does not see all, as far as the remote says. True: it does. */
extern bool iu_directus_sees_all(IuScan *scan, const char *name, IuDirectusAccess access);

/* Fails because it could not be found out; status 0: no answer. */
extern void iu_directus_access_unclear(IuScan *scan, const char *name, int status);

/* ---- requests for items and counts (query.c) ---- */

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

/* By GET while the address is short enough, else by SEARCH. */
extern void iu_directus_fetch(IuScan *scan, const IuDirectusQuery *query, int purpose, void *state);

/* The filter as it is sent; NULL if this is no filter, and then *problem says why. */
extern char *iu_directus_filter(const char *jsonb, const char **problem);

extern char *iu_directus_filter_both(const char *one, const char *other);

/* Asks for one count; the answer is read with iu_directus_count_of. */
extern void iu_directus_ask_count(IuScan *scan, const char *name, const char *filter, void *state);

/* NULL if the answer holds a count; otherwise what is wrong with it. */
extern const char *iu_directus_count_of(const IuJson *document, int64 *count);

/* ---- ids of items (ids.c) ---- */

/* exact: every item that passes has one of these ids, so that there are no more items than ids. */
extern char *iu_directus_filter_of_ids(const char *id_field, char **ids, int count, bool *exact);

/* Asks for one item's key, to learn what keys look like. */
extern void iu_directus_ask_probe(IuScan *scan, const char *collection, const char *id_field,
								  const char *filter, void *state);

/* Puts those first that a key like this, a scalar, could be, and tells how many they are. */
extern int	iu_directus_part_ids(char **ids, int count, const IuJson *key);

/* ---- the callbacks of the resources ---- */

extern List *iu_directus_collections_describe(const IuQuery *query);
extern void iu_directus_collections_start(IuScan *scan);
extern void iu_directus_collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);
extern bool iu_directus_collections_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);

extern List *iu_directus_items_describe(const IuQuery *query);
extern void iu_directus_items_start(IuScan *scan);
extern void iu_directus_items_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);
extern bool iu_directus_items_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);

enum
{
	IU_COLLECTIONS_COLLECTION,
	IU_COLLECTIONS_ITEMS,
	IU_COLLECTIONS_ACCESS,
	IU_COLLECTIONS_ERROR,
	IU_COLLECTIONS_COLUMNS
};

enum
{
	IU_ITEMS_COLLECTION,
	IU_ITEMS_ID,
	IU_ITEMS_ITEM,
	IU_ITEMS_FILTER,
	IU_ITEMS_COLUMNS
};

/* import.c */
extern List *iu_directus_import(IuImport *import);

#endif							/* IU_DIRECTUS_H */
