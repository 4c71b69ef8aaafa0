/*-------------------------------------------------------------------------
 *
 * runner.c
 *	  Carries deliveries of kind sql_function: calls the registered function,
 *	  each call in a transaction of its own together with its record, so that
 *	  what the function did and what is recorded of it stand or fall together.
 *
 * Between passes it takes its turn at what is scheduled (schedule.c).
 *
 * It is a process beside the senders, one a database: a function may take as
 * long as its route allows, and may leave settings and locks behind. Neither
 * reaches a sender. Calls follow one another.
 *
 * The policy catches what a function raises, its timeout included, and names
 * the outcome. A function may also do what lets the record or the commit fail
 * (take the lease away, make the transaction read-only): that undoes the call,
 * and is recorded as a failed attempt in a transaction of its own, so that the
 * route's limit ends it. What fails beside that (no lock, no privilege) costs
 * the delivery no attempt; it is put aside and tried again, while others go on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgworker/schedule.h"
#include "bgworker/worker.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define LONGEST_SLEEP_MS 60000
#define LOCK_WAIT "1s"			/* for what the policy does; a function waits as its timeout allows */
#define FIRST_RETRY_MS 100
#define LAST_RETRY_MS 5000
#define CLAIM_MAX 64
#define ASIDE_MAX CLAIM_MAX		/* with so many put aside nothing more is claimed */
#define EMPTY_PASS_MS 20		/* between passes that find nothing, however often it is woken */

PGDLLEXPORT void iu_runner_main(Datum main_arg);

typedef struct Run
{
	MemoryContext context;
	int64		lease_id;
	int			generation;
	pg_uuid_t	event_id;
	int			replay_number;
	int			timeout_ms;
	bool		called;			/* the lease was ours, and is locked until the transaction ends */
	const char *outcome;		/* sent, failed, held */
	IuBackoff	backoff;		/* while it is put aside */
} Run;

typedef struct Claim
{
	MemoryContext context;
	List	   *runs;
	TimestampTz next;
	bool		idle;			/* nothing was claimed */
} Claim;

static IuCall claim_call = {"fn_iu_function_claim", 2, {TEXTOID, INT4OID}};
static IuCall run_call = {"fn_iu_function_call", 4, {INT8OID, INT4OID, UUIDOID, INT4OID}};
static IuCall record_call = {"fn_iu_function_record", 3, {INT8OID, INT4OID, JSONBOID}};
static IuCall next_call = {"fn_iu_function_next_due"};

static IuWorkerState readiness = IU_STARTING;
static IuBackoff backoff;		/* of claiming */
static IuBackoff schedule_backoff;
static List *aside = NIL;		/* of Run: neither done nor recorded as failed; not in the context of a pass */

/* ---------- claim ---------- */

static Datum
column(uint64 row, const char *name)
{
	int			number = SPI_fnumber(SPI_tuptable->tupdesc, name);
	bool		null = true;
	Datum		value = 0;

	if (number > 0)
		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &null);
	if (null)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a function of the policy returned a delivery without %s", name)));
	return value;
}

static Run *
read_run(MemoryContext context, uint64 row)
{
	Run		   *run = MemoryContextAllocZero(context, sizeof(Run));

	run->context = context;
	run->lease_id = DatumGetInt64(column(row, "lease_id"));
	run->generation = DatumGetInt32(column(row, "lease_generation"));
	run->event_id = *DatumGetUUIDP(column(row, "event_id"));
	run->replay_number = DatumGetInt32(column(row, "replay_number"));
	run->timeout_ms = DatumGetInt32(column(row, "timeout_ms"));
	return run;
}

static TimestampTz
read_next(void)
{
	bool		null = true;
	Datum		due = 0;

	iu_worker_call(&next_call, NULL);
	if (SPI_processed > 0)
		due = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
	return null ? DT_NOEND : DatumGetTimestampTz(due);
}

static void
claim_step(void *argument)
{
	const IuCall *const calls[] = {&claim_call, &run_call, &record_call, &next_call};
	Claim	   *claim = argument;
	Datum		arguments[2];
	uint64		i;

	iu_worker_begin_transaction("claiming deliveries to functions");
	readiness = iu_worker_readiness(calls, lengthof(calls));
	if (readiness == IU_RUNNING)
	{
		arguments[0] = CStringGetTextDatum("iu_core runner");
		arguments[1] = Int32GetDatum(CLAIM_MAX);
		iu_worker_call(&claim_call, arguments);
		claim->idle = SPI_processed == 0;
		for (i = 0; i < SPI_processed; i++)
		{
			Run		   *run = read_run(claim->context, i);
			MemoryContext caller = MemoryContextSwitchTo(claim->context);

			claim->runs = lappend(claim->runs, run);
			MemoryContextSwitchTo(caller);
		}
		claim->next = claim->idle ? read_next() : DT_NOBEGIN;
	}
	iu_worker_commit();
}

