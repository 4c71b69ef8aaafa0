/*-------------------------------------------------------------------------
 *
 * runner.c
 *	  Carries deliveries of kind sql_function: calls the registered function,
 *	  each call in a transaction of its own together with its record, so that
 *	  what the function did and what is recorded of it stand or fall together.
 *
 * Between calls the runner takes its turn at what is scheduled (schedule.c), and
 * looks whether the database is as its migrations made it (conformance.c), and
 * whether the gates stand as people mean them to (troubles.c).
 *
 * It is a process beside the senders, one a database: a function may take as
 * long as its route allows, and may leave settings and locks behind. Neither
 * reaches a sender. Calls follow one another.
 *
 * fn_iu_function_call catches what a function raises, the end of its time
 * included, and names the outcome. A function may also do what lets the record
 * or the commit fail (take the lease away, make the transaction read-only). That
 * undoes the call, and is recorded as a failed attempt in a transaction of its
 * own, so that the route's limit ends it. What fails beside that (no lock, no
 * privilege) costs the delivery no attempt: the call is put aside and tried
 * again, while others go on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgworker/attempt.h"
#include "bgworker/calls.h"
#include "bgworker/conformance.h"
#include "bgworker/loop.h"
#include "bgworker/schedule.h"
#include "bgworker/troubles.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#define LOCK_WAIT "1s"			/* for what the policy does; a function waits as its timeout allows */
#define CLAIM_MAX 64
#define ASIDE_MAX CLAIM_MAX		/* with so many put aside nothing more is claimed */
#define EMPTY_PASS_MS 20		/* between passes that find nothing, however often the runner is woken */

PGDLLEXPORT void iu_runner_main(Datum main_arg);

/* The call of a function for a delivery. The texts of its attempt last as long as the transaction. */
typedef struct FunctionCall
{
	int64		lease_id;
	int			generation;
	int			timeout_ms;
	instr_time	began;
	bool		called;			/* fn_iu_function_call has returned: the lease was this process's */
	IuAttempt	attempt;
	IuBackoff	backoff;		/* while it is put aside */
} FunctionCall;

typedef struct Runner
{
	IuWorkerState readiness;	/* for calls of functions */
	bool		has_schedule;
	TimestampTz next_claim;
	TimestampTz next_turn;
	IuConformanceWatch conformance;
	TimestampTz next_troubles_look;
	List	   *claimed;		/* of FunctionCall, in the memory of the pass */
	MemoryContext aside_context;
	List	   *aside;			/* of FunctionCall: neither done nor recorded as failed; each has a backoff */
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

static FunctionCall *
read_call(uint64 row, const int *columns)
{
	FunctionCall *call = palloc0(sizeof(FunctionCall));

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
		IU_CALL_FUNCTION_CLAIM, IU_CALL_FUNCTION_RUN, IU_CALL_RECORD, IU_CALL_FUNCTION_NEXT_DUE
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
	const Runner *runner = worker;

	return list_length(runner->aside) < ASIDE_MAX ? runner->next_claim : DT_NOEND;
}

static ErrorData *
claim_calls(void *worker)
{
	Runner	   *runner = worker;
	FunctionClaim task = {CurrentMemoryContext, runner->readiness, NIL, DT_NOEND};
	ErrorData  *error;

	runner->claimed = NIL;
	if (list_length(runner->aside) >= ASIDE_MAX)
		return NULL;
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

/* Stops the clock, and forgets a cancel that came too late to end the call. */
static void
disarm(void)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	QueryCancelPending = false;
}

static void
record_call(FunctionCall *call)
{
	instr_time	took;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, call->began);
	call->attempt.microseconds = INSTR_TIME_GET_MICROSEC(took);
	iu_attempts_record(call->lease_id, call->generation, list_make1(&call->attempt));
}

/* The function and its record, in one transaction. What the function raised is an outcome like others. */
static void
call_and_record(void *argument)
{
	static const IuColumn columns[] = {{"outcome", TEXTOID}, {"failure_code", TEXTOID}, {"failure_detail", TEXTOID}};
	int			numbers[lengthof(columns)];
	FunctionCall *call = argument;
	Datum		arguments[4];

	call->called = false;
	call->attempt.started_at = GetCurrentTimestamp();
	INSTR_TIME_SET_CURRENT(call->began);
	arguments[0] = Int64GetDatum(call->lease_id);
	arguments[1] = Int32GetDatum(call->generation);
	arguments[2] = UUIDPGetDatum(&call->attempt.event_id);
	arguments[3] = Int32GetDatum(call->attempt.replay_number);
	enable_timeout_after(STATEMENT_TIMEOUT, call->timeout_ms);
	iu_call(IU_CALL_FUNCTION_RUN, arguments);
	call->called = true;
	disarm();
	iu_row_columns(columns, lengthof(columns), numbers);
	call->attempt.outcome = iu_outcome_by_name(iu_row_text(0, numbers[0]));
	call->attempt.failure_code = iu_row_text(0, numbers[1]);
	call->attempt.failure_detail = iu_row_text(0, numbers[2]);
	record_call(call);
}

