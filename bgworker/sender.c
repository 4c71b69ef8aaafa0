/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Carries deliveries out over HTTP: claim and commit; send with no
 *	  transaction, snapshot or lock; record and commit.
 *
 * Several batches may be under way, so that a slow endpoint holds up neither
 * recording nor new claims; no route takes more than half of the connections
 * that the others leave. A process that ends in between loses nothing: its
 * leases expire, and what was sent but not recorded is sent again under the
 * same webhook-id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/drain.h"
#include "bgworker/loop.h"
#include "bgworker/sender.h"
#include "core/clock.h"
#include "core/compat.h"
#include "http/client.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LOCK_WAIT "1s"		/* answers come in meanwhile */
#define IN_FLIGHT_MAX 256

PGDLLEXPORT void iu_sender_main(Datum main_arg);

/*
 * There may be something to claim, so the next claim comes at once. After one
 * that found nothing it comes when a while has passed that is long beside what a
 * claim takes: a storm of commits that concern no route must not be all that a
 * sender is occupied with.
 */
static void
sender_woken(void *worker)
{
	IuSender   *sender = worker;

	iu_bring_forward(&sender->next_claim, sender->came_up_empty ? sender->paced_claim : 0);
	if (ConfigReloadPending)
		iu_look_round_by(&sender->look, 0);
	iu_turn_woken(sender);
}

static bool
sender_is_troubled(void *worker)
{
	return iu_record_is_troubled(worker);
}

typedef struct Wait
{
	IuSender   *sender;
	TimestampTz until;
} Wait;

/* Waits for an answer, the latch or the time; takes every answer that there is. */
static void
take_answers(void *argument)
{
	Wait	   *wait = argument;
	IuSender   *sender = wait->sender;
	uint32		wait_event = sender->queues.in_flight > 0 ? sender->http_event : sender->idle_event;
	long		ms = wait->until == DT_NOEND ? -1 : TimestampDifferenceMilliseconds(iu_now(), wait->until);
	IuHttpAnswer *answer;
	IuHttpEvent event;

	while ((event = iu_http_wait(sender->pool, ms, wait_event, &answer)) == IU_HTTP_EVENT_ANSWER)
	{
		iu_send_answered(answer);
		iu_http_answer_free(answer);
		ms = 0;
	}
	if (event == IU_HTTP_EVENT_LATCH)
		sender_woken(sender);
}

/* A cancel means nothing here. Whatever else the pool raises ends the process: a new one starts clean. */
static void
sender_sleep(void *worker, TimestampTz until)
{
	Wait		wait = {worker, until};
	ErrorData  *error = iu_worker_try(take_answers, &wait);

	if (error == NULL || error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		return;
	iu_worker_report(error);
	proc_exit(1);
}

/* ---- The end ---- */

static TimestampTz
sender_drain_due(void *worker)
{
	return iu_drain_asked() ? 0 : DT_NOEND;
}

/* Where the process is to end: waits for the answers to what is under way, records them, and leaves. */
static ErrorData *
sender_drain(void *worker)
{
	IuSender   *sender = worker;
	int64		end;

	if (!iu_drain_asked())
		return NULL;
	end = iu_drain_end();
	for (;;)
	{
		int64		left = end - iu_clock_ms();

		(void) iu_record_finished(sender);
		if (left <= 0 || (sender->queues.in_flight == 0 && iu_record_due(sender) == DT_NOEND))
			iu_drain_leave();
		sender_sleep(sender, Min(iu_from_now((int) left), iu_record_due(sender)));
	}
}

/* In this order, so that what was claimed is sent before anything else is looked for or written. */
static const IuDuty sender_duties[] = {
	{IU_EACH_PASS_ALWAYS, sender_drain_due, sender_drain, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, iu_claim_due, iu_claim_more, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_EACH_PASS, iu_send_due, iu_send_more, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, iu_look_ahead_due, iu_look_ahead, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, iu_record_due, iu_record_finished, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS},
	{IU_WHEN_DUE, iu_turn_due, iu_turn, IU_FIRST_RETRY_MS, IU_LAST_RETRY_MS}
};

static const IuWorkerKind sender_kind = {
	.wait_event = "IuCoreSenderMain",
	.duties = sender_duties,
	.duty_count = lengthof(sender_duties),
	.woken = sender_woken,
	.troubled = sender_is_troubled,
	.sleep = sender_sleep
};

static IuSender *
create_sender(void)
{
	IuSender   *sender = MemoryContextAllocZero(TopMemoryContext, sizeof(IuSender));
	IuWorkerSlot slot;

	iu_slot_read(iu_worker_slot(), &slot);
	snprintf(sender->name, sizeof(sender->name), "iu_core sender %d", slot.number);
	sender->http_event = iu_wait_event("IuCoreSenderHttp");
	sender->idle_event = iu_wait_event("IuCoreSenderMain");
	sender->pool = iu_http_pool_create(TopMemoryContext, IN_FLIGHT_MAX);
	sender->batches_context = AllocSetContextCreate(TopMemoryContext, "iu_core batches", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&sender->batches);
	iu_queues_init(&sender->queues, sender->batches_context);
	iu_look_init(&sender->look, TopMemoryContext);
	return sender;
}

/* The main function of the process. main_arg: the number of its slot. */
void
iu_sender_main(Datum main_arg)
{
	iu_worker_begin(main_arg, LOCK_WAIT);
	iu_drain_prepare();
	iu_worker_run(&sender_kind, create_sender());
}
