/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Carries deliveries out over HTTP: claim and commit; send with no
 *	  transaction, snapshot or lock; record and commit.
 *
 * Several batches may be under way, so that a slow endpoint holds up neither
 * recording nor new claims; no route takes more than half of the connections
 * that the others leave. Right before a delivery is sent it is asked once
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
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LONGEST_SLEEP_MS 60000
#define LOCK_WAIT "1s"		/* answers come in meanwhile */
#define FIRST_RETRY_MS 100
#define LAST_RETRY_MS 5000
#define IN_FLIGHT_MAX 256
#define CLAIM_FIRST 64
#define CLAIM_MAX 1024			/* the cost of a claim, and of the flush of its record, is shared by so many */
#define CLAIM_BYTES (8 * 1024 * 1024)	/* of bodies in a claim, as far as the last one tells */
#define OPEN_MAX 16384			/* claimed and not recorded, divided among the routes */
#define CLAIM_PACE 6			/* while there is enough to send, so many times as long as a claim takes */
#define OPEN_BYTES (8 * CLAIM_BYTES)	/* where they are reached, nothing more is claimed */
#define RECORD_DELAY_MS 1000	/* what is done waits that long for the rest of its lease */
#define IDLE_RECORD_DELAY_MS 3	/* where the route has nothing left to send */
#define TURN_MS 1000			/* between turns, where events were emitted */
#define NEXT_TURN_MS 20			/* where there is more */
#define EMPTY_CLAIM_MS 50		/* before a claim that is due, but was empty, is repeated */

PGDLLEXPORT void iu_sender_main(Datum main_arg);

static MemoryContext batches_context;
static dlist_head batches = DLIST_STATIC_INIT(batches);
static int	claim_size = CLAIM_FIRST;
static size_t open_bytes = 0;	/* of their batches, until all of a batch is recorded */

static IuHttpPool *pool;
static char sender_name[32];
static IuWorkerState readiness = IU_STARTING;
static TimestampTz next_claim = DT_NOBEGIN; /* in the past: now */
static int	look_ahead_to = 0;	/* route_max of a claim that left nothing: when is the next? */
static bool came_up_empty = false;	/* that claim */
static TimestampTz paced_claim = DT_NOBEGIN;	/* not before, while there is enough to send */
static TimestampTz last_turn = 0;
static TimestampTz next_turn = DT_NOBEGIN;
static IuBackoff turn_backoff;
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
	iu_slot_count(iu_my_slot, IU_COUNT_ERRORS, 1);
	iu_backoff_grow(backoff, FIRST_RETRY_MS, LAST_RETRY_MS);
	iu_worker_report(error);
}

/* ---------- claim ---------- */

typedef struct Claim
{
	int			max;
	int			route_max;		/* of a route, with what there is of it already */
	int			claimed;
	IuBatch    *batch;
} Claim;

/* The current transaction. */
static void
commit_without_flush(void)
{
	set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

static void
claim_step(void *argument)
{
	Claim	   *claim = argument;

	iu_worker_begin_transaction("claiming deliveries");

	/* A claim that a crash undoes is made again; only what was sent must not be forgotten. */
	commit_without_flush();
	readiness = iu_claim_readiness();
	if (readiness == IU_RUNNING)
		claim->batch = iu_claim(CurTransactionContext, sender_name, claim->max, claim->route_max, &claim->claimed);
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

		iu_queue_join(lease);
		foreach(cell, lease->deliveries)
			iu_queue_add(lfirst(cell));
		iu_inherit_outcomes(&batches, lease);
	}
}

static TimestampTz
claim_time(void)
{
	TimestampTz when = Max(next_claim, Max(claim_backoff.not_before, held_backoff.not_before));

	return iu_queues_wait() && iu_queues_in_flight() > iu_http_pool_size(pool) / 2 ? Max(when, paced_claim) : when;
}

static bool
may_claim(void)
{
	return open_bytes < OPEN_BYTES;
}

