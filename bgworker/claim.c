/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  A sender's claims: what it may send, and when it asks again.
 *
 * A claim that brings fewer deliveries than it asked for has left nothing that
 * could be claimed where it looked (look.c). Then a second call, after what was
 * claimed has been sent, tells when the clock brings something.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/drain.h"
#include "bgworker/sender.h"
#include "catalog/pg_type.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CLAIM_FIRST 64			/* deliveries in the first claim */
#define CLAIM_MAX 1024			/* the cost of a claim, and of the flush of its record, is shared by so many */
#define CLAIM_BYTES (8 * 1024 * 1024)	/* of bodies in a claim, as far as the last one tells */
#define CLAIM_PACE 6			/* while there is enough to send, so many times as long as a claim takes */
#define OPEN_MAX 16384			/* deliveries claimed and not recorded, divided among the routes */
#define OPEN_BYTES (8 * CLAIM_BYTES)	/* of their bodies; then nothing more is claimed */
#define EMPTY_CLAIM_MS 50		/* before a claim that is due, but was empty, is repeated */

/* ---- Reading what was claimed ---- */

enum
{
	LEASE_ID,
	LEASE_GENERATION,
	ROUTE_CODE,
	TARGET_URL,
	SECRETS,
	TIMEOUT_MS,
	REQUESTS,
	MOST,
	HEADERS,
	HIDDEN,
	CA_NAME,
	CLIENT_NAME,
	EVENT_ID,
	REPLAY_NUMBER,
	ATTEMPT_NO,
	WEBHOOK_ID,
	BODY,
	CLAIM_COLUMNS
};

static const IuColumn claim_columns[CLAIM_COLUMNS] = {
	[LEASE_ID] = {"lease_id", INT8OID},
	[LEASE_GENERATION] = {"lease_generation", INT4OID},
	[ROUTE_CODE] = {"route_code", TEXTOID},
	[TARGET_URL] = {"target_url", TEXTOID},
	[SECRETS] = {"secrets", TEXTARRAYOID},
	[TIMEOUT_MS] = {"timeout_ms", INT4OID},
	[REQUESTS] = {"requests", INT4OID},
	[MOST] = {"most", INT4OID},
	[HEADERS] = {"headers", TEXTARRAYOID},
	[HIDDEN] = {"hidden", TEXTARRAYOID},
	[CA_NAME] = {"ca_name", TEXTOID},
	[CLIENT_NAME] = {"client_name", TEXTOID},
	[EVENT_ID] = {"event_id", UUIDOID},
	[REPLAY_NUMBER] = {"replay_number", INT4OID},
	[ATTEMPT_NO] = {"attempt_no", INT4OID},
	[WEBHOOK_ID] = {"webhook_id", TEXTOID},
	[BODY] = {"body", TEXTOID},
};

