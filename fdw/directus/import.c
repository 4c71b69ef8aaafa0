/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA data from Directus: a table for each collection,
 *	  with a column for each field that holds a value of its own.
 *
 * Types come from GET /fields, which an administrator's token may ask. Fields
 * that stand for related items have no value of their own and are left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/directus/import.h"
#include "fdw/directus/names.h"
#include "fdw/import.h"
#include "nodes/makefuncs.h"

typedef struct TypeRule
{
	const char *directus;		/* type of the field */
	const char *column;
} TypeRule;

/* A "float" is a real column as well: see column_type. */
static const TypeRule field_types[] = {
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

/* Types of columns that Directus takes for narrower ones: type of the field, schema.data_type, and the column's. */
static const char *const narrowed_types[][3] = {
	{"float", "real", "real"},
	{"integer", "numeric", "numeric"},
	{"integer", "decimal", "numeric"},
	{"integer", "bigint", "bigint"},
	{"decimal", "money", "jsonb"},
	{"time", "time with time zone", "timetz"},
	{"dateTime", "timestamp with time zone", "timestamptz"},
	{"timestamp", "timestamp without time zone", "timestamp"}
};

/* Directus knows no array types, and gives their values as JSON; schema.data_type of the field names them. */
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

/* The type of the column for this type of a field; NULL if no rule names it. */
static const char *
find_type(const TypeRule *rules, int count, const char *name)
{
	int			i;

	for (i = 0; i < count; i++)
		if (strcmp(rules[i].directus, name) == 0)
			return rules[i].column;
	return NULL;
}

/* The type of the column for a field; jsonb, which holds everything, for one that is not known. */
static const char *
column_type(const IuJson *field)
{
	const char *type = iu_json_text(iu_json_member(field, "type"));
	const char *data_type = iu_json_text(iu_json_member(iu_json_member(field, "schema"), "data_type"));
	const char *column = NULL;
	int			i;

	for (i = 0; type != NULL && data_type != NULL && i < lengthof(narrowed_types); i++)
		if (strcmp(narrowed_types[i][0], type) == 0 && strcmp(narrowed_types[i][1], data_type) == 0)
			return narrowed_types[i][2];
	if (type != NULL)
		column = find_type(field_types, lengthof(field_types), type);
	if (column == NULL && data_type != NULL)
		column = find_type(array_types, lengthof(array_types), data_type);
	return column ? column : "jsonb";
}

/* Whether the field is the primary key. */
static bool
is_primary_key(const IuJson *field)
{
	const char *key = iu_json_scalar(iu_json_member(iu_json_member(field, "schema"), "is_primary_key"));

	return key != NULL && strcmp(key, "true") == 0;
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

/* Adds the column of a field. Where the resource has a column of this name, the field's is "field_" and the name. */
static List *
add_field(List *columns, const IuJson *field)
{
	const char *name = iu_json_text(iu_json_member(field, "field"));
	bool		own = strcmp(name, "collection") == 0 || strcmp(name, "id") == 0 ||
		strcmp(name, "item") == 0 || strcmp(name, "filter") == 0;

	if (is_primary_key(field) && strcmp(name, "id") == 0)
		return columns;			/* the resource's column "id" shows it */
	if (has_field(columns, name))
		return columns;			/* the answer names it twice: the first one counts */
	return iu_import_column(columns, own ? psprintf("field_%s", name) : name, column_type(field), name);
}

/* The table of a collection; NULL if there is none yet. */
static IuImportedTable *
find_imported_table(List *tables, const char *collection)
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
	table->columns = iu_import_column(NIL, "id", "text", NULL);
	return table;
}

/* Whether the field has a value of its own and its collection becomes a table. */
static bool
is_wanted(IuImport *import, const IuJson *field, const char *collection)
{
	const IuJson *schema = iu_json_member(field, "schema");

	return iu_json_is_object(schema) && !iu_directus_is_system(collection) &&
		iu_import_wants(import, collection);
}

static void
fail_without_fields(IuImport *import)
{
	IuFailure	failure = {ERRCODE_FDW_ERROR, "iu_remote_answer"};

	failure.reason = "the answer holds no list of fields";
	failure.detail = "HTTP 200.";
	iu_import_fail(import, NULL, &failure);
}

/* Adds a field to the table of its collection. */
static List *
add_to_tables(IuImport *import, List *tables, const IuJson *field)
{
	const char *collection = iu_json_text(iu_json_member(field, "collection"));
	const char *name = iu_json_text(iu_json_member(field, "field"));
	IuImportedTable *table;

	if (collection == NULL || collection[0] == '\0' || name == NULL || name[0] == '\0')
	{
		fail_without_fields(import);
		return tables;
	}
	if (!is_wanted(import, field, collection))
		return tables;
	table = find_imported_table(tables, collection);
	if (table == NULL)
	{
		table = new_table(collection);
		tables = lappend(tables, table);
	}
	if (is_primary_key(field) && strcmp(name, "id") != 0 && table->options == NIL)
		table->options = list_make1(makeDefElem("id_field", (Node *) makeString(pstrdup(name)), -1));
	table->columns = add_field(table->columns, field);
	return tables;
}

/* The table of each collection that is wanted. */
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
		fail_without_fields(import);
	for (i = 0; i < count; i++)
		tables = add_to_tables(import, tables, iu_json_element(fields, i));
	foreach(cell, tables)
	{
		IuImportedTable *table = lfirst(cell);

		table->columns = iu_import_column(table->columns, "item", "jsonb", NULL);
		table->columns = iu_import_column(table->columns, "filter", "jsonb", NULL);
	}
	return tables;
}
