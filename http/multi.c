/*-------------------------------------------------------------------------
 *
 * multi.c
 *	  libcurl's multi handle, its sockets in one epoll descriptor.
 *
 * curl hands its sockets to on_socket, which keeps them in the epoll
 * descriptor, and says to on_timer when it wants to be called at the latest.
 *
 * Over HTTP/2 that is not enough. What curl reads from a socket for several
 * requests at once it may keep for the most part, and wait for the socket to be
 * readable once more (cf_h2_data_pending of curl 7.88 never says that there is
 * something); where that was the last that the peer had to send, those requests
 * would wait until they time out. So curl is told now and then that there is
 * something to be read.
 *
 * Signals are blocked while curl runs, because it starts resolver threads, and
 * a thread inherits the mask: PostgreSQL's handlers must never run there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>

#include "core/clock.h"
#include "core/compat.h"
#include "http/handle.h"
#include "http/multi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define SOCKET_EVENTS 512		/* more than a pool has sockets: all are looked at in one go */
#define LARGE_HEADER 8192		/* bytes; half of what curl hands over at a time */
#define WAKE_MS 100				/* so often curl looks at what it may have kept to itself */

/* ---------- signals ---------- */

/*
 * Before curl is called: blocks all signals but those that report a fault of
 * this very thread.
 *
 * previous: the mask until now, for iu_multi_leave.
 */
void
iu_multi_enter(sigset_t *previous)
{
	static const int faults[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
	sigset_t	all;
	int			i;

	sigfillset(&all);
	for (i = 0; i < lengthof(faults); i++)
		sigdelset(&all, faults[i]);
	sigprocmask(SIG_BLOCK, &all, previous);
}

/* After curl was called. */
void
iu_multi_leave(const sigset_t *previous)
{
	sigprocmask(SIG_SETMASK, previous, NULL);
}

/* ---------- curl's callbacks: no palloc, no ereport ---------- */

/* Whether requests may share the connection that a handle has. */
static bool
may_share(CURL *easy)
{
	char	   *private = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
	return private != NULL && iu_transfer_may_share((IuTransfer *) private);
}

/*
 * Keeps a socket in the epoll descriptor as long as curl wants to hear of it, and
 * longer where it is one of ours: between two requests on a connection curl wants
 * to hear nothing, and mostly there is nothing to be heard.
 */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	IuMulti    *multi = arg;
	IuSocket   *socket;

	socket = iu_sockets_find(&multi->sockets, fd);
	if (socket == NULL)
		return -1;
	socket->wanted = what != CURL_POLL_REMOVE;
	socket->shared = socket->wanted && may_share(easy);
	if (!socket->wanted)
	{
		if (!socket->ours)
			iu_sockets_watch_no_more(&multi->sockets, fd);
		return 0;
	}
	return iu_sockets_watch(&multi->sockets, fd,
							((what & CURL_POLL_IN) ? EPOLLIN : 0) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0));
}

/* Notes when curl wants to be called. */
static int
on_timer(CURLM *handle, long timeout_ms, void *arg)
{
	IuMulti    *multi = arg;

	multi->timer_at = timeout_ms < 0 ? -1 : iu_clock_ms() + timeout_ms + (timeout_ms > 0);
	return 0;
}

/* ---------- opening and closing ---------- */

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
	iu_multi_enter(&signals);
	code = curl_global_init(CURL_GLOBAL_DEFAULT);
	iu_multi_leave(&signals);
	if (code != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libcurl: %s", curl_easy_strerror(code))));
	initialized = true;
}

/*
 * Opens the handle and the epoll descriptor. Raises; what is open until then is
 * closed by iu_multi_close.
 *
 * multi: zeroed, with an epoll_fd of -1 of its sockets; context: of its memory; connections: at
 * most, which is also how many transfers there may be at a time.
 */
