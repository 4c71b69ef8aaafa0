/*-------------------------------------------------------------------------
 *
 * pages.c
 *	  Reading the items of one collection of Directus, page by page.
 *
 * Directus knows no cursor: pages are told by limit and offset in the order of
 * the key. Each page but the first begins with the last item of the page before
 * it. Where it does not, items came or went in front of that item: an error, as
 * the result would have holes. Items that come or go behind it only change how
 * many there are, which each page tells.
 *
 * Where a request with ids is refused, the ids that the key's type may not hold
 * are asked for in a request of their own (ids.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/ids.h"
#include "fdw/directus/names.h"
#include "fdw/directus/pages.h"
#include "fdw/directus/query.h"
#include "fdw/resource.h"
#include "utils/builtins.h"

/* ---- asking ---- */

/*
 * The fields to ask for: list of C strings. A field that is named is refused
 * where the token may not see it; "*" leaves it out.
 */
static List *
fields_to_ask(const IuReading *reading)
{
	List	   *fields = list_make1(unconstify(char *, reading->id_field));
	int			i;

	if (reading->wants_item)
		fields = lappend(fields, "*");
	for (i = 0; i < reading->field_count; i++)
		fields = lappend(fields, reading->fields[i]);
	return fields;
}

/* Notes what the next page is to begin with, NULL for nothing. A key may be long, and there may be a million pages. */
static void
set_last_id(IuScan *scan, IuPart *part, const char *id)
{
	if (part->last_id != NULL)
		pfree(part->last_id);
	part->last_id = id ? iu_scan_strdup(scan, id) : NULL;
}

/* Asks for the next page. */
void
iu_part_ask(IuScan *scan, IuPart *part)
{
	IuDirectusQuery query = {part->collection};

	part->limit = iu_scan_page_size(scan);
	if (part->exact)
		part->limit = Min(part->limit, part->id_count);
	/* a page of one item cannot begin with the last item of the page before it: it would bring nothing new */
	if (part->limit < 2)
		set_last_id(scan, part, NULL);
	query.limit = part->limit;
	query.offset = part->received - (part->last_id ? 1 : 0);
	query.sort = part->reading->id_field;
	query.fields = fields_to_ask(part->reading);
	query.filter_count = true;
	query.filter = part->filter;
	iu_directus_fetch(scan, &query, IU_DIRECTUS_PAGE, part);
}

/*
 * A part of a reading, which asks for nothing yet. It lives until the next
 * rescan.
 *
 * ids: those that it is about, and how many; none: all items of the collection.
 */
IuPart *
iu_part_create(IuScan *scan, IuReading *reading, const char *collection, char **ids, int id_count)
{
	IuPart	   *part = iu_scan_alloc(scan, sizeof(IuPart));
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

/* ---- pages ---- */

/* Fails: the collection changed while it was read. */
static void
fail_as_changed(IuScan *scan, const IuPart *part, const char *detail)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, "iu_remote_changed"};

	failure.reason = "it changed while it was read";
	failure.detail = detail;
	failure.hint = "Try again.";
	iu_scan_fail(scan, part->collection, &failure);
}

/* The key of an item as text; raises where it has none. */
static char *
key_of_item(IuScan *scan, const IuPart *part, const IuJson *item)
{
	char	   *id = iu_json_scalar(iu_json_member(item, part->reading->id_field));

	if (id == NULL)
		iu_directus_bad_answer(scan, part->collection,
							   psprintf("an item has no field \"%s\" that could be its key", part->reading->id_field));
	return id;
}

