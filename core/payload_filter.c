/*-------------------------------------------------------------------------
 *
 * payload_filter.c
 *	  Whether a payload passes the filter of a route, within a time.
 *
 * A filter is a jsonpath of somebody's, and some take hours over a payload that
 * is large enough. It is ended as a cancelled statement is, by a timer of its
 * own, and the error says what it was.
 *
 * The timer goes by the processor time of this process: it is what a filter takes
 * away from others, and neither a clock that is set nor a process that stands
 * still makes a filter late that is not, or lets one go on that is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "core/compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(iu_payload_passes);

#define TIMER_SIGNAL SIGVTALRM	/* which PostgreSQL does not use */

typedef struct FilterTimer
{
	bool		created;
	timer_t		timer;
	struct sigaction on_cancel;	/* what this process does when it is cancelled */
	volatile sig_atomic_t running;	/* a filter is; otherwise its end comes too late to matter */
	volatile sig_atomic_t late;
	volatile sig_atomic_t cancelled;	/* by somebody else, a timeout of the statement among them */
} FilterTimer;

static FilterTimer filter_timer;

/* TIMER_SIGNAL. Nothing but what a signal handler may do. */
static void
on_late(SIGNAL_ARGS)
{
	if (!filter_timer.running)
		return;
	filter_timer.late = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

/* SIGINT. Both set the same flag, so that is noted whose it is. */
static void
on_cancel(SIGNAL_ARGS)
{
	filter_timer.cancelled = true;
	filter_timer.on_cancel.sa_handler(postgres_signal_arg);
}

static void
create_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = TIMER_SIGNAL};

	pqsignal(TIMER_SIGNAL, on_late);
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &filter_timer.timer) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create a timer: %m")));
	filter_timer.created = true;
}

static void
set_timer(int ms)
{
	struct itimerspec due = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};

	timer_settime(filter_timer.timer, 0, &due, NULL);
}

static void
begin_time(int ms)
{
	struct sigaction watch = {.sa_flags = SA_RESTART};

	if (!filter_timer.created)
		create_timer();
	sigaction(SIGINT, NULL, &filter_timer.on_cancel);
	filter_timer.late = false;
	filter_timer.cancelled = QueryCancelPending;
	watch.sa_handler = on_cancel;
	sigemptyset(&watch.sa_mask);
	if (filter_timer.on_cancel.sa_handler != SIG_IGN && filter_timer.on_cancel.sa_handler != SIG_DFL)
		sigaction(SIGINT, &watch, NULL);
	filter_timer.running = true;
	set_timer(ms);
}

/* What is late cancels nothing after it; what somebody cancelled stays cancelled. */
static void
end_time(void)
{
	filter_timer.running = false;
	set_timer(0);
	sigaction(SIGINT, &filter_timer.on_cancel, NULL);
	if (filter_timer.late && !filter_timer.cancelled)
		QueryCancelPending = false;
}

static void
refuse_late(int ms)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a filter takes longer than %d ms over a payload", ms),
			 errdetail("Limit: %d ms.", ms),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_filter_time")));
}

/* What jsonb_path_match says, without variables; errors are raised. *null: it is unknown. */
static bool
passes(Datum filter, Datum payload, bool *null)
{
	LOCAL_FCINFO(call, 4);
	Datum		result;

	InitFunctionCallInfoData(*call, NULL, 4, InvalidOid, NULL, NULL);
	call->args[0].value = payload;
	call->args[1].value = filter;
	call->args[2].value = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	call->args[3].value = BoolGetDatum(false);
	call->args[0].isnull = call->args[1].isnull = call->args[2].isnull = call->args[3].isnull = false;
	result = jsonb_path_match(call);
	*null = call->isnull;
	return !*null && DatumGetBool(result);
}

/*
 * iu_core.payload_passes(filter, payload, ms). An error of the filter is the
 * caller's to catch; the end of its time, ms of processor time, is one of them,
 * and no cancellation, which a caller would have to let pass.
 */
Datum
iu_payload_passes(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	int			ms = PG_GETARG_INT32(2);
	volatile bool result = false;
	bool		null = false;

	begin_time(Max(ms, 1));
	PG_TRY();
	{
		result = passes(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), &null);
	}
	PG_CATCH();
	{
		end_time();
		if (filter_timer.late && !filter_timer.cancelled && geterrcode() == ERRCODE_QUERY_CANCELED)
		{
			MemoryContextSwitchTo(caller);
			FlushErrorState();
			refuse_late(ms);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	end_time();
	if (filter_timer.late)
		refuse_late(ms);		/* it ended by itself in that moment */
	if (null)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(result);
}
