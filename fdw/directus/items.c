/*-------------------------------------------------------------------------
 *
 * items.c
 *	  The items of Directus's collections, and their counts.
 *
 * Directus knows no cursor: pages are told by limit and offset in the order of
 * the key. Each page but the first begins with the last item of the one before
 * it, and where it does not, items came or went before it: an error, not a
 * result with holes. What comes or goes behind it changes only how many there
 * are, which each page tells.
 *
 * Where ids are refused, those that the key's type may not hold are asked for
 * apart (ids.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/directus.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#define IDS_AT_ONCE 1000

/* What a scan keeps from one run to the next. */
typedef struct Kept
{
	char		settled[256];	/* a collection whose access needs not be asked for again */
} Kept;

/* One run of a scan. */
typedef struct Reading
{
	const char *id_field;
	char	  **fields;			/* of typed columns: must be in every item */
	int			field_count;
	bool		wants_item;
	const char *filter;			/* as it is sent, NULL: none */
	const char *shown_filter;	/* as the query gave it */
	const char *filter_problem;
	char	  **ids;
	int			id_count;		/* -1: not restricted */
	struct Part *parts;
} Reading;

/* The items of one collection, or those of some ids in it. */
typedef struct Part
{
	Reading    *reading;
	struct Part *next;
	char	   *collection;
	char	   *filter;
	char	  **ids;
	int			id_count;
	bool		exact;			/* no more items than ids */
	bool		parted;			/* its ids have been told from others by their look */
	bool		unlikely;		/* and they are those that the key cannot be */
	bool		confirmed;		/* another question was answered after these were refused */
	int			limit;			/* of the request under way */
	int64		received;
	int64		total;			/* as the latest page told, -1: it does not tell */
	char	   *last_id;		/* that the next page begins with; NULL: with a new one */
} Part;

/* ---- EXPLAIN ---- */

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

List *
iu_directus_items_describe(const IuQuery *query)
{
	List	   *requests = NIL;

	if (!query->restricted[IU_KEY_COLLECTION])
		requests = lappend(requests, "GET /collections");
	if (!query->counts)
		requests = lappend(requests, page_template(query));
	else if (query->restricted[IU_KEY_FILTER])
		requests = lappend(requests, "GET or SEARCH /items/{collection}?limit=0&meta=filter_count&filter={filter}");
	else if (iu_directus_takes_part(query))
		requests = lappend(requests, "GET /items/{collection}?limit=0&meta=filter_count");
	else
		requests = lappend(requests, "GET /items/{collection}?aggregate[count]=*");
	if (!iu_directus_takes_part(query))
		requests = lappend(requests, "GET /permissions/me");
	return requests;
}

/* ---- asking ---- */

/* Named fields are refused where the token may not see them; "*" leaves them out. */
static List *
fields_to_ask(const Reading *reading)
{
	List	   *fields = list_make1(unconstify(char *, reading->id_field));
	int			i;

	if (reading->wants_item)
		fields = lappend(fields, "*");
	for (i = 0; i < reading->field_count; i++)
		fields = lappend(fields, reading->fields[i]);
	return fields;
}

static void
ask_page(IuScan *scan, Part *part)
{
	IuDirectusQuery query = {part->collection};

	part->limit = iu_scan_page_size(scan);
	if (part->exact)
		part->limit = Min(part->limit, part->id_count);
	/* the item that both pages have must leave room for another */
	if (part->limit < 2)
		part->last_id = NULL;
	query.limit = part->limit;
	query.offset = part->received - (part->last_id ? 1 : 0);
	query.sort = part->reading->id_field;
	query.fields = fields_to_ask(part->reading);
	query.filter_count = true;
	query.filter = part->filter;
	iu_directus_fetch(scan, &query, IU_DIRECTUS_PAGE, part);
}

