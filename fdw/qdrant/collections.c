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
 * Whether a count is everything is told of what Qdrant had been given when the
 * row was begun. So the count is asked for last, after no update was queued: one
 * that was queued while it counted may be missing in it.
 *
 * An alias may be switched between two of them. So where several go to a
 * collection that the query names, it is asked first which collection that is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/compat.h"
#include "fdw/qdrant/aliases.h"
#include "fdw/qdrant/collection_row.h"
#include "fdw/qdrant/collections.h"
#include "fdw/qdrant/names.h"
#include "fdw/resource.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

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

/* Whether the query asks for the exact count. */
static bool
wants_count(const Bitmapset *wants)
{
	return bms_is_member(COLLECTIONS_POINTS, wants) || wants_certainty(wants);
}

/* Whether the query asks where the replicas are. */
static bool
wants_replicas(const Bitmapset *wants)
{
	return bms_is_member(COLLECTIONS_REPLICAS, wants) || wants_certainty(wants);
}

/* Whether the aliases must be known before anything else is asked about a collection that the query names. */
static bool
needs_aliases(const Bitmapset *wants)
{
	return bms_is_member(COLLECTIONS_ALIASES, wants) ||
		wants_count(wants) + wants_description(wants) + wants_replicas(wants) > 1;
}

/* For EXPLAIN. */
List *
iu_qdrant_collections_describe(const IuQuery *query)
{
	const char *count = psprintf("/points/count%s {\"exact\":true}", iu_qdrant_consistency(query));
	bool		lists = !query->restricted[IU_KEY_COLLECTION] || query->listed;
	List	   *requests = NIL;

	if (lists)
		requests = lappend(requests, "GET /collections");
	if (bms_is_member(COLLECTIONS_ALIASES, query->wants) || (!lists && needs_aliases(query->wants)))
		requests = lappend(requests, "GET /aliases");
	if (wants_count(query->wants))
		requests = lappend(requests, psprintf("POST /collections/{collection}%s", count));
	if (wants_description(query->wants) || requests == NIL)
		requests = lappend(requests, "GET /collections/{collection}");
	if (wants_replicas(query->wants))
		requests = lappend(requests, "GET /collections/{collection}/cluster");
	return requests;
}

/* ---- rows ---- */

/*
 * Sends a request for the row.
 *
 * rest: of the address, after the collection; NULL: GET /aliases.
 */
static void
ask_for_row(IuScan *scan, IuQdrantRow *row, int purpose, const char *method, const char *rest, const char *body)
{
	const char *problem;
	const char *path = rest ? iu_qdrant_path(row->address, rest, &problem) : "/aliases";
	IuFetch		fetch = {method, path, body, row->name, purpose, row, &row->failed};

	row->waiting++;
	iu_scan_fetch(scan, &fetch);
}

/* Asks for the exact count. */
static void
ask_for_count(IuScan *scan, IuQdrantRow *row)
{
	ask_for_row(scan, row, IU_QDRANT_COUNT, "POST", psprintf("/points/count%s", iu_qdrant_parameters(scan)),
				"{\"exact\":true}");
}

/* Asks what the replicas count, as this consistency makes one number of it. */
static void
ask_replicas(IuScan *scan, IuQdrantRow *row, int purpose, const char *consistency)
{
	const char *rest = psprintf("/points/count?consistency=%s&timeout=%d", consistency, iu_scan_seconds(scan));

	ask_for_row(scan, row, purpose, "POST", rest, "{\"exact\":true}");
}

/* Asks for the count once more, of those that are asked for last. */
static void
ask_count_again(IuScan *scan, IuQdrantRow *row, int purpose)
{
	row->waiting--;
	if (purpose == IU_QDRANT_COUNT)
		ask_for_count(scan, row);
	else
		ask_replicas(scan, row, purpose, purpose == IU_QDRANT_COUNT_LEAST ? "all" : "majority");
}

/* Asks for the count when all else is known that may speak against it. */
static void
ask_for_last(IuScan *scan, IuQdrantRow *row)
{
	row->asks_last = true;
	ask_for_count(scan, row);
	if (row->whole.is_replicated && row->whole.trouble == NULL)
	{
		ask_replicas(scan, row, IU_QDRANT_COUNT_LEAST, "all");
		ask_replicas(scan, row, IU_QDRANT_COUNT_MIDDLE, "majority");
	}
}