/* ---------- call ---------- */

/* What a cancel or the timer left behind means nothing to what comes next. */
static void
disarm(void)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	QueryCancelPending = false;
}

/* The function and its record, in one transaction. */
static void
run_step(void *argument)
{
	Run		   *run = argument;
	Datum		arguments[4];

	run->called = false;
	iu_worker_begin_transaction("calling a registered function");
	arguments[0] = Int64GetDatum(run->lease_id);
	arguments[1] = Int32GetDatum(run->generation);
	arguments[2] = UUIDPGetDatum(&run->event_id);
	arguments[3] = Int32GetDatum(run->replay_number);
	enable_timeout_after(STATEMENT_TIMEOUT, run->timeout_ms);
	iu_worker_call(&run_call, arguments);
	run->called = true;
	disarm();
	run->outcome = iu_worker_column(run->context, 0, "outcome");
	arguments[2] = column(0, "results");
	iu_worker_call(&record_call, arguments);
	iu_worker_commit();
}

/* As DISCARD ALL, for what a function may have left in the session. */
static void
tidy_step(void *argument)
{
	StartTransactionCommand();
	ResetAllOptions();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetTempTableNamespace();
	CommitTransactionCommand();
}

/* After anything of somebody else's; a new process starts clean. */
static void
tidy(void)
{
	ErrorData  *untidy;

	disarm();
	untidy = iu_worker_try(tidy_step, NULL);
	if (untidy != NULL)
	{
		iu_worker_report(untidy);
		proc_exit(1);
	}
}

typedef struct Failure
{
	const Run  *run;
	const ErrorData *error;
} Failure;

static Datum
failure_results(const Failure *failure)
{
	StringInfoData json;
	char	   *detail = psprintf("%s: %s\nafter the call, while its outcome was recorded",
								  unpack_sql_state(failure->error->sqlerrcode), failure->error->message);

	initStringInfo(&json);
	appendStringInfo(&json, "[{\"event_id\": \"%s\", \"replay_number\": %d, \"outcome\": \"failed\", "
					 "\"failure_code\": \"sql_function_failed\", \"failure_detail\": ",
					 DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&failure->run->event_id))),
					 failure->run->replay_number);
	escape_json(&json, detail);
	appendStringInfoString(&json, "}]");
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static void
failure_step(void *argument)
{
	Failure    *failure = argument;
	Datum		arguments[3];

	iu_worker_begin_transaction("recording a call that was undone");
	arguments[0] = Int64GetDatum(failure->run->lease_id);
	arguments[1] = Int32GetDatum(failure->run->generation);
	arguments[2] = failure_results(failure);
	iu_worker_call(&record_call, arguments);
	iu_worker_commit();
}

/* What failed once the function had been called is a failed attempt, if that can be recorded. */
static bool
record_failure(const Run *run, const ErrorData *error)
{
	Failure		failure = {run, error};

	return iu_worker_try(failure_step, &failure) == NULL;
}

static void
report_and_retry(ErrorData *error, IuBackoff *own)
{
	iu_slot_count(iu_my_slot, IU_COUNT_ERRORS, 1);
	iu_backoff_grow(own, FIRST_RETRY_MS, LAST_RETRY_MS);
	iu_worker_report(error);
}

/* Nothing has failed since it last went well. */
static void
show_readiness(void)
{
	if (backoff.delay_ms == 0 && schedule_backoff.delay_ms == 0 && aside == NIL)
		iu_slot_state(iu_my_slot, readiness, "");
}

/* False if it is to be tried again. */
static bool
run_once(Run *run)
{
	ErrorData  *error = iu_worker_try(run_step, run);

	tidy();
	/* What comes after the call may raise the same code for reasons of its own. */
	if (error != NULL && !run->called && error->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
	{
		ereport(LOG,
				(errmsg("a delivery to a function was taken over and is left alone: %s", error->message)));
		return true;
	}
	if (error != NULL && run->called && record_failure(run, error))
	{
		iu_slot_count(iu_my_slot, IU_COUNT_FAILED, 1);
		return true;
	}
	if (error != NULL)
	{
		report_and_retry(error, &run->backoff);
		return false;
	}
	iu_slot_count(iu_my_slot, IU_COUNT_SENT, strcmp(run->outcome, "sent") == 0 ? 1 : 0);
	iu_slot_count(iu_my_slot, IU_COUNT_FAILED, strcmp(run->outcome, "failed") == 0 ? 1 : 0);
	return true;
}

static void
put_aside(const Run *run)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	Run		   *copy = palloc(sizeof(Run));

	*copy = *run;
	aside = lappend(aside, copy);
	MemoryContextSwitchTo(caller);
}

