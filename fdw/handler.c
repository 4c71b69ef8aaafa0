/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  Entry points of the foreign data wrappers.
 *
 * One set of routines serves every remote; the planner's first call and the
 * import say which one it is, and the plan remembers it by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/options.h"
#include "fdw/plan.h"
#include "fdw/scan.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(iu_qdrant_fdw_handler);
PG_FUNCTION_INFO_V1(iu_qdrant_fdw_validator);
PG_FUNCTION_INFO_V1(iu_directus_fdw_handler);
PG_FUNCTION_INFO_V1(iu_directus_fdw_validator);

static const IuRemote *const remotes[] = {&iu_qdrant, &iu_directus};

const IuRemote *
iu_remote_by_name(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(remotes); i++)
		if (strcmp(remotes[i]->name, name) == 0)
			return remotes[i];
	elog(ERROR, "unknown remote API \"%s\"", name);
	return NULL;
}

/* One foreign table per kind, whatever the remote schema is called. */
static List *
import_schema(const IuRemote *remote, ImportForeignSchemaStmt *statement, Oid server)
{
	List	   *commands = NIL;
	int			i;

	if (statement->options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, statement->options)->defname),
				 errhint("There are no valid options in this context.")));
	for (i = 0; i < remote->resource_count; i++)
		commands = lappend(commands,
						   psprintf("CREATE FOREIGN TABLE %s (%s) SERVER %s OPTIONS (resource '%s')",
									quote_identifier(remote->resources[i].name),
									remote->resources[i].import_columns,
									quote_identifier(GetForeignServer(server)->servername),
									remote->resources[i].name));
	return commands;
}

static void
qdrant_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	iu_plan_size(&iu_qdrant, root, rel, relid);
}

static List *
qdrant_import(ImportForeignSchemaStmt *statement, Oid server)
{
	return import_schema(&iu_qdrant, statement, server);
}

static void
directus_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	iu_plan_size(&iu_directus, root, rel, relid);
}

static List *
directus_import(ImportForeignSchemaStmt *statement, Oid server)
{
	return import_schema(&iu_directus, statement, server);
}

static FdwRoutine *
routines(GetForeignRelSize_function size, ImportForeignSchema_function import)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = size;
	routine->GetForeignPaths = iu_plan_paths;
	routine->GetForeignPlan = iu_plan_scan;
	routine->BeginForeignScan = iu_scan_begin;
	routine->IterateForeignScan = iu_scan_next;
	routine->ReScanForeignScan = iu_scan_again;
	routine->EndForeignScan = iu_scan_end;
	routine->ExplainForeignScan = iu_scan_explain;
	routine->ImportForeignSchema = import;
	return routine;
}

Datum
iu_qdrant_fdw_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(routines(qdrant_size, qdrant_import));
}

Datum
iu_directus_fdw_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(routines(directus_size, directus_import));
}

Datum
iu_qdrant_fdw_validator(PG_FUNCTION_ARGS)
{
	iu_options_validate(&iu_qdrant, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

Datum
iu_directus_fdw_validator(PG_FUNCTION_ARGS)
{
	iu_options_validate(&iu_directus, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
