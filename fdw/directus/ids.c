/*-------------------------------------------------------------------------
 *
 * ids.c
 *	  Ids of Directus's items: how they are asked for, and which of them a
 *	  collection's key cannot hold.
 *
 * In SQL, ids that the key's type cannot hold match nothing. Directus answers
 * such a request by 400 or 500, and does not tell a reader what the key's type
 * is. So one key is looked at, and the ids that do not look like it are asked
 * for in requests of their own, where a refusal means that there is no such
 * item.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/ids.h"
#include "fdw/directus/names.h"
#include "fdw/directus/query.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"

/* ---- in a filter ---- */

/*
 * Directus reads some strings in a filter as something else than a value. For
 * such an id: a part of it, which is to be looked for instead, and the database
 * picks the items that have the id itself. NULL for any other id.
 */
static const char *
part_of_awkward_id(const char *id)
{
	if (strcmp(id, "null") == 0 || strcmp(id, "NULL") == 0)
		return id + 1;
	if (strncmp(id, "$NOW", strlen("$NOW")) == 0)
		return "NOW";
	if (strncmp(id, "$CURRENT_", strlen("$CURRENT_")) == 0)
		return "CURRENT";
	return NULL;
}

/* Appends {"field":{"operator": and what separates it from one before; a value and two braces must follow. */
static void
append_comparison(StringInfo filter, const char *field, const char *operator)
{
	appendStringInfoString(filter, filter->data[filter->len - 1] == '[' ? "{" : ",{");
	escape_json(filter, field);
	appendStringInfo(filter, ":{\"%s\":", operator);
}

/*
 * The filter that finds the items with these ids, as JSON. Palloc'd.
 *
 * id_field: the key; *exact: whether it finds no others.
 */
char *
iu_directus_filter_of_ids(const char *id_field, char **ids, int count, bool *exact)
{
	StringInfoData filter;
	bool		first = true;
	int			i;

	*exact = true;
	initStringInfo(&filter);
	appendStringInfoString(&filter, "{\"_or\":[");
	for (i = 0; i < count; i++)
	{
		if (part_of_awkward_id(ids[i]))
			continue;
		if (first)
			append_comparison(&filter, id_field, "_in");
		appendStringInfoString(&filter, first ? "[" : ",");
		escape_json(&filter, ids[i]);
		first = false;
	}
	if (!first)
		appendStringInfoString(&filter, "]}}");
	for (i = 0; i < count; i++)
	{
		const char *part = part_of_awkward_id(ids[i]);

		if (part == NULL)
			continue;
		*exact = false;
		append_comparison(&filter, id_field, "_contains");
		escape_json(&filter, part);
		appendStringInfoString(&filter, "}}");
	}
	appendStringInfoString(&filter, "]}");
	return filter.data;
}

/* ---- what they look like ---- */

/*
 * Asks for the key of one item, to learn what keys look like.
 *
 * filter: that the item must pass, as JSON, NULL for none; state: as in IuFetch.
 */
void
iu_directus_ask_probe(IuScan *scan, const char *collection, const char *id_field, const char *filter, void *state)
{
	IuDirectusQuery query = {collection, 1};

	query.sort = id_field;
	query.fields = list_make1(unconstify(char *, id_field));
	query.filter = filter;
	iu_directus_fetch(scan, &query, IU_DIRECTUS_PROBE, state);
}

/* Whether text is a whole number from -most - 1 to most, as PostgreSQL prints it. */
static bool
is_integer(const char *text, int64 most)
{
	char	   *end;
	int64		number;

	errno = 0;
	number = strtoi64(text, &end, 10);
	return errno == 0 && *end == '\0' && end != text && number <= most && number >= -most - 1 &&
		strcmp(psprintf(INT64_FORMAT, number), text) == 0;
}

/*
 * Whether a column that holds this key could hold that id.
 *
 * is_string: the key is a string, and so may be one that only looks like a
 * number, or a number that is larger than JSON's.
 */
static bool
is_like(const char *id, const char *key, bool is_string)
{
	if (is_integer(key, PG_INT64_MAX))
		return is_integer(id, is_string ? PG_INT64_MAX : PG_INT32_MAX);
	if (iu_is_uuid(key, true))
		return iu_is_uuid(id, true);
	return true;
}

/*
 * Sorts ids into those that look like this key, which come first, and those that
 * do not. Returns how many of the first there are.
 *
 * key: a scalar.
 */
int
iu_directus_part_ids(char **ids, int count, const IuJson *key)
{
	const char *text = iu_json_scalar(key);
	bool		is_string = iu_json_text(key) != NULL;
	char	  **unlike = palloc(sizeof(char *) * Max(count, 1));
	int			like = 0;
	int			i;

	for (i = 0; i < count; i++)
		if (is_like(ids[i], text, is_string))
			ids[like++] = ids[i];
		else
			unlike[i - like] = ids[i];
	memcpy(ids + like, unlike, sizeof(char *) * (count - like));
	return like;
}