static Part *
new_part(IuScan *scan, Reading *reading, const char *collection, char **ids, int id_count)
{
	Part	   *part = iu_scan_alloc(scan, sizeof(Part));
	char	   *filter;

	part->reading = reading;
	part->collection = iu_scan_strdup(scan, collection);
	part->ids = ids;
	part->id_count = id_count;
	part->total = -1;
	filter = id_count > 0 ? iu_directus_filter_of_ids(reading->id_field, ids, id_count, &part->exact) : NULL;
	filter = iu_directus_filter_both(reading->filter, filter);
	part->filter = filter ? iu_scan_strdup(scan, filter) : NULL;
	part->next = reading->parts;
	reading->parts = part;
	return part;
}

static void
read_collection(IuScan *scan, Reading *reading, const char *name)
{
	const char *problem = iu_directus_name_problem(name);
	int			sqlstate = ERRCODE_INVALID_NAME;
	int			i;

	if (problem == NULL && reading->filter_problem != NULL)
	{
		problem = reading->filter_problem;
		sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
	}
	if (problem != NULL)
	{
		IuFailure	failure = {sqlstate, problem, NULL, NULL};

		iu_scan_fail(scan, name, &failure);
		return;
	}
	if (iu_scan_counts(scan))
		iu_directus_ask_count(scan, name, reading->filter, new_part(scan, reading, name, NULL, 0));
	else if (reading->id_count < 0)
		ask_page(scan, new_part(scan, reading, name, NULL, 0));
	for (i = 0; i < reading->id_count; i += IDS_AT_ONCE)
		ask_page(scan, new_part(scan, reading, name, reading->ids + i, Min(reading->id_count - i, IDS_AT_ONCE)));
}

/* False: nothing can match. */
static bool
take_filter(IuScan *scan, Reading *reading)
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

static bool
take_ids(IuScan *scan, Reading *reading)
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

static void
take_fields(IuScan *scan, Reading *reading)
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
 * Asked at the same time as the items. Nothing waits for the answer: only a
 * reading that goes to its end says that there is no more, and that waits.
 */
static void
ask_access(IuScan *scan, Reading *reading)
{
	const Kept *kept = iu_scan_keep(scan, sizeof(Kept));
	const Part *part = reading->parts;

	if (iu_directus_takes_part(iu_scan_query(scan)))
		return;
	while (part != NULL && strcmp(part->collection, kept->settled) == 0)
		part = part->next;
	if (part != NULL)
		iu_directus_ask_access(scan, part->collection, reading);
}

/* What a rescan need not ask. Of several collections one is enough to remember: a join looks at one at a time. */
static void
settle_access(IuScan *scan, const char *collection)
{
	Kept	   *kept = iu_scan_keep(scan, sizeof(Kept));

	strlcpy(kept->settled, collection, sizeof(kept->settled));
}

void
iu_directus_items_start(IuScan *scan)
{
	Reading    *reading = iu_scan_alloc(scan, sizeof(Reading));
	ListCell   *cell;

	if (!take_filter(scan, reading) || !take_ids(scan, reading))
		return;
	take_fields(scan, reading);
	if (!iu_scan_restricts(scan, IU_KEY_COLLECTION))
	{
		iu_directus_ask_list(scan, reading);
		return;
	}
	foreach(cell, iu_scan_keys(scan, IU_KEY_COLLECTION))
		read_collection(scan, reading, lfirst(cell));
	ask_access(scan, reading);
}

/* ---- answers ---- */

typedef struct Found
{
	IuScan	   *scan;
	Reading    *reading;
} Found;

static void
read_found(void *state, const char *name)
{
	Found	   *found = state;

	read_collection(found->scan, found->reading, name);
}

static void
listed(IuScan *scan, Reading *reading, const IuJson *document)
{
	Found		found = {scan, reading};

	if (!iu_directus_listed(document, read_found, &found))
		iu_directus_bad_answer(scan, NULL, "the answer holds no list of collections");
	else
		ask_access(scan, reading);
}

static void
access_answered(IuScan *scan, const Reading *reading, const IuJson *document)
{
	const Part *part;

	for (part = reading->parts; part; part = part->next)
	{
		IuDirectusAccess access;

		if (!iu_directus_access_of(document, part->collection, &access))
			iu_directus_access_unclear(scan, part->collection, 200);
		else if (iu_directus_sees_all(scan, part->collection, access))
			settle_access(scan, part->collection);
	}
}

