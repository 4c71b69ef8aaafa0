/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA: "api" is the tables that the API has, "data" a
 *	  table for each collection, with columns as the remote describes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "core/compat.h"
#include "fdw/failure.h"
#include "fdw/import.h"
#include "fdw/options.h"
#include "fdw/session.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define MOST_COLUMNS 1500		/* of a table: the server allows 1600 */

/* The table of a collection. */
typedef struct TableName
{
	char	   *collection;
	char	   *table;
} TableName;

struct IuImport
{
	const ImportForeignSchemaStmt *statement;
	IuSession	session;
	bool		typed;			/* columns have the types of the remote's indexes */
	List	   *names;			/* TableName */
};

/* ---- what import_data calls ---- */

/*
 * A name that is free: the wanted one, cut as the database cuts names, or that
 * with a number.
 *
 * is_taken, state: says which are not free.
 */
static char *
free_name(const char *wanted, bool (*is_taken) (void *state, const char *name), void *state)
{
	int			length = strlen(wanted);
	char	   *name = pnstrdup(wanted, pg_mbcliplen(wanted, length, NAMEDATALEN - 1));
	int			n;

	for (n = 2; is_taken(state, name); n++)
		name = psprintf("%.*s_%d", pg_mbcliplen(wanted, length, NAMEDATALEN - 8), wanted, n);
	return name;
}

/* Whether another collection has a table of this name. state: the import. */
static bool
is_table_taken(void *state, const char *name)
{
	ListCell   *cell;

	foreach(cell, ((IuImport *) state)->names)
		if (strcmp(((TableName *) lfirst(cell))->table, name) == 0)
			return true;
	return false;
}

/* The name of the table of a collection, which is the same at each call. */
static char *
table_name(IuImport *import, const char *collection)
{
	TableName  *name;
	ListCell   *cell;

	foreach(cell, import->names)
	{
		name = lfirst(cell);
		if (strcmp(name->collection, collection) == 0)
			return name->table;
	}
	name = palloc(sizeof(TableName));
	name->collection = pstrdup(collection);
	name->table = free_name(collection, is_table_taken, import);
	import->names = lappend(import->names, name);
	return name->table;
}

/* Whether LIMIT TO and EXCEPT leave the table of this collection. */
bool
iu_import_wants(IuImport *import, const char *collection)
{
	return IsImportableForeignTable(table_name(import, collection),
									unconstify(ImportForeignSchemaStmt *, import->statement));
}

/* Whether columns are to have the types of the remote's indexes, which their values need not have. */
bool
iu_import_is_typed(IuImport *import)
{
	return import->typed;
}

/* Raises. key: the collection it is about; NULL: the listing. */
void
iu_import_fail(IuImport *import, const char *key, const IuFailure *failure)
{
	iu_failure_raise(import->session.server, key, failure, import->session.secret);
}

/*
 * Sends one request and waits for its answer; raises unless that has status 200
 * and is JSON. NULL if a collection that the remote has listed is gone
 * meanwhile, which one notice says.
 *
 * method, path, body, key: as in IuFetch.
 */
const IuJson *
iu_import_ask(IuImport *import, const char *method, const char *path, const char *body, const char *key)
{
	IuFetch		fetch = {method, path, body, key, 0, NULL};
	IuFailure	failure = {0};
	IuHttpAnswer *answer;
	const IuJson *document;
	char	   *problem;
	bool		marked;

	iu_session_send(&import->session, &fetch, NULL);
	do
		answer = iu_session_wait(&import->session, true);
	while (answer == NULL);
	document = iu_session_document(answer, IU_NULLS_REPLACE, &marked, &problem);
	if (document != NULL && answer->status == 200)
		return document;
	iu_failure_of_answer(&failure, import->session.server->remote, &fetch, answer, document, problem,
						 import->session.secret);
	if (key == NULL || strcmp(failure.constraint, "iu_remote_collection_missing") != 0)
		iu_failure_raise(import->session.server, key, &failure, import->session.secret);
	ereport(NOTICE,
			(errmsg("collection \"%s\" of foreign server \"%s\" is gone, and is not imported",
					iu_failure_hide(key, import->session.secret), import->session.server->name)));
	return NULL;
}

/*
 * Adds a column to those of a table.
 *
 * columns: list of IuImportedColumn; name, type, field: as there.
 */
List *
iu_import_column(List *columns, const char *name, const char *type, const char *field)
{
	IuImportedColumn *column = palloc(sizeof(IuImportedColumn));

	column->name = name;
	column->type = type;
	column->field = field;
	return lappend(columns, column);
}

/* ---- statements ---- */

/* The commands that make a table of each resource. */
static List *
import_api(const IuRemote *remote, const IuServer *server)
{
	List	   *commands = NIL;
	int			i;

	for (i = 0; i < remote->resource_count; i++)
		commands = lappend(commands,
						   psprintf("CREATE FOREIGN TABLE %s (%s) SERVER %s OPTIONS (resource '%s')",
									quote_identifier(remote->resources[i].name),
									remote->resources[i].import_columns,
									quote_identifier(server->name),
									remote->resources[i].name));
	return commands;
}