void
iu_multi_open(IuMulti *multi, MemoryContext context, int connections)
{
	sigset_t	signals;
	bool		good;

	initialize_curl();
	multi->timer_at = -1;
	multi->spare.handles = MemoryContextAllocZero(context, sizeof(CURL *) * connections);
	multi->kept.handles = MemoryContextAllocZero(context, sizeof(CURL *) * connections);
	iu_sockets_open(&multi->sockets);

	iu_multi_enter(&signals);
	multi->handle = curl_multi_init();
	good = multi->handle != NULL &&
		curl_multi_setopt(multi->handle, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		curl_multi_setopt(multi->handle, CURLMOPT_SOCKETDATA, multi) == CURLM_OK &&
		curl_multi_setopt(multi->handle, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		curl_multi_setopt(multi->handle, CURLMOPT_TIMERDATA, multi) == CURLM_OK &&
		curl_multi_setopt(multi->handle, CURLMOPT_MAXCONNECTS, (long) connections) == CURLM_OK &&
		curl_multi_setopt(multi->handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long) connections) == CURLM_OK;
	iu_multi_leave(&signals);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not be set up.")));
}

static void
clean_up(IuHandles *handles)
{
	while (handles->count > 0)
		curl_easy_cleanup(handles->handles[--handles->count]);
}

/* Closes what is open. Every transfer must have been removed or abandoned. Raises nothing. */
void
iu_multi_close(IuMulti *multi)
{
	sigset_t	signals;

	iu_multi_enter(&signals);
	clean_up(&multi->spare);
	clean_up(&multi->kept);
	if (multi->handle != NULL)
		curl_multi_cleanup(multi->handle);
	iu_multi_leave(&signals);
	iu_sockets_close(&multi->sockets);
}

/* ---------- transfers in and out ---------- */

/*
 * A handle for a transfer; NULL if there is no memory. There are never more than
 * transfers at a time.
 *
 * *kept: whether it keeps what a plain transfer told it.
 */
static CURL *
take_handle(IuMulti *multi, const IuTransfer *transfer, bool *kept)
{
	CURL	   *easy;

	*kept = multi->kept.count > 0 && iu_handle_is_plain(transfer);
	if (*kept)
		return multi->kept.handles[--multi->kept.count];
	if (multi->spare.count > 0)
		return multi->spare.handles[--multi->spare.count];
	if (multi->kept.count == 0)
		return curl_easy_init();
	easy = multi->kept.handles[--multi->kept.count];
	curl_easy_reset(easy);
	return easy;
}

/*
 * Hands a transfer to curl, signals blocked. False if there is no memory; then
 * the transfer is as it was before. Raises nothing.
 */
bool
iu_multi_add(IuMulti *multi, IuTransfer *transfer)
{
	bool		kept;
	CURL	   *easy = take_handle(multi, transfer, &kept);

	if (easy != NULL && iu_handle_prepare(&multi->sockets, transfer, easy, kept) &&
		curl_multi_add_handle(multi->handle, easy) == CURLM_OK)
		return true;
	transfer->easy = NULL;
	iu_transfer_release(transfer);
	curl_easy_cleanup(easy);
	return false;
}

/* Takes a transfer away from curl in the middle of it. Raises nothing. */
void
iu_multi_abandon(IuMulti *multi, IuTransfer *transfer)
{
	sigset_t	signals;

	iu_multi_enter(&signals);
	curl_multi_remove_handle(multi->handle, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	transfer->easy = NULL;
	iu_multi_leave(&signals);
}

/* The next transfer that curl is through with, and how it ended; NULL if there is none. Raises nothing. */
IuTransfer *
iu_multi_ended(IuMulti *multi, CURLcode *code)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi->handle, &left)) != NULL)
	{
		char	   *private = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		*code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		return (IuTransfer *) private;
	}
	return NULL;
}

/* Takes a transfer from curl that it is through with, and keeps its handle for another one. Raises nothing. */
void
iu_multi_remove(IuMulti *multi, IuTransfer *transfer)
{
	CURL	   *easy = transfer->easy;
	IuHandles  *handles;

	curl_multi_remove_handle(multi->handle, easy);
	transfer->easy = NULL;
	handles = iu_handle_put_back(transfer, easy) ? &multi->kept : &multi->spare;
	handles->handles[handles->count++] = easy;
}

/* ---------- letting curl act, signals blocked ---------- */

/*
 * What has happened on a socket, for curl. An error is not handed on as one:
 * curl would give up at once, without what the peer sent before it and without
 * the reason, both of which curl learns by reading.
 */
static int
curl_events(uint32 events)
{
	bool		failed = (events & (EPOLLERR | EPOLLHUP)) != 0;

	return ((events & EPOLLIN) || failed ? CURL_CSELECT_IN : 0) |
		((events & EPOLLOUT) || failed ? CURL_CSELECT_OUT : 0);
}

/* Lets curl act at the time that it asked for. Raises nothing. */
CURLMcode
iu_multi_timer_is_due(IuMulti *multi)
{
	int			running;

	multi->timer_at = -1;
	return curl_multi_socket_action(multi->handle, CURL_SOCKET_TIMEOUT, 0, &running);
}

/*
 * Lets curl look at the sockets on which nothing has happened, where it may have
 * kept to itself what it read from them before. Where it has not, it reads
 * nothing.
 */
static CURLMcode
wake(IuMulti *multi)
{
	CURLMcode	code = CURLM_OK;
	int64		now = iu_clock_ms();
	int			running;
	int			fd;

	if (now < multi->woken_at + WAKE_MS)
		return CURLM_OK;
	multi->woken_at = now;
	for (fd = 0; fd < multi->sockets.count && code == CURLM_OK; fd++)
		if (multi->sockets.known[fd].shared)
			code = curl_multi_socket_action(multi->handle, fd, CURL_CSELECT_IN, &running);
	return code;
}

/* Lets curl act on the sockets on which something has happened. Raises nothing. */
CURLMcode
iu_multi_sockets_are_ready(IuMulti *multi)
{
	struct epoll_event events[SOCKET_EVENTS];
	CURLMcode	code = CURLM_OK;
	int			count = epoll_wait(multi->sockets.epoll_fd, events, SOCKET_EVENTS, 0);
	int			running;
	int			i;

	for (i = 0; i < count && code == CURLM_OK; i++)
	{
		int			fd = events[i].data.fd;
		uint64		seen;

		if (!multi->sockets.known[fd].wanted)
		{
			iu_sockets_watch_no_more(&multi->sockets, fd);
			continue;
		}
		/* of a large header, curl keeps a part to itself until it is called again */
		do
		{
			seen = multi->sockets.header_bytes;
			code = curl_multi_socket_action(multi->handle, fd, curl_events(events[i].events), &running);
		} while (code == CURLM_OK && multi->sockets.header_bytes - seen >= LARGE_HEADER);
	}
	return code == CURLM_OK ? wake(multi) : code;
}
