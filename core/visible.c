/*-------------------------------------------------------------------------
 *
 * visible.c
 *	  What of a text people see, and the one rule for texts that people give:
 *	  who does it, why, what something is called.
 *
 * Such a text is written into ledgers, and read in terminals, logs, reports and
 * the application. It is refused where it could look like another one (marks of
 * direction, characters without width), break a line, show nothing at all, or
 * be longer than anybody reads. The rule rests on code points, so it is the same
 * under every locale. Where the server itself has to keep a text whatever it is
 * (a role's name, a message), what does not fit is shown as <U+202E>.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/visible.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(iu_key_problem);
PG_FUNCTION_INFO_V1(iu_text_problem);
PG_FUNCTION_INFO_V1(iu_text_shown);
PG_FUNCTION_INFO_V1(iu_text_made_fit);

/* In characters: of what is called by it, and of what says something. */
#define SHORT_TEXT 200
#define LONG_TEXT 2000
#define SHOWN_TEXT 100			/* of a text in a message */

typedef struct Range
{
	pg_wchar	first;
	pg_wchar	last;
	IuSight		sight;
} Range;

/* In order. What is not here is visible. */
static const Range ranges[] = {
	{0x0000, 0x0008, IU_MISLEADS},
	{0x0009, 0x000D, IU_BREAKS_LINE},
	{0x000E, 0x001F, IU_MISLEADS},
	{0x0020, 0x0020, IU_BLANK},
	{0x007F, 0x0084, IU_MISLEADS},
	{0x0085, 0x0085, IU_BREAKS_LINE},
	{0x0086, 0x009F, IU_MISLEADS},
	{0x00A0, 0x00A0, IU_BLANK},
	{0x00AD, 0x00AD, IU_MISLEADS},
	{0x0300, 0x034E, IU_BLANK},
	{0x034F, 0x034F, IU_MISLEADS},
	{0x0350, 0x036F, IU_BLANK},
	{0x061C, 0x061C, IU_MISLEADS},
	{0x115F, 0x1160, IU_MISLEADS},
	{0x1680, 0x1680, IU_BLANK},
	{0x17B4, 0x17B5, IU_MISLEADS},
	{0x180B, 0x180F, IU_MISLEADS},
	{0x1AB0, 0x1AFF, IU_BLANK},
	{0x1DC0, 0x1DFF, IU_BLANK},
	{0x2000, 0x200A, IU_BLANK},
	{0x200B, 0x200F, IU_MISLEADS},
	{0x2028, 0x2029, IU_BREAKS_LINE},
	{0x202A, 0x202E, IU_MISLEADS},
	{0x202F, 0x202F, IU_BLANK},
	{0x205F, 0x205F, IU_BLANK},
	{0x2060, 0x206F, IU_MISLEADS},
	{0x20D0, 0x20FF, IU_BLANK},
	{0x2800, 0x2800, IU_BLANK},
	{0x3000, 0x3000, IU_BLANK},
	{0x3164, 0x3164, IU_MISLEADS},
	{0xFDD0, 0xFDEF, IU_MISLEADS},
	{0xFE00, 0xFE0F, IU_BLANK},
	{0xFE20, 0xFE2F, IU_BLANK},
	{0xFEFF, 0xFEFF, IU_MISLEADS},
	{0xFFA0, 0xFFA0, IU_MISLEADS},
	{0xFFF0, 0xFFFB, IU_MISLEADS},
	{0xFFFE, 0xFFFF, IU_MISLEADS},
	{0x13430, 0x1343F, IU_MISLEADS},
	{0x1BCA0, 0x1BCA3, IU_MISLEADS},
	{0x1D173, 0x1D17A, IU_MISLEADS},
	{0xE0000, 0xE0FFF, IU_MISLEADS},
};

/* The character at *at, which moves behind it. What is not UTF-8 is taken byte by byte. */
pg_wchar
iu_next_character(const char **at, const char *end)
{
	const unsigned char *byte = (const unsigned char *) *at;
	int			length = pg_utf_mblen(byte);

	if (length > end - *at || !pg_utf8_islegal(byte, length))
	{
		(*at)++;
		return 0xFFFE;
	}
	*at += length;
	return utf8_to_unicode(byte);
}

/* What the character is to whoever looks at a text. */
IuSight
iu_sight_of(pg_wchar character)
{
	int			low = 0;
	int			high = lengthof(ranges) - 1;

	if ((character & 0xFFFE) == 0xFFFE)
		return IU_MISLEADS;		/* no character, in whatever plane */
	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (character > ranges[middle].last)
			low = middle + 1;
		else if (character < ranges[middle].first)
			high = middle - 1;
		else
			return ranges[middle].sight;
	}
	return IU_VISIBLE;
}

