/*-------------------------------------------------------------------------
 *
 * access.c
 *	  How much of a collection of Directus the token sees.
 *
 * Directus leaves what a token may not see out of every answer, counts and
 * totals included, and says nothing of it. Only GET /permissions/me tells
 * (11.17.4: every user may ask it, about itself; it takes 2 ms): "full" where
 * no rule narrows the items, "partial" where any of the policies has a rule,
 * even if another one has none. Fields that a policy leaves out are named
 * beside a "full"; they change no count. Without a token it answers 403, so
 * that nobody can tell how much of a collection the public role sees.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/access.h"
#include "fdw/directus/names.h"
#include "fdw/resource.h"
#include "fdw/table.h"

/*
 * What the answer says of Directus's licence, where that, and no permission,
 * forbids what was asked; NULL where it says nothing of it.
 */
const IuDirectusLicence *
iu_directus_licence(const IuJson *document)
{
	static const IuDirectusLicence licences[] = {
		{"RESOURCE_RESTRICTED", "Directus's licence does not allow it",
			"Without a licence Directus 12 regards no permission with a rule or for some fields: let the token's "
		"policy read all fields without a rule, or give Directus a licence. Permissions and secret may be right."},
		{"LIMIT_EXCEEDED", "a limit of Directus's licence is exceeded",
			"Directus 12 counts people, registered collections and flows, and beyond its licence refuses everything: "
		"remove some, or give it a licence. Permissions and secret may be right."},
		{"COLLECTION_INACTIVE", "the collection is inactive in Directus",
			"Directus 12 makes collections inactive that are more than its licence allows: make this one active again, "
		"another one inactive if need be, or give it a licence. Permissions and secret may be right."}
	};
	const IuJson *error = iu_json_element(iu_json_member(document, "errors"), 0);
	const char *code = iu_json_text(iu_json_member(iu_json_member(error, "extensions"), "code"));
	int			i;

	for (i = 0; code != NULL && i < lengthof(licences); i++)
		if (strcmp(code, licences[i].code) == 0)
			return &licences[i];
	return NULL;
}

/* The word that column "access" shows; NULL: unknown. */
const char *
iu_directus_access_word(IuDirectusAccess access)
{
	static const char *const words[] = {NULL, "none", "partial", "fields", "full"};

	return words[access];
}

/*
 * Reads the access to a collection from the answer to GET /permissions/me. False
 * if the answer is no such thing. A collection that it does not name is one of
 * which the token sees nothing.
 */
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

/* Whether option "partial" accepts a count of what the token sees, where that is only a part. */
bool
iu_directus_accepts_part(const IuQuery *query)
{
	const char *partial = iu_query_option(query, "partial");

	return partial != NULL && strcmp(partial, "count") == 0;
}

/* Asks how much the token sees. key, state: as in IuFetch. */
void
iu_directus_ask_access(IuScan *scan, const char *key, void *state)
{
	IuFetch		fetch = {"GET", "/permissions/me", NULL, key, IU_DIRECTUS_ACCESS, state};

	iu_scan_fetch(scan, &fetch);
}

/*
 * Fails where the token does not see all items of a collection, as far as the
 * remote says it. True if it does not fail.
 */
bool
iu_directus_sees_all(IuScan *scan, const char *name, IuDirectusAccess access)
{
	IuFailure	failure = {ERRCODE_INSUFFICIENT_PRIVILEGE, "iu_remote_partial"};

	failure.reason = "the token may see only a part of it";
	failure.detail = "A rule in the permissions of its policies narrows what it reads, and what it counts.";
	failure.hint = "Use a token whose policies read the collection without a rule, "
		"or accept what it sees by option \"partial\" 'count' of the table or the server.";
	if (access != IU_ACCESS_NONE && access != IU_ACCESS_PARTIAL)
		return true;
	if (access == IU_ACCESS_NONE)
	{
		failure.constraint = "iu_remote_forbidden";
		failure.reason = IU_DIRECTUS_FORBIDDEN;
		failure.detail = "GET /permissions/me does not name it.";
		failure.hint = IU_DIRECTUS_FORBIDDEN_HINT;
	}
	iu_scan_fail(scan, name, &failure);
	return false;
}

/*
 * Fails because it could not be found out how much the token sees.
 *
 * status: of the answer to that question; 0: there was none.
 */
void
iu_directus_access_unclear(IuScan *scan, const char *name, int status)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, "iu_remote_access_unclear"};

	failure.reason = "it could not be found out whether the token sees all of it";
	failure.hint = "Try again, or accept what the token sees by option \"partial\" 'count' of the table or the server.";
	failure.detail = status ? psprintf("GET /permissions/me: HTTP %d.", status) : "GET /permissions/me: no answer.";
	iu_scan_fail(scan, name, &failure);
}
