/*-------------------------------------------------------------------------
 *
 * watchdog.c
 *	  Closes gates, renews those opened on a standing approval or opens them
 *	  again, and then notes where the database is; nothing else, so that nothing
 *	  slow can sit before a close.
 *
 * A pass asks which gates are or will be due. It closes each gate that is due
 * (or renews it, if that is all that is due) in a transaction of its own, so
 * that a gate whose row somebody holds, or whose close fails, delays no other.
 * Such a gate is tried again soon, and last_error shows who holds its row.
 * Otherwise the watchdog sleeps until the next gate is due, at most a minute: a
 * row that was changed with triggers off, or by a subscription, wakes nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/loop.h"
#include "bgworker/overstay.h"
#include "catalog/pg_type.h"
#include "core/clock.h"
#include "core/compat.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LOCK_WAIT "200ms"	/* a locked table must not hold it up for ever */
#define LOCKED_FIRST_MS 20
#define LOCKED_LIMIT_MS 200
#define FAILED_FIRST_MS 100
#define FAILED_LIMIT_MS 1000
#define CLOSE_FAILED_LIMIT_MS 30000	/* what keeps failing is mended by a person, not by haste */
#define NOT_DUE_MS 1000

PGDLLEXPORT void iu_watchdog_main(Datum main_arg);

/* What fn_iu_gate_close_expired answered. Keep status_names in the same order. */
typedef enum CloseStatus
{
	NOT_ASKED,					/* or it raised */
	CLOSED,
	RENEWED,
	NOT_DUE,					/* it was closed or renewed since the watchdog looked */
	LOCKED						/* somebody holds its row */
} CloseStatus;

static const char *const status_names[] = {"", "closed", "renewed", "not_due", "locked"};

typedef struct Gate
{
	char	   *key;
	TimestampTz due_at;			/* time of day; DT_NOBEGIN: it may not be open; DT_NOEND: it is to be opened again */
	TimestampTz act_at;			/* the same, or sooner, to renew it */
	int64		opening;		/* its last change, an open that may last; 0: it is none */
	int64		lasts_ms;		/* how long that may last, at most, from now on */
	CloseStatus status;
	char	   *detail;			/* of the status, for people; NULL: none */
} Gate;

typedef struct Watchdog
{
	TimestampTz next;			/* when to look again */
	IuBackoff	locked_backoff;
	IuBackoff	failed_backoff;
	TimestampTz unlawful_since; /* some gate is open that may not be; 0: none */
	IuOverstay	overstay;

	/* What the running pass has found, in its memory. */
	Gate	   *gates;
	int			count;
	bool		locked;			/* some gate's row was held */
	bool		failed;			/* some gate's close raised */
	ErrorData  *trouble;		/* about the gates that stay overdue; NULL: there is none */
	StringInfoData troubles;	/* its message, while it grows */
	int			unnamed;		/* gates that are not in it any more */
} Watchdog;

/* ---------- looking ---------- */

/* What is known of how long the gate's opening may last, by the wall clock, but no longer than it was made for. */
static void
read_opening(Gate *gate, uint64 row, int number, int ttl_number)
{
	bool		no_opening;
	bool		no_ttl;
	Datum		opening = iu_row_value(row, number, &no_opening);
	Datum		ttl = iu_row_value(row, ttl_number, &no_ttl);
	int64		left_ms;

	if (no_opening || no_ttl || TIMESTAMP_NOT_FINITE(gate->due_at))
		return;
	left_ms = (gate->due_at - GetCurrentTimestamp()) / 1000;
	gate->opening = DatumGetInt64(opening);
	gate->lasts_ms = Max(Min(left_ms, DatumGetInt32(ttl) * INT64CONST(1000)), 0);
}

