/*-------------------------------------------------------------------------
 *
 * migrate.c
 *	  The migration runner: which scripts a run takes, in which order, what is
 *	  recorded and what is reported.
 *
 * One call is one transaction, or a part of the caller's. The scripts run as
 * iu_core_owner, whoever calls; the record is written as the owner of its
 * table, so that nobody but the runner needs a right on it. A dry run does all
 * of it in a subtransaction and undoes that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "core/carried.h"
#include "core/compat.h"
#include "core/gate.h"
#include "core/history.h"
#include "core/inventory.h"
#include "core/migrate.h"
#include "core/migrations.h"
#include "core/policy.h"
#include "core/register.h"
#include "core/rights.h"
#include "core/run_lock.h"
#include "core/script.h"
#include "core/wake.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(iu_migrate);
PG_FUNCTION_INFO_V1(iu_rollback);

typedef struct ReportRow
{
	const IuStep *step;
	const char *change;
	const IuObject *object;		/* of rows lost: class and name only */
	int64		rows_lost;		/* -1: says nothing of rows */
} ReportRow;

typedef struct Run
{
	bool		rolls_back;
	bool		has_target;
	int			target;
	bool		dry_run;
	bool		allow_data_loss;
	Oid			script_role;
	Oid			record_role;	/* owns iu_core.applied_migration */
	List	   *known;			/* of IuStep, as they were before the run */
	List	   *plan;			/* of IuStep, as they are to run */
	IuStep	   *step;			/* the one that runs */
	List	   *report;			/* of ReportRow */
	MemoryContext memory;		/* outlives the subtransaction of a dry run */
} Run;

/* The run of this session, for guard_rows() and against a run within a run. */
static Run *current_run = NULL;

/* ---- The guards ---- */

/*
 * Migration 003 provides the guard: it raises while a gate is open. Where it
 * is gone a gate may still be, and the run would pass what forbids removal.
 */
