/*-------------------------------------------------------------------------
 *
 * turn.c
 *	  The sender's turn at the pass over the outbox, which needs no network:
 *	  dry runs, what retired routes left, and what keeps the worker's cursor up
 *	  with the outbox.
 *
 * Several senders may come at once: the cursor's row is locked by one, and the
 * others find nothing to do. Where migration 012 is not applied there is none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define WORKER_NAME "iu_outbound_default"
#define EVENTS_AT_A_TIME 64		/* so that requests under way do not wait for it */

static IuCall turn = {"fn_iu_route_worker_turn", 2, {TEXTOID, INT4OID}};

/* Whether there is more. */
bool
iu_turn(void)
{
	const IuCall *const calls[] = {&turn};
	Datum		arguments[2];
	bool		null = true;
	Datum		more = BoolGetDatum(false);

	if (iu_worker_readiness(calls, lengthof(calls)) != IU_RUNNING)
		return false;
	arguments[0] = CStringGetTextDatum(WORKER_NAME);
	arguments[1] = Int32GetDatum(EVENTS_AT_A_TIME);
	iu_worker_call(&turn, arguments);
	if (SPI_processed > 0)
		more = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
	return !null && DatumGetBool(more);
}
