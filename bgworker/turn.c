/*-------------------------------------------------------------------------
 *
 * turn.c
 *	  A sender's turn at the pass over the outbox, which needs no network: dry
 *	  runs, what retired routes left, and what keeps the worker's cursor up with
 *	  the outbox.
 *
 * Several senders may come at once: the cursor's row is locked by one, and the
 * others find nothing to do. Where migration 012 is not applied there is none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/sender.h"
#include "core/clock.h"
#include "core/compat.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define WORKER_NAME "iu_outbound_default"
#define EVENTS_AT_A_TIME 64		/* so that requests under way do not wait for it */
#define TURN_MS 1000			/* between turns, where events were emitted */
#define NEXT_TURN_MS 20			/* where there is more */

/* Sets *argument, a bool, to whether there is more. */
static void
pass_over_outbox(void *argument)
{
	static const IuCall calls[] = {IU_CALL_OUTBOX_TURN};
	bool	   *more = argument;
	Datum		arguments[2];
	bool		null;
	Datum		value;

	if (iu_calls_readiness(calls, lengthof(calls)) != IU_RUNNING)
		return;
	arguments[0] = CStringGetTextDatum(WORKER_NAME);
	arguments[1] = Int32GetDatum(EVENTS_AT_A_TIME);
	value = iu_call_for_value(IU_CALL_OUTBOX_TURN, arguments, &null);
	*more = !null && DatumGetBool(value);
}

/* When to take the next turn. */
TimestampTz
iu_turn_due(void *worker)
{
	return ((IuSender *) worker)->next_turn;
}

/* Takes a turn. */
ErrorData *
iu_turn(void *worker)
{
	IuSender   *sender = worker;
	bool		more = false;
	ErrorData  *error = iu_worker_transact("passing over the outbox", pass_over_outbox, &more);

	if (error != NULL)
		return error;
	sender->last_turn = iu_now();
	sender->next_turn = TimestampTzPlusMilliseconds(sender->last_turn, more ? NEXT_TURN_MS : IU_LONGEST_SLEEP_MS);
	return NULL;
}

/* When the sender is woken: events may have been emitted, so the next turn comes soon. */
void
iu_turn_woken(IuSender *sender)
{
	iu_bring_forward(&sender->next_turn, TimestampTzPlusMilliseconds(sender->last_turn, TURN_MS));
}
