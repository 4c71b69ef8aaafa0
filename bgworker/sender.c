/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Carries deliveries out over HTTP: claim and commit; send with no
 *	  transaction, snapshot or lock; record and commit.
 *
 * Several batches may be under way, so that a slow endpoint holds up neither
 * the recording of other leases nor new claims; no route takes more than its
 * share of the connections. Right before a delivery is sent it is asked once
 * more whether it may. A process that ends in between loses nothing: its
 * leases expire, and what was sent but not recorded is sent again under the
 * same webhook-id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "core/compat.h"
#include "http/client.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LONGEST_SLEEP_MS 60000
#define LOCK_WAIT "1s"		/* answers come in meanwhile */
#define FIRST_RETRY_MS 100
#define LAST_RETRY_MS 5000
#define CLAIM_MAX 32
#define OPEN_MAX 128			/* claimed and not recorded */
#define IN_FLIGHT_MAX 32
#define IN_FLIGHT_PER_ROUTE 8

enum
{
	COUNT_PASSES,
	COUNT_CLAIMED,
	COUNT_SENT,
	COUNT_FAILED,
	COUNT_ERRORS
};

PGDLLEXPORT void iu_sender_main(Datum main_arg);

static MemoryContext batches_context;
static dlist_head batches = DLIST_STATIC_INIT(batches);
static dlist_head waiting = DLIST_STATIC_INIT(waiting);
static dlist_head in_flight = DLIST_STATIC_INIT(in_flight);
static int	open_count = 0;		/* deliveries claimed and not recorded */
static int	in_flight_count = 0;

static IuHttpPool *pool;
static char sender_name[32];
static IuWorkerState readiness = IU_STARTING;
static TimestampTz next_claim = DT_NOBEGIN; /* in the past: now */
static IuBackoff claim_backoff;
static IuBackoff send_backoff;
static IuBackoff held_backoff;	/* claim and check disagree: not in a tight loop */

static bool
is_past(TimestampTz when)
{
	return when <= GetCurrentTimestamp();
}

static void
report_and_retry(ErrorData *error, IuBackoff *backoff)
{
	iu_slot_count(iu_my_slot, COUNT_ERRORS, 1);
	iu_backoff_grow(backoff, FIRST_RETRY_MS, LAST_RETRY_MS);
	iu_worker_report(error);
}

/* ---------- claim ---------- */

typedef struct Claim
{
	int			max;
	int			claimed;
	IuBatch    *batch;
	TimestampTz next;
} Claim;

static void
claim_step(void *argument)
{
	Claim	   *claim = argument;

	iu_worker_begin_transaction("claiming deliveries");
	claim->next = DT_NOEND;
	readiness = iu_claim_readiness();
	if (readiness == IU_RUNNING)
		claim->batch = iu_claim(CurTransactionContext, sender_name, claim->max, &claim->claimed, &claim->next);
	/* Ours from the commit on, and gone with the transaction if there is none. */
	if (claim->batch != NULL)
		MemoryContextSetParent(claim->batch->context, batches_context);
	iu_worker_commit();
}

static void
take_batch(IuBatch *batch)
{
	dlist_iter	each;

	dlist_push_tail(&batches, &batch->node);
	dlist_foreach(each, &batch->leases)
	{
		IuLease    *lease = dlist_container(IuLease, node, each.cur);
		ListCell   *cell;

		foreach(cell, lease->deliveries)
			dlist_push_tail(&waiting, &((IuDelivery *) lfirst(cell))->node);
	}
}

static TimestampTz
claim_time(void)
{
	return Max(next_claim, Max(claim_backoff.not_before, held_backoff.not_before));
}

static void
claim_more(void)
{
	Claim		claim = {Min(CLAIM_MAX, OPEN_MAX - open_count)};
	ErrorData  *error;

	if (claim.max <= 0 || !is_past(claim_time()))
		return;
	error = iu_worker_try(claim_step, &claim);
	if (error != NULL)
	{
		if (claim.batch != NULL)
			MemoryContextDelete(claim.batch->context);
		report_and_retry(error, &claim_backoff);
		return;
	}
	iu_backoff_clear(&claim_backoff);
	next_claim = Min(claim.next, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_SLEEP_MS));
	if (claim.batch == NULL)
		return;
	open_count += claim.claimed;
	iu_slot_count(iu_my_slot, COUNT_CLAIMED, claim.claimed);
	take_batch(claim.batch);
}

/* ---------- send ---------- */

static void
finish(IuDelivery *delivery, const char *outcome, const char *code, const char *detail)
{
	delivery->outcome = outcome;
	delivery->failure_code = code;
	if (detail != NULL)
		delivery->failure_detail = iu_clean_text(delivery->context, detail, strlen(detail));
	dlist_delete(&delivery->node);
	delivery->lease->unfinished--;
}

