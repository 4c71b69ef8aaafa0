/*-------------------------------------------------------------------------
 *
 * query.c
 *	  The requests to Directus for items and counts.
 *
 * A request line and headers of more than 16 KB are refused with an empty 431.
 * So a long query goes as SEARCH, whose body holds it as JSON. Limit and order
 * are always given: without a limit Directus cuts the list and does not say so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/access.h"
#include "fdw/directus/names.h"
#include "fdw/directus/query.h"
#include "fdw/resource.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"

#define MAX_ADDRESS 8000		/* bytes; a longer query goes as SEARCH */

/* Directus reads a number as a double, which holds so many digits. */
#define EXACT_DIGITS 15

/* Appends a parameter to an address; both must be percent-encoded already. */
static void
append_parameter(StringInfo path, const char *name, const char *value)
{
	appendStringInfo(path, "%c%s=%s", strchr(path->data, '?') ? '&' : '?', name, value);
}

/* The address of a GET, the query in it. */
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

/* The body of a SEARCH, the query in it. */
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

/*
 * Sends a query: by GET while the address is short enough, else by SEARCH.
 *
 * purpose, state: as in IuFetch.
 */
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
 * Appends the number that the JSON at c begins with, and returns what follows
 * it. A number that a double does not hold becomes a string: Directus would
 * read it as another number, and find other items.
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

/* Appends the string that the JSON at c begins with, and returns what follows it. */
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

/*
 * A filter as it is sent, palloc'd; NULL if the value can be none, and then
 * *problem says why. (Directus takes an array or a null as if there were no
 * filter.)
 *
 * jsonb: the text of a jsonb value.
 */
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

/* One filter of two, palloc'd. Either may be NULL, for none. */
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
 * Asks for the count of a collection; iu_directus_count_of reads the answer.
 *
 * filter: NULL for none; state: as in IuFetch.
 *
 * With a filter, aggregate[count]=* counts an item once for each related item
 * that passes (seen on 11.17.4: 150 for 1), and so it may without a filter where
 * a permission has a rule; filter_count counts items.
 */
void
iu_directus_ask_count(IuScan *scan, const char *name, const char *filter, void *state)
{
	bool		aggregate = filter == NULL && !iu_directus_accepts_part(iu_scan_query(scan));
	IuDirectusQuery query = {name, aggregate ? -1 : 0};

	query.aggregate = aggregate;
	query.filter_count = !aggregate;
	query.filter = filter;
	iu_directus_fetch(scan, &query, IU_DIRECTUS_COUNT, state);
}

/*
 * Reads a count. NULL on success, otherwise what is wrong with the answer. (A
 * collection that is a singleton answers with an object instead of a list.)
 */
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
