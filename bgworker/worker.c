/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  What the worker processes share: their start, tasks that may fail without
 *	  ending the process, and what they show in their slots.
 *
 * A task that fails is reported and tried again after a while; the process
 * stays. What does end a process (a refused connection, a termination, an error
 * outside of every task) is kept in its slot by the log hook, since nobody sits
 * at a worker's terminal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgworker/calls.h"
#include "bgworker/session.h"
#include "bgworker/worker.h"
#include "core/clock.h"
#include "core/compat.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define REPEAT_LOG_MS 60000

/* This process. */
typedef struct Process
{
	int			slot;			/* -1: not attached to one */
	IuWorkerState ready;		/* what the worker says of itself, if nothing fails */
	IuWorkerState shown;		/* what its slot says */
	emit_log_hook_type previous_log_hook;
	ErrorContextCallback context;
	char		name[2 * NAMEDATALEN];	/* its kind and database, for people */
	bool		is_named;		/* what is being reported has this name already */
	char		last_logged[256];	/* message of the last report that went to the server log */
	TimestampTz logged_at;
} Process;

static Process self = {.slot = -1, .ready = IU_STARTING, .shown = IU_STARTING};

/* The number of this process's slot. */
int
iu_worker_slot(void)
{
	return self.slot;
}

/* ---- Start ---- */

/*
 * The log hook of a worker. What a task raises is caught and reported as a
 * warning, so what is reported as an error ends the process, as FATAL does.
 * Once proc_exit has begun, the slot may be another process's. Runs whenever
 * something is reported, so it must not raise.
 */
static void
keep_last_words(ErrorData *error)
{
	if ((error->elevel == ERROR || error->elevel == FATAL) && error->message != NULL && !proc_exit_inprogress)
		iu_slot_state(self.slot, IU_STOPPED, error->message);
	if (self.previous_log_hook)
		self.previous_log_hook(error);
}

/* The context of whatever the process reports: which of the workers said it, and of which database. */
static void
name_process(void *argument)
{
	if (!self.is_named)
		errcontext("%s", self.name);
}

static void
take_name(int slot)
{
	IuWorkerSlot copy;

	if (!iu_slot_read(slot, &copy) || copy.role == IU_LAUNCHER)
		strlcpy(self.name, MyBgworkerEntry->bgw_type, sizeof(self.name));
	else if (copy.role == IU_SENDER)
		snprintf(self.name, sizeof(self.name), "%s %d, database %s", MyBgworkerEntry->bgw_type, copy.number,
				 NameStr(copy.database));
	else
		snprintf(self.name, sizeof(self.name), "%s, database %s", MyBgworkerEntry->bgw_type, NameStr(copy.database));
	self.context.callback = name_process;
	self.context.previous = error_context_stack;
	error_context_stack = &self.context;
}

static void
set_for_session(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Takes the slot and sets up signals, before anything can go wrong: whatever
 * ends the process from then on can be read in the slot. False if the slot is
 * another process's, or its generation another one by now.
 */
bool
iu_worker_attach(int slot, uint64 generation)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	if (!iu_slot_attach(slot, generation))
		return false;
	self.slot = slot;
	self.previous_log_hook = emit_log_hook;
	emit_log_hook = keep_last_words;
	take_name(slot);
	BackgroundWorkerUnblockSignals();
	return true;
}

/*
 * Attaches to the slot that the launcher handed over and connects to the slot's
 * database. Ends the process if the launcher changed its mind meanwhile.
 * main_arg: of the process's main function. lock_timeout: how long the process
 * waits for a lock, as the setting of that name.
 */
void
iu_worker_begin(Datum main_arg, const char *lock_timeout)
{
	uint64		generation;
	IuWorkerSlot slot;
	IuSessionSettings *settings;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	if (!iu_worker_attach(DatumGetInt32(main_arg), generation))
		proc_exit(0);
	iu_slot_read(self.slot, &slot);
	settings = iu_session_note();
	BackgroundWorkerInitializeConnectionByOid(slot.database_oid, slot.worker_role, 0);
	iu_session_settle(settings);
	set_for_session("application_name", MyBgworkerEntry->bgw_type);
	set_for_session("lock_timeout", lock_timeout);
	iu_calls_init();
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* ---- Tasks ---- */

/* Takes interrupts and a reloaded configuration. Outside of transactions. */
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

/*
 * Runs a task. An error ends only the task: what is left of its transaction is
 * aborted, and the error returned, palloc'd; NULL: there was none.
 */
ErrorData *
iu_worker_try(IuTask task, void *argument)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		task(argument);
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
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return error;
}