/* A backlog is claimed in large batches, unless its bodies are large. */
static void
adapt_claim_size(const Claim *claim)
{
	if (claim->batch->bytes > CLAIM_BYTES)
		claim_size = Max(claim->claimed * (int64) CLAIM_BYTES / claim->batch->bytes, 1);
	else if (claim->claimed == claim_size)
		claim_size = Min(claim_size * 2, CLAIM_MAX);
}

static void
claim_more(void)
{
	Claim		claim = {claim_size, Max(OPEN_MAX / (iu_queues_count() + 1), CLAIM_FIRST)};
	TimestampTz began = GetCurrentTimestamp();
	ErrorData  *error;

	if (!may_claim() || claim_time() > began)
		return;
	error = iu_worker_try(claim_step, &claim);
	paced_claim = GetCurrentTimestamp() + CLAIM_PACE * (GetCurrentTimestamp() - began);
	if (error != NULL)
	{
		if (claim.batch != NULL)
			MemoryContextDelete(claim.batch->context);
		report_and_retry(error, &claim_backoff);
		return;
	}
	iu_backoff_clear(&claim_backoff);
	came_up_empty = claim.batch == NULL;
	look_ahead_to = claim.claimed < claim.max && readiness == IU_RUNNING ? claim.route_max : 0;
	next_claim = look_ahead_to > 0 || claim.batch == NULL
		? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_SLEEP_MS)
		: GetCurrentTimestamp();
	if (claim.batch == NULL)
		return;
	adapt_claim_size(&claim);
	open_bytes += claim.batch->bytes;
	iu_slot_count(iu_my_slot, IU_COUNT_CLAIMED, claim.claimed);
	take_batch(claim.batch);
}

static void
look_ahead_step(void *argument)
{
	TimestampTz *due = argument;

	iu_worker_begin_transaction("looking for the next delivery that is due");
	*due = iu_claim_next_due(look_ahead_to);
	iu_worker_commit();
}

/* After the sending: what was claimed need not wait for it. */
static void
look_ahead(void)
{
	TimestampTz due = DT_NOEND;
	ErrorData  *error;

	if (look_ahead_to == 0)
		return;
	error = iu_worker_try(look_ahead_step, &due);
	look_ahead_to = 0;
	if (error != NULL)
	{
		/* a claim looks as well */
		next_claim = DT_NOBEGIN;
		report_and_retry(error, &claim_backoff);
		return;
	}
	/* Another sender is at it, say. */
	if (came_up_empty)
		due = Max(due, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), EMPTY_CLAIM_MS));
	next_claim = Min(next_claim, due);
}

/* ---------- send ---------- */

/* Once for each lease among them. */
static void
check_step(void *argument)
{
	List	   *chosen = argument;
	ListCell   *cell;

	foreach(cell, chosen)
		((IuDelivery *) lfirst(cell))->lease->checked = false;
	iu_worker_begin_transaction("checking whether deliveries may be sent");
	foreach(cell, chosen)
	{
		IuDelivery *delivery = lfirst(cell);

		if (!delivery->lease->checked && !delivery->lease->lost)
			iu_claim_check(delivery->context, delivery->lease);
	}
	iu_worker_commit();
}

static void
send_delivery(IuDelivery *delivery)
{
	IuLease    *lease = delivery->lease;
	const char *code;
	const char *detail = NULL;
	bool		held;

	if (lease->refusal != NULL && strcmp(lease->refusal, "lease_lost") == 0)
		lease->lost = true;
	if (lease->refusal != NULL || lease->lost)
	{
		iu_finish(delivery, "held", lease->refusal, NULL);
		return;
	}
	delivery->started_at = GetCurrentTimestamp();
	code = iu_parcel_submit(pool, delivery, &held, &detail);
	if (code != NULL)
	{
		iu_finish(delivery, held ? "held" : "failed", code, detail);
		return;
	}
	iu_queue_start(delivery);
}

