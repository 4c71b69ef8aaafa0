/*-------------------------------------------------------------------------
 *
 * aliases.c
 *	  The aliases of Qdrant's collections.
 *
 * They are taken from the list of all aliases: asked for the aliases of a
 * collection under a name that is an alias itself, Qdrant names none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/qdrant/aliases.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* Reads the list of aliases, which points into the document; false if the answer holds none. */
bool
iu_qdrant_aliases_read(IuQdrantAliases *aliases, const IuJson *document)
{
	const IuJson *list = iu_json_member(iu_json_member(document, "result"), "aliases");
	int64		length = iu_json_length(list);
	int			i;

	if (length < 0 || length > PG_INT32_MAX)
		return false;
	aliases->names = palloc(sizeof(char *) * (length + 1));
	aliases->collections = palloc(sizeof(char *) * (length + 1));
	for (i = 0; i < length; i++)
	{
		aliases->names[i] = iu_json_text(iu_json_member(iu_json_element(list, i), "alias_name"));
		aliases->collections[i] = iu_json_text(iu_json_member(iu_json_element(list, i), "collection_name"));
		if (aliases->names[i] == NULL || aliases->collections[i] == NULL)
			return false;
	}
	aliases->count = (int) length;
	return true;
}

/* Copies texts into a memory context. */
static const char **
copy_texts(const char *const *texts, int count, MemoryContext context)
{
	const char **copies = MemoryContextAlloc(context, sizeof(char *) * (count + 1));
	int			i;

	for (i = 0; i < count; i++)
		copies[i] = MemoryContextStrdup(context, texts[i]);
	return copies;
}

/* A copy that outlives the document, in this memory context. */
IuQdrantAliases *
iu_qdrant_aliases_copy(const IuQdrantAliases *aliases, MemoryContext context)
{
	IuQdrantAliases *copy = MemoryContextAlloc(context, sizeof(IuQdrantAliases));

	copy->count = aliases->count;
	copy->names = copy_texts(aliases->names, aliases->count, context);
	copy->collections = copy_texts(aliases->collections, aliases->count, context);
	return copy;
}

/* The collection that this name stands for: the name itself where it is no alias. */
const char *
iu_qdrant_aliases_resolve(const IuQdrantAliases *aliases, const char *name)
{
	int			i;

	for (i = 0; i < aliases->count; i++)
		if (strcmp(aliases->names[i], name) == 0)
			return aliases->collections[i];
	return name;
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/*
 * The aliases of a collection, in order: text[]. If the name is an alias itself,
 * those of the collection that it stands for.
 */
Datum
iu_qdrant_aliases_of(const IuQdrantAliases *aliases, const char *name)
{
	const char *collection = iu_qdrant_aliases_resolve(aliases, name);
	const char **found = palloc(sizeof(char *) * (aliases->count + 1));
	Datum	   *elements = palloc(sizeof(Datum) * (aliases->count + 1));
	int			count = 0;
	int			i;

	for (i = 0; i < aliases->count; i++)
		if (strcmp(aliases->collections[i], collection) == 0)
			found[count++] = aliases->names[i];
	qsort(found, count, sizeof(char *), compare_texts);
	for (i = 0; i < count; i++)
		elements[i] = CStringGetTextDatum(found[i]);
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}
