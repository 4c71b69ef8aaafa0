/*-------------------------------------------------------------------------
 *
 * nulls.c
 *	  The null character (\u0000), which JSON may hold and no type of
 *	  PostgreSQL can.
 *
 * The server's parser refuses a document that has one anywhere. So it is
 * substituted before the document is parsed: where a row with it is an error, by
 * a mark, which the row is then known by.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/nulls.h"
#include "mb/pg_wchar.h"

#define NULL_CHARACTER "\\u0000"
#define MARK "<iu_core: a null character stood here>"

static const char *const words[] = {"error", "replace", "remove"};	/* as in IuNulls */

/* What is wrong with a value of option "null_character", as a sentence; NULL if nothing is. */
const char *
iu_nulls_problem(const char *value)
{
	int			i;

	for (i = 0; i < lengthof(words); i++)
		if (strcmp(value, words[i]) == 0)
			return NULL;
	return psprintf("\"%s\" is not allowed here.", value);
}

/* What the option says; value: NULL where it is not given. */
IuNulls
iu_nulls_of_option(const char *value)
{
	int			i;

	for (i = 0; value != NULL && i < lengthof(words); i++)
		if (strcmp(value, words[i]) == 0)
			return (IuNulls) i;
	return IU_NULLS_ERROR;
}

/*
 * Calls for each part of JSON: an escaped null character, or another escape, or
 * what stands between them. (A backslash stands in strings only.) Appends the
 * others, and instead of the null characters the text; returns how many there
 * were. to: NULL to count only.
 */
static int
substitute(const StringInfo json, const char *instead, StringInfo to)
{
	const char *c = json->data;
	const char *end = c + json->len;
	int			found = 0;

	while (c < end)
	{
		const char *backslash = memchr(c, '\\', end - c);
		const char *stop = backslash ? Min(backslash + 2, end) : end;
		bool		is_null = backslash != NULL && end - backslash >= strlen(NULL_CHARACTER) &&
			memcmp(backslash, NULL_CHARACTER, strlen(NULL_CHARACTER)) == 0;

		if (to != NULL)
			appendBinaryStringInfo(to, c, (is_null ? backslash : stop) - c);
		if (is_null && to != NULL)
			appendStringInfoString(to, instead);
		found += is_null;
		c = is_null ? backslash + strlen(NULL_CHARACTER) : stop;
	}
	return found;
}

/* Whether JSON holds null characters. Most has none, and is only looked through. */
bool
iu_nulls_are_in(const StringInfo json)
{
	const char *last = json->data + json->len;
	const char *c = json->data;

	/* few documents hold this much of it, in whatever sense */
	while ((c = memchr(c, '\\', last - c)) != NULL)
	{
		if (last - c >= strlen(NULL_CHARACTER) && memcmp(c, NULL_CHARACTER, strlen(NULL_CHARACTER)) == 0)
			return substitute(json, "", NULL) > 0;
		c++;
	}
	return false;
}

/* The JSON with something else instead of its null characters; palloc'd. */
StringInfo
iu_nulls_substitute(const StringInfo json, IuNulls nulls)
{
	StringInfo	result = makeStringInfo();
	const char *replacement = GetDatabaseEncoding() == PG_UTF8 ? "\\ufffd" : "?";

	(void) substitute(json, nulls == IU_NULLS_ERROR ? MARK : nulls == IU_NULLS_REPLACE ? replacement : "", result);
	return result;
}

/* Whether text holds the mark of a null character. */
bool
iu_nulls_mark_is_in(const char *text)
{
	return strstr(text, MARK) != NULL;
}

/* The text with its null characters as JSON writes them, for a message; palloc'd. */
char *
iu_nulls_show(const char *text)
{
	StringInfoData shown;
	const char *mark;

	initStringInfo(&shown);
	while ((mark = strstr(text, MARK)) != NULL)
	{
		appendBinaryStringInfo(&shown, text, mark - text);
		appendStringInfoString(&shown, NULL_CHARACTER);
		text = mark + strlen(MARK);
	}
	appendStringInfoString(&shown, text);
	return shown.data;
}
