/*-------------------------------------------------------------------------
 *
 * record.c
 *	  The record of attempts that have ended (finish.c).
 *
 * Attempts of a lease are recorded together, in one call: at once when all of
 * its deliveries have ended, otherwise a little later, with what ends meanwhile.
 * What was sent is never sent again from here: attempts that could not be
 * recorded are kept, and their lease with them, until they are recorded or the
 * lease is another sender's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/drain.h"
#include "bgworker/sender.h"
#include "core/clock.h"
#include "core/compat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define RECORD_DELAY_MS 1000	/* what is done waits that long for the rest of its lease */
#define IDLE_RECORD_DELAY_MS 3	/* where the route has nothing left to send */

typedef struct Record
{
	IuLease    *lease;
	bool		more;			/* another follows, whose flush serves this one as well */
} Record;

/* The finished attempts of a lease; in its own order where all of them are, which is recorded with less effort. */
static List *
attempts_of(const IuLease *lease)
{
	List	   *attempts = NIL;
	ListCell   *cell;

	if (list_length(lease->finished) < list_length(lease->deliveries))
		return lease->finished;
	foreach(cell, lease->deliveries)
		attempts = lappend(attempts, &((IuDelivery *) lfirst(cell))->attempt);
	return attempts;
}

static void
record_attempts(void *argument)
{
	Record	   *task = argument;

	if (task->more)
		iu_commit_without_flush();
	iu_attempts_record(task->lease->id, task->lease->generation, attempts_of(task->lease));
}

/* Where recording failed: gives the lease more time, or finds it lost. */
static void
keep_lease(void *argument)
{
	IuLease    *lease = argument;
	Datum		arguments[2];
	bool		null;
	Datum		kept;

	arguments[0] = Int64GetDatum(lease->id);
	arguments[1] = Int32GetDatum(lease->generation);
	kept = iu_call_for_value(IU_CALL_KEEP, arguments, &null);
	lease->lost = !null && !DatumGetBool(kept);
}

/* What was recorded: the next claim need not wait, unless it would bring the same again. */
static void
count_outcomes(IuSender *sender, const IuLease *lease)
{
	int			counts[IU_OUTCOMES] = {0};
	ListCell   *cell;

	foreach(cell, lease->finished)
		counts[((IuAttempt *) lfirst(cell))->outcome]++;
	iu_worker_count(IU_COUNT_SENT, counts[IU_SENT]);
	iu_worker_count(IU_COUNT_FAILED, counts[IU_FAILED]);
	if (counts[IU_SENT] + counts[IU_FAILED] + counts[IU_HELD_A_WHILE] > 0)
		iu_backoff_clear(&sender->held_backoff);
	else
		iu_backoff_grow(&sender->held_backoff, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS);
}

/* After an error only the lease tells whether its attempts may still be recorded, whatever the error says. */
static void
record_lease(IuSender *sender, IuLease *lease, bool more)
{
	Record		task = {lease, more};
	ErrorData  *error = NULL;

	if (!lease->lost)
		error = iu_worker_transact("recording deliveries", record_attempts, &task);
	if (error != NULL)
	{
		(void) iu_worker_transact("keeping a lease that could not be recorded", keep_lease, lease);
		if (!lease->lost)
		{
			iu_worker_failed(error, &lease->backoff, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS);
			return;
		}
		ereport(LOG,
				(errmsg("results of deliveries came too late and are dropped: %s", error->message)));
	}
	else if (!lease->lost)
		count_outcomes(sender, lease);
	iu_backoff_clear(&lease->backoff);
	lease->finished = NIL;
	iu_claim_after_record(sender, lease);
}

/* When the finished attempts of a lease are to be recorded. */
static TimestampTz
record_time(const IuLease *lease)
{
	int			delay = dlist_is_empty(&lease->queue->waiting) ? IDLE_RECORD_DELAY_MS : RECORD_DELAY_MS;

	if (lease->finished == NIL)
		return DT_NOEND;
	if (lease->unfinished == 0 || iu_drain_asked())
		return lease->backoff.not_before;
	return Max(lease->backoff.not_before, TimestampTzPlusMilliseconds(lease->finished_since, delay));
}

typedef void (*LeaseVisitor) (IuLease *lease, void *argument);

static void
visit_leases(const IuSender *sender, LeaseVisitor visit, void *argument)
{
	dlist_iter	batch_iter;
	dlist_iter	lease_iter;

	dlist_foreach(batch_iter, &unconstify(IuSender *, sender)->batches)
	{
		dlist_foreach(lease_iter, &dlist_container(IuBatch, node, batch_iter.cur)->leases)
			visit(dlist_container(IuLease, node, lease_iter.cur), argument);
	}
}

static void
find_first_time(IuLease *lease, void *argument)
{
	iu_bring_forward(argument, record_time(lease));
}

/* When the next record is due. */
TimestampTz
iu_record_due(void *worker)
{
	TimestampTz first = DT_NOEND;

	visit_leases(worker, find_first_time, &first);
	return first;
}

static void
find_due(IuLease *lease, void *argument)
{
	List	  **due = argument;

	if (iu_is_past(record_time(lease)))
		*due = lappend(*due, lease);
}

static void
find_failed(IuLease *lease, void *argument)
{
	*((bool *) argument) |= lease->backoff.delay_ms != 0;
}

/* Whether some lease was tried to be recorded in vain. */
bool
iu_record_is_troubled(const IuSender *sender)
{
	bool		failed = false;

	visit_leases(sender, find_failed, &failed);
	return failed;
}

static void
forget_batch(IuSender *sender, IuBatch *batch)
{
	dlist_delete(&batch->node);
	sender->open_bytes -= batch->bytes;
	MemoryContextDelete(batch->context);
}

/* Frees the leases that are recorded to their end, and the batches all of whose leases are. */
static void
forget_recorded(IuSender *sender)
{
	dlist_mutable_iter batch_iter;
	dlist_mutable_iter lease_iter;

	dlist_foreach_modify(batch_iter, &sender->batches)
	{
		IuBatch    *batch = dlist_container(IuBatch, node, batch_iter.cur);

		dlist_foreach_modify(lease_iter, &batch->leases)
		{
			IuLease    *lease = dlist_container(IuLease, node, lease_iter.cur);

			if (lease->unfinished == 0 && lease->finished == NIL)
			{
				dlist_delete(&lease->node);
				iu_queue_part(lease);
			}
		}
		if (dlist_is_empty(&batch->leases))
			forget_batch(sender, batch);
	}
}

/*
 * Records the leases that are due, each in a transaction of its own. One that
 * fails is tried again by a backoff of its own, so this never fails as a whole.
 */
ErrorData *
iu_record_finished(void *worker)
{
	IuSender   *sender = worker;
	List	   *due = NIL;
	ListCell   *cell;

	visit_leases(sender, find_due, &due);
	foreach(cell, due)
		record_lease(sender, lfirst(cell), lnext(due, cell) != NULL);
	forget_recorded(sender);
	return NULL;
}