/* The names that columns of a table cannot have, or have already. */
typedef struct ColumnNames
{
	const IuResource *resource;
	List	   *used;			/* C strings */
} ColumnNames;

/*
 * Whether a column of the table, of its resource or of every table has this name
 * already. state: the ColumnNames.
 */
static bool
is_column_taken(void *state, const char *name)
{
	static const char *const system_columns[] = {"tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"};
	const ColumnNames *names = state;
	ListCell   *cell;
	int			i;

	for (i = 0; i < lengthof(system_columns); i++)
		if (strcmp(system_columns[i], name) == 0)
			return true;
	for (i = 0; i < names->resource->column_count; i++)
		if (strcmp(names->resource->columns[i].name, name) == 0)
			return true;
	foreach(cell, names->used)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/* Appends the columns of a table to the command that makes it. */
static void
append_columns(StringInfo command, const IuImportedTable *table, const IuResource *resource)
{
	ColumnNames names = {resource};
	ListCell   *cell;

	foreach(cell, table->columns)
	{
		const IuImportedColumn *column = lfirst(cell);
		char	   *name = pstrdup(column->name);

		if (list_length(names.used) >= MOST_COLUMNS && column->field != NULL)
			continue;
		if (column->field != NULL)
			name = free_name(name[0] != '\0' ? name : "field", is_column_taken, &names);
		appendStringInfo(command, "%s%s %s", names.used != NIL ? ", " : "", quote_identifier(name), column->type);
		if (column->field != NULL)
			appendStringInfo(command, " OPTIONS (field %s)", quote_literal_cstr(column->field));
		names.used = lappend(names.used, name);
	}
	if (list_length(table->columns) > list_length(names.used))
		ereport(NOTICE,
				(errmsg("collection \"%s\" has more fields than a table can have columns", table->collection),
				 errdetail("%d of them have none.", list_length(table->columns) - list_length(names.used))));
}

/* The command that makes the table of a collection. */
static char *
create_table(IuImport *import, const IuImportedTable *table, const IuServer *server)
{
	StringInfoData command;
	ListCell   *cell;

	initStringInfo(&command);
	appendStringInfo(&command, "CREATE FOREIGN TABLE %s (", quote_identifier(table_name(import, table->collection)));
	append_columns(&command, table, iu_option_resource(server->remote, table->resource));
	appendStringInfo(&command, ") SERVER %s OPTIONS (resource %s, collection %s",
					 quote_identifier(server->name), quote_literal_cstr(table->resource),
					 quote_literal_cstr(table->collection));
	foreach(cell, table->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		appendStringInfo(&command, ", %s %s", quote_identifier(option->defname),
						 quote_literal_cstr(defGetString(option)));
	}
	appendStringInfoChar(&command, ')');
	return command.data;
}

/* Whether option "types" of the statement asks for the types of the remote's indexes. Raises for other options. */
static bool
types_are_wanted(List *options)
{
	bool		typed = false;
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "types") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", option->defname),
					 errdetail("There is no option \"%s\" here.", option->defname),
					 errhint("Valid options in this context: types."),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_unknown")));
		typed = strcmp(defGetString(option), "index") == 0;
		if (!typed && strcmp(defGetString(option), "json") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("invalid value for option \"types\""),
					 errdetail("\"%s\" is not allowed here.", defGetString(option)),
					 errhint("Allowed values: json, index."),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_value")));
	}
	return typed;
}

/* The commands that make a table of each collection. */
static List *
import_data(const IuRemote *remote, IuServer *server, const ImportForeignSchemaStmt *statement)
{
	IuImport	import = {statement, .typed = types_are_wanted(statement->options)};
	List	   *commands = NIL;
	List	   *tables;
	ListCell   *cell;

	iu_session_open(&import.session, CurrentMemoryContext, server, GetUserId());
	iu_session_expect(&import.session, 1);
	tables = remote->import_data(&import);
	iu_session_close(&import.session);
	foreach(cell, tables)
		commands = lappend(commands, create_table(&import, lfirst(cell), server));
	return commands;
}

/*
 * ImportForeignSchema: the commands that make the tables of a remote schema.
 *
 * remote: the one of the server's wrapper.
 */
List *
iu_import_schema(const IuRemote *remote, ImportForeignSchemaStmt *statement, Oid server_id)
{
	IuServer   *server = iu_server_open(remote, server_id);

	bool		is_data = strcmp(statement->remote_schema, "data") == 0 && remote->import_data != NULL;

	if (statement->options != NIL && !is_data)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, statement->options)->defname),
				 errdetail("The remote schema \"%s\" takes no options.", statement->remote_schema),
				 errhint("There are no valid options in this context."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_unknown")));
	if (strcmp(statement->remote_schema, "api") == 0)
		return import_api(remote, server);
	if (is_data)
		return import_data(remote, server, statement);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
			 errmsg("%s has no schema \"%s\" to import", remote->name, statement->remote_schema),
			 errdetail("The remote schema is \"%s\"; it may be \"api\" or \"data\".", statement->remote_schema),
			 errhint("Schema \"api\" holds the tables of the API, schema \"data\" a table for each collection."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_import_schema")));
	return NIL;					/* not reached */
}
