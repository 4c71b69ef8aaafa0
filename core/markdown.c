/*-------------------------------------------------------------------------
 *
 * markdown.c
 *	  iu_core.markdown_text(): a text of somebody's as it stands in a report.
 *
 * Reports are Markdown, which people read as it is and which programs turn into
 * HTML. Whatever a text holds, the reader of either sees that text and nothing
 * else: no markup, no HTML, no link that a program makes of an address, no end
 * of the cell or of the line, no command to a terminal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/visible.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(iu_markdown_text);

#define MOST 2000				/* characters of a text in a report */

/* Marks that begin something wherever they stand. The underscore is a case of its own. */
#define ALWAYS_MARKS "\\`*[]|~$^"

/* Marks that begin a heading, a list, a quotation or a fence where a line begins. */
#define FIRST_MARKS "#>+-="

static bool
is_word_character(char c)
{
	return isalnum((unsigned char) c) && !IS_HIGHBIT_SET(c);
}

/* Whether the text up to there ends with this word, in letters of whatever case, and nothing before it. */
static bool
ends_with_word(const char *text, const char *at, const char *word)
{
	int			length = strlen(word);

	return at - text >= length && pg_strncasecmp(at - length, word, length) == 0 &&
		(at - text == length || !is_word_character(at[-length - 1]));
}

/* Whether there are digits, and nothing else, from where the line begins up to there. */
static bool
is_number_up_to(const char *first, const char *at)
{
	return first != NULL && at > first && strspn(first, "0123456789") == at - first;
}

/*
 * Whether a mark would mean something at this place of the text. first: where
 * a line begins with it; NULL: the text stands within a line.
 */
static bool
means_something(const char *text, const char *at, const char *end, const char *first)
{
	if (strchr(ALWAYS_MARKS, *at) != NULL)
		return true;
	switch (*at)
	{
		case '_':
			/* Within a word it is a letter. */
			return at == text || at + 1 == end || !is_word_character(at[-1]) || !is_word_character(at[1]);
		case ':':
			return end - at > 2 && at[1] == '/' && at[2] == '/';
		case '@':
			return true;
		case '.':
			/* A number with a full stop begins a list; and what begins with www is taken for an address. */
			return is_number_up_to(first, at) || ends_with_word(text, at, "www");
		case ')':
			return is_number_up_to(first, at);
		default:
			return at == first && strchr(FIRST_MARKS, *at) != NULL;
	}
}

/* One character of the text, which ends at "next". */
static void
append_character(StringInfo to, const char *text, const char *at, const char *next, const char *end, const char *first)
{
	if (*at == '<')
		appendStringInfoString(to, "&lt;");
	else if (*at == '&')
		appendStringInfoString(to, "&amp;");
	else
	{
		if (next - at == 1 && means_something(text, at, end, first))
			appendStringInfoChar(to, '\\');
		appendBinaryStringInfo(to, at, next - at);
	}
}

/* iu_core.markdown_text(text, begins_line). */
Datum
iu_markdown_text(PG_FUNCTION_ARGS)
{
	char	   *given = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *end = given + strlen(given);
	const char *first = NULL;	/* where something begins to be seen, if that begins a line */
	bool		begins_line = PG_GETARG_BOOL(1);
	const char *at = given;
	StringInfoData to;
	int			left;

	initStringInfo(&to);
	for (left = MOST; at < end && left > 0; left--)
	{
		const char *from = at;
		pg_wchar	character = iu_next_character(&at, end);
		IuSight		sight = iu_sight_of(character);

		if (begins_line && first == NULL && *from != ' ' && sight != IU_BREAKS_LINE)
			first = from;
		if (sight == IU_MISLEADS)
			appendStringInfo(&to, "&lt;U+%04X>", (unsigned int) character);
		else if (sight == IU_BREAKS_LINE)
			appendStringInfoChar(&to, ' ');
		else
			append_character(&to, given, from, at, end, first);
	}
	if (at < end)
		appendStringInfo(&to, "... (%d more bytes)", (int) (end - at));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(to.data, to.len));
}
