/*-------------------------------------------------------------------------
 *
 * collections.c
 *	  Resource "collections" of Qdrant: each counted exactly, and what is known
 *	  of it.
 *
 * points_count of GET /collections/{c} is an approximation that can count a
 * point twice; only the count call with "exact" is right. So a row may take
 * several requests: they are sent at the same time, and only those whose
 * answers the query looks at. The row is handed over when the last of them is
 * answered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/compat.h"
#include "fdw/qdrant/aliases.h"
#include "fdw/qdrant/collections.h"
#include "fdw/qdrant/names.h"
#include "fdw/qdrant/whole.h"
#include "fdw/resource.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

enum
{
	COLLECTIONS_COLLECTION,
	COLLECTIONS_POINTS,
	COLLECTIONS_POINTS_APPROX,
	COLLECTIONS_STATUS,
	COLLECTIONS_VECTORS,
	COLLECTIONS_DIMENSION,
	COLLECTIONS_DISTANCE,
	COLLECTIONS_ALIASES,
	COLLECTIONS_CONFIGURATION,
	COLLECTIONS_DEFERRED,
	COLLECTIONS_QUEUED,
	COLLECTIONS_REPLICAS,
	COLLECTIONS_SURE,
	COLLECTIONS_DOUBT,
	COLLECTIONS_ERROR,
	COLLECTIONS_COLUMNS
};

const IuRemoteColumn iu_qdrant_collections_columns[IU_QDRANT_COLLECTIONS_COLUMNS] = {
	{"collection", TEXTOID},
	{"points", INT8OID},
	{"points_approx", INT8OID},
	{"status", TEXTOID},
	{"vectors", JSONBOID},
	{"dimension", INT4OID},
	{"distance", TEXTOID},
	{"aliases", TEXTARRAYOID},
	{"configuration", JSONBOID},
	{"deferred_points", INT8OID},
	{"queued_updates", INT8OID},
	{"replicas", JSONBOID},
	{"points_sure", INT8OID},
	{"doubt", TEXTOID},
	{"error", TEXTOID}
};

StaticAssertDecl(COLLECTIONS_COLUMNS == IU_QDRANT_COLLECTIONS_COLUMNS, "columns of collections");

/* A row until it is handed over. */
typedef struct Row
{
	int			waiting;		/* requests that are not answered */
	bool		failed;			/* one of them has failed */
	int64		counted;
	IuQdrantWhole whole;
	Datum		values[COLLECTIONS_COLUMNS];
	bool		nulls[COLLECTIONS_COLUMNS];
} Row;

/* The lists of all collections and of all aliases. */
typedef struct Lists
{
	int			waiting;		/* for so many of them */
	int			count;
	const char **names;
	IuQdrantAliases aliases;
} Lists;

/* Whether the query looks at what the description of a collection says. */
static bool
wants_description(const Bitmapset *wants)
{
	int			column;

	for (column = COLLECTIONS_POINTS_APPROX; column <= COLLECTIONS_DOUBT; column++)
		if (column != COLLECTIONS_ALIASES && bms_is_member(column, wants))
			return true;
	return false;
}

/* Whether the query asks whether the count is everything. */
static bool
wants_certainty(const Bitmapset *wants)
{
	return bms_is_member(COLLECTIONS_SURE, wants) || bms_is_member(COLLECTIONS_DOUBT, wants);
}

/* For EXPLAIN. */
List *
iu_qdrant_collections_describe(const IuQuery *query)
{
	const char *count = psprintf("/points/count%s {\"exact\":true}", iu_qdrant_consistency(query));
	List	   *requests = NIL;

	if (!query->restricted[IU_KEY_COLLECTION] || query->listed)
		requests = lappend(requests, "GET /collections");
	if (bms_is_member(COLLECTIONS_POINTS, query->wants) || wants_certainty(query->wants))
		requests = lappend(requests, psprintf("POST /collections/{collection}%s", count));
	if (wants_description(query->wants) || requests == NIL)
		requests = lappend(requests, "GET /collections/{collection}");
	if (bms_is_member(COLLECTIONS_ALIASES, query->wants))
		requests = lappend(requests, "GET /aliases");
	if (bms_is_member(COLLECTIONS_REPLICAS, query->wants) || wants_certainty(query->wants))
		requests = lappend(requests, "GET /collections/{collection}/cluster");
	return requests;
}

/* ---- rows ---- */

/* A copy of a value that outlives the answer it came from. */
static Datum
keep_value(IuScan *scan, Datum value)
{
	struct varlena *copy = iu_scan_alloc(scan, VARSIZE(DatumGetPointer(value)));

	memcpy(copy, DatumGetPointer(value), VARSIZE(DatumGetPointer(value)));
	return PointerGetDatum(copy);
}

