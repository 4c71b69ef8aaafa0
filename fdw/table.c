/*-------------------------------------------------------------------------
 *
 * table.c
 *	  A foreign table and its server, as the catalogs have them.
 *
 * A query opens its tables once, when it is planned: iu_table_open reads and
 * checks all options and columns. The plan carries what was read
 * (iu_table_pack), and execution takes it from there (iu_table_unpack). The
 * server makes a plan anew when a server's, a table's or a column's options
 * change; what decides where secrets go is asked for again all the same
 * (secret.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "core/compat.h"
#include "fdw/options.h"
#include "fdw/table.h"
#include "foreign/foreign.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#define DEFAULT_CONNECTIONS 32
#define DEFAULT_PAGE 1000

/* ---- columns ---- */

/* Raises: the table has a column that shows nothing. */
static void
unknown_column(const IuTable *table, const char *name)
{
	StringInfoData known;
	int			i;

	initStringInfo(&known);
	for (i = 0; i < table->resource->column_count; i++)
		appendStringInfo(&known, "%s%s %s", i ? ", " : "", table->resource->columns[i].name,
						 format_type_be(table->resource->columns[i].type));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
			 errmsg("column \"%s\" of foreign table \"%s\" is none that resource \"%s\" of %s has",
					name, table->name, table->resource->name, table->server->remote->name),
			 errdetail("Option \"resource\" is \"%s\", and the table has a column \"%s\".",
					   table->resource->name, name),
			 table->resource->has_fields
			 ? errhint("Known columns: %s. For any other column give table option \"collection\".", known.data)
			 : errhint("Known columns: %s.", known.data),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_column")));
}

/*
 * Which column of the resource has the name of this column of the table;
 * IU_NO_COLUMN if none has. Raises if the types differ.
 */