/* ---- pages ---- */

static void
changed(IuScan *scan, const Part *part, const char *detail)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, "it changed while it was read", detail, "Try again."};

	iu_scan_fail(scan, part->collection, &failure);
}

/* The key as text; raises where there is none. */
static char *
id_of(IuScan *scan, const Part *part, const IuJson *item)
{
	char	   *id = iu_json_scalar(iu_json_member(item, part->reading->id_field));

	if (id == NULL)
		iu_directus_bad_answer(scan, part->collection,
							   psprintf("an item has no field \"%s\" that could be its key", part->reading->id_field));
	return id;
}

static void
add_item(IuScan *scan, const Part *part, const IuJson *item)
{
	const Reading *reading = part->reading;
	Datum		values[IU_ITEMS_COLUMNS] = {0};
	bool		nulls[IU_ITEMS_COLUMNS] = {false, false, true, true};
	int			i;

	for (i = 0; i < reading->field_count; i++)
		if (iu_json_member(item, reading->fields[i]) == NULL)
			iu_directus_bad_answer(scan, part->collection,
								   psprintf("an item has no field \"%s\"", reading->fields[i]));
	values[IU_ITEMS_COLLECTION] = CStringGetTextDatum(part->collection);
	values[IU_ITEMS_ID] = CStringGetTextDatum(id_of(scan, part, item));
	if (reading->wants_item)
	{
		values[IU_ITEMS_ITEM] = iu_json_to_jsonb(item);
		nulls[IU_ITEMS_ITEM] = false;
	}
	if (reading->shown_filter)
	{
		values[IU_ITEMS_FILTER] = DirectFunctionCall1(jsonb_in, CStringGetDatum(reading->shown_filter));
		nulls[IU_ITEMS_FILTER] = false;
	}
	iu_scan_row(scan, values, nulls, item);
}

/* A singleton is an object instead of a list; one of no items has no key. */
static void
take_singleton(IuScan *scan, const Part *part, const IuJson *item)
{
	if (part->total > 1)
		iu_directus_bad_answer(scan, part->collection,
							   psprintf("Directus takes it for a singleton and shows one item of " INT64_FORMAT, part->total));
	else if (part->total != 0)
		add_item(scan, part, item);
}

/* How many items there are, as this page tells. */
static void
take_total(IuScan *scan, Part *part, const IuJson *document)
{
	const IuJson *meta = iu_json_member(document, "meta");
	const char *problem;
	int64		total;

	if (meta == NULL)
		return;					/* some system collections */
	problem = iu_json_count(iu_json_member(meta, "filter_count"), &total);
	if (problem != NULL)
		iu_directus_bad_answer(scan, part->collection, problem);
	else
		part->total = total;
}

/* How many of the page's items have been seen before: one, or none. */
static int
seen_before(IuScan *scan, const Part *part, const IuJson *items)
{
	const char *id;

	if (part->last_id == NULL)
		return 0;
	id = iu_json_length(items) > 0 ? id_of(scan, part, iu_json_element(items, 0)) : NULL;
	if (id == NULL || strcmp(id, part->last_id) != 0)
		changed(scan, part, psprintf("After " INT64_FORMAT " items their order was another.", part->received));
	return 1;
}

/* Whether there are more pages. */
static bool
goes_on(IuScan *scan, const Part *part, int64 count)
{
	if (count > part->limit)
		iu_directus_bad_answer(scan, part->collection, "the answer holds more items than were asked for");
	if (part->total < 0)
		return count == part->limit;
	if (part->received > part->total || (part->received < part->total && count < part->limit))
		changed(scan, part, psprintf(INT64_FORMAT " items came of " INT64_FORMAT ".", part->received, part->total));
	return part->received < part->total;
}

