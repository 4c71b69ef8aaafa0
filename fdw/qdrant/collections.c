/*-------------------------------------------------------------------------
 *
 * collections.c
 *	  Resource "collections" of Qdrant: each counted exactly, and what is known
 *	  of it.
 *
 * points_count of GET /collections/{c} is an approximation that can count a
 * point twice; only the count call with "exact" is right. So a row may take up
 * to three requests: they are sent at the same time, and only those whose
 * answers the query looks at. The row is handed over when the last of them is
 * answered.
 *
 * Aliases are taken from the list of all aliases: asked for the aliases of a
 * collection under a name that is an alias itself, Qdrant names none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/qdrant/collections.h"
#include "fdw/qdrant/names.h"
#include "fdw/resource.h"
#include "utils/array.h"
#include "utils/builtins.h"

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
	{"error", TEXTOID}
};

StaticAssertDecl(COLLECTIONS_COLUMNS == IU_QDRANT_COLLECTIONS_COLUMNS, "columns of collections");

/* A row until it is handed over. */
typedef struct Row
{
	int			waiting;		/* requests that are not answered */
	bool		failed;			/* one of them has failed */
	Datum		values[COLLECTIONS_COLUMNS];
	bool		nulls[COLLECTIONS_COLUMNS];
} Row;

/* The lists of all collections and of all aliases. */
typedef struct Lists
{
	int			waiting;		/* for so many of them */
	int			count;
	const char **names;
	int			alias_count;
	const char **aliases;
	const char **aliased;		/* the collection beside each */
} Lists;

/* Whether the query looks at what the description of a collection says. */
static bool
wants_description(const Bitmapset *wants)
{
	int			column;

	for (column = COLLECTIONS_POINTS_APPROX; column <= COLLECTIONS_CONFIGURATION; column++)
		if (column != COLLECTIONS_ALIASES && bms_is_member(column, wants))
			return true;
	return false;
}

/* For EXPLAIN. */
List *
iu_qdrant_collections_describe(const IuQuery *query)
{
	const char *count = psprintf("/points/count%s {\"exact\":true}", iu_qdrant_consistency(query));
	List	   *requests = NIL;

	if (!query->restricted[IU_KEY_COLLECTION] || query->listed)
		requests = lappend(requests, "GET /collections");
	if (bms_is_member(COLLECTIONS_POINTS, query->wants))
		requests = lappend(requests, psprintf("POST /collections/{collection}%s", count));
	if (wants_description(query->wants) || requests == NIL)
		requests = lappend(requests, "GET /collections/{collection}");
	if (bms_is_member(COLLECTIONS_ALIASES, query->wants))
		requests = lappend(requests, "GET /aliases");
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
	if (row->waiting == 0)
		iu_scan_row(scan, row->values, row->nulls, NULL);
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/*
 * Sets the column "aliases". If the name is an alias itself, it shows the
 * aliases of the collection that it stands for.
 */
static void
set_aliases(IuScan *scan, Row *row, const char *name, const Lists *lists)
{
	const char *collection = name;
	const char **aliases = palloc(sizeof(char *) * (lists->alias_count + 1));
	Datum	   *elements = palloc(sizeof(Datum) * (lists->alias_count + 1));
	int			count = 0;
	int			i;

	for (i = 0; i < lists->alias_count; i++)
		if (strcmp(lists->aliases[i], name) == 0)
			collection = lists->aliased[i];
	for (i = 0; i < lists->alias_count; i++)
		if (strcmp(lists->aliased[i], collection) == 0)
			aliases[count++] = lists->aliases[i];
	qsort(aliases, count, sizeof(char *), compare_texts);
	for (i = 0; i < count; i++)
		elements[i] = CStringGetTextDatum(aliases[i]);
	set_value(row, COLLECTIONS_ALIASES,
		keep_value(scan, PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT))));
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
	set_text_value(scan, row, COLLECTIONS_COLLECTION, name);
	if (lists != NULL && iu_scan_wants(scan, COLLECTIONS_ALIASES))
		set_aliases(scan, row, name, lists);

	if (iu_scan_wants(scan, COLLECTIONS_POINTS))
		ask_for_row(scan, row, name, IU_QDRANT_COUNT, "POST", count, "{\"exact\":true}");
	/* a collection that the query names must exist, even if nothing else is looked at */
	if (wants_description(query->wants) || (lists == NULL && row->waiting == 0))
		ask_for_row(scan, row, name, IU_QDRANT_DESCRIBE, "GET", description, NULL);
	if (lists == NULL && iu_scan_wants(scan, COLLECTIONS_ALIASES))
		ask_for_row(scan, row, name, IU_QDRANT_FIND_ALIASES, "GET", "/aliases", NULL);
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

/* Reads the list of aliases; false if the answer holds none. */
static bool
read_aliases(Lists *lists, const IuJson *document)
{
	const IuJson *list = iu_json_member(iu_json_member(document, "result"), "aliases");
	int64		length = iu_json_length(list);
	int			i;

	if (length < 0 || length > PG_INT32_MAX)
		return false;
	lists->aliases = palloc(sizeof(char *) * (length + 1));
	lists->aliased = palloc(sizeof(char *) * (length + 1));
	for (i = 0; i < length; i++)
	{
		lists->aliases[i] = iu_json_text(iu_json_member(iu_json_element(list, i), "alias_name"));
		lists->aliased[i] = iu_json_text(iu_json_member(iu_json_element(list, i), "collection_name"));
		if (lists->aliases[i] == NULL || lists->aliased[i] == NULL)
			return false;
	}
	lists->alias_count = (int) length;
	return true;
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
		if (!read_aliases(lists, document))
		{
			iu_qdrant_unusable(scan, NULL, "the answer holds no list of aliases");
			return;
		}
		lists->aliases = keep_texts(scan, lists->aliases, lists->alias_count);
		lists->aliased = keep_texts(scan, lists->aliased, lists->alias_count);
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
	int64		points;
	Lists		lists = {0};

	switch (fetch->purpose)
	{
		case IU_QDRANT_COUNT:
			problem = iu_json_count(iu_json_member(result, "count"), &points);
			if (problem == NULL)
				set_value(row, COLLECTIONS_POINTS, Int64GetDatum(points));
			return problem;
		case IU_QDRANT_FIND_ALIASES:
			if (!read_aliases(&lists, document))
				return "the answer holds no list of aliases";
			set_aliases(scan, row, fetch->key, &lists);
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
