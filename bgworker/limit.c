/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  An end to what a worker calls, by the time that it had.
 *
 * A function of somebody else's is cancelled when its time is up. It may catch
 * that, and go on. So it is cancelled once more a second later, and another
 * second later the process is told to end, which nothing can catch. The slot
 * says so to the process that comes next, which has to know that it was no
 * accident.
 *
 * A timer ticks while the function runs, by a clock that nobody sets. A tick
 * that comes late, because the process was stopped or had no processor, counts
 * for little more than one that comes in time: while the process stood still the
 * function had no time. PostgreSQL's own timeouts go by the time of day, and find
 * after a standstill of whatever length that time is up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "bgworker/limit.h"
#include "bgworker/worker.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/slots.h"
#include "fmgr.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(iu_call_is_late);

#define MOST_TICK_MS 200
#define AGAIN_MS 1000			/* from a cancel to the next one, and from that to the end of the process */

typedef struct TimeLimit
{
	timer_t		timer;
	int			tick_ms;
	bool		cancels;		/* when time is up; otherwise something else does */
	volatile int64 looked_at;	/* by iu_clock_ms() */
	volatile int left_ms;		/* below 0: how long it is over */
	volatile sig_atomic_t steps;	/* taken since: 1 the cancel, 2 the second, more: the process's end */
} TimeLimit;

static TimeLimit limit;

/* What follows when so much time is over. In a signal handler. */
static void
take_step(int step)
{
	if (step > 2)
	{
		iu_slot_overran(iu_worker_slot());
		kill(MyProcPid, SIGTERM);
	}
	else if (step == 2 || limit.cancels)
		kill(MyProcPid, SIGINT);
}

/* SIGUSR2. Nothing but what a signal handler may do. */
static void
on_tick(SIGNAL_ARGS)
{
	int			saved_errno = errno;
	int64		now = iu_clock_ms();

	if (limit.tick_ms > 0)
	{
		limit.left_ms -= (int) Min(now - limit.looked_at, 2 * limit.tick_ms);
		limit.looked_at = now;
		if (limit.left_ms <= -AGAIN_MS * limit.steps)
			take_step(++limit.steps);
	}
	errno = saved_errno;
}

static void
set_timer(int ms)
{
	struct timespec tick = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	struct itimerspec due = {.it_value = tick, .it_interval = tick};

	limit.tick_ms = ms;
	timer_settime(limit.timer, 0, &due, NULL);
}

/* Called once, by a worker. */
void
iu_limit_init(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};

	pqsignal(SIGUSR2, on_tick);
	if (timer_create(CLOCK_MONOTONIC, &event, &limit.timer) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create a timer: %m")));
}

/*
 * What is called from here on has so much time, ms, at least 1. cancels: it is
 * cancelled when that is up; otherwise something else does that, and what is not
 * through a second later is cancelled here.
 */
void
iu_limit_begin(int ms, bool cancels)
{
	limit.cancels = cancels;
	limit.left_ms = ms;
	limit.looked_at = iu_clock_ms();
	limit.steps = 0;
	set_timer(Max(1, Min(ms / 4, MOST_TICK_MS)));
}

/* It has ended. Also where there was no limit. */
void
iu_limit_end(void)
{
	set_timer(0);
}

/* iu_core.call_is_late(): whether what is called now had its time. */
Datum
iu_call_is_late(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(limit.tick_ms > 0 && limit.steps > 0);
}