static void
page_answered(IuScan *scan, Part *part, const IuJson *document)
{
	const IuJson *items = iu_json_member(document, "data");
	int64		count = iu_json_length(items);
	int64		i;

	take_total(scan, part, document);
	if (iu_json_is_object(items))
	{
		take_singleton(scan, part, items);
		return;
	}
	if (count < 0)
	{
		iu_directus_bad_answer(scan, part->collection, "the answer holds no list of items");
		return;
	}
	i = seen_before(scan, part, items);
	part->received += count - i;
	if (goes_on(scan, part, count))
	{
		part->last_id = iu_scan_strdup(scan, id_of(scan, part, iu_json_element(items, count - 1)));
		ask_page(scan, part);
	}
	for (; i < count; i++)
		add_item(scan, part, iu_json_element(items, i));
}

/* ---- ids that the key's type may not hold ---- */

static void
ask_again(IuScan *scan, Part *part, char **ids, int count, bool unlikely)
{
	Part	   *again;

	if (count == 0)
		return;
	again = new_part(scan, part->reading, part->collection, ids, count);
	again->parted = true;
	again->unlikely = unlikely;
	ask_page(scan, again);
}

/* With no item that passes the filter there is none of these ids either. */
static void
probe_answered(IuScan *scan, Part *part, const IuJson *document)
{
	const IuJson *data = iu_json_member(document, "data");
	const IuJson *item = iu_json_is_object(data) ? data : iu_json_element(data, 0);
	const IuJson *key = iu_json_member(item, part->reading->id_field);
	int			like;

	if (iu_json_length(data) < 0 && !iu_json_is_object(data))
		iu_directus_bad_answer(scan, part->collection, "the answer holds no list of items");
	if (part->unlikely)
	{
		part->confirmed = true;
		ask_page(scan, part);
		return;
	}
	if (iu_json_scalar(key) == NULL)
		return;
	like = iu_directus_part_ids(part->ids, part->id_count, key);
	ask_again(scan, part, part->ids, like, false);
	ask_again(scan, part, part->ids + like, part->id_count - like, true);
}

/* ---- callbacks ---- */

void
iu_directus_items_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	const char *problem;
	int64		count;

	switch (fetch->purpose)
	{
		case IU_DIRECTUS_LIST:
			listed(scan, fetch->state, document);
			break;
		case IU_DIRECTUS_ACCESS:
			access_answered(scan, fetch->state, document);
			break;
		case IU_DIRECTUS_PAGE:
			page_answered(scan, fetch->state, document);
			break;
		case IU_DIRECTUS_PROBE:
			probe_answered(scan, fetch->state, document);
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

/* Invalid query. "limit" must be less than or equal to 50. */
static int
most_that_it_gives(const IuJson *document)
{
	const char *reason = iu_json_text(iu_json_member(iu_json_member(iu_json_element(iu_json_member(document, "errors"), 0), "extensions"), "reason"));
	int			most;

	if (reason != NULL && sscanf(reason, "\"limit\" must be less than or equal to %d", &most) == 1 && most > 0)
		return most;
	return 0;
}

/*
 * Ids that the key cannot be are refused by 400, or by 500, which may as well
 * be an outage; so a 500 counts only if it comes again while another question
 * is answered.
 */
static bool
page_refused(IuScan *scan, Part *part, int status, const IuJson *document)
{
	int			most = status == 400 ? most_that_it_gives(document) : 0;

	if (most > 0 && most < part->limit)
	{
		iu_scan_shrink_page(scan, most);
		ask_page(scan, part);
		return true;
	}
	if (part->id_count == 0 || (status != 400 && status != 500))
		return false;
	if (part->parted && !part->unlikely)
		return false;
	if (!part->parted || (status == 500 && !part->confirmed))
		iu_directus_ask_probe(scan, part->collection, part->reading->id_field, part->reading->filter, part);
	return true;
}

/* What 403 and 404 to the question for the access mean: it cannot be known. */
bool
iu_directus_items_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	if (fetch->purpose == IU_DIRECTUS_PAGE)
		return page_refused(scan, fetch->state, status, document);
	if (fetch->purpose != IU_DIRECTUS_ACCESS || (status != 403 && status != 404))
		return false;
	settle_access(scan, fetch->key);
	return true;
}