static int
in_flight_on_route(const char *route_code)
{
	dlist_iter	each;
	int			count = 0;

	dlist_foreach(each, &in_flight)
	{
		if (strcmp(dlist_container(IuDelivery, node, each.cur)->route_code, route_code) == 0)
			count++;
	}
	return count;
}

static int
chosen_on_route(const List *chosen, const char *route_code)
{
	ListCell   *cell;
	int			count = 0;

	foreach(cell, chosen)
	{
		if (strcmp(((IuDelivery *) lfirst(cell))->route_code, route_code) == 0)
			count++;
	}
	return count;
}

/* Those that fit into the free places, each route within its share. */
static List *
choose_next(void)
{
	List	   *chosen = NIL;
	dlist_iter	each;

	dlist_foreach(each, &waiting)
	{
		IuDelivery *delivery = dlist_container(IuDelivery, node, each.cur);
		int			share;

		if (in_flight_count + list_length(chosen) >= IN_FLIGHT_MAX)
			break;
		share = IN_FLIGHT_PER_ROUTE - in_flight_on_route(delivery->route_code);
		if (chosen_on_route(chosen, delivery->route_code) < share)
			chosen = lappend(chosen, delivery);
	}
	return chosen;
}

static void
check_step(void *argument)
{
	List	   *chosen = argument;
	ListCell   *cell;

	iu_worker_begin_transaction("checking whether deliveries may be sent");
	foreach(cell, chosen)
		iu_claim_check(lfirst(cell));
	iu_worker_commit();
}

static void
send_delivery(IuDelivery *delivery)
{
	const char *code;
	const char *detail = NULL;

	if (delivery->refusal != NULL)
	{
		finish(delivery, "held", delivery->refusal, NULL);
		return;
	}
	delivery->started_at = GetCurrentTimestamp();
	code = iu_parcel_submit(pool, delivery, &detail);
	if (code != NULL)
	{
		finish(delivery, "failed", code, detail);
		return;
	}
	dlist_delete(&delivery->node);
	dlist_push_tail(&in_flight, &delivery->node);
	in_flight_count++;
}

/* True if some were taken from those waiting, so that others may have their turn. */
static bool
send_some(void)
{
	List	   *chosen = choose_next();
	ErrorData  *error;
	ListCell   *cell;

	if (chosen == NIL)
	{
		iu_backoff_clear(&send_backoff);
		return false;
	}
	error = iu_worker_try(check_step, chosen);
	if (error != NULL)
	{
		report_and_retry(error, &send_backoff);
		return false;
	}
	iu_backoff_clear(&send_backoff);
	foreach(cell, chosen)
		send_delivery(lfirst(cell));
	return true;
}

static void
send_more(void)
{
	if (!is_past(send_backoff.not_before))
		return;
	while (send_some())
		iu_worker_absorb();
}

/* ---------- answers ---------- */

static void
take_answer(const IuHttpAnswer *answer)
{
	IuDelivery *delivery = answer->owner;
	MemoryContext context = delivery->context;

	delivery->status = answer->status;
	delivery->retry_after = answer->retry_after;
	delivery->microseconds = answer->microseconds;
	if (answer->body.len > 0)
		delivery->excerpt = iu_clean_text(context, answer->body.data, answer->body.len);
	in_flight_count--;

	if (answer->outcome == IU_HTTP_ANSWERED && answer->status >= 200 && answer->status <= 299)
		finish(delivery, "sent", NULL, NULL);
	else if (answer->outcome == IU_HTTP_ANSWERED)
	{
		char		code[32];

		snprintf(code, sizeof(code), "http_%d", answer->status);
		finish(delivery, "failed", MemoryContextStrdup(context, code), NULL);
	}
	else
		finish(delivery, answer->outcome == IU_HTTP_ORIGIN_REFUSED ? "held" : "failed",
			   iu_http_outcome_code(answer->outcome), answer->error);
}

/* ---------- record ---------- */

static void
record_step(void *argument)
{
	iu_worker_begin_transaction("recording deliveries");
	iu_record(argument);
	iu_worker_commit();
}

static void
count_outcomes(const IuLease *lease)
{
	int			sent = 0;
	int			failed = 0;
	ListCell   *cell;

	foreach(cell, lease->deliveries)
	{
		const char *outcome = ((IuDelivery *) lfirst(cell))->outcome;

		sent += strcmp(outcome, "sent") == 0;
		failed += strcmp(outcome, "failed") == 0;
	}
	iu_slot_count(iu_my_slot, COUNT_SENT, sent);
	iu_slot_count(iu_my_slot, COUNT_FAILED, failed);
	if (sent + failed > 0)
		iu_backoff_clear(&held_backoff);
	else
		iu_backoff_grow(&held_backoff, FIRST_RETRY_MS, LAST_RETRY_MS);
}

