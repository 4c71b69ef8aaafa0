/*-------------------------------------------------------------------------
 *
 * payload_filter.c
 *	  Whether a payload passes the filter of a route, within a time.
 *
 * A filter is a jsonpath of somebody's, and some take hours over a payload that
 * is large enough, or minutes to be read: their regular expressions are compiled
 * then. It is ended as a cancelled statement is, and the error says what it was.
 *
 * Its time is the processor time of this process: it is what a filter takes
 * away from others, and neither a clock that is set nor a process that stands
 * still makes a filter late that is not, or lets one go on that is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/deadline.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(iu_payload_passes);
PG_FUNCTION_INFO_V1(iu_filter_path);

#define OVER_A_PAYLOAD "over a payload"
#define TO_BE_READ "to be read"

/* By the processor time of this process. */
static IuDeadline filter_time = {.clock = CLOCK_THREAD_CPUTIME_ID};

/* what: "over a payload" or "to be read" */
static void
refuse_late(int ms, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a filter takes longer than %d ms %s", ms, what),
			 errdetail("Limit: %d ms.", ms),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_filter_time")));
}

/* Called where an error was caught. Ends the time; the error goes on, unless it is that the time was up. */
static void
end_by_error(MemoryContext caller, int ms, const char *what)
{
	if (iu_deadline_end(&filter_time) && geterrcode() == ERRCODE_QUERY_CANCELED)
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		refuse_late(ms, what);
	}
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

	iu_deadline_begin(&filter_time, ms);
	PG_TRY();
	{
		result = passes(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), &null);
	}
	PG_CATCH();
	{
		end_by_error(caller, ms, OVER_A_PAYLOAD);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (iu_deadline_end(&filter_time))
		refuse_late(ms, OVER_A_PAYLOAD);	/* it ended by itself in that moment */
	if (null)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(result);
}

/* A filter as it was read last, which is the same for many payloads, one after the other. */
typedef struct ReadFilter
{
	text	   *words;
	Datum		path;
} ReadFilter;

static bool
same_text(text *a, text *b)
{
	size_t		size = VARSIZE_ANY_EXHDR(a);

	return size == VARSIZE_ANY_EXHDR(b) && memcmp(VARDATA_ANY(a), VARDATA_ANY(b), size) == 0;
}

/* Reading compiles the regular expressions of a filter, and one of a few characters can take minutes. */
static Datum
read_filter(text *words, int ms)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile Datum path = (Datum) 0;

	iu_deadline_begin(&filter_time, ms);
	PG_TRY();
	{
		path = DirectFunctionCall1(jsonpath_in, CStringGetDatum(text_to_cstring(words)));
	}
	PG_CATCH();
	{
		end_by_error(caller, ms, TO_BE_READ);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (iu_deadline_end(&filter_time))
		refuse_late(ms, TO_BE_READ);
	return path;
}

/*
 * iu_core.filter_path(filter, ms): the filter as a jsonpath, read within ms of
 * processor time. Kept for the next call from the same place.
 */
Datum
iu_filter_path(PG_FUNCTION_ARGS)
{
	text	   *words = PG_GETARG_TEXT_PP(0);
	ReadFilter *last = fcinfo->flinfo->fn_extra;
	MemoryContext caller;
	Datum		path;

	if (last != NULL && same_text(last->words, words))
		PG_RETURN_DATUM(last->path);
	path = read_filter(words, PG_GETARG_INT32(1));
	caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	last = palloc(sizeof(ReadFilter));
	last->words = (text *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0));
	last->path = PointerGetDatum(PG_DETOAST_DATUM_COPY(path));
	fcinfo->flinfo->fn_extra = last;
	MemoryContextSwitchTo(caller);
	PG_RETURN_DATUM(last->path);
}
