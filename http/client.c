/*-------------------------------------------------------------------------
 *
 * client.c
 *	  HTTP requests, many at once, in the process's own wait.
 *
 * A pool holds a multi handle of libcurl (multi.c). The epoll descriptor of its
 * sockets, the latch and the postmaster's death are one WaitEventSet, and curl's
 * timer becomes the timeout of the wait. (curl_multi_poll would not do: a latch
 * that another process sets does not end it.)
 *
 * A request is in one of three lists: queued until it starts, running while
 * curl has it, done until its answer is handed out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "http/client.h"
#include "http/connections.h"
#include "http/descriptors.h"
#include "http/multi.h"
#include "http/outcome.h"
#include "http/patience.h"
#include "http/wakeup.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#define FEWEST_CONNECTIONS 16	/* with fewer descriptors than that there is no pool */

struct IuHttpPool
{
	MemoryContext context;
	MemoryContextCallback callback;
	IuMulti		multi;
	int			reserved_fds;
	WaitEventSet *wait_set;
	IuWakeup	wakeup;			/* opened when asked for */
	IuPatience	patience;
	int64		held_until;		/* when one that waits for a connection starts without; PG_INT64_MAX: none waits */
	int			max_in_flight;
	int			running_count;
	int			pending;		/* in any of the lists */
	dlist_head	queued;
	dlist_head	running;
	dlist_head	done;
};

/* ---------- the pool ---------- */

static void
release_list(dlist_head *list)
{
	dlist_iter	each;

	dlist_foreach(each, list)
		iu_transfer_release(dlist_container(IuTransfer, node, each.cur));
}

/* Reset callback of the pool's context, whose memory is still there. */
static void
close_pool(void *arg)
{
	IuHttpPool *pool = arg;
	dlist_iter	each;

	if (pool->wait_set != NULL)
		FreeWaitEventSet(pool->wait_set);
	iu_wakeup_close(&pool->wakeup);
	dlist_foreach(each, &pool->running)
		iu_multi_abandon(&pool->multi, dlist_container(IuTransfer, node, each.cur));
	iu_multi_close(&pool->multi);
	release_list(&pool->queued);
	release_list(&pool->running);
	release_list(&pool->done);
	iu_descriptors_release(pool->reserved_fds);
}

/*
 * A pool for so many requests at a time, or fewer where the server has too few
 * descriptors. It lives in a context below the parent and dies with it: a reset
 * callback closes sockets and handles, so an error or a cancel needs no clean-up
 * code.
 */
