/*-------------------------------------------------------------------------
 *
 * items.c
 *	  Resource "items" of Directus: which collections are read or counted, and
 *	  whether the token sees all of them. pages.c reads the items.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/directus/access.h"
#include "fdw/directus/items.h"
#include "fdw/directus/names.h"
#include "fdw/directus/pages.h"
#include "fdw/directus/query.h"
#include "fdw/resource.h"
#include "fdw/table.h"
#include "lib/stringinfo.h"

const IuRemoteColumn iu_directus_items_columns[IU_ITEMS_COLUMNS] = {
	{"collection", TEXTOID},
	{"id", TEXTOID},
	{"item", JSONBOID},
	{"filter", JSONBOID}
};

/* What a scan keeps from one run to the next. */
typedef struct Kept
{
	char		settled[256];	/* a collection whose access need not be asked for again */
} Kept;

/* ---- EXPLAIN ---- */

/* The request for a page: in {braces} stands what is known at execution only. */
static char *
page_template(const IuQuery *query)
{
	StringInfoData page;
	const char *id_field = iu_query_option(query, "id_field");
	ListCell   *cell;

	initStringInfo(&page);
	appendStringInfo(&page, "GET or SEARCH /items/{collection}?limit=%d&offset={offset}&sort=%s&fields=%s",
					 query->page_size, id_field ? id_field : "id", id_field ? id_field : "id");
	if (bms_is_member(IU_ITEMS_ITEM, query->wants))
		appendStringInfoString(&page, ",*");
	foreach(cell, query->fields)
		appendStringInfo(&page, ",%s", (char *) lfirst(cell));
	appendStringInfoString(&page, "&meta=filter_count");
	if (query->restricted[IU_KEY_ID] || query->restricted[IU_KEY_FILTER])
		appendStringInfoString(&page, "&filter={filter}");
	return page.data;
}

/* For EXPLAIN. */
List *
iu_directus_items_describe(const IuQuery *query)
{
	List	   *requests = NIL;

	if (!query->restricted[IU_KEY_COLLECTION] || query->listed)
		requests = lappend(requests, "GET /collections");
	if (!query->counts)
		requests = lappend(requests, page_template(query));
	else if (query->restricted[IU_KEY_FILTER])
		requests = lappend(requests, "GET or SEARCH /items/{collection}?limit=0&meta=filter_count&filter={filter}");
	else if (iu_directus_accepts_part(query))
		requests = lappend(requests, "GET /items/{collection}?limit=0&meta=filter_count");
	else
		requests = lappend(requests, "GET /items/{collection}?aggregate[count]=*");
	if (!iu_directus_accepts_part(query))
		requests = lappend(requests, "GET /permissions/me");
	return requests;
}

/* ---- the start ---- */

/* Asks for the items of a collection, or for its count. */
static void
read_collection(IuScan *scan, IuReading *reading, const char *name)
{
	IuFailure	failure = {ERRCODE_INVALID_NAME, "iu_remote_collection_name", iu_directus_name_problem(name)};
	int			count;
	int			i;

	if (failure.reason == NULL && reading->filter_problem != NULL)
	{
		failure.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
		failure.constraint = "iu_remote_filter";
		failure.reason = reading->filter_problem;
	}
	if (failure.reason != NULL)
	{
		iu_scan_fail(scan, name, &failure);
		return;
	}
	if (iu_scan_counts(scan))
		iu_directus_ask_count(scan, name, reading->filter, iu_part_create(scan, reading, name, NULL, 0));
	else if (reading->id_count < 0)
		iu_part_ask(scan, iu_part_create(scan, reading, name, NULL, 0));
	for (i = 0; i < reading->id_count; i += count)
	{
		count = Min(reading->id_count - i, IU_IDS_PER_REQUEST);
		iu_part_ask(scan, iu_part_create(scan, reading, name, reading->ids + i, count));
	}
}

/* Takes the filter of the query. False: nothing can match. */
static bool
take_filter(IuScan *scan, IuReading *reading)
{
	List	   *filters;
	char	   *filter;

	if (!iu_scan_restricts(scan, IU_KEY_FILTER))
		return true;
	filters = iu_scan_keys(scan, IU_KEY_FILTER);
	if (filters == NIL)
		return false;
	reading->shown_filter = iu_scan_strdup(scan, linitial(filters));
	filter = iu_directus_filter(reading->shown_filter, &reading->filter_problem);
	reading->filter = filter ? iu_scan_strdup(scan, filter) : NULL;
	return true;
}

/* Takes the ids of the query. False: nothing can match. */
static bool
take_ids(IuScan *scan, IuReading *reading)
{
	List	   *ids;
	ListCell   *cell;
	int			i = 0;

	reading->id_count = -1;
	if (!iu_scan_restricts(scan, IU_KEY_ID))
		return true;
	ids = iu_scan_keys(scan, IU_KEY_ID);
	reading->id_count = list_length(ids);
	reading->ids = iu_scan_alloc(scan, Max(reading->id_count, 1) * sizeof(char *));
	foreach(cell, ids)
		reading->ids[i++] = iu_scan_strdup(scan, lfirst(cell));
	return ids != NIL;
}