/* True if some were taken from those waiting, so that others may have their turn. */
static bool
send_some(void)
{
	List	   *chosen = iu_choose_next(iu_http_pool_size(pool));
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

/* What an administrator has to allow holds a delivery and costs it no attempt. */
static bool
is_configuration(IuHttpOutcome outcome)
{
	return outcome == IU_HTTP_ORIGIN_REFUSED || outcome == IU_HTTP_ADDRESS_REFUSED;
}

static void
take_answer(const IuHttpAnswer *answer)
{
	IuDelivery *delivery = answer->owner;
	MemoryContext context = delivery->context;

	delivery->status = answer->status;
	delivery->retry_after = answer->retry_after;
	delivery->microseconds = answer->microseconds;
	if (answer->body.len > 0)
		delivery->excerpt = iu_excerpt(context, answer->body.data, answer->body.len);

	if (answer->outcome == IU_HTTP_ANSWERED && answer->status >= 200 && answer->status <= 299)
		iu_finish(delivery, "sent", NULL, NULL);
	else if (answer->outcome == IU_HTTP_ANSWERED)
	{
		char		code[32];

		snprintf(code, sizeof(code), "http_%d", answer->status);
		iu_finish(delivery, "failed", MemoryContextStrdup(context, code), NULL);
	}
	else
		iu_finish(delivery, is_configuration(answer->outcome) ? "held" : "failed",
			   iu_http_outcome_code(answer->outcome), answer->error);
}

/* ---------- record ---------- */

typedef struct Record
{
	IuLease    *lease;
	bool		more;			/* another follows, whose flush serves this one as well */
} Record;

static void
record_step(void *argument)
{
	Record	   *record = argument;

	iu_worker_begin_transaction("recording deliveries");
	if (record->more)
		commit_without_flush();
	iu_record(record->lease);
	iu_worker_commit();
}

static void
count_outcomes(const IuLease *lease)
{
	int			sent = 0;
	int			failed = 0;
	int			later = 0;		/* held, but not to be claimed again at once */
	ListCell   *cell;

	foreach(cell, lease->finished)
	{
		IuDelivery *delivery = lfirst(cell);

		sent += strcmp(delivery->outcome, "sent") == 0;
		failed += strcmp(delivery->outcome, "failed") == 0;
		later += strcmp(delivery->outcome, "held") == 0 && delivery->failure_code != NULL &&
			strcmp(delivery->failure_code, iu_http_outcome_code(IU_HTTP_ADDRESS_REFUSED)) == 0;
	}
	iu_slot_count(iu_my_slot, IU_COUNT_SENT, sent);
	iu_slot_count(iu_my_slot, IU_COUNT_FAILED, failed);
	if (sent + failed + later > 0)
		iu_backoff_clear(&held_backoff);
	else
		iu_backoff_grow(&held_backoff, FIRST_RETRY_MS, LAST_RETRY_MS);
}

static void
keep_step(void *argument)
{
	iu_worker_begin_transaction("keeping a lease that could not be recorded");
	iu_record_keep(argument);
	iu_worker_commit();
}

/*
 * Never sent again from here: the results stay until they are recorded or the
 * lease is another's. Whatever the error says, only the lease tells.
 */
static void
record_lease(IuLease *lease, bool more)
{
	Record		record = {lease, more};
	ErrorData  *error = NULL;

	if (!lease->lost)
		error = iu_worker_try(record_step, &record);
	if (error != NULL)
	{
		(void) iu_worker_try(keep_step, lease);
		if (!lease->lost)
		{
			report_and_retry(error, &lease->backoff);
			return;
		}
		ereport(LOG,
				(errmsg("results of deliveries came too late and are dropped: %s", error->message)));
	}
	else if (!lease->lost)
		count_outcomes(lease);
	iu_backoff_clear(&lease->backoff);
	lease->finished = NIL;
	next_claim = DT_NOBEGIN;
}

/* Now, if the lease is through; else a little later, together with what ends meanwhile. */
static TimestampTz
record_time(const IuLease *lease)
{
	int			delay = dlist_is_empty(&lease->queue->waiting) ? IDLE_RECORD_DELAY_MS : RECORD_DELAY_MS;

	if (lease->finished == NIL)
		return DT_NOEND;
	if (lease->unfinished == 0)
		return lease->backoff.not_before;
	return Max(lease->backoff.not_before, TimestampTzPlusMilliseconds(lease->finished_since, delay));
}

static List *
leases_to_record(void)
{
	List	   *due = NIL;
	dlist_iter	batch_iter;
	dlist_iter	lease_iter;

	dlist_foreach(batch_iter, &batches)
	{
		dlist_foreach(lease_iter, &dlist_container(IuBatch, node, batch_iter.cur)->leases)
		{
			IuLease    *lease = dlist_container(IuLease, node, lease_iter.cur);

			if (is_past(record_time(lease)))
				due = lappend(due, lease);
		}
	}
	return due;
}

static void
forget_recorded(void)
{
	dlist_mutable_iter batch_iter;
	dlist_mutable_iter lease_iter;

	dlist_foreach_modify(batch_iter, &batches)
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
		{
			dlist_delete(&batch->node);
			open_bytes -= batch->bytes;
			MemoryContextDelete(batch->context);
		}
	}
}

