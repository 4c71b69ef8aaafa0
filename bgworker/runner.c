/*-------------------------------------------------------------------------
 *
 * runner.c
 *	  Carries deliveries of kind sql_function: calls the registered functions
 *	  (function_call.c).
 *
 * Between calls the runner takes its turn at what is scheduled (schedule.c), and
 * looks whether the database is as its migrations made it (conformance.c) and
 * whether the gates stand as people mean them to (troubles.c), and sees to it that
 * there are partitions for the days to come (partitions.c).
 *
 * It is a process beside the senders, one a database: a function may take as
 * long as its route allows, and may leave settings and locks behind. Neither
 * reaches a sender. Calls follow one another. One that does not end by its time
 * ends the process; the launcher starts the next one at once, which calls the
 * functions of other routes first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/conformance.h"
#include "bgworker/function_call.h"
#include "bgworker/limit.h"
#include "bgworker/loop.h"
#include "bgworker/partitions.h"
#include "bgworker/schedule.h"
#include "bgworker/troubles.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LOCK_WAIT "1s"			/* for what the policy does; a function waits as its timeout allows */
#define CLAIM_MAX 64
#define EMPTY_PASS_MS 20		/* between passes that find nothing, however often the runner is woken */

PGDLLEXPORT void iu_runner_main(Datum main_arg);

typedef struct Runner
{
	IuWorkerState readiness;	/* for calls of functions */
	bool		overran;		/* the process before this one did, and its call has not been found yet */
	bool		has_schedule;
	bool		has_turned;		/* at it, since the process began */
	TimestampTz next_claim;
	TimestampTz next_turn;
	IuConformanceWatch conformance;
	TimestampTz next_troubles_look;
	TimestampTz next_partitions_look;
	List	   *claimed;		/* of IuFunctionCall, in the memory of the pass */
	MemoryContext aside_context;
	List	   *aside;			/* of IuFunctionCall: neither done nor recorded as failed; each has a backoff */
} Runner;

/* A runner that cannot call functions, but carry out what is scheduled, shows that it runs. */
static void
show_readiness(const Runner *runner)
{
	bool		only_schedule = runner->readiness == IU_NOTHING_MIGRATED && runner->has_schedule;

	iu_worker_ready(only_schedule ? IU_RUNNING : runner->readiness);
}

/* ---------- claim ---------- */

enum
{
	CALL_LEASE_ID,
	CALL_LEASE_GENERATION,
	CALL_EVENT_ID,
	CALL_REPLAY_NUMBER,
	CALL_ATTEMPT_NO,
	CALL_TIMEOUT_MS,
	CALL_COLUMNS
};

static const IuColumn call_columns[CALL_COLUMNS] = {
	[CALL_LEASE_ID] = {"lease_id", INT8OID},
	[CALL_LEASE_GENERATION] = {"lease_generation", INT4OID},
	[CALL_EVENT_ID] = {"event_id", UUIDOID},
	[CALL_REPLAY_NUMBER] = {"replay_number", INT4OID},
	[CALL_ATTEMPT_NO] = {"attempt_no", INT4OID},
	[CALL_TIMEOUT_MS] = {"timeout_ms", INT4OID},
};

static IuFunctionCall *
read_call(uint64 row, const int *columns)
{
	IuFunctionCall *call = palloc0(sizeof(IuFunctionCall));

	call->lease_id = DatumGetInt64(iu_row_required(row, columns[CALL_LEASE_ID]));
	call->generation = DatumGetInt32(iu_row_required(row, columns[CALL_LEASE_GENERATION]));
	call->attempt.event_id = *DatumGetUUIDP(iu_row_required(row, columns[CALL_EVENT_ID]));
	call->attempt.replay_number = DatumGetInt32(iu_row_required(row, columns[CALL_REPLAY_NUMBER]));
	call->attempt.attempt_no = DatumGetInt32(iu_row_required(row, columns[CALL_ATTEMPT_NO]));
	call->attempt.retry_after = -1;
	call->timeout_ms = DatumGetInt32(iu_row_required(row, columns[CALL_TIMEOUT_MS]));
	return call;
}

