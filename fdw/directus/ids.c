/*-------------------------------------------------------------------------
 *
 * ids.c
 *	  Ids of items: how they are asked for, and which of them a collection's
 *	  key can be.
 *
 * Ids that the key's type cannot hold are no error in SQL, but make Directus
 * answer 400 or 500. It does not tell a reader the type, so one key is looked
 * at, and what is not like it is asked for apart; there, a refusal means that
 * there is no such item.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/directus.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"

/* ---- in a filter ---- */

/*
 * Directus takes some strings in a filter for something else. What a value of
 * this kind is sure to hold is looked for instead; the database checks again.
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

/* {"field":{"operator":value}}, the value still to come and two braces to follow */
static void
append_comparison(StringInfo filter, const char *field, const char *operator)
{
	appendStringInfoString(filter, filter->data[filter->len - 1] == '[' ? "{" : ",{");
	escape_json(filter, field);
	appendStringInfo(filter, ":{\"%s\":", operator);
}

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

/* ---- their looks ---- */

void
iu_directus_ask_probe(IuScan *scan, const char *collection, const char *id_field, const char *filter, void *state)
{
	IuDirectusQuery query = {collection, 1};

	query.sort = id_field;
	query.fields = list_make1(unconstify(char *, id_field));
	query.filter = filter;
	iu_directus_fetch(scan, &query, IU_DIRECTUS_PROBE, state);
}

/* A whole number as PostgreSQL would print it. */
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

/* Whether a column that holds this key could hold that id. A string is no sure sign. */
static bool
is_like(const char *id, const char *key, bool is_string)
{
	if (is_integer(key, PG_INT64_MAX))
		return is_integer(id, is_string ? PG_INT64_MAX : PG_INT32_MAX);
	if (iu_is_uuid(key, true))
		return iu_is_uuid(id, true);
	return true;
}

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
