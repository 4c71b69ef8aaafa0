/*-------------------------------------------------------------------------
 *
 * pages.h
 *	  Reading the items of one collection of Directus, page by page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_PAGES_H
#define IU_DIRECTUS_PAGES_H

#include "fdw/remote.h"

/* The columns of resource "items". */
enum
{
	IU_ITEMS_COLLECTION,
	IU_ITEMS_ID,
	IU_ITEMS_ITEM,
	IU_ITEMS_FILTER,
	IU_ITEMS_COLUMNS
};

/* What one run of a scan asks of every collection. */
typedef struct IuReading
{
	const char *id_field;
	char	  **fields;			/* of typed columns: must be in every item */
	int			field_count;
	bool		wants_item;
	const char *filter;			/* as it is sent, NULL: none */
	const char *shown_filter;	/* as the query gave it */
	const char *filter_problem; /* why it cannot be sent; NULL: it can */
	char	  **ids;
	int			id_count;		/* -1: not restricted */
	struct IuPart *parts;
} IuReading;

/* The items of one collection, or those of them that have one of these ids. */
typedef struct IuPart
{
	IuReading  *reading;
	struct IuPart *next;
	char	   *collection;
	char	   *filter;			/* JSON, the ids among it; NULL: none */
	char	  **ids;
	int			id_count;		/* 0: all items */
	bool		exact;			/* there are no more items than ids */
	bool		parted;			/* its ids have been told from others by what keys look like */
	bool		unlikely;		/* and these do not look like keys */
	bool		confirmed;		/* these were refused, and then another question was answered */
	int			limit;			/* of the request under way */
	int64		received;
	int64		total;			/* as the latest page told, -1: it does not tell */
	char	   *last_id;		/* that the next page begins with; NULL: with the next item */
} IuPart;

extern IuPart *iu_part_create(IuScan *scan, IuReading *reading, const char *collection, char **ids, int id_count);
extern void iu_part_ask(IuScan *scan, IuPart *part);
extern void iu_part_answered(IuScan *scan, IuPart *part, const IuJson *document);
extern void iu_part_probed(IuScan *scan, IuPart *part, const IuJson *document);
extern void iu_part_named(IuScan *scan, const IuPart *part, const IuJson *document);
extern bool iu_part_too_large(IuScan *scan, IuPart *part, bool request);
extern bool iu_part_refused(IuScan *scan, IuPart *part, int status, const IuJson *document);

#endif							/* IU_DIRECTUS_PAGES_H */
