/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  An end to what a worker calls and what does not end by being cancelled.
 *
 * A function of somebody else's is cancelled when its time is up. It may catch
 * that, and go on. So it is cancelled once more a second later, and another
 * second later the process is told to end, which nothing can catch. The slot
 * says so to the process that comes next, which has to know that it was no
 * accident.
 *
 * The ticks come one after the other: a process that was stopped for longer than
 * all of them together cancels first, as it would have done, and ends a second
 * after that at the earliest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "bgworker/limit.h"
#include "bgworker/worker.h"
#include "core/slots.h"
#include "miscadmin.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#define TICK_MS 1000

typedef struct Limit
{
	TimeoutId	timer;
	volatile sig_atomic_t ticks;	/* since the time was up */
} Limit;

static Limit limit;

/* In a signal handler. The statement's own timer has cancelled it at the first tick. */
static void
on_tick(void)
{
	int			tick = ++limit.ticks;

	if (tick == 2)
		kill(MyProcPid, SIGINT);
	else if (tick > 2)
	{
		iu_slot_overran(iu_worker_slot());
		kill(MyProcPid, SIGTERM);
	}
}

/* Called once, by a worker that is connected to a database. */
void
iu_limit_init(void)
{
	limit.timer = RegisterTimeout(USER_TIMEOUT, on_tick);
}

/* What is called from here on has so much time. */
void
iu_limit_begin(int ms)
{
	limit.ticks = 0;
	enable_timeout_every(limit.timer, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms), TICK_MS);
}

/* It has ended. Also where there was no limit. */
void
iu_limit_end(void)
{
	disable_timeout(limit.timer, false);
}
