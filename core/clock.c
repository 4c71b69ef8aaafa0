/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  A clock that nobody sets.
 *
 * The time of day is set: by an administrator, by NTP, by a hypervisor. Whoever
 * waits until a time of day waits longer by as much as it is set back, and what
 * has a limit reaches it at once when it is set forward. So what is waited for
 * is told by a steady clock: the time of day when this server started, and what
 * has passed since by the machine's monotonic clock. It is the same in all
 * processes of the server, and as long as nobody sets the clock it is the time
 * of day.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "fmgr.h"
#include "portability/instr_time.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_steady_clock);
PG_FUNCTION_INFO_V1(iu_clock_moved_sql);

#define CLOSE_US 100			/* two looks at clocks that are as good as one */
#define TRIES 5
#define SAME_US 50000			/* clocks that differ by less are the same: nobody sets one by so little */

static int64
monotonic_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* The time in ms since nobody knows when, for what is measured or waited for. */
int64
iu_clock_ms(void)
{
	return monotonic_us() / 1000;
}

/* By how much the time of day was ahead at the start; shared by all processes, NULL without shared memory. */
static const int64 *shared_base = NULL;

/*
 * By how many microseconds the time of day is ahead of the monotonic clock, at
 * this moment. Asked again where the process was interrupted between two looks.
 */
static int64
ahead_now(void)
{
	int64		base = 0;
	int			tries;

	for (tries = 0; tries < TRIES; tries++)
	{
		int64		before = monotonic_us();
		TimestampTz wall = GetCurrentTimestamp();
		int64		after = monotonic_us();

		base = wall - after;
		if (after - before < CLOSE_US)
			break;
	}
	return base;
}

/*
 * Gives the clock its place in shared memory. first: nobody has set it yet.
 */
void
iu_clock_share(int64 *base, bool first)
{
	if (first)
		*base = ahead_now();
	shared_base = base;
}

/* The same when the server started; where the library was not preloaded, when this process first asked. */
static int64
base_at_start(void)
{
	static int64 own = 0;

	if (shared_base != NULL)
		return *shared_base;
	if (own == 0)
		own = ahead_now();
	return own;
}

/* The time by the steady clock. */
TimestampTz
iu_now(void)
{
	return monotonic_us() + base_at_start();
}

/* By how many microseconds the time of day was set forward since the server started; negative: back. */
int64
iu_clock_moved(void)
{
	return ahead_now() - base_at_start();
}

/* A time of day, by the steady clock. What is infinite, or 0 for no time, stays so. */
TimestampTz
iu_steady_of(TimestampTz wall)
{
	return TIMESTAMP_NOT_FINITE(wall) || wall == 0 ? wall : wall - iu_clock_moved();
}

/* A time by the steady clock, as time of day. What is infinite, or 0 for no time, stays so. */
TimestampTz
iu_wall_of(TimestampTz steady)
{
	return TIMESTAMP_NOT_FINITE(steady) || steady == 0 ? steady : steady + iu_clock_moved();
}

/* SQL: steady_clock() */
Datum
iu_steady_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(iu_now());
}

/* SQL: clock_moved() */
Datum
iu_clock_moved_sql(PG_FUNCTION_ARGS)
{
	Interval   *moved = palloc0(sizeof(Interval));

	moved->time = iu_clock_moved();
	if (moved->time > -SAME_US && moved->time < SAME_US)
		moved->time = 0;
	PG_RETURN_INTERVAL_P(moved);
}
