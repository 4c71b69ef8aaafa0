/*-------------------------------------------------------------------------
 *
 * remote.c
 *	  The remotes by name, and small things that every API needs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/remote.h"
#include "mb/pg_wchar.h"

const IuRemote *
iu_remote_by_name(const char *name)
{
	static const IuRemote *const remotes[] = {&iu_qdrant, &iu_directus};
	int			i;

	for (i = 0; i < lengthof(remotes); i++)
		if (strcmp(remotes[i]->name, name) == 0)
			return remotes[i];
	elog(ERROR, "unknown remote API \"%s\"", name);
	return NULL;
}

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
