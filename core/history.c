/*-------------------------------------------------------------------------
 *
 * history.c
 *	  Which migrations there are and which of them were applied: the scripts of
 *	  this library against iu_core.applied_migration. From both follows what a
 *	  run to a target takes, in which order, and what forbids it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/history.h"
#include "core/rights.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_migration_scripts);

static const IuMigration *
find_carried(int version)
{
	int			i;

	for (i = 0; i < iu_migration_count; i++)
		if (iu_migrations[i].version == version)
			return &iu_migrations[i];
	return NULL;
}

/* SHA-256 in hex of a script as it lies in the repository. */
static text *
checksum_of(const char *script)
{
	Datum		hash = DirectFunctionCall1(sha256_bytea, PointerGetDatum(cstring_to_text(script)));

	return DatumGetTextPP(DirectFunctionCall2(binary_encode, hash, CStringGetTextDatum("hex")));
}

/* iu_core.migration_scripts(): the migrations that the library carries, a row each. */
Datum
iu_migration_scripts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < iu_migration_count; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = Int32GetDatum(iu_migrations[i].version);
		values[1] = CStringGetTextDatum(iu_migrations[i].name);
		values[2] = PointerGetDatum(checksum_of(iu_migrations[i].script));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static IuStep *
make_step(HeapTuple row, TupleDesc desc)
{
	IuStep	   *step = palloc0_object(IuStep);
	const char *state = SPI_getvalue(row, desc, 3);
	bool		pending;
	Datum		applied_at = SPI_getbinval(row, desc, 4, &pending);
	char	   *nth = SPI_getvalue(row, desc, 5);

	step->version = pg_strtoint32(SPI_getvalue(row, desc, 1));
	step->script = psprintf("%03d_%s", step->version, SPI_getvalue(row, desc, 2));
	step->drifted = strcmp(state, "drifted") == 0;
	step->applied = strcmp(state, "pending") != 0;
	step->applied_at = pending ? 0 : DatumGetTimestampTz(applied_at);
	step->nth = nth == NULL ? 0 : pg_strtoint32(nth);
	step->carried = find_carried(step->version);
	return step;
}

/*
 * Every migration that the library carries or that was applied, as IuStep, by
 * version. The role owns the record.
 */
