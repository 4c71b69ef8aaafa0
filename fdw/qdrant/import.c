/*-------------------------------------------------------------------------
 *
 * import.c
 *	  A table for each collection, with the payload keys that Qdrant itself
 *	  gives a type: those that have an index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/qdrant/qdrant.h"
#include "mb/pg_wchar.h"

static const struct
{
	const char *index;
	const char *type;
} types[] = {
	{"keyword", "text"},
	{"text", "text"},
	{"integer", "bigint"},
	{"float", "double precision"},
	{"bool", "boolean"},
	{"datetime", "timestamptz"},
	{"uuid", "uuid"},
};

/* Of what is in no list, any JSON. */
static const char *
type_of(const char *index)
{
	int			i;

	for (i = 0; index != NULL && i < lengthof(types); i++)
		if (strcmp(types[i].index, index) == 0)
			return types[i].type;
	return "jsonb";
}

/* The key that a path names, if it is one of the payload itself: a, "a.b", not a.b, a[]. NULL: it is none. */
static char *
top_level_key(const char *path)
{
	size_t		length = strlen(path);

	if (length >= 2 && path[0] == '"' && strchr(path + 1, '"') == path + length - 1)
		return pnstrdup(path + 1, length - 2);
	return length > 0 && strpbrk(path, ".[\"") == NULL ? pstrdup(path) : NULL;
}

static bool
is_taken(List *columns, const char *name)
{
	ListCell   *cell;

	foreach(cell, columns)
		if (strcmp(((IuImportedColumn *) lfirst(cell))->name, name) == 0)
			return true;
	return strcmp(name, "collection") == 0;
}

/* The key, cut to what a name may be; with a number where that is taken. */
static char *
column_name(List *columns, const char *key)
{
	char	   *name = pnstrdup(key, pg_mbcliplen(key, strlen(key), NAMEDATALEN - 1));
	int			n;

	for (n = 2; is_taken(columns, name); n++)
		name = psprintf("%.*s_%d", pg_mbcliplen(key, strlen(key), NAMEDATALEN - 8), key, n);
	return name;
}

static List *
add_column(List *columns, const char *name, const char *type, const char *field)
{
	IuImportedColumn *column = palloc(sizeof(IuImportedColumn));

	column->name = name;
	column->type = type;
	column->field = field;
	return lappend(columns, column);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Those of the table, then the keys in order. */
static List *
columns_of(const IuJson *schema)
{
	int			count = (int) Max(iu_json_members(schema), 0);
	const char **paths = palloc(sizeof(char *) * (count + 1));
	List	   *columns = NIL;
	int			i;

	columns = add_column(columns, "id", "text", NULL);
	columns = add_column(columns, "payload", "jsonb", NULL);
	columns = add_column(columns, "vector", "jsonb", NULL);
	columns = add_column(columns, "filter", "jsonb", NULL);
	for (i = 0; i < count; i++)
		paths[i] = iu_json_member_name(schema, i);
	qsort(paths, count, sizeof(char *), compare_names);
	for (i = 0; i < count; i++)
	{
		const char *index = iu_json_text(iu_json_member(iu_json_member(schema, paths[i]), "data_type"));
		char	   *key = top_level_key(paths[i]);

		if (key != NULL && key[0] != '\0')
			columns = add_column(columns, column_name(columns, key), type_of(index), key);
	}
	return columns;
}

static void
fail(IuImport *import, const char *collection, int sqlstate, const char *reason)
{
	IuFailure	failure = {sqlstate, reason, NULL, NULL};

	iu_import_fail(import, collection, &failure);
}

static IuImportedTable *
import_collection(IuImport *import, const char *name)
{
	IuImportedTable *table = palloc0(sizeof(IuImportedTable));
	const char *problem;
	char	   *path = iu_qdrant_path(name, "", &problem);
	const IuJson *schema;

	if (path == NULL)
		fail(import, name, ERRCODE_INVALID_NAME, problem);
	schema = iu_json_member(iu_json_member(iu_import_ask(import, "GET", path, NULL, name), "result"), "payload_schema");
	if (!iu_json_is_object(schema))
		fail(import, name, ERRCODE_FDW_ERROR, "the answer holds no description of a collection");
	table->collection = name;
	table->resource = "points";
	table->columns = columns_of(schema);
	return table;
}

List *
iu_qdrant_import(IuImport *import)
{
	int			count = 0;
	const char **names = iu_qdrant_names(iu_import_ask(import, "GET", "/collections", NULL, NULL), &count);
	List	   *tables = NIL;
	int			i;

	if (names == NULL)
	{
		fail(import, NULL, ERRCODE_FDW_ERROR, "the answer holds no list of collections");
		return NIL;
	}
	qsort(names, count, sizeof(char *), compare_names);
	for (i = 0; i < count; i++)
		if (iu_import_wants(import, names[i]))
			tables = lappend(tables, import_collection(import, names[i]));
	return tables;
}
