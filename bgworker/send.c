/*-------------------------------------------------------------------------
 *
 * send.c
 *	  Sends what waits, and takes the answers.
 *
 * Right before a delivery is sent it is asked once more whether its lease still
 * may send: a gate may have been closed, and the lease may be another's. All that
 * rests on is written by transactions, but for the clock and the settings. So what
 * was allowed stays allowed until some transaction has ended, and not for long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/drain.h"
#include "bgworker/sender.h"
#include "core/clock.h"
#include "core/compat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ALLOWED_MS 10			/* for so long at most a lease is not asked for again */

/* When it is asked whether leases may send. */
typedef struct Asking
{
	int64		now;			/* of iu_clock_ms */
	uint64		ended;			/* how many transactions had ended */
} Asking;

static Asking
begin_asking(void)
{
	Asking		asking = {iu_clock_ms(), iu_transactions_ended()};

	/* What is looked at from here on is what those transactions left, or newer. */
	pg_memory_barrier();
	return asking;
}

/* Whether the lease was allowed to send, and nothing can have changed since. */
static bool
is_allowed_still(const IuLease *lease, const Asking *asking)
{
	return lease->allowed_until > asking->now && lease->allowed_at == asking->ended;
}

/* Sets what refuses the deliveries of the lease now, or NULL. */
static void
check_lease(IuLease *lease, MemoryContext context, const Asking *asking)
{
	Datum		arguments[2];
	bool		null;
	Datum		refusal;

	arguments[0] = Int64GetDatum(lease->id);
	arguments[1] = Int32GetDatum(lease->generation);
	refusal = iu_call_for_value(IU_CALL_CHECK, arguments, &null);
	lease->refusal = null ? NULL : MemoryContextStrdup(context, TextDatumGetCString(refusal));
	lease->checked = true;
	lease->allowed_until = null ? asking->now + ALLOWED_MS : 0;
	lease->allowed_at = asking->ended;
}

typedef struct Check
{
	List	   *chosen;			/* deliveries */
	Asking		asking;
} Check;

/* Sets which leases of the chosen deliveries are not known to be allowed; false: none. */
static bool
find_unchecked(const Check *check)
{
	bool		found = false;
	ListCell   *cell;

	foreach(cell, check->chosen)
	{
		IuLease    *lease = ((IuDelivery *) lfirst(cell))->lease;

		lease->checked = lease->lost || is_allowed_still(lease, &check->asking);
		found |= !lease->checked;
	}
	return found;
}

/* Asks once for each of them. */
static void
check_chosen(void *argument)
{
	const Check *check = argument;
	ListCell   *cell;

	foreach(cell, check->chosen)
	{
		IuDelivery *delivery = lfirst(cell);

		if (!delivery->lease->checked)
			check_lease(delivery->lease, delivery->context, &check->asking);
	}
}

static void
send_delivery(IuHttpPool *pool, IuDelivery *delivery)
{
	IuLease    *lease = delivery->lease;
	const char *code;
	const char *detail = NULL;

	if (lease->refusal != NULL && strcmp(lease->refusal, "lease_lost") == 0)
		lease->lost = true;
	if (lease->refusal != NULL || lease->lost)
	{
		iu_delivery_finish(delivery, IU_HELD, lease->refusal, NULL);
		return;
	}
	delivery->attempt.started_at = GetCurrentTimestamp();
	code = iu_parcel_submit(pool, delivery, &detail);
	if (code != NULL)
		iu_delivery_finish(delivery, iu_outcome_of(code), code, detail);
	else
		iu_queue_start(delivery);
}

/* Never by itself: whatever lets more be sent (an answer, a claim) begins a pass or comes in one. */
TimestampTz
iu_send_due(void *worker)
{
	return DT_NOEND;
}

/* Sends these deliveries, where their leases are allowed to. */
static ErrorData *
send_chosen(IuSender *sender, List *chosen)
{
	Check		check = {chosen, begin_asking()};
	ErrorData  *error;
	ListCell   *cell;

	if (find_unchecked(&check))
	{
		error = iu_worker_transact("checking whether deliveries may be sent", check_chosen, &check);
		if (error != NULL)
			return error;
	}
	foreach(cell, chosen)
		send_delivery(sender->pool, lfirst(cell));
	return NULL;
}

/* Sends as long as there are deliveries that may go: those that are refused make room for others. */
ErrorData *
iu_send_more(void *worker)
{
	IuSender   *sender = worker;
	List	   *chosen;

	while (!iu_drain_asked() &&
		   (chosen = iu_queues_choose(&sender->queues, iu_http_pool_size(sender->pool))) != NIL)
	{
		ErrorData  *error = send_chosen(sender, chosen);

		if (error != NULL)
			return error;
		iu_worker_absorb();
	}
	/* They leave before anything else is looked for or written. */
	iu_http_start(sender->pool);
	return NULL;
}

/* Ends an attempt by its answer, or by what came instead of one. */
void
iu_send_answered(const IuHttpAnswer *answer)
{
	IuDelivery *delivery = answer->owner;
	IuAttempt  *attempt = &delivery->attempt;
	const char *code;

	attempt->http_status = answer->status;
	attempt->retry_after = answer->retry_after;
	attempt->microseconds = answer->microseconds;
	if (answer->body.len > 0)
		attempt->excerpt = iu_delivery_excerpt(delivery, answer->body.data, answer->body.len);
	if (answer->outcome != IU_HTTP_ANSWERED)
	{
		code = iu_http_outcome_code(answer->outcome);
		iu_delivery_finish(delivery, iu_outcome_of(code), code, answer->error);
	}
	else if (answer->status >= 200 && answer->status <= 299)
		iu_delivery_finish(delivery, IU_SENT, NULL, NULL);
	else
	{
		char		number[32];

		snprintf(number, sizeof(number), "http_%d", answer->status);
		iu_delivery_finish(delivery, IU_FAILED, MemoryContextStrdup(delivery->context, number), NULL);
	}
}
