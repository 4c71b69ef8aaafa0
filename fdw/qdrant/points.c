/*-------------------------------------------------------------------------
 *
 * points.c
 *	  Resource "points" of Qdrant: pages of a collection, points by their ids,
 *	  and counts.
 *
 * Each collection is read by a chain of requests, one page ahead of the rows
 * that are handed over. Points that are named by id are asked for by their ids,
 * POST /points. That call takes no filter; with one, pages are asked for, and
 * the ids are one more condition of the filter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/qdrant/names.h"
#include "fdw/qdrant/points.h"
#include "fdw/qdrant/query.h"
#include "fdw/resource.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

enum
{
	POINTS_COLLECTION,
	POINTS_ID,
	POINTS_PAYLOAD,
	POINTS_VECTOR,
	POINTS_FILTER,
	POINTS_COLUMNS
};

const IuRemoteColumn iu_qdrant_points_columns[IU_QDRANT_POINTS_COLUMNS] = {
	{"collection", TEXTOID},
	{"id", TEXTOID},
	{"payload", JSONBOID},
	{"vector", JSONBOID},
	{"filter", JSONBOID}
};

StaticAssertDecl(POINTS_COLUMNS == IU_QDRANT_POINTS_COLUMNS, "columns of points");

/* The requests for one collection, one after the other. */
typedef struct Chain
{
	const char *collection;
	IuQdrantQuestion *question;
	IuQdrantSlice slice;		/* the ids of the request under way */
	const char *offset;			/* JSON; NULL: at the first page */
	int			limit;			/* of the page under way */
} Chain;

/* ---- asking ---- */

/* For EXPLAIN. */
List *
iu_qdrant_points_describe(const IuQuery *query)
{
	List	   *requests = NIL;
	const char *request = iu_qdrant_template(query, bms_is_member(POINTS_PAYLOAD, query->wants),
											 bms_is_member(POINTS_VECTOR, query->wants));

	if (!query->restricted[IU_KEY_COLLECTION] || query->listed)
		requests = lappend(requests, "GET /collections");
	return lappend(requests, psprintf("POST /collections/{collection}%s", request));
}

/*
 * Sends a request of the chain.
 *
 * rest: of the address, after the collection.
 */
static void
submit_request(IuScan *scan, Chain *chain, int purpose, const char *rest, const char *body)
{
	const char *problem;
	IuFetch		fetch = {"POST", NULL, body, chain->collection, purpose, chain};

	fetch.path = iu_qdrant_path(chain->collection,
								psprintf("%s%s", rest, iu_qdrant_consistency(iu_scan_query(scan))), &problem);
	if (fetch.path == NULL)
		iu_qdrant_unaddressable(scan, chain->collection, problem);
	else
		iu_scan_fetch(scan, &fetch);
}

/* Asks for what comes next in the chain. */
static void
ask_for_points(IuScan *scan, Chain *chain)
{
	const IuQdrantQuestion *question = chain->question;

	if (question->by_id && chain->offset == NULL)
		chain->slice.count = Min(question->id_count - chain->slice.first, question->ids_at_once);
	if (iu_scan_counts(scan))
		submit_request(scan, chain, IU_QDRANT_COUNT, "/points/count", iu_qdrant_count_body(question));
	else if (question->by_id && question->filter == NULL)
		submit_request(scan, chain, IU_QDRANT_FETCH, "/points", iu_qdrant_fetch_body(question, &chain->slice));
	else
	{
		chain->limit = iu_scan_page_size(scan);
		submit_request(scan, chain, IU_QDRANT_SCROLL, "/points/scroll",
					   iu_qdrant_scroll_body(question, &chain->slice, chain->offset, chain->limit));
	}
}

/* After the last page of these ids: asks for the next ones, if there are more. */
static void
ask_for_more_ids(IuScan *scan, Chain *chain)
{
	if (!chain->question->by_id || chain->slice.first + chain->slice.count >= chain->question->id_count)
		return;
	chain->slice.first += chain->slice.count;
	chain->offset = NULL;
	ask_for_points(scan, chain);
}

/* Begins to read a collection. */
static void
begin_collection(IuScan *scan, IuQdrantQuestion *question, const char *collection)
{
	Chain	   *chain = iu_scan_alloc(scan, sizeof(Chain));

	/* Qdrant takes null, and perhaps an array, as if there were no filter */
	if (question->filter != NULL && question->filter[0] != '{')
	{
		IuFailure	failure = {ERRCODE_INVALID_PARAMETER_VALUE, "iu_remote_filter"};

		failure.reason = "a filter of Qdrant is a JSON object";
		iu_scan_fail(scan, collection, &failure);
		return;
	}
	chain->collection = iu_scan_strdup(scan, collection);
	chain->question = question;
	ask_for_points(scan, chain);
}

