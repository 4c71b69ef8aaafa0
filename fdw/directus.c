/*-------------------------------------------------------------------------
 *
 * directus.c
 *	  Directus: its collections, each counted as far as the token may see it.
 *
 * The count is what aggregate[count]=* says: a string on PostgreSQL, a number
 * on SQLite. An answer of 200 that holds none is possible and is a failure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/remote.h"
#include "utils/builtins.h"

#define SYSTEM_PREFIX "directus_"

enum
{
	COLUMN_COLLECTION,
	COLUMN_ITEMS,
	COLUMN_ERROR,
	COLUMNS
};

enum
{
	LIST_COLLECTIONS,
	COUNT_ITEMS
};

static const IuColumn collections_columns[COLUMNS] = {
	{"collection", TEXTOID},
	{"items", INT8OID},
	{"error", TEXTOID}
};

/*
 * System collections are not below /items; these endpoints take an aggregate
 * (tried on 11.17.4; /permissions answers 200 without a count).
 */
static const char *const counted_system_collections[] = {
	"access", "activity", "comments", "dashboards", "files", "flows", "folders", "notifications",
	"operations", "panels", "policies", "presets", "revisions", "roles", "shares",
	"translations", "users", "versions"
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
		requests = lappend(requests, "GET /items/{collection}?aggregate[count]=*");
	return requests;
}

static bool
is_system(const char *name)
{
	return strncmp(name, SYSTEM_PREFIX, strlen(SYSTEM_PREFIX)) == 0;
}

static bool
is_counted_system(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(counted_system_collections); i++)
		if (strcmp(name + strlen(SYSTEM_PREFIX), counted_system_collections[i]) == 0)
			return true;
	return false;
}

/* NULL if there can be such a collection and it can be counted. */
static const char *
name_problem(const char *name)
{
	if (name[0] == '\0')
		return "a collection's name is not empty";
	if (strchr(name, '/'))
		return "a collection's name holds no slash";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "a collection of this name cannot be addressed";
	if (strlen(name) > 255)
		return "a collection's name has at most 255 bytes";
	if (is_system(name) && !is_counted_system(name))
		return "Directus does not count this system collection";
	return NULL;
}

static void
count_collection(IuScan *scan, const char *name)
{
	const char *problem = name_problem(name);
	IuFetch		fetch = {"GET", NULL, NULL, name, COUNT_ITEMS};

	if (problem != NULL)
	{
		IuFailure	failure = {ERRCODE_INVALID_NAME, problem, NULL, NULL};

		iu_scan_fail(scan, name, &failure);
		return;
	}
	/* brackets and star percent-encoded, as a URL asks for; Directus decodes them */
	if (is_system(name))
		fetch.path = psprintf("/%s?aggregate%%5Bcount%%5D=%%2A", name + strlen(SYSTEM_PREFIX));
	else
		fetch.path = psprintf("/items/%s?aggregate%%5Bcount%%5D=%%2A", iu_encode_segment(name));
	iu_scan_fetch(scan, &fetch);
}

static void
add_row(IuScan *scan, const char *name, const int64 *items)
{
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {false, true, true};

	values[COLUMN_COLLECTION] = CStringGetTextDatum(name);
	if (items != NULL)
	{
		values[COLUMN_ITEMS] = Int64GetDatum(*items);
		nulls[COLUMN_ITEMS] = false;
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

/* Folders are listed too, with a schema of null: they hold no items. */
static void
collections_listed(IuScan *scan, const IuJson *document)
{
	const IuJson *list = iu_json_member(document, "data");
	int64		count = iu_json_length(list);
	int64		i;

	for (i = 0; i < count; i++)
	{
		const IuJson *entry = iu_json_element(list, i);
		const char *name = iu_json_text(iu_json_member(entry, "collection"));

		if (name == NULL)
		{
			count = -1;
			break;
		}
		if (is_system(name) || iu_json_is_null(iu_json_member(entry, "schema")))
			continue;
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
	const IuJson *data = iu_json_member(document, "data");
	const char *problem = "the answer holds no count";
	int64		items;

	if (fetch->purpose == LIST_COLLECTIONS)
	{
		collections_listed(scan, document);
		return;
	}
	if (iu_json_length(data) == 1)
		problem = iu_json_count(iu_json_member(iu_json_element(data, 0), "count"), &items);
	if (problem != NULL)
	{
		IuFailure	failure = {ERRCODE_FDW_ERROR, problem, "HTTP 200.", NULL};

		iu_scan_fail(scan, fetch->key, &failure);
		return;
	}
	add_row(scan, fetch->key, &items);
}

static const IuJson *
first_error(const IuJson *document)
{
	return iu_json_element(iu_json_member(document, "errors"), 0);
}

/* {"errors":[{"message":"...","extensions":{"code":"..."}}]} */
static const char *
error_text(const IuJson *document)
{
	return iu_json_text(iu_json_member(first_error(document), "message"));
}

/* Directus says the same for what is forbidden and for what is not there. */
static void
refine_failure(IuFailure *failure, const IuFetch *fetch, int status, const IuJson *document)
{
	if (status != 403)
		return;
	if (fetch->key == NULL)
	{
		failure->reason = "the token may not list collections";
		failure->hint = "Restrict column \"collection\" with =, IN or = ANY, or give the user mapping a token that may read directus_collections.";
		return;
	}
	failure->reason = "forbidden, or no such collection";
	failure->hint = "Directus does not tell the two apart: check the name, and that the policy of the user mapping's token may read it; a table made by SQL is known only after Directus cleared its system cache.";
}

static const IuResource resources[] = {
	{
		.name = "collections",
		.columns = collections_columns,
		.column_count = COLUMNS,
		.role_columns = {COLUMN_COLLECTION, -1, -1},
		.import_columns = "collection text, items bigint, error text",
		.describe = collections_describe,
		.start = collections_start,
		.answered = collections_answered,
	},
};

const IuRemote iu_directus = {
	.name = "Directus",
	.secret_option = "token",
	.secret_header = "Authorization: Bearer %s",
	.resources = resources,
	.resource_count = lengthof(resources),
	.error_text = error_text,
	.refine_failure = refine_failure
};
