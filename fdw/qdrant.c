/*-------------------------------------------------------------------------
 *
 * qdrant.c
 *	  Qdrant: its collections, each counted exactly.
 *
 * points_count of GET /collections/{c} is an approximation that can count a
 * point twice; only the count call with "exact" is right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/remote.h"
#include "utils/builtins.h"

enum
{
	COLUMN_COLLECTION,
	COLUMN_POINTS,
	COLUMN_ERROR,
	COLUMNS
};

enum
{
	LIST_COLLECTIONS,
	COUNT_POINTS
};

static const IuColumn collections_columns[COLUMNS] = {
	{"collection", TEXTOID},
	{"points", INT8OID},
	{"error", TEXTOID}
};

/* Whether the query looks at more than names. */
static bool
needs_count(const Bitmapset *wants)
{
	return bms_membership(wants) == BMS_MULTIPLE ||
		(wants != NULL && !bms_is_member(COLUMN_COLLECTION, wants));
}

static List *
collections_describe(const IuQuery *query)
{
	bool		keyed = query->restricted[IU_KEY_COLLECTION];
	List	   *requests = NIL;

	if (!keyed)
		requests = lappend(requests, "GET /collections");
	if (keyed || needs_count(query->wants))
		requests = lappend(requests, "POST /collections/{collection}/points/count {\"exact\":true}");
	return requests;
}

/* NULL if the name can stand in a path as one part of it. */
static const char *
name_problem(const char *name)
{
	if (name[0] == '\0')
		return "a collection's name is not empty";
	if (strchr(name, '/'))
		return "a collection's name holds no slash";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "a collection of this name cannot be addressed";
	if (strlen(name) > 1020)
		return "a collection's name has at most 255 characters";
	return NULL;
}

static void
count_collection(IuScan *scan, const char *name)
{
	const char *problem = name_problem(name);
	IuFetch		fetch = {"POST", NULL, "{\"exact\":true}", name, COUNT_POINTS};

	if (problem != NULL)
	{
		IuFailure	failure = {ERRCODE_INVALID_NAME, problem, NULL, NULL};

		iu_scan_fail(scan, name, &failure);
		return;
	}
	fetch.path = psprintf("/collections/%s/points/count", iu_encode_segment(name));
	iu_scan_fetch(scan, &fetch);
}

static void
add_row(IuScan *scan, const char *name, const int64 *points)
{
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {false, true, true};

	values[COLUMN_COLLECTION] = CStringGetTextDatum(name);
	if (points != NULL)
	{
		values[COLUMN_POINTS] = Int64GetDatum(*points);
		nulls[COLUMN_POINTS] = false;
	}
	iu_scan_row(scan, values, nulls, NULL);
}

static void
collections_start(IuScan *scan)
{
	IuFetch		list = {"GET", "/collections", NULL, NULL, LIST_COLLECTIONS};
	ListCell   *cell;

	if (!iu_scan_restricts(scan, IU_KEY_COLLECTION))
		iu_scan_fetch(scan, &list);
	foreach(cell, iu_scan_keys(scan, IU_KEY_COLLECTION))
		count_collection(scan, lfirst(cell));
}

static void
collections_listed(IuScan *scan, const IuJson *document)
{
	const IuJson *list = iu_json_member(iu_json_member(document, "result"), "collections");
	int64		count = iu_json_length(list);
	int64		i;

	for (i = 0; i < count; i++)
	{
		const char *name = iu_json_text(iu_json_member(iu_json_element(list, i), "name"));

		if (name == NULL)
		{
			count = -1;
			break;
		}
		if (!needs_count(iu_scan_query(scan)->wants))
			add_row(scan, name, NULL);
		else
			count_collection(scan, name);
	}
	if (count < 0)
	{
		IuFailure	failure = {ERRCODE_FDW_ERROR, "the answer holds no list of collections", "HTTP 200.", NULL};

		iu_scan_fail(scan, NULL, &failure);
	}
}

static void
collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	const char *problem;
	int64		points;

	if (fetch->purpose == LIST_COLLECTIONS)
	{
		collections_listed(scan, document);
		return;
	}
	problem = iu_json_count(iu_json_member(iu_json_member(document, "result"), "count"), &points);
	if (problem != NULL)
	{
		IuFailure	failure = {ERRCODE_FDW_ERROR, problem, "HTTP 200.", NULL};

		iu_scan_fail(scan, fetch->key, &failure);
		return;
	}
	add_row(scan, fetch->key, &points);
}

/* {"status":{"error":"..."}} */
static const char *
error_text(const IuJson *document)
{
	return iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
}

static void
refine_failure(IuFailure *failure, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = error_text(document);

	/* without Qdrant's own words a 404 is a wrong address */
	if (status == 404 && text != NULL && fetch->key != NULL)
	{
		failure->sqlstate = ERRCODE_FDW_TABLE_NOT_FOUND;
		failure->reason = "Qdrant has no such collection";
		failure->hint = NULL;
	}
	else if (status == 403)
		failure->hint = "Check option \"api_key\" or \"api_key_file\" of the user mapping, and what that key may read.";
	else if (status == 400 && text != NULL && strstr(text, "Exact search disabled") != NULL)
		failure->hint = "The collection's strict mode forbids exact counts; no approximate one is taken in their place.";
}

static const IuResource resources[] = {
	{
		.name = "collections",
		.columns = collections_columns,
		.column_count = COLUMNS,
		.role_columns = {COLUMN_COLLECTION, -1, -1},
		.import_columns = "collection text, points bigint, error text",
		.describe = collections_describe,
		.start = collections_start,
		.answered = collections_answered,
	},
};

const IuRemote iu_qdrant = {
	.name = "Qdrant",
	.secret_option = "api_key",
	.secret_header = "api-key: %s",
	.resources = resources,
	.resource_count = lengthof(resources),
	.error_text = error_text,
	.refine_failure = refine_failure
};
