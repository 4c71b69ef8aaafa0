/*-------------------------------------------------------------------------
 *
 * record.c
 *	  The sender's writing side: outcomes of a lease, several in one call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The arrays of a call, an element for each outcome. */
enum
{
	EVENT_ID,
	REPLAY_NUMBER,
	ATTEMPT_NO,
	OUTCOME,
	HTTP_STATUS,
	FAILURE_CODE,
	FAILURE_DETAIL,
	RETRY_AFTER,
	DURATION_US,
	RESPONSE_EXCERPT,
	STARTED_AT,
	COLUMNS
};

static const Oid column_types[COLUMNS] = {
	UUIDOID, INT4OID, INT4OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, FLOAT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID
};

IuCall		iu_record_call = {"fn_iu_delivery_record_batch", COLUMNS + 2, {INT8OID, INT4OID, UUIDARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID}};
IuCall		iu_keep_call = {"fn_iu_delivery_keep", 2, {INT8OID, INT4OID}};

static void
set_text(Datum *value, bool *null, const char *text)
{
	*null = text == NULL;
	if (text != NULL)
		*value = CStringGetTextDatum(text);
}

static void
set_outcome(Datum **values, bool **nulls, int i, const IuDelivery *delivery)
{
	values[EVENT_ID][i] = DirectFunctionCall1(uuid_in, CStringGetDatum(delivery->event_id));
	values[REPLAY_NUMBER][i] = Int32GetDatum(delivery->replay_number);
	values[ATTEMPT_NO][i] = Int32GetDatum(delivery->attempt_no);
	set_text(&values[OUTCOME][i], &nulls[OUTCOME][i], delivery->outcome);
	values[HTTP_STATUS][i] = Int32GetDatum(delivery->status);
	nulls[HTTP_STATUS][i] = delivery->status == 0;
	set_text(&values[FAILURE_CODE][i], &nulls[FAILURE_CODE][i], delivery->failure_code);
	set_text(&values[FAILURE_DETAIL][i], &nulls[FAILURE_DETAIL][i], delivery->failure_detail);
	values[RETRY_AFTER][i] = Float8GetDatum(delivery->retry_after);
	nulls[RETRY_AFTER][i] = delivery->retry_after < 0;
	values[DURATION_US][i] = Int64GetDatum(delivery->microseconds);
	set_text(&values[RESPONSE_EXCERPT][i], &nulls[RESPONSE_EXCERPT][i], delivery->excerpt);
	values[STARTED_AT][i] = TimestampTzGetDatum(delivery->started_at);
	nulls[STARTED_AT][i] = delivery->started_at == 0;
}

static Datum
as_array(Datum *values, bool *nulls, int count, Oid type)
{
	int			dimensions[1] = {count};
	int			lower_bounds[1] = {1};
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	return PointerGetDatum(construct_md_array(values, nulls, 1, dimensions, lower_bounds, type,
											  length, by_value, alignment));
}

void
iu_record(IuLease *lease)
{
	int			count = list_length(lease->finished);
	Datum	   *values[COLUMNS];
	bool	   *nulls[COLUMNS];
	Datum		arguments[COLUMNS + 2];
	int			i;

	for (i = 0; i < COLUMNS; i++)
	{
		values[i] = palloc0(sizeof(Datum) * count);
		nulls[i] = palloc0(sizeof(bool) * count);
	}
	for (i = 0; i < count; i++)
		set_outcome(values, nulls, i, list_nth(lease->finished, i));
	arguments[0] = Int64GetDatum(lease->id);
	arguments[1] = Int32GetDatum(lease->generation);
	for (i = 0; i < COLUMNS; i++)
		arguments[i + 2] = as_array(values[i], nulls[i], count, column_types[i]);
	iu_worker_call(&iu_record_call, arguments);
}

/* Where recording failed: the lease stays ours, or is found lost. */
void
iu_record_keep(IuLease *lease)
{
	Datum		arguments[2];
	bool		null = true;
	Datum		kept = 0;

	arguments[0] = Int64GetDatum(lease->id);
	arguments[1] = Int32GetDatum(lease->generation);
	iu_worker_call(&iu_keep_call, arguments);
	if (SPI_processed > 0)
		kept = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
	lease->lost = !null && !DatumGetBool(kept);
}
