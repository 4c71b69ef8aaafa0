/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  The sender's reading side: what may be sent, and whether it still may.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static IuCall claim = {"fn_iu_delivery_claim", 3, {TEXTOID, INT4OID, INT4OID}};
static IuCall check = {"fn_iu_delivery_check", 2, {INT8OID, INT4OID}};
static IuCall next_due = {"fn_iu_delivery_next_due", 1, {INT4OID}};

/* Where the results cannot be recorded, nothing is claimed. */
IuWorkerState
iu_claim_readiness(void)
{
	const IuCall *const calls[] = {&claim, &check, &next_due, &iu_record_call, &iu_keep_call};

	return iu_worker_readiness(calls, lengthof(calls));
}

static char *
required_column(MemoryContext context, uint64 row, const char *name)
{
	char	   *value = iu_worker_column(context, row, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s returned a delivery without %s", claim.function, name)));
	return value;
}

static int64
integer_column(MemoryContext context, uint64 row, const char *name)
{
	return pg_strtoint64(required_column(context, row, name));
}

static void
read_secrets(MemoryContext context, IuLease *lease, uint64 row)
{
	int			number = SPI_fnumber(SPI_tuptable->tupdesc, "secrets");
	bool		null = true;
	Datum		value = 0;
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	if (number > 0)
		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &null);
	if (null)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &count);
	lease->secrets = MemoryContextAllocZero(context, sizeof(char *) * Max(count, 1));
	for (i = 0; i < count; i++)
		if (!nulls[i])
			lease->secrets[lease->secret_count++] =
				MemoryContextStrdup(context, TextDatumGetCString(elements[i]));
}

static IuLease *
find_lease(IuBatch *batch, int64 id, int generation)
{
	dlist_iter	each;

	dlist_foreach(each, &batch->leases)
	{
		IuLease    *lease = dlist_container(IuLease, node, each.cur);

		if (lease->id == id && lease->generation == generation)
			return lease;
	}
	return NULL;
}

/* What is said of the lease is the same in each of its rows. */
static IuLease *
read_lease(IuBatch *batch, uint64 row)
{
	MemoryContext context = batch->context;
	int64		id = integer_column(context, row, "lease_id");
	int			generation = integer_column(context, row, "lease_generation");
	IuLease    *lease = find_lease(batch, id, generation);

	if (lease != NULL)
		return lease;
	lease = MemoryContextAllocZero(context, sizeof(IuLease));
	lease->id = id;
	lease->generation = generation;
	lease->route_code = required_column(context, row, "route_code");
	lease->target_url = iu_worker_column(context, row, "target_url");
	lease->timeout_ms = integer_column(context, row, "timeout_ms");
	read_secrets(context, lease, row);
	dlist_push_tail(&batch->leases, &lease->node);
	return lease;
}

static void
read_delivery(IuBatch *batch, uint64 row)
{
	MemoryContext context = batch->context;
	IuDelivery *delivery = MemoryContextAllocZero(context, sizeof(IuDelivery));
	MemoryContext caller;

	delivery->context = context;
	delivery->lease = read_lease(batch, row);
	delivery->event_id = required_column(context, row, "event_id");
	delivery->replay_number = integer_column(context, row, "replay_number");
	delivery->attempt_no = integer_column(context, row, "attempt_no");
	delivery->webhook_id = required_column(context, row, "webhook_id");
	delivery->retry_after = -1;
	delivery->body = iu_worker_column(context, row, "body");
	batch->bytes += delivery->body == NULL ? 0 : strlen(delivery->body);

	caller = MemoryContextSwitchTo(context);
	delivery->lease->deliveries = lappend(delivery->lease->deliveries, delivery);
	MemoryContextSwitchTo(caller);
	delivery->lease->unfinished++;
}

/* When the clock brings something to claim again. */
TimestampTz
iu_claim_next_due(int route_max)
{
	Datum		arguments[1];
	bool		null = true;
	Datum		due = 0;

	arguments[0] = Int32GetDatum(route_max);
	iu_worker_call(&next_due, arguments);
	if (SPI_processed > 0)
		due = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
	return null ? DT_NOEND : DatumGetTimestampTz(due);
}

/* NULL if there was nothing. */
IuBatch *
iu_claim(MemoryContext parent, const char *sender, int max, int route_max, int *claimed)
{
	MemoryContext context;
	IuBatch    *batch = NULL;
	Datum		arguments[3];
	uint64		i;

	arguments[0] = CStringGetTextDatum(sender);
	arguments[1] = Int32GetDatum(max);
	arguments[2] = Int32GetDatum(route_max);
	iu_worker_call(&claim, arguments);
	*claimed = SPI_processed;
	if (SPI_processed > 0)
	{
		context = AllocSetContextCreate(parent, "iu_core batch", ALLOCSET_DEFAULT_SIZES);
		batch = MemoryContextAllocZero(context, sizeof(IuBatch));
		batch->context = context;
		dlist_init(&batch->leases);
		for (i = 0; i < SPI_processed; i++)
			read_delivery(batch, i);
	}
	return batch;
}

/* Sets what refuses the deliveries of the lease now, or NULL. */
void
iu_claim_check(MemoryContext context, IuLease *lease)
{
	Datum		arguments[2];
	char	   *value = NULL;

	arguments[0] = Int64GetDatum(lease->id);
	arguments[1] = Int32GetDatum(lease->generation);
	iu_worker_call(&check, arguments);
	if (SPI_processed > 0)
		value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	lease->refusal = value == NULL ? NULL : MemoryContextStrdup(context, value);
	lease->checked = true;
}
