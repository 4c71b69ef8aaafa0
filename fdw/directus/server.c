/*-------------------------------------------------------------------------
 *
 * server.c
 *	  Directus: names and addresses, how much a token sees, and failures.
 *
 * Directus filters what a token may not see out of every answer, counts and
 * totals included, and says nothing of it. Only GET /permissions/me tells
 * (11.17.4: every user may ask it, about itself; it takes 2 ms): "full" where
 * no rule narrows the items, "partial" where any of the policies has a rule,
 * even if another one has none. Fields that a policy leaves out are named
 * beside a "full"; they change no count. Without a token it is 403, so that
 * what the public role sees of a collection stays unknown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/directus/directus.h"

#define SYSTEM_PREFIX "directus_"

/* Directus says the same for what is forbidden and for what is not there. */
#define FORBIDDEN "forbidden, or no such collection"
#define FORBIDDEN_HINT \
	"Directus does not tell the two apart: check the name, and that the policy of the user mapping's token may read it; a table made by SQL is known only after Directus cleared its system cache."

static const IuColumn collections_columns[IU_COLLECTIONS_COLUMNS] = {
	{"collection", TEXTOID},
	{"items", INT8OID},
	{"access", TEXTOID},
	{"error", TEXTOID}
};

static const IuColumn items_columns[IU_ITEMS_COLUMNS] = {
	{"collection", TEXTOID},
	{"id", TEXTOID},
	{"item", JSONBOID},
	{"filter", JSONBOID}
};

/*
 * System collections are not below /items; these endpoints take an aggregate
 * (tried on 11.17.4; /permissions answers 200 without a count).
 */
static const char *const system_collections[] = {
	"access", "activity", "comments", "dashboards", "deployments", "files", "flows", "folders",
	"notifications", "operations", "panels", "policies", "presets", "revisions", "roles",
	"settings", "shares", "translations", "users", "versions"
};

/* ---- names and addresses ---- */

static bool
is_system(const char *name)
{
	return strncmp(name, SYSTEM_PREFIX, strlen(SYSTEM_PREFIX)) == 0;
}

static bool
has_endpoint(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(system_collections); i++)
		if (strcmp(name + strlen(SYSTEM_PREFIX), system_collections[i]) == 0)
			return true;
	return false;
}

const char *
iu_directus_name_problem(const char *name)
{
	if (name[0] == '\0')
		return "a collection's name is not empty";
	if (strchr(name, '/'))
		return "a collection's name holds no slash";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "a collection of this name cannot be addressed";
	if (strlen(name) > 255)
		return "a collection's name has at most 255 bytes";
	if (is_system(name) && !has_endpoint(name))
		return "Directus does not count this system collection";
	return NULL;
}

char *
iu_directus_path(const char *name)
{
	if (is_system(name))
		return psprintf("/%s", name + strlen(SYSTEM_PREFIX));
	return psprintf("/items/%s", iu_encode_segment(name));
}

void
iu_directus_ask_list(IuScan *scan, void *state)
{
	IuFetch		list = {"GET", "/collections", NULL, NULL, IU_DIRECTUS_LIST, state};

	iu_scan_fetch(scan, &list);
}

/* Folders are listed too, with a schema of null: they hold no items. */
bool
iu_directus_listed(const IuJson *document, void (*each) (void *state, const char *name), void *state)
{
	const IuJson *list = iu_json_member(document, "data");
	int64		count = iu_json_length(list);
	int64		i;

	for (i = 0; i < count; i++)
		if (iu_json_text(iu_json_member(iu_json_element(list, i), "collection")) == NULL)
			return false;
	for (i = 0; i < count; i++)
	{
		const IuJson *entry = iu_json_element(list, i);
		const char *name = iu_json_text(iu_json_member(entry, "collection"));

		if (!is_system(name) && !iu_json_is_null(iu_json_member(entry, "schema")))
			each(state, name);
	}
	return count >= 0;
}

void
iu_directus_bad_answer(IuScan *scan, const char *key, const char *problem)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, problem, "HTTP 200.", NULL};

	iu_scan_fail(scan, key, &failure);
}

/* ---- how much of a collection the token sees ---- */

const char *
iu_directus_access_word(IuDirectusAccess access)
{
	static const char *const words[] = {NULL, "none", "partial", "fields", "full"};

	return words[access];
}

/* A collection that is not named there is none of the token's. */
bool
iu_directus_access_of(const IuJson *document, const char *name, IuDirectusAccess *access)
{
	const IuJson *data = iu_json_member(document, "data");
	const IuJson *read = iu_json_member(iu_json_member(data, name), "read");
	const char *word = iu_json_text(iu_json_member(read, "access"));
	const char *first = iu_json_text(iu_json_element(iu_json_member(read, "fields"), 0));

	if (!iu_json_is_object(data))
		return false;
	if (read == NULL || (word != NULL && strcmp(word, "none") == 0))
		*access = IU_ACCESS_NONE;
	else if (word == NULL || strcmp(word, "full") != 0)
		*access = IU_ACCESS_PARTIAL;
	else
		*access = first != NULL && strcmp(first, "*") == 0 ? IU_ACCESS_FULL : IU_ACCESS_FIELDS;
	return true;
}

