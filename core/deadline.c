/*-------------------------------------------------------------------------
 *
 * deadline.c
 *	  An end to a part of what a statement does, by a clock that nobody sets.
 *
 * When its time is up it is cancelled, as a statement is. PostgreSQL's own
 * timeouts go by the time of day: an hour later where the clock is set back by an
 * hour, at once where it is set forward. They are left as they are, and so is
 * whoever cancels the statement: each of them sends SIGINT, which is watched, so
 * that it is known whose the cancellation is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "core/clock.h"
#include "core/compat.h"
#include "core/deadline.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"

PG_FUNCTION_INFO_V1(iu_cancel_within);
PG_FUNCTION_INFO_V1(iu_cancel_no_more);

#define TIMER_SIGNAL SIGVTALRM	/* which PostgreSQL does not use */

static IuDeadline *running;		/* the innermost */
static struct sigaction sigint; /* what this process does when it is cancelled */

static void
be_late(IuDeadline *deadline)
{
	if (!deadline->running)
		return;
	deadline->late = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* TIMER_SIGNAL. Nothing but what a signal handler may do. Where no timer sent it, all that runs has had its time. */
static void
on_late(int number, siginfo_t *info, void *context)
{
	int			saved_errno = errno;
	IuDeadline *deadline;

	if (info->si_code == SI_TIMER)
		be_late(info->si_value.sival_ptr);
	else
		for (deadline = running; deadline != NULL; deadline = deadline->outer)
			be_late(deadline);
	errno = saved_errno;
}

/* SIGINT. It sets the same flag as the end of a deadline. */
static void
on_cancel(SIGNAL_ARGS)
{
	IuDeadline *deadline;

	for (deadline = running; deadline != NULL; deadline = deadline->outer)
		deadline->cancelled = true;
	sigint.sa_handler(postgres_signal_arg);
}

static void
watch_cancels(void)
{
	struct sigaction watch = {.sa_flags = SA_RESTART};

	watch.sa_handler = on_cancel;
	sigemptyset(&watch.sa_mask);
	sigaction(SIGINT, NULL, &sigint);
	if (sigint.sa_handler != SIG_IGN && sigint.sa_handler != SIG_DFL)
		sigaction(SIGINT, &watch, NULL);
}

static void
create_timer(IuDeadline *deadline)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = TIMER_SIGNAL};
	struct sigaction action = {.sa_flags = SA_RESTART | SA_SIGINFO};

	action.sa_sigaction = on_late;
	sigemptyset(&action.sa_mask);
	sigaction(TIMER_SIGNAL, &action, NULL);
	event.sigev_value.sival_ptr = deadline;
	if (timer_create(deadline->clock, &event, &deadline->timer) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create a timer: %m")));
	deadline->created = true;
}

static void
set_timer(IuDeadline *deadline, int ms)
{
	struct itimerspec due = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};

	timer_settime(deadline->timer, 0, &due, NULL);
}

/* What follows has so much time, at least 1 ms, and is cancelled then. iu_deadline_end has to be called after it. */
void
iu_deadline_begin(IuDeadline *deadline, int ms)
{
	if (deadline->running)
		iu_deadline_end(deadline);
	if (!deadline->created)
		create_timer(deadline);
	deadline->late = false;
	deadline->cancelled = QueryCancelPending;
	if (running == NULL)
		watch_cancels();
	deadline->outer = running;
	running = deadline;
	deadline->running = true;
	set_timer(deadline, Max(ms, 1));
}

/*
 * It has ended, in whatever way. Returns whether its time was up and nobody else
 * cancelled it. What is late cancels nothing after it; what somebody cancelled
 * stays cancelled.
 */
bool
iu_deadline_end(IuDeadline *deadline)
{
	IuDeadline **link;
	bool		late;

	deadline->running = false;
	set_timer(deadline, 0);
	for (link = &running; *link != NULL && *link != deadline; link = &(*link)->outer)
		;
	if (*link != NULL)
		*link = deadline->outer;
	if (running == NULL)
		sigaction(SIGINT, &sigint, NULL);
	late = deadline->late && !deadline->cancelled;
	if (late && (running == NULL || !running->late))
		QueryCancelPending = false;
	return late;
}

/* What is limited by iu_core.cancel_within(), and when it ends by iu_clock_ms(). */
static struct
{
	IuDeadline	deadline;
	int64		ends_at;
}			statement = {.deadline = {.clock = CLOCK_MONOTONIC}};

static void
cancel_at(int64 ends_at)
{
	statement.ends_at = ends_at;
	iu_deadline_begin(&statement.deadline, (int) Min(Max(ends_at - iu_clock_ms(), 1), PG_INT32_MAX));
}

/*
 * iu_core.cancel_within(ms): the running statement is cancelled after so many
 * milliseconds, or when an earlier call of this function wants it, if that is
 * sooner. Returns when that was, for cancel_no_more; NULL: there was none.
 */
Datum
iu_cancel_within(PG_FUNCTION_ARGS)
{
	bool		before = statement.deadline.running;
	int64		was = statement.ends_at;
	int64		wanted = iu_clock_ms() + PG_GETARG_INT32(0);

	cancel_at(before ? Min(was, wanted) : wanted);
	if (!before)
		PG_RETURN_NULL();
	PG_RETURN_INT64(was);
}

/*
 * iu_core.cancel_no_more(before): what cancel_within limited has ended; before is
 * what that returned, and holds again. Returns whether its time was up, and nobody
 * else cancelled it.
 */
Datum
iu_cancel_no_more(PG_FUNCTION_ARGS)
{
	bool		late = statement.deadline.running && iu_deadline_end(&statement.deadline);

	if (!PG_ARGISNULL(0))
		cancel_at(PG_GETARG_INT64(0));
	PG_RETURN_BOOL(late);
}