IuHttpPool *
iu_http_pool_create(MemoryContext parent, int max_in_flight)
{
	MemoryContext context = AllocSetContextCreate(parent, "iu_core HTTP", ALLOCSET_DEFAULT_SIZES);
	IuHttpPool *pool;

	pool = MemoryContextAllocZero(context, sizeof(IuHttpPool));
	pool->context = context;
	pool->multi.sockets.epoll_fd = -1;
	pool->wakeup.epoll_fd = pool->wakeup.timer_fd = -1;
	pool->held_until = PG_INT64_MAX;
	iu_patience_init(&pool->patience);
	dlist_init(&pool->queued);
	dlist_init(&pool->running);
	dlist_init(&pool->done);

	/* From here on whatever fails is cleaned up with the context. */
	pool->callback.func = close_pool;
	pool->callback.arg = pool;
	MemoryContextRegisterResetCallback(context, &pool->callback);

	pool->reserved_fds = iu_descriptors_reserve(Max(max_in_flight, 1) + 1, FEWEST_CONNECTIONS + 1);
	pool->max_in_flight = pool->reserved_fds - 1;	/* one is for epoll */
	iu_multi_open(&pool->multi, context, pool->max_in_flight);
	pool->wait_set = iu_create_wait_event_set(context, 3);
	AddWaitEventToSet(pool->wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	if (IsUnderPostmaster)		/* in single-user mode there is none whose death could be watched */
		AddWaitEventToSet(pool->wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(pool->wait_set, WL_SOCKET_READABLE, pool->multi.sockets.epoll_fd, NULL, NULL);
	return pool;
}

/* How many requests the pool carries at a time. */
int
iu_http_pool_size(const IuHttpPool *pool)
{
	return pool->max_in_flight;
}

/* How many requests have been submitted and not yet handed back. */
int
iu_http_pending(const IuHttpPool *pool)
{
	return pool->pending;
}

/* ---------- starting and ending ---------- */

/*
 * Takes a copy of everything in the request, which starts with the next wait, or
 * later where the pool carries as many as it can. A refusal by
 * iu_core.allowed_origins is an answer, not an error; an unknown method or a
 * malformed header is an error (22023) that quotes no value.
 */
void
iu_http_submit(IuHttpPool *pool, const IuHttpRequest *request)
{
	IuTransfer *transfer = iu_transfer_create(pool->context, request);

	dlist_push_tail(&pool->queued, &transfer->node);
	pool->pending++;
}

/* Moves a transfer to the end of the list of those that are done. */
static void
move_to_done(IuHttpPool *pool, IuTransfer *transfer)
{
	dlist_delete(&transfer->node);
	dlist_push_tail(&pool->done, &transfer->node);
}

/* Checks a request right before it starts, and starts it. Signals are blocked. */
static void
start_transfer(IuHttpPool *pool, IuTransfer *transfer)
{
	if (!iu_transfer_is_allowed(pool->context, transfer))
	{
		move_to_done(pool, transfer);
		return;
	}
	if (!iu_multi_add(&pool->multi, transfer))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not take another request.")));
	transfer->started_at = iu_clock_ms();
	iu_patience_begin(&pool->patience, transfer);
	dlist_delete(&transfer->node);
	dlist_push_tail(&pool->running, &transfer->node);
	pool->running_count++;
}

/* Lets time pass. Before curl acts, which judges by the clock how long connecting took. */
static void
pass_time(IuHttpPool *pool)
{
	int64		lost = iu_patience_pass(&pool->patience, iu_clock_ms());

	if (lost > 0)
		iu_patience_prolong(&pool->running, lost);
}

/* Starts what is queued, as long as the pool can carry it and it need not wait for a connection. */
static void
start_those_that_may(IuHttpPool *pool)
{
	dlist_mutable_iter each;

	dlist_foreach_modify(each, &pool->queued)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);
		int64		until;

		if (pool->running_count >= pool->max_in_flight)
			break;
		until = iu_connection_wait(&pool->running, transfer, iu_clock_ms());
		if (until == 0)
			start_transfer(pool, transfer);
		else
			pool->held_until = Min(pool->held_until, until);
	}
}

static void
start_queued(IuHttpPool *pool)
{
	sigset_t	signals;

	pool->held_until = PG_INT64_MAX;
	if (dlist_is_empty(&pool->queued))
		return;
	pass_time(pool);
	iu_multi_enter(&signals);
	PG_TRY();
	{
		start_those_that_may(pool);
	}
	PG_FINALLY();
	{
		iu_multi_leave(&signals);
	}
	PG_END_TRY();
}

/*
 * Takes a transfer that has ended from curl: to those that are done, or back to
 * those that are queued where it is to be asked once more. Raises nothing.
 */
static void
end_transfer(IuHttpPool *pool, IuTransfer *transfer, CURLcode code)
{
	/* curl took connecting for late because the process stood still within curl itself: nothing was sent. */
	bool		early = code == CURLE_OPERATION_TIMEDOUT && transfer->sendings == 0 && !transfer->repeated &&
		!iu_patience_is_over(&pool->patience, transfer);

	iu_outcome_note(transfer, code);
	iu_connection_ended(&pool->queued, transfer);
	if (code == CURLE_OPERATION_TIMEDOUT && transfer->sendings > 0)
		iu_connection_timed_out(&pool->running, transfer, pool->multi.sockets.highest_fd);
	if (transfer->sendings > 0)
		iu_connection_broken(transfer, pool->multi.sockets.highest_fd);
	iu_multi_remove(&pool->multi, transfer);
	pool->running_count--;
	if (early || iu_transfer_deserves_another(transfer))
	{
		iu_transfer_rewind(transfer);
		dlist_delete(&transfer->node);
		dlist_push_head(&pool->queued, &transfer->node);
	}
	else
		move_to_done(pool, transfer);
}

