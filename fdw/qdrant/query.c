/*-------------------------------------------------------------------------
 *
 * query.c
 *	  The requests to Qdrant for points: their ids and their bodies.
 *
 * What Qdrant's filters mean is not what SQL means: a match is true of an
 * array with one such element, its negation of a key that is missing, and a
 * range compares as double precision. So no condition of a query becomes a
 * filter, except the column "filter", where the user says it in Qdrant's own
 * words.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/qdrant/names.h"
#include "fdw/qdrant/query.h"
#include "utils/json.h"

/* ---- ids ---- */

/* Whether text is a number from 0 to 2^64-1, without a zero in front of other digits. */
static bool
is_numeric_id(const char *text)
{
	size_t		length = strspn(text, "0123456789");

	if (length == 0 || text[length] != '\0' || (text[0] == '0' && length > 1))
		return false;
	return length < 20 || (length == 20 && strcmp(text, "18446744073709551615") <= 0);
}

/*
 * An id as JSON; NULL if no point can have it. Palloc'd.
 *
 * text: as column "id" shows it.
 */
char *
iu_qdrant_id_as_json(const char *text)
{
	if (is_numeric_id(text))
		return pstrdup(text);
	return iu_is_uuid(text, false) ? psprintf("\"%s\"", text) : NULL;
}

/* An id of an answer as column "id" shows it; NULL if it is none. */
const char *
iu_qdrant_id_as_text(const IuJson *value)
{
	char	   *text = iu_json_scalar(value);

	if (text == NULL)
		return NULL;
	return (iu_json_text(value) ? iu_is_uuid(text, false) : is_numeric_id(text)) ? text : NULL;
}

/* An id as column "id" shows it, of the id as JSON. Palloc'd. */
char *
iu_qdrant_id_of_json(const char *json)
{
	return json[0] == '"' ? pnstrdup(json + 1, strlen(json) - 2) : pstrdup(json);
}

/*
 * Whether an id comes after another one in Qdrant's order: first numbers, then
 * UUIDs. Both as JSON.
 */
bool
iu_qdrant_id_follows(const char *id, const char *other)
{
	bool		is_text = id[0] == '"';

	if (is_text != (other[0] == '"'))
		return is_text;
	if (strlen(id) != strlen(other))
		return strlen(id) > strlen(other);
	return strcmp(id, other) > 0;
}

/* ---- what is wanted of a point ---- */

/* Appends a key of the payload as a path that Qdrant reads; false if there is none for this key. */
static bool
append_payload_key(StringInfo json, const char *key)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (strpbrk(key, "\"\\") != NULL)
		return false;
	if (key[0] != '\0' && strspn(key, plain) == strlen(key))
		appendStringInfo(json, "\"%s\"", key);
	else
		escape_json(json, psprintf("\"%s\"", key));
	return true;
}

/*
 * The value of "with_payload": the whole payload, some keys of it, or nothing.
 *
 * whole: the query looks at column "payload"; fields: the keys that its typed
 * columns show, C strings.
 */
char *
iu_qdrant_with_payload(bool whole, List *fields)
{
	StringInfoData json;
	ListCell   *cell;

	if (whole)
		return "true";
	if (fields == NIL)
		return "false";
	initStringInfo(&json);
	foreach(cell, fields)
	{
		appendStringInfoString(&json, json.len ? "," : "[");
		if (!append_payload_key(&json, lfirst(cell)))
			return "true";
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

static const char *
record_options(const char *payload, bool vector)
{
	return psprintf("\"with_payload\":%s,\"with_vector\":%s", payload, vector ? "true" : "false");
}

/* ---- requests ---- */

/*
 * A request as EXPLAIN shows it, after the collection's address: in {braces}
 * stands what is known at execution only.
 *
 * with_payload, with_vector: the query looks at these columns.
 */
char *
iu_qdrant_template(const IuQuery *query, bool with_payload, bool with_vector)
{
	const char *consistency = iu_qdrant_consistency(query);
	const char *options = record_options(iu_qdrant_with_payload(with_payload, query->fields), with_vector);
	const char *filter = "";

	if (query->restricted[IU_KEY_FILTER])
		filter = ",\"filter\":{filter}";
	if (query->counts)
		return psprintf("/points/count%s {\"exact\":true%s}", consistency, filter);
	if (query->restricted[IU_KEY_ID] && filter[0] == '\0')
		return psprintf("/points%s {\"ids\":{ids},%s}", consistency, options);
	if (query->restricted[IU_KEY_ID])
		filter = ",\"filter\":{\"must\":[{filter},{\"has_id\":{ids}}]}";
	return psprintf("/points/scroll%s {\"limit\":%d,%s%s}", consistency, query->page_size, options, filter);
}

static void
append_ids(StringInfo json, const IuQdrantQuestion *question, const IuQdrantSlice *slice)
{
	int			i;

	for (i = 0; i < slice->count; i++)
		appendStringInfo(json, "%s%s", i ? "," : "[", question->ids[slice->first + i]);
	appendStringInfoChar(json, ']');
}

/* The body of a request that counts points. */
char *
iu_qdrant_count_body(const IuQdrantQuestion *question)
{
	if (question->filter == NULL)
		return "{\"exact\":true}";
	return psprintf("{\"exact\":true,\"filter\":%s}", question->filter);
}

/* The body of a request for points by their ids, which takes no filter. */
char *
iu_qdrant_fetch_body(const IuQdrantQuestion *question, const IuQdrantSlice *slice)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"ids\":");
	append_ids(&json, question, slice);
	appendStringInfo(&json, ",%s}", record_options(question->with_payload, question->with_vector));
	return json.data;
}

/*
 * The body of a request for a page of points.
 *
 * slice: the ids, which need a filter beside them, NULL for none; offset: the
 * first id of the page as JSON, NULL for the first page; limit: how many points
 * at most.
 */
char *
iu_qdrant_scroll_body(const IuQdrantQuestion *question, const IuQdrantSlice *slice, const char *offset, int limit)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"limit\":%d,%s", limit,
					 record_options(question->with_payload, question->with_vector));
	if (offset != NULL)
		appendStringInfo(&json, ",\"offset\":%s", offset);
	if (slice != NULL)
	{
		appendStringInfo(&json, ",\"filter\":{\"must\":[%s,{\"has_id\":", question->filter);
		append_ids(&json, question, slice);
		appendStringInfoString(&json, "}]}");
	}
	else if (question->filter != NULL)
		appendStringInfo(&json, ",\"filter\":%s", question->filter);
	appendStringInfoChar(&json, '}');
	return json.data;
}
