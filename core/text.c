/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Makes text out of bytes that nobody vouches for: what the network sent,
 *	  and what a process of another database wrote into shared memory.
 *
 * A message, a row or a log line that holds such bytes as they came could not
 * be stored, or would break the reader's terminal. So all of them pass through
 * one of these functions first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/text.h"
#include "mb/pg_wchar.h"

#define IS_CONTROL(c) ((unsigned char) (c) < ' ' || (unsigned char) (c) == 0x7f)

/* Puts "*" in the place of a secret wherever it is within these bytes, which need not end with a NUL. */
void
iu_text_hide(char *bytes, size_t length, const char *secret)
{
	size_t		size = strlen(secret);
	char	   *found;

	while (size > 0 && (found = memmem(bytes, length, secret, size)) != NULL)
	{
		memset(found, '*', size);
		length -= found + size - bytes;
		bytes = found + size;
	}
}

/*
 * The beginning of bytes from outside as text that this database can hold: at
 * most "most" bytes of it, cut between characters, with "?" for each byte that
 * begins no character of the database's encoding and for each NUL. The bytes
 * need not end with a NUL. Palloc'd.
 */
char *
iu_text_of_bytes(const char *bytes, size_t length, size_t most)
{
	int			encoding = GetDatabaseEncoding();
	char	   *text = palloc(Min(length, most) + 1);
	size_t		from = 0;
	size_t		to = 0;

	while (from < length && to < most)
	{
		int			size = pg_encoding_verifymbchar(encoding, bytes + from,
													(int) Min(length - from, MAX_MULTIBYTE_CHAR_LEN));

		if (bytes[from] == '\0' || size <= 0)
		{
			text[to++] = '?';
			from++;
			continue;
		}
		if (to + size > most)
			break;
		memcpy(text + to, bytes + from, size);
		from += size;
		to += size;
	}
	text[to] = '\0';
	return text;
}

/*
 * A copy, palloc'd, of text that another process wrote. That process may serve
 * a database of another encoding, or, as the launcher, no database, so that it
 * may have cut within a character. Where the text is not valid in the encoding
 * of this database, only its ASCII is kept and the rest shown as "?".
 */
char *
iu_text_readable(const char *string)
{
	char	   *copy = pstrdup(string);
	char	   *c;

	if (!pg_verifymbstr(copy, strlen(copy), true))
		for (c = copy; *c != '\0'; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	return copy;
}

/* A copy, palloc'd, with "?" for everything that is not printable ASCII. */
char *
iu_text_ascii(const char *string)
{
	char	   *copy = pstrdup(string);
	char	   *c;

	for (c = copy; *c != '\0'; c++)
		if (IS_CONTROL(*c) || IS_HIGHBIT_SET(*c))
			*c = '?';
	return copy;
}

/* Puts a blank in place of each control character, line ends included. Returns the text. */
char *
iu_text_on_one_line(char *text)
{
	char	   *c;

	for (c = text; *c != '\0'; c++)
		if (IS_CONTROL(*c))
			*c = ' ';
	return text;
}
