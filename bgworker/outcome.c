/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  What became of a delivery, until it is recorded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "core/compat.h"
#include "core/text.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Takes it from its queue, with the outcome that it has. */
static void
hand_over(IuDelivery *delivery)
{
	IuLease    *lease = delivery->lease;
	MemoryContext caller = MemoryContextSwitchTo(delivery->context);

	iu_queue_leave(delivery);
	lease->unfinished--;
	if (lease->finished == NIL)
		lease->finished_since = GetCurrentTimestamp();
	lease->finished = lappend(lease->finished, delivery);
	MemoryContextSwitchTo(caller);
}

/*
 * The beginning of what a receiver or an error said, in the context, as text
 * that can be stored: an outcome that could not be stored would be sent again.
 */
char *
iu_excerpt(MemoryContext context, const char *bytes, size_t length)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	char	   *text = iu_text_of_bytes(bytes, length, IU_EXCERPT_BYTES);

	MemoryContextSwitchTo(caller);
	return text;
}

void
iu_finish(IuDelivery *delivery, const char *outcome, const char *code, const char *detail)
{
	delivery->outcome = outcome;
	delivery->failure_code = code;
	if (detail != NULL)
		delivery->failure_detail = iu_excerpt(delivery->context, detail, strlen(detail));
	hand_over(delivery);
}

/* The same lease in an older generation, not recorded to its end; NULL if there is none. */
static IuLease *
find_predecessor(dlist_head *batches, const IuLease *lease)
{
	dlist_iter	batch_iter;
	dlist_iter	lease_iter;

	dlist_foreach(batch_iter, batches)
	{
		dlist_foreach(lease_iter, &dlist_container(IuBatch, node, batch_iter.cur)->leases)
		{
			IuLease    *other = dlist_container(IuLease, node, lease_iter.cur);

			if (other->id == lease->id && other->generation < lease->generation && !other->lost)
				return other;
		}
	}
	return NULL;
}

/* What was sent, or tried, under the older generation; NULL if that is not known. */
static IuDelivery *
find_outcome(const IuLease *lease, const IuDelivery *delivery)
{
	ListCell   *cell;

	foreach(cell, lease->finished)
	{
		IuDelivery *known = lfirst(cell);

		if (known->replay_number == delivery->replay_number &&
			known->attempt_no == delivery->attempt_no &&
			strcmp(known->event_id, delivery->event_id) == 0)
			return strcmp(known->outcome, "held") == 0 ? NULL : known;
	}
	return NULL;
}

static const char *
copy_text(MemoryContext context, const char *text)
{
	return text == NULL ? NULL : MemoryContextStrdup(context, text);
}

/*
 * Where recording was not possible for so long that the lease ended, the same
 * process may be the one that takes it over. What it knows it does not send
 * again.
 */
void
iu_inherit_outcomes(dlist_head *batches, IuLease *lease)
{
	IuLease    *from = find_predecessor(batches, lease);
	ListCell   *cell;

	if (from == NULL)
		return;
	foreach(cell, lease->deliveries)
	{
		IuDelivery *delivery = lfirst(cell);
		const IuDelivery *known = find_outcome(from, delivery);

		if (known == NULL)
			continue;
		delivery->outcome = known->outcome;
		delivery->started_at = known->started_at;
		delivery->microseconds = known->microseconds;
		delivery->status = known->status;
		delivery->retry_after = known->retry_after;
		delivery->failure_code = copy_text(delivery->context, known->failure_code);
		delivery->failure_detail = copy_text(delivery->context, known->failure_detail);
		delivery->excerpt = copy_text(delivery->context, known->excerpt);
		hand_over(delivery);
	}
	from->lost = true;
}
