/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA data: a table for each collection, with a column for
 *	  each field that holds a value of its own.
 *
 * Types come from GET /fields, which an administrator's token may ask. Fields
 * that stand for related items have no value of their own and are left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/directus.h"
#include "nodes/makefuncs.h"

#define SYSTEM_PREFIX "directus_"

typedef struct TypeRule
{
	const char *directus;		/* type of the field */
	const char *column;
} TypeRule;

/* A float may be either; the column of the database says which. */
static const TypeRule types[] = {
	{"integer", "integer"},
	{"bigInteger", "bigint"},
	{"decimal", "numeric"},
	{"float", "double precision"},
	{"boolean", "boolean"},
	{"uuid", "uuid"},
	{"date", "date"},
	{"time", "time"},
	{"dateTime", "timestamp"},
	{"timestamp", "timestamptz"},
	{"csv", "text[]"},
	{"json", "jsonb"},
	{"string", "text"},
	{"text", "text"},
	{"hash", "text"}
};

/* What Directus calls unknown, it hands through as JSON. */
static const TypeRule array_types[] = {
	{"smallint[]", "smallint[]"},
	{"integer[]", "integer[]"},
	{"bigint[]", "bigint[]"},
	{"real[]", "real[]"},
	{"double precision[]", "double precision[]"},
	{"text[]", "text[]"},
	{"character varying[]", "text[]"},
	{"boolean[]", "boolean[]"},
	{"uuid[]", "uuid[]"}
};

static const char *
find_type(const TypeRule *rules, int count, const char *name)
{
	int			i;

	for (i = 0; i < count; i++)
		if (strcmp(rules[i].directus, name) == 0)
			return rules[i].column;
	return NULL;
}

/* jsonb takes whatever comes, where nothing better is known. */
static const char *
column_type(const IuJson *field)
{
	const char *type = iu_json_text(iu_json_member(field, "type"));
	const char *data_type = iu_json_text(iu_json_member(iu_json_member(field, "schema"), "data_type"));
	const char *column = NULL;

	if (type != NULL && data_type != NULL && strcmp(type, "float") == 0 && strcmp(data_type, "real") == 0)
		return "real";
	if (type != NULL)
		column = find_type(types, lengthof(types), type);
	if (column == NULL && data_type != NULL)
		column = find_type(array_types, lengthof(array_types), data_type);
	return column ? column : "jsonb";
}

static bool
is_key(const IuJson *field)
{
	const char *key = iu_json_scalar(iu_json_member(iu_json_member(field, "schema"), "is_primary_key"));

	return key != NULL && strcmp(key, "true") == 0;
}

static List *
add_column(List *columns, const char *name, const char *type, const char *field)
{
	IuImportedColumn *column = palloc0(sizeof(IuImportedColumn));

	column->name = name;
	column->type = type;
	column->field = field;
	return lappend(columns, column);
}

static bool
has_field(List *columns, const char *field)
{
	ListCell   *cell;

	foreach(cell, columns)
	{
		const IuImportedColumn *column = lfirst(cell);

		if (column->field != NULL && strcmp(column->field, field) == 0)
			return true;
	}
	return false;
}

/* A name that the resource's own columns have is theirs. */
static List *
add_field(List *columns, const IuJson *field)
{
	const char *name = iu_json_text(iu_json_member(field, "field"));
	bool		own = strcmp(name, "collection") == 0 || strcmp(name, "id") == 0 ||
		strcmp(name, "item") == 0 || strcmp(name, "filter") == 0;

	if (is_key(field) && strcmp(name, "id") == 0)
		return columns;			/* is the resource's own column */
	if (has_field(columns, name))
		return columns;			/* told twice: the first counts */
	return add_column(columns, own ? psprintf("field_%s", name) : name, column_type(field), name);
}

static IuImportedTable *
find_table(List *tables, const char *collection)
{
	ListCell   *cell;

	foreach(cell, tables)
		if (strcmp(((IuImportedTable *) lfirst(cell))->collection, collection) == 0)
			return lfirst(cell);
	return NULL;
}

static IuImportedTable *
new_table(const char *collection)
{
	IuImportedTable *table = palloc0(sizeof(IuImportedTable));

	table->collection = pstrdup(collection);
	table->resource = "items";
	table->columns = add_column(NIL, "id", "text", NULL);
	return table;
}

static bool
is_wanted(IuImport *import, const IuJson *field, const char *collection)
{
	const IuJson *schema = iu_json_member(field, "schema");

	return iu_json_is_object(schema) && strncmp(collection, SYSTEM_PREFIX, strlen(SYSTEM_PREFIX)) != 0 &&
		iu_import_wants(import, collection);
}

static List *
add_to_tables(IuImport *import, List *tables, const IuJson *field)
{
	const char *collection = iu_json_text(iu_json_member(field, "collection"));
	const char *name = iu_json_text(iu_json_member(field, "field"));
	IuImportedTable *table;

	if (collection == NULL || collection[0] == '\0' || name == NULL || name[0] == '\0')
	{
		IuFailure	failure = {ERRCODE_FDW_ERROR, "the answer holds no list of fields", "HTTP 200.", NULL};

		iu_import_fail(import, NULL, &failure);
		return tables;
	}
	if (!is_wanted(import, field, collection))
		return tables;
	table = find_table(tables, collection);
	if (table == NULL)
	{
		table = new_table(collection);
		tables = lappend(tables, table);
	}
	if (is_key(field) && strcmp(name, "id") != 0 && table->options == NIL)
		table->options = list_make1(makeDefElem("id_field", (Node *) makeString(pstrdup(name)), -1));
	table->columns = add_field(table->columns, field);
	return tables;
}

List *
iu_directus_import(IuImport *import)
{
	const IuJson *document = iu_import_ask(import, "GET", "/fields", NULL, NULL);
	const IuJson *fields = iu_json_member(document, "data");
	int64		count = iu_json_length(fields);
	List	   *tables = NIL;
	ListCell   *cell;
	int64		i;

	if (count < 0)
	{
		IuFailure	failure = {ERRCODE_FDW_ERROR, "the answer holds no list of fields", "HTTP 200.", NULL};

		iu_import_fail(import, NULL, &failure);
	}
	for (i = 0; i < count; i++)
		tables = add_to_tables(import, tables, iu_json_element(fields, i));
	foreach(cell, tables)
	{
		IuImportedTable *table = lfirst(cell);

		table->columns = add_column(table->columns, "item", "jsonb", NULL);
		table->columns = add_column(table->columns, "filter", "jsonb", NULL);
	}
	return tables;
}