/* Hands the row over if it waits for nothing more; or asks for what comes last. */
static void
go_on(IuScan *scan, IuQdrantRow *row)
{
	const char *doubt;

	if (row->waiting > 0)
		return;
	if (wants_certainty(iu_scan_query(scan)->wants))
	{
		if (!row->asks_last)
		{
			ask_for_last(scan, row);
			return;
		}
		doubt = iu_qdrant_whole_doubt(&row->whole, row->counted);
		iu_qdrant_row_set_text(scan, row, COLLECTIONS_DOUBT, doubt);
		if (doubt == NULL)
			iu_qdrant_row_set(row, COLLECTIONS_SURE, Int64GetDatum(row->counted));
	}
	iu_scan_row(scan, row->values, row->nulls, NULL);
}

/* Asks for what the query looks at of a collection. is_named: by the query; then it must exist. */
static void
ask_for_parts(IuScan *scan, IuQdrantRow *row, bool is_named)
{
	const Bitmapset *wants = iu_scan_query(scan)->wants;

	if (wants_count(wants) && !wants_certainty(wants))
		ask_for_count(scan, row);
	/* that it exists is asked for, even if nothing else of it is looked at */
	if (wants_description(wants) || (is_named && !wants_count(wants)))
		ask_for_row(scan, row, IU_QDRANT_DESCRIBE, "GET", "", NULL);
	if (wants_replicas(wants))
		ask_for_row(scan, row, IU_QDRANT_CLUSTER, "GET", "/cluster", NULL);
}

/*
 * Begins the row of a collection.
 *
 * lists: the lists of all, where they have been read; NULL where the query names
 * the collection.
 */
static void
begin_row(IuScan *scan, const char *name, const Lists *lists)
{
	IuQdrantRow *row = iu_scan_alloc(scan, sizeof(IuQdrantRow));
	const char *problem;

	if (iu_qdrant_path(name, "", &problem) == NULL)
	{
		iu_qdrant_unaddressable(scan, name, problem);
		return;
	}
	row->name = row->address = iu_scan_strdup(scan, name);
	memset(row->nulls, true, sizeof(row->nulls));
	row->whole.least = row->whole.middle = -1;
	iu_qdrant_row_set_text(scan, row, COLLECTIONS_COLLECTION, name);
	if (lists != NULL && iu_scan_wants(scan, COLLECTIONS_ALIASES))
		iu_qdrant_row_set(row, COLLECTIONS_ALIASES,
						  iu_qdrant_row_keep(scan, iu_qdrant_aliases_of(&lists->aliases, name)));
	if (lists == NULL && needs_aliases(iu_scan_query(scan)->wants))
		ask_for_row(scan, row, IU_QDRANT_FIND_ALIASES, "GET", NULL, NULL);
	else
		ask_for_parts(scan, row, lists == NULL);
	go_on(scan, row);
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
		IuQdrantAliases aliases;

		if (!iu_qdrant_aliases_read(&aliases, document))
		{
			iu_qdrant_unusable(scan, NULL, "the answer holds no list of aliases");
			return;
		}
		lists->aliases = *iu_qdrant_aliases_copy(&aliases, GetMemoryChunkContext(lists));
	}
	if (--lists->waiting > 0)
		return;
	for (i = 0; i < lists->count; i++)
		if (iu_scan_takes(scan, lists->names[i]))
			begin_row(scan, lists->names[i], lists);
	iu_scan_has_list(scan);
}

/*
 * Sets where the replicas are. NULL on success, otherwise what is wrong with the
 * answer.
 */
static const char *
set_replicas(IuScan *scan, IuQdrantRow *row, const IuJson *result)
{
	IuQdrantWhole *whole = &row->whole;
	const char *problem = iu_qdrant_whole_replicas(whole, result);

	if (problem != NULL)
		return problem;
	whole->trouble = whole->trouble ? iu_scan_strdup(scan, whole->trouble) : NULL;
	if (iu_scan_wants(scan, COLLECTIONS_REPLICAS))
		iu_qdrant_row_set(row, COLLECTIONS_REPLICAS,
				  iu_qdrant_row_keep(scan, DirectFunctionCall1(jsonb_in, CStringGetDatum(whole->replicas))));
	return NULL;
}

