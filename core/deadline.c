/*-------------------------------------------------------------------------
 *
 * deadline.c
 *	  Sets the time at which the running statement is cancelled, for SQL
 *	  functions that limit a part of what they do.
 *
 * The setting statement_timeout cannot do that: its clock is set when a
 * statement begins. These functions set that same clock, so that a wait of
 * whatever kind ends as it does for statement_timeout, with the same SQLSTATE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/deadline.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_cancel_by);
PG_FUNCTION_INFO_V1(iu_cancel_at);

/* Disarms the clock. *deadline: for when it was set. False if it was not armed. */
static bool
take_deadline(TimestampTz *deadline)
{
	bool		armed = get_timeout_active(STATEMENT_TIMEOUT);

	*deadline = armed ? get_timeout_finish_time(STATEMENT_TIMEOUT) : 0;
	if (armed)
		disable_timeout(STATEMENT_TIMEOUT, true);
	/* Where it ran out on the way here, the caller sets what is to follow, and nothing is cancelled. */
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false;
	return armed;
}

/*
 * The running statement is cancelled then, or when it would have been before, if
 * that is sooner. Returns whether it would have been, and *before: when.
 */
bool
iu_deadline_tighten(TimestampTz wanted, TimestampTz *before)
{
	bool		armed = take_deadline(before);

	enable_timeout_at(STATEMENT_TIMEOUT, armed ? Min(*before, wanted) : wanted);
	return armed;
}

/* The running statement is cancelled at that time; where it is not armed, never. */
void
iu_deadline_put_back(bool armed, TimestampTz at)
{
	TimestampTz now_set;

	take_deadline(&now_set);
	if (armed)
		enable_timeout_at(STATEMENT_TIMEOUT, at);
}

/* When the running statement would be cancelled; DT_NOEND: never. */
TimestampTz
iu_deadline_now(void)
{
	return get_timeout_active(STATEMENT_TIMEOUT) ? get_timeout_finish_time(STATEMENT_TIMEOUT) : DT_NOEND;
}

/*
 * iu_core.cancel_by(timestamptz): the running statement is cancelled then, or
 * when it would have been before, if that is sooner. Returns that former time,
 * for iu_cancel_at; NULL: there was none.
 */
Datum
iu_cancel_by(PG_FUNCTION_ARGS)
{
	TimestampTz before;

	if (!iu_deadline_tighten(PG_GETARG_TIMESTAMPTZ(0), &before))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(before);
}

/* iu_core.cancel_at(timestamptz): the running statement is cancelled then; NULL: never. */
Datum
iu_cancel_at(PG_FUNCTION_ARGS)
{
	iu_deadline_put_back(!PG_ARGISNULL(0), PG_ARGISNULL(0) ? 0 : PG_GETARG_TIMESTAMPTZ(0));
	PG_RETURN_VOID();
}
