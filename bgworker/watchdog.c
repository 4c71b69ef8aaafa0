/*-------------------------------------------------------------------------
 *
 * watchdog.c
 *	  Closes gates, and renews those opened on a standing approval; nothing
 *	  else, so that nothing slow can sit before a close.
 *
 * A pass asks which gates are or will be due, then closes each due one (or, if
 * it is due to be renewed only, renews it) in a transaction of its own: a gate
 * whose row somebody holds, or whose close fails, delays no other. Those are
 * tried again soon, and who holds the row is shown in last_error. Otherwise it
 * sleeps until the next gate is due, at most a minute: a row changed with
 * triggers off, or by a subscription, wakes nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/worker.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LONGEST_SLEEP_MS 60000
#define LOCK_WAIT "200ms"	/* a locked table must not hold it up for ever */
#define LOCKED_FIRST_MS 20
#define LOCKED_LIMIT_MS 200
#define FAILED_FIRST_MS 100
#define FAILED_LIMIT_MS 1000
#define NOT_DUE_MS 1000

PGDLLEXPORT void iu_watchdog_main(Datum main_arg);

typedef struct Gate
{
	char	   *key;
	TimestampTz due_at;			/* infinite: may not be open at all */
	TimestampTz act_at;			/* the same, or sooner, to renew it */
	char	   *status;			/* what the close said */
	char	   *detail;
} Gate;

/* What one pass found. */
typedef struct Pass
{
	MemoryContext context;
	IuWorkerState state;
	Gate	   *gates;
	int			count;
	TimestampTz next;			/* when to look again */
	bool		locked;			/* some gate's row was held */
	bool		failed;			/* some gate's close raised */
	ErrorData  *trouble;		/* about every gate that stays overdue */
} Pass;

static IuCall expiring = {"fn_iu_gate_expiring"};
static IuCall close_expired = {"fn_iu_gate_close_expired", 2, {TEXTOID, TEXTOID}};
static IuBackoff locked_backoff;
static IuBackoff failed_backoff;

static void
look_again_at(Pass *pass, TimestampTz when)
{
	if (pass->next == 0 || when < pass->next)
		pass->next = when;
}

static void
look_again_in(Pass *pass, int ms)
{
	look_again_at(pass, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms));
}

/* No time is as bad as any past one, unless said otherwise. */
static TimestampTz
time_column(uint64 row, const char *name, TimestampTz otherwise)
{
	bool		null;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  SPI_fnumber(SPI_tuptable->tupdesc, name), &null);

	return null ? otherwise : DatumGetTimestampTz(value);
}

static void
read_gates(Pass *pass)
{
	uint64		i;

	iu_worker_call(&expiring, NULL);
	pass->count = SPI_processed;
	pass->gates = MemoryContextAllocZero(pass->context, sizeof(Gate) * Max(pass->count, 1));
	for (i = 0; i < SPI_processed; i++)
	{
		Gate	   *gate = &pass->gates[i];

		gate->key = iu_worker_column(pass->context, i, "gate_key");
		gate->due_at = time_column(i, "due_at", DT_NOBEGIN);
		gate->act_at = Min(gate->due_at, time_column(i, "renew_at", DT_NOEND));
	}
}

static void
look(void *argument)
{
	Pass	   *pass = argument;
	const IuCall *const calls[] = {&expiring, &close_expired};

	iu_worker_begin_transaction("looking for expired gates");
	pass->state = iu_worker_readiness(calls, lengthof(calls));
	if (pass->state == IU_RUNNING)
		read_gates(pass);
	iu_worker_commit();
}

typedef struct Close
{
	Pass	   *pass;
	Gate	   *gate;
} Close;

static void
close_gate(void *argument)
{
	Close	   *task = argument;
	Datum		arguments[2];

	iu_worker_begin_transaction("closing an expired gate");
	arguments[0] = CStringGetTextDatum(task->gate->key);
	arguments[1] = CStringGetTextDatum(MyBgworkerEntry->bgw_type);
	iu_worker_call(&close_expired, arguments);
	if (SPI_processed > 0)
	{
		task->gate->status = iu_worker_column(task->pass->context, 0, "status");
		task->gate->detail = iu_worker_column(task->pass->context, 0, "detail");
	}
	iu_worker_commit();
}

static char *
overdue_message(const Gate *gate, const char *why)
{
	if (TIMESTAMP_NOT_FINITE(gate->due_at))
		return psprintf("gate %s may not be open and is not closed yet: %s", gate->key, why);
	if (gate->due_at > GetCurrentTimestamp())
		return psprintf("gate %s is to be renewed since %s: %s", gate->key, timestamptz_to_str(gate->act_at), why);
	return psprintf("gate %s is overdue since %s: %s", gate->key, timestamptz_to_str(gate->due_at), why);
}

static void
add_trouble(Pass *pass, ErrorData *error)
{
	if (pass->trouble == NULL)
		pass->trouble = error;
	else
		pass->trouble->message = psprintf("%s; %s", pass->trouble->message, error->message);
}