typedef struct Transaction
{
	const char *activity;
	IuTask		task;
	void	   *argument;
} Transaction;

static void
run_transaction(void *argument)
{
	const Transaction *transaction = argument;

	pgstat_report_activity(STATE_RUNNING, transaction->activity);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	transaction->task(transaction->argument);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * Runs a task in a transaction of its own, with SPI and a snapshot, as
 * iu_worker_try does. activity: what pg_stat_activity shows as its query.
 */
ErrorData *
iu_worker_transact(const char *activity, IuTask task, void *argument)
{
	Transaction transaction = {activity, task, argument};

	return iu_worker_try(run_transaction, &transaction);
}

/* The current transaction: a crash right after its commit may undo it. */
void
iu_commit_without_flush(void)
{
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* After a failure: the next attempt comes after first_ms, then after twice as long each time, at most limit_ms. */
void
iu_backoff_grow(IuBackoff *backoff, int first_ms, int limit_ms)
{
	backoff->delay_ms = backoff->delay_ms == 0 ? first_ms : Min(backoff->delay_ms * 2, limit_ms);
	backoff->not_before = iu_from_now(backoff->delay_ms);
}

/* After a success. */
void
iu_backoff_clear(IuBackoff *backoff)
{
	backoff->delay_ms = 0;
	backoff->not_before = 0;
}

/* ---- What a worker shows in its slot ---- */

/* Adds n to a counter of the slot. */
void
iu_worker_count(IuCounter counter, int64 n)
{
	iu_slot_count(self.slot, counter, n);
}

/* What the slot is to say once nothing fails. */
void
iu_worker_ready(IuWorkerState state)
{
	self.ready = state;
}

/*
 * Shows an error as the slot's last_error, with state failing, and as a warning
 * in the server log; there the same message in a row only once a minute.
 */
void
iu_worker_report(ErrorData *error)
{
	TimestampTz now = iu_now();

	iu_slot_state(self.slot, IU_FAILING, error->message);
	self.shown = IU_FAILING;
	if (strncmp(self.last_logged, error->message, sizeof(self.last_logged) - 1) == 0 &&
		!TimestampDifferenceExceeds(self.logged_at, now, REPEAT_LOG_MS))
		return;
	strlcpy(self.last_logged, error->message, sizeof(self.last_logged));
	self.logged_at = now;
	error->elevel = WARNING;
	self.is_named = error->context != NULL && strstr(error->context, self.name) != NULL;
	ThrowErrorData(error);
	self.is_named = false;
}

/* Counts and reports an error; the backoff says when to try again. */
void
iu_worker_failed(ErrorData *error, IuBackoff *backoff, int first_ms, int limit_ms)
{
	iu_worker_count(IU_COUNT_ERRORS, 1);
	iu_backoff_grow(backoff, first_ms, limit_ms);
	iu_worker_report(error);
}

/* An error that nothing raised, palloc'd, to be reported. The message becomes a part of it. */
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

/* Shows that the process is alive; how long its pass will take is not known. */
void
iu_worker_tick(void)
{
	iu_slot_tick(self.slot, 0);
}

/* Whether the slot says what iu_worker_ready has set. */
bool
iu_worker_shows_ready(void)
{
	return self.shown == self.ready;
}

/* Shows that, and with it that no error is left. */
void
iu_worker_show_ready(void)
{
	iu_slot_state(self.slot, self.ready, "");
	self.shown = self.ready;
}

/* ---- Time ---- */

/* The time that comes so many milliseconds from now. */
TimestampTz
iu_from_now(int ms)
{
	return TimestampTzPlusMilliseconds(iu_now(), ms);
}

/* Whether that time has come. */
bool
iu_is_past(TimestampTz when)
{
	return when <= iu_now();
}

/* Makes the next time be not later than another one. */
void
iu_bring_forward(TimestampTz *next, TimestampTz when)
{
	*next = Min(*next, when);
}
