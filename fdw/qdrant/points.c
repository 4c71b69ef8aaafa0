/*-------------------------------------------------------------------------
 *
 * points.c
 *	  Qdrant's points: pages of a collection, points by their ids, counts.
 *
 * Each collection is read by a chain of requests, one page ahead of the rows
 * that are handed over. Without a filter, points that are named by id come by
 * the by-id call; with one, ids join the filter as a condition has_id, which
 * the by-id call does not take.
 *
 * What Qdrant's filters mean is not what SQL means: a match is true of an
 * array with one such element, its negation of a key that is missing, and a
 * range compares as double precision. So nothing but the column "filter",
 * where the user says it in Qdrant's own words, becomes a filter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/qdrant/qdrant.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#define IDS_AT_ONCE 1000

enum
{
	COLUMN_COLLECTION,
	COLUMN_ID,
	COLUMN_PAYLOAD,
	COLUMN_VECTOR,
	COLUMN_FILTER,
	COLUMNS
};

const IuColumn iu_qdrant_points_columns[IU_QDRANT_POINTS_COLUMNS] = {
	{"collection", TEXTOID},
	{"id", TEXTOID},
	{"payload", JSONBOID},
	{"vector", JSONBOID},
	{"filter", JSONBOID}
};

StaticAssertDecl(COLUMNS == IU_QDRANT_POINTS_COLUMNS, "columns of points");

/* Purposes of requests. */
enum
{
	LIST_COLLECTIONS,
	COUNT_POINTS,
	SCROLL_POINTS,
	FETCH_POINTS
};

/* What is asked of every collection alike. */
typedef struct Question
{
	const char *filter;			/* JSON; NULL for none */
	bool		by_id;
	const char **ids;			/* as JSON */
	int			id_count;
	int			ids_at_once;
	const char *with_payload;	/* JSON */
	bool		with_vector;
} Question;

/* The requests for one collection. */
typedef struct Chain
{
	const char *collection;
	Question   *question;
	int			first_id;		/* of the request under way */
	int			ids_taken;
	const char *offset;			/* JSON; NULL: at the start */
	int			limit;
} Chain;

/* ---- ids ---- */

/* 0 to 2^64-1, without a zero in front of other digits. */
static bool
is_number(const char *text)
{
	size_t		length = strspn(text, "0123456789");

	if (length == 0 || text[length] != '\0' || (text[0] == '0' && length > 1))
		return false;
	return length < 20 || (length == 20 && strcmp(text, "18446744073709551615") <= 0);
}

/* As JSON; NULL for text that column "id" never holds. */
static char *
id_as_json(const char *text)
{
	if (is_number(text))
		return pstrdup(text);
	return iu_is_uuid(text, false) ? psprintf("\"%s\"", text) : NULL;
}

/* As text; NULL where there is none. */
static const char *
id_of(const IuJson *value)
{
	char	   *text = iu_json_scalar(value);

	if (text == NULL)
		return NULL;
	return (iu_json_text(value) ? iu_is_uuid(text, false) : is_number(text)) ? text : NULL;
}

/* ---- requests ---- */

/* A path as Qdrant reads it; false if the key can be none. */
static bool
append_key(StringInfo json, const char *key)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (strpbrk(key, "\"\\") != NULL)
		return false;
	if (key[0] != '\0' && strspn(key, plain) == strlen(key))
		appendStringInfo(json, "\"%s\"", key);
	else
		escape_json(json, psprintf("\"%s\"", key));
	return true;
}