static void
set_value(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_json_value(IuScan *scan, Row *row, int column, const IuJson *value)
{
	if (value != NULL && iu_scan_wants(scan, column))
		set_value(row, column, keep_value(scan, iu_json_to_jsonb(value)));
}

static void
set_text_value(IuScan *scan, Row *row, int column, const char *value)
{
	if (value != NULL)
		set_value(row, column, keep_value(scan, CStringGetTextDatum(value)));
}

/* Sends a request for the row of this collection. */
static void
ask_for_row(IuScan *scan, Row *row, const char *name, int purpose, const char *method, const char *path,
			const char *body)
{
	IuFetch		fetch = {method, path, body, name, purpose, row, &row->failed};

	row->waiting++;
	iu_scan_fetch(scan, &fetch);
}

/* Hands the row over if it waits for nothing more. */
static void
add_row_if_whole(IuScan *scan, Row *row)
{
	const char *doubt;

	if (row->waiting > 0)
		return;
	if (wants_certainty(iu_scan_query(scan)->wants))
	{
		doubt = iu_qdrant_whole_doubt(&row->whole, row->counted);
		set_text_value(scan, row, COLLECTIONS_DOUBT, doubt);
		if (doubt == NULL)
			set_value(row, COLLECTIONS_SURE, Int64GetDatum(row->counted));
	}
	iu_scan_row(scan, row->values, row->nulls, NULL);
}

/*
 * Asks for what the query looks at of one collection.
 *
 * lists: the lists of all, where they have been read; NULL where the query names
 * the collection.
 */
static void
begin_row(IuScan *scan, const char *name, const Lists *lists)
{
	Row		   *row = iu_scan_alloc(scan, sizeof(Row));
	const IuQuery *query = iu_scan_query(scan);
	const char *problem;
	const char *description = iu_qdrant_path(name, "", &problem);
	const char *count;

	if (description == NULL)
	{
		iu_qdrant_unaddressable(scan, name, problem);
		return;
	}
	count = iu_qdrant_path(name, psprintf("/points/count%s", iu_qdrant_parameters(scan)), &problem);
	memset(row->nulls, true, sizeof(row->nulls));
	row->whole.least = row->whole.middle = -1;
	set_text_value(scan, row, COLLECTIONS_COLLECTION, name);
	if (lists != NULL && iu_scan_wants(scan, COLLECTIONS_ALIASES))
		set_value(row, COLLECTIONS_ALIASES, keep_value(scan, iu_qdrant_aliases_of(&lists->aliases, name)));

	if (iu_scan_wants(scan, COLLECTIONS_POINTS) || wants_certainty(query->wants))
		ask_for_row(scan, row, name, IU_QDRANT_COUNT, "POST", count, "{\"exact\":true}");
	/* a collection that the query names must exist, even if nothing else is looked at */
	if (wants_description(query->wants) || (lists == NULL && row->waiting == 0))
		ask_for_row(scan, row, name, IU_QDRANT_DESCRIBE, "GET", description, NULL);
	if (lists == NULL && iu_scan_wants(scan, COLLECTIONS_ALIASES))
		ask_for_row(scan, row, name, IU_QDRANT_FIND_ALIASES, "GET", "/aliases", NULL);
	if (iu_scan_wants(scan, COLLECTIONS_REPLICAS) || wants_certainty(query->wants))
		ask_for_row(scan, row, name, IU_QDRANT_CLUSTER, "GET", iu_qdrant_path(name, "/cluster", &problem), NULL);
	add_row_if_whole(scan, row);
}

/* Asks for what the query names, or for the lists of all. */
void
iu_qdrant_collections_start(IuScan *scan)
{
	Lists	   *lists;
	ListCell   *cell;
	IuFetch		collections = {"GET", "/collections", NULL, NULL, IU_QDRANT_LIST};
	IuFetch		aliases = {"GET", "/aliases", NULL, NULL, IU_QDRANT_LIST_ALIASES};

	if (!iu_scan_lists(scan))
	{
		foreach(cell, iu_scan_keys(scan, IU_KEY_COLLECTION))
			begin_row(scan, lfirst(cell), NULL);
		return;
	}
	lists = iu_scan_alloc(scan, sizeof(Lists));
	collections.state = aliases.state = lists;
	lists->waiting = iu_scan_wants(scan, COLLECTIONS_ALIASES) ? 2 : 1;
	iu_scan_fetch(scan, &collections);
	if (lists->waiting == 2)
		iu_scan_fetch(scan, &aliases);
}

/* ---- answers ---- */

/* Copies of strings that outlive the answer they came from. */
static const char **
keep_texts(IuScan *scan, const char **texts, int count)
{
	const char **kept = iu_scan_alloc(scan, sizeof(char *) * (count + 1));
	int			i;

	for (i = 0; i < count; i++)
		kept[i] = iu_scan_strdup(scan, texts[i]);
	return kept;
}

/* Reads one of the lists of all; after the last of them, asks for each collection. */
static void
take_list(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	Lists	   *lists = fetch->state;
	int			i;

	if (fetch->purpose == IU_QDRANT_LIST)
	{
		const char **names = iu_qdrant_names(document, &lists->count);

		if (names == NULL)
		{
			iu_qdrant_unusable(scan, NULL, "the answer holds no list of collections");
			return;
		}
		lists->names = keep_texts(scan, names, lists->count);
	}
	else
	{
		if (!iu_qdrant_aliases_read(&lists->aliases, document))
		{
			iu_qdrant_unusable(scan, NULL, "the answer holds no list of aliases");
			return;
		}
		lists->aliases.names = keep_texts(scan, lists->aliases.names, lists->aliases.count);
		lists->aliases.collections = keep_texts(scan, lists->aliases.collections, lists->aliases.count);
	}
	if (--lists->waiting > 0)
		return;
	for (i = 0; i < lists->count; i++)
		if (iu_scan_takes(scan, lists->names[i]))
			begin_row(scan, lists->names[i], lists);
	iu_scan_has_list(scan);
}

/* The parameters of the only vector; NULL if there are several, or none. */
static const IuJson *
only_vector(const IuJson *vectors)
{
	if (iu_json_member(vectors, "size") != NULL && !iu_json_is_object(iu_json_member(vectors, "size")))
		return vectors;
	if (iu_json_members(vectors) == 1)
		return iu_json_member(vectors, iu_json_member_name(vectors, 0));
	return NULL;
}

/* Sets what is queued and deferred. NULL on success, otherwise what is wrong with the description. */
static const char *
set_queue(IuScan *scan, Row *row, const IuJson *result)
{
	const char *problem = iu_qdrant_whole_describe(&row->whole, result);

	row->whole.status = row->whole.status ? iu_scan_strdup(scan, row->whole.status) : NULL;
	if (problem == NULL && row->whole.tells_deferred)
		set_value(row, COLLECTIONS_DEFERRED, Int64GetDatum(row->whole.deferred));
	if (problem == NULL && row->whole.tells_queue)
		set_value(row, COLLECTIONS_QUEUED, Int64GetDatum(row->whole.queued));
	return problem;
}

/* Asks what the replicas count, as this consistency makes one number of it. */
static void
ask_replicas(IuScan *scan, Row *row, const char *name, int purpose, const char *consistency)
{
	const char *rest = psprintf("/points/count?consistency=%s&timeout=%d", consistency, iu_scan_seconds(scan));
	const char *problem;

	ask_for_row(scan, row, name, purpose, "POST", iu_qdrant_path(name, rest, &problem), "{\"exact\":true}");
}

/*
 * Sets where the replicas are. If there are several and the query asks whether the
 * count is everything, asks what they count. NULL on success, otherwise what is
 * wrong with the answer.
 */
static const char *
set_replicas(IuScan *scan, Row *row, const char *name, const IuJson *result)
{
	IuQdrantWhole *whole = &row->whole;
	const char *problem = iu_qdrant_whole_replicas(whole, result);

	if (problem != NULL)
		return problem;
	whole->trouble = whole->trouble ? iu_scan_strdup(scan, whole->trouble) : NULL;
	if (iu_scan_wants(scan, COLLECTIONS_REPLICAS))
		set_value(row, COLLECTIONS_REPLICAS,
				  keep_value(scan, DirectFunctionCall1(jsonb_in, CStringGetDatum(whole->replicas))));
	if (!whole->is_replicated || whole->trouble != NULL || !wants_certainty(iu_scan_query(scan)->wants))
		return NULL;
	ask_replicas(scan, row, name, IU_QDRANT_COUNT_LEAST, "all");
	ask_replicas(scan, row, name, IU_QDRANT_COUNT_MIDDLE, "majority");
	return NULL;
}

/* Reads the description of a collection. NULL on success, otherwise what is wrong with it. */
static const char *
set_description(IuScan *scan, Row *row, const IuJson *result)
{
	const IuJson *config = iu_json_member(result, "config");
	const IuJson *vectors = iu_json_member(iu_json_member(config, "params"), "vectors");
	const IuJson *vector = only_vector(vectors);
	const IuJson *approximate = iu_json_member(result, "points_count");
	const char *status = iu_json_text(iu_json_member(result, "status"));
	const char *problem = NULL;
	int64		number;

	if (status == NULL || !iu_json_is_object(config))
		return "the answer holds no description of a collection";
	set_text_value(scan, row, COLLECTIONS_STATUS, status);
	set_json_value(scan, row, COLLECTIONS_CONFIGURATION, config);
	set_json_value(scan, row, COLLECTIONS_VECTORS, vectors);
	problem = set_queue(scan, row, result);
	if (problem != NULL)
		return problem;
	if (vector != NULL)
	{
		problem = iu_json_count(iu_json_member(vector, "size"), &number);
		if (problem != NULL || number > PG_INT32_MAX)
			return "the answer holds no size of the vectors";
		set_value(row, COLLECTIONS_DIMENSION, Int32GetDatum((int32) number));
		set_text_value(scan, row, COLLECTIONS_DISTANCE, iu_json_text(iu_json_member(vector, "distance")));
	}
	if (approximate != NULL && !iu_json_is_null(approximate))
	{
		problem = iu_json_count(approximate, &number);
		if (problem == NULL)
			set_value(row, COLLECTIONS_POINTS_APPROX, Int64GetDatum(number));
	}
	return problem;
}

/* Reads an answer about one row. NULL on success, otherwise what is wrong with it. */
static const char *
set_answer(IuScan *scan, Row *row, const IuFetch *fetch, const IuJson *document)
{
	const IuJson *result = iu_json_member(document, "result");
	const char *problem;
	IuQdrantAliases aliases = {0};

	switch (fetch->purpose)
	{
		case IU_QDRANT_COUNT:
			problem = iu_json_count(iu_json_member(result, "count"), &row->counted);
			if (problem == NULL)
				set_value(row, COLLECTIONS_POINTS, Int64GetDatum(row->counted));
			return problem;
		case IU_QDRANT_COUNT_LEAST:
			return iu_json_count(iu_json_member(result, "count"), &row->whole.least);
		case IU_QDRANT_COUNT_MIDDLE:
			return iu_json_count(iu_json_member(result, "count"), &row->whole.middle);
		case IU_QDRANT_CLUSTER:
			return set_replicas(scan, row, fetch->key, result);
		case IU_QDRANT_FIND_ALIASES:
			if (!iu_qdrant_aliases_read(&aliases, document))
				return "the answer holds no list of aliases";
			set_value(row, COLLECTIONS_ALIASES, keep_value(scan, iu_qdrant_aliases_of(&aliases, fetch->key)));
			return NULL;
		default:
			return set_description(scan, row, result);
	}
}

/* Reads an answer. */
void
iu_qdrant_collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	Row		   *row = fetch->state;
	const char *problem;

	if (fetch->purpose == IU_QDRANT_LIST || fetch->purpose == IU_QDRANT_LIST_ALIASES)
	{
		take_list(scan, fetch, document);
		return;
	}
	problem = set_answer(scan, row, fetch, document);
	if (problem != NULL)
	{
		row->failed = true;
		iu_qdrant_unusable(scan, fetch->key, problem);
		return;
	}
	row->waiting--;
	add_row_if_whole(scan, row);
}

/*
 * Deals with a refusal that is none of what the query asks: of more seconds than
 * the collection allows, and of a collection that is gone since it was listed.
 */
bool
iu_qdrant_collections_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
	Row		   *row = fetch->state;
	const char *problem;

	/* where the replicas are is not told to everybody, nor by every proxy */
	if (fetch->purpose == IU_QDRANT_CLUSTER && (status == 403 || status == 404))
	{
		row->whole.trouble = "Qdrant does not tell where the replicas are";
		row->waiting--;
		add_row_if_whole(scan, row);
		return true;
	}
	if (fetch->purpose != IU_QDRANT_COUNT && fetch->purpose != IU_QDRANT_DESCRIBE)
		return false;
	if (iu_qdrant_is_gone(scan, status, text))
	{
		row->failed = true;
		return true;
	}
	if (fetch->purpose != IU_QDRANT_COUNT || !iu_qdrant_fewer_seconds(scan, status, text))
		return false;
	row->waiting--;
	ask_for_row(scan, row, fetch->key, IU_QDRANT_COUNT, "POST",
				iu_qdrant_path(fetch->key, psprintf("/points/count%s", iu_qdrant_parameters(scan)), &problem),
				"{\"exact\":true}");
	return true;
}