/* Never sent again from here: the results stay until they are recorded or refused. */
static bool
record_lease(IuLease *lease)
{
	ErrorData  *error = iu_worker_try(record_step, lease);

	if (error != NULL && error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
	{
		report_and_retry(error, &lease->backoff);
		return false;
	}
	if (error != NULL)
		ereport(LOG,
				(errmsg("results of %d deliveries came too late and are dropped: %s",
						list_length(lease->deliveries), error->message)));
	else
		count_outcomes(lease);
	open_count -= list_length(lease->deliveries);
	next_claim = DT_NOBEGIN;
	return true;
}

static void
record_finished(void)
{
	dlist_mutable_iter batch_iter;
	dlist_mutable_iter lease_iter;

	dlist_foreach_modify(batch_iter, &batches)
	{
		IuBatch    *batch = dlist_container(IuBatch, node, batch_iter.cur);

		dlist_foreach_modify(lease_iter, &batch->leases)
		{
			IuLease    *lease = dlist_container(IuLease, node, lease_iter.cur);

			if (lease->unfinished == 0 && is_past(lease->backoff.not_before) && record_lease(lease))
				dlist_delete(&lease->node);
		}
		if (dlist_is_empty(&batch->leases))
		{
			dlist_delete(&batch->node);
			MemoryContextDelete(batch->context);
		}
	}
}

/* ---------- the loop ---------- */

/* A step that failed waits to be tried again: true, and *when no later than that. */
static bool
waits_for(const IuBackoff *backoff, TimestampTz *when)
{
	if (backoff->delay_ms == 0)
		return false;
	*when = Min(*when, backoff->not_before);
	return true;
}

static bool
any_retry(TimestampTz *when)
{
	bool		any = claim_backoff.delay_ms != 0;	/* its time is known to claim_time */
	dlist_iter	batch_iter;
	dlist_iter	lease_iter;

	any |= waits_for(&send_backoff, when);
	dlist_foreach(batch_iter, &batches)
		dlist_foreach(lease_iter, &dlist_container(IuBatch, node, batch_iter.cur)->leases)
			any |= waits_for(&dlist_container(IuLease, node, lease_iter.cur)->backoff, when);
	return any;
}

/* Nothing having failed, what an earlier failure left in the status is over. */
static TimestampTz
next_wakeup(void)
{
	TimestampTz when = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_SLEEP_MS);

	if (!any_retry(&when))
		iu_slot_state(iu_my_slot, readiness, "");
	return open_count < OPEN_MAX ? Min(when, claim_time()) : when;
}

typedef struct Wait
{
	TimestampTz until;
	uint32		wait_event;
} Wait;

/* Takes what came: every answer there is, then the latch or the end of the wait. */
static void
wait_step(void *argument)
{
	Wait	   *wait = argument;
	long		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wait->until);
	IuHttpAnswer *answer;
	IuHttpEvent event;

	while ((event = iu_http_wait(pool, ms, wait->wait_event, &answer)) == IU_HTTP_EVENT_ANSWER)
	{
		take_answer(answer);
		ms = 0;
	}
	if (event == IU_HTTP_EVENT_LATCH)
		next_claim = DT_NOBEGIN;
}

/* A cancel means nothing here; whatever else the pool raises, a new process starts clean. */
static void
wait_for_events(Wait *wait)
{
	ErrorData  *error = iu_worker_try(wait_step, wait);

	if (error == NULL || error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		return;
	iu_worker_report(error);
	proc_exit(1);
}

static void
begin_sender(Datum main_arg)
{
	IuWorkerSlot slot;

	iu_worker_begin(main_arg, LOCK_WAIT);
	iu_slot_read(iu_my_slot, &slot);
	snprintf(sender_name, sizeof(sender_name), "iu_core sender %d", slot.number);
	batches_context = AllocSetContextCreate(TopMemoryContext, "iu_core batches", ALLOCSET_DEFAULT_SIZES);
	pool = iu_http_pool_create(TopMemoryContext, IN_FLIGHT_MAX);
}

void
iu_sender_main(Datum main_arg)
{
	uint32		idle_event = iu_wait_event("IuCoreSenderMain");
	uint32		http_event = iu_wait_event("IuCoreSenderHttp");
	MemoryContext loop_context;

	begin_sender(main_arg);
	loop_context = AllocSetContextCreate(TopMemoryContext, "iu_core sender pass", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		Wait		wait;

		MemoryContextReset(loop_context);
		MemoryContextSwitchTo(loop_context);
		iu_worker_absorb();
		claim_more();
		send_more();
		record_finished();
		wait.until = next_wakeup();
		wait.wait_event = in_flight_count > 0 ? http_event : idle_event;
		iu_slot_tick(iu_my_slot, wait.until);
		pgstat_report_stat(true);
		wait_for_events(&wait);
	}
}
