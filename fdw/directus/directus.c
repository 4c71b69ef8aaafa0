/*-------------------------------------------------------------------------
 *
 * directus.c
 *	  The remote API of Directus: what it offers, its options, and what it says
 *	  when it refuses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/access.h"
#include "fdw/directus/collections.h"
#include "fdw/directus/directus.h"
#include "fdw/directus/import.h"
#include "fdw/directus/items.h"
#include "fdw/directus/names.h"

/* ---- failures ---- */

/* Directus's own words of an error: {"errors":[{"message":"...","extensions":{"code":"..."}}]}. */
static const char *
directus_error_text(const IuJson *document)
{
	return iu_json_text(iu_json_member(iu_json_element(iu_json_member(document, "errors"), 0), "message"));
}

/*
 * What a 403 means.
 *
 * words: Directus's own; NULL for none.
 */
static void
refine_forbidden(IuFailure *failure, const IuFetch *fetch, const char *words)
{
	if (fetch->key == NULL && strcmp(fetch->path, "/fields") == 0)
	{
		failure->reason = "the token may not read which fields they have";
		failure->hint = "Give the user mapping a token that may read directus_fields and directus_collections, "
			"or write CREATE FOREIGN TABLE instead of importing.";
	}
	else if (fetch->key == NULL)
	{
		failure->reason = "the token may not list collections";
		failure->hint = "Restrict column \"collection\" with =, IN or = ANY, "
			"or give the user mapping a token that may read directus_collections.";
	}
	else if (words != NULL && strstr(words, "access field \""))
	{
		failure->reason = "a field is forbidden, or there is none of this name";
		failure->hint = "Check the names of fields in column options and filters, and that the token may read them. "
			"If it is \"id\": table option \"id_field\" names a primary key that is called otherwise.";
	}
	else
	{
		failure->reason = IU_DIRECTUS_FORBIDDEN;
		failure->hint = IU_DIRECTUS_FORBIDDEN_HINT;
	}
}

/* Whether the answer says that Directus's licence forbids it; then this is what it means. */
static bool
refine_licence(IuFailure *failure, const IuJson *document)
{
	const IuDirectusLicence *licence = iu_directus_licence(document);

	if (licence == NULL)
		return false;
	failure->sqlstate = ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
	failure->constraint = "iu_remote_licence";
	failure->reason = licence->reason;
	failure->hint = licence->hint;
	return true;
}

/* What is known of Directus's failures beyond the HTTP status. */
static void
refine_directus_failure(IuFailure *failure, const IuFetch *fetch, int status, const IuJson *document)
{
	if (refine_licence(failure, document))
		return;
	if (status == 403)
		refine_forbidden(failure, fetch, document ? directus_error_text(document) : NULL);
	else if (status == 500)
		failure->hint = "Directus fails like this when its database is down, when a table was dropped under it, "
			"and when a value in a filter does not fit its field; its log tells.";
	else if (status == 400)
		failure->reason = "the remote did not accept the query";
}

/* ---- the remote ---- */

static const char *
partial_problem(const char *value)
{
	if (strcmp(value, "error") == 0 || strcmp(value, "count") == 0)
		return NULL;
	return psprintf("\"%s\" is not allowed here.", value);
}

static const char *
id_field_problem(const char *value)
{
	return value[0] ? NULL : "The name of a field is not empty.";
}

static const IuOption options[] = {
	{"partial", IU_ON_SERVER | IU_ON_TABLE, partial_problem, "Allowed values: error, count."},
	{"id_field", IU_ON_TABLE, id_field_problem, NULL},
	{NULL, 0, NULL, NULL}
};

static const IuResource resources[] = {
	{
		.name = "collections",
		.columns = iu_directus_collections_columns,
		.column_count = IU_COLLECTIONS_COLUMNS,
		.role_columns = {IU_COLLECTIONS_COLLECTION, -1, -1, -1},
		.import_columns = "collection text, items bigint, access text, error text",
		.describe = iu_directus_collections_describe,
		.start = iu_directus_collections_start,
		.answered = iu_directus_collections_answered,
		.refused = iu_directus_collections_refused,
	},
	{
		.name = "items",
		.columns = iu_directus_items_columns,
		.column_count = IU_ITEMS_COLUMNS,
		.role_columns = {IU_ITEMS_COLLECTION, IU_ITEMS_ID, IU_ITEMS_FILTER, -1},
		.has_fields = true,
		.can_count = true,
		.import_columns = "collection text, id text, item jsonb, filter jsonb",
		.describe = iu_directus_items_describe,
		.start = iu_directus_items_start,
		.answered = iu_directus_items_answered,
		.refused = iu_directus_items_refused,
		.too_large = iu_directus_items_too_large,
	},
};

const IuRemote iu_directus = {
	.name = "Directus",
	.secret_option = "token",
	.secret_header = "Authorization: Bearer %s",
	.options = options,
	.resources = resources,
	.resource_count = lengthof(resources),
	.error_text = directus_error_text,
	.refine_failure = refine_directus_failure,
	.import_data = iu_directus_import
};
