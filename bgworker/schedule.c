/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  The runner's turn at what the policy has on a schedule: the checks of
 *	  invariants, which may ask a remote.
 *
 * A turn is the runner's and not a sender's, so that a slow remote holds up no
 * delivery over the wire. It does one thing, between two calls of functions. How
 * long that may take is the policy's to say: it sets the clock of the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/schedule.h"
#include "core/clock.h"
#include "core/compat.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

typedef struct Turn
{
	bool		exists;
	TimestampTz next;
} Turn;

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
	arguments[0] = CStringGetTextDatum("iu_core runner");
	next = iu_call_for_value(IU_CALL_SCHEDULE_TURN, arguments, &null);
	if (!null)
		turn->next = iu_steady_of(DatumGetTimestampTz(next));
}

/*
 * Does one thing that is due, in a transaction of its own. *exists: whether the
 * policy has a schedule. *next: when to come again, by the
 * steady clock; DT_NOEND: when woken. Returns
 * the error of a turn that failed, or NULL.
 */
ErrorData *
iu_schedule_turn(bool *exists, TimestampTz *next)
{
	Turn		turn = {false, DT_NOEND};
	ErrorData  *error = iu_worker_transact("carrying out what is scheduled", carry_out_scheduled, &turn);

	*exists = turn.exists;
	*next = turn.next;
	return error;
}
