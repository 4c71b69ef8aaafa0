/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  The runner's turn at what the policy has on a schedule: the checks of
 *	  invariants, which may ask a remote.
 *
 * A turn is the runner's and not a sender's, so that a slow remote holds up no
 * delivery over the wire. It does one thing, between two calls of functions. How
 * long that may take is the policy's to say: it sets the clock of the statement,
 * and names the time after which even what catches its cancel is ended (limit.c).
 * While migrations are applied or rolled back nothing is begun.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/limit.h"
#include "bgworker/schedule.h"
#include "bgworker/worker.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/run_lock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define RUN_PAUSE_MS 1000		/* before it is asked again whether migrations are still being run */

typedef struct Turn
{
	bool		exists;
	bool		alone;			/* no migrations are being run */
	bool		first;			/* of this process */
	int			limit_ms;		/* of what is due; 0: it has none */
	TimestampTz next;
} Turn;

/* Committed before the turn: a check in whose middle the process ends is known to the next one, and not made again. */
static void
begin_scheduled(void *argument)
{
	static const IuCall calls[] = {IU_CALL_SCHEDULE_BEGIN};
	Turn	   *turn = argument;
	Datum		arguments[1];
	bool		null;
	Datum		limit;

	turn->exists = iu_calls_readiness(calls, lengthof(calls)) == IU_RUNNING;
	if (!turn->exists)
		return;
	turn->alone = iu_hold_off_runs();
	if (!turn->alone)
	{
		turn->next = iu_from_now(RUN_PAUSE_MS);
		return;
	}
	arguments[0] = BoolGetDatum(turn->first);
	limit = iu_call_for_value(IU_CALL_SCHEDULE_BEGIN, arguments, &null);
	turn->limit_ms = null ? 0 : DatumGetInt32(limit);
	iu_commit_without_flush();
}

static void
carry_out_scheduled(void *argument)
{
	static const IuCall calls[] = {IU_CALL_SCHEDULE_TURN};
	Turn	   *turn = argument;
	Datum		arguments[1];
	bool		null;
	Datum		next;

	turn->exists = iu_calls_readiness(calls, lengthof(calls)) == IU_RUNNING;
	if (!turn->exists)
		return;
	if (turn->limit_ms > 0)
		iu_limit_begin(turn->limit_ms, false);
	arguments[0] = CStringGetTextDatum("iu_core runner");
	next = iu_call_for_value(IU_CALL_SCHEDULE_TURN, arguments, &null);
	if (!null)
		turn->next = iu_steady_of(DatumGetTimestampTz(next));
}

/*
 * Does one thing that is due, in a transaction of its own. *begun: whether this
 * process has begun a turn before; true from then on. *exists: whether the policy
 * has a schedule. *next: when to come again, by the steady clock; DT_NOEND: when
 * woken. Returns the error of a turn that failed, or NULL.
 */
ErrorData *
iu_schedule_turn(bool *begun, bool *exists, TimestampTz *next)
{
	Turn		turn = {.first = !*begun, .next = DT_NOEND};
	ErrorData  *error = iu_worker_transact("beginning what is scheduled", begin_scheduled, &turn);

	if (error == NULL && turn.alone)
	{
		*begun = true;
		error = iu_worker_transact("carrying out what is scheduled", carry_out_scheduled, &turn);
		if (error == NULL)
			iu_let_runs_begin();
	}
	iu_limit_end();
	*exists = turn.exists;
	*next = turn.next;
	return error;
}
