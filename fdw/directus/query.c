/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Requests to Directus for items and counts.
 *
 * A request line and headers over 16 KB are refused with an empty 431, so that
 * a long one goes as SEARCH, whose body holds the same query as JSON. Limit
 * and order are always given: without a limit Directus cuts silently.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/directus.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"

#define MAX_ADDRESS 8000

/* A double, which is what Directus reads a number into, holds this many digits. */
#define EXACT_DIGITS 15

static void
append_parameter(StringInfo path, const char *name, const char *value)
{
	appendStringInfo(path, "%c%s=%s", strchr(path->data, '?') ? '&' : '?', name, value);
}

/* Brackets and star percent-encoded, as a URL asks for; Directus decodes them. */
static char *
address_of(const IuDirectusQuery *query)
{
	StringInfoData path;
	ListCell   *cell;

	initStringInfo(&path);
	appendStringInfoString(&path, iu_directus_path(query->collection));
	if (query->aggregate)
		append_parameter(&path, "aggregate%5Bcount%5D", "%2A");
	if (query->limit >= 0)
		append_parameter(&path, "limit", psprintf("%d", query->limit));
	if (query->offset > 0)
		append_parameter(&path, "offset", psprintf(INT64_FORMAT, query->offset));
	if (query->sort)
		append_parameter(&path, "sort%5B%5D", iu_encode_segment(query->sort));
	foreach(cell, query->fields)
		append_parameter(&path, "fields%5B%5D", iu_encode_segment(lfirst(cell)));
	if (query->filter_count)
		append_parameter(&path, "meta", "filter_count");
	if (query->filter)
		append_parameter(&path, "filter", iu_encode_segment(query->filter));
	return path.data;
}

static char *
body_of(const IuDirectusQuery *query)
{
	StringInfoData body;
	ListCell   *cell;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"query\":{");
	if (query->aggregate)
		appendStringInfoString(&body, "\"aggregate\":{\"count\":[\"*\"]},");
	if (query->limit >= 0)
		appendStringInfo(&body, "\"limit\":%d,", query->limit);
	if (query->offset > 0)
		appendStringInfo(&body, "\"offset\":" INT64_FORMAT ",", query->offset);
	if (query->sort)
	{
		appendStringInfoString(&body, "\"sort\":[");
		escape_json(&body, query->sort);
		appendStringInfoString(&body, "],");
	}
	if (query->fields)
		appendStringInfoString(&body, "\"fields\":[");
	foreach(cell, query->fields)
	{
		escape_json(&body, lfirst(cell));
		appendStringInfoString(&body, lnext(query->fields, cell) ? "," : "],");
	}
	if (query->filter_count)
		appendStringInfoString(&body, "\"meta\":[\"filter_count\"],");
	appendStringInfo(&body, "\"filter\":%s}}", query->filter ? query->filter : "{}");
	return body.data;
}

void
iu_directus_fetch(IuScan *scan, const IuDirectusQuery *query, int purpose, void *state)
{
	IuFetch		fetch = {"GET", address_of(query), NULL, query->collection, purpose, state};

	if (strlen(fetch.path) > MAX_ADDRESS)
	{
		fetch.method = "SEARCH";
		fetch.path = iu_directus_path(query->collection);
		fetch.body = body_of(query);
	}
	iu_scan_fetch(scan, &fetch);
}

/*
 * A number that a double does not hold goes as a string: Directus would read
 * another number from it, and find other items.
 */
static const char *
append_number(StringInfo filter, const char *c)
{
	const char *end = c + strspn(c, "+-.0123456789eE");
	int			digits = 0;
	const char *d;

	for (d = c; d < end; d++)
		digits += isdigit((unsigned char) *d) ? 1 : 0;
	appendStringInfoString(filter, digits > EXACT_DIGITS ? "\"" : "");
	appendBinaryStringInfo(filter, c, end - c);
	appendStringInfoString(filter, digits > EXACT_DIGITS ? "\"" : "");
	return end;
}

static const char *
append_string(StringInfo filter, const char *c)
{
	const char *start = c++;

	while (*c != '"' && *c != '\0')
		c += *c == '\\' && c[1] != '\0' ? 2 : 1;
	if (*c == '"')
		c++;
	appendBinaryStringInfo(filter, start, c - start);
	return c;
}

/* Directus takes an array or a null for no filter at all. */
char *
iu_directus_filter(const char *jsonb, const char **problem)
{
	StringInfoData filter;
	const char *c = jsonb;

	if (jsonb[0] != '{')
	{
		*problem = "a filter is a JSON object";
		return NULL;
	}
	initStringInfo(&filter);
	while (*c != '\0')
	{
		if (*c == '"')
			c = append_string(&filter, c);
		else if (isdigit((unsigned char) *c) || *c == '-')
			c = append_number(&filter, c);
		else
			appendStringInfoChar(&filter, *c++);
	}
	return filter.data;
}

char *
iu_directus_filter_both(const char *one, const char *other)
{
	if (one == NULL)
		return other ? pstrdup(other) : NULL;
	if (other == NULL)
		return pstrdup(one);
	return psprintf("{\"_and\":[%s,%s]}", one, other);
}

/*
 * With a filter, aggregate[count]=* counts an item once for each related item
 * that passes (seen on 11.17.4: 150 for 1), and so may a permission's rule do
 * without a filter; filter_count counts items.
 */
void
iu_directus_ask_count(IuScan *scan, const char *name, const char *filter, void *state)
{
	bool		aggregate = filter == NULL && !iu_directus_takes_part(iu_scan_query(scan));
	IuDirectusQuery query = {name, aggregate ? -1 : 0};

	query.aggregate = aggregate;
	query.filter_count = !aggregate;
	query.filter = filter;
	iu_directus_fetch(scan, &query, IU_DIRECTUS_COUNT, state);
}

/* A collection that is a singleton answers with an object instead of a list. */
const char *
iu_directus_count_of(const IuJson *document, int64 *count)
{
	const IuJson *meta = iu_json_member(document, "meta");
	const IuJson *data = iu_json_member(document, "data");

	if (meta != NULL)
		return iu_json_count(iu_json_member(meta, "filter_count"), count);
	if (iu_json_is_object(data))
		return iu_json_count(iu_json_member(data, "count"), count);
	if (iu_json_length(data) == 1)
		return iu_json_count(iu_json_member(iu_json_element(data, 0), "count"), count);
	return "the answer holds no count";
}
