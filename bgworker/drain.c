/*-------------------------------------------------------------------------
 *
 * drain.c
 *	  How a process that is to end gets the time to finish what it has begun.
 *
 * A request that is under way when the process ends is sent again after the next
 * start, because nobody knows what the receiver made of it. So the first SIGTERM
 * only asks: the process begins nothing new, and leaves when what is under way
 * is answered and recorded, or iu_core.drain_timeout is over. Whoever asks again
 * meanwhile, as the launcher does, changes nothing. A process that is stuck when
 * the time is over in something else, a lock or a commit that waits for a
 * standby, is ended by a timer, which sends a last SIGTERM.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "bgworker/drain.h"
#include "bgworker/worker.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"

#define STUCK_MS 1000			/* after the time to drain */
#define NEEDED_MS 1000			/* the time to drain where a command needs the database for itself */

typedef struct Drain
{
	volatile sig_atomic_t asked;
	int64		last_at;		/* from then on a SIGTERM ends the process, of iu_clock_ms */
	timer_t		timer;			/* sends one then */
} Drain;

static Drain drain;

/* SIGTERM. Nothing but what a signal handler may do. */
static void
ask_to_drain(SIGNAL_ARGS)
{
	int			saved_errno = errno;
	int			ms = iu_drain_timeout + STUCK_MS;
	struct itimerspec due = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};

	if (drain.asked)
	{
		if (iu_clock_ms() >= drain.last_at)
			die(postgres_signal_arg);
	}
	else
	{
		drain.last_at = iu_clock_ms() + ms - 1;
		drain.asked = true;
		if (iu_drain_timeout == 0 || timer_settime(drain.timer, 0, &due, NULL) != 0)
			die(postgres_signal_arg);
		SetLatch(MyLatch);
	}
	errno = saved_errno;
}

/* From the start of a worker: from now on SIGTERM asks first. */
void
iu_drain_prepare(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM};

	if (timer_create(CLOCK_MONOTONIC, &event, &drain.timer) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create a timer: %m")));
	pqsignal(SIGTERM, ask_to_drain);
}

/* Whether the process is to begin nothing new. */
bool
iu_drain_asked(void)
{
	return drain.asked;
}

/* Until when what is under way may take, of iu_clock_ms, counted from now. */
int64
iu_drain_end(void)
{
	IuWorkerSlot slot;
	bool		needed;

	iu_slot_read(iu_worker_slot(), &slot);
	needed = slot.held_until > iu_now();
	return iu_clock_ms() + (needed ? Min(iu_drain_timeout, NEEDED_MS) : iu_drain_timeout);
}

/* Ends the process as a SIGTERM does. */
void
iu_drain_leave(void)
{
	die(SIGTERM);
	CHECK_FOR_INTERRUPTS();
	pg_unreachable();
}