List *
iu_history_read(Oid role)
{
	MemoryContext memory = CurrentMemoryContext;
	IuIdentity	caller = iu_become(role);
	List	   *known = NIL;
	uint64		i;

	SPI_connect();
	if (SPI_execute("SELECT m.version, m.name, m.state, m.applied_at, a.nth FROM iu_core.migrations m"
					" LEFT JOIN iu_core.applied_migration a ON a.version = m.version ORDER BY m.version",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "iu_core.migrations cannot be read");
	for (i = 0; i < SPI_processed; i++)
	{
		MemoryContext spi_memory = MemoryContextSwitchTo(memory);

		known = lappend(known, make_step(SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
		MemoryContextSwitchTo(spi_memory);
	}
	SPI_finish();
	iu_become_again(caller);
	return known;
}

/*
 * Notes that a migration was applied, or that it was rolled back. The role owns
 * the record.
 */
void
iu_history_record(const IuStep *step, bool applied, Oid role)
{
	Oid			types[3] = {INT4OID, TEXTOID, TEXTOID};
	Datum		values[3];
	IuIdentity	caller = iu_become(role);
	int			result;

	values[0] = Int32GetDatum(step->version);
	SPI_connect();
	if (applied)
	{
		values[1] = CStringGetTextDatum(step->carried->name);
		values[2] = PointerGetDatum(checksum_of(step->carried->script));
		result = SPI_execute_with_args("INSERT INTO iu_core.applied_migration (version, name, checksum, nth)"
									   " VALUES ($1, $2, $3, (SELECT coalesce(max(a.nth), 0) + 1"
									   " FROM iu_core.applied_migration a))",
									   3, types, values, NULL, false, 0);
	}
	else
		result = SPI_execute_with_args("DELETE FROM iu_core.applied_migration WHERE version = $1",
									   1, types, values, NULL, false, 0);
	if (result < 0 || SPI_processed != 1)
		elog(ERROR, "migration %s could not be recorded", step->script);
	SPI_finish();
	iu_become_again(caller);
}

/* "1, 2, 3": carried by the library, or applied to the database. */
static char *
list_versions(const List *known, bool applied)
{
	StringInfoData list;
	ListCell   *cell;

	initStringInfo(&list);
	foreach(cell, known)
	{
		IuStep	   *step = lfirst(cell);

		if (applied ? step->applied : step->carried != NULL)
			appendStringInfo(&list, "%s%d", list.len > 0 ? ", " : "", step->version);
	}
	return list.len > 0 ? list.data : "none";
}

static int
highest_applied_below(const List *known, int limit)
{
	int			version = 0;
	ListCell   *cell;

	foreach(cell, known)
	{
		IuStep	   *step = lfirst(cell);

		if (step->applied && step->version < limit)
			version = step->version;
	}
	return version;
}

static void
refuse_drift(const List *known, const IuStep *step)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration %s has drifted", step->script),
			 step->carried
			 ? errdetail("The library's script differs from the one that was applied.")
			 : errdetail("It was applied, but the library does not carry it."),
			 step->carried
			 ? errhint("Roll back below it and migrate again: SELECT * FROM iu_core.rollback(%d); "
					   "SELECT * FROM iu_core.migrate(); or load the library that applied it.",
					   highest_applied_below(known, step->version))
			 : errhint("Load the library that applied it."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_migration_drifted")));
}

/*
 * The pending migrations up to the target (NULL: all), as they are to run. Raises
 * where one has drifted, where there is no such target, and where the database is
 * beyond it.
 */
List *
iu_history_plan_migrate(const List *known, const int *target)
{
	List	   *plan = NIL;
	ListCell   *cell;

	if (target && find_carried(*target) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no migration %d", *target),
				 errdetail("The library carries: %s.", list_versions(known, false)),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_migration_unknown")));

	foreach(cell, known)
	{
		IuStep	   *step = lfirst(cell);

		if (step->drifted)
			refuse_drift(known, step);
		if (!step->applied && (target == NULL || step->version <= *target))
			plan = lappend(plan, step);
	}

	if (plan == NIL && target && highest_applied_below(known, PG_INT32_MAX) > *target)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the database is beyond migration %d", *target),
				 errdetail("Applied are: %s.", list_versions(known, true)),
				 errhint("To go back to it: SELECT * FROM iu_core.rollback(%d);", *target),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_migration_beyond")));
	return plan;
}

/* Every step that a rollback needs is carried; drift is no obstacle to undoing it. */
static void
check_rollback_plan(const List *known, const List *plan)
{
	ListCell   *cell;

	foreach(cell, plan)
	{
		IuStep	   *step = lfirst(cell);

		if (step->carried == NULL)
			refuse_drift(known, step);
		if (step->drifted)
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("migration %s has drifted: what was applied may not be all that its rollback removes",
							step->script)));
	}
}

/*
 * The applied migrations above the target, the last first. Raises where the
 * target is neither 0 nor applied, and where the library does not carry a script.
 */
List *
iu_history_plan_rollback(const List *known, int target)
{
	List	   *plan = NIL;
	bool		found = target == 0;
	ListCell   *cell;

	foreach(cell, known)
	{
		IuStep	   *step = lfirst(cell);

		if (!step->applied)
			continue;
		if (step->version == target)
			found = true;
		else if (step->version > target)
			plan = lcons(step, plan);
	}
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot roll back to migration %d, which is not applied", target),
				 errdetail("Applied are: %s.", list_versions(known, true)),
				 errhint("The target is the last migration that stays; 0 rolls all of them back."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_rollback_target_unknown")));
	check_rollback_plan(known, plan);
	return plan;
}

static const IuStep *
find_known(const List *known, int version)
{
	ListCell   *cell;

	foreach(cell, known)
	{
		const IuStep *step = lfirst(cell);

		if (step->version == version)
			return step;
	}
	return NULL;
}

/*
 * By the number that was noted, since a clock may have been set back. Where both
 * have none, or the same, as in a record of before there were such numbers, the
 * clock is all there is.
 */
static bool
was_applied_after(const IuStep *step, const IuStep *other)
{
	return step->nth != other->nth ? step->nth > other->nth : step->applied_at > other->applied_at;
}

/*
 * Tells which migrations below the target, a number that is applied or 0, were
 * applied after it: they came into the library later. A rollback to the target
 * leaves them, so the database is not again what it was with the target as its
 * last one.
 */
void
iu_history_tell_what_stays(const List *known, int target)
{
	const IuStep *last = find_known(known, target);
	StringInfoData list;
	int			lowest = 0;
	ListCell   *cell;

	initStringInfo(&list);
	foreach(cell, known)
	{
		const IuStep *step = lfirst(cell);

		if (last == NULL || !step->applied || step->version >= target || !was_applied_after(step, last))
			continue;
		if (lowest == 0)
			lowest = step->version;
		appendStringInfo(&list, "%s%d", list.len > 0 ? ", " : "", step->version);
	}
	if (lowest == 0)
		return;
	ereport(NOTICE,
			(errmsg("migrations below %d that were applied after it stay: %s", target, list.data),
			 errdetail("A rollback to %d takes what is above it by number, whenever it was applied.", target),
			 errhint("To go back to before them: SELECT * FROM iu_core.rollback(%d); it refuses where rows "
					 "would be lost.",
					 highest_applied_below(known, lowest))));
}