/* Discards what a function may have left in the session, as DISCARD ALL would. */
static void
discard_session(void *argument)
{
	StartTransactionCommand();
	ResetAllOptions();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetTempTableNamespace();
	CommitTransactionCommand();
}

/* After each call of a function that is not ours. If it fails, the process ends, and a new one starts clean. */
static void
tidy(void)
{
	ErrorData  *untidy;

	disarm();
	untidy = iu_worker_try(discard_session, NULL);
	if (untidy != NULL)
	{
		iu_worker_report(untidy);
		proc_exit(1);
	}
}

static void
record_undone_call(void *argument)
{
	record_call(argument);
}

/* What failed once the function had been called is a failed attempt, if that can be recorded. */
static bool
record_failure(FunctionCall *call, const ErrorData *error)
{
	call->attempt.outcome = IU_FAILED;
	call->attempt.failure_code = "sql_function_failed";
	call->attempt.failure_detail = psprintf("%s: %s\nafter the call, while its outcome was recorded",
											unpack_sql_state(error->sqlerrcode), error->message);
	return iu_worker_transact("recording a call that was undone", record_undone_call, call) == NULL;
}

/* Calls and records. False if that is to be tried again. */
static bool
call_function(FunctionCall *call)
{
	ErrorData  *error;

	iu_worker_absorb();
	iu_worker_tick();
	error = iu_worker_transact("calling a registered function", call_and_record, call);
	tidy();
	/* Only fn_iu_function_call itself means by this code that the lease is another's. */
	if (error != NULL && !call->called && error->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
	{
		ereport(LOG,
				(errmsg("a delivery to a function was taken over and is left alone: %s", error->message)));
		return true;
	}
	if (error != NULL && call->called && record_failure(call, error))
	{
		iu_worker_count(IU_COUNT_FAILED, 1);
		return true;
	}
	if (error != NULL)
	{
		iu_worker_failed(error, &call->backoff, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS);
		return false;
	}
	iu_worker_count(IU_COUNT_SENT, call->attempt.outcome == IU_SENT ? 1 : 0);
	iu_worker_count(IU_COUNT_FAILED, call->attempt.outcome == IU_FAILED ? 1 : 0);
	return true;
}

static void
put_aside(Runner *runner, const FunctionCall *call)
{
	MemoryContext caller = MemoryContextSwitchTo(runner->aside_context);
	FunctionCall *copy = palloc(sizeof(FunctionCall));

	*copy = *call;
	runner->aside = lappend(runner->aside, copy);
	MemoryContextSwitchTo(caller);
}

/* Carries out what this pass has claimed. */
static ErrorData *
call_claimed(void *worker)
{
	Runner	   *runner = worker;
	ListCell   *cell;

	foreach(cell, runner->claimed)
		if (!call_function(lfirst(cell)))
			put_aside(runner, lfirst(cell));
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
		FunctionCall *call = lfirst(cell);

		if (!iu_is_past(call->backoff.not_before) || !call_function(call))
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
		iu_bring_forward(&when, ((FunctionCall *) lfirst(cell))->backoff.not_before);
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
	error = iu_schedule_turn(&runner->has_schedule, &next);
	if (runner->has_schedule || error != NULL)
		tidy();
	if (error != NULL)
		return error;
	runner->next_turn = next;
	show_readiness(runner);
	return NULL;
}

static TimestampTz
scheduled_turn_due(void *worker)
{
	return ((Runner *) worker)->next_turn;
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
	{IU_EACH_PASS, scheduled_turn_due, take_scheduled_turn, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, conformance_look_due, look_at_conformance, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, troubles_look_due, look_for_troubles, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS}
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
	runner->readiness = IU_STARTING;
	runner->aside_context = AllocSetContextCreate(TopMemoryContext, "iu_core calls put aside", ALLOCSET_SMALL_SIZES);
	iu_worker_run(&runner_kind, runner);
}
