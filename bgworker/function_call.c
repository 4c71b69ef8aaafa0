/*-------------------------------------------------------------------------
 *
 * function_call.c
 *	  The call of a registered function for a delivery, in a transaction of its
 *	  own together with its record, so that what the function did and what is
 *	  recorded of it stand or fall together.
 *
 * fn_iu_function_call catches what a function raises, the end of its time
 * included, and names the outcome. A function may also do what lets the record
 * or the commit fail (take the lease away, make the transaction read-only). That
 * undoes the call, and is recorded as a failed attempt in a transaction of its
 * own, so that the route's limit ends it. What fails beside that (no lock, no
 * privilege) costs the delivery no attempt: the call is put aside and tried
 * again, while others go on.
 *
 * That a call begins is committed before it. So a call that ended its process is
 * known to the next one: one that did not end by its time (limit.c) is a failed
 * attempt, and any other, which may have been an accident, is called once more,
 * after all others, before it is one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgworker/calls.h"
#include "bgworker/function_call.h"
#include "bgworker/limit.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* Stops the clocks, and forgets a cancel that came too late to end the call. */
static void
disarm(void)
{
	iu_limit_end();
	/* A function may have set this clock, which would cancel what comes after it. */
	disable_timeout(STATEMENT_TIMEOUT, false);
	QueryCancelPending = false;
}

static void
record_call(IuFunctionCall *call)
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
	IuFunctionCall *call = argument;
	Datum		arguments[4];

	call->attempt.started_at = GetCurrentTimestamp();
	INSTR_TIME_SET_CURRENT(call->began);
	arguments[0] = Int64GetDatum(call->lease_id);
	arguments[1] = Int32GetDatum(call->generation);
	arguments[2] = UUIDPGetDatum(&call->attempt.event_id);
	arguments[3] = Int32GetDatum(call->attempt.replay_number);
	iu_limit_begin(call->timeout_ms, true);
	iu_call(IU_CALL_FUNCTION_RUN, arguments);
	call->called = true;
	disarm();
	iu_row_columns(columns, lengthof(columns), numbers);
	call->attempt.outcome = iu_outcome_by_name(iu_row_text(0, numbers[0]));
	call->attempt.failure_code = iu_row_text(0, numbers[1]);
	call->attempt.failure_detail = iu_row_text(0, numbers[2]);
	record_call(call);
}

/*
 * Discards what a function may have left in the session, of a call that failed as
 * well: all that DISCARD ALL does, but for plans, which are bound to nobody, and
 * LISTEN, which a background worker may not.
 */
static void
discard_session(void *argument)
{
	StartTransactionCommand();
	PortalHashTableDeleteAll();
	ResetAllOptions();
	DropAllPreparedStatements();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetSequenceCaches();
	ResetTempTableNamespace();
	CommitTransactionCommand();
}

/* After each call of what is not ours. If it fails, the process ends, and a new one starts clean. */
void
iu_function_tidy(void)
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
record_failure(IuFunctionCall *call, const ErrorData *error)
{
	call->attempt.outcome = IU_FAILED;
	call->attempt.failure_code = "sql_function_failed";
	call->attempt.failure_detail = psprintf("%s: %s\nafter the call, while its outcome was recorded",
											unpack_sql_state(error->sqlerrcode), error->message);
	return iu_worker_transact("recording a call that was undone", record_undone_call, call) == NULL;
}

/* What the policy says to the call before it is made: call, last, interrupted or overran. */
typedef struct Beginning
{
	IuFunctionCall *call;
	bool		overran;
	char		verdict[16];
} Beginning;

/* Committed before the call, so that one in whose middle the process ends is known, and costs an attempt. */
static void
note_beginning(void *argument)
{
	Beginning  *beginning = argument;
	const IuFunctionCall *call = beginning->call;
	const char *turn = call->last ? "last" : "first";
	Datum		arguments[7];
	Datum		verdict;
	bool		null;

	if (call->returned)
		turn = "returned";
	arguments[0] = Int64GetDatum(call->lease_id);
	arguments[1] = Int32GetDatum(call->generation);
	arguments[2] = UUIDPGetDatum(&call->attempt.event_id);
	arguments[3] = Int32GetDatum(call->attempt.replay_number);
	arguments[4] = Int32GetDatum(call->attempt.attempt_no);
	arguments[5] = CStringGetTextDatum(turn);
	arguments[6] = BoolGetDatum(beginning->overran);
	verdict = iu_call_for_value(IU_CALL_FUNCTION_BEGIN, arguments, &null);
	strlcpy(beginning->verdict, null ? "" : TextDatumGetCString(verdict), sizeof(beginning->verdict));
	iu_commit_without_flush();
}

/* A failed attempt in the middle of which a process ended. The function is not called. */
static ErrorData *
record_lost_call(IuFunctionCall *call, const char *verdict)
{
	INSTR_TIME_SET_CURRENT(call->began);
	call->attempt.started_at = GetCurrentTimestamp();
	call->attempt.outcome = IU_FAILED;
	call->attempt.failure_code = "sql_function_failed";
	if (strcmp(verdict, "overran") == 0)
		call->attempt.failure_detail =
			psprintf("57014: the function did not end within %d ms, nor when it was cancelled\n"
					 "the process that called it was ended",
					 call->timeout_ms);
	else
		call->attempt.failure_detail = "57P01: twice the process that called the function ended before the function";
	return iu_worker_transact("recording a call that did not end", record_undone_call, call);
}

/* Only fn_iu_function_begin and fn_iu_function_call mean by this code that the lease is another's. */
static bool
was_taken_over(const IuFunctionCall *call, const ErrorData *error)
{
	if (call->called || error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		return false;
	ereport(LOG,
			(errmsg("a delivery to a function was taken over and is left alone: %s", error->message)));
	return true;
}

/* What became of a call that was made. error: NULL, or why it or its record failed. */
static IuCallResult
judge_call(IuFunctionCall *call, ErrorData *error)
{
	if (error == NULL)
	{
		iu_worker_count(IU_COUNT_SENT, call->attempt.outcome == IU_SENT ? 1 : 0);
		iu_worker_count(IU_COUNT_FAILED, call->attempt.outcome == IU_FAILED ? 1 : 0);
		return IU_CALL_DONE;
	}
	if (was_taken_over(call, error))
		return IU_CALL_DONE;
	if (call->called && record_failure(call, error))
	{
		iu_worker_count(IU_COUNT_FAILED, 1);
		return IU_CALL_DONE;
	}
	iu_worker_failed(error, &call->backoff, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS);
	return IU_CALL_AGAIN;
}

/*
 * Calls a function and records the outcome. *overran: whether the process before
 * this one was ended because what it called did not end; cleared when that call is
 * found, which is a failed attempt then.
 */
IuCallResult
iu_function_call(IuFunctionCall *call, bool *overran)
{
	Beginning	beginning = {call, *overran, ""};
	ErrorData  *error;

	iu_worker_absorb();
	iu_worker_tick();
	call->called = false;
	error = iu_worker_transact("noting the call of a registered function", note_beginning, &beginning);
	if (error != NULL)
		return judge_call(call, error);
	if (strcmp(beginning.verdict, "last") == 0)
	{
		call->last = true;
		return IU_CALL_LAST;
	}
	if (strcmp(beginning.verdict, "call") != 0)
	{
		*overran = *overran && strcmp(beginning.verdict, "overran") != 0;
		return judge_call(call, record_lost_call(call, beginning.verdict));
	}
	call->returned = false;
	error = iu_worker_transact("calling a registered function", call_and_record, call);
	call->returned = true;
	iu_function_tidy();
	return judge_call(call, error);
}
