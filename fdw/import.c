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
#include "parser/scansup.h"
#include "utils/builtins.h"

struct IuImport
{
	const ImportForeignSchemaStmt *statement;
	IuSession	session;
};

/* ---- what import_data calls ---- */

/* The name of the table of a collection, cut as the database cuts names. */
static char *
table_name(const char *collection)
{
	char	   *name = pstrdup(collection);

	truncate_identifier(name, strlen(name), false);
	return name;
}

/* Whether LIMIT TO and EXCEPT leave the table of this collection. */
bool
iu_import_wants(IuImport *import, const char *collection)
{
	return IsImportableForeignTable(table_name(collection),
									unconstify(ImportForeignSchemaStmt *, import->statement));
}

/* Raises. key: the collection it is about; NULL: the listing. */
void
iu_import_fail(IuImport *import, const char *key, const IuFailure *failure)
{
	iu_failure_raise(import->session.server, key, failure, import->session.secret);
}

/*
 * Sends one request and waits for its answer; raises unless that has status 200
 * and is JSON.
 *
 * method, path, body, key: as in IuFetch.
 */
const IuJson *
iu_import_ask(IuImport *import, const char *method, const char *path, const char *body, const char *key)
{
	IuFetch		fetch = {method, path, body, key, 0, NULL};
	IuHttpAnswer *answer;
	const IuJson *document;
	char	   *problem;

	iu_session_send(&import->session, &fetch, NULL);
	do
		answer = iu_session_wait(&import->session, true);
	while (answer == NULL);
	document = iu_session_document(answer, &problem);
	if (document == NULL || answer->status != 200)
	{
		IuFailure	failure = {0};

		iu_failure_of_answer(&failure, import->session.server->remote, &fetch, answer, document, problem,
							 import->session.secret);
		iu_failure_raise(import->session.server, key, &failure, import->session.secret);
	}
	return document;
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

/* Whether a column of the table, or of its resource, has this name already. */
static bool
is_taken(const IuResource *resource, List *names, const char *name)
{
	ListCell   *cell;
	int			i;

	for (i = 0; i < resource->column_count; i++)
		if (strcmp(resource->columns[i].name, name) == 0)
			return true;
	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/*
 * The name of a column that shows a field: cut to what the database can hold,
 * and with a number where it is taken.
 *
 * names: those of the table's columns so far.
 */
static char *
free_name(const IuResource *resource, List *names, const char *wanted)
{
	const char *base = wanted[0] != '\0' ? wanted : "field";
	char	   *name = pnstrdup(base, pg_mbcliplen(base, strlen(base), NAMEDATALEN - 1));
	int			n;

	for (n = 2; is_taken(resource, names, name); n++)
		name = psprintf("%.*s_%d", pg_mbcliplen(base, strlen(base), NAMEDATALEN - 8), base, n);
	return name;
}

/* The command that makes the table of a collection. */
static char *
create_table(const IuImportedTable *table, const IuServer *server)
{
	const IuResource *resource = iu_option_resource(server->remote, table->resource);
	StringInfoData command;
	List	   *names = NIL;
	ListCell   *cell;

	initStringInfo(&command);
	appendStringInfo(&command, "CREATE FOREIGN TABLE %s (", quote_identifier(table_name(table->collection)));
	foreach(cell, table->columns)
	{
		const IuImportedColumn *column = lfirst(cell);

		names = lappend(names, column->field ? free_name(resource, names, column->name) : pstrdup(column->name));
		appendStringInfo(&command, "%s%s %s", foreach_current_index(cell) ? ", " : "",
						 quote_identifier(llast(names)), column->type);
		if (column->field != NULL)
			appendStringInfo(&command, " OPTIONS (field %s)", quote_literal_cstr(column->field));
	}
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

/* The commands that make a table of each collection. */
static List *
import_data(const IuRemote *remote, IuServer *server, const ImportForeignSchemaStmt *statement)
{
	IuImport	import = {statement};
	List	   *commands = NIL;
	List	   *tables;
	ListCell   *cell;

	iu_session_open(&import.session, CurrentMemoryContext, server, GetUserId());
	iu_session_expect(&import.session, 1);
	tables = remote->import_data(&import);
	iu_session_close(&import.session);
	foreach(cell, tables)
		commands = lappend(commands, create_table(lfirst(cell), server));
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

	if (statement->options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, statement->options)->defname),
				 errhint("There are no valid options in this context."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_unknown")));
	if (strcmp(statement->remote_schema, "api") == 0)
		return import_api(remote, server);
	if (strcmp(statement->remote_schema, "data") == 0 && remote->import_data != NULL)
		return import_data(remote, server, statement);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
			 errmsg("%s has no schema \"%s\" to import", remote->name, statement->remote_schema),
			 errhint("Schema \"api\" holds the tables of the API, schema \"data\" a table for each collection."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_import_schema")));
	return NIL;					/* not reached */
}