/*
 * Appends a text with <U+XXXX> for what misleads and a blank for each line end,
 * at most so many characters of it, and "..." where that is not all.
 */
void
iu_append_shown(StringInfo to, const char *text, int length, int most)
{
	const char *at = text;
	const char *end = text + length;

	for (; at < end && most > 0; most--)
	{
		const char *from = at;
		pg_wchar	character = iu_next_character(&at, end);
		IuSight		sight = iu_sight_of(character);

		if (sight == IU_MISLEADS)
			appendStringInfo(to, "<U+%04X>", (unsigned int) character);
		else if (sight == IU_BREAKS_LINE)
			appendStringInfoChar(to, ' ');
		else
			appendBinaryStringInfo(to, from, at - from);
	}
	if (at < end)
		appendStringInfoString(to, "...");
}

/* Why the text is none that people may give, palloc'd; NULL: it is one. most: its characters. */
static char *
find_problem(const char *text, int length, int most)
{
	const char *at = text;
	const char *end = text + length;
	bool		visible = false;
	int			count;

	/* A character has four bytes at most, so what is much too long need not be read. */
	if (length > most * 4)
		return psprintf("is longer than %d characters", most);
	for (count = 0; at < end; count++)
	{
		pg_wchar	character = iu_next_character(&at, end);
		IuSight		sight = iu_sight_of(character);

		if (sight == IU_MISLEADS || sight == IU_BREAKS_LINE)
			return psprintf("holds U+%04X, at character %d, which nobody sees", (unsigned int) character, count + 1);
		visible = visible || sight == IU_VISIBLE;
	}
	if (count > most)
		return psprintf("is longer than %d characters", most);
	return visible ? NULL : pstrdup("shows nothing");
}

/* iu_core.text_problem(text, is_long): why people may not give such a text; NULL: they may. */
Datum
iu_text_problem(PG_FUNCTION_ARGS)
{
	text	   *given;
	char	   *problem;

	if (PG_ARGISNULL(0))
		PG_RETURN_TEXT_P(cstring_to_text("is missing"));
	given = PG_GETARG_TEXT_PP(0);
	problem = find_problem(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given),
						   !PG_ARGISNULL(1) && PG_GETARG_BOOL(1) ? LONG_TEXT : SHORT_TEXT);
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/* iu_core.key_problem(jsonb): of the first key, at whatever depth, that breaks the rule for what is called by it. */
Datum
iu_key_problem(PG_FUNCTION_ARGS)
{
	JsonbIterator *iterator = JsonbIteratorInit(&PG_GETARG_JSONB_P(0)->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *problem = NULL;
	StringInfoData told;

	while (problem == NULL && (token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
		if (token == WJB_KEY)
			problem = find_problem(value.val.string.val, value.val.string.len, SHORT_TEXT);
	if (problem == NULL)
		PG_RETURN_NULL();
	initStringInfo(&told);
	iu_append_shown(&told, value.val.string.val, value.val.string.len, SHOWN_TEXT);
	appendStringInfo(&told, " %s", problem);
	PG_RETURN_TEXT_P(cstring_to_text(told.data));
}

/* iu_core.text_shown(text): the beginning of a text in quotation marks, for messages; NULL for NULL. */
Datum
iu_text_shown(PG_FUNCTION_ARGS)
{
	StringInfoData shown;
	text	   *given;

	if (PG_ARGISNULL(0))
		PG_RETURN_TEXT_P(cstring_to_text("NULL"));
	given = PG_GETARG_TEXT_PP(0);
	initStringInfo(&shown);
	iu_append_shown(&shown, VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), SHOWN_TEXT);
	PG_RETURN_TEXT_P(cstring_to_text(quote_literal_cstr(shown.data)));
}

/*
 * iu_core.text_made_fit(text, is_long): the text where people could have given
 * it, and otherwise what can be shown of it.
 */
Datum
iu_text_made_fit(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	int			most = PG_GETARG_BOOL(1) ? LONG_TEXT : SHORT_TEXT;
	int			length = VARSIZE_ANY_EXHDR(given);
	const char *data = VARDATA_ANY(given);
	StringInfoData shown;

	if (length == 0 || find_problem(data, length, most) == NULL)
		PG_RETURN_TEXT_P(given);
	initStringInfo(&shown);
	appendStringInfoChar(&shown, '"');
	iu_append_shown(&shown, data, length, most / 10);
	appendStringInfoChar(&shown, '"');
	PG_RETURN_TEXT_P(cstring_to_text(shown.data));
}
