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
