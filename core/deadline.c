/*-------------------------------------------------------------------------
 *
 * deadline.c
 *	  When the running statement is cancelled, as a function of the policy may
 *	  set it for a part of what it does.
 *
 * statement_timeout cannot: its clock is set when a statement begins. What is
 * set here is that very clock, so a wait of whatever kind ends as it does for
 * statement_timeout, with the same SQLSTATE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_cancel_by);
PG_FUNCTION_INFO_V1(iu_cancel_at);

/* Disarms it; false if it was not armed. */
static bool
take_deadline(TimestampTz *deadline)
{
	bool		armed = get_timeout_active(STATEMENT_TIMEOUT);

	*deadline = armed ? get_timeout_finish_time(STATEMENT_TIMEOUT) : 0;
	if (armed)
		disable_timeout(STATEMENT_TIMEOUT, true);
	/* It ran out on the way here: whoever armed it is done, and says what comes next. */
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false;
	return armed;
}

Datum
iu_cancel_by(PG_FUNCTION_ARGS)
{
	TimestampTz wanted = PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz before;
	bool		armed = take_deadline(&before);

	enable_timeout_at(STATEMENT_TIMEOUT, armed ? Min(before, wanted) : wanted);
	if (!armed)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(before);
}

Datum
iu_cancel_at(PG_FUNCTION_ARGS)
{
	TimestampTz before;

	take_deadline(&before);
	if (!PG_ARGISNULL(0))
		enable_timeout_at(STATEMENT_TIMEOUT, PG_GETARG_TIMESTAMPTZ(0));
	PG_RETURN_VOID();
}