/* ---- the start ---- */

/* Takes the ids of the query that a point can have. */
static void
read_ids(IuScan *scan, IuQdrantQuestion *question)
{
	List	   *keys = iu_scan_keys(scan, IU_KEY_ID);
	ListCell   *cell;

	question->ids = iu_scan_alloc(scan, sizeof(char *) * (list_length(keys) + 1));
	foreach(cell, keys)
	{
		char	   *json = iu_qdrant_id_as_json(lfirst(cell));

		if (json != NULL)
			question->ids[question->id_count++] = iu_scan_strdup(scan, json);
	}
}

/* What the query asks of every collection. */
static IuQdrantQuestion *
read_question(IuScan *scan)
{
	IuQdrantQuestion *question = iu_scan_alloc(scan, sizeof(IuQdrantQuestion));
	List	   *filters = iu_scan_keys(scan, IU_KEY_FILTER);
	List	   *fields = NIL;

	iu_scan_wants_fields(scan, &fields);
	question->with_payload = iu_scan_strdup(scan, iu_qdrant_with_payload(iu_scan_wants(scan, POINTS_PAYLOAD), fields));
	question->with_vector = iu_scan_wants(scan, POINTS_VECTOR);
	question->ids_at_once = IU_IDS_PER_REQUEST;
	question->by_id = iu_scan_restricts(scan, IU_KEY_ID);
	if (question->by_id)
		read_ids(scan, question);
	if (filters != NIL)
		question->filter = iu_scan_strdup(scan, linitial(filters));
	return question;
}

/* Asks for the first things of each collection, or for the list of collections. */
void
iu_qdrant_points_start(IuScan *scan)
{
	IuQdrantQuestion *question = read_question(scan);
	IuFetch		list = {"GET", "/collections", NULL, NULL, IU_QDRANT_LIST, question};
	ListCell   *cell;

	if ((question->by_id && question->id_count == 0) ||
		(iu_scan_restricts(scan, IU_KEY_FILTER) && question->filter == NULL))
		return;					/* nothing can be equal to that */
	if (iu_scan_lists(scan))
		iu_scan_fetch(scan, &list);
	else
		foreach(cell, iu_scan_keys(scan, IU_KEY_COLLECTION))
			begin_collection(scan, question, lfirst(cell));
}

/* ---- answers ---- */

/* Reads the list of collections. */
static void
take_names(IuScan *scan, IuQdrantQuestion *question, const IuJson *document)
{
	int			count = 0;
	const char **names = iu_qdrant_names(document, &count);
	int			i;

	if (names == NULL)
	{
		iu_qdrant_unusable(scan, NULL, "the answer holds no list of collections");
		return;
	}
	for (i = 0; i < count; i++)
		if (iu_scan_takes(scan, names[i]))
			begin_collection(scan, question, names[i]);
	iu_scan_has_list(scan);
}

/* Reads the count of a collection. */
static void
take_points_count(IuScan *scan, const char *collection, const IuJson *result)
{
	int64		points;
	const char *problem = iu_json_count(iu_json_member(result, "count"), &points);

	if (problem != NULL)
		iu_qdrant_unusable(scan, collection, problem);
	else
		iu_scan_count(scan, collection, points);
}

/* Sets a column; what is missing and JSON's null are both NULL. */
static void
set_column(Datum *values, bool *nulls, int column, const IuJson *value)
{
	nulls[column] = value == NULL || iu_json_is_null(value);
	if (!nulls[column])
		values[column] = iu_json_to_jsonb(value);
}