/* Ends what curl is through with. Raises nothing. */
static void
collect_done(IuHttpPool *pool)
{
	CURLcode	code;
	IuTransfer *transfer;

	while ((transfer = iu_multi_ended(&pool->multi, &code)) != NULL)
		end_transfer(pool, transfer, code);
}

/* Ends what the receivers had their time for. Raises nothing. */
static void
end_late(IuHttpPool *pool)
{
	dlist_mutable_iter each;

	dlist_foreach_modify(each, &pool->running)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);

		if (iu_patience_is_over(&pool->patience, transfer))
			end_transfer(pool, transfer, CURLE_OPERATION_TIMEDOUT);
	}
	iu_patience_find_next(&pool->patience, &pool->running);
}

typedef CURLMcode (*CurlAct) (IuMulti *multi);

/* Lets curl act: at the time that it asked for, or where something has happened on its sockets. */
static void
let_curl_act(IuHttpPool *pool, CurlAct act)
{
	CURLMcode	code;
	sigset_t	signals;

	iu_multi_enter(&signals);
	code = act(&pool->multi);
	collect_done(pool);
	iu_multi_leave(&signals);
	if (code != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("HTTP requests failed: %s", curl_multi_strerror(code))));
}

/* Lets curl act on its sockets, and only then ends what is late: what was answered has been read. */
static void
attend(IuHttpPool *pool)
{
	sigset_t	signals;

	pass_time(pool);
	let_curl_act(pool, iu_multi_sockets_are_ready);
	if (pool->patience.time < pool->patience.next_end)
		return;
	iu_multi_enter(&signals);
	end_late(pool);
	iu_multi_leave(&signals);
}

/* Lets curl act if the time has come at which it wants to; false if it has not. */
static bool
keep_curl_on_time(IuHttpPool *pool, int64 now)
{
	if (pool->multi.timer_at < 0 || pool->multi.timer_at > now)
		return false;
	pass_time(pool);
	let_curl_act(pool, iu_multi_timer_is_due);
	return true;
}

/* ---------- waiting ---------- */

/*
 * Takes the answer of a request that is done off the list; NULL if there is
 * none.
 *
 * wanted: the only request whose answer will do; NULL: any.
 */
static IuHttpAnswer *
take_done(IuHttpPool *pool, const IuTransfer *wanted)
{
	dlist_iter	each;

	dlist_foreach(each, &pool->done)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);
		IuHttpAnswer *answer;

		if (wanted != NULL && transfer != wanted)
			continue;
		answer = iu_outcome_answer(transfer);
		dlist_delete(&transfer->node);
		pool->pending--;
		iu_transfer_free(transfer);
		return answer;
	}
	return NULL;
}

/*
 * How long a wait may be, in ms; -1: without end. It ends with the caller's
 * patience, when a request that waits for a connection starts without, when curl
 * wants to be called, and soon while anything is under way.
 *
 * now: of iu_clock_ms; end: of the caller's patience, PG_INT64_MAX: none.
 */
static long
time_to_wait(const IuHttpPool *pool, int64 now, int64 end)
{
	int64		until = Min(end, pool->held_until);

	if (pool->multi.timer_at >= 0)
		until = Min(until, pool->multi.timer_at);
	if (pool->running_count > 0)
		until = Min(until, now + IU_LOOK_MS);
	return until == PG_INT64_MAX ? -1 : (long) Min(Max(until - now, 0), INT_MAX);
}

/*
 * Waits for the sockets or the latch, and reads what came. A set latch ends a
 * wait before the sockets are looked at, however often it is set, so they are
 * looked at all the same. Returns whether the latch was set; where any answer
 * will do (wanted is NULL) it stays set while there are some.
 */
