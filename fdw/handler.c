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
#include "fdw/analyze.h"
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

static int
qdrant_sample(Relation relation, int level, HeapTuple *rows, int target, double *total, double *dead)
{
	return iu_analyze_sample(&iu_qdrant, relation, rows, target, total, dead);
}

static bool
qdrant_analyze(Relation relation, AcquireSampleRowsFunc *sample, BlockNumber *pages)
{
	*sample = qdrant_sample;
	*pages = 1;
	return true;
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

static int
directus_sample(Relation relation, int level, HeapTuple *rows, int target, double *total, double *dead)
{
	return iu_analyze_sample(&iu_directus, relation, rows, target, total, dead);
}

static bool
directus_analyze(Relation relation, AcquireSampleRowsFunc *sample, BlockNumber *pages)
{
	*sample = directus_sample;
	*pages = 1;
	return true;
}

static List *
directus_import(ImportForeignSchemaStmt *statement, Oid server)
{
	return iu_import_schema(&iu_directus, statement, server);
}

static FdwRoutine *
routines(GetForeignRelSize_function size, AnalyzeForeignTable_function analyze,
		 ImportForeignSchema_function import)
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
	routine->IsForeignPathAsyncCapable = iu_node_is_async;
	routine->ForeignAsyncRequest = iu_node_request;
	routine->ForeignAsyncConfigureWait = iu_node_configure;
	routine->ForeignAsyncNotify = iu_node_notify;
	routine->ExplainForeignScan = iu_node_explain;
	routine->AnalyzeForeignTable = analyze;
	routine->ImportForeignSchema = import;
	return routine;
}

Datum
iu_qdrant_fdw_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(routines(qdrant_size, qdrant_analyze, qdrant_import));
}

Datum
iu_directus_fdw_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(routines(directus_size, directus_analyze, directus_import));
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
