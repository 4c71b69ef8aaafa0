/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  What the worker processes share.
 *
 * The workers know no table: they call a handful of SQL functions and idle
 * where those are absent. An error in such a call never ends a process; what
 * does end it (a refused connection, a termination) is kept in its slot by the
 * log hook, since nobody sits at a worker's terminal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgworker/worker.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "core/compat.h"
#include "core/policy.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define REPEAT_LOG_MS 60000

int			iu_my_slot = -1;

static emit_log_hook_type previous_log_hook = NULL;
static MemoryContext outside_transaction = NULL;

static void
keep_last_words(ErrorData *error)
{
	/* On its way out the process has given its slot back. */
	if (error->elevel == FATAL && error->message != NULL && !proc_exit_inprogress &&
		!LWLockHeldByMe(iu_shared->lock))
		iu_slot_state(iu_my_slot, IU_STOPPED, error->message);
	if (previous_log_hook)
		previous_log_hook(error);
}

static void
set_for_session(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

bool
iu_worker_attach(int slot, uint64 generation)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	if (!iu_slot_attach(slot, generation))
		return false;
	iu_my_slot = slot;
	previous_log_hook = emit_log_hook;
	emit_log_hook = keep_last_words;
	BackgroundWorkerUnblockSignals();
	return true;
}

void
iu_worker_begin(Datum main_arg, const char *lock_timeout)
{
	uint64		generation;
	IuWorkerSlot slot;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	if (!iu_worker_attach(DatumGetInt32(main_arg), generation))
		proc_exit(0);
	iu_slot_read(iu_my_slot, &slot);
	BackgroundWorkerInitializeConnectionByOid(slot.database_oid, slot.worker_role, 0);

	/* What an administrator set for the role or the database must not bend these. */
	set_for_session("application_name", MyBgworkerEntry->bgw_type);
	set_for_session("search_path", "pg_catalog, pg_temp");
	set_for_session("default_transaction_isolation", "read committed");
	set_for_session("default_transaction_deferrable", "off");
	set_for_session("default_transaction_read_only", "off");
	set_for_session("lock_timeout", lock_timeout);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
iu_worker_absorb(void)
{
	/* Nothing is running here that a cancel could mean. */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
iu_worker_begin_transaction(const char *activity)
{
	outside_transaction = CurrentMemoryContext;
	pgstat_report_activity(STATE_RUNNING, activity);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
iu_worker_commit(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(outside_transaction);
}

IuWorkerState
iu_worker_readiness(const IuCall *const *calls, int count)
{
	int			i;

	if (!OidIsValid(get_extension_oid("iu_core", true)))
		return IU_EXTENSION_ABSENT;
	for (i = 0; i < count; i++)
		if (!OidIsValid(iu_policy_function(calls[i]->function, calls[i]->argument_count, calls[i]->argument_types)))
			return IU_NOTHING_MIGRATED;
	return IU_RUNNING;
}

static void
prepare_call(IuCall *call)
{
	StringInfoData query;
	int			i;

	initStringInfo(&query);
	appendStringInfo(&query, "SELECT * FROM public.%s(", call->function);
	for (i = 1; i <= call->argument_count; i++)
		appendStringInfo(&query, i == 1 ? "$%d" : ", $%d", i);
	appendStringInfoChar(&query, ')');
	call->plan = SPI_prepare(query.data, call->argument_count, call->argument_types);
	if (call->plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query.data, SPI_result_code_string(SPI_result));
	SPI_keepplan(call->plan);
}

void
iu_worker_call(IuCall *call, Datum *arguments)
{
	int			result;

	if (!OidIsValid(iu_policy_function(call->function, call->argument_count, call->argument_types)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function public.%s() is gone", call->function),
				 errhint("Apply the migrations: SELECT * FROM iu_core.migrate();")));
	if (call->plan == NULL)
		prepare_call(call);
	result = SPI_execute_plan(call->plan, arguments, NULL, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not call %s: %s", call->function, SPI_result_code_string(result));
}

char *
iu_worker_column(MemoryContext context, uint64 row, const char *name)
{
	int			number = SPI_fnumber(SPI_tuptable->tupdesc, name);
	char	   *value;

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" is missing in what a function returned", name)));
	value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number);
	return value == NULL ? NULL : MemoryContextStrdup(context, value);
}

ErrorData *
iu_worker_try(IuStep step, void *argument)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		step(argument);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		HOLD_INTERRUPTS();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
		pgstat_report_activity(STATE_IDLE, NULL);
		MemoryContextSwitchTo(caller);
	}
	PG_END_TRY();
	return error;
}

void
iu_worker_report(ErrorData *error)
{
	static char last_logged[256] = "";
	static TimestampTz logged_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	iu_slot_state(iu_my_slot, IU_FAILING, error->message);
	if (strncmp(last_logged, error->message, sizeof(last_logged) - 1) == 0 &&
		!TimestampDifferenceExceeds(logged_at, now, REPEAT_LOG_MS))
		return;
	strlcpy(last_logged, error->message, sizeof(last_logged));
	logged_at = now;
	error->elevel = WARNING;
	ThrowErrorData(error);
}

ErrorData *
iu_worker_error(int sqlstate, char *message)
{
	ErrorData  *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = sqlstate;
	error->message = message;
	error->filename = __FILE__;
	error->lineno = __LINE__;
	error->funcname = __func__;
	return error;
}

void
iu_worker_sleep(TimestampTz until, uint32 wait_event)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long		ms = -1;

	pgstat_report_stat(true);
	if (until != 0)
	{
		events |= WL_TIMEOUT;
		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
	}
	WaitLatch(MyLatch, events, ms, wait_event);
	ResetLatch(MyLatch);
}

void
iu_backoff_grow(IuBackoff *backoff, int first_ms, int limit_ms)
{
	backoff->delay_ms = backoff->delay_ms == 0 ? first_ms : Min(backoff->delay_ms * 2, limit_ms);
	backoff->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), backoff->delay_ms);
}

void
iu_backoff_clear(IuBackoff *backoff)
{
	backoff->delay_ms = 0;
	backoff->not_before = 0;
}
