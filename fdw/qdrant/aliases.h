/*-------------------------------------------------------------------------
 *
 * aliases.h
 *	  The aliases of Qdrant's collections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_ALIASES_H
#define IU_QDRANT_ALIASES_H

#include "fdw/remote.h"

/* An alias, and the collection that it stands for. */
typedef struct IuQdrantAlias
{
	const char *name;
	const char *collection;
} IuQdrantAlias;

/* All of them, in two orders. */
typedef struct IuQdrantAliases
{
	int			count;
	IuQdrantAlias *by_name;
	IuQdrantAlias *by_collection;	/* and those of one collection by name */
} IuQdrantAliases;

extern bool iu_qdrant_aliases_read(IuQdrantAliases *aliases, const IuJson *document);
extern IuQdrantAliases *iu_qdrant_aliases_copy(const IuQdrantAliases *aliases, MemoryContext context);
extern const char *iu_qdrant_aliases_resolve(const IuQdrantAliases *aliases, const char *name);
extern Datum iu_qdrant_aliases_of(const IuQdrantAliases *aliases, const char *name);

#endif							/* IU_QDRANT_ALIASES_H */
