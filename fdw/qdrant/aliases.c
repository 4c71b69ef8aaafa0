/*-------------------------------------------------------------------------
 *
 * aliases.c
 *	  The aliases of Qdrant's collections.
 *
 * They are taken from the list of all aliases: asked for the aliases of a
 * collection under a name that is an alias itself, Qdrant names none. There may
 * be as many as there are collections, each of which is looked up: so they are
 * kept in order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/qdrant/aliases.h"
#include "utils/array.h"
#include "utils/builtins.h"

static int
compare_by_name(const void *a, const void *b)
{
	const IuQdrantAlias *alias = a;
	const IuQdrantAlias *other = b;
	int			difference = strcmp(alias->name, other->name);

	return difference != 0 ? difference : strcmp(alias->collection, other->collection);
}

static int
compare_by_collection(const void *a, const void *b)
{
	const IuQdrantAlias *alias = a;
	const IuQdrantAlias *other = b;
	int			difference = strcmp(alias->collection, other->collection);

	return difference != 0 ? difference : strcmp(alias->name, other->name);
}

/* Puts aliases in both orders, of which there is one, in any order, and room for the other. */
static void
put_in_order(IuQdrantAliases *aliases)
{
	memcpy(aliases->by_collection, aliases->by_name, sizeof(IuQdrantAlias) * aliases->count);
	qsort(aliases->by_name, aliases->count, sizeof(IuQdrantAlias), compare_by_name);
	qsort(aliases->by_collection, aliases->count, sizeof(IuQdrantAlias), compare_by_collection);
}

/* Room for so many aliases, in this memory context. */
static void
make_room(IuQdrantAliases *aliases, int count, MemoryContext context)
{
	aliases->count = count;
	aliases->by_name = MemoryContextAlloc(context, sizeof(IuQdrantAlias) * (count + 1));
	aliases->by_collection = MemoryContextAlloc(context, sizeof(IuQdrantAlias) * (count + 1));
}

/* Reads the list of aliases, which points into the document; false if the answer holds none. */
bool
iu_qdrant_aliases_read(IuQdrantAliases *aliases, const IuJson *document)
{
	const IuJson *list = iu_json_member(iu_json_member(document, "result"), "aliases");
	int64		length = iu_json_length(list);
	int			i;

	if (length < 0 || length > PG_INT32_MAX)
		return false;
	make_room(aliases, (int) length, CurrentMemoryContext);
	for (i = 0; i < length; i++)
	{
		IuQdrantAlias *alias = &aliases->by_name[i];

		alias->name = iu_json_text(iu_json_member(iu_json_element(list, i), "alias_name"));
		alias->collection = iu_json_text(iu_json_member(iu_json_element(list, i), "collection_name"));
		if (alias->name == NULL || alias->collection == NULL)
			return false;
	}
	put_in_order(aliases);
	return true;
}

/* A copy that outlives the document, in this memory context. */
IuQdrantAliases *
iu_qdrant_aliases_copy(const IuQdrantAliases *aliases, MemoryContext context)
{
	IuQdrantAliases *copy = MemoryContextAlloc(context, sizeof(IuQdrantAliases));
	int			i;

	make_room(copy, aliases->count, context);
	for (i = 0; i < aliases->count; i++)
	{
		copy->by_name[i].name = MemoryContextStrdup(context, aliases->by_name[i].name);
		copy->by_name[i].collection = MemoryContextStrdup(context, aliases->by_name[i].collection);
	}
	put_in_order(copy);
	return copy;
}

/* The number of the first alias that is not before this one, in one of the orders. */
static int
find_first(const IuQdrantAlias *aliases, int count, const IuQdrantAlias *alias,
		   int (*compare) (const void *, const void *))
{
	int			first = 0;

	while (count > 0)
	{
		int			half = count / 2;

		if (compare(&aliases[first + half], alias) < 0)
		{
			first += half + 1;
			count -= half + 1;
		}
		else
			count = half;
	}
	return first;
}

/* The collection that this name stands for: the name itself where it is no alias. */
const char *
iu_qdrant_aliases_resolve(const IuQdrantAliases *aliases, const char *name)
{
	const IuQdrantAlias least = {name, ""};
	int			i = find_first(aliases->by_name, aliases->count, &least, compare_by_name);

	if (i < aliases->count && strcmp(aliases->by_name[i].name, name) == 0)
		return aliases->by_name[i].collection;
	return name;
}

/*
 * The aliases of a collection, in order: text[]. If the name is an alias itself,
 * those of the collection that it stands for.
 */
Datum
iu_qdrant_aliases_of(const IuQdrantAliases *aliases, const char *name)
{
	const IuQdrantAlias least = {"", iu_qdrant_aliases_resolve(aliases, name)};
	int			first = find_first(aliases->by_collection, aliases->count, &least, compare_by_collection);
	Datum	   *elements;
	int			count = 0;
	int			i;

	while (first + count < aliases->count &&
		   strcmp(aliases->by_collection[first + count].collection, least.collection) == 0)
		count++;
	elements = palloc(sizeof(Datum) * (count + 1));
	for (i = 0; i < count; i++)
		elements[i] = CStringGetTextDatum(aliases->by_collection[first + i].name);
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}
