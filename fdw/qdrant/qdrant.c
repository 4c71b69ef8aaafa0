/*-------------------------------------------------------------------------
 *
 * qdrant.c
 *	  The remote API of Qdrant: what it offers, its options, and what it says
 *	  when it refuses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/qdrant/chain.h"
#include "fdw/qdrant/collections.h"
#include "fdw/qdrant/import.h"
#include "fdw/qdrant/names.h"
#include "fdw/qdrant/points.h"
#include "fdw/qdrant/qdrant.h"

/* ---- failures ---- */

/* Qdrant's own words of an error: {"status":{"error":"..."}}. */
static const char *
qdrant_error_text(const IuJson *document)
{
	return iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
}

/* Hints for answers that are known by a part of Qdrant's words. */
static const struct
{
	int			status;
	const char *text;
	const char *hint;
} hints[] = {
	{400, "Exact search disabled",
		"The collection's strict mode forbids exact counts; no approximate one is taken in their place."},
	{400, "Index required but not found",
		"The collection's strict mode forbids filters on payload keys without an index: create one, "
	"or put the condition on column payload instead of filter."},
	{400, "Condition size limit reached",
	"The collection's strict mode limits what one condition of the filter may list."},
	{400, "Filter condition limit reached",
	"The collection's strict mode limits how many conditions the filter may have."},
	{400, "Format error in JSON body",
	"Check what column filter is compared with: it must be a filter as Qdrant's REST API takes it."}
};

/* What Qdrant's words say beyond the HTTP status. */
static void
refine_qdrant_failure(IuFailure *failure, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = qdrant_error_text(document);
	int			i;

	/* a 404 without Qdrant's own words does not come from Qdrant: the url is wrong */
	if (status == 404 && text != NULL && fetch->key != NULL)
	{
		failure->sqlstate = ERRCODE_FDW_TABLE_NOT_FOUND;
		failure->constraint = "iu_remote_collection_missing";
		failure->reason = "Qdrant has no such collection";
		failure->hint = NULL;
	}
	else if (status == 403 && document == NULL && failure->detail != NULL &&
			 strstr(failure->detail, "Signature") != NULL)
	{
		/* the words of a token that has expired or that another key has signed; JSON is of a right that is missing */
		failure->sqlstate = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		failure->constraint = "iu_remote_credentials";
		failure->reason = "the remote refused the credentials";
		failure->hint = "The token in the user mapping has expired, or was signed with another key.";
	}
	else if (status == 500 && text != NULL && strstr(text, "timed out") != NULL)
	{
		failure->constraint = "iu_remote_gave_up";
		failure->reason = "the remote gave up for lack of time";
		failure->hint = "It takes as much time as option \"timeout_ms\" of the foreign server says, "
			"and iu_core.request_timeout, which is the most.";
	}
	else if (status == 403)
		failure->hint = "Check option \"api_key\" or \"api_key_file\" of the user mapping, and what that key may read.";
	for (i = 0; text != NULL && i < lengthof(hints); i++)
		if (status == hints[i].status && strstr(text, hints[i].text) != NULL)
			failure->hint = hints[i].hint;
}

/* ---- options ---- */

/* Option "consistency": majority, quorum, all, or a number of replicas. */
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
	{"consistency", IU_ON_SERVER, consistency_problem,
	"Allowed values: a number of replicas from 1 to 9999, majority, quorum, all."},
	{NULL}
};

/* ---- the remote ---- */

static const IuResource resources[] = {
	{
		.name = "collections",
		.columns = iu_qdrant_collections_columns,
		.column_count = IU_QDRANT_COLLECTIONS_COLUMNS,
		.role_columns = {0, -1, -1, -1},
		.import_columns = "collection text, points bigint, points_approx bigint, status text, vectors jsonb, "
		"dimension integer, distance text, aliases text[], configuration jsonb, deferred_points bigint, "
		"queued_updates bigint, replicas jsonb, points_sure bigint, doubt text, error text",
		.describe = iu_qdrant_collections_describe,
		.start = iu_qdrant_collections_start,
		.answered = iu_qdrant_collections_answered,
		.refused = iu_qdrant_collections_refused,
	},
	{
		.name = "points",
		.columns = iu_qdrant_points_columns,
		.column_count = IU_QDRANT_POINTS_COLUMNS,
		.role_columns = {0, 1, 4, 5},
		.has_fields = true,
		.can_count = true,
		.counts_rows = iu_qdrant_counts_rows,
		.import_columns = "collection text, id text, payload jsonb, vector jsonb, filter jsonb, shard_key text",
		.describe = iu_qdrant_points_describe,
		.start = iu_qdrant_points_start,
		.answered = iu_qdrant_points_answered,
		.refused = iu_qdrant_chain_refused,
		.too_large = iu_qdrant_chain_too_large,
	},
};

const IuRemote iu_qdrant = {
	.name = "Qdrant",
	.secret_option = "api_key",
	.secret_header = "api-key: %s",
	.options = options,
	.resources = resources,
	.resource_count = lengthof(resources),
	.error_text = qdrant_error_text,
	.refine_failure = refine_qdrant_failure,
	.import_data = iu_qdrant_import
};