bool
iu_directus_takes_part(const IuQuery *query)
{
	const char *partial = iu_query_option(query, "partial");

	return partial != NULL && strcmp(partial, "count") == 0;
}

void
iu_directus_ask_access(IuScan *scan, const char *key, void *state)
{
	IuFetch		fetch = {"GET", "/permissions/me", NULL, key, IU_DIRECTUS_ACCESS, state};

	iu_scan_fetch(scan, &fetch);
}

bool
iu_directus_sees_all(IuScan *scan, const char *name, IuDirectusAccess access)
{
	IuFailure	failure = {ERRCODE_INSUFFICIENT_PRIVILEGE};

	failure.reason = "the token may see only a part of it";
	failure.detail = "A rule in the permissions of its policies narrows what it reads, and what it counts.";
	failure.hint = "Use a token whose policies read the collection without a rule, or accept what it sees by option \"partial\" 'count' of the table or the server.";
	if (access != IU_ACCESS_NONE && access != IU_ACCESS_PARTIAL)
		return true;
	if (access == IU_ACCESS_NONE)
	{
		failure.reason = FORBIDDEN;
		failure.detail = "GET /permissions/me does not name it.";
		failure.hint = FORBIDDEN_HINT;
	}
	iu_scan_fail(scan, name, &failure);
	return false;
}

void
iu_directus_access_unclear(IuScan *scan, const char *name, int status)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR};

	failure.reason = "it could not be found out whether the token sees all of it";
	failure.hint = "Try again, or accept what the token sees by option \"partial\" 'count' of the table or the server.";
	failure.detail = status ? psprintf("GET /permissions/me: HTTP %d.", status) : "GET /permissions/me: no answer.";
	iu_scan_fail(scan, name, &failure);
}

/* ---- failures ---- */

/* {"errors":[{"message":"...","extensions":{"code":"..."}}]} */
static const char *
error_text(const IuJson *document)
{
	return iu_json_text(iu_json_member(iu_json_element(iu_json_member(document, "errors"), 0), "message"));
}

static void
refine_forbidden(IuFailure *failure, const IuFetch *fetch, const char *words)
{
	if (fetch->key == NULL)
	{
		failure->reason = "the token may not list collections";
		failure->hint = "Restrict column \"collection\" with =, IN or = ANY, or give the user mapping a token that may read directus_collections.";
	}
	else if (words != NULL && strstr(words, "access field \""))
	{
		failure->reason = "a field is forbidden, or there is none of this name";
		failure->hint = "Check the names of fields in column options and filters, and that the token may read them. If it is \"id\": table option \"id_field\" names a primary key that is called otherwise.";
	}
	else
	{
		failure->reason = FORBIDDEN;
		failure->hint = FORBIDDEN_HINT;
	}
}

static void
refine_failure(IuFailure *failure, const IuFetch *fetch, int status, const IuJson *document)
{
	if (status == 403)
		refine_forbidden(failure, fetch, document ? error_text(document) : NULL);
	else if (status == 500)
		failure->hint = "Directus fails like this when its database is down, when a table was dropped under it, and when a value in a filter does not fit its field; its log tells.";
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
		.columns = collections_columns,
		.column_count = IU_COLLECTIONS_COLUMNS,
		.role_columns = {IU_COLLECTIONS_COLLECTION, -1, -1},
		.import_columns = "collection text, items bigint, access text, error text",
		.describe = iu_directus_collections_describe,
		.start = iu_directus_collections_start,
		.answered = iu_directus_collections_answered,
		.refused = iu_directus_collections_refused,
	},
	{
		.name = "items",
		.columns = items_columns,
		.column_count = IU_ITEMS_COLUMNS,
		.role_columns = {IU_ITEMS_COLLECTION, IU_ITEMS_ID, IU_ITEMS_FILTER},
		.has_fields = true,
		.can_count = true,
		.import_columns = "collection text, id text, item jsonb, filter jsonb",
		.describe = iu_directus_items_describe,
		.start = iu_directus_items_start,
		.answered = iu_directus_items_answered,
		.refused = iu_directus_items_refused,
	},
};

const IuRemote iu_directus = {
	.name = "Directus",
	.secret_option = "token",
	.secret_header = "Authorization: Bearer %s",
	.options = options,
	.resources = resources,
	.resource_count = lengthof(resources),
	.error_text = error_text,
	.refine_failure = refine_failure,
	.import_data = iu_directus_import
};