/* Copies what the look found into the context. */
static void
read_gates(Watchdog *watchdog, MemoryContext context)
{
	static const IuColumn columns[] = {
		{"gate_key", TEXTOID},
		{"due_at", TIMESTAMPTZOID},
		{"renew_at", TIMESTAMPTZOID},
		{"opening", INT8OID},
		{"ttl_seconds", INT4OID}
	};
	int			numbers[lengthof(columns)];
	MemoryContext caller;
	uint64		i;

	iu_call(IU_CALL_GATES_EXPIRING, NULL);
	iu_row_columns(columns, lengthof(columns), numbers);
	caller = MemoryContextSwitchTo(context);
	watchdog->count = SPI_processed;
	watchdog->gates = palloc0(sizeof(Gate) * Max(watchdog->count, 1));
	for (i = 0; i < SPI_processed; i++)
	{
		Gate	   *gate = &watchdog->gates[i];
		bool		null;
		Datum		when;

		gate->key = iu_row_text(i, numbers[0]);
		when = iu_row_value(i, numbers[1], &null);
		gate->due_at = null ? DT_NOBEGIN : DatumGetTimestampTz(when);
		when = iu_row_value(i, numbers[2], &null);
		gate->act_at = null ? gate->due_at : Min(gate->due_at, DatumGetTimestampTz(when));
		read_opening(gate, i, numbers[3], numbers[4]);
	}
	MemoryContextSwitchTo(caller);
}

typedef struct Look
{
	Watchdog   *watchdog;
	MemoryContext context;		/* of the pass */
} Look;

static void
look(void *argument)
{
	static const IuCall calls[] = {IU_CALL_GATES_EXPIRING, IU_CALL_GATE_CLOSE};
	Look	   *task = argument;
	IuWorkerState state = iu_calls_readiness(calls, lengthof(calls));

	iu_worker_ready(state);
	if (state == IU_RUNNING)
		read_gates(task->watchdog, task->context);
}

/* ---------- closing ---------- */

typedef struct Close
{
	Gate	   *gate;
	MemoryContext context;		/* of the pass */
	bool		overstayed;		/* its time has run out, whatever the wall clock says */
} Close;

/* A status that is not known here counts as locked: the gate is tried again soon, and shown as overdue. */
static CloseStatus
status_by_name(const char *name)
{
	int			status;

	for (status = CLOSED; status <= NOT_DUE; status++)
		if (name != NULL && strcmp(name, status_names[status]) == 0)
			return status;
	return LOCKED;
}

static void
close_gate(void *argument)
{
	static const IuColumn columns[] = {{"status", TEXTOID}, {"detail", TEXTOID}};
	int			numbers[lengthof(columns)];
	Close	   *task = argument;
	Datum		arguments[3];
	MemoryContext caller;

	arguments[0] = CStringGetTextDatum(task->gate->key);
	arguments[1] = CStringGetTextDatum(MyBgworkerEntry->bgw_type);
	arguments[2] = Int64GetDatum(task->gate->opening);
	iu_call(task->overstayed ? IU_CALL_GATE_OVERSTAYED : IU_CALL_GATE_CLOSE, arguments);
	iu_row_columns(columns, lengthof(columns), numbers);
	task->gate->status = LOCKED;
	if (SPI_processed == 0)
		return;
	caller = MemoryContextSwitchTo(task->context);
	task->gate->status = status_by_name(iu_row_text(0, numbers[0]));
	task->gate->detail = iu_row_text(0, numbers[1]);
	MemoryContextSwitchTo(caller);
}

static char *
overdue_message(const Gate *gate, const char *why)
{
	if (gate->due_at == DT_NOEND)
		return psprintf("gate %s is to be opened again on a standing approval: %s", gate->key, why);
	if (TIMESTAMP_NOT_FINITE(gate->due_at))
		return psprintf("gate %s may not be open and is not closed yet: %s", gate->key, why);
	if (gate->due_at > GetCurrentTimestamp())
		return psprintf("gate %s is to be renewed since %s: %s", gate->key, timestamptz_to_str(gate->act_at), why);
	return psprintf("gate %s is overdue since %s: %s", gate->key, timestamptz_to_str(gate->due_at), why);
}

/* All that is wrong becomes one message, which names as many gates as a slot has room for. */
static void
add_trouble(Watchdog *watchdog, ErrorData *error)
{
	if (watchdog->trouble == NULL)
	{
		watchdog->trouble = error;
		initStringInfo(&watchdog->troubles);
		appendStringInfoString(&watchdog->troubles, error->message);
	}
	else if (watchdog->troubles.len < IU_ERROR_LENGTH)
		appendStringInfo(&watchdog->troubles, "; %s", error->message);
	else
		watchdog->unnamed++;
}

