/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Names of Directus's collections: their addresses and their list.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/names.h"
#include "fdw/resource.h"

#define SYSTEM_PREFIX "directus_"

/*
 * System collections are not below /items; these endpoints take an aggregate
 * (tried on 11.17.4; /permissions answers 200 without a count).
 */
static const char *const system_collections[] = {
	"access", "activity", "comments", "dashboards", "deployments", "files", "flows", "folders",
	"notifications", "operations", "panels", "policies", "presets", "revisions", "roles",
	"settings", "shares", "translations", "users", "versions"
};

/* Whether the name is that of one of Directus's own collections. */
bool
iu_directus_is_system(const char *name)
{
	return strncmp(name, SYSTEM_PREFIX, strlen(SYSTEM_PREFIX)) == 0;
}

/* Whether a system collection has an address to count it at. */
static bool
has_endpoint(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(system_collections); i++)
		if (strcmp(name + strlen(SYSTEM_PREFIX), system_collections[i]) == 0)
			return true;
	return false;
}

/* Why there can be no collection of this name whose items are counted; NULL if there can be. */
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
	if (iu_directus_is_system(name) && !has_endpoint(name))
		return "Directus does not count this system collection";
	return NULL;
}

/* The address of a collection's items: "/items/name", or the endpoint of a system collection. */
char *
iu_directus_path(const char *name)
{
	if (iu_directus_is_system(name))
		return psprintf("/%s", name + strlen(SYSTEM_PREFIX));
	return psprintf("/items/%s", iu_encode_segment(name));
}

/* Asks for the list of collections. state: as in IuFetch. */
void
iu_directus_ask_list(IuScan *scan, void *state)
{
	IuFetch		list = {"GET", "/collections", NULL, NULL, IU_DIRECTUS_LIST, state};

	iu_scan_fetch(scan, &list);
}

/*
 * Calls a function for each collection in the answer to GET /collections that
 * has items. (Folders are listed too, with a schema of null: they have none.)
 * False if the answer holds no list of collections.
 *
 * state: for the function.
 */
bool
iu_directus_read_list(const IuJson *document, void (*each) (void *state, const char *name), void *state)
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

		if (!iu_directus_is_system(name) && !iu_json_is_null(iu_json_member(entry, "schema")))
			each(state, name);
	}
	return count >= 0;
}

/*
 * Fails: an answer of status 200 is not what was asked for.
 *
 * key: as for iu_scan_fail; problem: as the reason in IuFailure.
 */
void
iu_directus_bad_answer(IuScan *scan, const char *key, const char *problem)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, "iu_remote_answer", problem, "HTTP 200.", NULL};

	iu_scan_fail(scan, key, &failure);
}
