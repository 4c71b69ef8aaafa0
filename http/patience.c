/*-------------------------------------------------------------------------
 *
 * patience.c
 *	  The time that receivers had, by which requests time out.
 *
 * A process that is stopped, or waits for a commit, looks at no socket: what was
 * answered at once lies unread, and what was begun is not sent to its end. That
 * is not the receiver's fault. So the time by which a request times out counts
 * no more than IU_COUNTED_MS between two looks at the sockets, and whoever judges
 * reads them first.
 *
 * curl judges by the clock, before it reads. It is told of no limit for the
 * whole request, and its limit for connecting, by which it divides the time
 * among several addresses, is later than ours and grows with the time that was
 * lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "http/handle.h"
#include "http/patience.h"

/* Of a pool that is new. */
void
iu_patience_init(IuPatience *patience)
{
	memset(patience, 0, sizeof(IuPatience));
	patience->next_end = PG_INT64_MAX;
}

/*
 * Lets time pass, as much as the receivers had of it since this was last called.
 * Returns how much more has passed, which nobody looked at the sockets; ms.
 *
 * now: of iu_clock_ms.
 */
int64
iu_patience_pass(IuPatience *patience, int64 now)
{
	int64		passed = patience->looked_at == 0 ? 0 : Max(now - patience->looked_at, 0);
	int64		counted = Min(passed, IU_COUNTED_MS);

	patience->looked_at = now;
	patience->time += counted;
	return passed - counted;
}

/* When a request times out: while it connects sooner than afterwards. */
static int64
end_of(const IuTransfer *transfer)
{
	return transfer->began + (transfer->sendings == 0 ? transfer->connect_ms : transfer->timeout_ms);
}

/* A transfer starts now. */
void
iu_patience_begin(IuPatience *patience, IuTransfer *transfer)
{
	transfer->began = patience->time;
	patience->next_end = Min(patience->next_end, end_of(transfer));
}

/* Whether the receiver of a transfer had its time. */
bool
iu_patience_is_over(const IuPatience *patience, const IuTransfer *transfer)
{
	return patience->time >= end_of(transfer);
}

/*
 * Tells the transfers under way, and curl, of time that nobody looked at their
 * sockets.
 *
 * lost: of iu_patience_pass.
 */
void
iu_patience_prolong(const dlist_head *running, int64 lost)
{
	dlist_iter	each;

	dlist_foreach(each, (dlist_head *) running)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);

		transfer->lost_ms += lost;
		iu_transfer_set_connect_limit(transfer);
	}
}

/* Finds when the next of these transfers may time out. */
void
iu_patience_find_next(IuPatience *patience, const dlist_head *running)
{
	dlist_iter	each;

	patience->next_end = PG_INT64_MAX;
	dlist_foreach(each, (dlist_head *) running)
	{
		const IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);

		patience->next_end = Min(patience->next_end, end_of(transfer));
	}
}