typedef struct FunctionClaim
{
	MemoryContext context;		/* of the pass */
	IuWorkerState readiness;
	List	   *calls;
	TimestampTz next;			/* when to claim again */
} FunctionClaim;

static void
read_calls(FunctionClaim *task)
{
	MemoryContext caller = MemoryContextSwitchTo(task->context);
	int			columns[CALL_COLUMNS];
	uint64		i;

	iu_row_columns(call_columns, CALL_COLUMNS, columns);
	for (i = 0; i < SPI_processed; i++)
		task->calls = lappend(task->calls, read_call(i, columns));
	MemoryContextSwitchTo(caller);
}

static TimestampTz
find_next_claim(void)
{
	bool		null;
	Datum		due = iu_call_for_value(IU_CALL_FUNCTION_NEXT_DUE, NULL, &null);

	return Max(null ? DT_NOEND : DatumGetTimestampTz(due), iu_from_now(EMPTY_PASS_MS));
}

static void
claim_functions(void *argument)
{
	static const IuCall calls[] = {
		IU_CALL_FUNCTION_CLAIM, IU_CALL_FUNCTION_BEGIN, IU_CALL_FUNCTION_RUN, IU_CALL_RECORD, IU_CALL_FUNCTION_NEXT_DUE
	};
	FunctionClaim *task = argument;
	Datum		arguments[2];

	task->readiness = iu_calls_readiness(calls, lengthof(calls));
	if (task->readiness != IU_RUNNING)
		return;
	arguments[0] = CStringGetTextDatum("iu_core runner");
	arguments[1] = Int32GetDatum(CLAIM_MAX);
	iu_call(IU_CALL_FUNCTION_CLAIM, arguments);
	read_calls(task);
	task->next = task->calls == NIL ? find_next_claim() : 0;
}

static TimestampTz
claim_calls_due(void *worker)
{
	return ((const Runner *) worker)->next_claim;
}

static ErrorData *
claim_calls(void *worker)
{
	Runner	   *runner = worker;
	FunctionClaim task = {CurrentMemoryContext, runner->readiness, NIL, DT_NOEND};
	ErrorData  *error;

	runner->claimed = NIL;
	error = iu_worker_transact("claiming deliveries to functions", claim_functions, &task);
	if (error != NULL)
		return error;
	runner->readiness = task.readiness;
	show_readiness(runner);
	runner->claimed = task.calls;
	runner->next_claim = Min(task.next, iu_from_now(IU_LONGEST_SLEEP_MS));
	iu_worker_count(IU_COUNT_CLAIMED, list_length(task.calls));
	return NULL;
}

/* ---------- call ---------- */

static void
put_aside(Runner *runner, const IuFunctionCall *call)
{
	MemoryContext caller = MemoryContextSwitchTo(runner->aside_context);
	IuFunctionCall *copy = palloc(sizeof(IuFunctionCall));

	*copy = *call;
	runner->aside = lappend(runner->aside, copy);
	MemoryContextSwitchTo(caller);
}

/* Makes calls. Returns those whose turn comes after all others. */
static List *
make_calls(Runner *runner, const List *calls)
{
	List	   *last = NIL;
	ListCell   *cell;

	foreach(cell, calls)
	{
		IuFunctionCall *call = lfirst(cell);

		switch (iu_function_call(call, &runner->overran))
		{
			case IU_CALL_DONE:
				break;
			case IU_CALL_AGAIN:
				put_aside(runner, call);
				break;
			case IU_CALL_LAST:
				last = lappend(last, call);
				break;
		}
	}
	return last;
}

/* Carries out what this pass has claimed. */
static ErrorData *
call_claimed(void *worker)
{
	Runner	   *runner = worker;

	(void) make_calls(runner, make_calls(runner, runner->claimed));
	runner->claimed = NIL;
	return NULL;
}

static TimestampTz
call_claimed_due(void *worker)
{
	return ((Runner *) worker)->claimed != NIL ? 0 : DT_NOEND;
}

