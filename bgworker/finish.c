/*-------------------------------------------------------------------------
 *
 * finish.c
 *	  The end of an attempt: what became of it is kept with its lease, until
 *	  record.c has recorded it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/sender.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/text.h"
#include "utils/memutils.h"

/*
 * The beginning of what a receiver or an error said, in the memory of the
 * delivery, as text that can be stored: what could not be stored could not be
 * recorded, and would be sent again. A receiver may show what it was sent.
 */
char *
iu_delivery_excerpt(const IuDelivery *delivery, const char *bytes, size_t length)
{
	const IuTexts *hidden = &delivery->lease->hidden;
	MemoryContext caller = MemoryContextSwitchTo(delivery->context);
	char	   *copy = NULL;
	char	   *text;
	int			i;

	if (hidden->count > 0)
		bytes = copy = memcpy(palloc(length + 1), bytes, length);
	for (i = 0; i < hidden->count; i++)
		if (hidden->texts[i] != NULL)
			iu_text_hide(copy, length, hidden->texts[i]);
	text = iu_text_of_bytes(bytes, length, IU_EXCERPT_BYTES);
	MemoryContextSwitchTo(caller);
	return text;
}

/* Takes a delivery from its queue to those of its lease that are to be recorded. */
static void
hand_over(IuDelivery *delivery)
{
	IuLease    *lease = delivery->lease;
	MemoryContext caller = MemoryContextSwitchTo(delivery->context);

	iu_queue_leave(delivery);
	lease->unfinished--;
	if (lease->finished == NIL)
		lease->finished_since = iu_now();
	lease->finished = lappend(lease->finished, &delivery->attempt);
	MemoryContextSwitchTo(caller);
}

/*
 * Ends the attempt at a delivery. code: the failure code, a constant or in the
 * memory of the delivery; NULL if it was sent. detail: for people, copied; may be
 * NULL.
 */
void
iu_delivery_finish(IuDelivery *delivery, IuOutcome outcome, const char *code, const char *detail)
{
	delivery->attempt.outcome = outcome;
	delivery->attempt.failure_code = code;
	if (detail != NULL)
		delivery->attempt.failure_detail = iu_delivery_excerpt(delivery, detail, strlen(detail));
	hand_over(delivery);
}

/* ---- A lease that comes back ---- */

/* The same lease in an older generation, not recorded to its end; NULL if there is none. */
static IuLease *
find_predecessor(IuSender *sender, const IuLease *lease)
{
	dlist_iter	batch_iter;
	dlist_iter	lease_iter;

	dlist_foreach(batch_iter, &sender->batches)
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

/* The attempt that ended under the older generation; NULL if none is known to have been made. */
static const IuAttempt *
find_attempt(const IuLease *predecessor, const IuAttempt *attempt)
{
	ListCell   *cell;

	foreach(cell, predecessor->finished)
	{
		const IuAttempt *known = lfirst(cell);

		if (known->replay_number == attempt->replay_number && known->attempt_no == attempt->attempt_no &&
			memcmp(&known->event_id, &attempt->event_id, sizeof(pg_uuid_t)) == 0)
			return iu_outcome_is_held(known->outcome) ? NULL : known;
	}
	return NULL;
}

static const char *
copy_text(MemoryContext context, const char *text)
{
	return text == NULL ? NULL : MemoryContextStrdup(context, text);
}

/*
 * For a lease that was just claimed. Where recording was not possible for so
 * long that a lease ended, the same process may be the one that takes it over.
 * It does not send again what it knows the outcome of. Most leases have nothing
 * to inherit.
 */
void
iu_lease_inherit(IuSender *sender, IuLease *lease)
{
	IuLease    *predecessor = find_predecessor(sender, lease);
	ListCell   *cell;

	if (predecessor == NULL)
		return;
	foreach(cell, lease->deliveries)
	{
		IuDelivery *delivery = lfirst(cell);
		const IuAttempt *known = find_attempt(predecessor, &delivery->attempt);

		if (known == NULL)
			continue;
		delivery->attempt = *known;
		delivery->attempt.failure_code = copy_text(delivery->context, known->failure_code);
		delivery->attempt.failure_detail = copy_text(delivery->context, known->failure_detail);
		delivery->attempt.excerpt = copy_text(delivery->context, known->excerpt);
		hand_over(delivery);
	}
	predecessor->lost = true;
}
