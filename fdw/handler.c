/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  Entry points of the foreign data wrappers.
 *
 * One set of routines serves every remote. Those that have to know which one it
 * is are here, once for each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/analyze.h"
#include "fdw/directus/directus.h"
#include "fdw/explain.h"
#include "fdw/import.h"
#include "fdw/node.h"
#include "fdw/options.h"
#include "fdw/paths.h"
#include "fdw/plan.h"
#include "fdw/qdrant/qdrant.h"
#include "fdw/relation.h"
#include "fdw/upper.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"

PG_FUNCTION_INFO_V1(iu_qdrant_fdw_handler);
PG_FUNCTION_INFO_V1(iu_qdrant_fdw_validator);
PG_FUNCTION_INFO_V1(iu_directus_fdw_handler);
PG_FUNCTION_INFO_V1(iu_directus_fdw_validator);

static void
qdrant_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	iu_relation_open(&iu_qdrant, root, rel, relid);
}

static void
qdrant_begin(ForeignScanState *state, int flags)
{
	iu_node_begin(&iu_qdrant, state, flags);
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
	iu_relation_open(&iu_directus, root, rel, relid);
}

static void
directus_begin(ForeignScanState *state, int flags)
{
	iu_node_begin(&iu_directus, state, flags);
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

/* What a handler returns: what is the remote's own, and what serves every remote. */
static FdwRoutine *
routines(GetForeignRelSize_function size, BeginForeignScan_function begin,
		 AnalyzeForeignTable_function analyze, ImportForeignSchema_function import)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = size;
	routine->GetForeignPaths = iu_paths_add;
	routine->GetForeignUpperPaths = iu_upper_add;
	routine->GetForeignPlan = iu_plan_scan;
	routine->BeginForeignScan = begin;
	routine->IterateForeignScan = iu_node_next;
	routine->ReScanForeignScan = iu_node_again;
	routine->EndForeignScan = iu_node_end;
	routine->IsForeignPathAsyncCapable = iu_node_is_async;
	routine->ForeignAsyncRequest = iu_node_request;
	routine->ForeignAsyncConfigureWait = iu_node_configure;
	routine->ForeignAsyncNotify = iu_node_notify;
	routine->ExplainForeignScan = iu_explain_scan;
	routine->AnalyzeForeignTable = analyze;
	routine->ImportForeignSchema = import;
	return routine;
}

/* iu_core.qdrant_fdw_handler() */
Datum
iu_qdrant_fdw_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(routines(qdrant_size, qdrant_begin, qdrant_analyze, qdrant_import));
}

/* iu_core.directus_fdw_handler() */
Datum
iu_directus_fdw_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(routines(directus_size, directus_begin, directus_analyze, directus_import));
}

/* iu_core.qdrant_fdw_validator(options, catalog) */
Datum
iu_qdrant_fdw_validator(PG_FUNCTION_ARGS)
{
	iu_options_validate(&iu_qdrant, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

/* iu_core.directus_fdw_validator(options, catalog) */
Datum
iu_directus_fdw_validator(PG_FUNCTION_ARGS)
{
	iu_options_validate(&iu_directus, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