/* Tries again, of what was put aside, that which is due. */
static ErrorData *
call_aside(void *worker)
{
	Runner	   *runner = worker;
	ListCell   *cell;

	foreach(cell, runner->aside)
	{
		IuFunctionCall *call = lfirst(cell);

		if (!iu_is_past(call->backoff.not_before) || iu_function_call(call, &runner->overran) != IU_CALL_DONE)
			continue;
		runner->aside = foreach_delete_current(runner->aside, cell);
		pfree(call);
	}
	return NULL;
}

static TimestampTz
call_aside_due(void *worker)
{
	TimestampTz when = DT_NOEND;
	ListCell   *cell;

	foreach(cell, ((Runner *) worker)->aside)
		iu_bring_forward(&when, ((IuFunctionCall *) lfirst(cell))->backoff.not_before);
	return when;
}

/* ---------- schedule ---------- */

/* Does one thing that is scheduled, if any is due. */
static ErrorData *
take_scheduled_turn(void *worker)
{
	Runner	   *runner = worker;
	ErrorData  *error;
	TimestampTz next;

	iu_worker_absorb();
	iu_worker_tick();
	error = iu_schedule_turn(&runner->has_turned, &runner->has_schedule, &next);
	if (runner->has_schedule || error != NULL)
		iu_function_tidy();
	if (error != NULL)
		return error;
	runner->next_turn = next;
	show_readiness(runner);
	return NULL;
}

/* Events that are written bring nothing that is on a schedule; whatever else wakes the runner may. */
static TimestampTz
scheduled_turn_due(void *worker)
{
	Runner	   *runner = worker;

	if (iu_slot_look_around(iu_worker_slot()))
		runner->next_turn = 0;
	return runner->next_turn;
}

/* ---------- conformance ---------- */

static ErrorData *
look_at_conformance(void *worker)
{
	return iu_conformance_look(&((Runner *) worker)->conformance);
}

static TimestampTz
conformance_look_due(void *worker)
{
	return ((Runner *) worker)->conformance.next_look;
}

/* ---------- gates ---------- */

static ErrorData *
look_for_troubles(void *worker)
{
	return iu_troubles_look(&((Runner *) worker)->next_troubles_look);
}

static TimestampTz
troubles_look_due(void *worker)
{
	return ((Runner *) worker)->next_troubles_look;
}

/* ---------- partitions ---------- */

static ErrorData *
tend_partitions(void *worker)
{
	return iu_partitions_tend(&((Runner *) worker)->next_partitions_look);
}

static TimestampTz
partitions_look_due(void *worker)
{
	return ((Runner *) worker)->next_partitions_look;
}

/* ---------- the runner ---------- */

static bool
runner_is_troubled(void *worker)
{
	return ((Runner *) worker)->aside != NIL;
}

static const IuDuty runner_duties[] = {
	{IU_WHEN_DUE, call_aside_due, call_aside, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_EACH_PASS, claim_calls_due, claim_calls, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, call_claimed_due, call_claimed, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, scheduled_turn_due, take_scheduled_turn, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, conformance_look_due, look_at_conformance, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, troubles_look_due, look_for_troubles, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, partitions_look_due, tend_partitions, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS}
};

static const IuWorkerKind runner_kind = {
	.wait_event = "IuCoreRunnerMain",
	.duties = runner_duties,
	.duty_count = lengthof(runner_duties),
	.rest_ms = EMPTY_PASS_MS,
	.troubled = runner_is_troubled
};

/* The main function of the process. main_arg: the number of its slot. */
void
iu_runner_main(Datum main_arg)
{
	Runner	   *runner = MemoryContextAllocZero(TopMemoryContext, sizeof(Runner));

	iu_worker_begin(main_arg, LOCK_WAIT);
	iu_limit_init();
	runner->overran = iu_slot_take_overrun(iu_worker_slot());
	runner->readiness = IU_STARTING;
	runner->aside_context = AllocSetContextCreate(TopMemoryContext, "iu_core calls put aside", ALLOCSET_SMALL_SIZES);
	iu_worker_run(&runner_kind, runner);
}