/* Hands over the points of a page. */
static void
add_points(IuScan *scan, const Chain *chain, const IuJson *points, int64 count)
{
	Datum		values[POINTS_COLUMNS] = {0};
	bool		nulls[POINTS_COLUMNS] = {false, false, true, true, true};
	int64		i;

	values[POINTS_COLLECTION] = CStringGetTextDatum(chain->collection);
	if (chain->question->filter != NULL && iu_scan_wants(scan, POINTS_FILTER))
	{
		values[POINTS_FILTER] = DirectFunctionCall1(jsonb_in, CStringGetDatum(chain->question->filter));
		nulls[POINTS_FILTER] = false;
	}
	for (i = 0; i < count; i++)
	{
		const IuJson *point = iu_json_element(points, i);
		const IuJson *payload = iu_json_member(point, "payload");
		const char *id = iu_qdrant_id_as_text(iu_json_member(point, "id"));

		if (id == NULL)
		{
			iu_qdrant_unusable(scan, chain->collection, "the answer holds a point without an id");
			return;
		}
		values[POINTS_ID] = CStringGetTextDatum(id);
		if (iu_scan_wants(scan, POINTS_PAYLOAD))
			set_column(values, nulls, POINTS_PAYLOAD, payload);
		if (iu_scan_wants(scan, POINTS_VECTOR))
			set_column(values, nulls, POINTS_VECTOR, iu_json_member(point, "vector"));
		iu_scan_row(scan, values, nulls, payload);
	}
}

/*
 * Asks for the page after this one. Fails if that does not begin behind this
 * one: a remote that goes back would be read for ever.
 *
 * next: the id that the next page begins with.
 */
static void
ask_for_next_page(IuScan *scan, Chain *chain, const IuJson *next)
{
	const char *id;
	const char *offset;

	if (next == NULL || iu_json_is_null(next))
	{
		ask_for_more_ids(scan, chain);
		return;
	}
	id = iu_qdrant_id_as_text(next);
	offset = id ? iu_qdrant_id_as_json(id) : NULL;
	if (offset == NULL || (chain->offset != NULL && !iu_qdrant_id_follows(offset, chain->offset)))
	{
		iu_qdrant_unusable(scan, chain->collection, "the answer does not say where the next page begins");
		return;
	}
	chain->offset = iu_scan_strdup(scan, offset);
	ask_for_points(scan, chain);
}

/* Reads an answer. */
void
iu_qdrant_points_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	const IuJson *result = iu_json_member(document, "result");
	const IuJson *points = fetch->purpose == IU_QDRANT_SCROLL ? iu_json_member(result, "points") : result;
	Chain	   *chain = fetch->state;
	int64		count;

	if (fetch->purpose == IU_QDRANT_LIST)
	{
		take_names(scan, fetch->state, document);
		return;
	}
	if (fetch->purpose == IU_QDRANT_COUNT)
	{
		take_points_count(scan, fetch->key, result);
		return;
	}
	count = iu_json_length(points);
	if (count < 0)
	{
		iu_qdrant_unusable(scan, fetch->key, "the answer holds no list of points");
		return;
	}
	if (count > (fetch->purpose == IU_QDRANT_SCROLL ? chain->limit : chain->slice.count))
	{
		iu_qdrant_unusable(scan, fetch->key, "the answer holds more points than were asked for");
		return;
	}
	if (fetch->purpose == IU_QDRANT_SCROLL)
		ask_for_next_page(scan, chain, iu_json_member(result, "next_page_offset"));
	else
		ask_for_more_ids(scan, chain);
	add_points(scan, chain, points, count);
}

/* ---- limits that a collection's strict mode sets ---- */

/*
 * The limit that Qdrant's words of refusal name: of "1000 > 100" after these
 * words it is 100. 0 if they name none.
 */
static int
limit_after(const char *text, const char *words)
{
	const char *found = text ? strstr(text, words) : NULL;
	int			asked;
	int			most;

	if (found == NULL || sscanf(found + strlen(words), "%d > %d", &asked, &most) != 2 || most < 1)
		return 0;
	return most;
}

/*
 * Asks again, for less, where a page was refused because the strict mode of the
 * collection allows less at once.
 */
bool
iu_qdrant_points_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
	Chain	   *chain = fetch->state;
	int			most;

	if (status != 400 || fetch->purpose != IU_QDRANT_SCROLL)
		return false;
	most = limit_after(text, "Limit exceeded ");
	if (most > 0 && most < chain->limit && strstr(text, "for \"limit\"") != NULL)
	{
		/* false where the chain of another collection has shrunk it already: all the same */
		(void) iu_scan_shrink_page(scan, most);
		ask_for_points(scan, chain);
		return true;
	}
	most = limit_after(text, "Condition size limit reached (");
	if (most > 0 && most < chain->slice.count)
	{
		chain->question->ids_at_once = Min(most, chain->question->ids_at_once);
		ask_for_points(scan, chain);
		return true;
	}
	return false;
}
