/*-------------------------------------------------------------------------
 *
 * client.c
 *	  The pool: many requests at once in one wait.
 *
 * curl hands its sockets to on_socket, which keeps them in an epoll
 * descriptor; that descriptor, the latch and the postmaster's death are one
 * WaitEventSet. (curl_multi_poll would not do: a latch set by another process
 * does not end it.) curl's timer becomes the timeout of the wait.
 *
 * Signals are blocked while curl runs, because it starts resolver threads,
 * and a thread inherits the mask: PostgreSQL's handlers must never run there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/compat.h"
#include "http/client.h"
#include "http/transfer.h"
#include "http/wakeup.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#define SOCKET_EVENTS 128		/* looked at per wake-up; the rest come with the next */
#define LARGE_HEADER 8192		/* bytes; half of what curl hands over at a time */
#define FEWEST_CONNECTIONS 16	/* with fewer descriptors than that there is no pool */

struct IuHttpPool
{
	MemoryContext context;
	MemoryContextCallback callback;
	CURLM	   *multi;
	int			epoll_fd;		/* -1: not open */
	int			reserved_fds;
	WaitEventSet *wait_set;
	IuWakeup	wakeup;			/* opened when asked for */
	int64		timer_at;		/* when curl wants to be called, ms; -1: not */
	int64		held_until;		/* when one that waits for a connection goes without; PG_INT64_MAX: none waits */
	int			highest_fd;		/* of curl's sockets so far */
	int			max_in_flight;
	int			running_count;
	int			pending;		/* in any of the lists */
	dlist_head	queued;
	dlist_head	running;
	dlist_head	done;
	CURL	  **idle;			/* handles to be used again */
	int			idle_count;
};

static int64
now_ms(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}

/* ---------- curl and signals ---------- */

/* Those that report a fault of this very thread stay open. */
static void
enter_curl(sigset_t *previous)
{
	static const int faults[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
	sigset_t	all;
	int			i;

	sigfillset(&all);
	for (i = 0; i < lengthof(faults); i++)
		sigdelset(&all, faults[i]);
	sigprocmask(SIG_BLOCK, &all, previous);
}

static void
leave_curl(const sigset_t *previous)
{
	sigprocmask(SIG_SETMASK, previous, NULL);
}

/* Once per process and never in the postmaster, whose children would share the state. */
static void
initialize_curl(void)
{
	static bool initialized = false;
	sigset_t	signals;
	CURLcode	code;

	if (initialized)
		return;
	if (MyProcPid == PostmasterPid)
		elog(ERROR, "HTTP client used in the postmaster");
	enter_curl(&signals);
	code = curl_global_init(CURL_GLOBAL_DEFAULT);
	leave_curl(&signals);
	if (code != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libcurl: %s", curl_easy_strerror(code))));
	initialized = true;
}

/* curl's callback: no palloc, no ereport. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	IuHttpPool *pool = arg;
	struct epoll_event event = {0};

	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(pool->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	pool->highest_fd = Max(pool->highest_fd, fd);
	event.data.fd = fd;
	event.events = ((what & CURL_POLL_IN) ? EPOLLIN : 0) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0);
	/* curl remembers what is assigned until it removes the socket. */
	if (known != NULL)
		return epoll_ctl(pool->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	curl_multi_assign(pool->multi, fd, pool);
	return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* curl's callback: no palloc, no ereport. */
static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	IuHttpPool *pool = arg;

	pool->timer_at = timeout_ms < 0 ? -1 : now_ms() + timeout_ms + (timeout_ms > 0);
	return 0;
}

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
	sigset_t	signals;

	enter_curl(&signals);
	dlist_foreach(each, &pool->running)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);

		curl_multi_remove_handle(pool->multi, transfer->easy);
		curl_easy_cleanup(transfer->easy);
	}
	while (pool->idle_count > 0)
		curl_easy_cleanup(pool->idle[--pool->idle_count]);
	if (pool->multi != NULL)
		curl_multi_cleanup(pool->multi);
	release_list(&pool->queued);
	release_list(&pool->running);
	release_list(&pool->done);
	leave_curl(&signals);

	if (pool->wait_set != NULL)
		FreeWaitEventSet(pool->wait_set);
	iu_wakeup_close(&pool->wakeup);
	if (pool->epoll_fd >= 0)
		close(pool->epoll_fd);
	for (; pool->reserved_fds > 0; pool->reserved_fds--)
		ReleaseExternalFD();
}

/* The server counts the descriptors that it does not open itself. */
static void
reserve_descriptors(IuHttpPool *pool, int wanted)
{
	while (pool->reserved_fds < wanted + 1 && AcquireExternalFD())
		pool->reserved_fds++;
	pool->max_in_flight = pool->reserved_fds - 1;
	if (pool->max_in_flight < Min(wanted, FEWEST_CONNECTIONS))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too few file descriptors for HTTP connections"),
				 errhint("Raise max_files_per_process.")));
}

