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
#include "fdw/line.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"

struct IuImport
{
	const ImportForeignSchemaStmt *statement;
	IuLine		line;
};

/* ---- what import_data calls ---- */

static char *
table_name(const char *collection)
{
	char	   *name = pstrdup(collection);

	truncate_identifier(name, strlen(name), false);
	return name;
}

bool
iu_import_wants(IuImport *import, const char *collection)
{
	return IsImportableForeignTable(table_name(collection),
									unconstify(ImportForeignSchemaStmt *, import->statement));
}

const char *
iu_import_option(IuImport *import, const char *name)
{
	return iu_option_value(import->line.server->options, name);
}

void
iu_import_fail(IuImport *import, const char *key, const IuFailure *failure)
{
	iu_failure_raise(import->line.server, key, failure, import->line.secret);
}

const IuJson *
iu_import_ask(IuImport *import, const char *method, const char *path, const char *body, const char *key)
{
	IuFetch		fetch = {method, path, body, key, 0, NULL};
	IuHttpAnswer *answer;
	const IuJson *document;
	char	   *problem;

	iu_line_send(&import->line, &fetch, NULL);
	do
		answer = iu_line_wait(&import->line, true);
	while (answer == NULL);
	document = iu_line_document(answer, &problem);
	if (document == NULL || answer->status != 200)
	{
		IuFailure	failure = {0};

		iu_failure_of_answer(&failure, import->line.server->remote, &fetch, answer, document, problem,
							 import->line.secret);
		iu_failure_raise(import->line.server, key, &failure, import->line.secret);
	}
	return document;
}

/* ---- statements ---- */

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

static bool
is_taken(List *names, const char *name)
{
	ListCell   *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/* A name as the database holds it, with a number where one before it is the same. */
static char *
free_name(List *names, const char *wanted)
{
	const char *base = wanted[0] != '\0' ? wanted : "field";
	char	   *name = pnstrdup(base, pg_mbcliplen(base, strlen(base), NAMEDATALEN - 1));
	int			n;

	for (n = 2; is_taken(names, name); n++)
		name = psprintf("%.*s_%d", pg_mbcliplen(base, strlen(base), NAMEDATALEN - 8), base, n);
	return name;
}

static char *
create_table(const IuImportedTable *table, const IuServer *server)
{
	StringInfoData command;
	List	   *names = NIL;
	ListCell   *cell;

	initStringInfo(&command);
	appendStringInfo(&command, "CREATE FOREIGN TABLE %s (", quote_identifier(table_name(table->collection)));
	foreach(cell, table->columns)
	{
		const IuImportedColumn *column = lfirst(cell);

		names = lappend(names, free_name(names, column->name));
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

static List *
import_data(const IuRemote *remote, IuServer *server, const ImportForeignSchemaStmt *statement)
{
	IuImport	import = {statement};
	List	   *commands = NIL;
	List	   *tables;
	ListCell   *cell;

	iu_line_open(&import.line, CurrentMemoryContext, server, GetUserId());
	iu_line_expect(&import.line, 1);
	tables = remote->import_data(&import);
	iu_line_close(&import.line);
	foreach(cell, tables)
		commands = lappend(commands, create_table(lfirst(cell), server));
	return commands;
}

List *
iu_import_schema(const IuRemote *remote, ImportForeignSchemaStmt *statement, Oid server_id)
{
	IuServer   *server = iu_server_open(remote, server_id);

	if (statement->options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, statement->options)->defname),
				 errhint("There are no valid options in this context.")));
	if (strcmp(statement->remote_schema, "api") == 0)
		return import_api(remote, server);
	if (strcmp(statement->remote_schema, "data") == 0 && remote->import_data != NULL)
		return import_data(remote, server, statement);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
			 errmsg("%s has no schema \"%s\" to import", remote->name, statement->remote_schema),
			 errhint("Schema \"api\" holds the tables of the API, schema \"data\" a table for each collection.")));
	return NIL;					/* not reached */
}