/* The texts of an array, NULL for one that is; none where the array is. In the current memory context. */
static IuTexts
read_texts(uint64 row, int column)
{
	IuTexts		texts = {NULL, 0};
	bool		null;
	Datum		array = iu_row_value(row, column, &null);
	Datum	   *elements;
	bool	   *nulls;
	int			i;

	if (null)
		return texts;
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &texts.count);
	texts.texts = palloc(sizeof(char *) * Max(texts.count, 1));
	for (i = 0; i < texts.count; i++)
		texts.texts[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
	return texts;
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

/* Each row of a lease says the same of the lease, so it is read from the first. */
static IuLease *
read_lease(IuBatch *batch, uint64 row, const int *columns)
{
	int64		id = DatumGetInt64(iu_row_required(row, columns[LEASE_ID]));
	int			generation = DatumGetInt32(iu_row_required(row, columns[LEASE_GENERATION]));
	IuLease    *lease = find_lease(batch, id, generation);

	if (lease != NULL)
		return lease;
	lease = palloc0(sizeof(IuLease));
	lease->id = id;
	lease->generation = generation;
	lease->route_code = TextDatumGetCString(iu_row_required(row, columns[ROUTE_CODE]));
	lease->target_url = iu_row_text(row, columns[TARGET_URL]);
	lease->timeout_ms = DatumGetInt32(iu_row_required(row, columns[TIMEOUT_MS]));
	lease->requests = DatumGetInt32(iu_row_required(row, columns[REQUESTS]));
	lease->most = DatumGetInt32(iu_row_required(row, columns[MOST]));
	lease->secrets = read_texts(row, columns[SECRETS]);
	lease->headers = read_texts(row, columns[HEADERS]);
	lease->hidden = read_texts(row, columns[HIDDEN]);
	lease->ca_name = iu_row_text(row, columns[CA_NAME]);
	lease->client_name = iu_row_text(row, columns[CLIENT_NAME]);
	dlist_push_tail(&batch->leases, &lease->node);
	return lease;
}

static void
read_delivery(IuBatch *batch, uint64 row, const int *columns)
{
	IuDelivery *delivery = palloc0(sizeof(IuDelivery));
	IuAttempt  *attempt = &delivery->attempt;

	delivery->context = batch->context;
	delivery->lease = read_lease(batch, row, columns);
	delivery->webhook_id = TextDatumGetCString(iu_row_required(row, columns[WEBHOOK_ID]));
	delivery->body = iu_row_text(row, columns[BODY]);
	batch->bytes += delivery->body == NULL ? 0 : strlen(delivery->body);
	attempt->event_id = *DatumGetUUIDP(iu_row_required(row, columns[EVENT_ID]));
	attempt->replay_number = DatumGetInt32(iu_row_required(row, columns[REPLAY_NUMBER]));
	attempt->attempt_no = DatumGetInt32(iu_row_required(row, columns[ATTEMPT_NO]));
	attempt->retry_after = -1;
	delivery->lease->deliveries = lappend(delivery->lease->deliveries, delivery);
	delivery->lease->unfinished++;
}

/* The rows of a claim as a batch in a context of its own, below the current one. */
static IuBatch *
read_batch(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "iu_core batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	IuBatch    *batch = palloc0(sizeof(IuBatch));
	int			columns[CLAIM_COLUMNS];
	uint64		i;

	batch->context = context;
	dlist_init(&batch->leases);
	iu_row_columns(claim_columns, CLAIM_COLUMNS, columns);
	for (i = 0; i < SPI_processed; i++)
		read_delivery(batch, i, columns);
	MemoryContextSwitchTo(caller);
	return batch;
}

/* ---- The claim ---- */

typedef struct Claim
{
	IuSender   *sender;
	int			max;			/* deliveries */
	int			route_max;		/* of a route, with what the sender has of it already */
	IuWorkerState readiness;
	bool		looked;			/* there was some route to look at */
	int			claimed;
	IuBatch    *batch;			/* NULL: there was nothing */
} Claim;

/* Where results could not be recorded, nothing is claimed. */
static IuWorkerState
claim_readiness(void)
{
	static const IuCall calls[] = {
		IU_CALL_SETTLE, IU_CALL_NEWS, IU_CALL_CLAIM, IU_CALL_CHECK, IU_CALL_NEXT_DUE, IU_CALL_RECORD, IU_CALL_KEEP
	};

	return iu_calls_readiness(calls, lengthof(calls));
}

/* The transaction of a claim. */
static void
claim_deliveries(void *argument)
{
	Claim	   *task = argument;
	Datum		arguments[5];
	char		nulls[] = "     ";
	bool		null;

	/* A claim that a crash undoes is made again; only what was sent must not be forgotten. */
	iu_commit_without_flush();
	task->readiness = claim_readiness();
	if (task->readiness != IU_RUNNING)
		return;
	if (!task->sender->settled)
		(void) iu_call_for_value(IU_CALL_SETTLE, NULL, &null);
	task->looked = iu_look_find(&task->sender->look);
	if (!task->looked)
		return;
	/* Before routes that another sender's claim holds are passed over, so that no end of a claim is missed. */
	iu_slot_wait_for_others(iu_worker_slot(), task->sender->look.everywhere ? IU_WAITS_ALL_ROUTES : IU_WAITS);
	arguments[0] = CStringGetTextDatum(task->sender->name);
	arguments[1] = Int32GetDatum(task->max);
	arguments[2] = Int32GetDatum(task->route_max);
	arguments[3] = Int32GetDatum(iu_senders);
	arguments[4] = iu_look_routes(&task->sender->look, &nulls[4]);
	iu_call_with_nulls(IU_CALL_CLAIM, arguments, nulls);
	task->claimed = SPI_processed;
	if (SPI_processed == 0)
		return;
	task->batch = read_batch();
	/* From the commit on it is the sender's; without a commit it is gone with the transaction. */
	MemoryContextSetParent(task->batch->context, task->sender->batches_context);
}

/* Queues the deliveries of a batch. */
static void
take_batch(IuSender *sender, IuBatch *batch)
{
	dlist_iter	each;

	dlist_push_tail(&sender->batches, &batch->node);
	sender->open_bytes += batch->bytes;
	dlist_foreach(each, &batch->leases)
	{
		IuLease    *lease = dlist_container(IuLease, node, each.cur);
		ListCell   *cell;

		iu_queue_join(&sender->queues, lease);
		foreach(cell, lease->deliveries)
			iu_queue_add(lfirst(cell));
		iu_lease_inherit(sender, lease);
	}
}

/*
 * How many deliveries of a route the sender holds, claimed and not recorded.
 *
 * *unfinished: those that wait or are under way.
 */
static int
count_held(const IuSender *sender, const IuQueue *queue, int *unfinished)
{
	int			held = 0;
	dlist_iter	batch_iter;
	dlist_iter	lease_iter;

	*unfinished = 0;
	dlist_foreach(batch_iter, &unconstify(IuSender *, sender)->batches)
	{
		dlist_foreach(lease_iter, &dlist_container(IuBatch, node, batch_iter.cur)->leases)
		{
			const IuLease *lease = dlist_container(IuLease, node, lease_iter.cur);

			if (lease->queue != queue)
				continue;
			*unfinished += lease->unfinished;
			held += lease->unfinished + list_length(lease->finished);
		}
	}
	return held;
}

static int
route_max(const IuSender *sender)
{
	return Max(OPEN_MAX / (sender->queues.count + 1), CLAIM_FIRST);
}

/*
 * Whether it is worth while to claim more of the route of a lease. A claim costs
 * much the same, whatever it brings. So no use is made of little room where much
 * of the route waits: that is in two leases at least, and the record of the next
 * one makes more room.
 */
static bool
has_room(const IuSender *sender, const IuLease *lease)
{
	int			unfinished;
	int			room = Min(lease->most, route_max(sender)) - count_held(sender, lease->queue, &unfinished);
	int			waiting = unfinished - lease->queue->in_flight;
	bool		little = room < Min(sender->claim_size, lease->most / 2);

	return room > 0 && !(little && waiting >= iu_http_pool_size(sender->pool));
}

/* Deliveries of the lease have been recorded, or it was lost: there is room for others of its route. */
void
iu_claim_after_record(IuSender *sender, const IuLease *lease)
{
	iu_look_again(&sender->look, lease->route_code);
	if (has_room(sender, lease))
		sender->next_claim = 0;
}

/* When to claim again; never while the bodies of what is claimed fill the memory allowed for them. */
TimestampTz
iu_claim_due(void *worker)
{
	const IuSender *sender = worker;
	TimestampTz next = Min(sender->next_claim, iu_look_round_due(&sender->look));
	TimestampTz when = Max(next, sender->held_backoff.not_before);
	bool		enough = sender->queues.waiting > 0 &&
		sender->queues.in_flight > iu_http_pool_size(sender->pool) / 2;

	if (sender->open_bytes >= OPEN_BYTES || iu_drain_asked())
		return DT_NOEND;
	return enough ? Max(when, sender->paced_claim) : when;
}

/* A backlog is claimed in large batches, unless its bodies are large. */
static void
adapt_claim_size(const Claim *claim)
{
	IuSender   *sender = claim->sender;

	if (claim->batch->bytes > CLAIM_BYTES)
		sender->claim_size = Max(claim->claimed * (int64) CLAIM_BYTES / claim->batch->bytes, 1);
	else if (claim->claimed == sender->claim_size)
		sender->claim_size = Min(sender->claim_size * 2, CLAIM_MAX);
}

/* There may be more where deliveries were claimed. */
static void
look_again_at_claimed(IuSender *sender)
{
	dlist_iter	each;

	dlist_foreach(each, &sender->queues.queues)
		iu_look_again(&sender->look, dlist_container(IuQueue, node, each.cur)->route_code);
}

/* Whether a claim has looked at one route only, of which no more is to be claimed until some is recorded. */
static bool
is_settled(const IuSender *sender, const Claim *claim)
{
	const IuLease *lease = dlist_container(IuLease, node, dlist_tail_node(&claim->batch->leases));

	return !sender->look.everywhere && list_length(sender->look.routes) == 1 && lease->queue != NULL &&
		!has_room(sender, lease);
}

/* After a claim: when the next one comes, and whether a look ahead tells more. */
static void
plan_next_claim(IuSender *sender, const Claim *claim)
{
	bool		full = claim->claimed >= claim->max;

	sender->next_claim = full ? iu_now() : iu_from_now(IU_LONGEST_SLEEP_MS);
	sender->came_up_empty = claim->batch == NULL;
	sender->look_ahead_to = claim->looked && !full ? claim->route_max : 0;
	if (claim->readiness == IU_RUNNING)
		iu_look_done(&sender->look, full);
	else
		iu_look_put_off(&sender->look);
}

/* Claims, and queues what was claimed. */
ErrorData *
iu_claim_more(void *worker)
{
	IuSender   *sender = worker;
	Claim		task = {sender};
	TimestampTz began = iu_now();
	ErrorData  *error;

	if (sender->claim_size == 0)
		sender->claim_size = CLAIM_FIRST;
	task.max = sender->claim_size;
	task.route_max = route_max(sender);
	iu_look_prepare(&sender->look);
	error = iu_worker_transact("claiming deliveries", claim_deliveries, &task);
	if (error != NULL || task.batch != NULL)
		iu_slot_wait_for_others(iu_worker_slot(), IU_WAITS_NOT);
	sender->paced_claim = iu_now() + CLAIM_PACE * (iu_now() - began);
	if (error != NULL)
	{
		/* The commit failed, after the batch had been taken out of the transaction's memory. */
		if (task.batch != NULL)
			MemoryContextDelete(task.batch->context);
		iu_look_failed(&sender->look);
		return error;
	}
	iu_worker_ready(task.readiness);
	sender->settled |= task.readiness == IU_RUNNING;
	plan_next_claim(sender, &task);
	if (task.batch == NULL)
		return NULL;
	if (iu_senders > 1)
		iu_slots_wake(IU_WAKE_WAITING, MyDatabaseId);
	adapt_claim_size(&task);
	iu_worker_count(IU_COUNT_CLAIMED, task.claimed);
	take_batch(sender, task.batch);
	if (task.claimed >= task.max)
		look_again_at_claimed(sender);
	if (is_settled(sender, &task))
	{
		sender->next_claim = iu_from_now(IU_LONGEST_SLEEP_MS);
		sender->look_ahead_to = 0;
	}
	return NULL;
}

/* ---- The look ahead ---- */

typedef struct Ahead
{
	const IuLook *look;
	int			route_max;
	TimestampTz due;
} Ahead;

static void
find_next_due(void *argument)
{
	Ahead	   *task = argument;
	Datum		arguments[3];
	char		nulls[] = "   ";
	bool		null;
	Datum		due;

	arguments[0] = Int32GetDatum(task->route_max);
	arguments[1] = Int32GetDatum(iu_senders);
	arguments[2] = iu_look_routes(task->look, &nulls[2]);
	due = iu_call_for_value_with_nulls(IU_CALL_NEXT_DUE, arguments, nulls, &null);
	task->due = null ? DT_NOEND : DatumGetTimestampTz(due);
}

/* At once after a claim that left nothing. */
TimestampTz
iu_look_ahead_due(void *worker)
{
	return ((IuSender *) worker)->look_ahead_to > 0 ? 0 : DT_NOEND;
}

/* Brings the next claim forward to the time at which the clock brings something to claim. */
ErrorData *
iu_look_ahead(void *worker)
{
	IuSender   *sender = worker;
	Ahead		task = {&sender->look, sender->look_ahead_to};
	ErrorData  *error = iu_worker_transact("looking for the next delivery that is due", find_next_due, &task);

	if (error != NULL)
		return error;
	sender->look_ahead_to = 0;
	if (iu_is_past(task.due))
		look_again_at_claimed(sender);
	/* What is due and could not be claimed may be in the hands of another sender. */
	if (sender->came_up_empty && iu_senders > 1)
		iu_bring_forward(&sender->next_claim, iu_look_repeat(&sender->look));
	else if (!sender->came_up_empty)
		sender->look.repeat_ms = 0;
	if (sender->came_up_empty)
		task.due = Max(task.due, iu_from_now(EMPTY_CLAIM_MS));
	iu_bring_forward(&sender->next_claim, iu_look_ahead_found(&sender->look, task.due));
	return NULL;
}
