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
#include "fdw/qdrant/chain.h"
#include "fdw/qdrant/names.h"
#include "fdw/qdrant/points.h"
#include "fdw/qdrant/shards.h"
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
	POINTS_SHARD,
	POINTS_COLUMNS
};

const IuRemoteColumn iu_qdrant_points_columns[IU_QDRANT_POINTS_COLUMNS] = {
	{"collection", TEXTOID},
	{"id", TEXTOID},
	{"payload", JSONBOID},
	{"vector", JSONBOID},
	{"filter", JSONBOID},
	{"shard_key", TEXTOID}
};

StaticAssertDecl(POINTS_COLUMNS == IU_QDRANT_POINTS_COLUMNS, "columns of points");

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
	else if (!query->counts && !query->restricted[IU_KEY_ID])
		requests = lappend(requests, "GET /aliases");
	return lappend(requests, psprintf("POST /collections/{collection}%s", request));
}

/* Begins to read a collection. */
static void
begin_collection(IuScan *scan, IuQdrantQuestion *question, const char *collection)
{
	IuQdrantChain *chain = iu_scan_alloc(scan, sizeof(IuQdrantChain));

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
	iu_qdrant_chain_ask(scan, chain);
}

/* ---- the start ---- */

static int
compare_ids(const void *a, const void *b)
{
	const char *id = *(const char *const *) a;
	const char *other = *(const char *const *) b;

	return iu_qdrant_id_follows(id, other) - iu_qdrant_id_follows(other, id);
}

/* Takes the ids of the query that a point can have, in Qdrant's order. */
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
	qsort(question->ids, question->id_count, sizeof(char *), compare_ids);
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
	question->ids_at_once = question->ids_most = IU_IDS_PER_REQUEST;
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

/* Whether the query names this id. */
static bool
is_asked_for(const IuQdrantQuestion *question, const char *id)
{
	const char *json = iu_qdrant_id_as_json(id);

	return bsearch(&json, question->ids, question->id_count, sizeof(char *), compare_ids) != NULL;
}

/* Hands over the points of a page. */
static void
add_points(IuScan *scan, const IuQdrantChain *chain, const IuJson *points, int64 count)
{
	Datum		values[POINTS_COLUMNS] = {0};
	bool		nulls[POINTS_COLUMNS] = {false, false, true, true, true, true};
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
		const char *shard;

		if (id == NULL)
		{
			iu_qdrant_unusable(scan, chain->collection, "the answer holds a point without an id");
			return;
		}
		if (chain->without_ids && !is_asked_for(chain->question, id))
			continue;
		values[POINTS_ID] = CStringGetTextDatum(id);
		if (iu_scan_wants(scan, POINTS_PAYLOAD))
			set_column(values, nulls, POINTS_PAYLOAD, payload);
		if (iu_scan_wants(scan, POINTS_VECTOR))
			set_column(values, nulls, POINTS_VECTOR, iu_json_member(point, "vector"));
		shard = chain->shard ? iu_json_scalar(iu_json_member(point, "shard_key")) : NULL;
		nulls[POINTS_SHARD] = shard == NULL;
		values[POINTS_SHARD] = shard ? CStringGetTextDatum(shard) : (Datum) 0;
		iu_scan_row(scan, values, nulls, payload);
	}
}

/*
 * Asks for the page after this one. Fails if that does not begin behind this
 * one, or if this one is empty: such a remote could be read for ever.
 *
 * count: of the points on this page; next: the id that the next page begins with.
 */
static void
ask_for_next_page(IuScan *scan, IuQdrantChain *chain, int64 count, const IuJson *next)
{
	const char *id;
	const char *offset;

	if (next == NULL || iu_json_is_null(next))
	{
		iu_qdrant_chain_ask_more_ids(scan, chain);
		return;
	}
	if (count == 0)
	{
		iu_qdrant_unusable(scan, chain->collection, "the answer holds no points, and says that there are more");
		return;
	}
	id = iu_qdrant_id_as_text(next);
	offset = id ? iu_qdrant_id_as_json(id) : NULL;
	if (offset == NULL || (chain->offset != NULL && !iu_qdrant_id_follows(offset, chain->offset)))
	{
		iu_qdrant_unusable(scan, chain->collection, "the answer does not say where the next page begins");
		return;
	}
	iu_qdrant_chain_set_offset(scan, chain, offset);
	iu_qdrant_chain_ask(scan, chain);
}

/* Reads an answer. */
void
iu_qdrant_points_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	const IuJson *result = iu_json_member(document, "result");
	const IuJson *points = fetch->purpose == IU_QDRANT_FETCH ? result : iu_json_member(result, "points");
	IuQdrantChain *chain = fetch->state;
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
	if (fetch->purpose == IU_QDRANT_SHARDS)
	{
		iu_qdrant_shards_answered(scan, chain, document);
		return;
	}
	if (fetch->purpose == IU_QDRANT_RESOLVE)
	{
		iu_qdrant_chain_resolved(scan, chain, document);
		return;
	}
	if (fetch->purpose == IU_QDRANT_NAME)
	{
		iu_scan_fail_for_weight(scan, fetch->key,
								iu_qdrant_id_as_text(iu_json_member(iu_json_element(points, 0), "id")));
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
	if (iu_qdrant_shards_found(scan, chain, points, count))
		return;
	iu_qdrant_chain_came(scan, chain, fetch->purpose == IU_QDRANT_SCROLL);
	if (fetch->purpose == IU_QDRANT_SCROLL)
		ask_for_next_page(scan, chain, count, iu_json_member(result, "next_page_offset"));
	else
		iu_qdrant_chain_ask_more_ids(scan, chain);
	add_points(scan, chain, points, count);
}
