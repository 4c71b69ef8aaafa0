/*-------------------------------------------------------------------------
 *
 * closers.c
 *	  Whether there is a process that would close a gate. What nobody could
 *	  close cannot be opened.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "core/closers.h"
#include "core/compat.h"
#include "core/slots.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(iu_closing_problem);

/* Whether the server has no place for the watchdog of the session's database. */
static bool
watchdog_has_no_place(void)
{
	const char *database = get_database_name(MyDatabaseId);
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		IuWorkerSlot slot;

		if (iu_slot_read(i, &slot) && slot.role == IU_WATCHDOG && database != NULL &&
			strcmp(NameStr(slot.database), database) == 0)
			return slot.state == IU_NO_SLOT;
	}
	return false;
}

/*
 * Whether nothing would close a gate of this database, as far as that does not
 * change by itself; then *problem says why. A watchdog that has just ended is
 * started again, and is no reason.
 */
bool
iu_nobody_closes(IuNoCloser *problem)
{
	problem->name = "iu_no_watchdog";
	problem->hint = "Raise max_worker_processes and restart the server.";
	if (iu_shared == NULL)
	{
		problem->name = "iu_not_preloaded";
		problem->why = pstrdup("iu_core is not preloaded");
		problem->hint = "Add iu_core to shared_preload_libraries and restart the server.";
	}
	else if (!IsUnderPostmaster)
	{
		problem->why = pstrdup("the server runs in single-user mode, without workers");
		problem->hint = "Start the server as a service.";
	}
	else if (!iu_shared->launcher_registered)
		problem->why = psprintf("max_worker_processes is %d, which left no place for the launcher of iu_core",
								max_worker_processes);
	else if (watchdog_has_no_place())
		problem->why = psprintf("max_worker_processes is %d, which left no place for the watchdog of this database",
								max_worker_processes);
	else
		return false;
	return true;
}

/* iu_core.closing_problem(): nulls, or why nothing would close a gate, what to do, and the name of the refusal. */
Datum
iu_closing_problem(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3] = {0};
	bool		nulls[3] = {true, true, true};
	IuNoCloser	problem;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (iu_nobody_closes(&problem))
	{
		values[0] = CStringGetTextDatum(problem.why);
		values[1] = CStringGetTextDatum(problem.hint);
		values[2] = CStringGetTextDatum(problem.name);
		memset(nulls, false, sizeof(nulls));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