/* Hands over an item. */
static void
add_item(IuScan *scan, const IuPart *part, const IuJson *item)
{
	const IuReading *reading = part->reading;
	Datum		values[IU_ITEMS_COLUMNS] = {0};
	bool		nulls[IU_ITEMS_COLUMNS] = {false, false, true, true};
	int			i;

	for (i = 0; i < reading->field_count; i++)
		if (iu_json_member(item, reading->fields[i]) == NULL)
			iu_directus_bad_answer(scan, part->collection,
								   psprintf("an item has no field \"%s\"", reading->fields[i]));
	values[IU_ITEMS_COLLECTION] = CStringGetTextDatum(part->collection);
	values[IU_ITEMS_ID] = CStringGetTextDatum(key_of_item(scan, part, item));
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

/*
 * Hands over the item of a singleton, which comes as an object instead of a
 * list. Where there is no item, the object comes all the same, without a key.
 */
static void
take_singleton(IuScan *scan, const IuPart *part, const IuJson *item)
{
	if (part->total > 1)
		iu_directus_bad_answer(scan, part->collection,
							   psprintf("Directus takes it for a singleton and shows one item of " INT64_FORMAT,
										part->total));
	else if (part->total != 0)
		add_item(scan, part, item);
}

/* Notes how many items there are, as this page tells it. */
static void
take_total(IuScan *scan, IuPart *part, const IuJson *document)
{
	const IuJson *meta = iu_json_member(document, "meta");
	const char *problem;
	int64		total;

	if (meta == NULL)
		return;					/* some system collections do not tell it */
	problem = iu_json_count(iu_json_member(meta, "filter_count"), &total);
	if (problem != NULL)
		iu_directus_bad_answer(scan, part->collection, problem);
	else
		part->total = total;
}

/*
 * How many of a page's items came with the page before it: one, or none. Fails
 * if it should begin with the last item of that page, and begins with another.
 */
static int
seen_before(IuScan *scan, const IuPart *part, const IuJson *items)
{
	const char *id;

	if (part->last_id == NULL)
		return 0;
	id = iu_json_length(items) > 0 ? key_of_item(scan, part, iu_json_element(items, 0)) : NULL;
	if (id == NULL || strcmp(id, part->last_id) != 0)
		fail_as_changed(scan, part, psprintf("After " INT64_FORMAT " items their order was another.", part->received));
	return 1;
}

/*
 * Whether there are more pages. Fails if the items that have come so far
 * contradict the total that the page tells.
 *
 * count: of the items on the page.
 */
static bool
goes_on(IuScan *scan, const IuPart *part, int64 count)
{
	char	   *detail;

	if (count > part->limit)
		iu_directus_bad_answer(scan, part->collection, "the answer holds more items than were asked for");
	if (part->exact && Max(part->received, part->total) > part->id_count)
		iu_directus_bad_answer(scan, part->collection, "it gives more items than there are ids that were asked for");
	if (part->total < 0)
		return count == part->limit;
	if (part->received > part->total || (part->received < part->total && count < part->limit))
	{
		detail = psprintf(INT64_FORMAT " items came of " INT64_FORMAT ".", part->received, part->total);
		fail_as_changed(scan, part, detail);
	}
	return part->received < part->total;
}

/* Reads a page, and asks for the next one before it hands over the items. */
void
iu_part_answered(IuScan *scan, IuPart *part, const IuJson *document)
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
	iu_scan_page_came(scan, part->limit);
	i = seen_before(scan, part, items);
	part->received += count - i;
	if (goes_on(scan, part, count))
	{
		set_last_id(scan, part, key_of_item(scan, part, iu_json_element(items, count - 1)));
		iu_part_ask(scan, part);
	}
	for (; i < count; i++)
		add_item(scan, part, iu_json_element(items, i));
}

/* ---- ids that the key's type may not hold ---- */

/* Asks for some of a part's ids in a request of their own. unlikely: they do not look like keys. */
static void
ask_apart(IuScan *scan, IuPart *part, char **ids, int count, bool unlikely)
{
	IuPart	   *apart;

	if (count == 0)
		return;
	apart = iu_part_create(scan, part->reading, part->collection, ids, count);
	apart->parted = true;
	apart->unlikely = unlikely;
	iu_part_ask(scan, apart);
}

/*
 * Reads the answer to iu_directus_ask_probe, which a part sent after its ids were
 * refused. If they had not been sorted by what keys look like, asks again: for
 * the ids that look like this key, and for the others. If no item passes the
 * filter, there is no key to look at and no item has one of the ids.
 */
