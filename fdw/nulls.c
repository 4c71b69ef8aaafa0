/*-------------------------------------------------------------------------
 *
 * nulls.c
 *	  The null character (\u0000), which JSON may hold and no type of
 *	  PostgreSQL can; and with it halves of surrogate pairs (\ud800), which are
 *	  no characters.
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

#define ESCAPE_LENGTH 6			/* of \u0000 */
#define HIGH_SURROGATES 0xD800
#define LOW_SURROGATES 0xDC00
#define SHOWN "\\u0000"
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

/* The character that an escape as \u0041 stands for; -1 where there is none. */
static int
character_of(const char *c, const char *end)
{
	int			value = 0;
	int			i;

	if (end - c < ESCAPE_LENGTH || c[0] != '\\' || c[1] != 'u')
		return -1;
	for (i = 2; i < ESCAPE_LENGTH; i++)
	{
		if (!isxdigit((unsigned char) c[i]))
			return -1;
		value = value * 16 + (isdigit((unsigned char) c[i]) ? c[i] - '0' : (c[i] | 0x20) - 'a' + 10);
	}
	return value;
}

static bool
is_surrogate(int character, int first)
{
	return character >= first && character < first + 0x400;
}

/*
 * How long the escape is that the JSON has here, at a backslash. *unholdable:
 * whether it stands for what PostgreSQL cannot hold: the null character, or one
 * half of a surrogate pair without the other, which is no character.
 */
static int
read_escape(const char *c, const char *end, bool *unholdable)
{
	int			character = character_of(c, end);

	*unholdable = character == 0;
	if (is_surrogate(character, HIGH_SURROGATES) &&
		is_surrogate(character_of(c + ESCAPE_LENGTH, end), LOW_SURROGATES))
		return 2 * ESCAPE_LENGTH;
	if (is_surrogate(character, HIGH_SURROGATES) || is_surrogate(character, LOW_SURROGATES))
		*unholdable = true;
	return character >= 0 ? ESCAPE_LENGTH : Min(2, end - c);
}

/*
 * Appends JSON, and instead of each escape that cannot be held the text. Returns
 * how many there were. (A backslash stands in strings only.) to: NULL to count
 * only.
 */
static int
substitute(const StringInfoData *json, const char *instead, StringInfo to)
{
	const char *c = json->data;
	const char *end = c + json->len;
	int			found = 0;

	while (c < end)
	{
		const char *backslash = memchr(c, '\\', end - c);
		bool		unholdable = false;
		int			length = backslash ? read_escape(backslash, end, &unholdable) : 0;
		const char *stop = backslash ? backslash + (unholdable ? 0 : length) : end;

		if (to != NULL)
			appendBinaryStringInfo(to, c, stop - c);
		if (unholdable && to != NULL)
			appendStringInfoString(to, instead);
		found += unholdable;
		c = unholdable ? backslash + length : stop;
	}
	return found;
}

/* Whether JSON holds such characters. Most has no escape at all, and is only looked through. */
bool
iu_nulls_are_in(const StringInfoData *json)
{
	return memchr(json->data, '\\', json->len) != NULL && substitute(json, "", NULL) > 0;
}

/* The JSON with something else instead of its null characters; palloc'd. */
StringInfo
iu_nulls_substitute(const StringInfoData *json, IuNulls nulls)
{
	StringInfo	result = makeStringInfo();
	const char *instead = "";

	if (nulls == IU_NULLS_ERROR)
		instead = MARK;
	else if (nulls == IU_NULLS_REPLACE)
		instead = GetDatabaseEncoding() == PG_UTF8 ? "\\ufffd" : "?";
	(void) substitute(json, instead, result);
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
		appendStringInfoString(&shown, SHOWN);
		text = mark + strlen(MARK);
	}
	appendStringInfoString(&shown, text);
	return shown.data;
}