/* The payload, the keys that typed columns look at, or nothing. */
static char *
with_payload(bool whole, List *fields)
{
	StringInfoData json;
	ListCell   *cell;

	if (whole)
		return "true";
	if (fields == NIL)
		return "false";
	initStringInfo(&json);
	foreach(cell, fields)
	{
		appendStringInfoString(&json, json.len ? "," : "[");
		if (!append_key(&json, lfirst(cell)))
			return "true";
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

static const char *
record_options(const char *payload, bool vector)
{
	return psprintf("\"with_payload\":%s,\"with_vector\":%s", payload, vector ? "true" : "false");
}

/* One request, with {braces} where execution fills in. */
static char *
template_of(const IuQuery *query)
{
	const char *consistency = iu_qdrant_consistency(query);
	const char *options = record_options(with_payload(bms_is_member(COLUMN_PAYLOAD, query->wants), query->fields),
										 bms_is_member(COLUMN_VECTOR, query->wants));
	const char *filter = "";

	if (query->restricted[IU_KEY_FILTER])
		filter = ",\"filter\":{filter}";
	if (query->counts)
		return psprintf("/points/count%s {\"exact\":true%s}", consistency, filter);
	if (query->restricted[IU_KEY_ID] && filter[0] == '\0')
		return psprintf("/points%s {\"ids\":{ids},%s}", consistency, options);
	if (query->restricted[IU_KEY_ID])
		filter = ",\"filter\":{\"must\":[{filter},{\"has_id\":{ids}}]}";
	return psprintf("/points/scroll%s {\"limit\":%d,%s%s}", consistency, query->page_size, options, filter);
}

List *
iu_qdrant_points_describe(const IuQuery *query)
{
	List	   *requests = NIL;

	if (!query->restricted[IU_KEY_COLLECTION])
		requests = lappend(requests, "GET /collections");
	return lappend(requests, psprintf("POST /collections/{collection}%s", template_of(query)));
}

static void
append_ids(StringInfo json, const Chain *chain)
{
	int			i;

	for (i = 0; i < chain->ids_taken; i++)
		appendStringInfo(json, "%s%s", i ? "," : "[", chain->question->ids[chain->first_id + i]);
	appendStringInfoChar(json, ']');
}

static char *
scroll_body(const Chain *chain)
{
	const Question *question = chain->question;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"limit\":%d,%s", chain->limit,
					 record_options(question->with_payload, question->with_vector));
	if (chain->offset != NULL)
		appendStringInfo(&json, ",\"offset\":%s", chain->offset);
	if (question->by_id)
	{
		appendStringInfo(&json, ",\"filter\":{\"must\":[%s,{\"has_id\":", question->filter);
		append_ids(&json, chain);
		appendStringInfoString(&json, "}]}");
	}
	else if (question->filter != NULL)
		appendStringInfo(&json, ",\"filter\":%s", question->filter);
	appendStringInfoChar(&json, '}');
	return json.data;
}

static char *
fetch_body(const Chain *chain)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"ids\":");
	append_ids(&json, chain);
	appendStringInfo(&json, ",%s}", record_options(chain->question->with_payload, chain->question->with_vector));
	return json.data;
}

static void
submit(IuScan *scan, Chain *chain, int purpose, const char *rest, const char *body)
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

/* The request that the chain stands at. */
static void
ask(IuScan *scan, Chain *chain)
{
	Question   *question = chain->question;

	if (question->by_id && chain->offset == NULL)
		chain->ids_taken = Min(question->id_count - chain->first_id, question->ids_at_once);
	if (iu_scan_counts(scan))
		submit(scan, chain, COUNT_POINTS, "/points/count",
			 question->filter ? psprintf("{\"exact\":true,\"filter\":%s}", question->filter) : "{\"exact\":true}");
	else if (question->by_id && question->filter == NULL)
		submit(scan, chain, FETCH_POINTS, "/points", fetch_body(chain));
	else
	{
		chain->limit = iu_scan_page_size(scan);
		submit(scan, chain, SCROLL_POINTS, "/points/scroll", scroll_body(chain));
	}
}

/* After the last page of these ids, if there are more. */
static void
ask_for_more_ids(IuScan *scan, Chain *chain)
{
	if (!chain->question->by_id || chain->first_id + chain->ids_taken >= chain->question->id_count)
		return;
	chain->first_id += chain->ids_taken;
	chain->offset = NULL;
	ask(scan, chain);
}