static void
open_multi(IuHttpPool *pool)
{
	sigset_t	signals;
	bool		good;

	enter_curl(&signals);
	pool->multi = curl_multi_init();
	good = pool->multi != NULL &&
		curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool) == CURLM_OK &&
		curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) == CURLM_OK &&
		curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long) pool->max_in_flight) == CURLM_OK &&
		curl_multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long) pool->max_in_flight) == CURLM_OK;
	leave_curl(&signals);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not be set up.")));
}

IuHttpPool *
iu_http_pool_create(MemoryContext parent, int max_in_flight)
{
	MemoryContext context;
	IuHttpPool *pool;

	initialize_curl();
	context = AllocSetContextCreate(parent, "iu_core HTTP", ALLOCSET_DEFAULT_SIZES);
	pool = MemoryContextAllocZero(context, sizeof(IuHttpPool));
	pool->context = context;
	pool->epoll_fd = -1;
	pool->wakeup.epoll_fd = pool->wakeup.timer_fd = -1;
	pool->timer_at = -1;
	dlist_init(&pool->queued);
	dlist_init(&pool->running);
	dlist_init(&pool->done);

	/* From here on whatever fails is cleaned up with the context. */
	pool->callback.func = close_pool;
	pool->callback.arg = pool;
	MemoryContextRegisterResetCallback(context, &pool->callback);

	reserve_descriptors(pool, Max(max_in_flight, 1));
	pool->idle = MemoryContextAllocZero(context, sizeof(CURL *) * pool->max_in_flight);
	pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (pool->epoll_fd < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create an epoll descriptor: %m")));
	pool->wait_set = iu_create_wait_event_set(context, 3);
	AddWaitEventToSet(pool->wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(pool->wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(pool->wait_set, WL_SOCKET_READABLE, pool->epoll_fd, NULL, NULL);
	open_multi(pool);
	return pool;
}

int
iu_http_pool_size(const IuHttpPool *pool)
{
	return pool->max_in_flight;
}

int
iu_http_pending(const IuHttpPool *pool)
{
	return pool->pending;
}

/* ---------- requests in and out of curl ---------- */

/* False if there is no memory; then the transfer stays in line. */
static bool
hand_to_curl(IuHttpPool *pool, IuTransfer *transfer)
{
	CURL	   *easy;
	sigset_t	signals;
	bool		good;

	enter_curl(&signals);
	easy = pool->idle_count > 0 ? pool->idle[--pool->idle_count] : curl_easy_init();
	good = easy != NULL && iu_transfer_prepare(transfer, easy) &&
		curl_multi_add_handle(pool->multi, easy) == CURLM_OK;
	if (!good)
	{
		transfer->easy = NULL;
		iu_transfer_release(transfer);
		curl_easy_cleanup(easy);
	}
	leave_curl(&signals);
	return good;
}

/* Checks a request right before it goes. */
static void
start(IuHttpPool *pool, IuTransfer *transfer)
{
	if (!iu_transfer_is_allowed(pool->context, transfer))
	{
		dlist_delete(&transfer->node);
		dlist_push_tail(&pool->done, &transfer->node);
		return;
	}
	if (!hand_to_curl(pool, transfer))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not take another request.")));
	transfer->started_at = now_ms();
	dlist_delete(&transfer->node);
	dlist_push_tail(&pool->running, &transfer->node);
	pool->running_count++;
}

/* Fills the places that are free. */
static void
start_queued(IuHttpPool *pool)
{
	dlist_mutable_iter each;

	pool->held_until = PG_INT64_MAX;
	if (dlist_is_empty(&pool->queued))
		return;
	dlist_foreach_modify(each, &pool->queued)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);
		int64		until;

		if (pool->running_count >= pool->max_in_flight)
			break;
		until = iu_connection_wait(&pool->running, transfer, now_ms());
		if (until == 0)
			start(pool, transfer);
		else
			pool->held_until = Min(pool->held_until, until);
	}
}

void
iu_http_submit(IuHttpPool *pool, const IuHttpRequest *request)
{
	IuTransfer *transfer = iu_transfer_create(pool->context, request);

	dlist_push_tail(&pool->queued, &transfer->node);
	pool->pending++;
}

static int64
sent_for_ms(CURL *easy)
{
	curl_off_t	total = 0;
	curl_off_t	sending_at = 0;

	curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total);
	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sending_at);
	return (total - sending_at) / 1000;
}

/* Moves what curl is through with to the done list. Raises nothing. */
static void
collect_done(IuHttpPool *pool)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(pool->multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;
		char	   *private = NULL;
		IuTransfer *transfer;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
		transfer = (IuTransfer *) private;
		iu_transfer_finish(transfer, code);
		iu_connection_ended(&pool->queued, transfer);
		if (code == CURLE_OPERATION_TIMEDOUT && transfer->sendings > 0)
			iu_connection_timed_out(&pool->running, transfer, sent_for_ms(easy), pool->highest_fd);
		if (transfer->sendings > 0)
			iu_connection_broken(transfer, pool->highest_fd);
		curl_multi_remove_handle(pool->multi, easy);
		transfer->easy = NULL;
		curl_easy_reset(easy);
		pool->idle[pool->idle_count++] = easy;

		dlist_delete(&transfer->node);
		dlist_push_tail(&pool->done, &transfer->node);
		pool->running_count--;
	}
}

