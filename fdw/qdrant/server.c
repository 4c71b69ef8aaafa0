/*-------------------------------------------------------------------------
 *
 * server.c
 *	  Qdrant: its addresses, its options, its words of refusal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/qdrant/qdrant.h"

/* ---- addresses ---- */

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

char *
iu_qdrant_path(const char *name, const char *rest, const char **problem)
{
	*problem = name_problem(name);
	if (*problem != NULL)
		return NULL;
	return psprintf("/collections/%s%s", iu_encode_segment(name), rest);
}

const char *
iu_qdrant_consistency(const IuQuery *query)
{
	const char *value = iu_query_option(query, "consistency");

	return value ? psprintf("?consistency=%s", value) : "";
}

const char **
iu_qdrant_names(const IuJson *document, int *count)
{
	const IuJson *list = iu_json_member(iu_json_member(document, "result"), "collections");
	int64		length = iu_json_length(list);
	const char **names;
	int			i;

	if (length < 0 || length > PG_INT32_MAX)
		return NULL;
	names = palloc(sizeof(char *) * (length + 1));
	for (i = 0; i < length; i++)
	{
		names[i] = iu_json_text(iu_json_member(iu_json_element(list, i), "name"));
		if (names[i] == NULL)
			return NULL;
	}
	*count = (int) length;
	return names;
}

/* ---- failures ---- */

void
iu_qdrant_unusable(IuScan *scan, const char *key, const char *reason)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, reason, "HTTP 200.", NULL};

	iu_scan_fail(scan, key, &failure);
}

void
iu_qdrant_unaddressable(IuScan *scan, const char *key, const char *problem)
{
	IuFailure	failure = {ERRCODE_INVALID_NAME, problem, NULL, NULL};

	iu_scan_fail(scan, key, &failure);
}

/* {"status":{"error":"..."}} */
static const char *
error_text(const IuJson *document)
{
	return iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
}

/* What Qdrant's text says beyond its status. */
static const struct
{
	int			status;
	const char *text;
	const char *hint;
} hints[] = {
	{400, "Exact search disabled", "The collection's strict mode forbids exact counts; no approximate one is taken in their place."},
	{400, "Index required but not found", "The collection's strict mode forbids filters on payload keys without an index: create one, or put the condition on column payload instead of filter."},
	{400, "Condition size limit reached", "The collection's strict mode limits what one condition of the filter may list."},
	{400, "Filter condition limit reached", "The collection's strict mode limits how many conditions the filter may have."},
	{400, "Format error in JSON body", "Check what column filter is compared with: it must be a filter as Qdrant's REST API takes it."}
};

static void
refine_failure(IuFailure *failure, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = error_text(document);
	int			i;

	/* without Qdrant's own words a 404 is a wrong address */
	if (status == 404 && text != NULL && fetch->key != NULL)
	{
		failure->sqlstate = ERRCODE_FDW_TABLE_NOT_FOUND;
		failure->reason = "Qdrant has no such collection";
		failure->hint = NULL;
	}
	else if (status == 403)
		failure->hint = "Check option \"api_key\" or \"api_key_file\" of the user mapping, and what that key may read.";
	for (i = 0; text != NULL && i < lengthof(hints); i++)
		if (status == hints[i].status && strstr(text, hints[i].text) != NULL)
			failure->hint = hints[i].hint;
}

/* ---- options ---- */

static const char *
consistency_problem(const char *value)
{
	static const char *const words[] = {"majority", "quorum", "all"};
	int			i;

	for (i = 0; i < lengthof(words); i++)
		if (strcmp(value, words[i]) == 0)
			return NULL;
	if (value[0] >= '1' && value[0] <= '9' && strlen(value) < 5 && strspn(value, "0123456789") == strlen(value))
		return NULL;
	return psprintf("\"%s\" is not allowed here.", value);
}

static const IuOption options[] = {
	{"consistency", IU_ON_SERVER, consistency_problem, "Allowed values: a number of replicas from 1 to 9999, majority, quorum, all."},
	{NULL}
};

/* ---- the remote ---- */

static const IuResource resources[] = {
	{
		.name = "collections",
		.columns = iu_qdrant_collections_columns,
		.column_count = IU_QDRANT_COLLECTIONS_COLUMNS,
		.role_columns = {0, -1, -1},
		.import_columns = "collection text, points bigint, points_approx bigint, status text, vectors jsonb, "
		"dimension integer, distance text, aliases text[], configuration jsonb, error text",
		.describe = iu_qdrant_collections_describe,
		.start = iu_qdrant_collections_start,
		.answered = iu_qdrant_collections_answered,
	},
	{
		.name = "points",
		.columns = iu_qdrant_points_columns,
		.column_count = IU_QDRANT_POINTS_COLUMNS,
		.role_columns = {0, 1, 4},
		.has_fields = true,
		.can_count = true,
		.import_columns = "collection text, id text, payload jsonb, vector jsonb, filter jsonb",
		.describe = iu_qdrant_points_describe,
		.start = iu_qdrant_points_start,
		.answered = iu_qdrant_points_answered,
		.refused = iu_qdrant_points_refused,
	},
};

const IuRemote iu_qdrant = {
	.name = "Qdrant",
	.secret_option = "api_key",
	.secret_header = "api-key: %s",
	.options = options,
	.resources = resources,
	.resource_count = lengthof(resources),
	.error_text = error_text,
	.refine_failure = refine_failure,
	.import_data = iu_qdrant_import
};