static void
begin_collection(IuScan *scan, Question *question, const char *collection)
{
	Chain	   *chain = iu_scan_alloc(scan, sizeof(Chain));

	/* Qdrant takes null, and perhaps an array, for no filter at all */
	if (question->filter != NULL && question->filter[0] != '{')
	{
		IuFailure	failure = {ERRCODE_INVALID_PARAMETER_VALUE, "a filter of Qdrant is a JSON object", NULL, NULL};

		iu_scan_fail(scan, collection, &failure);
		return;
	}
	chain->collection = iu_scan_strdup(scan, collection);
	chain->question = question;
	ask(scan, chain);
}

/* ---- the start ---- */

static void
read_ids(IuScan *scan, Question *question)
{
	List	   *keys = iu_scan_keys(scan, IU_KEY_ID);
	ListCell   *cell;

	question->ids = iu_scan_alloc(scan, sizeof(char *) * (list_length(keys) + 1));
	foreach(cell, keys)
	{
		char	   *json = id_as_json(lfirst(cell));

		if (json != NULL)
			question->ids[question->id_count++] = iu_scan_strdup(scan, json);
	}
}

static Question *
read_question(IuScan *scan)
{
	Question   *question = iu_scan_alloc(scan, sizeof(Question));
	List	   *filters = iu_scan_keys(scan, IU_KEY_FILTER);
	List	   *fields = NIL;

	iu_scan_wants_fields(scan, &fields);
	question->with_payload = iu_scan_strdup(scan, with_payload(iu_scan_wants(scan, COLUMN_PAYLOAD), fields));
	question->with_vector = iu_scan_wants(scan, COLUMN_VECTOR);
	question->ids_at_once = IDS_AT_ONCE;
	question->by_id = iu_scan_restricts(scan, IU_KEY_ID);
	if (question->by_id)
		read_ids(scan, question);
	if (filters != NIL)
		question->filter = iu_scan_strdup(scan, linitial(filters));
	return question;
}

void
iu_qdrant_points_start(IuScan *scan)
{
	Question   *question = read_question(scan);
	IuFetch		list = {"GET", "/collections", NULL, NULL, LIST_COLLECTIONS, question};
	ListCell   *cell;

	if ((question->by_id && question->id_count == 0) ||
		(iu_scan_restricts(scan, IU_KEY_FILTER) && question->filter == NULL))
		return;					/* nothing can be equal to that */
	if (!iu_scan_restricts(scan, IU_KEY_COLLECTION))
		iu_scan_fetch(scan, &list);
	foreach(cell, iu_scan_keys(scan, IU_KEY_COLLECTION))
		begin_collection(scan, question, lfirst(cell));
}

/* ---- answers ---- */

static void
listed(IuScan *scan, Question *question, const IuJson *document)
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
		begin_collection(scan, question, names[i]);
}

static void
counted(IuScan *scan, const char *collection, const IuJson *result)
{
	int64		points;
	const char *problem = iu_json_count(iu_json_member(result, "count"), &points);

	if (problem != NULL)
		iu_qdrant_unusable(scan, collection, problem);
	else
		iu_scan_count(scan, collection, points);
}

/* Missing and null are one. */
static void
set_jsonb(Datum *values, bool *nulls, int column, const IuJson *value)
{
	nulls[column] = value == NULL || iu_json_is_null(value);
	if (!nulls[column])
		values[column] = iu_json_to_jsonb(value);
}

