/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA data from Qdrant: a table for each collection, with
 *	  a column for each payload key that has an index, as Qdrant knows no other
 *	  key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/import.h"
#include "fdw/qdrant/import.h"
#include "fdw/qdrant/names.h"

static const struct
{
	const char *index;
	const char *type;
} index_types[] = {
	{"keyword", "text"},
	{"text", "text"},
	{"integer", "bigint"},
	{"float", "double precision"},
	{"bool", "boolean"},
	{"datetime", "timestamptz"},
	{"uuid", "uuid"},
};

/* The type of the column for a key with this type of index; jsonb, which holds everything, for an unknown one. */
static const char *
type_of_index(const char *index)
{
	int			i;

	for (i = 0; index != NULL && i < lengthof(index_types); i++)
		if (strcmp(index_types[i].index, index) == 0)
			return index_types[i].type;
	return "jsonb";
}

/*
 * The key that a path names: of a, or "a.b" in quotes. NULL for a path that
 * leads into the value of a key, such as a.b or a[].
 */
static char *
top_level_key(const char *path)
{
	size_t		length = strlen(path);

	if (length >= 2 && path[0] == '"' && strchr(path + 1, '"') == path + length - 1)
		return pnstrdup(path + 1, length - 2);
	return strpbrk(path, ".[\"") == NULL ? pstrdup(path) : NULL;
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/*
 * The columns of a collection's table: those of the resource, then one for each
 * key, in order.
 *
 * schema: an object with a member for each index; typed: the columns have the
 * types of the indexes. An index takes what is of its type, alone or in an array,
 * and leaves out everything else; only jsonb holds whatever a key may have.
 */
static List *
columns_of(const IuJson *schema, bool typed)
{
	int			count = (int) Max(iu_json_members(schema), 0);
	const char **paths = palloc(sizeof(char *) * (count + 1));
	List	   *columns = NIL;
	int			i;

	columns = iu_import_column(columns, "id", "text", NULL);
	columns = iu_import_column(columns, "payload", "jsonb", NULL);
	columns = iu_import_column(columns, "vector", "jsonb", NULL);
	columns = iu_import_column(columns, "filter", "jsonb", NULL);
	for (i = 0; i < count; i++)
		paths[i] = iu_json_member_name(schema, i);
	qsort(paths, count, sizeof(char *), compare_strings);
	for (i = 0; i < count; i++)
	{
		const char *index = iu_json_text(iu_json_member(iu_json_member(schema, paths[i]), "data_type"));
		char	   *key = top_level_key(paths[i]);

		if (key != NULL)
			columns = iu_import_column(columns, key, typed ? type_of_index(index) : "jsonb", key);
	}
	return columns;
}

/* Raises: an answer is not what was asked for. collection: NULL for the listing. */
static void
unusable_answer(IuImport *import, const char *collection, const char *reason)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, "iu_remote_answer", reason, NULL, NULL};

	iu_import_fail(import, collection, &failure);
}

/* The table of a collection; NULL if the collection is gone. */
static IuImportedTable *
import_collection(IuImport *import, const char *name)
{
	IuImportedTable *table = palloc0(sizeof(IuImportedTable));
	const char *problem;
	char	   *path = iu_qdrant_path(name, "", &problem);
	const IuJson *document;
	const IuJson *schema;

	if (path == NULL)
	{
		IuFailure	failure = {ERRCODE_INVALID_NAME, "iu_remote_collection_name", problem, NULL, NULL};

		iu_import_fail(import, name, &failure);
	}
	document = iu_import_ask(import, "GET", path, NULL, name);
	if (document == NULL)
		return NULL;
	schema = iu_json_member(iu_json_member(document, "result"), "payload_schema");
	if (!iu_json_is_object(schema))
		unusable_answer(import, name, "the answer holds no description of a collection");
	table->collection = name;
	table->resource = "points";
	table->columns = columns_of(schema, iu_import_is_typed(import));
	return table;
}

/* The table of each collection that is wanted. */
List *
iu_qdrant_import(IuImport *import)
{
	int			count = 0;
	const char **names = iu_qdrant_names(iu_import_ask(import, "GET", "/collections", NULL, NULL), &count);
	List	   *tables = NIL;
	int			i;

	if (names == NULL)
	{
		unusable_answer(import, NULL, "the answer holds no list of collections");
		return NIL;
	}
	qsort(names, count, sizeof(char *), compare_strings);
	for (i = 0; i < count; i++)
	{
		IuImportedTable *table = iu_import_wants(import, names[i]) ? import_collection(import, names[i]) : NULL;

		if (table != NULL)
			tables = lappend(tables, table);
	}
	return tables;
}
