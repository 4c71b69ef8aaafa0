/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  The runner's turn at what the policy has on a schedule: the checks of
 *	  invariants, which may ask a remote.
 *
 * It is the runner's and not a sender's, so that a remote that is slow holds up
 * no delivery over the wire. One thing a turn, between two calls of functions.
 * How long it may take is the policy's: it sets the clock of the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/schedule.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static IuCall schedule_call = {"fn_iu_schedule_turn", 1, {TEXTOID}};

typedef struct Turn
{
	bool		exists;
	TimestampTz next;
} Turn;

static void
turn_step(void *argument)
{
	const IuCall *const calls[] = {&schedule_call};
	Turn	   *turn = argument;
	Datum		arguments[1];
	bool		null = true;
	Datum		next = 0;

	iu_worker_begin_transaction("carrying out what is scheduled");
	turn->exists = iu_worker_readiness(calls, lengthof(calls)) == IU_RUNNING;
	if (turn->exists)
	{
		arguments[0] = CStringGetTextDatum("iu_core runner");
		iu_worker_call(&schedule_call, arguments);
		if (SPI_processed > 0)
			next = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
		if (!null)
			turn->next = DatumGetTimestampTz(next);
	}
	iu_worker_commit();
}

ErrorData *
iu_schedule_turn(bool *exists, TimestampTz *next)
{
	Turn		turn = {false, DT_NOEND};
	ErrorData  *error = iu_worker_try(turn_step, &turn);

	*exists = turn.exists;
	*next = turn.next;
	return error;
}
