/*-------------------------------------------------------------------------
 *
 * collections.c
 *	  Resource "collections" of Directus: each counted as far as the token may
 *	  see it, and how far that is.
 *
 * The requests for the counts and the one for the access to all collections go
 * at the same time; a row waits for both.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/directus/access.h"
#include "fdw/directus/collections.h"
#include "fdw/directus/names.h"
#include "fdw/directus/query.h"
#include "fdw/resource.h"
#include "utils/builtins.h"

const IuRemoteColumn iu_directus_collections_columns[IU_COLLECTIONS_COLUMNS] = {
	{"collection", TEXTOID},
	{"items", INT8OID},
	{"access", TEXTOID},
	{"error", TEXTOID}
};

typedef struct Entry Entry;

/* One run of a scan. */
typedef struct Listing
{
	IuScan	   *scan;
	bool		wants_items;
	bool		wants_access;
	bool		needs_access;		/* for the column or to know that a count is whole */
	bool		access_known;		/* the question for it has been answered or refused */
	int			access_status;		/* of the refusal, 0: no answer came, -1: it was answered */
	Entry	   *entries;
} Listing;

/* One of its collections. */
struct Entry
{
	Listing    *listing;
	Entry	   *next;
	char	   *name;
	bool		counted;
	int64		items;
	IuDirectusAccess access;
};

/* For EXPLAIN. */
List *
iu_directus_collections_describe(const IuQuery *query)
{
	List	   *requests = NIL;
	bool		items = bms_is_member(IU_COLLECTIONS_ITEMS, query->wants);
	const char *count = iu_directus_accepts_part(query) ? "limit=0&meta=filter_count" : "aggregate[count]=*";

	if (!query->restricted[IU_KEY_COLLECTION] || query->listed)
		requests = lappend(requests, "GET /collections");
	if (items)
		requests = lappend(requests, psprintf("GET /items/{collection}?%s", count));
	if (bms_is_member(IU_COLLECTIONS_ACCESS, query->wants) || (items && !iu_directus_accepts_part(query)))
		requests = lappend(requests, "GET /permissions/me");
	return requests;
}

/* Hands over the row of a collection. */
static void
add_collection_row(const Entry *entry)
{
	Datum		values[IU_COLLECTIONS_COLUMNS] = {0};
	bool		nulls[IU_COLLECTIONS_COLUMNS] = {false, true, true, true};
	const char *word = iu_directus_access_word(entry->access);

	values[IU_COLLECTIONS_COLLECTION] = CStringGetTextDatum(entry->name);
	if (entry->counted)
	{
		values[IU_COLLECTIONS_ITEMS] = Int64GetDatum(entry->items);
		nulls[IU_COLLECTIONS_ITEMS] = false;
	}
	if (word != NULL)
	{
		values[IU_COLLECTIONS_ACCESS] = CStringGetTextDatum(word);
		nulls[IU_COLLECTIONS_ACCESS] = false;
	}
	iu_scan_row(entry->listing->scan, values, nulls, NULL);
}

/* Hands over the row of a collection, or fails, if everything that it waits for is there. */
static void
add_row_if_known(Entry *entry)
{
	Listing    *listing = entry->listing;

	if ((listing->wants_items && !entry->counted) || (listing->needs_access && !listing->access_known))
		return;
	if (listing->needs_access && listing->access_status >= 0 &&
		listing->access_status != 403 && listing->access_status != 404)
		iu_directus_access_unclear(listing->scan, entry->name, listing->access_status);
	else if (!listing->wants_items || iu_directus_accepts_part(iu_scan_query(listing->scan)) ||
			 iu_directus_sees_all(listing->scan, entry->name, entry->access))
		add_collection_row(entry);
}

/* Asks for what the query looks at of one collection. state: the Listing. */
static void
add_collection(void *state, const char *name)
{
	Listing    *listing = state;
	const char *problem = iu_directus_name_problem(name);
	Entry	   *entry;

	if (problem != NULL)
	{
		IuFailure	failure = {ERRCODE_INVALID_NAME, "iu_remote_collection_name", problem, NULL, NULL};

		iu_scan_fail(listing->scan, name, &failure);
		return;
	}
	entry = iu_scan_alloc(listing->scan, sizeof(Entry));
	entry->listing = listing;
	entry->name = iu_scan_strdup(listing->scan, name);
	entry->next = listing->entries;
	listing->entries = entry;
	if (listing->wants_items)
		iu_directus_ask_count(listing->scan, entry->name, NULL, entry);
	add_row_if_known(entry);
}

