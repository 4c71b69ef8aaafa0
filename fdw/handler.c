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
#include "fdw/import.h"
#include "fdw/node.h"
#include "fdw/plan.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(iu_qdrant_fdw_handler);
PG_FUNCTION_INFO_V1(iu_qdrant_fdw_validator);
PG_FUNCTION_INFO_V1(iu_directus_fdw_handler);
PG_FUNCTION_INFO_V1(iu_directus_fdw_validator);

static void
qdrant_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	iu_plan_size(&iu_qdrant, root, rel, relid);
}

static List *
qdrant_import(ImportForeignSchemaStmt *statement, Oid server)
{
	return iu_import_schema(&iu_qdrant, statement, server);
}

static void
directus_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	iu_plan_size(&iu_directus, root, rel, relid);
}

static List *
directus_import(ImportForeignSchemaStmt *statement, Oid server)
{
	return iu_import_schema(&iu_directus, statement, server);
}

static FdwRoutine *
routines(GetForeignRelSize_function size, ImportForeignSchema_function import)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = size;
	routine->GetForeignPaths = iu_plan_paths;
	routine->GetForeignUpperPaths = iu_plan_upper;
	routine->GetForeignPlan = iu_plan_scan;
	routine->BeginForeignScan = iu_node_begin;
	routine->IterateForeignScan = iu_node_next;
	routine->ReScanForeignScan = iu_node_again;
	routine->EndForeignScan = iu_node_end;
	routine->ExplainForeignScan = iu_node_explain;
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
