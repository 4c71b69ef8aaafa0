/*-------------------------------------------------------------------------
 *
 * payload_filter.c
 *	  Whether a payload passes the filter of a route, within a time.
 *
 * A filter is a jsonpath of somebody's, and some take hours over a payload that
 * is large enough. It is ended as a cancelled statement is, by a timer of its
 * own, and the error says what it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timeout.h"

PG_FUNCTION_INFO_V1(iu_payload_passes);

typedef struct FilterTimer
{
	bool		registered;
	TimeoutId	id;
	volatile sig_atomic_t late;
} FilterTimer;

static FilterTimer filter_timer;

/* In a signal handler. */
static void
on_late(void)
{
	filter_timer.late = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

static void
begin_time(int ms)
{
	if (!filter_timer.registered)
	{
		filter_timer.id = RegisterTimeout(USER_TIMEOUT, on_late);
		filter_timer.registered = true;
	}
	filter_timer.late = false;
	enable_timeout_after(filter_timer.id, ms);
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
 * caller's to catch; the end of its time is one of them, and no cancellation,
 * which a caller would have to let pass.
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
		disable_timeout(filter_timer.id, false);
		/* where the filter raised something else in that moment, nothing is left that would cancel what comes next */
		if (filter_timer.late)
			QueryCancelPending = false;
		if (filter_timer.late && geterrcode() == ERRCODE_QUERY_CANCELED)
		{
			MemoryContextSwitchTo(caller);
			FlushErrorState();
			refuse_late(ms);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	disable_timeout(filter_timer.id, false);
	if (filter_timer.late)
	{
		/* It ended by itself in that moment; what would cancel it must cancel nothing else. */
		QueryCancelPending = false;
		refuse_late(ms);
	}
	if (null)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(result);
}