/* Asks for what the query names, or for the list of collections. */
void
iu_directus_collections_start(IuScan *scan)
{
	Listing    *listing = iu_scan_alloc(scan, sizeof(Listing));
	List	   *keys = iu_scan_restricts(scan, IU_KEY_COLLECTION) ? iu_scan_keys(scan, IU_KEY_COLLECTION) : NIL;
	ListCell   *cell;

	listing->scan = scan;
	listing->wants_items = iu_scan_wants(scan, IU_COLLECTIONS_ITEMS);
	listing->wants_access = iu_scan_wants(scan, IU_COLLECTIONS_ACCESS);
	listing->needs_access = listing->wants_access ||
		(listing->wants_items && !iu_directus_accepts_part(iu_scan_query(scan)));
	if (iu_scan_restricts(scan, IU_KEY_COLLECTION) && keys == NIL)
		return;
	if (iu_scan_lists(scan))
	{
		iu_directus_ask_list(scan, listing);
		return;
	}
	foreach(cell, keys)
		add_collection(listing, lfirst(cell));
	if (listing->needs_access && listing->entries)
		iu_directus_ask_access(scan, NULL, listing);
}

/* Asks for what the query looks at of a collection in the list, if it asks for the collection. state: the Listing. */
static void
add_listed_collection(void *state, const char *name)
{
	if (iu_scan_takes(((Listing *) state)->scan, name))
		add_collection(state, name);
}

/* Reads the list of collections. */
static void
add_listed_collections(Listing *listing, const IuJson *document)
{
	if (!iu_directus_read_list(document, add_listed_collection, listing))
	{
		iu_directus_bad_answer(listing->scan, NULL, "the answer holds no list of collections");
		return;
	}
	iu_scan_has_list(listing->scan);
	if (listing->needs_access && listing->entries)
		iu_directus_ask_access(listing->scan, NULL, listing);
}

/*
 * Notes the access to each collection.
 *
 * document: the answer to GET /permissions/me; NULL if it was refused with this
 * status.
 */
static void
set_access(Listing *listing, const IuJson *document, int status)
{
	Entry	   *entry;

	listing->access_known = true;
	listing->access_status = status;
	for (entry = listing->entries; entry; entry = entry->next)
	{
		if (document != NULL && !iu_directus_access_of(document, entry->name, &entry->access))
			listing->access_status = 200;
		add_row_if_known(entry);
	}
}

/* Reads an answer. */
void
iu_directus_collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	Entry	   *entry = fetch->state;
	const char *problem;

	if (fetch->purpose == IU_DIRECTUS_LIST)
	{
		add_listed_collections(fetch->state, document);
		return;
	}
	if (fetch->purpose == IU_DIRECTUS_ACCESS)
	{
		set_access(fetch->state, document, -1);
		return;
	}
	problem = iu_directus_count_of(document, &entry->items);
	if (problem != NULL)
	{
		iu_directus_bad_answer(scan, fetch->key, problem);
		return;
	}
	entry->counted = true;
	add_row_if_known(entry);
}

/*
 * Deals with a refusal to tell the access. 403 and 404 mean that Directus does
 * not tell it. Of any other status the rows fail if the query looks at counts,
 * as a count that failed may say more; otherwise it is a failure, as is the
 * refusal of any other request.
 */
bool
iu_directus_collections_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	Listing    *listing = fetch->state;

	if (fetch->purpose == IU_DIRECTUS_LIST && status == 403 && iu_scan_forgoes_list(scan))
	{
		iu_directus_collections_start(scan);
		return true;
	}
	if (fetch->purpose != IU_DIRECTUS_ACCESS || iu_directus_licence(document) != NULL)
		return false;
	if (!listing->wants_items && status != 403 && status != 404)
		return false;
	set_access(listing, NULL, status);
	return true;
}