static int
find_column(const IuTable *table, Form_pg_attribute attribute)
{
	int			i;

	for (i = 0; i < table->resource->column_count; i++)
	{
		const IuRemoteColumn *column = &table->resource->columns[i];

		if (strcmp(column->name, NameStr(attribute->attname)) != 0)
			continue;
		if (column->type != attribute->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					 errmsg("column \"%s\" of foreign table \"%s\" has type %s and must have type %s",
							column->name, table->name, format_type_be(attribute->atttypid),
							format_type_be(column->type)),
					 errdetail("Resource \"%s\" gives \"%s\" as %s.", table->resource->name, column->name,
							   format_type_be(column->type)),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_column_type")));
		return i;
	}
	return IU_NO_COLUMN;
}

/* Notes which attribute shows the column that a role's keys are of. */
static void
note_key_attribute(IuTable *table, AttrNumber attribute)
{
	int			role;

	for (role = 0; role < IU_ROLES; role++)
		if (table->column_of[attribute - 1] == table->resource->role_columns[role])
			table->key_attributes[role] = attribute;
}

/* Raises: the table has a column that is generated when a row is written, and nobody writes its rows. */
static void
generated_column(const IuTable *table, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
			 errmsg("column \"%s\" of foreign table \"%s\" is generated", name, table->name),
			 errdetail("A generated column is computed when a row is written, "
					   "and no row of the remote is written here."),
			 errhint("Compute it in a view of the foreign table."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_column")));
}

/*
 * Finds out what a column of the table shows. In a table of one collection, a
 * column with option "field" shows that field, whatever the column's name is.
 */
static void
map_column(IuTable *table, Form_pg_attribute attribute)
{
	int			i = attribute->attnum - 1;
	const char *field = NULL;

	if (attribute->attgenerated == ATTRIBUTE_GENERATED_STORED)
		generated_column(table, NameStr(attribute->attname));
	if (attribute->attgenerated != '\0')
		return;					/* virtual: the server computes it */
	if (table->collection != NULL)
		field = iu_option_value(GetForeignColumnOptions(table->relid, attribute->attnum), "field");
	if (field == NULL)
		table->column_of[i] = find_column(table, attribute);
	if (table->column_of[i] != IU_NO_COLUMN)
	{
		note_key_attribute(table, attribute->attnum);
		return;
	}
	if (table->collection == NULL)
		unknown_column(table, NameStr(attribute->attname));
	table->column_of[i] = IU_FIELD_COLUMN;
	table->field_of[i] = pstrdup(field ? field : NameStr(attribute->attname));
}

/* Finds out what each column of the table shows; dropped ones show nothing. */
static void
map_columns(IuTable *table)
{
	Relation	relation = table_open(table->relid, NoLock);
	TupleDesc	descriptor = RelationGetDescr(relation);
	int			i;

	table->name = pstrdup(RelationGetRelationName(relation));
	table->attribute_count = descriptor->natts;
	table->column_of = palloc0(sizeof(int) * Max(descriptor->natts, 1));
	table->field_of = palloc0(sizeof(char *) * Max(descriptor->natts, 1));
	for (i = 0; i < descriptor->natts; i++)
	{
		table->column_of[i] = IU_NO_COLUMN;
		if (!TupleDescAttr(descriptor, i)->attisdropped)
			map_column(table, TupleDescAttr(descriptor, i));
	}
	table_close(relation, NoLock);
}

/* ---- opening ---- */

/* The url in a server's options, without a slash at its end. Palloc'd; raises if it is missing. */
char *
iu_server_url(List *options)
{
	char	   *url = pstrdup(iu_option_required(options, "url", "foreign server"));
	size_t		length = strlen(url);

	while (length > 0 && url[length - 1] == '/')
		url[--length] = '\0';
	return url;
}

/*
 * A foreign server as the catalogs have it, its options checked; raises for
 * options that are not as they must be. Asks no network and reads no file.
 */
IuServer *
iu_server_open(const IuRemote *remote, Oid oid)
{
	ForeignServer *foreign = GetForeignServer(oid);
	IuServer   *server = palloc0(sizeof(IuServer));

	iu_options_check(remote, ForeignServerRelationId, foreign->options);
	server->id = foreign->serverid;
	server->name = foreign->servername;
	server->remote = remote;
	server->options = foreign->options;
	server->url = iu_server_url(foreign->options);
	server->authorities = iu_option_value(foreign->options, "ca_certificates");
	server->timeout_ms = iu_option_number(foreign->options, "timeout_ms", 0);
	server->connections = iu_option_number(foreign->options, "connections", DEFAULT_CONNECTIONS);
	return server;
}

/* The table's option, else the server's, else NULL. */
static const char *
option_of(const IuTable *table, const char *name)
{
	const char *value = iu_option_value(table->options, name);

	return value ? value : iu_option_value(table->server->options, name);
}

/*
 * A foreign table as the catalogs have it; raises for options and columns that
 * are not as they must be. Asks no network and reads no file.
 *
 * remote: the one of the table's wrapper; relid: the table, locked.
 */
IuTable *
iu_table_open(const IuRemote *remote, Oid relid)
{
	ForeignTable *foreign = GetForeignTable(relid);
	IuTable    *table = palloc0(sizeof(IuTable));
	const char *on_error;

	table->relid = relid;
	table->server = iu_server_open(remote, foreign->serverid);
	table->options = foreign->options;
	iu_options_check(remote, ForeignTableRelationId, foreign->options);

	on_error = option_of(table, "on_error");
	table->null_on_error = on_error != NULL && strcmp(on_error, "null") == 0;
	table->page_size = iu_option_number(table->server->options, "page_size", DEFAULT_PAGE);
	table->page_size = iu_option_number(table->options, "page_size", table->page_size);
	table->resource = iu_option_resource(remote, iu_option_required(table->options, "resource", "foreign table"));
	if (table->resource->has_fields)
		table->collection = iu_option_value(table->options, "collection");
	map_columns(table);
	return table;
}

/* The option of the query's table, else its server's, else NULL. Must be one that the remote has. */
const char *
iu_query_option(const IuQuery *query, const char *name)
{
	return option_of(query->table, name);
}

/* ---- as a part of a plan ---- */

/* Members of the list. */
enum
{
	PACKED_OIDS,				/* oid list: table, server */
	PACKED_NUMBERS,				/* int list: page size, null on error, timeout, connections */
	PACKED_NAMES,				/* strings: table, server, url, resource, and the collection if there is only one */
	PACKED_SERVER_OPTIONS,		/* DefElem */
	PACKED_OPTIONS,				/* DefElem */
	PACKED_COLUMNS,				/* int list: column_of */
	PACKED_FIELDS				/* strings: field_of, without those that show no field */
};

static List *
append_text(List *list, const char *text)
{
	return lappend(list, makeString(pstrdup(text)));
}

/* The table as a list that a plan may hold: it can be copied. */
List *
iu_table_pack(const IuTable *table)
{
	const IuServer *server = table->server;
	List	   *names = NIL;
	List	   *columns = NIL;
	List	   *fields = NIL;
	List	   *packed;
	int			i;

	names = append_text(names, table->name);
	names = append_text(names, server->name);
	names = append_text(names, server->url);
	names = append_text(names, table->resource->name);
	if (table->collection != NULL)
		names = append_text(names, table->collection);
	for (i = 0; i < table->attribute_count; i++)
	{
		columns = lappend_int(columns, table->column_of[i]);
		if (table->field_of[i] != NULL)
			fields = append_text(fields, table->field_of[i]);
	}
	packed = list_make5(list_make2_oid(table->relid, server->id),
						list_make4_int(table->page_size, table->null_on_error, server->timeout_ms, server->connections),
						names, server->options, table->options);
	packed = lappend(packed, columns);
	return lappend(packed, fields);
}

static const char *
nth_text(List *packed, int member, int i)
{
	return strVal(list_nth(list_nth(packed, member), i));
}

/*
 * The table that iu_table_pack made the list of. It points into the list,
 * which must live as long.
 */
IuTable *
iu_table_unpack(const IuRemote *remote, List *packed)
{
	IuTable    *table = palloc0(sizeof(IuTable));
	IuServer   *server = palloc0(sizeof(IuServer));
	List	   *oids = list_nth(packed, PACKED_OIDS);
	List	   *numbers = list_nth(packed, PACKED_NUMBERS);
	List	   *columns = list_nth(packed, PACKED_COLUMNS);
	int			fields = 0;
	int			i;

	server->id = lsecond_oid(oids);
	server->name = nth_text(packed, PACKED_NAMES, 1);
	server->remote = remote;
	server->options = list_nth(packed, PACKED_SERVER_OPTIONS);
	server->url = nth_text(packed, PACKED_NAMES, 2);
	server->authorities = iu_option_value(server->options, "ca_certificates");
	server->timeout_ms = lthird_int(numbers);
	server->connections = lfourth_int(numbers);

	table->relid = linitial_oid(oids);
	table->name = nth_text(packed, PACKED_NAMES, 0);
	table->server = server;
	table->resource = iu_option_resource(remote, nth_text(packed, PACKED_NAMES, 3));
	table->options = list_nth(packed, PACKED_OPTIONS);
	if (list_length(list_nth(packed, PACKED_NAMES)) > 4)
		table->collection = nth_text(packed, PACKED_NAMES, 4);
	table->page_size = linitial_int(numbers);
	table->null_on_error = lsecond_int(numbers);
	table->attribute_count = list_length(columns);
	table->column_of = palloc0(sizeof(int) * Max(table->attribute_count, 1));
	table->field_of = palloc0(sizeof(char *) * Max(table->attribute_count, 1));
	for (i = 0; i < table->attribute_count; i++)
	{
		table->column_of[i] = list_nth_int(columns, i);
		if (table->column_of[i] == IU_FIELD_COLUMN)
			table->field_of[i] = nth_text(packed, PACKED_FIELDS, fields++);
		else if (table->column_of[i] != IU_NO_COLUMN)
			note_key_attribute(table, i + 1);
	}
	return table;
}