/* What is claimed is this process's to carry, until it is recorded or somebody else's. */
static void
run_claimed(const Claim *claim)
{
	ListCell   *cell;

	foreach(cell, claim->runs)
	{
		iu_worker_absorb();
		iu_slot_tick(iu_my_slot, 0);
		if (!run_once(lfirst(cell)))
			put_aside(lfirst(cell));
	}
}

static void
run_aside(MemoryContext context)
{
	ListCell   *cell;

	foreach(cell, aside)
	{
		Run		   *run = lfirst(cell);

		if (run->backoff.not_before > GetCurrentTimestamp())
			continue;
		iu_worker_absorb();
		iu_slot_tick(iu_my_slot, 0);
		run->context = context;
		if (!run_once(run))
			continue;
		aside = foreach_delete_current(aside, cell);
		pfree(run);
	}
}

static TimestampTz
next_aside(void)
{
	TimestampTz when = DT_NOEND;
	ListCell   *cell;

	foreach(cell, aside)
		when = Min(when, ((Run *) lfirst(cell))->backoff.not_before);
	return when;
}

/* ---------- the loop ---------- */

static TimestampTz
claim_and_run(MemoryContext context)
{
	Claim		claim = {context, NIL, DT_NOEND};
	ErrorData  *error = iu_worker_try(claim_step, &claim);

	if (error != NULL)
	{
		report_and_retry(error, &backoff);
		return backoff.not_before;
	}
	iu_backoff_clear(&backoff);
	if (readiness == IU_RUNNING)
		show_readiness();
	iu_slot_count(iu_my_slot, IU_COUNT_CLAIMED, list_length(claim.runs));
	run_claimed(&claim);
	return Max(claim.next, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), claim.idle ? EMPTY_PASS_MS : 0));
}

/* One thing that is scheduled, unless the last one failed just now; the time of the next. */
static TimestampTz
run_scheduled(void)
{
	ErrorData  *error;
	bool		exists;
	TimestampTz next;

	if (schedule_backoff.not_before > GetCurrentTimestamp())
		return schedule_backoff.not_before;
	iu_worker_absorb();
	iu_slot_tick(iu_my_slot, 0);
	error = iu_schedule_turn(&exists, &next);
	if (exists || error != NULL)
		tidy();
	if (error != NULL)
	{
		report_and_retry(error, &schedule_backoff);
		return schedule_backoff.not_before;
	}
	iu_backoff_clear(&schedule_backoff);
	if (exists && readiness == IU_NOTHING_MIGRATED)
		readiness = IU_RUNNING;	/* not all that it could do, but something */
	show_readiness();
	return next;
}

/* Calls what is due again, claims and calls the next; the time of the next pass. */
static TimestampTz
pass(MemoryContext context)
{
	TimestampTz next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_SLEEP_MS);

	run_aside(context);
	if (list_length(aside) < ASIDE_MAX)
		next = Min(next, claim_and_run(context));
	next = Min(next, next_aside());
	return Min(next, run_scheduled());
}

/* Until that time or the latch, but never sooner than the shortest time between passes. */
static void
sleep_until(TimestampTz until, uint32 wait_event)
{
	TimestampTz earliest = Max(backoff.not_before, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), EMPTY_PASS_MS));

	iu_slot_tick(iu_my_slot, until);
	iu_worker_sleep(until, wait_event);
	while (GetCurrentTimestamp() < Min(earliest, until))
	{
		iu_worker_absorb();
		iu_worker_sleep(Min(earliest, until), wait_event);
	}
}

void
iu_runner_main(Datum main_arg)
{
	uint32		wait_event = iu_wait_event("IuCoreRunnerMain");
	MemoryContext loop_context;

	iu_worker_begin(main_arg, LOCK_WAIT);
	loop_context = AllocSetContextCreate(TopMemoryContext, "iu_core runner pass", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz next;

		MemoryContextReset(loop_context);
		MemoryContextSwitchTo(loop_context);
		iu_worker_absorb();
		next = pass(loop_context);
		if (next > GetCurrentTimestamp())
			sleep_until(next, wait_event);
	}
}