/* The trouble of the pass, to be reported; NULL: there is none. */
static ErrorData *
whole_trouble(Watchdog *watchdog)
{
	if (watchdog->trouble == NULL)
		return NULL;
	if (watchdog->unnamed > 0)
		appendStringInfo(&watchdog->troubles, "; and %d more", watchdog->unnamed);
	watchdog->trouble->message = watchdog->troubles.data;
	return watchdog->trouble;
}

static void
note_failure(Watchdog *watchdog, const Gate *gate, ErrorData *error)
{
	iu_worker_count(IU_COUNT_ERRORS, 1);
	watchdog->failed = true;
	error->message = overdue_message(gate, error->message);
	add_trouble(watchdog, error);
}

/* Counts what became of a close, and plans what follows. */
static void
note_status(Watchdog *watchdog, const Gate *gate)
{
	char	   *message;

	switch (gate->status)
	{
		case CLOSED:
			iu_worker_count(IU_COUNT_CLOSED, 1);
			break;
		case RENEWED:
			iu_worker_count(IU_COUNT_RENEWED, 1);
			/* At once, as after any other open: it has a new end. */
			iu_bring_forward(&watchdog->next, iu_from_now(0));
			break;
		case NOT_DUE:
			iu_bring_forward(&watchdog->next, iu_from_now(NOT_DUE_MS));
			break;
		case NOT_ASKED:
		case LOCKED:
			iu_worker_count(IU_COUNT_BLOCKED, 1);
			watchdog->locked = true;
			message = overdue_message(gate, gate->detail != NULL ? gate->detail : "its row is locked");
			add_trouble(watchdog, iu_worker_error(ERRCODE_LOCK_NOT_AVAILABLE, message));
			break;
	}
}

/*
 * Whether there is something to do about a gate now. What is not due yet says
 * when to look again.
 */
static bool
is_gate_due(Watchdog *watchdog, const Gate *gate, bool *overstayed)
{
	*overstayed = false;
	if (gate->opening != 0)
	{
		int64		left_ms = iu_overstay_left(&watchdog->overstay, gate->opening, gate->lasts_ms);

		*overstayed = left_ms <= 0 && gate->due_at > GetCurrentTimestamp();
		/* What is due and cannot be closed is tried again by plan_retry. */
		if (left_ms > 0)
			iu_bring_forward(&watchdog->next, iu_from_now(left_ms));
	}
	if (*overstayed || gate->act_at <= GetCurrentTimestamp())
		return true;
	iu_bring_forward(&watchdog->next, iu_steady_of(gate->act_at));
	return false;
}

/* Each in a transaction of its own. */
static void
close_due_gates(Watchdog *watchdog)
{
	int			i;

	for (i = 0; i < watchdog->count; i++)
	{
		Close		task = {&watchdog->gates[i], CurrentMemoryContext};
		ErrorData  *error;

		if (!is_gate_due(watchdog, task.gate, &task.overstayed))
			continue;
		error = iu_worker_transact("closing an expired gate", close_gate, &task);
		if (error != NULL)
			note_failure(watchdog, task.gate, error);
		else
			note_status(watchdog, task.gate);
		iu_worker_absorb();
	}
}

/* ---------- the pass ---------- */

/* Sooner than the next gate is due where something has to be tried again. */
static void
plan_retry(Watchdog *watchdog)
{
	if (watchdog->locked)
	{
		iu_backoff_grow(&watchdog->locked_backoff, LOCKED_FIRST_MS, LOCKED_LIMIT_MS);
		iu_bring_forward(&watchdog->next, watchdog->locked_backoff.not_before);
	}
	else
		iu_backoff_clear(&watchdog->locked_backoff);
	if (watchdog->failed)
	{
		iu_backoff_grow(&watchdog->failed_backoff, FAILED_FIRST_MS, CLOSE_FAILED_LIMIT_MS);
		iu_bring_forward(&watchdog->next, watchdog->failed_backoff.not_before);
	}
	else
		iu_backoff_clear(&watchdog->failed_backoff);
}

/*
 * Shows when the first close that is still to be done is or was due, so that
 * others can judge whether this process does it. A gate that may not be open at
 * all counts as due since such a gate was first seen.
 */