/* Takes the fields that the query looks at. */
static void
take_fields(IuScan *scan, IuReading *reading)
{
	const char *id_field = iu_scan_option(scan, "id_field");
	List	   *names = NIL;
	ListCell   *cell;

	reading->id_field = iu_scan_strdup(scan, id_field ? id_field : "id");
	reading->wants_item = iu_scan_wants(scan, IU_ITEMS_ITEM);
	if (!iu_scan_wants_fields(scan, &names))
		return;
	reading->fields = iu_scan_alloc(scan, Max(list_length(names), 1) * sizeof(char *));
	foreach(cell, names)
		reading->fields[reading->field_count++] = iu_scan_strdup(scan, lfirst(cell));
}

/*
 * Asks how much the token sees, at the same time as for the items. No row waits
 * for the answer: only a reading that goes to its end says that there are no
 * more rows, and that waits for it.
 */
static void
ask_access(IuScan *scan, IuReading *reading)
{
	const Kept *kept = iu_scan_keep(scan, sizeof(Kept));
	const IuPart *part = reading->parts;

	if (iu_directus_accepts_part(iu_scan_query(scan)))
		return;
	while (part != NULL && strcmp(part->collection, kept->settled) == 0)
		part = part->next;
	if (part != NULL)
		iu_directus_ask_access(scan, part->collection, reading);
}

/*
 * Notes that the access to a collection need not be asked for at a rescan. One
 * collection is enough to remember: a join that rescans looks at one at a time.
 */
static void
settle_access(IuScan *scan, const char *collection)
{
	Kept	   *kept = iu_scan_keep(scan, sizeof(Kept));

	strlcpy(kept->settled, collection, sizeof(kept->settled));
}

/* Asks for the items of what the query names, or for the list of collections. */
void
iu_directus_items_start(IuScan *scan)
{
	IuReading  *reading = iu_scan_alloc(scan, sizeof(IuReading));
	ListCell   *cell;

	if (!take_filter(scan, reading) || !take_ids(scan, reading))
		return;
	take_fields(scan, reading);
	if (iu_scan_lists(scan))
	{
		iu_directus_ask_list(scan, reading);
		return;
	}
	foreach(cell, iu_scan_keys(scan, IU_KEY_COLLECTION))
		read_collection(scan, reading, lfirst(cell));
	ask_access(scan, reading);
}

/* ---- answers ---- */

/* For read_found: the scan and its run. */
typedef struct Found
{
	IuScan	   *scan;
	IuReading  *reading;
} Found;

static void
read_found(void *state, const char *name)
{
	Found	   *found = state;

	if (iu_scan_takes(found->scan, name))
		read_collection(found->scan, found->reading, name);
}

/* Reads the list of collections. */
static void
read_listed_collections(IuScan *scan, IuReading *reading, const IuJson *document)
{
	Found		found = {scan, reading};

	if (!iu_directus_read_list(document, read_found, &found))
		iu_directus_bad_answer(scan, NULL, "the answer holds no list of collections");
	else
	{
		iu_scan_has_list(scan);
		ask_access(scan, reading);
	}
}

/* Fails for each collection of which the token sees only a part. */
static void
check_access(IuScan *scan, const IuReading *reading, const IuJson *document)
{
	const IuPart *part;

	for (part = reading->parts; part; part = part->next)
	{
		IuDirectusAccess access;

		if (!iu_directus_access_of(document, part->collection, &access))
			iu_directus_access_unclear(scan, part->collection, 200);
		else if (iu_directus_sees_all(scan, part->collection, access))
			settle_access(scan, part->collection);
	}
}

/* Reads an answer. */
void
iu_directus_items_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	const char *problem;
	int64		count;

	switch (fetch->purpose)
	{
		case IU_DIRECTUS_LIST:
			read_listed_collections(scan, fetch->state, document);
			break;
		case IU_DIRECTUS_ACCESS:
			check_access(scan, fetch->state, document);
			break;
		case IU_DIRECTUS_PAGE:
			iu_part_answered(scan, fetch->state, document);
			break;
		case IU_DIRECTUS_PROBE:
			iu_part_probed(scan, fetch->state, document);
			break;
		case IU_DIRECTUS_NAME:
			iu_part_named(scan, fetch->state, document);
			break;
		default:
			problem = iu_directus_count_of(document, &count);
			if (problem != NULL)
				iu_directus_bad_answer(scan, fetch->key, problem);
			else
				iu_scan_count(scan, fetch->key, count);
			break;
	}
}

/*
 * Deals with the refusal of a page, and with a 403 or 404 to the question how
 * much the token sees: that cannot be known then, and is asked no more. Any
 * other refusal is a failure.
 */
bool
iu_directus_items_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	if (fetch->purpose == IU_DIRECTUS_PAGE)
		return iu_part_refused(scan, fetch->state, status, document);
	if (fetch->purpose == IU_DIRECTUS_LIST && status == 403 && iu_scan_forgoes_list(scan))
	{
		iu_directus_items_start(scan);
		return true;
	}
	if (fetch->purpose != IU_DIRECTUS_ACCESS || (status != 403 && status != 404) ||
		iu_directus_licence(document) != NULL)
		return false;
	settle_access(scan, fetch->key);
	return true;
}

/* Asks for less where a page, or the request for it, was too large. False if this is a failure. */
bool
iu_directus_items_too_large(IuScan *scan, const IuFetch *fetch, bool request)
{
	return fetch->purpose == IU_DIRECTUS_PAGE && iu_part_too_large(scan, fetch->state, request);
}