void
iu_part_probed(IuScan *scan, IuPart *part, const IuJson *document)
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
		iu_part_ask(scan, part);
		return;
	}
	if (iu_json_scalar(key) == NULL)
	{
		if (iu_json_length(data) > 0)
			(void) key_of_item(scan, part, item);
		return;
	}
	like = iu_directus_part_ids(part->ids, part->id_count, key);
	ask_apart(scan, part, part->ids, like, false);
	ask_apart(scan, part, part->ids + like, part->id_count - like, true);
}

/* ---- smaller ---- */

/* Asks again for the ids of a part, in two requests. */
static void
ask_in_halves(IuScan *scan, const IuPart *part)
{
	int			half = part->id_count / 2;
	int			i;

	for (i = 0; i < 2; i++)
	{
		IuPart	   *new = iu_part_create(scan, part->reading, part->collection, part->ids + i * half,
										 i == 0 ? half : part->id_count - half);

		new->parted = part->parted;
		new->unlikely = part->unlikely;
		new->confirmed = part->confirmed;
		iu_part_ask(scan, new);
	}
}

/* Asks for the key of the item that is too large: the only one of the page. */
static void
ask_for_name(IuScan *scan, IuPart *part)
{
	IuDirectusQuery query = {part->collection, 1};

	query.offset = part->received;
	query.sort = part->reading->id_field;
	query.fields = list_make1(unconstify(char *, part->reading->id_field));
	query.filter = part->filter;
	iu_directus_fetch(scan, &query, IU_DIRECTUS_NAME, part);
}

/* Fails: the item that ask_for_name asked for is too large. */
void
iu_part_named(IuScan *scan, const IuPart *part, const IuJson *document)
{
	const IuJson *data = iu_json_member(document, "data");
	const IuJson *item = iu_json_is_object(data) ? data : iu_json_element(data, 0);

	iu_scan_fail_for_weight(scan, part->collection, iu_json_scalar(iu_json_member(item, part->reading->id_field)));
}

/*
 * Asks for less where a page, or the request for it, was too large. False if it
 * cannot be less.
 */
bool
iu_part_too_large(IuScan *scan, IuPart *part, bool request)
{
	if (request)
	{
		if (part->id_count < 2 || part->received > 0)
			return false;
		ask_in_halves(scan, part);
	}
	else if (iu_scan_lighten_page(scan, part->limit))
		iu_part_ask(scan, part);
	else
		ask_for_name(scan, part);
	return true;
}

/*
 * The limit that Directus's words of refusal name, as in: Invalid query. "limit"
 * must be less than or equal to 50. 0 if they name none.
 */
static int
largest_page(const IuJson *document)
{
	const IuJson *error = iu_json_element(iu_json_member(document, "errors"), 0);
	const char *reason = iu_json_text(iu_json_member(iu_json_member(error, "extensions"), "reason"));
	int			most;

	/* nine digits, as more may be no int */
	if (reason != NULL && sscanf(reason, "\"limit\" must be less than or equal to %9d", &most) == 1 && most > 0)
		return most;
	return 0;
}

/*
 * Asks again where a page was refused because it was too large, or because of
 * ids that the key's type cannot hold. False if this is a failure.
 *
 * Such ids are refused by 400 or by 500. A 500 may be an outage as well, so it
 * counts only if it comes again after another question was answered. After a
 * first page the ids are not to blame, and asking for them anew would give that
 * page's items twice.
 */
bool
iu_part_refused(IuScan *scan, IuPart *part, int status, const IuJson *document)
{
	int			most = status == 400 ? largest_page(document) : 0;

	if (most > 0 && most < part->limit)
	{
		iu_scan_shrink_page(scan, most);
		iu_part_ask(scan, part);
		return true;
	}
	if (part->id_count == 0 || part->received > 0 || (status != 400 && status != 500))
		return false;
	if (part->parted && !part->unlikely)
		return false;
	if (!part->parted || (status == 500 && !part->confirmed))
		iu_directus_ask_probe(scan, part->collection, part->reading->id_field, part->reading->filter, part);
	return true;
}