/* ---------- waiting ---------- */

/*
 * An error is not passed on as one: curl would give up at once, without what
 * the peer sent before it and without the reason, which a read gives.
 */
static int
curl_events(uint32 events)
{
	bool		failed = (events & (EPOLLERR | EPOLLHUP)) != 0;

	return ((events & EPOLLIN) || failed ? CURL_CSELECT_IN : 0) |
		((events & EPOLLOUT) || failed ? CURL_CSELECT_OUT : 0);
}

/* Lets curl act on its due timer, or on its ready sockets. */
static void
drive(IuHttpPool *pool, bool timer)
{
	struct epoll_event events[SOCKET_EVENTS];
	CURLMcode	code = CURLM_OK;
	sigset_t	signals;
	int			running;
	int			count = 0;
	int			i;

	enter_curl(&signals);
	if (timer)
	{
		pool->timer_at = -1;
		code = curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	else
		count = epoll_wait(pool->epoll_fd, events, SOCKET_EVENTS, 0);
	for (i = 0; i < count && code == CURLM_OK; i++)
	{
		uint64		seen;

		/* What is left of a large header curl keeps to itself until it is called again. */
		do
		{
			seen = iu_transfer_header_bytes();
			code = curl_multi_socket_action(pool->multi, events[i].data.fd,
											curl_events(events[i].events), &running);
		} while (code == CURLM_OK && iu_transfer_header_bytes() - seen >= LARGE_HEADER);
	}
	collect_done(pool);
	leave_curl(&signals);
	if (code != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("HTTP requests failed: %s", curl_multi_strerror(code))));
}

/* The first answer, or the wanted one; NULL if it is not there yet. */
static IuHttpAnswer *
take_answer(IuHttpPool *pool, const IuTransfer *wanted)
{
	dlist_iter	each;

	dlist_foreach(each, &pool->done)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);
		IuHttpAnswer *answer;

		if (wanted != NULL && transfer != wanted)
			continue;
		answer = iu_transfer_answer(transfer);
		dlist_delete(&transfer->node);
		pool->pending--;
		iu_transfer_free(transfer);
		return answer;
	}
	return NULL;
}

static IuHttpEvent
wait_for(IuHttpPool *pool, const IuTransfer *wanted, long wait_ms, uint32 wait_event,
		 IuHttpAnswer **answer)
{
	int64		end = -1;

	for (;;)
	{
		WaitEvent	events[2];
		int64		now;
		int64		until;
		int			count;
		int			i;

		start_queued(pool);
		*answer = take_answer(pool, wanted);
		if (*answer != NULL)
			return IU_HTTP_EVENT_ANSWER;
		CHECK_FOR_INTERRUPTS();

		now = now_ms();
		if (end < 0)
			end = now + wait_ms;
		until = Min(wait_ms < 0 ? PG_INT64_MAX : end, pool->held_until);
		if (pool->timer_at >= 0 && pool->timer_at <= now)
		{
			drive(pool, true);
			until = now;
		}
		else if (pool->timer_at >= 0)
			until = Min(until, pool->timer_at);

		count = WaitEventSetWait(pool->wait_set,
								 until == PG_INT64_MAX ? -1 : (long) Min(Max(until - now, 0), INT_MAX),
								 events, lengthof(events), wait_event);
		for (i = 0; i < count; i++)
		{
			if (events[i].events & WL_LATCH_SET)
			{
				ResetLatch(MyLatch);
				CHECK_FOR_INTERRUPTS();
				return IU_HTTP_EVENT_LATCH;
			}
			if (events[i].events & WL_SOCKET_READABLE)
				drive(pool, false);
		}
		if (count == 0 && wait_ms >= 0 && dlist_is_empty(&pool->done) && now_ms() >= end)
			return IU_HTTP_EVENT_TIMEOUT;
	}
}

void
iu_http_start(IuHttpPool *pool)
{
	start_queued(pool);
	if (pool->timer_at >= 0 && pool->timer_at <= now_ms())
		drive(pool, true);
}

IuHttpEvent
iu_http_wait(IuHttpPool *pool, long wait_ms, uint32 wait_event, IuHttpAnswer **answer)
{
	return wait_for(pool, NULL, wait_ms, wait_event, answer);
}

int
iu_http_descriptor(IuHttpPool *pool, int most_ms)
{
	int64		now = now_ms();
	int64		until = Min(now + most_ms, pool->held_until);

	if (pool->wakeup.epoll_fd < 0)
		iu_wakeup_open(&pool->wakeup, pool->epoll_fd);
	if (pool->timer_at >= 0)
		until = Min(until, pool->timer_at);
	if (!dlist_is_empty(&pool->done))
		until = now;
	iu_wakeup_arm(&pool->wakeup, until - now);
	return pool->wakeup.epoll_fd;
}

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