static void
ask_rollback_guard(Run *run)
{
	char	   *gate;

	if (OidIsValid(iu_policy_function("fn_iu_rollback_guard", 0, NULL)))
		iu_run_script("rollback guard", "SELECT iu.fn_iu_rollback_guard()", NULL, run->script_role);
	gate = iu_gate_any_true();
	if (gate != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("rollback refused: gate \"%s\" is true", gate),
				 errdetail("Gate: %s.", gate),
				 errhint("Close it: SELECT fn_iu_gate_close(%s, session_user, 'reason');", quote_literal_cstr(gate)),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_rollback_gate_open")));
}

/* Whether this session is within a run: guards let its scripts pass. */
bool
iu_migration_is_running(void)
{
	return current_run != NULL;
}

/* Whether this session is within a script of a rollback; what it may ask of the run. */
bool
iu_rollback_is_running(IuRollback *rollback)
{
	if (current_run == NULL || !current_run->rolls_back || current_run->step == NULL)
		return false;
	rollback->target = current_run->target;
	rollback->allow_data_loss = current_run->allow_data_loss;
	return true;
}

/* ---- The run ---- */

static void
report(Run *run, const char *change, const IuObject *object, int64 rows_lost)
{
	MemoryContext saved_memory = MemoryContextSwitchTo(run->memory);
	ReportRow  *row = palloc_object(ReportRow);

	row->step = run->step;
	row->change = change;
	row->object = object;
	row->rows_lost = rows_lost;
	run->report = lappend(run->report, row);
	MemoryContextSwitchTo(saved_memory);
}

static void
report_change(IuChange change, const IuObject *object, void *arg)
{
	static const char *const names[] = {
		[IU_ADDED] = "added",
		[IU_CHANGED] = "changed",
		[IU_REMOVED] = "removed"
	};

	report((Run *) arg, names[change], object, -1);
}

/* Adds a row "rows lost" to the report of the running rollback. */
void
iu_rollback_report_loss(const char *table, long long rows)
{
	MemoryContext saved_memory = MemoryContextSwitchTo(current_run->memory);
	IuObject   *object = palloc0_object(IuObject);

	object->object_class = "table";
	object->name = pstrdup(table);
	MemoryContextSwitchTo(saved_memory);
	report(current_run, "rows lost", object, rows);
}

static void
register_changes(Run *run)
{
	List	   *changes = NIL;
	ListCell   *cell;

	foreach(cell, run->report)
	{
		const ReportRow *row = lfirst(cell);
		IuRegisterChange *change;

		if (row->step != run->step || row->rows_lost >= 0)
			continue;
		change = palloc_object(IuRegisterChange);
		change->change = row->change;
		change->object = row->object;
		changes = lappend(changes, change);
	}
	iu_register_changes(run->step->version, run->rolls_back, changes, run->script_role);
}

static void
run_step(Run *run)
{
	const IuMigration *carried = run->step->carried;

	if (run->rolls_back)
		iu_run_script(psprintf("rollback %s", run->step->script), carried->rollback, NULL, run->script_role);
	else
	{
		iu_run_script(psprintf("migration %s", run->step->script), carried->script, carried->files, run->script_role);
		iu_run_script("subscriptions", "SELECT iu.fn_iu_leave_out_subscriptions()", NULL, run->script_role);
	}
	iu_history_record(run->step, !run->rolls_back, run->record_role);
}

/*
 * The inventory after the step that began with that command. The report's rows
 * point into inventories, which must live as long. The first is one of the whole
 * database, and so is the one after a rollback: conformance looks at all of it
 * after a migration, and nothing does after a rollback.
 */
static IuInventory *
take_inventory(Run *run, const IuInventory *before, CommandId since)
{
	MemoryContext saved_memory = MemoryContextSwitchTo(run->memory);
	IuInventory *inventory = before == NULL || (run->rolls_back && run->step == llast(run->plan))
		? iu_inventory_take(run->script_role)
		: iu_inventory_after(before, run->script_role, since);

	MemoryContextSwitchTo(saved_memory);
	return inventory;
}

/* Conformance is made of functions, which may have been replaced like others. */
static void
refuse_altered_function(void)
{
	char	   *altered = iu_altered_function();

	if (altered != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function %s is not the one that the library carries", altered),
				 errdetail("What it says of conformance, or does, is not what its migration or the extension made."),
				 errhint("Put it back as it was, from a dump or from the script of the migration."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_function_altered")));
}

/* The plan holds every applied migration exactly where the run began from nothing. */
static void
require_conformance(Run *run)
{
	static const Oid types[1] = {BOOLOID};
	bool		from_nothing = ((const IuStep *) linitial(run->plan))->version == iu_migrations[0].version;

	if (!OidIsValid(iu_policy_function("fn_iu_conformance_require", lengthof(types), types)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function " IU_POLICY_SCHEMA ".fn_iu_conformance_require(boolean) is missing"),
				 errdetail("Nothing would say whether what was made before is still as it was made."),
				 errhint("Migration 001 made it. Restore it from a dump, or roll back to nothing and migrate anew."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_conformance_missing")));
	iu_run_script("conformance",
				  psprintf("SELECT iu.fn_iu_conformance_require(%s)", from_nothing ? "true" : "false"),
				  NULL, run->script_role);
	refuse_altered_function();
}

static void
run_steps(Run *run)
{
	IuInventory *before;
	ListCell   *cell;

	if (run->rolls_back)
		ask_rollback_guard(run);
	if (run->plan == NIL)
		return;

	before = take_inventory(run, NULL, FirstCommandId);
	foreach(cell, run->plan)
	{
		CommandId	since = GetCurrentCommandId(false);
		IuInventory *after;

		run->step = lfirst(cell);
		run_step(run);
		after = take_inventory(run, before, since);
		iu_inventory_compare(before, after, report_change, run);
		register_changes(run);
		before = after;
	}
	if (!run->rolls_back)
		require_conformance(run);
}

/* An error, too, must end the subtransaction before it goes on to the caller. */
static void
run_steps_and_undo(Run *run)
{
	MemoryContext saved_memory = CurrentMemoryContext;
	ResourceOwner saved_owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(saved_memory);
	PG_TRY();
	{
		run_steps(run);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(saved_memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(saved_memory);
		CurrentResourceOwner = saved_owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(saved_memory);
	CurrentResourceOwner = saved_owner;
}

static void
exclude_other_runs(Run *run)
{
	if (current_run != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a migration run cannot start another"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_migration_within")));
	iu_exclude_other_runs(run->record_role);
}

static void
refuse_unfit_place(const char *command)
{
	PreventCommandDuringRecovery(command);
	PreventCommandIfReadOnly(command);
	PreventCommandIfParallelMode(command);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("%s needs isolation level READ COMMITTED", command),
				 errdetail("An older snapshot would not see what the last run recorded."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_read_committed")));
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s needs a database with encoding UTF8", command),
				 errdetail("This database has encoding %s.", GetDatabaseEncodingName()),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_database_utf8")));
}

static void
resolve_roles(Run *run)
{
	Oid			schema = get_namespace_oid("iu_core", false);
	Oid			table = get_relname_relid("applied_migration", schema);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", "iu_core.applied_migration"),
				 errdetail("Relation: %s.", "iu_core.applied_migration"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_extension_incomplete")));
	run->record_role = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	run->script_role = get_role_oid(IU_OWNER_ROLE, false);
	if (superuser_arg(run->script_role))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("role \"%s\" is a superuser", IU_OWNER_ROLE),
				 errdetail("It owns what the migrations make, SECURITY DEFINER functions included."),
				 errhint("Take that away: ALTER ROLE %s NOSUPERUSER;", IU_OWNER_ROLE),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_owner_superuser")));
}

static void
make_plan(Run *run)
{
	MemoryContext saved_memory = MemoryContextSwitchTo(run->memory);

	run->known = iu_history_read(run->record_role);
	run->plan = run->rolls_back
		? iu_history_plan_rollback(run->known, run->target)
		: iu_history_plan_migrate(run->known, run->has_target ? &run->target : NULL);
	MemoryContextSwitchTo(saved_memory);
}

static void
put_report(ReturnSetInfo *result, const Run *run)
{
	ListCell   *cell;

	foreach(cell, run->report)
	{
		ReportRow  *row = lfirst(cell);
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = Int32GetDatum(row->step->version);
		values[1] = CStringGetTextDatum(row->step->script);
		values[2] = CStringGetTextDatum(row->change);
		values[3] = CStringGetTextDatum(row->object->object_class);
		values[4] = CStringGetTextDatum(row->object->name);
		values[5] = Int64GetDatum(row->rows_lost);
		nulls[5] = row->rows_lost < 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

static void
execute_run(FunctionCallInfo fcinfo, Run *run)
{
	int			level;

	iu_require_member("iu_core_admin");
	refuse_unfit_place(run->rolls_back ? "iu_core.rollback()" : "iu_core.migrate()");
	InitMaterializedSRF(fcinfo, 0);
	run->memory = AllocSetContextCreate(CurrentMemoryContext, "iu_core migration run", ALLOCSET_DEFAULT_SIZES);
	iu_check_constraints_now();
	level = iu_pin_settings();
	resolve_roles(run);
	exclude_other_runs(run);

	current_run = run;
	PG_TRY();
	{
		make_plan(run);
		if (run->dry_run)
			run_steps_and_undo(run);
		else
			run_steps(run);
	}
	PG_FINALLY();
	{
		current_run = NULL;
	}
	PG_END_TRY();

	AtEOXact_GUC(false, level);
	if (run->rolls_back)
		iu_history_tell_what_stays(run->known, run->target);
	if (!run->dry_run && run->plan != NIL)
		iu_wake_at_commit(IU_WAKE_ALL);
	put_report((ReturnSetInfo *) fcinfo->resultinfo, run);
	MemoryContextDelete(run->memory);
}

static bool
get_flag(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must be true or false, not NULL", name),
				 errdetail("Argument: %s.", name),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_migration_flag")));
	return PG_GETARG_BOOL(argument);
}

/* iu_core.migrate(target, dry_run) */
Datum
iu_migrate(PG_FUNCTION_ARGS)
{
	Run			run = {0};

	run.has_target = !PG_ARGISNULL(0);
	run.target = run.has_target ? PG_GETARG_INT32(0) : 0;
	run.dry_run = get_flag(fcinfo, 1, "dry_run");
	execute_run(fcinfo, &run);
	return (Datum) 0;
}

/* iu_core.rollback(target, dry_run, allow_data_loss) */
Datum
iu_rollback(PG_FUNCTION_ARGS)
{
	Run			run = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rollback needs a target"),
				 errhint("The target is the last migration that stays; 0 rolls all of them back."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_rollback_target")));
	run.rolls_back = true;
	run.has_target = true;
	run.target = PG_GETARG_INT32(0);
	run.dry_run = get_flag(fcinfo, 1, "dry_run");
	run.allow_data_loss = get_flag(fcinfo, 2, "allow_data_loss");
	execute_run(fcinfo, &run);
	return (Datum) 0;
}