static bool
wait_once(IuHttpPool *pool, const IuTransfer *wanted, long ms, uint32 wait_event)
{
	WaitEvent	events[2];
	int			count = WaitEventSetWait(pool->wait_set, ms, events, lengthof(events), wait_event);
	bool		latch = false;
	int			i;

	for (i = 0; i < count; i++)
		latch |= (events[i].events & WL_LATCH_SET) != 0;
	if (pool->running_count > 0 || count > (latch ? 1 : 0))
		attend(pool);
	if (!latch || (wanted == NULL && !dlist_is_empty(&pool->done)))
		return false;
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/*
 * Waits as iu_http_wait does.
 *
 * wanted: the only request whose answer ends the wait; NULL: any.
 */
static IuHttpEvent
wait_for(IuHttpPool *pool, const IuTransfer *wanted, long wait_ms, uint32 wait_event,
		 IuHttpAnswer **answer)
{
	int64		end = wait_ms < 0 ? PG_INT64_MAX : -1;

	for (;;)
	{
		int64		now;
		long		ms;

		start_queued(pool);
		*answer = take_done(pool, wanted);
		if (*answer != NULL)
			return IU_HTTP_EVENT_ANSWER;
		CHECK_FOR_INTERRUPTS();

		now = iu_clock_ms();
		if (end < 0)
			end = now + wait_ms;
		ms = keep_curl_on_time(pool, now) ? 0 : time_to_wait(pool, now, end);
		if (wait_once(pool, wanted, ms, wait_event))
			return IU_HTTP_EVENT_LATCH;
		if (wait_ms >= 0 && dlist_is_empty(&pool->done) && iu_clock_ms() >= end)
			return IU_HTTP_EVENT_TIMEOUT;
	}
}

/* Starts what is queued, as far as it can, without waiting for anything. */
void
iu_http_start(IuHttpPool *pool)
{
	start_queued(pool);
	(void) keep_curl_on_time(pool, iu_clock_ms());
}

/*
 * Drives every request until one is answered, the latch is set or wait_ms
 * passed (-1: no limit). Runs CHECK_FOR_INTERRUPTS. Answers come first: while
 * there are any the latch stays set. With nothing pending it just waits.
 *
 * wait_event: of iu_wait_event in compat.h; *answer: palloc'd in the current
 * memory context, NULL unless the result is IU_HTTP_EVENT_ANSWER.
 */
IuHttpEvent
iu_http_wait(IuHttpPool *pool, long wait_ms, uint32 wait_event, IuHttpAnswer **answer)
{
	return wait_for(pool, NULL, wait_ms, wait_event, answer);
}

/*
 * A descriptor for somebody who waits elsewhere: readable once iu_http_wait
 * should be called again (with 0 ms), at the latest after most_ms. It stays the
 * pool's.
 */
int
iu_http_descriptor(IuHttpPool *pool, int most_ms)
{
	int64		now = iu_clock_ms();

	if (pool->wakeup.epoll_fd < 0)
		iu_wakeup_open(&pool->wakeup, pool->multi.sockets.epoll_fd);
	iu_wakeup_arm(&pool->wakeup, dlist_is_empty(&pool->done) ? time_to_wait(pool, now, now + most_ms) : 0);
	return pool->wakeup.epoll_fd;
}

/*
 * One request, waited for to its end, while others of the pool go on. A latch
 * that was set meanwhile is set again at the end, for whoever waits for it.
 */
IuHttpAnswer *
iu_http_perform(IuHttpPool *pool, const IuHttpRequest *request, uint32 wait_event)
{
	IuTransfer *transfer = iu_transfer_create(pool->context, request);
	IuHttpAnswer *answer = NULL;
	bool		latch_was_set = false;

	dlist_push_tail(&pool->queued, &transfer->node);
	pool->pending++;
	while (wait_for(pool, transfer, -1, wait_event, &answer) == IU_HTTP_EVENT_LATCH)
		latch_was_set = true;
	if (latch_was_set)
		SetLatch(MyLatch);
	return answer;
}