/* Goes on with a row, under the name of the collection that its name stands for. */
static void
take_aliases(IuScan *scan, IuQdrantRow *row, const IuQdrantAliases *aliases)
{
	const char *address = iu_qdrant_aliases_resolve(aliases, row->name);
	const char *problem;

	if (iu_qdrant_path(address, "", &problem) != NULL)
		row->address = iu_scan_strdup(scan, address);
	if (iu_scan_wants(scan, COLLECTIONS_ALIASES))
		iu_qdrant_row_set(row, COLLECTIONS_ALIASES, iu_qdrant_row_keep(scan, iu_qdrant_aliases_of(aliases, row->name)));
	ask_for_parts(scan, row, true);
}

/* Reads an answer about one row. NULL on success, otherwise what is wrong with it. */
static const char *
set_answer(IuScan *scan, IuQdrantRow *row, const IuFetch *fetch, const IuJson *document)
{
	const IuJson *result = iu_json_member(document, "result");
	const char *problem;
	IuQdrantAliases aliases = {0};

	switch (fetch->purpose)
	{
		case IU_QDRANT_COUNT:
			problem = iu_json_count(iu_json_member(result, "count"), &row->counted);
			if (problem == NULL)
				iu_qdrant_row_set(row, COLLECTIONS_POINTS, Int64GetDatum(row->counted));
			return problem;
		case IU_QDRANT_COUNT_LEAST:
			return iu_json_count(iu_json_member(result, "count"), &row->whole.least);
		case IU_QDRANT_COUNT_MIDDLE:
			return iu_json_count(iu_json_member(result, "count"), &row->whole.middle);
		case IU_QDRANT_CLUSTER:
			return set_replicas(scan, row, result);
		case IU_QDRANT_FIND_ALIASES:
			if (!iu_qdrant_aliases_read(&aliases, document))
				return "the answer holds no list of aliases";
			take_aliases(scan, row, &aliases);
			return NULL;
		default:
			return iu_qdrant_row_describe(scan, row, result);
	}
}

/* Reads an answer. */
void
iu_qdrant_collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	IuQdrantRow *row = fetch->state;
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
	go_on(scan, row);
}

/*
 * Deals with a refusal that is none of what the query asks: of more seconds than
 * the collection allows, and of a collection that is gone since it was listed.
 */
bool
iu_qdrant_collections_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
	IuQdrantRow *row = fetch->state;
	bool		of_replicas = fetch->purpose == IU_QDRANT_COUNT_LEAST || fetch->purpose == IU_QDRANT_COUNT_MIDDLE;

	/* which collection an alias stands for is not told to every key */
	if (fetch->purpose == IU_QDRANT_FIND_ALIASES && (status == 403 || status == 404) &&
		!iu_scan_wants(scan, COLLECTIONS_ALIASES))
	{
		row->waiting--;
		ask_for_parts(scan, row, true);
		return true;
	}
	/* where the replicas are is not told to everybody, nor by every proxy */
	if (fetch->purpose == IU_QDRANT_CLUSTER && (status == 403 || status == 404))
	{
		row->whole.trouble = "Qdrant does not tell where the replicas are";
		row->waiting--;
		go_on(scan, row);
		return true;
	}
	/* Qdrant counts with all replicas or not at all: one of them may be stopped, and not yet known to be dead */
	if (of_replicas && status >= 500 && text != NULL)
	{
		row->whole.trouble = "not every replica can be asked";
		row->waiting--;
		go_on(scan, row);
		return true;
	}
	if (!of_replicas && fetch->purpose != IU_QDRANT_COUNT && fetch->purpose != IU_QDRANT_DESCRIBE)
		return false;
	if (iu_qdrant_is_gone(scan, status, text))
	{
		row->failed = true;
		return true;
	}
	if (fetch->purpose == IU_QDRANT_DESCRIBE || !iu_qdrant_fewer_seconds(scan, status, text))
		return false;
	ask_count_again(scan, row, fetch->purpose);
	return true;
}