static void
record_finished(void)
{
	List	   *due = leases_to_record();
	ListCell   *cell;

	foreach(cell, due)
		record_lease(lfirst(cell), lnext(due, cell) != NULL);
	forget_recorded();
}

/* ---------- turn ---------- */

static void
turn_step(void *argument)
{
	bool	   *more = argument;

	iu_worker_begin_transaction("passing over the outbox");
	*more = iu_turn();
	iu_worker_commit();
}

static TimestampTz
turn_time(void)
{
	return Max(next_turn, turn_backoff.not_before);
}

static void
take_turn(void)
{
	bool		more = false;
	ErrorData  *error;

	if (!is_past(turn_time()))
		return;
	error = iu_worker_try(turn_step, &more);
	if (error != NULL)
	{
		report_and_retry(error, &turn_backoff);
		return;
	}
	iu_backoff_clear(&turn_backoff);
	last_turn = GetCurrentTimestamp();
	next_turn = TimestampTzPlusMilliseconds(last_turn, more ? NEXT_TURN_MS : LONGEST_SLEEP_MS);
}

/* ---------- the loop ---------- */

/* When the next record is due; *failed if one was tried in vain. */
static TimestampTz
next_record(bool *failed)
{
	TimestampTz when = DT_NOEND;
	dlist_iter	batch_iter;
	dlist_iter	lease_iter;

	dlist_foreach(batch_iter, &batches)
	{
		dlist_foreach(lease_iter, &dlist_container(IuBatch, node, batch_iter.cur)->leases)
		{
			IuLease    *lease = dlist_container(IuLease, node, lease_iter.cur);

			*failed |= lease->backoff.delay_ms != 0;
			when = Min(when, record_time(lease));
		}
	}
	return when;
}

/* Where nothing waits to be tried again, what an earlier failure left in the status is over. */
static TimestampTz
next_wakeup(void)
{
	bool		failed = claim_backoff.delay_ms != 0 || send_backoff.delay_ms != 0 || turn_backoff.delay_ms != 0;
	TimestampTz when = Min(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_SLEEP_MS),
						   Min(next_record(&failed), turn_time()));

	if (!failed)
		iu_slot_state(iu_my_slot, readiness, "");
	if (send_backoff.delay_ms != 0)
		when = Min(when, send_backoff.not_before);
	return may_claim() ? Min(when, claim_time()) : when;
}

typedef struct Wait
{
	TimestampTz until;
	uint32		wait_event;
} Wait;

static void
be_woken(void)
{
	next_claim = DT_NOBEGIN;
	next_turn = Min(next_turn, TimestampTzPlusMilliseconds(last_turn, TURN_MS));
}

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
		iu_http_answer_free(answer);
		ms = 0;
	}
	if (event == IU_HTTP_EVENT_LATCH)
		be_woken();
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
		(void) iu_slot_woken(iu_my_slot);
		claim_more();
		send_more();
		look_ahead();
		record_finished();
		take_turn();
		/* Whoever waits for a lock uses up the latch. */
		if (iu_slot_woken(iu_my_slot))
			be_woken();
		wait.until = next_wakeup();
		wait.wait_event = iu_queues_in_flight() > 0 ? http_event : idle_event;
		iu_slot_tick(iu_my_slot, wait.until);
		pgstat_report_stat(true);
		wait_for_events(&wait);
	}
}