static void
add_points(IuScan *scan, const Chain *chain, const IuJson *points, int64 count)
{
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {false, false, true, true, true};
	int64		i;

	values[COLUMN_COLLECTION] = CStringGetTextDatum(chain->collection);
	if (chain->question->filter != NULL && iu_scan_wants(scan, COLUMN_FILTER))
	{
		values[COLUMN_FILTER] = DirectFunctionCall1(jsonb_in, CStringGetDatum(chain->question->filter));
		nulls[COLUMN_FILTER] = false;
	}
	for (i = 0; i < count; i++)
	{
		const IuJson *point = iu_json_element(points, i);
		const IuJson *payload = iu_json_member(point, "payload");
		const char *id = id_of(iu_json_member(point, "id"));

		if (id == NULL)
		{
			iu_qdrant_unusable(scan, chain->collection, "the answer holds a point without an id");
			return;
		}
		values[COLUMN_ID] = CStringGetTextDatum(id);
		if (iu_scan_wants(scan, COLUMN_PAYLOAD))
			set_jsonb(values, nulls, COLUMN_PAYLOAD, payload);
		if (iu_scan_wants(scan, COLUMN_VECTOR))
			set_jsonb(values, nulls, COLUMN_VECTOR, iu_json_member(point, "vector"));
		iu_scan_row(scan, values, nulls, payload);
	}
}

/* In Qdrant's order, as JSON: numbers first, then UUIDs. */
static bool
is_behind(const char *id, const char *other)
{
	bool		is_text = id[0] == '"';

	if (is_text != (other[0] == '"'))
		return is_text;
	if (strlen(id) != strlen(other))
		return strlen(id) > strlen(other);
	return strcmp(id, other) > 0;
}

/* Asks for the page after this one. A remote that goes back would be read for ever. */
static void
follow(IuScan *scan, Chain *chain, const IuJson *next)
{
	const char *id;
	const char *offset;

	if (next == NULL || iu_json_is_null(next))
	{
		ask_for_more_ids(scan, chain);
		return;
	}
	id = id_of(next);
	offset = id ? id_as_json(id) : NULL;
	if (offset == NULL || (chain->offset != NULL && !is_behind(offset, chain->offset)))
	{
		iu_qdrant_unusable(scan, chain->collection, "the answer does not say where the next page begins");
		return;
	}
	chain->offset = iu_scan_strdup(scan, offset);
	ask(scan, chain);
}

void
iu_qdrant_points_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	const IuJson *result = iu_json_member(document, "result");
	const IuJson *points = fetch->purpose == SCROLL_POINTS ? iu_json_member(result, "points") : result;
	Chain	   *chain = fetch->state;
	int64		count;

	if (fetch->purpose == LIST_COLLECTIONS)
	{
		listed(scan, fetch->state, document);
		return;
	}
	if (fetch->purpose == COUNT_POINTS)
	{
		counted(scan, fetch->key, result);
		return;
	}
	count = iu_json_length(points);
	if (count < 0)
	{
		iu_qdrant_unusable(scan, fetch->key, "the answer holds no list of points");
		return;
	}
	if (count > (fetch->purpose == SCROLL_POINTS ? chain->limit : chain->ids_taken))
	{
		iu_qdrant_unusable(scan, fetch->key, "the answer holds more points than were asked for");
		return;
	}
	if (fetch->purpose == SCROLL_POINTS)
		follow(scan, chain, iu_json_member(result, "next_page_offset"));
	else
		ask_for_more_ids(scan, chain);
	add_points(scan, chain, points, count);
}

/* ---- limits that a collection's strict mode sets ---- */

/* The limit in "... 1000 > 100 ..." after these words; 0 if it is not said. */
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

bool
iu_qdrant_points_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
	Chain	   *chain = fetch->state;
	int			most;

	if (status != 400 || fetch->purpose != SCROLL_POINTS)
		return false;
	most = limit_after(text, "Limit exceeded ");
	if (most > 0 && most < chain->limit && strstr(text, "for \"limit\"") != NULL)
	{
		/* another collection's chain may have shrunk it already */
		(void) iu_scan_shrink_page(scan, most);
		ask(scan, chain);
		return true;
	}
	most = limit_after(text, "Condition size limit reached (");
	if (most > 0 && most < chain->ids_taken)
	{
		chain->question->ids_at_once = Min(most, chain->question->ids_at_once);
		ask(scan, chain);
		return true;
	}
	return false;
}
