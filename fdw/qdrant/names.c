/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Names of Qdrant's collections: their addresses and their list.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/qdrant/names.h"
#include "fdw/resource.h"
#include "fdw/table.h"

/* Why there can be no collection of this name in a path; NULL if there can be. */
static const char *
collection_problem(const char *name)
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

/*
 * The address "/collections/<name>" and the rest behind it. NULL if there can be
 * no collection of this name, and then *problem says why.
 */
char *
iu_qdrant_path(const char *name, const char *rest, const char **problem)
{
	*problem = collection_problem(name);
	if (*problem != NULL)
		return NULL;
	return psprintf("/collections/%s%s", iu_encode_segment(name), rest);
}

/* What option "consistency" adds to an address: "?consistency=...", or "". */
const char *
iu_qdrant_consistency(const IuQuery *query)
{
	const char *value = iu_query_option(query, "consistency");

	return value ? psprintf("?consistency=%s", value) : "";
}

/*
 * Whether a count is of the rows that are given. Where several replicas are asked
 * and differ, Qdrant takes one of their counts, and makes up its mind about the
 * rows in another way.
 */
bool
iu_qdrant_counts_rows(const IuQuery *query)
{
	const char *value = iu_query_option(query, "consistency");

	return value == NULL || strcmp(value, "1") == 0;
}

/*
 * What is added to the address of a request that is sent now: the option
 * "consistency", and the seconds that Qdrant may take for it. Without them Qdrant
 * takes 60, however long we would wait.
 */
const char *
iu_qdrant_parameters(IuScan *scan)
{
	const char *consistency = iu_qdrant_consistency(iu_scan_query(scan));

	return psprintf("%s%ctimeout=%d", consistency, consistency[0] ? '&' : '?', iu_scan_seconds(scan));
}

/*
 * The limit that Qdrant's words of refusal name: of "1000 > 100" after these
 * words it is 100. 0 if they name none. (Of a number, nine digits: more may be no
 * int.)
 */
int
iu_qdrant_limit_after(const char *text, const char *words)
{
	const char *found = strstr(text, words);
	int			asked;
	int			most;

	if (found == NULL || sscanf(found + strlen(words), "%9d > %9d", &asked, &most) != 2 || most < 1)
		return 0;
	return most;
}

/*
 * Whether a request was refused because it allows Qdrant more seconds than the
 * collection's strict mode does; then fewer are allowed from here on.
 *
 * text: Qdrant's words; NULL for none.
 */
bool
iu_qdrant_fewer_seconds(IuScan *scan, int status, const char *text)
{
	return status == 400 && text != NULL && strstr(text, "for \"timeout\"") != NULL &&
		iu_scan_limit_seconds(scan, iu_qdrant_limit_after(text, "Limit exceeded "));
}

/*
 * Whether a collection that comes from the list of all, and not from the text of
 * the query, is gone since it was listed: then it has no rows.
 *
 * text: Qdrant's words; NULL for none.
 */
bool
iu_qdrant_is_gone(IuScan *scan, int status, const char *text)
{
	return status == 404 && text != NULL &&
		(!iu_scan_restricts(scan, IU_KEY_COLLECTION) || iu_scan_query(scan)->listed);
}

/*
 * The names in the answer to GET /collections; NULL if the answer holds no list
 * of collections. *count: how many there are.
 */
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

/*
 * Fails: an answer is JSON, but not what was asked for.
 *
 * key: as for iu_scan_fail; reason: as in IuFailure.
 */
void
iu_qdrant_unusable(IuScan *scan, const char *key, const char *reason)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, "iu_remote_answer", reason, "HTTP 200.", NULL};

	iu_scan_fail(scan, key, &failure);
}

/* Fails: there can be no collection of this name. problem: from iu_qdrant_path. */
void
iu_qdrant_unaddressable(IuScan *scan, const char *key, const char *problem)
{
	IuFailure	failure = {ERRCODE_INVALID_NAME, "iu_remote_collection_name", problem, NULL, NULL};

	iu_scan_fail(scan, key, &failure);
}
