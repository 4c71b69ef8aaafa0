/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  The loop of every worker process.
 *
 * A worker is a list of duties. The loop performs those that are due, shows in
 * the worker's slot how it went, and sleeps until the next one is due or
 * somebody wakes the worker. A duty that fails is reported and tried again after
 * a while, the longer the more often it failed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/loop.h"
#include "core/clock.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CLOCK_LOOK_MS 2000		/* between looks whether the time of day was set */
#define CLOCK_STEP_US 100000	/* what is less is no step */

typedef struct Loop
{
	const IuWorkerKind *kind;
	void	   *worker;
	IuBackoff	backoffs[IU_MAX_DUTIES];	/* of each duty */
	uint32		wait_event;
	int64		clock_moved;	/* by how much the time of day was set when it was looked at last */
} Loop;

/* Whether the duty of this number is to be performed in the pass that is under way. */
static bool
is_due(const Loop *loop, int i)
{
	const IuDuty *duty = &loop->kind->duties[i];
	TimestampTz not_before = loop->backoffs[i].not_before;

	switch (duty->mode)
	{
		case IU_WHEN_DUE:
			return iu_is_past(Max(duty->due(loop->worker), not_before));
		case IU_EACH_PASS:
			return not_before == 0 || iu_is_past(not_before);
		case IU_EACH_PASS_ALWAYS:
			return true;
	}
	return true;
}

/* When the next pass is to begin for a duty; DT_NOEND: none is. */
static TimestampTz
next_due(const Loop *loop)
{
	TimestampTz next = DT_NOEND;
	int			i;

	for (i = 0; i < loop->kind->duty_count; i++)
	{
		const IuDuty *duty = &loop->kind->duties[i];
		const IuBackoff *backoff = &loop->backoffs[i];

		/* A duty of each pass that failed is to be tried again, whatever it says itself. */
		if (duty->mode != IU_WHEN_DUE && backoff->delay_ms != 0)
			next = Min(next, backoff->not_before);
		else
			next = Min(next, Max(duty->due(loop->worker), backoff->not_before));
	}
	return next;
}

/* Whether anything waits to be tried again. */
static bool
anything_fails(const Loop *loop)
{
	int			i;

	for (i = 0; i < loop->kind->duty_count; i++)
		if (loop->backoffs[i].delay_ms != 0)
			return true;
	return loop->kind->troubled != NULL && loop->kind->troubled(loop->worker);
}

/* An error stays in the slot until nothing waits to be tried again. */
static void
show_state(const Loop *loop)
{
	if (!iu_worker_shows_ready() && !anything_fails(loop))
		iu_worker_show_ready();
}

static void
perform_duties(Loop *loop)
{
	int			i;

	for (i = 0; i < loop->kind->duty_count; i++)
	{
		const IuDuty *duty = &loop->kind->duties[i];
		ErrorData  *error;

		if (!is_due(loop, i))
			continue;
		error = duty->perform(loop->worker);
		if (error != NULL)
			iu_worker_failed(error, &loop->backoffs[i], duty->first_retry_ms, duty->last_retry_ms);
		else
			iu_backoff_clear(&loop->backoffs[i]);
		show_state(loop);
	}
}

/* Returns whether the latch was set. */
static bool
sleep_on_latch(TimestampTz until, uint32 wait_event)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long		ms = -1;
	bool		woken;

	if (until != DT_NOEND)
	{
		events |= WL_TIMEOUT;
		ms = TimestampDifferenceMilliseconds(iu_now(), until);
	}
	woken = (WaitLatch(MyLatch, events, ms, wait_event) & WL_LATCH_SET) != 0;
	/* One that is set only now ends the next sleep. */
	if (woken)
		ResetLatch(MyLatch);
	return woken;
}

/* Whether the time of day was set since this was last asked. */
static bool
clock_was_set(Loop *loop)
{
	int64		before = loop->clock_moved;

	loop->clock_moved = iu_clock_moved();
	return Max(before - loop->clock_moved, loop->clock_moved - before) > CLOCK_STEP_US;
}

/*
 * Sleeps in pieces, so that it is noticed when somebody sets the clock: then
 * every worker of the database looks at what goes by the time of day.
 */
static void
sleep_minding_clock(Loop *loop, TimestampTz until)
{
	TimestampTz piece;

	do
	{
		if (clock_was_set(loop))
		{
			iu_slots_wake(IU_WAKE_ALL, MyDatabaseId);
			return;
		}
		piece = Min(until, iu_from_now(CLOCK_LOOK_MS));
	} while (!sleep_on_latch(piece, loop->wait_event) && piece < until);
}

/* Between two passes. */
static void
sleep_until_due(Loop *loop)
{
	const IuWorkerKind *kind = loop->kind;

	/* A wait for a lock within the pass resets the latch; these two still tell that it was set. */
	bool		woken = iu_slot_woken(iu_worker_slot()) || ConfigReloadPending;
	TimestampTz due;
	TimestampTz until;
	TimestampTz rested;

	if (woken && kind->woken != NULL)
		kind->woken(loop->worker);
	due = next_due(loop);
	until = woken && kind->woken == NULL ? iu_now() : due;
	rested = Min(due, iu_from_now(kind->rest_ms));

	iu_slot_tick(iu_worker_slot(), until == DT_NOEND ? 0 : until);
	pgstat_report_stat(true);
	if (kind->sleep != NULL)
		kind->sleep(loop->worker, until);
	else if (kind->minds_clock)
		sleep_minding_clock(loop, until);
	else
		sleep_on_latch(until, loop->wait_event);
	while (!iu_is_past(rested))
	{
		iu_worker_absorb();
		sleep_on_latch(rested, loop->wait_event);
	}
}

/*
 * Performs the duties of a worker until the process is told to end. worker: the
 * kind's own data, which its functions get. The current memory context of a
 * duty lasts until the end of the pass.
 */
void
iu_worker_run(const IuWorkerKind *kind, void *worker)
{
	Loop		loop = {kind, worker};
	MemoryContext pass = AllocSetContextCreate(TopMemoryContext, "iu_core pass", ALLOCSET_DEFAULT_SIZES);

	Assert(kind->duty_count <= IU_MAX_DUTIES);
	loop.wait_event = iu_wait_event(kind->wait_event);
	loop.clock_moved = iu_clock_moved();
	for (;;)
	{
		MemoryContextReset(pass);
		MemoryContextSwitchTo(pass);
		iu_worker_absorb();
		iu_slot_begin_pass(iu_worker_slot());
		perform_duties(&loop);
		sleep_until_due(&loop);
	}
}