static void
note_failure(Pass *pass, const Gate *gate, ErrorData *error)
{
	iu_slot_count(iu_my_slot, IU_COUNT_ERRORS, 1);
	pass->failed = true;
	error->message = overdue_message(gate, error->message);
	add_trouble(pass, error);
}

static void
note_outcome(Pass *pass, const Gate *gate)
{
	const char *status = gate->status == NULL ? "" : gate->status;
	char	   *message;

	if (strcmp(status, "closed") == 0)
		iu_slot_count(iu_my_slot, IU_COUNT_CLOSED, 1);
	else if (strcmp(status, "renewed") == 0)
	{
		iu_slot_count(iu_my_slot, IU_COUNT_RENEWED, 1);
		look_again_in(pass, 0); /* the commit of an open: its times are to be read */
	}
	else if (strcmp(status, "not_due") == 0)
		look_again_in(pass, NOT_DUE_MS);	/* renewed or closed since we looked */
	else
	{
		iu_slot_count(iu_my_slot, IU_COUNT_BLOCKED, 1);
		pass->locked = true;
		message = overdue_message(gate, gate->detail != NULL ? gate->detail : "its row is locked");
		add_trouble(pass, iu_worker_error(ERRCODE_LOCK_NOT_AVAILABLE, message));
	}
}

static void
close_due_gates(Pass *pass)
{
	int			i;

	for (i = 0; i < pass->count; i++)
	{
		Close		task = {pass, &pass->gates[i]};
		ErrorData  *error;

		if (task.gate->act_at > GetCurrentTimestamp())
		{
			look_again_at(pass, task.gate->act_at);
			continue;
		}
		error = iu_worker_try(close_gate, &task);
		if (error != NULL)
			note_failure(pass, task.gate, error);
		else
			note_outcome(pass, task.gate);
		iu_worker_absorb();
	}
}

/* Sooner than the next gate is due where something has to be tried again. */
static void
plan_retry(Pass *pass, bool looked)
{
	if (pass->locked)
		iu_backoff_grow(&locked_backoff, LOCKED_FIRST_MS, LOCKED_LIMIT_MS);
	else
		iu_backoff_clear(&locked_backoff);
	if (pass->failed || !looked)
		iu_backoff_grow(&failed_backoff, FAILED_FIRST_MS, FAILED_LIMIT_MS);
	else
		iu_backoff_clear(&failed_backoff);
	if (pass->locked)
		look_again_at(pass, locked_backoff.not_before);
	if (pass->failed || !looked)
		look_again_at(pass, failed_backoff.not_before);
}

/*
 * The first close that is still to be done, for whoever wants to know whether
 * this process does it. What may not be open at all was due when first seen.
 */
static void
show_due(const Pass *pass)
{
	static TimestampTz unlawful_since = 0;
	TimestampTz due = 0;
	bool		unlawful = false;
	int			i;

	for (i = 0; i < pass->count; i++)
	{
		const Gate *gate = &pass->gates[i];

		if (gate->status != NULL &&
			(strcmp(gate->status, "closed") == 0 || strcmp(gate->status, "not_due") == 0))
			continue;
		if (TIMESTAMP_NOT_FINITE(gate->due_at))
			unlawful = true;
		else if (due == 0 || gate->due_at < due)
			due = gate->due_at;
	}
	if (!unlawful)
		unlawful_since = 0;
	else if (unlawful_since == 0)
		unlawful_since = GetCurrentTimestamp();
	if (unlawful && (due == 0 || unlawful_since < due))
		due = unlawful_since;
	iu_slot_due(iu_my_slot, due);
}

static TimestampTz
run_pass(MemoryContext context)
{
	Pass		pass = {context};
	bool		looked;

	iu_slot_begin_pass(iu_my_slot);
	look_again_in(&pass, LONGEST_SLEEP_MS);
	pass.trouble = iu_worker_try(look, &pass);
	looked = pass.trouble == NULL;
	if (looked)
	{
		close_due_gates(&pass);
		show_due(&pass);
	}
	else
		iu_slot_count(iu_my_slot, IU_COUNT_ERRORS, 1);
	plan_retry(&pass, looked);
	if (pass.trouble != NULL)
		iu_worker_report(pass.trouble);
	else
		iu_slot_state(iu_my_slot, pass.state, "");
	iu_slot_tick(iu_my_slot, pass.next);
	return pass.next;
}

void
iu_watchdog_main(Datum main_arg)
{
	uint32		wait_event = iu_wait_event("IuCoreWatchdogMain");
	MemoryContext context;

	iu_worker_begin(main_arg, LOCK_WAIT);

	/* A close counts from its commit here: no absent standby may delay the next one. */
	SetConfigOption("synchronous_commit", "local", PGC_USERSET, PGC_S_OVERRIDE);

	context = AllocSetContextCreate(TopMemoryContext, "iu_core watchdog pass", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz next;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		iu_worker_absorb();
		next = run_pass(context);
		iu_worker_sleep(next, wait_event);
	}
}
