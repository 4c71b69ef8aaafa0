/*-------------------------------------------------------------------------
 *
 * remote.c
 *	  Small things that every remote API needs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/remote.h"
#include "mb/pg_wchar.h"

/*
 * Text as one segment of a URL's path, or as a value in its query: everything
 * but unreserved characters becomes %XX of its UTF-8. Palloc'd.
 */
char *
iu_encode_segment(const char *text)
{
	const char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	StringInfoData encoded;
	const char *c;

	initStringInfo(&encoded);
	for (c = utf8; *c != '\0'; c++)
	{
		if (isascii((unsigned char) *c) && (isalnum((unsigned char) *c) || strchr("-._~", *c)))
			appendStringInfoChar(&encoded, *c);
		else
			appendStringInfo(&encoded, "%%%02X", (unsigned char) *c);
	}
	return encoded.data;
}

/*
 * Whether the text is a UUID as 8-4-4-4-12 hexadecimal digits.
 *
 * either_case: accepts upper case as well; otherwise only lower case, which is
 * what PostgreSQL prints.
 */
bool
iu_is_uuid(const char *text, bool either_case)
{
	const char *digits = either_case ? "0123456789abcdefABCDEF" : "0123456789abcdef";
	int			i;

	for (i = 0; i < 36; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (text[i] != '-')
				return false;
		}
		else if (text[i] == '\0' || strchr(digits, text[i]) == NULL)
			return false;
	}
	return text[36] == '\0';
}