static void
show_due(Watchdog *watchdog)
{
	TimestampTz due = 0;
	bool		unlawful = false;
	int			i;

	for (i = 0; i < watchdog->count; i++)
	{
		const Gate *gate = &watchdog->gates[i];

		if (gate->status == CLOSED || gate->status == NOT_DUE || gate->due_at == DT_NOEND)
			continue;
		if (TIMESTAMP_NOT_FINITE(gate->due_at))
			unlawful = true;
		else if (due == 0 || iu_steady_of(gate->due_at) < due)
			due = iu_steady_of(gate->due_at);
	}
	if (!unlawful)
		watchdog->unlawful_since = 0;
	else if (watchdog->unlawful_since == 0)
		watchdog->unlawful_since = iu_now();
	if (unlawful && (due == 0 || watchdog->unlawful_since < due))
		due = watchdog->unlawful_since;
	iu_slot_due(iu_worker_slot(), due);
}

static void
forget_pass(Watchdog *watchdog)
{
	watchdog->gates = NULL;
	watchdog->count = 0;
	watchdog->locked = watchdog->failed = false;
	watchdog->trouble = NULL;
	watchdog->unnamed = 0;
}

/* The one duty of the watchdog: looks, and closes what is due. */
static ErrorData *
watch_gates(void *worker)
{
	Watchdog   *watchdog = worker;
	Look		task = {watchdog, CurrentMemoryContext};
	ErrorData  *error;

	forget_pass(watchdog);
	watchdog->next = iu_from_now(IU_LONGEST_SLEEP_MS);
	error = iu_worker_transact("looking for expired gates", look, &task);
	if (error != NULL)
		return error;
	iu_overstay_begin_look(&watchdog->overstay);
	close_due_gates(watchdog);
	iu_overstay_end_look(&watchdog->overstay);
	show_due(watchdog);
	plan_retry(watchdog);
	error = whole_trouble(watchdog);
	if (error != NULL)
		iu_worker_report(error);
	return NULL;
}

/* ---------- the place ---------- */

typedef struct Place
{
	MemoryContext context;		/* of the pass */
	char	   *trouble;		/* NULL: none */
} Place;

static void
note_place(void *argument)
{
	static const IuCall call[] = {IU_CALL_PLACE_BEGIN};
	Place	   *place = argument;
	Datum		actor = CStringGetTextDatum(MyBgworkerEntry->bgw_type);
	Datum		trouble;
	bool		null;

	if (iu_calls_readiness(call, lengthof(call)) != IU_RUNNING)
		return;
	trouble = iu_call_for_value(IU_CALL_PLACE_BEGIN, &actor, &null);
	if (!null)
		place->trouble = MemoryContextStrdup(place->context, TextDatumGetCString(trouble));
}

/*
 * Asks whether the database is at home where it is: in each pass, since a dump may
 * be restored at any time.
 */
static ErrorData *
look_at_place(void *worker)
{
	Place		place = {CurrentMemoryContext};
	ErrorData  *error = iu_worker_transact("looking where the database is", note_place, &place);

	if (error == NULL)
		iu_slot_place_trouble(iu_worker_slot(), place.trouble);
	return error;
}

static TimestampTz
place_due(void *worker)
{
	return DT_NOEND;
}

static TimestampTz
watchdog_due(void *worker)
{
	return ((Watchdog *) worker)->next;
}

static bool
watchdog_is_troubled(void *worker)
{
	return ((Watchdog *) worker)->trouble != NULL;
}

static const IuDuty watchdog_duties[] = {
	{IU_EACH_PASS_ALWAYS, watchdog_due, watch_gates, FAILED_FIRST_MS, FAILED_LIMIT_MS},
	{IU_EACH_PASS, place_due, look_at_place, FAILED_FIRST_MS, FAILED_LIMIT_MS}
};

static const IuWorkerKind watchdog_kind = {
	.wait_event = "IuCoreWatchdogMain",
	.duties = watchdog_duties,
	.duty_count = lengthof(watchdog_duties),
	.minds_clock = true,
	.troubled = watchdog_is_troubled
};

/* The main function of the process. main_arg: the number of its slot. */
void
iu_watchdog_main(Datum main_arg)
{
	iu_worker_begin(main_arg, LOCK_WAIT);

	/* A close counts from its commit here: no absent standby may delay the next one. */
	SetConfigOption("synchronous_commit", "local", PGC_USERSET, PGC_S_OVERRIDE);
	iu_worker_run(&watchdog_kind, MemoryContextAllocZero(TopMemoryContext, sizeof(Watchdog)));
}
